"""What each part of texture with agreement gives, on a corpus for choosing.

    python benchmarks/texture.py data/runs/choose

It takes a run whose chapters 01 and 02 are done, fits each variant on the songs that are not held
out, and writes a row for each to nbs/experiments/texture.csv: the AMI of k-means above its null,
the AMI of one song an artist, and P@10 and MAP among other artists; of held-out songs, by codes of
unit length. What the map and the net give when they are fitted on few songs, those of so many
bands, goes to nbs/experiments/few_songs.csv.
"""

import argparse
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from sklearn.base import BaseEstimator
from tqdm import tqdm

from song_metric.evaluation import cluster, measure_view
from song_metric.metric import pool_songs
from song_metric.names import same_name
from song_metric.recipe import POOLING
from song_metric.ruler import Ruler, make_ruler
from song_metric.runs import home
from song_metric.spectrograms import load_examples
from song_metric.texture import TextureEmbedding, TextureStatistics

RIVALS = {  # name → file of chapter 02
    "MFCC statistics": "mfcc",
    "log-covariance MFCC": "log_covariance",
    "musly": "musly",
    "musly, PCA": "musly_pca",
}
SCORES = {
    "ami": "excess AMI",
    "one_song_ami": "one song an artist",
    "precision_at_10_others": "P@10, other artists",
    "map_others": "MAP, other artists",
}


def variants() -> dict[str, BaseEstimator]:
    "What is compared, by its name in the table."
    common = dict(progress=False, device="cpu")
    return {
        "statistics, standardised": TextureStatistics(),
        "their directions that songs keep": TextureEmbedding(epochs=0, **common),
        "texture with agreement": TextureEmbedding(**common),
        "with another seed": TextureEmbedding(random_state=1, **common),
        "temperature .2": TextureEmbedding(temperature=0.2, **common),
        "no dropout": TextureEmbedding(dropout=0.0, **common),
        "64 directions": TextureEmbedding(directions=64, **common),
        "batches of 256": TextureEmbedding(batch_size=256, **common),
    }


FEW = 90, 180, 360, 720  # songs


def by_count() -> dict[str, BaseEstimator]:
    "What is fitted on few songs, by its name in the table."
    common = dict(progress=False, device="cpu")
    return {
        "statistics, standardised": TextureStatistics(),
        "directions, ridge .3": TextureEmbedding(epochs=0, enough=0, **common),
        "directions": TextureEmbedding(epochs=0, **common),
        "net": TextureEmbedding(enough=0, **common),
    }


def of_bands(bands: np.ndarray, count: int) -> np.ndarray:
    "Positions of `count` songs, band by band in random order, from `bands` `(song,)`."
    order = np.random.default_rng(0).permutation(np.unique(bands))
    songs = np.concatenate([np.flatnonzero(bands == band) for band in order])
    return np.sort(songs[:count])


@dataclass(frozen=True)
class Corpus:
    "A run's examples `(song, example, band, frame)`, and which songs are held out."

    run: Path
    examples: np.ndarray
    songs: pd.DataFrame
    held: np.ndarray

    @cached_property
    def ruler(self) -> Ruler:
        "That of the songs held out."
        kept = self.songs[self.held]
        return make_ruler(kept["genre"].to_numpy(), kept["artist"].map(same_name).to_numpy())

    def score(self, codes: np.ndarray) -> dict[str, float]:
        "The four scores of the held-out songs' codes `(song, code, dimension)`."
        genres = self.songs["genre"][self.held].nunique()
        return measure(pool_songs(codes, POOLING), self.ruler, genres)

    def fit(self, estimator: BaseEstimator, fitted: np.ndarray) -> dict[str, float]:
        "The scores after fitting on the songs `fitted` (positions)."
        X = self.examples[fitted].reshape(-1, *self.examples.shape[2:])
        learns = isinstance(estimator, TextureEmbedding)
        songs = dict(songs=np.repeat(fitted, self.examples.shape[1])) if learns else {}
        heard = self.examples[self.held].reshape(-1, *self.examples.shape[2:])
        codes = estimator.fit(X, **songs).transform(heard)
        return self.score(codes.reshape(self.held.sum(), self.examples.shape[1], -1))


def measure(vectors: np.ndarray, ruler: Ruler, genres: int) -> dict[str, float]:
    "The four scores of one vector a song, by clusterings into so many genres."
    groups = np.array([cluster(vectors, genres, "k-means", seed) for seed in range(5)])
    found = measure_view(ruler, vectors, {"k-means": groups})
    return {SCORES[row["score"]]: row["kept"][0] for row in found if row["score"] in SCORES}


def load(run: Path) -> Corpus:
    "The corpus of a run whose chapters 01 and 02 are done."
    examples, songs = load_examples(run)
    split = pd.read_csv(run / "02_baselines" / "split.csv")
    return Corpus(run, examples, songs, split["held_out"].to_numpy())


def compare_parts(corpus: Corpus) -> pd.DataFrame:
    "A row for each rival and each variant."
    rows = {}
    for name, file in RIVALS.items():
        codes = np.load(corpus.run / "02_baselines" / f"{file}.npy", mmap_mode="r")
        rows[name] = corpus.score(codes[corpus.held])
    fitted = np.flatnonzero(~corpus.held)
    for name, estimator in tqdm(variants().items(), desc="texture"):
        rows[name] = corpus.fit(estimator, fitted)
    return pd.DataFrame(rows).T.rename_axis("embedding").round(4)


def compare_counts(corpus: Corpus) -> pd.DataFrame:
    "A row for each number of songs that are fitted, and each of `by_count`."
    known = np.flatnonzero(~corpus.held)
    bands = corpus.songs["artist"].to_numpy(str)[known]
    rows = {}
    for count in tqdm(FEW, desc="few songs"):
        fitted = known[of_bands(bands, count)]
        for name, estimator in by_count().items():
            rows[count, name] = corpus.fit(estimator, fitted)
    table = pd.DataFrame(rows).T.rename_axis(["songs", "embedding"])
    return table.round(4)


TABLES = {"texture": compare_parts, "few_songs": compare_counts}


def main() -> None:
    "Fit, measure, and write the tables."
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("run", type=Path, help="folder of a run on the corpus for choosing")
    parser.add_argument("--only", choices=TABLES, help="one of the two tables")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    corpus = load(arguments.run)
    for name, compare in TABLES.items():
        if arguments.only in (None, name):
            table = compare(corpus)
            table.to_csv(home() / "nbs" / "experiments" / f"{name}.csv")
            print(table)


if __name__ == "__main__":
    main()
