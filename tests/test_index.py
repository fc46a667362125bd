"A folder of music becomes a space with the encoder that ships, again and again."

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import soundfile as sf

from song_metric.encoder import shipped_encoder, shipped_weights
from song_metric.indexing import index_folder
from song_metric.space import SongSpace

RATE = 22050


def tune(seed: int, seconds: float = 8) -> np.ndarray:
    "Some notes of a few partials, over noise, `(sample,)`."
    rng = np.random.default_rng(seed)
    time = np.arange(round(seconds * RATE)) / RATE
    notes = rng.choice([110, 147, 196, 262, 330], 16)
    pitch = np.repeat(notes, -(-len(time) // 16))[: len(time)]
    phase = 2 * np.pi * np.cumsum(pitch) / RATE
    sound = sum(np.sin(phase * n) / n ** rng.uniform(0.5, 2) for n in range(1, 6))
    return 0.1 * sound + rng.uniform(0.001, 0.03) * rng.normal(size=len(time))


@pytest.fixture
def music(tmp_path) -> Path:
    "Twelve tunes in two folders, a copy, and a text that calls itself music."
    folder = tmp_path / "music"
    for number in range(12):
        place = folder / "ab"[number % 2] / f"{number:02}.wav"
        place.parent.mkdir(parents=True, exist_ok=True)
        sf.write(place, tune(number), RATE)
    shutil.copy(folder / "a" / "00.wav", folder / "b" / "again.wav")
    (folder / "b" / "words.mp3").write_text("these are words")
    return folder


@pytest.fixture
def cache(tmp_path, monkeypatch) -> Path:
    "A folder of its own for what is remembered."
    monkeypatch.setenv("SONG_METRIC_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def command(*arguments, **options) -> subprocess.Popen:
    "The command line with these arguments."
    run = "from song_metric.cli import main; main()"
    pipes = dict(stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    return subprocess.Popen([sys.executable, "-c", run, *map(str, arguments)], **pipes, **options)


def files_of(place: Path) -> dict[str, bytes]:
    "The files of a space, by name."
    return {path.name: path.read_bytes() for path in sorted(place.iterdir())}


def test_the_encoder_that_ships_is_small_and_whole():
    assert shipped_weights().stat().st_size < 2e6
    vector = shipped_encoder().encode(tune(0), "a song")
    assert np.isfinite(vector).all() and vector.std() > 0


def test_a_folder_is_indexed_asked_and_listed(music, cache):
    out, err = command("index", music, "--json").communicate()
    made = json.loads(out)
    assert made["songs"] == 12, err
    reasons = {row["path"]: row["reason"] for row in made["rejected"]}
    assert "a duplicate" in reasons["b/again.wav"]
    assert "b/words.mp3" in reasons
    out, err = command("nearest", "a/00.wav", "-k", 3, "--json").communicate()
    assert len(json.loads(out)["songs"]) == 3, err
    out, err = command("nearest", music / "b" / "again.wav", "-k", 1, "--json").communicate()
    assert len(json.loads(out)["songs"]) == 1, err


def test_the_table_does_not_depend_on_workers_or_on_where_the_folder_lies(music, cache, tmp_path):
    one = index_folder(music, tmp_path / "one", workers=1, known=tmp_path / "1.sqlite")
    moved = music.rename(tmp_path / "elsewhere")
    two = index_folder(moved, tmp_path / "two", workers=2, known=tmp_path / "2.sqlite")
    assert np.array_equal(one.space.vectors, two.space.vectors)
    names = [made.space.songs["song_id"].tolist() for made in (one, two)]
    assert names[0] == names[1]


def test_one_that_was_killed_goes_on_to_the_same_end(music, cache, tmp_path):
    whole = index_folder(music, tmp_path / "whole", known=tmp_path / "other.sqlite").place
    for seconds in (2, 4):
        process = command("index", music, "--space", tmp_path / "killed", start_new_session=True)
        time.sleep(seconds)
        os.killpg(process.pid, signal.SIGKILL)
        process.communicate()
    out, err = command("index", music, "--space", tmp_path / "killed").communicate()
    assert "12 songs" in out, err
    assert files_of(tmp_path / "killed") == files_of(whole)


def test_what_is_new_changed_moved_or_gone_is_noticed(music, cache):
    before = index_folder(music).space
    (music / "a" / "02.wav").unlink()
    (music / "a" / "04.wav").rename(music / "b" / "moved.wav")
    sf.write(music / "a" / "06.wav", tune(99), RATE)
    sf.write(music / "a" / "new.wav", tune(50), RATE)
    after = index_folder(music).space
    was, now = set(before.positions), set(after.positions)
    assert was - now == {"a/02.wav", "a/04.wav"}
    assert now - was == {"b/moved.wav", "a/new.wav"}
    changed = [
        song
        for song in sorted(was & now)
        if (before.vectors[before.positions[song]] != after.vectors[after.positions[song]]).any()
    ]
    assert changed == ["a/06.wav"]


@pytest.mark.parametrize("kind", ["flac", "aiff", "caf"])
def test_another_format_gives_the_vector_of_its_wav(kind, tmp_path):
    "Of formats that lose nothing: what others lose of noise, they lose of these tunes."
    encoder = shipped_encoder()
    files = [tmp_path / "tune.wav", tmp_path / f"tune.{kind}"]
    for file in files:
        sf.write(file, tune(0), RATE, subtype="PCM_24")
    wav, other = [encoder.encode(file, "a song") for file in files]
    assert np.linalg.norm(wav - other) < 1e-3 * np.linalg.norm(wav)


def test_a_folder_without_music_says_so(tmp_path, cache):
    _, err = command("index", tmp_path / "nowhere").communicate()
    assert "There is no folder" in err and "Traceback" not in err
    (tmp_path / "empty").mkdir()
    process = command("index", tmp_path / "empty")
    _, err = process.communicate()
    assert process.returncode == 1 and "it holds no sound file" in err


def test_the_last_index_may_be_gone(music, cache):
    place = index_folder(music).place
    assert isinstance(SongSpace.load(place), SongSpace)
    shutil.rmtree(place)
    _, err = command("nearest", "a/00.wav", "--runs-dir", cache / "none").communicate()
    assert "song-metric index DIR" in err and "Traceback" not in err
