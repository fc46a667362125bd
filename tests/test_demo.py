"The demo corpus: its files agree, its recipe reproduces them, and its sound is sound."

import hashlib
import importlib.util
import io
import json
import shutil
import subprocess
import sys
import tarfile
from pathlib import Path

import numpy as np
import pytest
import soundfile as sf

from song_metric import synthesis
from song_metric.audio import AudioError, read_middle
from song_metric.files import RunError
from song_metric.sources import demo
from song_metric.sources._base import ask
from song_metric.spectrograms import SpectrogramSettings, song_examples
from song_metric.synthesis import MARK

CORPUS = Path(__file__).resolve().parent.parent / "data" / "demo"


def mma_version():
    if not shutil.which("mma"):
        return ""
    return subprocess.run(["mma", "-v"], capture_output=True, text=True).stdout.split()[-1]


needs_mma = pytest.mark.skipif(
    mma_version() != "21.09", reason="mma 21.09, which made the corpus, is not installed"
)
needs_renderer = pytest.mark.skipif(
    not importlib.util.find_spec("midirenderer"), reason="midirenderer is not installed"
)


@pytest.fixture(scope="module")
def index():
    return demo.load_index(CORPUS)


@pytest.fixture(scope="module")
def compose():
    spec = importlib.util.spec_from_file_location("compose", CORPUS / "compose.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def write_corpus(folder, index, songs):
    "A corpus of `songs`, {song_id: MIDI file}, as compose.py would write it."
    folder.mkdir(exist_ok=True)
    index.to_csv(folder / "songs.csv", index=False)
    with tarfile.open(folder / "midi.tar.xz", "w:xz") as archive:
        for song_id, data in songs.items():
            info = tarfile.TarInfo(f"{song_id}.mid")
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))


def small_corpus(folder, index, rows):
    "A corpus of some of the songs."
    part = index.iloc[rows]
    write_corpus(folder, part, demo.read_midi(CORPUS, part))
    return part


def test_archive_agrees_with_index(index):
    songs = demo.read_midi(CORPUS, index)  # checks every checksum
    assert len(songs) == 900
    assert [len(songs[name]) for name in index["song_id"]] == index["bytes"].astype(int).to_list()
    with tarfile.open(CORPUS / "midi.tar.xz") as archive:
        assert archive.getnames() == list(index["file"])
    assert (CORPUS / "midi.tar.xz").stat().st_size < 4e6


def test_index(index):
    assert index["song_id"].is_unique and index["sha256"].is_unique
    assert index.groupby("genre").size().eq(60).all() and index["genre"].nunique() == 15
    assert (
        index.groupby("genre")["artist"].nunique().eq(5).all() and index["artist"].nunique() == 75
    )
    assert (index[["artist", "album", "title"]] != "").all(axis=None)


def test_a_larger_corpus_contains_the_smaller(compose):
    small = compose.corpus(60)
    large = compose.corpus(1000)
    assert set(small) <= set(large) and len(large) == 15_000
    assert len({compose.artist_name(genre, artist) for genre, artist, _ in small}) == 75


@needs_mma
@pytest.mark.parametrize(
    "genre, artist, number", [("blues", 0, 7), ("reggae", 2, 3), ("swing", 4, 11)]
)
def test_recipe_reproduces_a_song(index, compose, tmp_path, genre, artist, number):
    row, data = compose.compose(genre, artist, number, tmp_path)
    there = index.set_index("song_id").loc[row["song_id"]]
    assert {k: str(v) for k, v in row.items() if k != "song_id"} == there.to_dict()
    assert demo.read_midi(CORPUS, index[index["song_id"] == row["song_id"]])[row["song_id"]] == data


@needs_mma
def test_recipe_as_a_command(index, tmp_path):
    words = ["--songs-per-genre", "2", "--genres", "2", "--out", tmp_path, "--workers", "2"]
    command = [sys.executable, CORPUS / "compose.py", *words]
    subprocess.run(command, check=True, capture_output=True)
    made = demo.load_index(tmp_path)
    assert list(made["song_id"]) == ["blues-00-000", "blues-01-000", "bossa-00-000", "bossa-01-000"]
    assert set(made["sha256"]) <= set(index["sha256"])


def test_composing_goes_on_where_it_was(compose, tmp_path, monkeypatch):
    songs = compose.corpus(5, artists=2, genres=1)
    folder = compose.kept_folder(tmp_path, seed=1, produced=True)
    folder.mkdir()
    assert folder != compose.kept_folder(tmp_path, seed=2, produced=True)
    monkeypatch.setattr(compose, "compose", lambda *song: (dict(song_id=str(song[:3])), b"MThd"))
    first = compose.batch(songs, folder)
    monkeypatch.setattr(compose, "compose", None)
    assert compose.batch(songs, folder) == first and len(first) == 5
    with pytest.raises(TypeError):
        compose.batch(songs[:3], folder)


@needs_mma
def test_recipe_is_loud_when_mma_fails(compose, tmp_path):
    with pytest.raises(RuntimeError, match="mma failed"):
        compose.accompaniment([("stdlib:NoSuchGroove", "C")], 120, 1, tmp_path)


@needs_renderer
def test_sound_is_neither_silent_nor_clipped(index):
    for song_id, midi in demo.read_midi(CORPUS, index.iloc[[100, 500]]).items():
        audio = demo.render(midi)
        assert audio.dtype == np.int16 and len(audio) == 30 * 22050, song_id
        assert (audio == demo.render(midi)).all(), song_id
        level = audio.astype(float) / 32768
        assert 0.85 < np.abs(level).max() < 0.95 and 0.03 < np.sqrt((level**2).mean()) < 0.35


@needs_renderer
def test_cache(index, tmp_path):
    corpus = tmp_path / "corpus"
    songs = small_corpus(corpus, index, [3, 400, 800])
    paths = demo.render_songs(songs, corpus, tmp_path / "cache", workers=1)
    first = [path.read_bytes() for path in paths]
    for info in map(sf.info, paths):
        assert (info.frames, info.samplerate, info.channels) == (661_500, 22050, 1)
        assert info.subtype == "PCM_16"
    log = paths[0].parent / "rendered.jsonl"

    def rendered():
        "Which songs a further call renders."
        times = [path.stat().st_mtime_ns if path.exists() else 0 for path in paths]
        assert demo.render_songs(songs, corpus, tmp_path / "cache", workers=1) == paths
        assert [path.read_bytes() for path in paths] == first
        return [path.stat().st_mtime_ns > time for path, time in zip(paths, times)]

    assert rendered() == [False] * 3
    paths[0].write_bytes(first[0][:5000])  # interrupted
    paths[1].write_bytes(first[1][:-2] + b"\1\1")  # damaged, of the right length
    assert rendered() == [True, True, False]
    paths[2].unlink()
    assert rendered() == [False, False, True]
    lines = [line for line in log.read_text().splitlines() if line.strip()]
    others = [line for line in lines if json.loads(line)[0] != paths[1].name]
    log.write_text("\n".join([*others, '["half a li']))  # killed before it was done
    assert rendered() == [False, True, False]
    changed = songs.assign(sha256=["0" * 64, *songs["sha256"][1:]])
    with pytest.raises(RunError, match="checksum"):
        demo.render_songs(changed, corpus, tmp_path / "cache", workers=1)


@needs_renderer
def test_catalog_of_another_corpus(index, tmp_path, monkeypatch):
    small_corpus(tmp_path / "corpus", index, [0, 60])
    monkeypatch.setattr(demo, "data_folder", lambda: tmp_path)
    few = dict(songs_per_genre=1, genres=2, workers=2)
    rows, rejected = ask(demo.SOURCE, "catalog", tmp_path / "corpus", **few)
    assert [(row["song_id"], row["genre"], row["duration"], row["source"]) for row in rows] == [
        ("blues-00-000", "blues", 30.0, "demo"),
        ("bossa-00-000", "bossa", 30.0, "demo"),
    ]
    assert all(Path(row["path"]).is_absolute() and Path(row["path"]).exists() for row in rows)
    assert rejected == []
    by_artist, _ = ask(demo.SOURCE, "catalog", tmp_path / "corpus", label="artist", **few)
    assert [row["genre"] for row in by_artist] == [row["artist"] for row in rows]


def test_songs_are_spread_over_artists(index):
    for count in (5, 10, 12, 50):
        chosen = demo.choose(index, count, 4)
        of_each_artist = chosen.groupby(["genre", "artist"]).size()
        assert of_each_artist.max() - of_each_artist.min() <= 1


def test_what_cannot_be_done_is_said(index, tmp_path, monkeypatch):
    with pytest.raises(RunError, match=r"compose.py --songs-per-genre 61 --out DIR"):
        demo.choose(index, 61)
    with pytest.raises(RunError, match="holds no corpus"):
        demo.load_index(tmp_path)
    with pytest.raises(RunError, match="add --source folder"):
        ask(demo.SOURCE, "catalog", tmp_path)
    small_corpus(tmp_path, index, [0])
    (tmp_path / "midi.tar.xz").write_bytes((tmp_path / "midi.tar.xz").read_bytes()[:200])
    with pytest.raises(RunError, match="cannot be read|not in midi.tar.xz"):
        demo.read_midi(tmp_path, index.iloc[[0]])
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(RunError, match=r'pip install "song_metric\[report\]"'):
        demo.soundfont_path()
    monkeypatch.setattr(demo, "home", lambda: tmp_path)
    with pytest.raises(RunError, match="clone of the repository"):
        demo.data_folder()


@pytest.fixture(scope="module")
def produced(compose, tmp_path_factory):
    "A corpus of two songs of the demo, of one session, that name how they were produced."
    folder = tmp_path_factory.mktemp("produced")
    index = demo.load_index(CORPUS).iloc[:2].copy()
    plain = demo.read_midi(CORPUS, index)
    facts = compose.production("blues", 0, 0) | dict(font="TimGM6mb", hiss=-40.0)
    songs = {}
    for song_id, midi in plain.items():
        text = MARK + json.dumps(facts).encode()
        event = b"\x00\xff\x01" + bytes([0x80 | len(text) >> 7, len(text) & 127]) + text
        start = midi.index(b"MTrk")
        length = int.from_bytes(midi[start + 4 : start + 8], "big") + len(event)
        head = midi[:start] + b"MTrk" + length.to_bytes(4, "big")
        songs[song_id] = head + event + midi[start + 8 :]
    index["sha256"] = [hashlib.sha256(midi).hexdigest() for midi in songs.values()]
    index["production"] = json.dumps(facts)
    write_corpus(folder, index, songs)
    return folder


def test_productions_do_not_know_the_genre(compose):
    "What is drawn for a session has one distribution in all genres, and differs between sessions."
    drawn = [compose.production(genre, band, 0) for genre in compose.GENRES for band in range(60)]
    treble = np.array([sound["equaliser"][4] for sound in drawn]).reshape(15, 60)
    assert abs(treble.mean()) < 0.5 and 3.5 < treble.std() < 4.5
    assert np.abs(treble.mean(axis=1)).max() < 3.5 * 4 / 60**0.5
    fonts = np.array([sound["font"] == "TimGM6mb" for sound in drawn]).reshape(15, 60)
    assert 0.15 < fonts.mean(axis=1).min() and fonts.mean(axis=1).max() < 0.65
    assert compose.production("jazz", 0, 0) == compose.production("jazz", 0, 1)
    assert compose.production("jazz", 0, 1) != compose.production("jazz", 0, 2)


@needs_mma
def test_another_seed_has_no_band_in_common(compose, monkeypatch):
    bands = {seed: [] for seed in (2018, 2019, 2020)}
    for seed, found in bands.items():
        monkeypatch.setattr(compose, "CORPUS_SEED", seed)
        compose.band.cache_clear()
        found += [str(compose.band(genre, 0)) for genre in compose.GENRES]
    compose.band.cache_clear()
    assert all(len(set(found)) == 15 for found in bands.values())
    assert not set(bands[2018]) & set(bands[2019]) | set(bands[2019]) & set(bands[2020])


@needs_renderer
def test_a_produced_song_is_heard_alike_from_midi_and_from_wav(produced, tmp_path, monkeypatch):
    monkeypatch.setattr(demo, "data_folder", lambda: tmp_path)
    words = dict(data=str(produced), songs_per_genre=2, genres=1)
    kept, _ = ask(demo.SOURCE, "catalog", **words)
    lent, _ = ask(demo.SOURCE, "catalog", keep_sound=False, **words)
    for wav, midi in zip(kept, lent):
        assert midi["path"].endswith(".mid") and wav["path"].endswith(".wav")
        sounds = [read_middle(song["path"], 30)[0] for song in (wav, midi)]
        assert np.array_equal(*sounds)
        assert read_middle(midi["path"], 30)[1:] == (0, 30)
    settings = SpectrogramSettings()
    assert np.array_equal(*(song_examples(song["path"], settings) for song in (kept[0], lent[0])))


@needs_renderer
def test_what_names_no_production_has_to_be_kept_as_sound(tmp_path, monkeypatch):
    monkeypatch.setattr(demo, "data_folder", lambda: tmp_path)
    with pytest.raises(RunError, match="set keep_sound to true"):
        ask(demo.SOURCE, "catalog", data=str(CORPUS), genres=1, keep_sound=False)
    plain = demo.read_midi(CORPUS, demo.load_index(CORPUS).iloc[:1]).popitem()[1]
    (tmp_path / "song.mid").write_bytes(plain)
    with pytest.raises(AudioError, match="format not supported: MIDI"):
        read_middle(tmp_path / "song.mid")


@pytest.mark.parametrize("text", [b'{"font": "../../x"}', b'{"font": "FluidR3_GM"}', b"{nonsense"])
def test_a_production_that_cannot_be_had_is_told(tmp_path, monkeypatch, text):
    monkeypatch.setattr(synthesis, "FOLDERS", (str(tmp_path),))
    (tmp_path / "song.mid").write_bytes(b"MThd" + MARK + text)
    with pytest.raises(AudioError, match="There is no SoundFont|apt install|cannot be read"):
        read_middle(tmp_path / "song.mid")
