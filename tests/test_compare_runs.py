"The script that says whether a change moved a number."

import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd

from song_metric.runs import Chapter

SCRIPT = Path(__file__).resolve().parent.parent / "tools/compare_runs.py"
SCORES = dict(embedding=["pca", "ali"], ami=[0.25, 0.5], seconds=[1.0, 2.0], path=["/a", "/a"])


def write_run(run: Path, **columns: list) -> Path:
    "A run of one chapter: a table of scores, some columns of which are given, and an array."
    chapter = Chapter(run, "04_evaluation")
    pd.DataFrame(SCORES | columns).to_csv(chapter.path("scores.csv"), index=False)
    np.save(chapter.path("codes.npy"), np.array(columns.get("ami", SCORES["ami"])))
    chapter.finish()
    return run


def compare(before: Path, after: Path) -> tuple[int, str]:
    "The script's exit status, and what it prints."
    found = subprocess.run([sys.executable, SCRIPT, before, after], capture_output=True, text=True)
    return found.returncode, found.stdout + found.stderr


def test_times_and_places_are_no_numbers(tmp_path):
    before = write_run(tmp_path / "before")
    after = write_run(tmp_path / "after", seconds=[3.0, 4.0], path=["/b", "/b"])
    assert compare(before, after) == (0, "2 of 2 tables and arrays are equal.\n")


def test_a_number_that_moved_is_told(tmp_path):
    before = write_run(tmp_path / "before")
    status, said = compare(before, write_run(tmp_path / "after", ami=[0.25, 0.75]))
    assert status == 1
    assert "scores.csv: 1 of 2 numbers differ, by at most 0.25" in said
    assert "codes.npy: differs by at most 0.25" in said


def test_a_row_that_is_lost_is_told(tmp_path):
    before = write_run(tmp_path / "before")
    status, said = compare(before, write_run(tmp_path / "after", embedding=["pca", "vae"]))
    assert status == 1
    assert "scores.csv: without the row ali #0" in said


def test_a_run_without_chapters_is_refused(tmp_path):
    status, said = compare(tmp_path / "nowhere", tmp_path)
    assert status == 1
    assert "holds no finished chapter" in said
