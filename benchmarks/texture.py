"""What each part of texture with agreement gives, on a corpus for choosing.

    python benchmarks/texture.py data/runs/choose

It takes a run whose chapters 01 and 02 are done, fits each variant on the songs that are not held
out, and writes a row for each to nbs/experiments/texture.csv: the AMI of k-means above its null,
the AMI of one song an artist, and P@10 and MAP among other artists; of held-out songs, by codes of
unit length.
"""

import argparse
from functools import partial
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


def measure(vectors: np.ndarray, ruler: Ruler, genres: int) -> dict[str, float]:
    "The four scores of one vector a song, by clusterings into so many genres."
    groups = np.array([cluster(vectors, genres, "k-means", seed) for seed in range(5)])
    found = measure_view(ruler, vectors, {"k-means": groups})
    return {SCORES[row["score"]]: row["kept"][0] for row in found if row["score"] in SCORES}


def main() -> None:
    "Fit, measure, and write the table."
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("run", type=Path, help="folder of a run on the corpus for choosing")
    run = parser.parse_args().run
    torch.set_num_threads(1)
    examples, songs = load_examples(run)
    held = pd.read_csv(run / "02_baselines" / "split.csv")["held_out"].to_numpy()
    genres = songs["genre"].to_numpy()[held]
    artists = songs["artist"].map(same_name).to_numpy()[held]
    score = partial(measure, ruler=make_ruler(genres, artists), genres=len(set(genres)))
    fitted = examples[~held].reshape(-1, *examples.shape[2:])
    heard = examples[held].reshape(-1, *examples.shape[2:])
    of_song = np.repeat(np.flatnonzero(~held), examples.shape[1])
    rows = {}
    for name, file in RIVALS.items():
        codes = np.load(run / "02_baselines" / f"{file}.npy", mmap_mode="r")
        rows[name] = score(pool_songs(codes[held], POOLING))
    for name, estimator in tqdm(variants().items(), desc="texture"):
        learns = isinstance(estimator, TextureEmbedding)
        estimator.fit(fitted, **dict(songs=of_song) if learns else {})
        codes = estimator.transform(heard).reshape(held.sum(), examples.shape[1], -1)
        rows[name] = score(pool_songs(codes, POOLING))
    table = pd.DataFrame(rows).T.rename_axis("embedding").round(4)
    table.to_csv(home() / "nbs" / "experiments" / "texture.csv")
    print(table)


if __name__ == "__main__":
    main()
