"""What a space costs: loading, encoding a file, a query, and a path among up to a million songs.

Large spaces are drawn from a run's own vectors: points between neighbours, with noise, so that they
lie as real songs lie and not in a ball. Each time is the least and the median of its repeats, and
the processor time of the process, all threads together: on a busy machine that and the least say
what the code costs.

    python benchmarks/space.py data/runs/demo/06_playlists/space [--songs 100000 1000000]
"""

import argparse
import tempfile
from pathlib import Path
from time import perf_counter, process_time

import numpy as np
import pandas as pd

from song_metric.growing import read_song
from song_metric.playlists import path
from song_metric.search import exact_search
from song_metric.space import SongSpace

PART = 100_000  # songs made at a time: a million fill half a gigabyte once, not four times


def between(space: SongSpace, songs: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    "Vectors of made-up songs, each between a real one and a neighbour of it; and the real ones."
    draw = np.random.default_rng(seed)
    near, distance = space.neighbours(10)
    a = draw.integers(0, len(space), songs)
    b = near[a, draw.integers(0, near.shape[1], songs)]
    dimension = space.vectors.shape[1]
    spread = np.median(distance[:, 0]) / np.sqrt(dimension) / 4
    vectors = np.empty((songs, dimension), np.float32)
    for i in range(0, songs, PART):
        part = slice(i, i + PART)
        share = draw.random((len(a[part]), 1), dtype=np.float32)
        noise = spread * draw.standard_normal((len(share), dimension), dtype=np.float32)
        ends = space.vectors[a[part]] * (1 - share) + space.vectors[b[part]] * share
        vectors[part] = ends + noise
    return vectors, a


def enlarged(space: SongSpace, songs: int, seed: int = 0) -> SongSpace:
    "A space of `songs` made-up songs among the real ones."
    vectors, real = between(space, songs, seed)
    rows = dict.fromkeys(space.songs.columns, "") | dict(
        song_id=np.arange(songs).astype(str),
        genre="x",
        artist=np.char.add("Artist ", real.astype(str)),
        duration=1.0,
    )
    return SongSpace(vectors, pd.DataFrame(rows))


def timed(call, arguments) -> np.ndarray:
    "Seconds of the clock and of the processor that each call takes `(call, 2)`."
    times = []
    for these in arguments:
        start = np.array([perf_counter(), process_time()])
        call(*these)
        times.append(np.array([perf_counter(), process_time()]) - start)
    return np.array(times)


def verdict(clock: np.ndarray, processor: np.ndarray, limit: float) -> str:
    "Whether a limit is kept, by the clock and by the processor."
    if np.median(clock) <= limit:
        return "kept"
    if clock.min() <= limit:
        return "kept at best"
    return "MISSED by the clock" if np.median(processor) <= limit else "MISSED"


def shown(name: str, seconds: np.ndarray, limit: float, unit: str = "s") -> None:
    "One line: least and median, and the limit that the project has set itself."
    scale = 1000 if unit == "ms" else 1
    clock, processor = seconds.T
    times = f"least {scale * clock.min():.2f}, median {scale * np.median(clock):.2f} {unit}"
    work = f"of the processor {scale * np.median(processor):.2f} {unit}"
    word = verdict(clock, processor, limit)
    print(f"{name}: {times}, {work} (limit {scale * limit:g} {unit}: {word})", flush=True)


def small(folder) -> SongSpace:
    "Loading a saved space, and what a file costs."
    shown("loading the space", timed(SongSpace.load, [(folder,)] * 3), 1)
    space = SongSpace.load(folder)
    print(space)
    files = [place for place in space.songs["path"] if place and Path(place).is_file()][:20]
    if files and space.recipe.weights:
        encoding(space, files)
    return space


def encoding(space: SongSpace, files: list[str]) -> None:
    "What known and new files cost."
    each = [(file,) for file in files]
    space.encode_file(files[0])  # the first call loads torch
    recipe = space.recipe

    def read(file):
        return read_song(("x", file), recipe.settings, recipe.seed)

    examples = read(files[0]).examples
    shown("reading a file and drawing its spectrograms", timed(read, each), 0.3)
    encode = space.encoder.encode_examples
    shown("encoding its examples", timed(encode, [(examples,)] * 20), 0.3)
    shown("a known file, read, encoded and recognised", timed(space.encode_file, each), 0.3)
    new = ~space.songs["path"].isin(files).to_numpy()
    rest = SongSpace(space.vectors[new], space.songs[new], recipe)
    rest.encode_file(files[0])
    shown("a new file, read, encoded and compared", timed(rest.encode_file, each), 0.3)


def recall(space: SongSpace, asked: np.ndarray) -> float:
    "The share of the ten nearest that the index finds, against exact search."
    hits = []
    for i in asked:
        found = space.nearest_positions(int(i))[0]
        truth = exact_search(space.vectors, space.near.squares, space.vectors[i], 11)[0]
        hits.append(len(np.intersect1d(found, truth[truth != i])) / 10)
    return float(np.mean(hits))


def large(space: SongSpace, songs: int) -> None:
    "Index, queries, paths and loading of an enlarged space."
    many = enlarged(space, songs)
    start = perf_counter()
    many.near.ensure_index()
    took = perf_counter() - start
    index = many.near.index
    read = "exact" if index is None else f"{index.nprobe} of {index.nlist} cells read"
    print(f"\n{songs:,} songs × {many.vectors.shape[1]}: index built in {took:.0f} s, {read}")
    print(f"recall@10 {many.near.recall:.4f}", flush=True)
    asked = np.random.default_rng(1).integers(0, songs, 300)
    limit = 0.001 if songs <= 100_000 else 0.002
    for call in (many.nearest_positions, many.nearest):
        shown(call.__name__, timed(call, [(int(i),) for i in asked]), limit, "ms")
    print(f"recall@10 of 100 other queries, against exact search: {recall(many, asked[:100]):.4f}")
    pairs = [(many, int(a), int(b), 12) for a, b in asked[:40].reshape(-1, 2) if a != b]
    shown("path of 12", timed(path, pairs), 1 if songs <= 100_000 else 10)
    with tempfile.TemporaryDirectory() as tmp:
        many.save(tmp)
        shown(f"loading {songs:,} songs", timed(SongSpace.load, [(tmp,)] * 2), 60)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("space")
    parser.add_argument("--songs", type=int, nargs="*", default=[100_000, 1_000_000])
    args = parser.parse_args()
    space = small(args.space)
    for songs in args.songs:
        large(space, songs)


if __name__ == "__main__":
    main()
