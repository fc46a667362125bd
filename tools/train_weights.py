"""Make the encoder that ships: song_metric/weights/encoder.safetensors.

    song-metric fetch soundtracks
    song-metric report --profile recordings --source soundtracks --run recordings
    python data/demo/compose.py --seed 2019 --songs-per-genre 120 --artists 30 --production \
        --out data/cache/choose
    song-metric report --profile choose --data data/cache/choose --run choose
    python tools/train_weights.py data/runs/recordings data/runs/choose

Of both runs, chapter 01 has to be done. No label is used. The file says what it was made of.
"""

import argparse
from dataclasses import replace
from pathlib import Path

import numpy as np

from song_metric.encoder import SongEncoder, shipped_weights
from song_metric.sources.soundtracks import KEPT_FOR_JUDGING
from song_metric.spectrograms import load_examples, load_settings
from song_metric.texture import Corpus, mixed_embedding, texture_statistics

SHARE = 0.5  # of the recordings, which are far fewer
PREVIEW, EXAMPLES = 120.0, 10  # seconds of a song that are read, and examples in them


def load_corpus(run: Path, share: float) -> Corpus:
    "All songs of a run, but those that judge."
    examples, songs = load_examples(run)
    known = examples[~songs["album"].isin(KEPT_FOR_JUDGING)]
    statistics = np.concatenate([texture_statistics(song) for song in known])
    songs = np.repeat(np.arange(len(known)), known.shape[1])
    return Corpus(statistics, songs, share)


def main() -> None:
    "Fit, and write the file."
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("recordings", type=Path, help="folder of a run on recordings")
    parser.add_argument("composed", type=Path, help="folder of a run on composed songs")
    runs = parser.parse_args()
    settings = load_settings(runs.recordings)
    corpora = [load_corpus(runs.recordings, SHARE), load_corpus(runs.composed, 1 - SHARE)]
    model = mixed_embedding(settings.shape, corpora)
    settings = replace(settings, preview_seconds=PREVIEW, examples=EXAMPLES)
    path = shipped_weights()
    path.parent.mkdir(exist_ok=True)
    SongEncoder(settings, model).save(path)
    print(f"{path.name}: {path.stat().st_size / 1e6:.2f} MB")


if __name__ == "__main__":
    main()
