"""Seconds and memory of a large library: its catalog, its examples, and both again with some songs more.

Makes tagged FLAC files, each with a sound of its own. They are short and of few samples: a first pass over real songs costs several times as much, and the second little more, so the share printed is the worst case.
Each step runs in a process of its own, and memory is what it and its workers hold, files in memory not counted, looked at five times a second.

    python benchmarks/library.py [--songs 10000] [--added 100] [--length 6] [--workers 0] [--folder DIR]
"""
import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import mutagen
import numpy as np
import psutil
import soundfile as sf
from tqdm import tqdm

from song_metric.data import build_catalog, load_catalog, save_table
from song_metric.spectrograms import SpectrogramSettings, compute_examples

RATE = 8000
GENRES = ("Hip-Hop/Rap", "jazz", "Rock & Roll", "Techno", "Folk", "Heavy Metal", "Reggae", "Ambient")


def make_songs(folder: Path, numbers, length: float) -> None:
    "Write the songs of these numbers."
    t = np.arange(round(RATE * length)) / RATE
    for number in tqdm(numbers, desc="making songs", mininterval=1):
        path = folder / f"{number % 400:03d}" / f"{number:06d}.flac"
        path.parent.mkdir(parents=True, exist_ok=True)
        sf.write(path, 0.3 * np.sin(2 * np.pi * 55 * 2 ** (number % 60 / 12) * t) + 0.02 * np.random.default_rng(number).standard_normal(len(t)), RATE)
        tagged = mutagen.File(path, easy=True)
        tagged.update(title=f"Song {number}", artist=f"Artist {number % 400}", album=f"Album {number % 900}", genre=GENRES[number % len(GENRES)])
        tagged.save()


def step(name: str, folder: Path, workers: int) -> None:
    "One step, in this process."
    if name == "catalog":
        catalog, rejected = build_catalog("folder", data=str(folder / "songs"), label="genre", workers=workers)
        save_table(catalog, folder / "catalog.csv")
        print(json.dumps(dict(songs=len(catalog), rejected=len(rejected))))
    else:
        songs, failed, before = compute_examples(load_catalog(folder / "catalog.csv"), SpectrogramSettings(), folder / "run", workers=workers)
        print(json.dumps(dict(songs=len(songs), rejected=len(failed), there_before=before)))


def held(process: psutil.Process) -> int:
    "Bytes of a process that are its own; 0 where it is over."
    try:
        memory = process.memory_info()
        return memory.rss - getattr(memory, "shared", 0)
    except psutil.Error: return 0


def measured(name: str, folder: Path, workers: int) -> float:
    "Run a step in a process, print what it took, and return its seconds."
    start, alone, together = time.perf_counter(), 0, 0
    process = subprocess.Popen([sys.executable, __file__, "--step", name, "--folder", str(folder), "--workers", str(workers)], stdout=subprocess.PIPE, text=True)
    watched = psutil.Process(process.pid)
    while process.poll() is None:
        mine = held(watched)
        try: others = sum(map(held, watched.children(recursive=True)))
        except psutil.Error: others = 0
        alone, together = max(alone, mine), max(together, mine + others)
        time.sleep(0.2)
    took = time.perf_counter() - start
    if process.returncode: sys.exit(f"The step {name} failed.")
    print(f"{name:<9} {took:8.1f} s   {alone / 1e6:6.0f} MB, with workers {together / 1e6:6.0f} MB   {process.stdout.read().strip()}", flush=True)
    return took


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--songs", type=int, default=10_000)
    parser.add_argument("--added", type=int, default=100)
    parser.add_argument("--length", type=float, default=6, help="seconds of a song")
    parser.add_argument("--workers", type=int, default=0)
    parser.add_argument("--folder", type=Path, help="where songs and results go, and stay (default: a folder that is removed)")
    parser.add_argument("--step", choices=("catalog", "examples"), help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.step: return step(args.step, args.folder, args.workers)
    with tempfile.TemporaryDirectory(prefix="library") as tmp:
        folder = args.folder or Path(tmp)
        os.environ["SONG_METRIC_CACHE"] = str(folder / "cache")
        (folder / "run").mkdir(parents=True, exist_ok=True)
        make_songs(folder / "songs", range(args.songs), args.length)
        first = {name: measured(name, folder, args.workers) for name in ("catalog", "examples")}
        make_songs(folder / "songs", range(args.songs, args.songs + args.added), args.length)
        for name in first:
            took = measured(name, folder, args.workers)
            print(f"{args.added:,} songs more: {100 * took / first[name]:.1f} % of the first {args.songs:,}")


if __name__ == "__main__":
    main()
