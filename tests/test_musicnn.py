"""The upper anchor's scoring, on features made up for the smoke run.

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


def write_features(path, songs) -> None:
    "Features that say the label and little else, as `extract` writes them."
    kind = pd.factorize(songs["genre"])[0]
    rng = np.random.default_rng(0)
    features = rng.normal(size=(50, 60))[kind] + 0.01 * rng.normal(size=(len(songs), 60))
    np.savez(
        path,
        key="30 s of " + songs["path"].to_numpy(str),
        features=features,
        tags=np.eye(50)[kind],
        seconds=np.full(len(songs), 0.5),
        names=[f"tag {i}" for i in range(50)],
    )


def test_features_that_know_the_label_score_one(smoke, tmp_path):
    songs = load_catalog(smoke.folder / "01_spectrograms/songs.csv")
    features = tmp_path / "some.npz"
    out = tmp_path / "scores.csv"
    write_features(features, songs.iloc[1:])
    done = musicnn(smoke.folder, "--features", features, "--out", out)
    assert done.returncode == 0, done.stderr
    last_tag = f"{songs['genre'].iloc[-1]}: tag {songs['genre'].nunique() - 1}"
    for told in (f"1 of {len(songs)} songs", "| PCA |", "| musicnn |", last_tag):
        assert told in done.stdout
    scores = pd.read_csv(out)
    assert set(scores["embedding"]) == {"musicnn", "musicnn, unit length"}
    assert (scores["split"] == "held_out").all()
    plain = scores.query("embedding == 'musicnn' and clusterer == 'k-means'")
    assert plain["ami"].item() == pytest.approx(1)


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
