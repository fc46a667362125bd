"Rows that need neither a label nor a net, and suggestions without hubs."

import sys
from types import SimpleNamespace

import numpy as np
import pytest
import soundfile as sf
from scipy.stats import skew

from song_metric import players
from song_metric.baselines import log_covariance, standardised, unit_length
from song_metric.chapters import chapters, load_profile, notebooks_folder, profiles
from song_metric.hubs import count_occurrences, hub_scores, mutual_proximity
from song_metric.metric import POOLINGS, pool_songs
from song_metric.players import embed_distances, musly_distances, musly_table, style_of
from song_metric.search import squared_distances
from song_metric.workers import Crash

BANDS = 16


def songs_of_one_mean(scale):
    "Two examples `(example, band, frame)` of mean 0, whose bands move by `scale` `(band,)`."
    noise = np.random.default_rng(0).normal(size=(2, BANDS, 40))
    noise -= noise.mean(axis=(0, 2), keepdims=True)
    return noise * np.reshape(scale, (-1, 1))


# Log-covariance


def test_songs_of_one_mean_and_two_covariances_are_apart():
    one, other = (
        log_covariance(songs_of_one_mean(scale), 5)
        for scale in (np.ones(BANDS), np.linspace(0.1, 3, BANDS))
    )
    assert np.allclose(one[:5], other[:5], atol=1e-6), "the means"
    assert np.linalg.norm(one[5:] - other[5:]) > 0.5


def test_the_order_of_frames_and_examples_is_free():
    song = songs_of_one_mean(np.ones(BANDS)) + 1
    frames = np.random.default_rng(1).permutation(40)
    assert np.allclose(log_covariance(song[::-1][:, :, frames]), log_covariance(song))


def test_the_logarithm_is_that_of_the_matrix():
    "Coefficients that do not move together: the logarithms of their variances, and zeros."
    song = np.random.default_rng(0).normal(size=(1, 4, 400))
    numbers = log_covariance(song, 2)
    assert numbers.shape == (2 + 3,) and np.abs(numbers).max() < 0.3, "unit variances: about 0"
    assert np.allclose(log_covariance(10 * song, 2)[[2, 4]], numbers[[2, 4]] + np.log(100))


@pytest.mark.parametrize("bands, frames", [(8, 3), (16, 2)])
def test_fewer_bands_or_frames_than_coefficients(bands, frames):
    numbers = log_covariance(np.random.default_rng(0).random((1, bands, frames)))
    kept = min(bands, 13)
    assert numbers.shape == (kept + kept * (kept + 1) // 2,) and np.isfinite(numbers).all()


def test_the_row_learns_its_scale_of_the_fitted_only():
    numbers = np.random.default_rng(0).normal(size=(10, 4))
    held = np.arange(10) >= 6
    row = unit_length(standardised(numbers, ~held))
    numbers[held] *= 100
    again = unit_length(standardised(numbers, ~held))
    assert np.array_equal(row[~held], again[~held])
    assert np.allclose(np.linalg.norm(again, axis=1), 1, atol=1e-6)


# musly


def test_where_a_player_is_not_installed_the_row_says_so(monkeypatch):
    monkeypatch.setattr(players, "find_spec", lambda package: None)
    assert players.musly_missing() == "pymusly is not installed"
    assert players.bliss_missing() == "bliss-audio is not installed"


class FakeJukebox:
    "Tracks are numbers, and their distance is the difference; of number 9 it is unknown."

    asked = []

    def __init__(self, method, decoder):
        assert (method, decoder) == ("timbre", "none")

    def deserialize_track(self, track):
        return int(track)

    def set_style(self, tracks):
        self.asked.append(tracks)

    def add_tracks(self, numbered):
        self.known = dict(numbered)

    def compute_similarity(self, seed, numbered):
        assert self.known[seed[0]] == seed[1]
        unknown = [np.nan if 9 in (seed[1], track) else 0 for _, track in numbered]
        return [abs(seed[1] - track) / 10 + nan for (_, track), nan in zip(numbered, unknown)]


def test_a_table_of_distances_and_songs_without_a_track(monkeypatch):
    monkeypatch.setitem(sys.modules, "pymusly", SimpleNamespace(MuslyJukebox=FakeJukebox))
    tracks = [b"1", b"", b"3", b"4", b"9"]
    style = style_of(tracks, np.array([True, True, True, False, False]), seed=0)
    assert sorted(style) == [0, 2], "fitted, and with a track"
    table = musly_table(tracks, style)
    assert FakeJukebox.asked[-1] == [int(tracks[i]) for i in style]
    assert np.array_equal(table, table.T) and (np.diag(table) == 0).all()
    assert np.allclose(table[0, [2, 3]], [0.2, 0.3])
    assert (table[1, [0, 2, 3, 4]] == 1).all() and (table[4, :4] == 1).all()


def test_without_any_track_there_is_a_reason():
    found = musly_distances([b"", b""], np.array([True, True]))
    assert isinstance(found, Crash) and "none of the songs" in found


def test_a_broken_file_is_unread_and_the_others_are_not(tmp_path):
    pytest.importorskip("pymusly")
    rng = np.random.default_rng(0)
    paths = [tmp_path / f"{name}.wav" for name in ("one", "two", "broken", "gone")]
    for path in paths[:2]:
        sf.write(path, rng.normal(0, 0.1, 5 * 22050), 22050)
    paths[2].write_bytes(b"RIFF and no sound")
    tracks = players.musly_tracks(map(str, paths), workers=1)
    assert [bool(track) for track in tracks] == [True, True, False, False]
    again = players.musly_track(paths[0])
    assert again == tracks[0], "the same sound, the same track"


# Distances as points


@pytest.mark.parametrize("pooling", POOLINGS)
def test_neighbours_are_those_of_the_distances_under_each_pooling(pooling):
    rng = np.random.default_rng(0)
    distances = np.triu(rng.random((30, 30)), 1)
    distances += distances.T
    vectors = pool_songs(embed_distances(distances)[:, None], pooling)
    found = squared_distances(vectors, vectors)
    for given, kept in zip(distances, found):
        assert np.array_equal(given.argsort()[1:], kept.argsort()[1:])


# Mutual proximity


def distances_with_a_hub(songs=150, dimension=40):
    "Distances of a cloud whose first point is its middle."
    cloud = np.random.default_rng(0).normal(size=(songs, dimension))
    cloud[0] = 0
    return np.sqrt(squared_distances(cloud, cloud)) * (1 - np.eye(songs))


def test_mutual_proximity_is_a_symmetric_share():
    found = mutual_proximity(distances_with_a_hub())
    assert np.array_equal(found, found.T) and (np.diag(found) == 0).all()
    assert found.min() >= 0 and found.max() <= 1
    assert np.allclose(mutual_proximity(7 * distances_with_a_hub()), found), "units do not count"


def test_mutual_proximity_takes_a_hub_away():
    plain = distances_with_a_hub()
    before, after = (count_occurrences(each) for each in (plain, mutual_proximity(plain)))
    assert before[0] > 100, "a hub was made"
    assert after[0] < 30 and skew(after) < skew(before) / 3
    assert before.sum() == after.sum() == 150 * 10


def test_few_songs_and_level_ones():
    same = mutual_proximity(np.zeros((4, 4)))
    assert np.isfinite(same).all()
    assert count_occurrences(np.ones((4, 4)) - np.eye(4)).tolist() == [3] * 4


def test_own_artists_are_left_out():
    "Two genres of two artists each: by genre without the filter, by nothing else with it."
    genres = np.repeat([0, 1], 20)
    artists = np.repeat([0, 1, 2, 3], 10)
    vectors = np.random.default_rng(0).normal(size=(40, 4)) + 9 * np.eye(4)[artists]
    rows = hub_scores({"artists": vectors}, genres, artists)
    free = hub_scores({"artists": vectors}, genres, None)
    assert rows["precision_at_10"].max() < 0.7 < free["precision_at_10"].min()
    assert list(rows["ranked_by"]) == ["distance", "mutual proximity"]


# The same choices


def test_pca_has_the_choices_of_the_nets():
    "As many dimensions, and patches of the same length, by default and in each profile."
    folder = notebooks_folder()
    defaults = {notebook.name: notebook.parameters for notebook in chapters(folder)}
    pca, nets = defaults["02_baselines"], defaults["03_ali"]
    for profile in ({}, *(load_profile(folder, name) for name in profiles(folder))):
        ours, theirs = nets | profile, pca | profile
        assert ours["latent_dim"] == theirs["components"]
        assert ours["patch_frames"] == theirs["patch_frames"]
