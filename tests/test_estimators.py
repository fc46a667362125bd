"""scikit-learn's own checks of an estimator, of all embeddings.

The checks speak of tables, `(sample, feature)`, and an embedding takes examples `(example, band,
frame)`. So each row becomes an example: every feature stands in four bands, and in four frames.
"""

import numpy as np
import pytest
import torch
from scipy.sparse import issparse
from sklearn.utils.estimator_checks import parametrize_with_checks

from song_metric.ali import ALIEmbedding
from song_metric.baselines import MFCCStatistics, PCAEmbedding, RawEmbedding
from song_metric.metric import Patches
from song_metric.texture import TextureStatistics

BANDS, FRAMES = 4, 4  # of a feature
SHAPE = "its message tells the shapes of examples, where a table has features"
DIGITS = "codes are float32, and the check wants seven digits to be the same, wherever arrays lie"
PICKLE = "torch pickles no nets with spectral normalisation; `save` and `load` keep them"


@pytest.fixture(autouse=True, scope="module")
def one_thread():
    "Nets of two feature maps are no work to share."
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def as_examples_of(X):
    "Rows `(sample, feature)` as examples; what is no table goes on as it is, to be refused."
    if issparse(X) or np.asarray(X).ndim != 2:
        return X
    bands = np.repeat(np.asarray(X)[:, :, None], BANDS, axis=1)
    return np.repeat(bands, FRAMES, axis=2)


class OfTables:
    "An embedding that takes tables. It adds nothing to what the embedding itself checks."

    def fit(self, X, y=None):
        super().fit(as_examples_of(X))
        self.n_features_in_ //= BANDS * FRAMES
        return self

    def transform(self, X):
        return super().transform(as_examples_of(X))

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.input_tags.two_d_array = True
        tags.input_tags.three_d_array = False
        return tags


class RawOfTables(OfTables, RawEmbedding):
    pass


class PCAOfTables(OfTables, PCAEmbedding):
    pass


class MFCCOfTables(OfTables, MFCCStatistics):
    pass


class TextureOfTables(OfTables, TextureStatistics):
    pass


class PatchesOfTables(OfTables, Patches):
    "One patch an example, so that the codes are a table, too."

    def transform(self, X):
        return super().transform(X)[:, 0]


class ALIOfTables(OfTables, ALIEmbedding):
    pass


TINY = dict(epochs=1, batches=1, latent_dim=2, width=1, progress=False, device="cpu")
ESTIMATORS = [
    RawOfTables(),
    PCAOfTables(n_components=2),
    MFCCOfTables(n_mfcc=2),
    TextureOfTables(),
    PatchesOfTables(PCAEmbedding(2), frames=FRAMES),
    ALIOfTables(**TINY),
]


def expected_failures(estimator):
    "The checks that an estimator cannot pass, and why."
    checks = {"check_n_features_in_after_fitting": SHAPE, "check_fit2d_predict1d": SHAPE}
    if isinstance(estimator, (PCAEmbedding, Patches)):
        return checks | {"check_estimators_pickle": DIGITS}
    if isinstance(estimator, ALIEmbedding):
        checks["check_estimators_pickle"] = PICKLE
    return checks | {"check_estimators_empty_data_messages": SHAPE}


@parametrize_with_checks(ESTIMATORS, expected_failed_checks=expected_failures)
def test_scikit_learns_checks(estimator, check):
    check(estimator)


@pytest.mark.parametrize(
    "estimator",
    [
        RawEmbedding(),
        PCAEmbedding(2),
        MFCCStatistics(2),
        TextureStatistics(),
        Patches(PCAEmbedding(2), 4),
        ALIEmbedding(**TINY),
    ],
    ids=lambda estimator: type(estimator).__name__,
)
def test_what_it_takes_and_gives_has_names(estimator):
    X = np.random.default_rng(0).normal(size=(20, 4, 8))
    codes = estimator.fit(X).transform(X)
    assert estimator.n_features_in_ == 32
    assert len(estimator.get_feature_names_out()) == codes.shape[-1]
    assert estimator.__sklearn_tags__().input_tags.three_d_array
    assert not estimator.__sklearn_tags__().input_tags.two_d_array
    with pytest.raises(ValueError, match=r"fitted on examples of \(4, 8\), not \(8, 8\)"):
        estimator.transform(np.zeros((2, 8, 8)))


def test_a_random_state_may_be_a_generator():
    X = np.random.default_rng(0).normal(size=(20, 4, 8))
    one, same, other = [
        ALIEmbedding(**TINY | dict(random_state=np.random.RandomState(seed))).fit(X).transform(X)
        for seed in (0, 0, 1)
    ]
    assert np.array_equal(one, same) and not np.allclose(one, other)
