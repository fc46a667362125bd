"Examples are the same for any order and number of processes, and interrupted work goes on."

import shutil
import signal
import subprocess
import sys
import time

import numpy as np
import pandas as pd
import pytest
import soundfile as sf

from song_metric import spectrograms as module
from song_metric.audio import AudioError
from song_metric.files import RunError
from song_metric.spectrograms import (
    SpectrogramSettings,
    band_frequencies,
    compute_examples,
    song_examples,
)
from song_metric.store import RowStore

RATE = 22050


@pytest.fixture(scope="module")
def songs(tmp_path_factory):
    folder = tmp_path_factory.mktemp("songs")
    draw = np.random.default_rng(0)
    kinds = [(22050, "wav", 7), (44100, "flac", 8), (48000, "ogg", 31)]
    rows = []
    for number in range(24):
        rate, kind, seconds = kinds[number % 3]
        path = folder / f"{number}.{kind}"
        t = np.arange(seconds * rate) / rate
        tone = 0.2 * np.sin(2 * np.pi * 110 * (number + 1) * t)
        sf.write(path, tone + 0.02 * draw.standard_normal(len(t)), rate)
        rows.append(dict(song_id=f"song-{number:02d}", path=str(path), genre="x"))
    return pd.DataFrame(rows)


@pytest.fixture(scope="module")
def reference(songs, tmp_path_factory):
    folder = tmp_path_factory.mktemp("reference")
    kept, failed, before = compute_examples(songs, SpectrogramSettings(), folder, seed=3, workers=1)
    assert len(kept) == 24
    assert not len(failed)
    assert before == 0
    names = sorted(path.name for path in folder.iterdir())
    assert names == [".keys.npy", "examples.npy", "offsets.npy"]
    return arrays_of(folder)


def arrays_of(folder):
    return np.load(folder / "examples.npy"), np.load(folder / "offsets.npy")


def assert_same(folder, reference, songs=slice(None)):
    "A folder's arrays are those of these songs of the reference."
    for array, expected in zip(arrays_of(folder), reference):
        assert np.array_equal(array, expected[songs])


def test_shapes_and_ranges(reference):
    examples, offsets = reference
    assert examples.shape == (24, 10, 64, 96)
    assert examples.dtype == "float16"
    assert examples.min() >= 0
    assert (examples.reshape(24, -1).max(axis=1) == 1).all()  # each song's loudest
    assert offsets.shape == (24, 10)
    assert offsets.dtype == "float32"
    assert (np.diff(offsets, axis=1) >= 0).all()
    for number, seconds in enumerate([7, 8, 31] * 8):
        start = max(0, (seconds - 30) / 2)
        assert offsets[number].min() >= start
        assert offsets[number].max() <= start + min(seconds, 30) - 5 + 1e-3


def test_two_processes_give_the_same_bytes(songs, reference, tmp_path):
    compute_examples(songs, SpectrogramSettings(), tmp_path, seed=3, workers=2)
    assert_same(tmp_path, reference)


def test_another_order_and_fewer_songs_give_the_same(songs, reference, tmp_path):
    order = np.random.default_rng(1).permutation(24)[:9]
    few = songs.iloc[order].reset_index(drop=True)
    compute_examples(few, SpectrogramSettings(), tmp_path, seed=3, workers=1)
    assert_same(tmp_path, reference, order)


def test_the_seed_moves_the_examples(songs, reference, tmp_path):
    compute_examples(songs.head(2), SpectrogramSettings(), tmp_path, seed=4, workers=1)
    assert (np.load(tmp_path / "offsets.npy") != reference[1][:2]).any()


SCRIPT = """
import sys

import pandas as pd

from song_metric.spectrograms import SpectrogramSettings, compute_examples

songs, folder = sys.argv[1:]
compute_examples(pd.read_csv(songs), SpectrogramSettings(), folder, seed=3, workers=1)
"""


def test_killed_work_goes_on(songs, reference, tmp_path):
    songs.to_csv(tmp_path / "songs.csv", index=False)
    folder = tmp_path / "out"
    folder.mkdir()
    command = [sys.executable, "-c", SCRIPT, str(tmp_path / "songs.csv"), str(folder)]
    process = subprocess.Popen(command, stderr=subprocess.DEVNULL)
    log = folder / ".rows.part"
    limit = time.time() + 60
    three_songs = 3 * reference[0][0].nbytes
    while time.time() < limit and process.poll() is None:
        if log.exists() and log.stat().st_size > three_songs + 1000:
            break
        time.sleep(0.005)
    process.kill()
    assert process.wait() == -signal.SIGKILL, "it was over before it could be killed"
    kept, _, before = compute_examples(songs, SpectrogramSettings(), folder, seed=3, workers=1)
    assert 3 <= before < 24
    assert len(kept) == 24
    assert_same(folder, reference)


def test_changed_settings_start_anew(songs, tmp_path, monkeypatch):
    write = RowStore.write

    def stop_after_four(self, row, *values):
        write(self, row, *values)
        if self.done.sum() == 4:
            raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(RowStore, "write", stop_after_four)
        with pytest.raises(KeyboardInterrupt):
            compute_examples(songs, SpectrogramSettings(), tmp_path, workers=1)
    _, _, before = compute_examples(songs, SpectrogramSettings(bands=32), tmp_path, workers=1)
    assert before == 0
    assert np.load(tmp_path / "examples.npy").shape == (24, 10, 32, 96)


@pytest.fixture
def made(monkeypatch):
    "The songs that are made while a test runs, in order, without those made again to be compared."
    write = RowStore.write
    found = []

    def note_and_write(self, row, *values):
        found.append(row)
        write(self, row, *values)

    monkeypatch.setattr(RowStore, "write", note_and_write)
    return found


def same_bytes(one, other):
    names = ("examples.npy", "offsets.npy")
    return all((one / name).read_bytes() == (other / name).read_bytes() for name in names)


def test_songs_added_are_made_and_the_others_taken_over(songs, tmp_path, made):
    "Byte for byte what is made from nothing, when songs are added, dropped and moved about."
    grown, anew, other = (tmp_path / name for name in ("grown", "anew", "other"))
    for folder in (grown, anew, other):
        folder.mkdir()
    settings = SpectrogramSettings(bands=16)
    some = songs.head(10)
    compute_examples(some.drop(index=[0, 3, 8]), settings, grown, workers=1)
    assert len(made) == 7
    made.clear()
    assert compute_examples(some, settings, grown, workers=1)[2] == 7
    assert made == [0, 3, 8]
    compute_examples(some, settings, anew, workers=1)
    assert same_bytes(grown, anew)
    assert not [*tmp_path.rglob("*.part"), *tmp_path.rglob("*.new")]
    made.clear()
    shuffled = some.sample(frac=1, random_state=0).drop(index=[5]).reset_index(drop=True)
    assert compute_examples(shuffled, settings, grown, workers=1)[2] == 9
    assert not made
    compute_examples(shuffled, settings, other, workers=1)
    assert same_bytes(grown, other)


def test_unfinished_and_finished_work_are_both_taken_over(songs, tmp_path, made, monkeypatch, here):
    settings = SpectrogramSettings(bands=16)
    compute_examples(songs.head(4), settings, tmp_path, workers=1)
    made.clear()
    real = module.song_or_reason

    def stops(song, **how):
        if song[0] == "song-07":
            raise KeyboardInterrupt
        return real(song, **how)

    with monkeypatch.context() as patch:
        patch.setattr(module, "song_or_reason", stops)
        with pytest.raises(KeyboardInterrupt):
            compute_examples(songs, settings, tmp_path, workers=1)
    assert made == [4, 5, 6]
    made.clear()
    another = songs.head(9).drop(index=[1])  # 3 are finished, 3 unfinished
    assert compute_examples(another, settings, tmp_path, workers=1)[2] == 6
    assert made == [6, 7]


FEW_BANDS = SpectrogramSettings(bands=16)


@pytest.fixture
def five(songs, tmp_path):
    "Five songs in a folder of their own, of which examples have been made."
    few = songs.iloc[[0, 3, 6, 9, 12]].reset_index(drop=True)
    for number, path in enumerate(few["path"]):
        shutil.copy(path, tmp_path / f"{number}.wav")
    few["path"] = [str(tmp_path / f"{number}.wav") for number in range(5)]
    compute_examples(few, FEW_BANDS, tmp_path, workers=1)
    return few


def examples_made_anew(songs, folder, number, settings=FEW_BANDS, seed=0):
    "The examples, of which as many songs as expected are made anew, and all are as they should be."
    _, _, before = compute_examples(songs, settings, folder, seed=seed, workers=1)
    assert before == len(songs) - number
    examples = np.load(folder / "examples.npy")
    for made, song in zip(examples, songs.itertuples()):
        assert np.array_equal(made, song_examples(song.path, settings, song.song_id, seed))
    return examples


def test_another_seed_or_other_settings_make_all_anew(five, tmp_path):
    old = np.load(tmp_path / "examples.npy")
    assert (old != examples_made_anew(five, tmp_path, 5, seed=1)).any()
    slower = SpectrogramSettings(bands=16, sample_rate=16000)
    assert (old != examples_made_anew(five, tmp_path, 5, slower)).any()


def test_another_name_or_another_sound_makes_a_song_anew(five, tmp_path):
    old = np.load(tmp_path / "examples.npy")
    five.loc[2, "song_id"] = "another"
    assert (old != examples_made_anew(five, tmp_path, 1)).any()
    sf.write(five["path"][3], 0.1 * np.sin(np.arange(7 * RATE) * 0.3), RATE)
    assert (old[3] != examples_made_anew(five, tmp_path, 1)[3]).any()


@pytest.mark.parametrize("end", [b"", b"\1"], ids=["cut", "altered"])
def test_arrays_that_somebody_changed_count_for_nothing(five, tmp_path, end):
    old = np.load(tmp_path / "examples.npy")
    time.sleep(0.02)
    whole = (tmp_path / "examples.npy").read_bytes()
    (tmp_path / "examples.npy").write_bytes(whole[:-1] + end)
    assert np.array_equal(old, examples_made_anew(five, tmp_path, 5))


def test_other_code_makes_all_anew(five, tmp_path, monkeypatch, here):
    "Also a cell that somebody has changed in the notebook."
    old = np.load(tmp_path / "examples.npy")
    real = module.spectrograms
    monkeypatch.setattr(module, "spectrograms", lambda *given: real(*given) * np.float16(0.5))
    assert (old != examples_made_anew(five, tmp_path, 5)).any()


def test_another_version_of_a_library_makes_all_anew(five, tmp_path, monkeypatch):
    old = np.load(tmp_path / "examples.npy")
    monkeypatch.setattr(module, "package_versions", lambda names: dict(soxr="99"))
    assert np.array_equal(old, examples_made_anew(five, tmp_path, 5))


def test_a_song_that_fails_is_left_out_and_listed(songs, reference, tmp_path):
    broken = songs.copy()
    broken.loc[5, "path"] = str(tmp_path / "gone.wav")
    (tmp_path / "empty.wav").write_bytes(b"")
    broken.loc[7, "path"] = str(tmp_path / "empty.wav")
    kept, failed, _ = compute_examples(broken, SpectrogramSettings(), tmp_path, seed=3, workers=2)
    assert failed.values.tolist() == [
        ["song-05", "there is no such file"],
        ["song-07", "empty: the file holds 0 bytes"],
    ]
    assert list(kept["song_id"]) == list(songs["song_id"].drop([5, 7]))
    assert_same(tmp_path, reference, songs.index.drop([5, 7]))
    with pytest.raises(RunError, match="None of the 1 songs could be read"):
        compute_examples(broken.iloc[[5]], SpectrogramSettings(), tmp_path, workers=1)


def test_the_function_gives_what_the_run_gives(songs, reference):
    examples = song_examples(songs["path"][4], SpectrogramSettings(), "song-04", 3)
    assert np.array_equal(examples, reference[0][4])


@pytest.mark.parametrize(
    "bands, shape", [(64, (10, 64, 96)), (0, (10, 1024, 96)), (60, (10, 60, 96))]
)
def test_plain_magnitude(songs, bands, shape):
    settings = SpectrogramSettings(representation="stft", bands=bands)
    pictures = song_examples(songs["path"][3], settings).astype("float32")  # 440 Hz
    assert pictures.shape == shape
    assert pictures.min() >= 0
    assert pictures.max() == 1
    assert abs(band_frequencies(settings)[pictures.mean(axis=(0, 2)).argmax()] - 440) < 200


@pytest.mark.parametrize(
    "how, shape",
    [
        (dict(frames=1), (2, 64, 1)),
        (dict(frames=500), (2, 64, 500)),
        (dict(n_fft=512, bands=16), (2, 16, 96)),
    ],
)
def test_other_settings(how, shape):
    noise = np.random.default_rng(0).standard_normal(3 * 16000).astype("float32")
    settings = SpectrogramSettings(
        seconds=1, examples=2, preview_seconds=3, sample_rate=16000, **how
    )
    assert song_examples(noise, settings).shape == shape


def test_settings_that_do_not_fit_the_sound_are_refused():
    noise = np.random.default_rng(0).standard_normal(3 * 16000).astype("float32")
    with pytest.raises(AudioError, match="too short"):
        song_examples(noise)
    narrow = SpectrogramSettings(bands=1000, seconds=1, sample_rate=16000)
    with (
        pytest.warns(UserWarning, match="Empty filters"),
        pytest.raises(RunError, match="too narrow"),
    ):
        song_examples(noise, narrow)


def test_a_full_disk_stops_work_and_the_next_attempt_goes_on(songs, reference, tmp_path):
    "What a full disk has left of a row does not count."
    store = RowStore(tmp_path, [b"1" * 16, b"2" * 16], dict(offsets=("float32", (10,))))
    store.write(0, reference[1][0])
    store.log.file.write(b"half a row")
    store.log.file.close()
    again = RowStore(tmp_path, store.keys, dict(offsets=("float32", (10,))))
    assert list(again.done) == [True, False]
    again.write(1, reference[1][1])
    again.finish()
    assert np.array_equal(np.load(tmp_path / "offsets.npy"), reference[1][:2])
