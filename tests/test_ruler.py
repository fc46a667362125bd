"Codes that know only the band have no excess; codes that know the genre have; draws are shared."

import numpy as np
import pandas as pd
import pytest

from song_metric.evaluation import score_rows, tidy_measures
from song_metric.retrieval import retrieval
from song_metric.ruler import (
    difference,
    interval,
    make_ruler,
    measure_groups,
    measure_neighbours,
    measure_one_song,
    paired_table,
    ruler_table,
    why_no_ruler,
)
from song_metric.tables import ruler_text

GENRES, BANDS, SONGS = 8, 4, 5  # bands a genre, songs a band
BAND = np.repeat(np.arange(GENRES * BANDS), SONGS)
GENRE = BAND // BANDS
TEXTS = GENRE.astype(str), BAND.astype(str)


def around(of: np.ndarray, seed: int) -> np.ndarray:
    "Vectors `(song, dimension)`, each near the place of what it is of."
    rng = np.random.default_rng(seed)
    places = rng.normal(size=(of.max() + 1, 12))
    return places[of] + rng.normal(0, 0.2, (len(of), 12))


@pytest.fixture(scope="module")
def ruler():
    "The ruler of eight genres by four bands each."
    return make_ruler(*TEXTS, deals=100, draws=50)


def test_groups_that_are_bands_have_no_excess(ruler):
    "Twenty ways to put whole bands into groups: high scores, excess around 0, intervals hold it."
    rng = np.random.default_rng(0)
    found = [
        measure_groups(ruler, (rng.permutation(GENRES * BANDS)[BAND] % GENRES)[None])[1]
        for _ in range(20)
    ]
    assert np.mean([ami.value for ami in found]) > 0.1, "the ruler with bands in it is misled"
    excess = np.array([ami.kept[0] for ami in found])
    assert abs(excess.mean()) < 3 * excess.std() / np.sqrt(20)
    ends = [interval(ami.kept) for ami in found]
    assert np.mean([low <= 0 <= high for low, high in ends]) >= 0.9
    assert np.mean([ami.null_std for ami in found]) == pytest.approx(excess.std(), rel=0.5)


def test_codes_that_know_the_band_alone(ruler):
    vectors = around(BAND, seed=1)
    alone = measure_one_song(ruler, vectors)
    low, high = interval(alone.kept)
    assert abs(alone.value) < 0.1 and low < 0 < high
    chance = (BANDS - 1) / (GENRES * BANDS - 1)
    precision, _ = measure_neighbours(ruler, vectors)
    low, high = interval(precision.kept)
    assert low < chance < high


def test_codes_that_know_the_genre_alone(ruler):
    vectors = around(GENRE, seed=2)
    v, ami = measure_groups(ruler, GENRE[None])
    assert ami.value == v.value == pytest.approx(1)
    assert interval(ami.kept)[0] > 0.5 and interval(v.kept)[0] > 0.4
    assert measure_one_song(ruler, vectors).value > 0.8
    precision, mean_average = measure_neighbours(ruler, vectors)
    assert precision.value > 0.95 and mean_average.value > 0.95


def test_an_artist_of_several_genres_keeps_its_mixture():
    "Half of each artist's songs are of another genre: a deal moves lists, and mixes none."
    mixed = np.where(np.arange(len(BAND)) % 2, GENRE, (GENRE + 1) % GENRES)
    ruler = make_ruler(mixed.astype(str), TEXTS[1], deals=30, draws=2)
    lists = {tuple(sorted(set(ruler.labels[ruler.artists == artist]))) for artist in range(32)}
    for dealt in ruler.dealt[:, 0]:
        assert {tuple(sorted(set(dealt[ruler.artists == artist]))) for artist in range(32)} == lists


def test_an_artist_with_more_songs_takes_the_list_again():
    genres = np.array(["a"] * 2 + ["b"] * 5 + ["a"] * 3 + ["b"])
    artists = np.array(["one"] * 2 + ["two"] * 5 + ["three"] * 3 + ["four"])
    dealt = make_ruler(genres, artists, deals=20, draws=2).dealt[:, 0]
    assert all(len(set(songs[2:7])) == 1 for songs in dealt)
    assert len({songs[2] for songs in dealt}) == 2


def test_neighbours_are_those_of_the_suggestions(ruler):
    vectors = around(BAND, seed=3) + around(GENRE, seed=4)
    known = retrieval(vectors, GENRE, BAND)
    found = measure_neighbours(ruler, vectors)
    assert [measure.value for measure in found] == pytest.approx(np.nanmean(known, axis=0)[:2])


def test_without_a_part_means_without_its_songs(ruler):
    "The scores kept without a part are those of the songs that are left."
    vectors = around(BAND, seed=3) + around(GENRE, seed=4)
    stay = ruler.parts[ruler.artists] != 2
    left = retrieval(vectors[stay], GENRE[stay], BAND[stay])
    found = measure_neighbours(ruler, vectors)
    assert [m.kept[3] for m in found] == pytest.approx(np.nanmean(left, axis=0)[:2])


def test_an_embedding_beside_itself_differs_by_nothing(ruler):
    _, ami = measure_groups(ruler, GENRE[None])
    assert difference(ami.kept, ami.kept) == dict(difference=0, low=0, high=0)


def test_intervals_hold_what_they_promise():
    "Thirty worlds of the same genres and other bands: most intervals hold the mean over worlds."
    places = np.random.default_rng(0).normal(size=(GENRES, 6))
    found = []
    for seed in range(30):
        rng = np.random.default_rng(seed)
        bands = places[np.arange(GENRES * BANDS) // BANDS] + rng.normal(size=(GENRES * BANDS, 6))
        vectors = bands[BAND] + rng.normal(0, 0.5, (len(BAND), 6))
        found.append(measure_neighbours(make_ruler(*TEXTS, deals=1, draws=1), vectors))
    for measures in zip(*found):
        truth = np.mean([measure.value for measure in measures])
        held = [low <= truth <= high for low, high in (interval(m.kept) for m in measures)]
        assert np.mean(held) >= 0.85


CODES = {
    "PCA": around(BAND, seed=5)[:, None],
    "ALI": [around(GENRE, seed=6)[:, None], around(BAND, seed=7)[:, None]],
}


def tables(workers: int) -> tuple[pd.DataFrame, pd.DataFrame]:
    "Both tables of the ruler, of two embeddings."
    ruler = make_ruler(*TEXTS, deals=10, draws=4)
    nobody = np.zeros(len(BAND), bool)
    found = score_rows(CODES, GENRE, nobody, range(1), 1, workers, ruler)
    measured = tidy_measures(found.measures, CODES)
    return ruler_table(measured), paired_table(measured)


def test_tables_are_the_same_for_any_number_of_workers():
    (one, pairs), (two, same_pairs) = tables(1), tables(2)
    pd.testing.assert_frame_equal(one, two, check_exact=True)
    pd.testing.assert_frame_equal(pairs, same_pairs, check_exact=True)
    assert one["embedding"].unique().tolist() == list(CODES)
    spread = one.set_index("embedding")["training_std"]
    assert spread["ALI"].notna().all() and spread["PCA"].isna().all()
    assert set(pairs["embedding"]) == {"ALI"} and set(pairs["other"]) == {"PCA"}
    assert len(pairs) == len(two) / 2 and pairs["low"].lt(pairs["high"]).all()


@pytest.mark.parametrize(
    ("artists", "reason"),
    [
        (np.full(len(BAND), ""), "no song's artist is known"),
        (GENRE.astype(str), "fewer than two genres have songs by two artists"),
    ],
)
def test_without_artists_there_is_no_ruler_and_it_is_said(artists, reason):
    assert reason in why_no_ruler(GENRE, artists)
    with pytest.raises(ValueError, match=reason):
        make_ruler(GENRE, artists)
    measured = tidy_measures([], CODES)
    assert measured.empty
    empty = ruler_table(measured), paired_table(measured)
    assert all(table.empty and len(table.columns) for table in empty)
    assert ruler_text(empty[0], "mean", "", reason).startswith("No ruler")


def test_songs_of_unknown_artists_are_left_out():
    artists = np.where(np.arange(len(BAND)) % 7 == 0, "", TEXTS[1])
    ruler = make_ruler(TEXTS[0], artists, deals=5, draws=5)
    assert np.array_equal(ruler.known, np.flatnonzero(artists != ""))
    assert measure_groups(ruler, GENRE[None])[1].value == pytest.approx(1)
