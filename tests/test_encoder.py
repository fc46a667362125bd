"The song encoder, and the README's example, which is all that a visitor needs of it."

import json
import re
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pytest
import soundfile as sf

from song_metric.ali import ALIEmbedding
from song_metric.audio import AudioError
from song_metric.encoder import SongEncoder
from song_metric.files import RunError
from song_metric.recipe import ENCODER
from song_metric.runs import Chapter
from song_metric.spectrograms import SpectrogramSettings

README = Path(__file__).resolve().parent.parent / "README.md"
SETTINGS = SpectrogramSettings(
    bands=16, frames=16, seconds=1, examples=3, preview_seconds=2, n_fft=512
)


def net() -> ALIEmbedding:
    "A net that has learned nothing, for patches of 8 frames."
    examples = np.random.default_rng(0).random((4, 16, 8))
    return ALIEmbedding(epochs=0, width=2, latent_dim=4, device="cpu").fit(examples)


@pytest.fixture
def run(tmp_path) -> Path:
    "A run with what its encoder is made of, and two songs beside it."
    folder = tmp_path / "data/runs/demo"
    spectrograms = Chapter(folder, "01_spectrograms")
    about = json.dumps(asdict(SETTINGS) | {"seed": 3})
    spectrograms.path("settings.json").write_text(about, encoding="utf-8")
    spectrograms.finish()
    ali = Chapter(folder, "03_ali")
    net().save(ali.path(Path(ENCODER).name))
    ali.finish()
    rng = np.random.default_rng(1)
    for name in ("a.mp3", "b.mp3"):
        noise = rng.normal(0, 0.1, 3 * SETTINGS.sample_rate)
        sf.write(tmp_path / name, noise, SETTINGS.sample_rate)
    return folder


def test_an_encoder_comes_back_from_its_file_as_it_was(run, tmp_path):
    encode = SongEncoder.from_run(run)
    assert encode.settings == SETTINGS and encode.seed == 3
    encode.save(tmp_path / "encoder.safetensors")
    again = SongEncoder.load(tmp_path / "encoder.safetensors")
    assert (again.settings, again.seed, again.pooling) == (SETTINGS, 3, "directions")
    song = tmp_path / "a.mp3"
    assert np.array_equal(again(song), encode(song)) and encode(song).dtype == np.float32
    assert not np.array_equal(encode(song, "a"), encode(song, "b")), "examples are cut elsewhere"


def test_many_songs_are_encoded_as_each_alone(run):
    encode = SongEncoder.from_run(run)
    songs = np.random.default_rng(2).random((3, 2, 16, 16)).astype(np.float16)
    each = [encode.encode_examples(song) for song in songs]
    assert np.array_equal(encode.encode_examples(songs), np.stack(each))


def test_what_cannot_be_encoded_is_told(run, tmp_path):
    with pytest.raises(RunError, match="does not say how its spectrograms are made"):
        SongEncoder.load(run / ENCODER)
    (tmp_path / "text.mp3").write_text("no song")
    with pytest.raises(AudioError):
        SongEncoder.from_run(run)(tmp_path / "text.mp3")


def test_the_readmes_example_runs(run, tmp_path, monkeypatch):
    example = re.search(r"```python\n(.+?)```", README.read_text(encoding="utf-8"), re.S)[1]
    lines = [line for line in example.splitlines() if line.strip()]
    assert len(lines) <= 4
    monkeypatch.chdir(tmp_path)
    names: dict = {}
    exec(example, names)
    assert names["a"].shape == names["b"].shape == (8,) and (names["a"] != names["b"]).any()
