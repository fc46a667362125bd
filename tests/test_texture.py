"Statistics of texture, and the net that learns what of them a song keeps."

import numpy as np
import pytest

from song_metric.ali import ALIEmbedding
from song_metric.encoder import load_model
from song_metric.metric import pool_songs
from song_metric.texture import TextureEmbedding, TextureStatistics, song_directions

SMALL = dict(batch_size=32, batches=5, enough=0, progress=False, device="cpu")


@pytest.fixture(scope="module")
def heard() -> tuple[np.ndarray, np.ndarray]:
    "Examples `(example, band, frame)` of twelve songs, six each, and the song of each."
    rng = np.random.default_rng(0)
    songs = np.repeat(np.arange(12), 6)
    mixing = rng.normal(size=(12, 16, 16))[songs]
    moving = mixing @ rng.normal(size=(len(songs), 16, 32))
    return (0.5 + 0.05 * moving).astype(np.float32), songs


def test_it_learns_what_a_song_keeps(heard):
    examples, songs = heard
    known = songs < 8
    texture = TextureEmbedding(epochs=8, **SMALL).fit(examples[known], songs=songs[known])
    codes = texture.transform(examples[~known]).reshape(4, 6, -1)
    halves = [pool_songs(half, "directions") for half in (codes[:, :3], codes[:, 3:])]
    distances = np.linalg.norm(halves[0][:, None] - halves[1][None], axis=2)
    assert (distances.argmin(axis=1) == np.arange(4)).all(), "of songs that it never met"
    losses = [epoch["agreement_loss"] for epoch in texture.history_]
    assert losses[-1] < losses[0]


def test_a_training_that_was_stopped_ends_where_another_does(heard, tmp_path):
    examples, songs = heard
    options = SMALL | dict(epochs=4, checkpoint=tmp_path / "texture.safetensors")

    def stop(texture, epoch):
        if epoch == 3:
            raise KeyboardInterrupt
        return {}

    with pytest.raises(KeyboardInterrupt):
        TextureEmbedding(callback=stop, **options).fit(examples, songs=songs)
    gone_on = TextureEmbedding(**options).fit(examples, songs=songs)
    at_once = TextureEmbedding(epochs=4, **SMALL).fit(examples, songs=songs)
    assert len(gone_on.history_) == 4
    assert np.array_equal(gone_on.transform(examples), at_once.transform(examples))


def test_songs_have_to_be_told(heard):
    examples, songs = heard
    with pytest.raises(ValueError, match="song of each of the 72 examples"):
        TextureEmbedding(**SMALL).fit(examples)
    with pytest.raises(ValueError, match="two songs, and two examples of one"):
        TextureEmbedding(**SMALL).fit(examples, songs=np.zeros(len(examples)))
    texture = TextureEmbedding(epochs=0, **SMALL).fit(examples, songs=songs)
    with pytest.raises(ValueError, match=r"fitted on examples of \(16, 32\)"):
        texture.transform(examples[:, :8])


def test_there_are_no_more_directions_than_songs_have(heard):
    examples, songs = heard
    statistics = TextureStatistics().fit_transform(examples)
    assert song_directions(statistics, songs, 256).shape == (statistics.shape[1], 11)
    few = TextureEmbedding(epochs=0, **SMALL).fit(examples, songs=songs)
    assert few.transform(examples).shape == (72, 11) == (72, few._n_features_out)


def test_a_file_says_what_it_holds(heard, tmp_path):
    examples, songs = heard
    texture = TextureEmbedding(epochs=1, **SMALL).fit(examples, songs=songs)
    texture.save(tmp_path / "texture.safetensors")
    ALIEmbedding(epochs=0, width=2, device="cpu").fit(examples).save(tmp_path / "ali.safetensors")
    loaded = load_model(tmp_path / "texture.safetensors")
    assert np.array_equal(loaded.transform(examples), texture.transform(examples))
    assert loaded.settings() == texture.settings()
    assert isinstance(load_model(tmp_path / "ali.safetensors"), ALIEmbedding)
