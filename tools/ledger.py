"""Trains and scores variants of the embedding, one after another: a row a variant and seed.

    python tools/ledger.py --run data/runs/demo
    python tools/ledger.py --run data/runs/demo --row "agreement alone" --seed 0

What is tried, and why, stands in nbs/experiments/variants.yaml. A variant is fitted on the songs of
a finished run that are not held out, and scored on the others; one with a `title` is that row of
the run itself. What stands in the ledger with the same recipe is not done again; a training that
was interrupted goes on from its checkpoint.
"""

import argparse
import json
from dataclasses import dataclass, field
from pathlib import Path
from time import process_time

import numpy as np
import pandas as pd
import torch
import yaml
from sklearn.cluster import KMeans
from sklearn.metrics import adjusted_mutual_info_score

from song_metric.ali import ALIEmbedding, game_health
from song_metric.files import RunError, atomic_write
from song_metric.metric import Patches, cut_patches, pool_songs
from song_metric.names import same_name
from song_metric.register import Embedding, registered
from song_metric.retrieval import retrieval
from song_metric.ruler import one_song_each
from song_metric.runs import cache_home, read_artifact
from song_metric.spectrograms import load_examples

BESIDE = Path(__file__).resolve().parent.parent / "nbs/experiments"
KEY = ["variant", "seed", "corpus"]
STARTS = 10  # of k-means
DRAWS = 200  # of one song an artist
LOOKS = 8  # parts of a training; a checkpoint ends each
JUDGED = 512  # patches with which the game is judged
NO_PAIRING = dict(pairing_auc=np.nan, share_of_pairing=np.nan)  # of what has no discriminator


@dataclass(frozen=True)
class Variant:
    "One thing that was tried."

    name: str
    about: str  # what it is, and why it was tried
    updates: int = 0
    settings: dict = field(default_factory=dict)  # of `ALIEmbedding`
    frames: int = 8  # of a patch
    title: str = ""  # in the run's register, where the report has it

    def recipe(self) -> str:
        "All that its result depends on, beside the seed and the songs, as JSON."
        if self.title:
            return json.dumps(dict(title=self.title))
        known = dict(self.settings, updates=self.updates, frames=self.frames)
        return json.dumps(known, sort_keys=True)


def read_variants(path: Path) -> list[Variant]:
    "The variants that a YAML file declares, family by family."
    found = []
    for family in yaml.safe_load(path.read_text(encoding="utf-8"))["families"]:
        for one in family["variants"]:
            settings = family.get("settings", {}) | one.get("settings", {})
            found.append(Variant(**one | dict(settings=settings)))
    return found


@dataclass(frozen=True)
class Corpus:
    "The examples of a run, and what its songs are."

    run: Path
    examples: np.ndarray  # (song, example, band, frame)
    held: np.ndarray  # which songs are scored, and not learned from
    genres: np.ndarray
    artists: np.ndarray  # numbers


def load_corpus(run: Path) -> Corpus:
    "What a finished run knows of its songs."
    examples, songs = load_examples(run)
    held = pd.read_csv(read_artifact(run, "02_baselines", "split.csv"))["held_out"].to_numpy()
    artists = pd.factorize(songs["artist"].map(same_name))[0]
    return Corpus(run, examples, held, songs["genre"].to_numpy(), artists)


def ami(vectors: np.ndarray, genres: np.ndarray, starts: int) -> float:
    "The mean adjusted mutual information of genres and clusters, over starts of k-means."
    means = KMeans(len(set(genres)), n_init=1)
    found = [means.set_params(random_state=start).fit_predict(vectors) for start in range(starts)]
    return float(np.mean([adjusted_mutual_info_score(genres, groups) for groups in found]))


def scores_of(vectors: np.ndarray, corpus: Corpus) -> dict[str, float]:
    "Scores of the vectors `(song, dimension)` of songs held out, mostly among other artists."
    genres, artists = corpus.genres[corpus.held], corpus.artists[corpus.held]
    rng = np.random.default_rng(0)
    draws = [one_song_each(artists, rng) for _ in range(DRAWS)]
    precision, mean_precision, _ = np.nanmean(retrieval(vectors, genres, artists), axis=0)
    return {
        "ami": ami(vectors, genres, STARTS),
        "one_song_ami": np.mean([ami(vectors[some], genres[some], 3) for some in draws]),
        "precision_at_10": precision,
        "map": mean_precision,
    }


def pairing_of(net: ALIEmbedding, corpus: Corpus) -> dict[str, float]:
    "What the discriminator makes of pairs of patches and codes of songs held out."
    if not net.share or not net.history_:
        return NO_PAIRING
    count, frames = corpus.held.sum() * corpus.examples.shape[1], net.shape_[1]
    drawn = np.random.default_rng(0).permutation(count)[:JUDGED]
    songs = np.flatnonzero(corpus.held)[drawn // corpus.examples.shape[1]]
    some = np.asarray(corpus.examples[songs, drawn % corpus.examples.shape[1]])
    health = game_health(net, cut_patches(some, frames)[:: some.shape[2] // frames], songs)
    return {name: health[name] for name in NO_PAIRING}


class Stopwatch:
    "Seconds of computing since it was last asked, as a column of the history."

    def __init__(self):
        self.last = process_time()

    def __call__(self, ali: ALIEmbedding, epoch: int) -> dict[str, float]:
        "As `ALIEmbedding` calls it."
        before, self.last = self.last, process_time()
        return {"computed": self.last - before}


def train(variant: Variant, seed: int, corpus: Corpus, checkpoint: Path) -> Patches:
    "A variant fitted on the songs that are not held out."
    looks = min(LOOKS, variant.updates)
    net = ALIEmbedding(
        epochs=looks,
        batches=-(-variant.updates // max(1, looks)),
        random_state=seed,
        device="cpu",
        checkpoint=checkpoint,
        callback=Stopwatch(),
        **variant.settings,
    )
    per_song, *shape = corpus.examples.shape[1:]
    known = np.ascontiguousarray(corpus.examples[~corpus.held]).reshape(-1, *shape)
    songs = np.repeat(np.flatnonzero(~corpus.held), per_song)
    return Patches(net, variant.frames).fit(known, songs=songs)


def trained_row(variant: Variant, seed: int, corpus: Corpus, checkpoint: Path) -> dict:
    "What a variant cost, and its scores."
    embedding = train(variant, seed, corpus, checkpoint)
    net = embedding.embedding_
    heard = np.asarray(corpus.examples[corpus.held])
    codes = embedding.transform(heard.reshape(-1, *heard.shape[2:]))
    vectors = pool_songs(codes.reshape(*heard.shape[:2], *codes.shape[1:]), "directions")
    seconds = round(sum(epoch["computed"] for epoch in net.history_))
    return dict(seconds=seconds, **scores_of(vectors, corpus), **pairing_of(net, corpus))


def row_of_run(found: Embedding, seed: int, corpus: Corpus) -> dict:
    "What an embedding of the run's register cost, and its scores."
    vectors = pool_songs(found.load(corpus.run)[seed][corpus.held], "directions")
    weights = (corpus.run / found.files[seed]).with_suffix(".safetensors")
    pairing = NO_PAIRING
    if weights.exists():
        pairing = pairing_of(ALIEmbedding.load(weights, device="cpu"), corpus)
    return dict(seconds=found.seconds, **scores_of(vectors, corpus), **pairing)


def make_row(variant: Variant, seed: int, corpus: Corpus) -> dict | None:
    "The row of a variant and a seed; None where the run has no training from that seed."
    row = dict(variant=variant.name, seed=seed, corpus=corpus.run.name, updates=variant.updates)
    if variant.title:
        found = {embedding.title: embedding for embedding in registered(corpus.run)}[variant.title]
        if seed >= found.trainings:
            return None
        return row | row_of_run(found, seed, corpus) | dict(recipe=variant.recipe())
    folder = cache_home() / "ledger"
    folder.mkdir(parents=True, exist_ok=True)
    checkpoint = folder / f"{variant.name} {seed}.safetensors".replace(" ", "-")
    row |= trained_row(variant, seed, corpus, checkpoint)
    checkpoint.unlink(missing_ok=True)
    return row | dict(recipe=variant.recipe())


def read_ledger(path: Path) -> pd.DataFrame:
    "The rows that there are."
    return pd.read_csv(path) if path.exists() else pd.DataFrame(columns=[*KEY, "recipe"])


def is_done(ledger: pd.DataFrame, variant: Variant, seed: int, corpus: str) -> bool:
    "Whether the row stands there, made by the same recipe."
    wanted = [variant.name, seed, corpus, variant.recipe()]
    return bool((ledger[[*KEY, "recipe"]] == wanted).all(axis=1).any())


def write_row(path: Path, row: dict) -> None:
    "Put a row into the ledger, in place of one with the same key."
    ledger = read_ledger(path)
    others = (ledger[KEY] != [row[name] for name in KEY]).any(axis=1)
    ledger = pd.DataFrame([*ledger[others].to_dict("records"), row])
    columns = [*(name for name in ledger if name != "recipe"), "recipe"]
    with atomic_write(path) as aside:
        ledger[columns].round(4).to_csv(aside, index=False, lineterminator="\n")


def parse_arguments() -> argparse.Namespace:
    "The command line."
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--run", type=Path, required=True, help="folder of a finished run")
    parser.add_argument("--row", nargs="*", default=[], help="names of variants; without: all")
    parser.add_argument("--seed", nargs="*", type=int, default=[0, 1, 2])
    parser.add_argument("--variants", type=Path, default=BESIDE / "variants.yaml")
    parser.add_argument("--ledger", type=Path, default=BESIDE / "ledger.csv")
    return parser.parse_args()


def main() -> None:
    "Make the rows that were asked for, and that are not there."
    args = parse_arguments()
    torch.set_num_threads(1)
    torch.set_flush_denormal(True)
    variants = read_variants(args.variants)
    unknown = set(args.row) - {variant.name for variant in variants}
    if unknown:
        raise RunError(f"{args.variants.name} has no variant {', '.join(sorted(unknown))}.")
    corpus = load_corpus(args.run)
    asked = [variant for variant in variants if not args.row or variant.name in args.row]
    for variant, seed in [(variant, seed) for variant in asked for seed in args.seed]:
        if is_done(read_ledger(args.ledger), variant, seed, args.run.name):
            continue
        print(f"{variant.name}, seed {seed}", flush=True)
        if row := make_row(variant, seed, corpus):
            write_row(args.ledger, row)


if __name__ == "__main__":
    try:
        main()
    except RunError as error:
        raise SystemExit(str(error)) from None
