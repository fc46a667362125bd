"Native code that dies takes only its own song with it, in a worker and in a whole report."

import csv
import os
import signal
import sys
from functools import partial

import numpy as np
import pandas as pd
import pytest
import soundfile as sf
from conftest import song_metric
from test_sources_datasets import SMALLER

from song_metric.seen import file_facts
from song_metric.workers import Crash, Crew, in_parallel, why_not

SIGNALS = ["SIGSEGV", "SIGILL", "SIGABRT", "SIGBUS", "SIGFPE", "SIGKILL"]
posix = pytest.mark.skipif(os.name == "nt", reason="signals of Unix")


def square(item, deadly=()):
    "The item's square; its process ends with the signal that `deadly` names for it."
    if item in dict(deadly):
        os.kill(os.getpid(), dict(deadly)[item])
    return item * item


@posix
@pytest.mark.parametrize("workers", [1, 2])
def test_two_of_forty_items_kill_their_worker(workers):
    deadly = ((7, signal.SIGSEGV), (30, signal.SIGILL))
    found = list(in_parallel(partial(square, deadly=deadly), range(40), workers))
    assert found[7] == "the decoder crashed (SIGSEGV)"
    assert found[30] == "the decoder crashed (SIGILL)"
    others = [item for item in range(40) if item not in (7, 30)]
    assert [found[item] for item in others] == [item * item for item in others]


@posix
@pytest.mark.parametrize("name", SIGNALS)
def test_each_signal_is_named(name):
    found = list(
        in_parallel(
            partial(square, deadly=((1, getattr(signal, name)),)), [0, 1, 2], 2, doer="the renderer"
        )
    )
    assert found[0] == 0
    assert found[2] == 4
    assert isinstance(found[1], Crash)
    assert name in found[1]
    assert found[1].startswith("the renderer")
    assert ("memory" in found[1]) == (name == "SIGKILL")


def dies_once(item, folder):
    "Ends its process the first time that it sees the item 1, as for want of memory."
    mark = os.path.join(folder, "seen")
    if item == 1 and not os.path.exists(mark):
        open(mark, "w").close()
        os._exit(137)
    return item


def test_what_died_once_is_tried_again_by_itself(tmp_path):
    assert list(in_parallel(partial(dies_once, folder=str(tmp_path)), range(6), 2)) == list(
        range(6)
    )


def test_a_worker_that_ends_itself_is_a_crash_too():
    found = list(in_parallel(partial(os._exit), [3], 1))
    assert found == ["the decoder ended the process (exit status 3)"]


def test_an_error_of_the_function_is_raised_and_workers_go_on():
    with pytest.raises(ZeroDivisionError) as caught:
        list(in_parallel(lambda item: 1 / item, [1, 0, 2], 2))
    assert "In a worker" in "".join(caught.value.__notes__)
    assert list(in_parallel(abs, [-1, -2], 2)) == [1, 2]


def test_a_reader_that_stops_leaves_nobody_at_work():
    import time

    found = in_parallel(time.sleep, [0, 60, 60], 2)
    next(found)
    start = time.monotonic()
    found.close()
    assert time.monotonic() - start < 10
    assert all(worker.process is None or worker.process.is_alive() for worker in Crew.idle)


@posix
def test_a_library_that_always_dies_is_asked_once():
    assert (
        why_not(partial(square, deadly=((2, signal.SIGILL),)), 2, "bliss-audio")
        == "bliss-audio crashed (SIGILL)"
    )
    assert why_not(square, 2, "bliss-audio") == ""


def fact(path):
    "A fact of a file; its process ends where the file is called deadly."
    if "deadly" in path:
        os.kill(os.getpid(), signal.SIGSEGV)
    return dict(size=os.path.getsize(path))


@posix
def test_a_file_that_kills_is_looked_at_again_the_next_time(tmp_path):
    for name in ("a", "deadly", "b"):
        (tmp_path / name).write_text(name)
    paths = [str(tmp_path / name) for name in ("a", "deadly", "b")]
    found = file_facts(paths, fact, "size", 1, tmp_path / "known")
    assert [one.get("size") for one in found] == [1, None, 1]
    assert found[1]["reason"] == "the decoder crashed (SIGSEGV)"
    paths[1] = str((tmp_path / "deadly").rename(tmp_path / "mended"))
    assert file_facts(paths, fact, "size", 1, tmp_path / "known")[1] == dict(size=6)


DEADLY = """
import os, signal
import soundfile

opened = soundfile.SoundFile.__init__

def open_or_die(self, file, *arguments, **options):
    name = os.readlink(f"/proc/self/fd/{file}") if isinstance(file, int) else str(file)
    for signal_name in ("SIGSEGV", "SIGILL"):
        if signal_name in name: os.kill(os.getpid(), getattr(signal, signal_name))
    opened(self, file, *arguments, **options)

soundfile.SoundFile.__init__ = open_or_die
"""


@pytest.mark.skipif(sys.platform != "linux", reason="file names are read from /proc")
def test_a_report_over_files_that_kill_their_decoder(tmp_path):
    "Of 24 songs, two end the process that decodes them: the report lists both with the signal."
    rng = np.random.default_rng(0)
    for label in ("high", "low"):
        (tmp_path / "music" / label).mkdir(parents=True)
        for number in range(12):
            pitch = (0.2 if label == "high" else 0.02) * (1 + number / 30)
            sound = 0.3 * np.sin(np.arange(6 * 22050) * pitch) + 0.02 * rng.normal(size=6 * 22050)
            sf.write(tmp_path / "music" / label / f"song {number}.wav", sound, 22050)
    for label, name in (("high", "SIGSEGV"), ("low", "SIGILL")):
        os.replace(
            tmp_path / "music" / label / "song 3.wav", tmp_path / "music" / label / f"{name}.wav"
        )
    (tmp_path / "site").mkdir()
    (tmp_path / "site" / "sitecustomize.py").write_text(DEADLY)
    path = os.pathsep.join(filter(None, [str(tmp_path / "site"), os.environ.get("PYTHONPATH")]))
    done = song_metric(
        "report",
        *SMALLER,
        "--source",
        "folder",
        "--data",
        tmp_path / "music",
        "--run",
        "deadly",
        "--runs-dir",
        tmp_path / "runs",
        env={**os.environ, "PYTHONPATH": path, "SONG_METRIC_CACHE": str(tmp_path / "cache")},
    )
    assert done.returncode == 0, done.stderr
    with open(tmp_path / "runs/deadly/01_spectrograms/rejected.csv", newline="") as file:
        reasons = {row["path"]: row["reason"] for row in csv.DictReader(file)}
    assert reasons == {
        "high/SIGSEGV.wav": "the decoder crashed (SIGSEGV)",
        "low/SIGILL.wav": "the decoder crashed (SIGILL)",
    }
    page = (tmp_path / "runs/deadly/report.html").read_text(encoding="utf-8")
    assert "the decoder crashed (SIGSEGV)" in page
    assert "22 songs of 2 labels" in page


def test_a_crash_is_a_reason_wherever_files_are_read(monkeypatch):
    "In a space that is asked about a file, or given one; and on the map."
    from song_metric.growing import read_each
    from song_metric.map import MapSound, collect_sounds
    from song_metric.space import SongSpace
    from song_metric.spectrograms import SpectrogramSettings

    crash = Crash("the decoder crashed (SIGSEGV)")

    def crashing(function, items, *_, **__):
        return (crash for _ in items)

    monkeypatch.setattr("song_metric.growing.in_parallel", crashing)
    monkeypatch.setattr("song_metric.map.in_parallel", crashing)
    assert list(read_each([("a", "a.wav")], SpectrogramSettings())) == [
        dict(path="a.wav", reason=str(crash))
    ]
    columns = ["song_id", "path", "genre", "artist", "album", "title", "source", "licence"]
    songs = pd.DataFrame(
        [dict.fromkeys(columns, "x") | dict(song_id=str(i), duration=9.0) for i in range(3)]
    )
    space = SongSpace(np.eye(3, dtype="float32"), songs)
    facts, excerpts = collect_sounds(space, MapSound("embed"))
    assert excerpts == [""] * 3
    assert facts["missing"] == {str(i): str(crash) for i in range(3)}
