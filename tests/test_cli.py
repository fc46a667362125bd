"The command line as its users meet it."

import json
import os
import re
import subprocess
import sys

import pytest
from conftest import song_metric

from song_metric import __version__


def test_help_and_version():
    for arguments in (["--help"], ["report", "--help"], ["runs", "-h"], ["doctor", "-h"]):
        result = song_metric(*arguments)
        assert result.returncode == 0 and "Usage" in result.stdout, result.stderr
    assert song_metric("--version").stdout.strip() == f"song-metric {__version__}"


def test_help_and_unchanged_reports_import_nothing_heavy(toys):
    arguments = ["report", "--notebooks", str(toys.nbs), "--runs-dir", str(toys.root)]
    assert song_metric(*arguments).returncode == 0
    code = """
import sys

from song_metric.cli import main

heavy = {"torch", "librosa", "papermill", "nbconvert", "numpy", "pandas", "sklearn"}
try:
    main(sys.argv[1:])
finally:
    print("heavy:", sorted(heavy & set(sys.modules)))
"""
    for words in (["--help"], arguments, ["runs", "--runs-dir", str(toys.root)]):
        result = subprocess.run(
            [sys.executable, "-c", code, *words], capture_output=True, text=True, timeout=60
        )
        assert "heavy: []" in result.stdout, result.stdout + result.stderr


@pytest.mark.parametrize(
    "arguments, words",
    [
        (["report", "--profile", "smok"], "There is no profile 'smok'"),
        (["report", "-p", "sede=1"], "Did you mean seed?"),
        (["report", "-p", "seed"], "write -p name=value"),
        (["report", "-p", "seed=soon"], "takes a whole number"),
        (["report", "--source", "folder"], "add --data DIR"),
        (
            ["report", "--source", "folder", "--data", "/no/such/[bold]folder"],
            "/no/such/[bold]folder is no folder",
        ),
        (["report", "--source", "cloud"], "There is no source 'cloud'"),
        (["report", "--data", "."], "add --source folder"),
        (["report", "--run", "../x"], "cannot name a run"),
        (["report", "--colour", "red"], "No such option"),
        (["reprot"], "No such command"),
    ],
)
def test_wrong_requests_are_one_sentence(arguments, words, tmp_path):
    result = song_metric(*arguments, env={**os.environ, "SONG_METRIC_RUNS": str(tmp_path / "runs")})
    assert result.returncode == 2, result.stderr
    assert (
        words in result.stderr
        and "Traceback" not in result.stderr
        and len(result.stderr.strip().splitlines()) == 1
    ), result.stderr
    assert not (tmp_path / "runs").exists()


def test_runs_lists_runs_with_scores(tmp_path):
    assert "no runs" in song_metric("runs", "--runs-dir", tmp_path).stdout
    folder = tmp_path / "mine" / "04_evaluation"
    folder.mkdir(parents=True)
    (folder / "scores.csv").write_text(
        "embedding,level,pooling,split,clusterer,v_measure,ami,precision_at_10\nraw,song,mean,all,k-means,.31,.25,.5\n[b]x,song,mean,all,k-means,.4,.3,\n"
    )
    (folder / "manifest.json").write_text(json.dumps(dict(outputs={}, seconds=1)))
    (tmp_path / "empty").mkdir()
    (tmp_path / "half").mkdir()
    (tmp_path / "half" / "run.json").write_text('{"profile": "demo", "state"')
    table = song_metric("runs", "--runs-dir", tmp_path, env={**os.environ, "COLUMNS": "160"}).stdout
    assert (
        "raw 0.250 (0.310)" in table
        and "[b]x 0.300" in table
        and "half" in table
        and "empty" not in table
    )
    found = json.loads(song_metric("runs", "--json", "--runs-dir", tmp_path).stdout)
    assert [run["run"] for run in found] == ["half", "mine"] and found[1]["scores"][0]["ami"] == 0.3


def test_doctor_says_what_is_here():
    result = song_metric("doctor", env={**os.environ, "COLUMNS": "160"})
    assert result.returncode == 0, result.stdout
    for words in (
        "Python",
        "torch",
        "WAV",
        "MP3",
        "Processor cores",
        "Everything that the report needs is here.",
    ):
        assert words in result.stdout, words
    assert not re.search(r"missing\b.*the report", result.stdout)
