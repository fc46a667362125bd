"What reads the same is the same: labels, artists, titles, whatever their case, blanks and accents."

import unicodedata

import mutagen
import numpy as np
import pandas as pd
import pytest
import soundfile as sf
from test_space import catalog

from song_metric.catalog import build_catalog
from song_metric.files import RunError
from song_metric.geometry import artist_names
from song_metric.names import one_spelling, same_name
from song_metric.playlists import around, fluid_way, fluidity, mix, path, through
from song_metric.sources.folder import genre_of
from song_metric.space import SongSpace
from song_metric.splits import artist_groups

RATE = 22050
ZORN = ["Zörn", "Zo\u0308rn", "ZÖRN ", "zörn", "\xa0Zörn", "Zö\u200brn", "Ｚörn"]


def write_song(file, seed, **tags):
    "Six seconds of a tone of its own, as FLAC, with tags."
    file.parent.mkdir(parents=True, exist_ok=True)
    sound = 0.3 * np.sin(np.arange(6 * RATE) * (0.05 + seed / 100))
    sf.write(file, sound.astype("float32"), RATE)
    tagged = mutagen.File(file)
    tagged.update(tags)
    tagged.save()


def space_of(artists, titles=None, **more) -> SongSpace:
    "A space of songs at random places by these artists."
    songs = catalog(len(artists)).assign(artist=artists, **more)
    if titles is not None:
        songs["title"] = titles
    vectors = np.random.default_rng(0).normal(size=(len(artists), 8))
    return SongSpace(vectors.astype("float32"), songs)


@pytest.mark.parametrize(
    "names",
    [
        ZORN,
        ["The Kettles", "the  kettles", "THE\u3000KETTLES"],
        ["Guns N’ Roses", "Guns N' Roses", "guns n´ roses"],
        ["Jay‐Z", "Jay-Z", "JAY–Z"],
        ["Straße", "STRASSE", "strasse"],
        ["İstanbul", "istanbul", "ISTANBUL"],
        ["ΟΔΟΣ", "οδος", "οδοσ"],
        ["ガンダム", "カ\u3099ンダム", "ｶﾞﾝﾀﾞﾑ"],
        ["♥ Love", "♥\ufe0f love"],
        ["", " ", "\u200b"],
    ],
)
def test_names_that_read_the_same_are_one(names):
    assert len({same_name(name) for name in names}) == 1
    assert one_spelling(pd.Series(names)).nunique() == 1


def test_names_that_read_otherwise_are_not_one():
    names = ["Zorn", "Zörn", "Zorn 2", "Zorn & Ana", "Zornana", "NA", ""]
    assert len({same_name(name) for name in names}) == len(names)


def test_the_most_frequent_spelling_is_shown_and_of_level_ones_the_first():
    assert one_spelling(pd.Series(["b", "B", "B", "C", "c"])).tolist() == ["B", "B", "B", "C", "C"]


def test_labels_in_several_spellings_are_one(tmp_path):
    spellings = ["vaporwave", "Vaporwave", "VAPORWAVE ", "Forro\u0301", "Forró", "forró"]
    for seed, name in enumerate(spellings):
        write_song(tmp_path / f"{seed}.flac", seed, genre=name, artist=name, album=name)
    for label in ("genre", "artist", "album"):
        songs, _ = build_catalog("folder", data=str(tmp_path), label=label, workers=1)
        for name in ("genre", "artist", "album"):
            assert songs[name].tolist() == ["vaporwave"] * 3 + ["Forro\u0301"] * 3


def test_folders_in_two_forms_are_one_label(tmp_path):
    folders = [unicodedata.normalize(form, "Música") for form in ("NFC", "NFD")]
    for seed, name in enumerate(folders * 2):
        write_song(tmp_path / name / f"{seed}.flac", seed)
    songs, _ = build_catalog("folder", data=str(tmp_path), workers=1, min_songs=3)
    assert len(songs) == 4
    assert songs["genre"].nunique() == 1


def test_known_genres_are_known_in_any_form():
    assert genre_of("ＲＯＣＫ") == genre_of("Rock\u200b") == genre_of("hard‑rock") == "Rock"


def test_an_artist_in_several_spellings_is_one_everywhere():
    songs = catalog(9).assign(artist=[*ZORN, "Ana", "Bo"], genre="g")
    assert len(set(artist_groups(songs)[:7])) == 1
    assert len(set(artist_names(songs)[:7])) == 1
    space = space_of([*ZORN, "Ana", "Bo"])
    assert set(space.nearest(0, 9, other_artists=True)["artist"]) == {"Ana", "Bo"}
    assert fluidity(space, [0, 1, 2])["artist_repeats"] == 3


def test_a_genre_is_asked_for_in_any_form():
    space = space_of(["a", "b", "c"], genre=["Forró", "Forro\u0301", "Rock"])
    assert space.nearest(2, 5, genre=" FORRÓ")["genre"].tolist() == ["Forró"] * 2
    with pytest.raises(RunError, match="it has Forró, Rock"):
        space.nearest(2, 5, genre="x")


def test_songs_are_found_in_any_form_and_without_accents():
    titles = ["Jo\u0301ga", "Joga", "夜 ♫", "Don’t Go", "Blåbær", "Für Elise"]
    artists = ["Bjo\u0308rk", "Bjork", "東京", "Ana", "Bjørn", "Ludwig"]
    space = space_of(artists, titles, song_id=["a", "b", "c", "d", "Mu\u0301sica/1.flac", "e"])
    asked = {
        "Jóga": 0,
        "jo\u0301ga": 0,
        "JOGA": 1,
        "björk": 0,
        "bjork": 1,
        "夜": 2,
        "don't go": 3,
        "bjorn blabaer": 4,
        "Música/1.flac": 4,
        "musica/1": 4,
        "fur elise": 5,
    }
    for text, song in asked.items():
        assert space.find(text) == [song], text
    assert space.find("") == space.find("\u0301") == []
    with pytest.raises(RunError, match="Für Elise"):
        space.resolve("fur elisse")


@pytest.fixture
def doubled() -> SongSpace:
    "Thirty songs, each twice: the even ones the same sound, all by one artist with one title."
    vectors = np.random.default_rng(0).normal(size=(60, 8)).astype("float32")
    vectors[1::2] = vectors[::2] + np.where(np.arange(30) % 2, 0.3, 1e-5)[:, None]
    artists = [f"Ärtist {i // 2}" for i in range(60)]
    artists[::4] = [unicodedata.normalize("NFD", name.upper()) for name in artists[::4]]
    songs = catalog(60).assign(artist=artists, title=[f"T{i // 2}" for i in range(60)])
    return SongSpace(vectors, songs)


@pytest.mark.parametrize(
    "make",
    [
        lambda s: around(s, [0], 10),
        lambda s: around(s, [0, 1], 10),
        lambda s: around(s, [2], 30, 0.5),
        lambda s: mix(s, [0, 10], [20], n=10),
        lambda s: path(s, 0, 40, 10),
        lambda s: path(s, 1, 40, 30),
        lambda s: through(s, [0, 21, 40], 12),
    ],
)
def test_a_playlist_holds_a_song_once(doubled, make):
    playlist = make(doubled)
    assert len(playlist) >= 10
    assert len({i // 2 for i in playlist.songs}) == len(playlist)
    if playlist.name.startswith("T0 + T5"):
        assert not {0, 5, 10} & {i // 2 for i in playlist.songs}


def test_copies_by_sound_alone_are_copies(doubled):
    nameless = SongSpace(doubled.vectors, doubled.songs.assign(artist=""))
    pairs = [i // 2 for i in around(nameless, [0], 20).songs]
    same_sound = [pair for pair in pairs if pair % 2 == 0]
    assert len(set(same_sound)) == len(same_sound)


@pytest.mark.parametrize("make", [lambda s: path(s, 0, 1), lambda s: through(s, [0, 9, 1], 9)])
def test_a_way_from_a_song_to_its_copy_is_refused(doubled, make):
    with pytest.raises(RunError, match="are the same song"):
        make(doubled)


def test_more_songs_than_there_are_without_copies_are_refused(doubled):
    with pytest.raises(RunError, match=r"has left \(30, each counted once\)"):
        path(doubled, 0, 40, 31)
    assert len(fluid_way(doubled, 0, 40, 60, copies=True)) == 60
    assert len(around(doubled, [0], 1000)) == 30


def test_a_playlist_of_one_song(doubled):
    playlists = [around(doubled, [3], 1), around(doubled, [2], 1, 0.9), mix(doubled, [3], n=1)]
    for playlist in playlists:
        assert len(playlist) == len(playlist.table()) == 1
        assert set(playlist.score().values()) == {0}


def test_a_mix_of_all_songs_is_refused():
    space = space_of(["a", "b"])
    with pytest.raises(RunError, match="this space has none"):
        mix(space, [0, 1])
