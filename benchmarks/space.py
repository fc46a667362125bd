"""What a space of 100,000 or 1,000,000 songs costs: loading, encoding, a query, a path.

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

from song_metric.playlists import path
from song_metric.space import SongSpace, read_song


def enlarged(space: SongSpace, songs: int, seed: int = 0) -> SongSpace:
    "A space of `songs` made-up songs among the real ones."
    draw = np.random.default_rng(seed)
    near, distance = space.neighbours(10)
    a = draw.integers(0, len(space), songs)
    b = near[a, draw.integers(0, near.shape[1], songs)]
    spread, vectors = (
        np.median(distance[:, 0]) / np.sqrt(space.vectors.shape[1]) / 4,
        np.empty((songs, space.vectors.shape[1]), np.float32),
    )
    for i in range(
        0, songs, 100_000
    ):  # in parts: a million songs fill half a gigabyte once, not four times
        part = slice(i, i + 100_000)
        t = draw.random((len(a[part]), 1), dtype=np.float32)
        vectors[part] = (
            space.vectors[a[part]] * (1 - t)
            + space.vectors[b[part]] * t
            + spread * draw.standard_normal((len(t), vectors.shape[1]), dtype=np.float32)
        )
    rows = pd.DataFrame(
        dict(
            song_id=np.arange(songs).astype(str),
            path="",
            genre="x",
            artist=np.char.add("Artist ", a.astype(str)),
            album="",
            title="",
            duration=1.0,
            source="",
            licence="",
        )
    )
    return SongSpace(vectors, rows)


def timed(call, arguments) -> np.ndarray:
    "Seconds of the clock and of the processor that each call takes `(call, 2)`."
    times = []
    for these in arguments:
        start = perf_counter(), process_time()
        call(*these)
        times.append((perf_counter() - start[0], process_time() - start[1]))
    return np.array(times)


def shown(name: str, seconds, limit: float, unit: str = "s") -> None:
    "One line: least and median, and the limit that the project has set itself."
    scale, (clock, processor) = 1000 if unit == "ms" else 1, seconds.T
    word = (
        "kept"
        if np.median(clock) <= limit
        else "kept at best"
        if clock.min() <= limit
        else "MISSED by the clock"
        if np.median(processor) <= limit
        else "MISSED"
    )
    taken = f"least {scale * clock.min():.2f}, median {scale * np.median(clock):.2f} {unit}"
    of_processor = f"of the processor {scale * np.median(processor):.2f} {unit}"
    print(f"{name}: {taken}, {of_processor} (limit {scale * limit:g} {unit}: {word})", flush=True)


def small(folder) -> SongSpace:
    "Loading a saved space, and what a new file costs."
    shown("loading the space", timed(SongSpace.load, [(folder,)] * 3), 1)
    space = SongSpace.load(folder)
    print(space)
    files = [place for place in space.songs["path"] if place and Path(place).is_file()][:20]
    if files and space.encoder_path:
        space.encode_file(files[0])  # the first call loads torch
        examples = read_song(("x", files[0]), space.settings, space.seed)[2]
        shown(
            "reading a file and drawing its spectrograms",
            timed(
                lambda file: read_song(("x", file), space.settings, space.seed),
                [(file,) for file in files],
            ),
            0.3,
        )
        shown("encoding its examples", timed(lambda: space.encode(examples), [()] * 20), 0.3)
        shown(
            "a known file, read, encoded and recognised",
            timed(space.encode_file, [(file,) for file in files]),
            0.3,
        )
        known = [i for i, place in enumerate(space.songs["path"]) if place in files]
        rest = SongSpace(
            np.delete(space.vectors, known, 0),
            space.songs.drop(index=known),
            settings=space.settings,
            encoder=space.encoder_path,
            seed=space.seed,
        )
        rest.encode_file(files[0])
        shown(
            "a new file, read, encoded and compared",
            timed(rest.encode_file, [(file,) for file in files]),
            0.3,
        )
    return space


def large(space: SongSpace, songs: int) -> None:
    "Index, queries, paths and loading of an enlarged space."
    many = enlarged(space, songs)
    start = perf_counter()
    many.ensure_index()
    index = (
        f"{many.index.nprobe} of {many.index.nlist} cells read"
        if many.index is not None
        else "exact"
    )
    built = f"index built in {perf_counter() - start:.0f} s, {index}, recall@10 {many.recall:.4f}"
    print(f"\n{songs:,} songs × {many.vectors.shape[1]}: {built}", flush=True)
    asked, limit = (
        np.random.default_rng(1).integers(0, songs, 300),
        0.001 if songs <= 100_000 else 0.002,
    )
    for call in (many.nearest_positions, many.nearest):
        shown(call.__name__, timed(call, [(int(i),) for i in asked]), limit, "ms")
    found = [many.nearest_positions(int(i))[0] for i in asked[:100]]
    from song_metric.space import exact_search

    truth = [exact_search(many.vectors, many.squares, many.vectors[i], 11)[0] for i in asked[:100]]
    recalls = [
        len(set(ours) & set(exact[exact != i])) / 10 for ours, exact, i in zip(found, truth, asked)
    ]
    print(f"recall@10 of 100 other queries, against exact search: {np.mean(recalls):.4f}")
    shown(
        "path of 12",
        timed(
            lambda a, b: path(many, a, b, 12),
            [(int(a), int(b)) for a, b in asked[:40].reshape(-1, 2) if a != b],
        ),
        1 if songs <= 100_000 else 10,
    )
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
