"Examples are the same for any order and number of processes, and interrupted work goes on."

import signal
import subprocess
import sys
import time

import numpy as np
import pandas as pd
import pytest
import soundfile as sf

from song_metric.audio import AudioError
from song_metric.files import RunError
from song_metric.spectrograms import (
    SpectrogramSettings,
    band_frequencies,
    compute_examples,
    song_examples,
)

RATE = 22050


@pytest.fixture(scope="module")
def songs(tmp_path_factory):
    folder, draw, rows = tmp_path_factory.mktemp("songs"), np.random.default_rng(0), []
    for number in range(24):
        rate, kind, seconds = [(22050, "wav", 7), (44100, "flac", 8), (48000, "ogg", 31)][
            number % 3
        ]
        t = np.arange(seconds * rate) / rate
        sf.write(
            folder / f"{number}.{kind}",
            0.2 * np.sin(2 * np.pi * 110 * (number + 1) * t) + 0.02 * draw.standard_normal(len(t)),
            rate,
        )
        rows.append(
            dict(song_id=f"song-{number:02d}", path=str(folder / f"{number}.{kind}"), genre="x")
        )
    return pd.DataFrame(rows)


@pytest.fixture(scope="module")
def reference(songs, tmp_path_factory):
    folder = tmp_path_factory.mktemp("reference")
    kept, failed, before = compute_examples(songs, SpectrogramSettings(), folder, seed=3, workers=1)
    assert len(kept) == 24 and not len(failed) and before == 0
    assert sorted(path.name for path in folder.iterdir()) == [
        ".keys.npy",
        "examples.npy",
        "offsets.npy",
    ]
    return np.load(folder / "examples.npy"), np.load(folder / "offsets.npy")


def test_shapes_and_ranges(reference):
    examples, offsets = reference
    assert (
        examples.shape == (24, 10, 64, 96)
        and examples.dtype == "float16"
        and examples.min() >= 0
        and examples.max() == 1
    )
    assert (examples.reshape(24, -1).max(axis=1) == 1).all()  # each song's loudest
    assert (
        offsets.shape == (24, 10)
        and offsets.dtype == "float32"
        and (np.diff(offsets, axis=1) >= 0).all()
    )
    for number, seconds in enumerate([7, 8, 31] * 8):
        start = max(0, (seconds - 30) / 2)
        assert (
            offsets[number].min() >= start
            and offsets[number].max() <= start + min(seconds, 30) - 5 + 1e-3
        )


def test_two_processes_give_the_same_bytes(songs, reference, tmp_path):
    compute_examples(songs, SpectrogramSettings(), tmp_path, seed=3, workers=2)
    assert (np.load(tmp_path / "examples.npy") == reference[0]).all() and (
        np.load(tmp_path / "offsets.npy") == reference[1]
    ).all()


def test_another_order_and_fewer_songs_give_the_same(songs, reference, tmp_path):
    order = np.random.default_rng(1).permutation(24)[:9]
    compute_examples(
        songs.iloc[order].reset_index(drop=True), SpectrogramSettings(), tmp_path, seed=3, workers=1
    )
    assert (np.load(tmp_path / "examples.npy") == reference[0][order]).all() and (
        np.load(tmp_path / "offsets.npy") == reference[1][order]
    ).all()


def test_the_seed_moves_the_examples(songs, reference, tmp_path):
    compute_examples(songs.head(2), SpectrogramSettings(), tmp_path, seed=4, workers=1)
    assert (np.load(tmp_path / "offsets.npy") != reference[1][:2]).any()


def test_killed_work_goes_on(songs, reference, tmp_path):
    songs.to_csv(tmp_path / "songs.csv", index=False)
    (tmp_path / "out").mkdir()
    script = (
        "import sys, pandas as pd; from song_metric.spectrograms import SpectrogramSettings, compute_examples\n"
        "compute_examples(pd.read_csv(sys.argv[1]), SpectrogramSettings(), sys.argv[2], seed=3, workers=1)"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", script, str(tmp_path / "songs.csv"), str(tmp_path / "out")],
        stderr=subprocess.DEVNULL,
    )
    keys, limit = tmp_path / "out" / ".keys.part", time.time() + 60
    while time.time() < limit and process.poll() is None:
        try:
            if np.load(keys).any(axis=1).sum() >= 3:
                break
        except (OSError, ValueError):
            pass  # not there yet
        time.sleep(0.005)
    process.kill()
    assert process.wait() == -signal.SIGKILL, "it was over before it could be killed"
    kept, failed, before = compute_examples(
        songs, SpectrogramSettings(), tmp_path / "out", seed=3, workers=1
    )
    assert 3 <= before < 24 and len(kept) == 24
    assert (np.load(tmp_path / "out" / "examples.npy") == reference[0]).all() and (
        np.load(tmp_path / "out" / "offsets.npy") == reference[1]
    ).all()


def test_changed_settings_start_anew(songs, tmp_path, monkeypatch):
    import song_metric.spectrograms as module

    adds = []

    def stop(self, song, *arrays):
        adds.append(song)
        original(self, song, *arrays)
        if len(adds) == 4:
            raise KeyboardInterrupt

    original = module.UnfinishedWork.add
    monkeypatch.setattr(module.UnfinishedWork, "add", stop)
    with pytest.raises(KeyboardInterrupt):
        compute_examples(songs, SpectrogramSettings(), tmp_path, workers=1)
    monkeypatch.setattr(module.UnfinishedWork, "add", original)
    _, _, before = compute_examples(songs, SpectrogramSettings(bands=32), tmp_path, workers=1)
    assert before == 0 and np.load(tmp_path / "examples.npy").shape == (24, 10, 32, 96)


@pytest.fixture
def made(monkeypatch):
    "The songs that are made while a test runs, in order; those that are taken over are not among them, nor the three that are made again to be compared."
    import song_metric.spectrograms as module

    add, start, found = module.UnfinishedWork.add, module.UnfinishedWork.start, []

    def quietly(self, *afresh, **how):
        with monkeypatch.context() as patch:
            patch.setattr(module.UnfinishedWork, "add", add)
            start(self, *afresh, **how)

    monkeypatch.setattr(module.UnfinishedWork, "start", quietly)
    monkeypatch.setattr(
        module.UnfinishedWork,
        "add",
        lambda self, song, *arrays: found.append(song) or add(self, song, *arrays),
    )
    return found


def same_bytes(one, other):
    return all(
        (one / name).read_bytes() == (other / name).read_bytes()
        for name in ("examples.npy", "offsets.npy")
    )


def test_songs_added_are_made_and_the_others_taken_over(songs, tmp_path, made):
    "Byte for byte what is made from nothing, when songs are added, dropped and moved about, also across an interruption."
    (tmp_path / "grown").mkdir(), (tmp_path / "anew").mkdir()
    settings, some = SpectrogramSettings(bands=16), songs.head(10)
    compute_examples(some.drop(index=[0, 3, 8]), settings, tmp_path / "grown", workers=1)
    assert len(made) == 7 and made.clear() is None
    _, _, before = compute_examples(some, settings, tmp_path / "grown", workers=1)
    assert before == 7 and made == [0, 3, 8]
    compute_examples(some, settings, tmp_path / "anew", workers=1)
    assert same_bytes(tmp_path / "grown", tmp_path / "anew") and not list(
        tmp_path.rglob("*.part")
    ) + list(tmp_path.rglob("*.new"))
    made.clear()
    shuffled = some.sample(frac=1, random_state=0).drop(index=[5]).reset_index(drop=True)
    assert compute_examples(shuffled, settings, tmp_path / "grown", workers=1)[2] == 9 and not made
    (tmp_path / "other").mkdir()
    compute_examples(shuffled, settings, tmp_path / "other", workers=1)
    assert same_bytes(tmp_path / "grown", tmp_path / "other")


def test_unfinished_and_finished_work_are_both_taken_over(songs, tmp_path, made, monkeypatch, here):
    import song_metric.spectrograms as module

    settings = SpectrogramSettings(bands=16)
    compute_examples(songs.head(4), settings, tmp_path, workers=1)
    made.clear()
    real = module.song_or_reason

    def stops(song, **how):
        if song[0] == "song-07":
            raise KeyboardInterrupt
        return real(song, **how)

    monkeypatch.setattr(module, "song_or_reason", stops)
    with pytest.raises(KeyboardInterrupt):
        compute_examples(songs, settings, tmp_path, workers=1)
    monkeypatch.setattr(module, "song_or_reason", real)
    assert made == [4, 5, 6] and made.clear() is None
    _, _, before = compute_examples(
        songs.head(9).drop(index=[1]), settings, tmp_path, workers=1
    )  # another catalog: 3 finished, 3 unfinished
    assert before == 6 and made == [6, 7]


@pytest.mark.parametrize(
    "change", ["seed", "settings", "file", "content", "altered", "cut", "code", "library"]
)
def test_nothing_is_taken_over_that_would_come_out_differently(
    songs, tmp_path, made, monkeypatch, here, change
):
    import song_metric.spectrograms as module

    few, how, settings = (
        songs.iloc[[0, 3, 6, 9, 12]].reset_index(drop=True),
        dict(seed=0, workers=1),
        SpectrogramSettings(bands=16),
    )
    for number, path in enumerate(few["path"]):
        (tmp_path / f"{number}.wav").write_bytes(open(path, "rb").read())
    few["path"] = [str(tmp_path / f"{number}.wav") for number in range(5)]
    compute_examples(few, settings, tmp_path, **how)
    old, expected = np.load(tmp_path / "examples.npy"), 5
    made.clear()
    if change == "seed":
        how["seed"] = 1
    if change == "settings":
        settings = SpectrogramSettings(bands=16, sample_rate=16000)
    if change == "file":
        few.loc[2, "song_id"], expected = "another", 1
    if change == "content":
        sf.write(few["path"][2], 0.1 * np.sin(np.arange(7 * RATE) * 0.3), RATE)
        expected = 1
    if change in ("altered", "cut"):
        time.sleep(0.02)
        whole = (tmp_path / "examples.npy").read_bytes()
        (tmp_path / "examples.npy").write_bytes(
            whole[:-1] if change == "cut" else whole[:-1] + bytes([whole[-1] ^ 1])
        )
    if change == "code":  # a cell that somebody has changed in the notebook
        real = module.spectrograms
        monkeypatch.setattr(module, "spectrograms", lambda *given: real(*given) * np.float16(0.5))
    if change == "library":
        monkeypatch.setattr(module, "package_versions", lambda names: dict(soxr="99"))
    _, _, before = compute_examples(few, settings, tmp_path, **how)
    assert before == 5 - expected and len(made) == expected
    new = np.load(tmp_path / "examples.npy")
    for song in range(5):
        assert (
            new[song]
            == song_examples(few["path"][song], settings, few["song_id"][song], how["seed"])
        ).all()
    assert (new == old).all() if change in ("altered", "cut", "library") else not (new == old).all()


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
    assert list(kept["song_id"]) == [
        name for name in songs["song_id"] if name not in ("song-05", "song-07")
    ]
    assert (np.load(tmp_path / "examples.npy") == np.delete(reference[0], (5, 7), axis=0)).all()
    with pytest.raises(RunError, match="None of the 1 songs could be read"):
        compute_examples(broken.iloc[[5]], SpectrogramSettings(), tmp_path, workers=1)


def test_the_function_gives_what_the_run_gives(songs, reference):
    assert (
        song_examples(songs["path"][4], SpectrogramSettings(), "song-04", 3) == reference[0][4]
    ).all()


@pytest.mark.parametrize(
    "bands, shape", [(64, (10, 64, 96)), (0, (10, 1024, 96)), (60, (10, 60, 96))]
)
def test_plain_magnitude(songs, bands, shape):
    settings = SpectrogramSettings(representation="stft", bands=bands)
    pictures = song_examples(songs["path"][3], settings).astype("float32")  # 440 Hz
    assert pictures.shape == shape and pictures.min() >= 0 and pictures.max() == 1
    assert abs(band_frequencies(settings)[pictures.mean(axis=(0, 2)).argmax()] - 440) < 200


def test_other_settings():
    noise = np.random.default_rng(0).standard_normal(3 * 16000).astype("float32")
    for how, shape in [
        (dict(frames=1), (2, 64, 1)),
        (dict(frames=500), (2, 64, 500)),
        (dict(n_fft=512, bands=16), (2, 16, 96)),
    ]:
        assert (
            song_examples(
                noise,
                SpectrogramSettings(
                    seconds=1, examples=2, preview_seconds=3, sample_rate=16000, **how
                ),
            ).shape
            == shape
        )
    with (
        pytest.warns(UserWarning, match="Empty filters"),
        pytest.raises(RunError, match="too narrow"),
    ):
        song_examples(noise, SpectrogramSettings(bands=1000, seconds=1, sample_rate=16000))
    with pytest.raises(AudioError, match="too short"):
        song_examples(noise)
