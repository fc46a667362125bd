"A write is whole or has not happened, and says why; only what changed is looked at again."

import errno
import io
import json
import os
import signal
import sqlite3
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path
from types import SimpleNamespace

import filelock
import numpy as np
import pandas as pd
import pytest
import soundfile as sf
import torch
from conftest import toy_catalog
from rich.console import Console

import song_metric.seen as known
import song_metric.sources.folder as music
from song_metric.audio import AudioError
from song_metric.catalog import save_table
from song_metric.changes import folder_digest, reason_to_run, sounds_digest
from song_metric.chapters import read_notebook
from song_metric.cli import main
from song_metric.files import RunError, atomic_write, hold_folder, write_json
from song_metric.kernels import failure, tidy_streams
from song_metric.map import MapSound, write_map
from song_metric.pages import write_pages
from song_metric.playlists import Playlist
from song_metric.report import report
from song_metric.runs import Chapter
from song_metric.sources._base import ask
from song_metric.space import SongSpace
from song_metric.spectrograms import SpectrogramSettings, song_keys
from song_metric.store import RowLog, row_kind
from song_metric.training import save_state

POSIX = os.name != "nt"


def tiny_space(n=12) -> SongSpace:
    "Songs without sound, on a line."
    songs = toy_catalog(n)
    songs["path"] = "/music/" + songs["path"]
    return SongSpace(np.eye(n, 4, dtype="float32") + np.arange(n)[:, None], songs)


def full(*_, **__):
    raise OSError(errno.ENOSPC, "No space left on device")


def save_weights(path):
    save_state(path, torch.nn.Linear(99, 99), note="toy")


WRITES = {
    "record.json": lambda path: write_json(path, {"a": 1}),
    "songs.csv": lambda path: save_table(tiny_space().songs, path),
    "list.m3u8": lambda path: Playlist(tiny_space(), [0, 1]).save(path),
    "list.xspf": lambda path: Playlist(tiny_space(), [0, 1]).save(path),
    "list.json": lambda path: Playlist(tiny_space(), [0, 1]).save(path),
    "map.html": lambda path: write_map(tiny_space(6), path, sound=MapSound("none")),
    "weights.safetensors": save_weights,
}


@pytest.mark.parametrize("name", WRITES)
def test_a_write_that_is_refused_is_a_sentence_and_leaves_what_was_there(
    name, tmp_path, monkeypatch
):
    target = tmp_path / "kept" / name
    write = WRITES[name]
    target.parent.mkdir()
    target.write_text("as it was")
    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full)
        with pytest.raises(RunError, match="the disk is full: make room there"):
            write(target)
    assert target.read_text() == "as it was"
    assert os.listdir(target.parent) == [name]
    (tmp_path / "file").write_text("")
    with pytest.raises(RunError, match="a file stands where a folder should be"):
        write(tmp_path / "file" / name)
    (tmp_path / "folder" / name).mkdir(parents=True)
    with pytest.raises(RunError, match="a folder of that name is there"):
        write(tmp_path / "folder" / name)
    write(tmp_path / "new" / "er" / name)
    assert os.listdir(tmp_path / "new" / "er") == [name]


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no device that is always full")
@pytest.mark.parametrize("name", WRITES)
def test_a_device_that_is_full_is_told(name, tmp_path):
    (tmp_path / name).symlink_to("/dev/full")
    with pytest.raises(RunError, match="the disk is full"):
        WRITES[name](tmp_path / name)
    assert (tmp_path / name).is_symlink()
    assert Path("/dev/full").is_char_device()


def test_a_link_stays_a_link_and_a_mode_a_mode(tmp_path):
    (tmp_path / "real").mkdir()
    (tmp_path / "real" / "a.json").write_text("")
    os.chmod(tmp_path / "real" / "a.json", 0o600)
    try:
        (tmp_path / "a.json").symlink_to(tmp_path / "real" / "a.json")
    except OSError:
        pytest.skip("links may not be made here")
    write_json(tmp_path / "a.json", [7])
    assert (tmp_path / "a.json").is_symlink()
    assert json.loads((tmp_path / "real" / "a.json").read_text()) == [7]
    if POSIX:
        assert os.stat(tmp_path / "real" / "a.json").st_mode & 0o777 == 0o600
    long = tmp_path / ("x" * 240 + ".json")
    write_json(long, [8])
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.json", "real", long.name]


def test_a_file_that_may_not_be_written_is_not_replaced(tmp_path, monkeypatch):
    path = tmp_path / "map.html"
    path.write_text("kept")
    monkeypatch.setattr(os, "access", lambda *_: False)  # as for a user who is not root
    with pytest.raises(RunError, match="permission is denied"):
        write_map(tiny_space(), path, sound=MapSound("none"))
    assert path.read_text() == "kept"


def test_an_error_of_ones_own_is_not_taken_for_the_disks(tmp_path):
    (tmp_path / "a").write_text("kept")
    for error in (ValueError("7"), KeyboardInterrupt()):
        with pytest.raises(type(error)):
            with atomic_write(tmp_path / "a") as aside:
                aside.write_text("half")
                raise error
    assert (tmp_path / "a").read_text() == "kept"
    assert os.listdir(tmp_path) == ["a"]


def test_a_page_is_not_written_by_halves(tmp_path, monkeypatch):
    (tmp_path / "report.html").write_text("as it was")
    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(RunError, match="report.html.* the disk is full"):
        write_pages(tmp_path)
    assert (tmp_path / "report.html").read_text() == "as it was"
    assert os.listdir(tmp_path) == ["report.html"]


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="a device of Linux")
def test_examples_are_not_cut_short_in_silence(tmp_path):
    log = RowLog(tmp_path / "log", row_kind(dict(examples=("float32", (5,)))))
    log.file.close()
    log.file = open("/dev/full", "wb")
    with pytest.raises(OSError) as found:
        log.append(bytes(16), np.zeros(5))
    assert found.value.errno == errno.ENOSPC
    with suppress(OSError):
        log.file.close()


def test_the_commands_say_in_a_sentence_that_they_cannot_write(tmp_path, monkeypatch, capsys):
    space = tiny_space().save(tmp_path / "space")
    monkeypatch.setattr(os, "fsync", full)
    for command in (
        ["playlist", "s1", "--save", tmp_path / "p.m3u8"],
        ["path", "s1", "s5", "--save", tmp_path / "p.xspf"],
        ["map", "--audio", "none", "-o", tmp_path / "m.html"],
    ):
        with pytest.raises(SystemExit) as end:
            main([*map(str, command), "--space", str(space)])
        assert end.value.code == 1
        said = " ".join(capsys.readouterr().err.split())
        assert "cannot be written, because the disk is full" in said
    for place, words in (
        (tmp_path / "file", "is a file: name a new folder"),
        (space, "is not empty"),
    ):
        (tmp_path / "file").write_text("")
        with pytest.raises(SystemExit) as end:
            main(["space", str(place)])
        assert end.value.code == 1
        assert words in " ".join(capsys.readouterr().err.split())
    assert sorted(os.listdir(tmp_path)) == ["file", "space"]
    assert len(SongSpace.load(space)) == 12


def test_what_no_function_has_foreseen_is_a_sentence_too(tmp_path, monkeypatch, capsys):
    def refused(*_, **__):
        raise PermissionError(errno.EACCES, "Permission denied", "/a/place")

    monkeypatch.setattr("song_metric.cli.runs_folder", refused)
    with pytest.raises(SystemExit) as end:
        main(["runs"])
    assert end.value.code == 1
    said = capsys.readouterr().err.replace("\n", " ")
    assert "'/a/place' cannot be written, because permission is denied" in said


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no device that is always full")
def test_printing_to_a_full_disk_is_a_sentence(tmp_path):
    with open("/dev/full", "w") as device:
        result = subprocess.run(
            [
                sys.executable,
                "-c",
                "from song_metric.cli import main; main()",
                "runs",
                "--json",
                "--runs-dir",
                tmp_path,
            ],
            stdout=device,
            stderr=subprocess.PIPE,
            text=True,
        )
    assert result.returncode == 1
    assert result.stderr.count("\n") == 1
    assert "disk is full" in result.stderr


def test_a_chapter_that_cannot_write_says_why(toys):
    "As papermill tells of it: the name of the error, and its text."
    chapter = read_notebook(toys.nbs / "01_second.ipynb")
    for text in (
        "[Errno 28] No space left on device: 'codes.npy'",
        "1000 requested and 7 written",
        "I/O error: No space left on device (os error 28)",
    ):
        error = SimpleNamespace(ename="OSError", evalue=text, exec_count=3, traceback=["Traceback"])
        assert str(failure(chapter, error, "x.ipynb")).startswith(
            "Chapter 01_second stopped, because the disk is full: make room there"
        )
    error = SimpleNamespace(ename="ValueError", evalue="7", exec_count=3, traceback=["Traceback"])
    assert "failed in cell 3" in str(failure(chapter, error, "x.ipynb"))
    toys.root.mkdir()
    (toys.root / "file").write_text("")
    with pytest.raises(RunError, match="a file stands where a folder should be"):
        report(nbs=toys.nbs, root=toys.root / "file", console=Console(file=io.StringIO()))


def test_an_executed_notebook_that_a_full_disk_has_cut_is_let_be(tmp_path):
    (tmp_path / "notebook.ipynb").write_text('{"cells": [')
    tidy_streams(tmp_path / "notebook.ipynb")
    assert os.listdir(tmp_path) == ["notebook.ipynb"]


HOLD = """
import sys, time
from song_metric.files import hold_folder
with hold_folder(sys.argv[1], "taken"):
    print("mine", flush=True)
    time.sleep(60)
"""


@pytest.mark.skipif(not POSIX, reason="kill -9")
def test_a_lock_ends_with_its_process(tmp_path):
    held = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(tmp_path / "run")], stdout=subprocess.PIPE, text=True
    )
    assert held.stdout.readline() == "mine\n"
    with pytest.raises(RunError, match=f"process {held.pid} is at work"):
        with hold_folder(tmp_path / "run", "process {process} is at work"):
            pass
    held.send_signal(signal.SIGKILL)
    held.wait()
    with hold_folder(tmp_path / "run", "taken"):
        with pytest.raises(RunError, match=f"process {os.getpid()} is"):
            with hold_folder(tmp_path / "run", "process {process} is at work"):
                pass


def test_a_disk_without_locks_gets_a_file_in_their_place(tmp_path, monkeypatch, capsys):
    def no_locks(*_, **__):
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(filelock.FileLock, "acquire", no_locks)
    monkeypatch.setattr(filelock.SoftFileLock, "acquire", filelock.BaseFileLock.acquire)
    with hold_folder(tmp_path, "taken"):
        with pytest.raises(RunError, match="taken"):
            with hold_folder(tmp_path, "taken"):
                pass
    with hold_folder(tmp_path, "taken"):
        pass
    assert "knows no locks" in capsys.readouterr().err


@pytest.fixture
def songs(tmp_path):
    "A folder of a song that is fine, one that is silent, and one that is cut off."
    folder = tmp_path / "music" / "a"
    tone = 0.1 * np.sin(np.arange(64000) * 0.3)
    folder.mkdir(parents=True)
    sf.write(folder / "good.wav", tone, 8000)
    sf.write(folder / "silent.wav", 0 * tone, 8000)
    sf.write(folder / "cut.flac", np.random.default_rng(0).normal(size=64000) * 0.1, 8000)
    (folder / "cut.flac").write_bytes((folder / "cut.flac").read_bytes()[:30_000])
    return folder


@pytest.fixture
def seen(monkeypatch, here):
    "Names of the files that the source `folder` opens."
    names = []
    true = music.look_at

    def look_at(path, preview_seconds=30.0):
        names.append(Path(path).name)
        return true(path, preview_seconds)

    monkeypatch.setattr(music, "look_at", look_at)
    return names


def catalog(songs):
    return ask(music.SOURCE, "catalog", songs.parent, workers=1)


def test_what_was_refused_is_not_opened_again(songs, seen, monkeypatch):
    rows, rejected = catalog(songs)
    assert len(seen) == 3
    assert len(rows) == 1
    assert len(rejected) == 2
    seen.clear()
    assert catalog(songs) == (rows, rejected)
    assert not seen
    sf.write(songs / "silent.wav", 0.1 * np.sin(np.arange(64000) * 0.2), 8000)
    assert len(catalog(songs)[0]) == 2
    assert seen == ["silent.wav"]
    seen.clear()
    better = {"soundfile": "another"}
    monkeypatch.setattr(known, "package_versions", lambda *_: better)
    catalog(songs)
    assert len(seen) == 3


def test_a_refusal_that_may_pass_is_not_remembered(songs, seen, monkeypatch):
    def denied(path):
        raise AudioError("may not be read: permission denied")

    with monkeypatch.context() as patch:
        patch.setattr("song_metric.audio.open_sound", denied)
        assert len(catalog(songs)[1]) == 3
    assert len(catalog(songs)[0]) == 1
    assert len(seen) == 6
    assert not known.lasts(dict(reason="whatever it was", passing=True))
    assert known.lasts(dict(duration=7.0))


@pytest.mark.skipif(not POSIX, reason="ctime is another time on Windows")
def test_another_sound_of_the_same_size_and_time_is_looked_at(songs, seen):
    table = pd.DataFrame([dict(song_id="a/good.wav", path=str(songs / "good.wav"))])
    before = os.stat(songs / "good.wav")
    old = folder_digest(songs)
    keys = song_keys(table, SpectrogramSettings())
    catalog(songs)
    seen.clear()
    time.sleep(0.02)
    sf.write(songs / "good.wav", 0.1 * np.sin(np.arange(64000) * 0.7), 8000)
    os.utime(songs / "good.wav", ns=(before.st_atime_ns, before.st_mtime_ns))
    after = os.stat(songs / "good.wav")
    assert (after.st_size, after.st_mtime_ns) == (before.st_size, before.st_mtime_ns)
    assert folder_digest(songs) != old
    assert song_keys(table, SpectrogramSettings()) != keys
    catalog(songs)
    assert seen == ["good.wav"]


def test_a_chapter_that_read_the_catalog_runs_again_when_a_sound_changes(tmp_path):
    "The catalog stays as it is, byte for byte."
    song = tmp_path / "song.wav"
    run = tmp_path / "run"
    song.write_bytes(b"one")
    first = Chapter(run, "00_data")
    save_table(tiny_space(2).songs.assign(path=str(song)), first.path("catalog.csv"))
    first.finish()
    for name, reads in (("01_second", True), ("02_third", False)):
        chapter = Chapter(run, name)
        if reads:
            chapter.read("00_data", "catalog.csv")
        by_report = dict(parameters={}, code="x", outside=None, sounds=sounds_digest(run))
        write_json(chapter.folder / "manifest.json", chapter.finish() | by_report)
        assert reason_to_run(run / name, {}, "x", None) is None
    song.write_bytes(b"two")
    os.utime(song, ns=(7, 7))
    assert reason_to_run(run / "01_second", {}, "x", None) == "the songs have changed"
    assert reason_to_run(run / "02_third", {}, "x", None) is None


def test_what_is_remembered_survives_a_bad_disk(songs, seen, cache, monkeypatch):
    base = cache / "files.sqlite"
    rows, rejected = catalog(songs)
    base.write_bytes(base.read_bytes()[:5000] + b"\xff" * 8000)  # pages overwritten
    assert catalog(songs) == (rows, rejected)
    base.unlink()
    with sqlite3.connect(base) as other:
        other.execute("CREATE TABLE files (path BLOB)")  # an earlier version's
    other.close()
    assert catalog(songs) == (rows, rejected)
    seen.clear()
    assert catalog(songs) == (rows, rejected)
    assert not seen
    true = sqlite3.connect

    class Full(sqlite3.Connection):
        def executemany(self, *_):
            raise sqlite3.OperationalError("database or disk is full")

    monkeypatch.setattr(
        sqlite3, "connect", lambda where, **options: true(where, factory=Full, **options)
    )
    sf.write(songs / "new.wav", 0.1 * np.sin(np.arange(64000) * 0.1), 8000)
    assert len(catalog(songs)[0]) == 2
    base.unlink()
    base.mkdir()  # a folder in its place: nothing is remembered
    assert len(catalog(songs)[0]) == 2
    base.rmdir()


def test_an_interruption_loses_nothing_that_was_found(songs, seen, monkeypatch, tmp_path):
    def look(path):
        seen.append(path)
        if len(seen) == 3:
            raise KeyboardInterrupt
        return dict(length=1)

    paths = sorted(songs.iterdir())
    with pytest.raises(KeyboardInterrupt):
        known.file_facts(paths, look, "length", 1, tmp_path / "known")
    known.file_facts(paths, look, "length", 1, tmp_path / "known")
    assert len(seen) == 4


def test_a_run_that_is_damaged_is_listed_all_the_same(tmp_path, capsys):
    folder = tmp_path / "r"
    for name in (
        "00_data/catalog.csv",
        "04_evaluation/scores.csv",
        "run.json",
        "00_data/manifest.json",
    ):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(b"\xff\x00\n" * 9 if name.endswith("csv") else b"[]")
    with pytest.raises(SystemExit) as end:
        main(["runs", "--json", "--runs-dir", str(tmp_path)])
    assert end.value.code == 0
    assert json.loads(capsys.readouterr().out)[0]["run"] == "r"


def test_what_is_remembered_depends_on_the_code_that_decodes(monkeypatch):
    asked = []
    monkeypatch.setattr(known, "essence_sha256", lambda *modules: asked.extend(modules))
    known.looking_code(music.look_at)
    decoding = ["song_metric.audio", "song_metric.synthesis"]
    assert asked == [*decoding, "song_metric.tags", "song_metric.sources.folder"]
