"Streams in any encoding, users without a home folder, folders on other drives."

import errno
import io
import json
import ntpath
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from conftest import toy_notebook

from song_metric import cli, kernels, runs
from song_metric.chapters import Notebook
from song_metric.files import RunError, relative_path
from song_metric.runs import cache_home, tool_folders, usual_places
from song_metric.space import SongSpace

TITLES = ["夜 ♫", "Jo\u0301ga – naïve", "🎵 \x9b ½", "plain"]
COMMAND = [sys.executable, "-c", "from song_metric.cli import main; main()"]


@pytest.fixture(scope="module")
def space(tmp_path_factory):
    "A saved space of four songs whose titles no small encoding holds."
    rows = [
        dict(
            song_id=f"東/{i}.flac",
            path="",
            genre="Ré",
            artist="Bjo\u0308rk",
            album="",
            title=title,
            duration=1.0,
            source="x",
            licence="",
        )
        for i, title in enumerate(TITLES)
    ]
    folder = tmp_path_factory.mktemp("space") / "s"
    return SongSpace(np.eye(4, dtype=np.float32), pd.DataFrame(rows)).save(folder)


def told(monkeypatch, encoding, *arguments) -> tuple[int, str, str]:
    "The command's exit status and what it writes to streams of an encoding, strict at first."
    streams = [io.TextIOWrapper(io.BytesIO(), encoding=encoding, errors="strict") for _ in range(2)]
    monkeypatch.setattr(sys, "stdout", streams[0])
    monkeypatch.setattr(sys, "stderr", streams[1])
    with pytest.raises(SystemExit) as end:
        cli.main([str(word) for word in arguments])
    for stream in streams:
        stream.flush()
    return end.value.code, *(stream.buffer.getvalue().decode(encoding) for stream in streams)


@pytest.mark.parametrize("encoding", ["ascii", "cp1252", "latin-1", "cp932", "koi8-r", "utf-8"])
def test_output_in_any_encoding(monkeypatch, tmp_path, space, encoding):
    status, shown, _ = told(monkeypatch, encoding, "nearest", "東/0.flac", "--space", space)
    assert status == 0
    assert "plain" in shown
    status, text, _ = told(
        monkeypatch, encoding, "nearest", "東/0.flac", "--space", space, "--json"
    )
    assert status == 0
    assert {row["title"] for row in json.loads(text)["songs"]} == set(TITLES[1:])
    saved = tmp_path / "夜.json"
    assert (
        told(monkeypatch, encoding, "playlist", "東/0.flac", "--space", space, "--save", saved)[0]
        == 0
    )
    assert saved.exists()
    status, _, errors = told(monkeypatch, encoding, "nearest", "東京 🎵 no such", "--space", space)
    assert status == 1
    assert "no such" in errors
    assert "UnicodeEncodeError" not in errors


def test_signs_that_an_encoding_lacks(monkeypatch, space):
    shown = told(monkeypatch, "ascii", "nearest", "東/3.flac", "--space", space)[1]
    assert r"\u591c \u266b" in shown
    assert "Jo\\u0301ga - na\\xefve" in shown
    assert "夜 ♫" in told(monkeypatch, "utf-8", "nearest", "東/3.flac", "--space", space)[1]


@pytest.mark.parametrize(
    "words", [["sources"], ["sources", "--json"], ["--help"], ["runs", "--json"]]
)
def test_commands_without_songs_in_ascii(monkeypatch, tmp_path, words):
    monkeypatch.setenv("SONG_METRIC_RUNS", str(tmp_path / "läufe"))
    status, shown, errors = told(monkeypatch, "ascii", *words)
    assert status == 0
    assert shown.isascii()
    assert not errors
    if "--json" in words:
        json.loads(shown)


def test_bars_and_chapters_in_any_encoding(monkeypatch):
    from rich.console import Console

    stream = io.TextIOWrapper(io.BytesIO(), encoding="cp1252")
    monkeypatch.setattr(sys, "stdout", stream)
    cli.ready_streams()
    for terminal in (True, False):
        screen = kernels.Screen(Console(file=stream, force_terminal=terminal, width=80), every=0)
        screen.write("夜: 50%|█████▏    | 1/2\rdone 🎵\n")
        screen.close()
    assert "done" in stream.buffer.getvalue().decode("cp1252") or stream.flush() is None


@pytest.mark.skipif(os.name == "nt", reason="another shell")
def test_a_reader_that_has_enough_and_a_full_disk():
    quiet = dict(capture_output=True, text=True, timeout=60)
    words = " ".join(f"'{word}'" for word in COMMAND)
    for line in (f"{words} sources --json | head -c 9", f"{words} nope 2>&1 | true"):
        done = subprocess.run(["bash", "-c", line], **quiet)
        assert done.stderr == "", done.stderr
    if Path("/dev/full").exists():
        done = subprocess.run(["bash", "-c", f"{words} sources --json > /dev/full"], **quiet)
        assert done.returncode == 1
        assert done.stderr.count("\n") == 1
        assert "disk is full" in done.stderr


def test_other_errors_are_not_taken_for_the_streams():
    assert not cli.unwritable_output(OSError(errno.EINVAL, "x"))
    assert cli.unwritable_output(BrokenPipeError(errno.EPIPE, "x"))


@pytest.fixture
def homeless(monkeypatch, tmp_path):
    "A user whose home folder is a file, and who has named no folders."
    for name in (*usual_places(), "XDG_CACHE_HOME", "XDG_CONFIG_HOME", "XDG_DATA_HOME"):
        monkeypatch.delenv(name, raising=False)
    (tmp_path / "home").write_text("")
    monkeypatch.setattr(
        os.path, "expanduser", lambda path: path.replace("~", str(tmp_path / "home"))
    )
    return tmp_path


def test_tools_get_folders_below_the_cache(homeless, monkeypatch):
    monkeypatch.setenv("SONG_METRIC_CACHE", str(homeless / "cache"))
    found = tool_folders()
    assert set(found) == set(usual_places())
    assert all(Path(place).parent == homeless / "cache" / "tools" for place in found.values())
    assert kernels.kernel_environment(80)["MPLCONFIGDIR"] == found["MPLCONFIGDIR"]


def test_what_the_user_has_named_stays(homeless, monkeypatch):
    monkeypatch.setenv("NUMBA_CACHE_DIR", str(homeless / "mine"))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(homeless / "config"))
    assert not {"NUMBA_CACHE_DIR", "MPLCONFIGDIR"} & set(tool_folders())


def test_without_any_folder_they_go_with_the_process(homeless, monkeypatch):
    monkeypatch.setenv("SONG_METRIC_CACHE", str(homeless / "home" / "cache"))
    places = tool_folders().values()
    assert places
    assert all(os.access(Path(place).parent, os.W_OK) for place in places)


def test_no_cache_without_a_home_is_said(monkeypatch, tmp_path):
    monkeypatch.delenv("SONG_METRIC_CACHE")
    monkeypatch.setattr(runs, "home", lambda: tmp_path)

    def nowhere():
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.setattr(runs.Path, "home", nowhere)
    with pytest.raises(RunError, match="SONG_METRIC_CACHE"):
        cache_home()
    assert not any(str(tmp_path) in place for place in tool_folders().values())


@pytest.mark.parametrize(
    "path, folder, seen",
    [
        (r"D:\runs\demo", r"C:\song_metric\nbs", "D:/runs/demo"),
        (r"C:\song_metric\data\runs\demo", r"C:\song_metric\nbs", "../data/runs/demo"),
        (r"c:\Music\a.mp3", r"C:\lists", "../Music/a.mp3"),
        (r"\\server\share\a.mp3", r"C:\lists", "//server/share/a.mp3"),
        (r"C:\lists\a.mp3", r"\\server\share", "C:/lists/a.mp3"),
    ],
)
def test_paths_between_drives_by_windows_rules(path, folder, seen):
    "Windows' own path rules (ntpath), wherever this runs: no Windows has been tried here."
    assert relative_path(path, folder, ntpath) == seen


def test_a_chapter_is_told_of_a_run_on_another_drive(monkeypatch, tmp_path):
    "`run_chapter`'s own call, by Windows' rules: it must not fail where no relative path exists."
    given = {}

    def relative_on_windows(path, folder):
        return relative_path(r"D:\runs\demo", r"C:\nbs", ntpath)

    def execute(notebook, folder, parameters, screen):
        given.update(parameters)

    monkeypatch.setattr(kernels, "relative_path", relative_on_windows)
    monkeypatch.setattr(kernels, "execute", execute)
    notebook = Notebook(tmp_path / "00_data.ipynb", "", "", (), {"run": ""})
    with pytest.raises(RunError, match="without its manifest"):
        kernels.run_chapter(notebook, tmp_path / "demo" / "00_data", {}, "", None, None)
    assert given == {"run": "D:/runs/demo"}


def test_one_helper_makes_relative_paths():
    package = Path(runs.__file__).parent
    uses = [
        path.name
        for path in package.rglob("*.py")
        for _ in range(path.read_text(encoding="utf-8").count("relpath("))
    ]
    assert uses == ["files.py"]


def test_pages_where_this_python_has_no_templates(monkeypatch, tmp_path):
    "nbconvert may lie elsewhere than this Python (PYTHONPATH, a user's own packages)."
    from jupyter_core import paths

    from song_metric.pages import chapter_page

    monkeypatch.setattr(paths, "ENV_JUPYTER_PATH", [str(tmp_path)])
    monkeypatch.setattr(paths, "SYSTEM_JUPYTER_PATH", [str(tmp_path)])
    toy = toy_notebook(tmp_path / "toy.ipynb", "a = 1")
    assert "<h1" in chapter_page(toy)
