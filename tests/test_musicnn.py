"""The upper anchors' scoring, on features made up for the smoke run.

Extracting real ones takes TensorFlow, which is not installed here.
"""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from song_metric.catalog import load_catalog

SCRIPT = Path(__file__).resolve().parent.parent / "benchmarks/musicnn.py"


def musicnn(*arguments) -> subprocess.CompletedProcess:
    "The script with these arguments, when it has ended."
    words = [sys.executable, SCRIPT, *map(str, arguments)]
    return subprocess.run(words, capture_output=True, text=True, encoding="utf-8", timeout=120)


NETS = ("MSD_musicnn", "MTT_musicnn", "MSD_vgg", "MTT_vgg")
VARIANTS = ("mean", "mean, unit length", "wasserstein", "wasserstein, unit length")


def write_features(path, songs) -> None:
    """Features, as `extract` writes them: the first net's mean says the label, the last one's
    deviation does; all else is noise.
    """
    kind = pd.factorize(songs["genre"])[0]
    rng = np.random.default_rng(0)
    nets = {net: rng.normal(size=(len(songs), 2, 60)) for net in NETS}
    label = 100 * rng.normal(size=(50, 60))[kind]
    nets["MSD_musicnn"] += label[:, None] * [[1], [0]]
    nets["MTT_vgg"] += label[:, None] * [[0], [1]]
    np.savez(
        path,
        key="30 s of " + songs["path"].to_numpy(str),
        tags=np.eye(50)[kind],
        seconds=np.full((len(songs), len(NETS)), 0.5),
        names=[f"tag {i}" for i in range(50)],
        **nets,
    )


def test_each_net_is_shown_at_its_best(smoke, tmp_path):
    songs = load_catalog(smoke.folder / "01_spectrograms/songs.csv")
    features = tmp_path / "some.npz"
    out = tmp_path / "scores.csv"
    write_features(features, songs.iloc[1:])
    done = musicnn(smoke.folder, "--features", features, "--out", out)
    assert done.returncode == 0, done.stderr
    last_tag = f"{songs['genre'].iloc[-1]}: tag {songs['genre'].nunique() - 1}"
    for told in (f"1 of {len(songs)} songs", "| PCA |", last_tag, "MAP, other artists"):
        assert told in done.stdout
    assert all(done.stdout.count(f"| {net}, ") == 2 for net in NETS), "one variant a net and table"
    assert "| MTT_vgg, wasserstein" in done.stdout
    scores = pd.read_csv(out)
    assert set(scores["embedding"]) == {f"{net}, {one}" for net in NETS for one in VARIANTS}
    assert (scores["split"] == "held_out").all()
    found = scores[scores["clusterer"] == "k-means"].set_index("embedding")["ami"]
    assert found["MSD_musicnn, mean"] == pytest.approx(1)
    assert found["MTT_vgg, wasserstein, unit length"] == pytest.approx(1)
    assert found["MTT_vgg, mean"] < 0.5 and found["MSD_vgg, mean"] < 0.5
    suggested = pd.read_csv(tmp_path / "scores-suggestions.csv")
    assert set(suggested["embedding"]) == set(scores["embedding"])


def test_features_of_one_net_are_not_enough(smoke, tmp_path):
    features = tmp_path / "old.npz"
    np.savez(features, key=["30 s of a.wav"], names=["tag"], features=np.ones((1, 9)))
    done = musicnn(smoke.folder, "--features", features)
    assert done.returncode == 1 and "lacks some of the nets" in done.stderr


@pytest.mark.parametrize(
    "words, reason",
    [
        (["extract", "{run}"], "an environment of its own"),
        (["{run}"], "holds no features"),
        (["nowhere"], "has not finished"),
    ],
)
def test_what_is_missing_is_said_in_a_line(smoke, tmp_path, words, reason):
    words = [word.format(run=smoke.folder) for word in words]
    done = musicnn(*words, "--features", tmp_path / "none.npz")
    assert done.returncode == 1 and reason in done.stderr
    assert len(done.stderr.splitlines()) == 1
