"""Seconds and memory of a large library: its catalog, its examples, and both again with more songs.

Makes tagged MP3 files of 35 seconds (44.1 kHz, one channel; sixteen sounds, and copies count as
songs). Each step runs in a process of its own, and memory is what it and its workers hold, files in
memory not counted, looked at five times a second.

    python benchmarks/library.py [--songs 10000] [--added 100] [--length 35] [--workers 0]
        [--folder DIR]
"""

import argparse
import io
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import mutagen.id3
import numpy as np
import psutil
import soundfile as sf
from tqdm import tqdm

from song_metric.catalog import build_catalog, load_catalog, save_table
from song_metric.spectrograms import SpectrogramSettings, compute_examples

RATE = 44100  # samples a second
SOUNDS = 16
GENRES = (
    "Hip-Hop/Rap",
    "jazz",
    "Rock & Roll",
    "Techno",
    "Folk",
    "Heavy Metal",
    "Reggae",
    "Ambient",
)


def sounds(length: float) -> list[bytes]:
    "MP3 files of `length` seconds without tags, each another sound."
    seconds = np.arange(round(RATE * length)) / RATE
    found = []
    for number in range(SOUNDS):
        tone = 0.3 * np.sin(2 * np.pi * 55 * 2 ** (number / 3) * seconds)
        noise = 0.02 * np.random.default_rng(number).standard_normal(len(seconds))
        file = io.BytesIO()
        sf.write(file, (tone + noise).astype("float32"), RATE, format="MP3")
        found.append(file.getvalue())
    return found


def make_songs(folder: Path, numbers, length: float) -> None:
    "Write the songs of these numbers."
    bodies = sounds(length)
    for number in tqdm(numbers, desc="making songs", mininterval=1):
        path = folder / f"{number % 400:03d}" / f"{number:06d}.mp3"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(bodies[number % SOUNDS])
        texts = dict(
            TIT2=f"Song {number}",
            TPE1=f"Artist {number % 400}",
            TALB=f"Album {number % 900}",
            TCON=GENRES[number % len(GENRES)],
        )
        tags = mutagen.id3.ID3()
        for kind, text in texts.items():
            tags.add(getattr(mutagen.id3, kind)(encoding=3, text=text))
        tags.save(path)


def step(name: str, folder: Path, workers: int) -> None:
    "One step, in this process."
    if name == "catalog":
        catalog, rejected = build_catalog(
            "folder",
            data=str(folder / "songs"),
            label="genre",
            workers=workers,
            keep_duplicates=True,
        )
        save_table(catalog, folder / "catalog.csv")
        print(json.dumps(dict(songs=len(catalog), rejected=len(rejected))))
    else:
        songs, failed, before = compute_examples(
            load_catalog(folder / "catalog.csv"),
            SpectrogramSettings(),
            folder / "run",
            workers=workers,
        )
        print(json.dumps(dict(songs=len(songs), rejected=len(failed), there_before=before)))


def held(process: psutil.Process) -> int:
    "Bytes of a process that are its own; 0 where it is over."
    try:
        memory = process.memory_info()
        return memory.rss - getattr(memory, "shared", 0)
    except psutil.Error:
        return 0


def measured(name: str, folder: Path, workers: int) -> float:
    "Run a step in a process, print what it took, and return its seconds."
    start = time.perf_counter()
    alone = together = 0
    options = ["--step", name, "--folder", str(folder), "--workers", str(workers)]
    command = [sys.executable, __file__, *options]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    watched = psutil.Process(process.pid)
    while process.poll() is None:
        mine = held(watched)
        try:
            others = sum(map(held, watched.children(recursive=True)))
        except psutil.Error:
            others = 0
        alone = max(alone, mine)
        together = max(together, mine + others)
        time.sleep(0.2)
    took = time.perf_counter() - start
    if process.returncode:
        sys.exit(f"The step {name} failed.")
    memory = f"{alone / 1e6:6.0f} MB, with workers {together / 1e6:6.0f} MB"
    said = process.stdout.read().strip()
    print(f"{name:<9} {took:8.1f} s   {memory}   {said}", flush=True)
    return took


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--songs", type=int, default=10_000)
    parser.add_argument("--added", type=int, default=100)
    parser.add_argument("--length", type=float, default=35, help="seconds of a song")
    parser.add_argument("--workers", type=int, default=0)
    parser.add_argument(
        "--folder",
        type=Path,
        help="where songs and results go, and stay (default: a folder that is removed)",
    )
    parser.add_argument("--step", choices=("catalog", "examples"), help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.step:
        return step(args.step, args.folder, args.workers)
    with tempfile.TemporaryDirectory(prefix="library") as tmp:
        folder = args.folder or Path(tmp)
        os.environ["SONG_METRIC_CACHE"] = str(folder / "cache")
        (folder / "run").mkdir(parents=True, exist_ok=True)
        make_songs(folder / "songs", range(args.songs), args.length)
        first = {name: measured(name, folder, args.workers) for name in ("catalog", "examples")}
        make_songs(folder / "songs", range(args.songs, args.songs + args.added), args.length)
        for name in first:
            took = measured(name, folder, args.workers)
            share = f"{100 * took / first[name]:.1f} % of the first {args.songs:,}"
            print(f"{args.added:,} songs more: {share}")


if __name__ == "__main__":
    main()
