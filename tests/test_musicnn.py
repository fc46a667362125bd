"The upper anchor's scoring, on features made up for the smoke run; extracting real ones takes TensorFlow, which is not installed here."

import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from song_metric.catalog import load_catalog

SCRIPT = Path(__file__).resolve().parent.parent / "benchmarks/musicnn.py"


def musicnn(*arguments):
    return subprocess.run(
        [sys.executable, SCRIPT, *map(str, arguments)],
        capture_output=True,
        text=True,
        encoding="utf-8",
        timeout=120,
    )


def write_features(path, songs):
    "Features that say the label and little else, as `extract` writes them."
    kind, rng = pd.factorize(songs["genre"])[0], np.random.default_rng(0)
    np.savez(
        path,
        key="30 s of " + songs["path"].to_numpy(str),
        features=rng.normal(size=(50, 60))[kind] + 0.01 * rng.normal(size=(len(songs), 60)),
        tags=np.eye(50)[kind],
        seconds=np.full(len(songs), 0.5),
        names=[f"tag {i}" for i in range(50)],
    )


def test_features_that_know_the_label_score_one(smoke, tmp_path):
    songs = load_catalog(smoke.folder / "01_spectrograms/songs.csv")
    write_features(tmp_path / "some.npz", songs.iloc[1:])
    done = musicnn(
        smoke.folder, "--features", tmp_path / "some.npz", "--out", tmp_path / "scores.csv"
    )
    assert done.returncode == 0, done.stderr
    assert (
        f"1 of {len(songs)} songs" in done.stdout
        and "| PCA |" in done.stdout
        and "| musicnn |" in done.stdout
    )
    assert f"{songs['genre'].iloc[-1]}: tag {songs['genre'].nunique() - 1}" in done.stdout
    scores = pd.read_csv(tmp_path / "scores.csv")
    assert set(scores["embedding"]) == {"musicnn", "musicnn, unit length"}
    assert (scores["split"] == "held_out").all() and scores.query(
        "embedding == 'musicnn' and clusterer == 'k-means'"
    )["ami"].item() == pytest.approx(1)


@pytest.mark.parametrize(
    "words, reason",
    [
        (["extract", "{run}"], "an environment of its own"),
        (["{run}"], "holds no features"),
        (["nowhere"], "has not finished"),
    ],
)
def test_what_is_missing_is_said_in_a_line(smoke, tmp_path, words, reason):
    done = musicnn(
        *(word.format(run=smoke.folder) for word in words), "--features", tmp_path / "none.npz"
    )
    assert done.returncode == 1 and reason in done.stderr and len(done.stderr.splitlines()) == 1
