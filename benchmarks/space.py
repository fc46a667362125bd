"""Milliseconds of a query, seconds of a path, seconds of loading and of encoding a file.

Large spaces are drawn from a run's own vectors: points between neighbours, with noise, so that they lie as real songs lie and not in a ball.

    python benchmarks/space.py data/runs/demo/06_playlists/space [--songs 100000]
"""
import argparse
import tempfile
from time import perf_counter

import numpy as np
import pandas as pd

from song_metric.playlists import path
from song_metric.space import SongSpace


def enlarged(space: SongSpace, songs: int, seed: int = 0) -> SongSpace:
    "A space of `songs` made-up songs among the real ones."
    draw = np.random.default_rng(seed)
    near, distance = space.neighbours(10)
    a = draw.integers(0, len(space), songs)
    b = near[a, draw.integers(0, near.shape[1], songs)]
    t, spread = draw.random((songs, 1), dtype=np.float32), np.median(distance[:, 0]) / np.sqrt(space.vectors.shape[1]) / 4
    vectors = space.vectors[a] * (1 - t) + space.vectors[b] * t + draw.normal(0, spread, (songs, space.vectors.shape[1])).astype(np.float32)
    rows = pd.DataFrame(dict(song_id=[str(i) for i in range(songs)], path="", genre="x", artist=[f"Artist {i}" for i in a], album="", title="", duration=1.0, source="", licence=""))
    return SongSpace(vectors, rows)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("space")
    parser.add_argument("--songs", type=int, default=100_000)
    args = parser.parse_args()
    start = perf_counter()
    space = SongSpace.load(args.space)
    print(f"loading {len(space):,} songs: {perf_counter() - start:.2f} s")
    file = next((place for place in space.songs["path"] if place), None)
    if file and space.encoder_path:
        space.encode_file(file)                     # the first call loads torch
        start = perf_counter()
        for place in space.songs["path"][:10]: space.encode_file(place)
        print(f"a file, decoded, encoded and looked up: {(perf_counter() - start) / 10:.3f} s")
    large = enlarged(space, args.songs)
    start = perf_counter()
    large.nearest(0)
    print(f"{args.songs:,} songs × {large.vectors.shape[1]}: index in {perf_counter() - start:.1f} s, recall@10 {large.recall:.4f}" + (f", {large.index.nprobe} cells of {large.index.nlist}" if large.index else ""))
    asked, times = np.random.default_rng(1).integers(0, len(large), 300), []
    for call in (large.nearest_positions, large.nearest):
        times = []
        for i in asked:
            start = perf_counter()
            call(int(i))
            times.append(1000 * (perf_counter() - start))
        print(f"{call.__name__}: median {np.median(times):.2f} ms, 95 % within {np.percentile(times, 95):.2f} ms")
    times = []
    for a, b in asked[:40].reshape(-1, 2):
        start = perf_counter()
        path(large, int(a), int(b), 12)
        times.append(perf_counter() - start)
    print(f"path of 12: median {np.median(times):.2f} s, longest {max(times):.2f} s")
    with tempfile.TemporaryDirectory() as tmp:
        large.save(tmp)
        start = perf_counter()
        SongSpace.load(tmp)
        print(f"loading {args.songs:,} songs: {perf_counter() - start:.2f} s")


if __name__ == "__main__":
    main()
