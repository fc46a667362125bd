"Playlists are fluid and safe to write; what lies between two songs can be seen and heard."

import base64
import io
import json
import re
import shutil
import subprocess
from itertools import combinations
from urllib.parse import unquote, urlparse
from xml.etree import ElementTree

import numpy as np
import pytest
import soundfile as sf
from conftest import song_metric
from test_space import catalog

from song_metric.ali import ALIEmbedding
from song_metric.files import RunError
from song_metric.listening import (
    Heard,
    PCADecoder,
    in_betweens,
    inversion_error,
    listening_table,
    reconstruct,
    reconstruction_errors,
    to_sound,
)
from song_metric.metric import cut_patches
from song_metric.pages import clean_output
from song_metric.playlists import (
    Playlist,
    around,
    compare_paths,
    corridor,
    fluidity,
    mix,
    path,
    through,
)
from song_metric.space import SongSpace
from song_metric.spectrograms import SpectrogramSettings, spectrograms


@pytest.fixture(scope="module")
def space():
    return SongSpace(
        np.random.default_rng(0).normal(size=(300, 8)).astype("float32"), catalog(300, artists=60)
    )


@pytest.mark.parametrize("n", [2, 3, 7, 20, 60])
def test_a_path_has_its_length_its_ends_and_no_repeats(space, n):
    for a, b in ((3, 99), (200, 7)):
        songs = path(space, a, b, n).songs
        assert len(songs) == n == len(set(songs)) and songs[0] == a and songs[-1] == b
        if n > 2:
            assert fluidity(space, songs)["artist_repeats"] == 0


def test_a_path_strains_less_than_the_alternatives(space):
    rows = compare_paths(space, 30, 10)
    strain = rows.pivot(index="pair", columns="method", values="strain")
    for other in ("straight line", "random walk", "random walk with an aim"):
        assert (strain["path"] < strain[other]).mean() > 0.9, other


def test_the_cheapest_way_is_cheapest():
    "Against every playlist of five songs that goes forward, by brute force."
    vectors = np.random.default_rng(2).normal(size=(12, 2)).astype("float32")
    small = SongSpace(vectors, catalog(12, artists=12))
    between = corridor(small, 0, 11).tolist()[1:-1]
    ways = [[0, *middle, 11] for middle in combinations(between, 3)]
    best = min(fluidity(small, way)["strain"] for way in ways)
    assert np.isclose(fluidity(small, path(small, 0, 11, 5).songs)["strain"], best)


@pytest.mark.parametrize(
    "make",
    [
        lambda s: path(s, 1, 1),
        lambda s: path(s, 1, 2, 301),
        lambda s: path(s, 1, 999),
        lambda s: through(s, [1, 2, 1], 9),
        lambda s: around(s, [1], 5, 2),
        lambda s: mix(s, []),
    ],
)
def test_impossible_requests_are_refused(space, make):
    with pytest.raises(RunError):
        make(space)


@pytest.mark.skipif(not shutil.which("ffprobe"), reason="ffprobe is not installed")
@pytest.mark.parametrize("absolute", [False, True])
def test_a_player_opens_every_entry(tmp_path, absolute):
    names = [
        "#1.wav",
        "100 %41.wav",
        "ü 音.wav",
        "a & b <c>.wav",
        " space.wav",
        'it\'s "quoted".wav',
    ]
    rows = catalog(len(names))
    rows["path"] = [str(tmp_path / "music" / name) for name in names]
    rows["title"] = "line\nbreak #EXTINF:1"
    (tmp_path / "music").mkdir()
    for place in rows["path"]:
        sf.write(place, np.sin(np.arange(8000) / 9) * 0.3, 8000)
    space = SongSpace(np.eye(len(names), dtype="float32"), rows)
    playlist = Playlist(space, list(range(len(names))))
    text = playlist.save(tmp_path / "lists" / "a.m3u8", absolute).read_text(encoding="utf-8")
    entries = [line for line in text.split("\n") if line and not line.startswith("#")]
    assert len(entries) == len(names) and text.startswith("#EXTM3U\n")
    for entry in entries:
        probe = ["ffprobe", "-v", "error", entry]
        done = subprocess.run(probe, cwd=tmp_path / "lists", capture_output=True)
        assert done.returncode == 0, entry
    saved = playlist.save(tmp_path / "lists" / "a.xspf", absolute)
    for name, track in zip(names, ElementTree.parse(saved).findall(".//{*}location")):
        place = unquote(urlparse(track.text).path)
        assert (tmp_path / "lists" / place).resolve() == (tmp_path / "music" / name).resolve()


def test_commands_on_a_run(smoke, tmp_path):
    def ask(*words):
        return song_metric(*words, "--run", "smoke", "--runs-dir", smoke.root)

    space = SongSpace.load(smoke.folder / "06_playlists" / "space")
    a, b = space.songs["song_id"].iloc[[0, -1]]
    found = json.loads(ask("nearest", a, "-k", "4", "--json").stdout)
    assert [song["song_id"] for song in found["songs"]] == space.nearest(a, 4)["song_id"].tolist()
    found = json.loads(ask("path", a, b, "-n", "6", "--json", "--save", tmp_path / "p.m3u8").stdout)
    assert len(found["songs"]) == 6 and found["songs"][-1]["song_id"] == b
    assert (tmp_path / "p.m3u8").exists()
    for words in (["playlist", a], ["mix", a, "-s", b]):
        assert "strain" in ask(*words, "-n", "3").stdout
    for words, said in (
        (["nearest", "no such song"], "No song and no sound file"),
        (["nearest", "."], "fits"),
        (["path", a, a], "from one song to another"),
    ):
        result = ask(*words)
        assert result.returncode == 1 and said in result.stderr, result.stderr
        assert "Traceback" not in result.stderr
    refused = song_metric("nearest", a, "--run", "other", "--runs-dir", smoke.root)
    assert "There are: smoke" in refused.stderr
    assert ask("space", tmp_path / "mine").returncode == 0
    added = json.loads(
        ask("add", space.songs["path"].iloc[0], "--space", tmp_path / "mine", "--json").stdout
    )
    assert added["songs"] == len(space) and "the same sound as" in added["rejected"][0]["reason"]


TONES = SpectrogramSettings(
    seconds=1, preview_seconds=1, examples=1, bands=32, frames=24, sample_rate=8000, n_fft=512
)


@pytest.mark.parametrize("frames", [8, 24])
def test_in_betweens_are_decoded_patch_by_patch(frames):
    examples = np.random.default_rng(0).random((3, 16, 24)).astype("float32")
    ali = ALIEmbedding(epochs=0, width=2, latent_dim=4).fit(cut_patches(examples, frames))
    pictures = in_betweens(ali, examples[:1], examples[1:2], [0, 0.5, 1])
    assert pictures.shape == (3, 1, 16, 24) and pictures.min() >= 0 and pictures.max() <= 1
    assert np.allclose(pictures[0], reconstruct(ali, examples[:1])) and np.allclose(
        pictures[2], reconstruct(ali, examples[1:2])
    )
    code = (
        ali.transform(cut_patches(examples[:1], frames))
        + ali.transform(cut_patches(examples[1:2], frames))
    ) / 2
    assert np.allclose(pictures[1, 0][:, :frames], ali.decode(code)[0].clip(0, 1), atol=1e-5)
    errors = reconstruction_errors(
        {"ALI": ali, "PCA": PCADecoder(60).fit(cut_patches(examples, frames))},
        examples,
        examples.mean(axis=(0, 2)),
    ).set_index("decoder")
    assert (
        errors["numbers"].loc["ALI"] == 4 * 24 // frames
        and abs(errors["error"].loc["mean spectrogram"] - 1) < 0.1
    ), "noise has nothing but its mean"


@pytest.mark.parametrize("representation, bands", [("logmel", 32), ("stft", 0), ("stft", 64)])
def test_a_spectrogram_becomes_the_sound_that_it_is_of(representation, bands):
    kind = SpectrogramSettings(**{**vars(TONES), "representation": representation, "bands": bands})
    seconds = np.arange(8000) / 8000
    scale = np.concatenate(
        [np.sin(2 * np.pi * f * seconds[:2000]) * np.hanning(2000) for f in (330, 550, 770, 1320)]
    ).astype("float32")
    picture = spectrograms([scale], kind)[0]
    sound = to_sound(picture, kind)
    assert (
        len(sound) == kind.n_samples
        and np.isclose(np.abs(sound).max(), 0.9)
        and (sound == to_sound(picture, kind)).all()
    )
    for i, f in enumerate((330, 550, 770, 1320)):
        part = sound[2000 * i : 2000 * (i + 1)]
        assert abs(np.abs(np.fft.rfft(part * np.hanning(2000))).argmax() * 4 - f) <= 60, f
    assert inversion_error(picture, sound, kind) < 0.6 * inversion_error(
        picture, np.random.default_rng(0).normal(size=8000).astype("float32"), kind
    )


def test_silence_and_short_patches_can_be_inverted():
    assert not to_sound(np.zeros((32, 24)), TONES).any()
    assert len(to_sound(np.random.default_rng(0).random((32, 16)), TONES)) == 8000


def test_a_page_lets_the_player_through_and_nothing_else():
    tone = np.sin(np.arange(8000) / 5)
    remark = "<img src=x onerror=alert(1)>"
    table = listening_table([Heard("<script>alert(1)</script>", tone, 0.2, remark)], 8000)
    foreign = '<audio src="https://example.org/x.mp3" onplay="alert(1)"></audio>'
    html = f"{table}{foreign}<script>alert(2)</script>"
    output = dict(output_type="display_data", data={"text/html": html})
    clean_output(output)
    text = output["data"]["text/html"]
    data = re.search(r'<audio controls[^>]* src="data:audio/mpeg;base64,([^"]+)">', text)
    sound, _ = sf.read(io.BytesIO(base64.b64decode(data[1])))
    assert abs(len(sound) - 8000) < 2500 and "&lt;img" in text
    for unwanted in ("<script", "onplay", "<img"):
        assert unwanted not in text


def test_the_smoke_run_can_be_listened_to(smoke):
    page = (smoke.folder / "06_playlists" / "notebook.html").read_text(encoding="utf-8")
    players = re.findall(r'<audio controls[^>]* src="data:audio/mpeg;base64,', page)
    assert len(players) == 12 and "media-src data:" in page
    assert (smoke.folder / "06_playlists" / "decoders.md").read_text().count("\n") == 7
