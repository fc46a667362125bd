"Distances between genres are a known metric; wrong labels are found; odd runs get words."

import re

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rich.console import Console
from scipy.optimize import linear_sum_assignment
from test_space import catalog

from song_metric.chapters import chapters, notebooks_folder
from song_metric.geometry import (
    Planting,
    bridges,
    gaussians,
    look_for_planted,
    neighbours_of_others,
    suspects,
    wasserstein_distances,
)
from song_metric.kernels import Screen, execute
from song_metric.runs import Chapter
from song_metric.search import squared_distances
from song_metric.space import SongSpace


@settings(max_examples=60, deadline=None)
@given(
    seed=st.integers(0, 10**6),
    dimension=st.integers(1, 12),
    groups=st.integers(2, 6),
    prior=st.sampled_from([0, 1, 100]),
)
def test_distance_between_genres_is_a_metric(seed, dimension, groups, prior):
    draw = np.random.default_rng(seed)
    labels = np.concatenate([np.arange(groups), draw.integers(0, groups, 20)])
    vectors = draw.normal(size=(len(labels), dimension)) * (1 + labels[:, None])
    _, *shapes = gaussians(vectors, labels, prior)
    d = wasserstein_distances(*shapes)
    assert (np.diag(d) == 0).all() and (d == d.T).all()
    assert (d[~np.eye(groups, dtype=bool)] > 0).all()
    assert (d[:, None] <= d[:, :, None] + d[None] + 1e-7).all(), "the detour is never shorter"


def test_known_distances():
    shapes = np.array([np.diag([1.0, 4, 9]), np.diag([4.0, 4, 1]), np.diag([1.0, 4, 9])])
    d = wasserstein_distances(np.array([[0.0, 0, 0], [3, 0, 0], [0, 0, 7]]), shapes)
    assert np.isclose(d[0, 1], np.sqrt(9 + 1 + 4)), "same axes: they differ by their deviations"
    assert np.isclose(d[0, 2], 7)


def test_turning_the_space_changes_no_distance():
    shapes = np.array([np.diag([1.0, 4, 9]), np.diag([4.0, 4, 1])])
    means = np.zeros((2, 3))
    turn = np.linalg.qr(np.random.default_rng(0).normal(size=(3, 3)))[0]
    turned = wasserstein_distances(means, turn @ shapes @ turn.T)
    assert np.allclose(turned, wasserstein_distances(means, shapes), atol=1e-6)


def test_it_comes_near_the_exact_distance_of_samples():
    draw = np.random.default_rng(1)
    mix = draw.normal(size=(3, 3))
    a = draw.normal(size=(800, 3))
    b = draw.normal(size=(800, 3)) @ mix + [3, 0, 1]
    squared = squared_distances(a, b)
    exact = np.sqrt(squared[linear_sum_assignment(squared)].mean())
    _, *shapes = gaussians(np.concatenate([a, b]), np.repeat([0, 1], 800), prior=0)
    assert abs(wasserstein_distances(*shapes)[0, 1] / exact - 1) < 0.04


def clouds(genres=4, artists=3, songs=5, apart=6.0, dimension=8, seed=0):
    "Songs of well parted genres, with artists, and their catalog."
    draw = np.random.default_rng(seed)
    n = genres * artists * songs
    genre = np.arange(n) // (artists * songs)
    artist = np.arange(n) // songs
    vectors = apart * draw.normal(size=(genres, dimension))[genre]
    vectors = vectors + draw.normal(size=(genres * artists, dimension))[artist]
    vectors = vectors + 0.5 * draw.normal(size=(n, dimension))
    names = dict(genre=[f"genre {g:02d}" for g in genre], artist=[f"artist {a}" for a in artist])
    return vectors.astype("float32"), catalog(n).assign(**names)


def test_neighbours_are_of_others_only():
    vectors, songs = clouds()
    near, distance = neighbours_of_others(vectors, songs["artist"], 7, block=13)
    artist = songs["artist"].to_numpy()
    for i in range(len(vectors)):
        other = np.flatnonzero(artist != artist[i])
        far = np.linalg.norm(vectors[other].astype(float) - vectors[i], axis=1)
        nearest_first = np.argsort(far, kind="stable")[:7]
        assert (near[i] == other[nearest_first]).all()
        assert np.allclose(distance[i], far[nearest_first])


@pytest.fixture(scope="module")
def planted():
    "Six genres far apart: their vectors, songs, labels, and the genre that comes next to each."
    vectors, songs = clouds(genres=6, artists=5, songs=8)
    nearest = {f"genre {g:02d}": f"genre {(g + 1) % 6:02d}" for g in range(6)}
    return vectors, songs, songs["genre"].to_numpy(str), nearest


def test_planted_labels_are_found_where_genres_are_apart(planted):
    vectors, songs, genres, nearest = planted
    rows = look_for_planted(vectors, genres, songs["artist"], nearest, planting=Planting(draws=10))
    scores = ["precision", "recall", "average_precision"]
    found = rows.groupby(["mistake", "way"])[scores].mean()
    assert (found.loc[("songs, any genre", "neighbours")] > 0.85).all()
    assert (found.loc[("songs, nearest genre", "neighbours")] > 0.85).all()
    by_others = found.loc[("artists, any genre", "neighbours by other artists")]
    assert by_others["average_precision"] > 0.8, "an artist filed wrongly is seen by the others"


def test_planted_labels_are_not_found_in_noise(planted):
    vectors, songs, genres, nearest = planted
    noise = np.random.default_rng(0).normal(size=vectors.shape)
    rows = look_for_planted(noise, genres, songs["artist"], nearest, planting=Planting(draws=10))
    found = rows.groupby(["mistake", "way"])["average_precision"].mean()
    assert found.loc[("songs, any genre", "neighbours")] < 0.2


def test_the_same_seed_plants_the_same(planted):
    vectors, songs, genres, nearest = planted
    asked = (vectors, genres, songs["artist"], nearest)
    first = look_for_planted(*asked, planting=Planting(draws=3))
    assert first.equals(look_for_planted(*asked, planting=Planting(draws=3)))
    assert not first.equals(look_for_planted(*asked, planting=Planting(draws=3, seed=1)))


def test_suspects_are_ranked_and_named():
    vectors, songs = clouds(genres=4, artists=4, songs=8)
    songs.loc[[5, 70], "genre"] = ["genre 03", "genre 00"]
    found = suspects(songs, *neighbours_of_others(vectors, np.arange(len(songs)), 10))
    said = found.set_index("song_id")["neighbours_say"].to_dict()
    assert said == {"s5": "genre 00", "s70": "genre 02"}


def test_a_bridge_is_evenly_shared():
    shares = np.array([[0.5, 0.5, 0], [0.6, 0.4, 0], [1, 0, 0], [0.4, 0.3, 0.3]])
    songs = pd.DataFrame(dict(song=list("abcd")))
    found = bridges(songs, shares, ["x", "y", "z"], np.ones(4))
    assert found["song"].tolist() == ["a", "b", "d"]
    assert np.allclose(found["bridge"], [1, 0.8, 0.6])
    assert found["between"].iloc[0] == "x (50 %), y (50 %)"


# Odd runs, through the chapter itself


@pytest.fixture(scope="module")
def chapter(tmp_path_factory):
    "A function that runs chapter 07 on vectors and songs made up here, and returns its folder."
    notebook = next(n for n in chapters(notebooks_folder()) if n.name == "07_geometry")

    def run(vectors, songs, **parameters):
        folder = tmp_path_factory.mktemp("odd")
        before = Chapter(folder, "06_playlists")
        SongSpace(vectors, songs).save(before.folder / "space")
        before.finish()
        (folder / "07_geometry").mkdir()
        execute(
            notebook,
            folder / "07_geometry",
            dict(run=str(folder), wrong_draws=3, **parameters),
            Screen(Console(quiet=True)),
        )
        return folder / "07_geometry"

    return run


def test_hundred_genres_of_one_artist_each_and_a_genre_of_two_songs(chapter):
    vectors, songs = clouds(genres=100, artists=1, songs=3)
    songs.loc[songs.index[-1], ["genre", "title"]] = ["genre 98", "<script>x</script>"]
    folder = chapter(vectors, songs, neighbours=2)
    genres = pd.read_csv(folder / "genres.csv")
    assert len(genres) == 100 and genres["spread"].notna().all()
    assert genres["halves"].isna().sum() == 99
    said = (folder / "notes.md").read_text()
    assert "one artist each" in said and "no halves to compare" in said
    assert (folder / "geometry.png").stat().st_size > 10_000
    assert len(pd.read_csv(folder / "artist_distances.csv")) == 100
    assert "artists, any genre" in (folder / "mislabelled.md").read_text()


def test_two_genres_of_unknown_artists(chapter):
    vectors, songs = clouds(genres=2, artists=1, songs=6)
    folder = chapter(vectors, songs.assign(artist=""))
    assert "No artist is known" in (folder / "notes.md").read_text()
    assert len(pd.read_csv(folder / "genres.csv")) == 2
    assert not (folder / "artists.png").exists()
    assert len((folder / "bridge_artists.csv").read_text().splitlines()) == 1


def test_one_genre_only(chapter):
    vectors, songs = clouds(genres=1, artists=2, songs=4)
    folder = chapter(vectors, songs)
    assert "one genre only" in (folder / "notes.md").read_text()
    assert not (folder / "mislabelled.csv").exists()
    assert not len(pd.read_csv(folder / "suspects.csv"))


def test_the_smoke_run_has_its_geometry(smoke):
    folder = smoke.folder / "07_geometry"
    distances = pd.read_csv(folder / "distances.csv", index_col="genre")
    assert (distances.to_numpy() == distances.to_numpy().T).all() and len(distances) == 4
    shares = pd.read_csv(folder / "neighbours.csv", index_col="genre")
    assert np.allclose(shares.sum(axis=1), 1, atol=1e-5)
    page = (smoke.folder / "report.html").read_text(encoding="utf-8")
    parts = [
        "<h2>Suggestions</h2>",
        "MFCC statistics",
        "<h2>Playlists</h2>",
        "random walk",
        "<h2>Geometry</h2>",
        "<h2>Figures</h2>",
    ]
    assert re.search(".*".join(parts), page, re.S)
