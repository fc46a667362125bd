"""Spaces judged by albums that they never met.

    python benchmarks/albums.py data/runs/recordings data/runs/choose

The first run holds recordings whose label is the album, the second a composed corpus; of both,
chapter 01 has to be done. Four albums are drawn, again and again, and kept aside; what learns,
learns from the songs of the others, or from the composed songs, or from both. Then the songs of
the four albums are told apart: V-measure and AMI of k-means and of mixtures, and P@10, by codes of
unit length, of MFCC statistics also as they come, each cell under the pooling that is best in it. A
row for each space and score goes to nbs/experiments/albums.csv: the mean over the draws, how far it
is above that of MFCC statistics, and in how many draws. Draws share albums; so the interval of the
difference, of 95 %, is that of Nadeau & Bengio (2003), which allows for it.
"""

import argparse
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from scipy.stats import t
from tqdm import trange

from song_metric.baselines import (
    MFCCStatistics,
    log_covariance,
    standardised,
    unit_length,
)
from song_metric.evaluation import score_view
from song_metric.metric import pool_songs
from song_metric.recipe import POOLING
from song_metric.runs import home
from song_metric.spectrograms import load_examples
from song_metric.texture import Corpus, TextureStatistics, mixed_embedding, texture_statistics

ASIDE, DRAWS = 4, 20  # albums kept aside; how often they are drawn
SEEDS = range(3)  # of the clusterers
MFCC = "MFCC statistics"
CELLS = {
    ("k-means", "v_measure"): "k-means V",
    ("k-means", "ami"): "k-means AMI",
    ("gmm-diag", "v_measure"): "mixture V",
    ("gmm-diag", "ami"): "mixture AMI",
    ("k-means", "precision_at_10"): "P@10",
}


@dataclass(frozen=True)
class Songs:
    "Examples `(song, example, band, frame)` and their statistics `(song, example, number)`."

    examples: np.ndarray
    statistics: np.ndarray
    labels: np.ndarray

    def corpus(self, chosen: np.ndarray, share: float) -> Corpus:
        "The statistics of the songs `chosen` (bool), with their share in a mixture."
        rows = self.statistics[chosen]
        songs = np.repeat(np.arange(len(rows)), rows.shape[1])
        return Corpus(rows.reshape(-1, rows.shape[-1]), songs, share)


def load(run: Path) -> Songs:
    "The songs of a run whose chapter 01 is done."
    examples, songs = load_examples(run)
    rows = [texture_statistics(song) for song in examples]
    return Songs(examples, np.stack(rows), songs["genre"].to_numpy(str))


def flat(examples: np.ndarray) -> np.ndarray:
    "Examples `(song, example, band, frame)` without regard to songs."
    return examples.reshape(-1, *examples.shape[2:])


def spaces(heard: Songs, composed: Songs, aside: np.ndarray) -> dict[str, list[np.ndarray]]:
    "Vectors of the songs `aside` (bool), by space: of MFCC statistics under each pooling."
    known, shape = ~aside, heard.examples.shape[2:]
    mfcc = MFCCStatistics().fit(flat(heard.examples[known]))
    described = np.array([log_covariance(song) for song in heard.examples])
    plain = TextureStatistics().fit(flat(heard.examples[known]))
    every = np.ones(len(composed.labels), bool)

    def pooled(embedding, *poolings):
        codes = embedding.transform(flat(heard.examples[aside]))
        codes = codes.reshape(aside.sum(), heard.examples.shape[1], -1)
        return [pool_songs(codes, pooling) for pooling in poolings or (POOLING,)]

    def mixed(share):
        both = [heard.corpus(known, share), composed.corpus(every, 1 - share)]
        return pooled(mixed_embedding(shape, both))

    return {
        MFCC: pooled(mfcc, "mean", "wasserstein", POOLING),
        "log-covariance MFCC": [unit_length(standardised(described, known))[aside]],
        "texture statistics": pooled(plain),
        "directions of composed songs": mixed(0.0),
        "directions of other albums": mixed(1.0),
        "directions of both": mixed(0.5),
    }


def best_cells(views: list[np.ndarray], labels: np.ndarray) -> dict[str, float]:
    "Each cell of the table, under the pooling that is best in it."
    song = np.arange(len(labels))
    rows = [row for view in views for row in score_view(view, labels, song, list(SEEDS))]
    return {
        name: max(row[score] for row in rows if row["clusterer"] == clusterer)
        for (clusterer, score), name in CELLS.items()
    }


def compare(ours: pd.Series, theirs: pd.Series, share: float) -> dict[str, float]:
    """How far one score is above another, from values of both by draw, and between what.

    `share`: albums kept aside, by those that are not."""
    apart = ours - theirs
    error = np.sqrt(apart.var() * (1 / len(apart) + share))
    reach = t.ppf(0.975, len(apart) - 1) * error
    mean = apart.mean()
    return dict(difference=mean, low=mean - reach, high=mean + reach, ahead=int((apart > 0).sum()))


def summarise(found: pd.DataFrame, albums: int) -> pd.DataFrame:
    "A row for each space and score, from (space, draw) rows."
    share = ASIDE / (albums - ASIDE)
    rows = []
    for space in found.index.unique("space"):
        for score in found:
            ours = found.loc[space, score]
            row = dict(space=space, score=score, value=ours.mean(), deviation=ours.std())
            rows.append(row | compare(ours, found.loc[MFCC, score], share))
    return pd.DataFrame(rows).round(4)


def main() -> None:
    "Draw, fit, measure, and write the table."
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("recordings", type=Path, help="folder of a run on recordings")
    parser.add_argument("composed", type=Path, help="folder of a run on composed songs")
    arguments = parser.parse_args()
    heard, composed = load(arguments.recordings), load(arguments.composed)
    albums = np.unique(heard.labels)
    rows = {}
    for draw in trange(DRAWS, desc="draws"):
        chosen = np.random.default_rng(draw).permutation(albums)[:ASIDE]
        aside = np.isin(heard.labels, chosen)
        for name, views in spaces(heard, composed, aside).items():
            rows[name, draw] = best_cells(views, heard.labels[aside])
    found = pd.DataFrame(rows).T.rename_axis(["space", "draw"])
    table = summarise(found, len(albums))
    table.to_csv(home() / "nbs" / "experiments" / "albums.csv", index=False)
    print(table)


if __name__ == "__main__":
    main()
