"""The upper anchor: features of musicnn, trained with labels, scored under the report's protocol.

How far is a space that never saw a label from one that did? musicnn [Pons & Serra, ISMIR 2019
late-breaking] learned 50 tags of the Million Song Dataset; its package ships the weights. A song is
the mean of its pooled layers over windows of three seconds, cut from the middle of the file that
every other row is made of; then 32 principal components, fitted on the songs that are not held out.
The space is scored as it comes, and with every vector brought to length 1. Features are
standardised before the components: tried both ways on the demo corpus and on free game soundtracks,
that scored higher in every cell, on held-out songs and on the others (`--plain` leaves it out).

musicnn needs TensorFlow and asks for versions of 2019, so its features are extracted in an
environment of their own (about 3 GB):

    python -m venv data/cache/musicnn
    data/cache/musicnn/bin/pip install tf_keras librosa pandas tqdm
    data/cache/musicnn/bin/pip install --no-deps musicnn
    data/cache/musicnn/bin/python benchmarks/musicnn.py extract data/runs/demo [more runs]
                                             [--features data/cache/musicnn.npz]

Interrupted, it goes on where it was. Then, in the project's environment:

    python benchmarks/musicnn.py data/runs/demo [more runs]
                                 [--features data/cache/musicnn.npz] [--out musicnn.csv]
"""

import argparse
import os
import sys
import warnings
from pathlib import Path
from time import perf_counter

import librosa
import numpy as np
import pandas as pd
from sklearn.decomposition import PCA
from sklearn.preprocessing import StandardScaler
from tqdm import tqdm

# Not this folder, where `import musicnn` finds this file; and song_metric need not be installed.
sys.path[0] = str(Path(__file__).resolve().parent.parent)
# ruff: noqa: E402
from song_metric.audio import AudioError, read_middle
from song_metric.catalog import load_catalog, load_table
from song_metric.evaluation import (
    SCORE_COLUMNS,
    headline_split,
    over_trainings,
    score_view,
    split_masks,
)
from song_metric.files import RunError
from song_metric.names import plain_text
from song_metric.runs import read_artifact
from song_metric.spectrograms import load_settings
from song_metric.tables import summary_table, to_markdown

# what the weights were trained on
RATE = 16000  # samples a second
FRAMES = 187  # of a window
BANDS = 96  # on the mel scale
MODEL = "MSD_musicnn"


def songs_of(run):
    """The songs of a run that have examples, with `key`: the name of their features, which runs of
    the same corpus share.
    """
    songs = load_catalog(read_artifact(run, "01_spectrograms", "songs.csv"))
    return songs.assign(key=f"{load_settings(run).preview_seconds:g} s of " + songs["path"])


def load_features(path):
    """Features `(song, 1506)`, mean probabilities of the tags `(song, 50)` and seconds `(song,)` by
    `key`, and the names of the tags; all empty where nothing has been extracted.
    """
    if not Path(path).exists():
        return {}, []
    with np.load(path, allow_pickle=False) as file:
        rows = zip(file["features"], file["tags"], file["seconds"])
        return dict(zip(file["key"].tolist(), rows)), file["names"].tolist()


def save_features(path, done, names):
    "Write them at once: a reader sees the old file or the new one."
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    features, tags, seconds = (np.array(column) for column in zip(*done.values()))
    with open(path.with_name(f".{path.name}.part"), "wb") as file:
        np.savez(file, key=list(done), features=features, tags=tags, seconds=seconds, names=names)
    os.replace(file.name, path)


def windows(path, seconds):
    """musicnn's input `(window, frame, band)` from the middle `seconds` of a sound file. Its own
    code rounds powers to float16, where loud frames overflow to infinity; this does not.
    """
    sound, _, _ = read_middle(path, seconds, RATE)
    options = dict(sr=RATE, n_fft=512, hop_length=256, n_mels=BANDS)
    power = librosa.feature.melspectrogram(y=sound, **options).T
    count = len(power) // FRAMES
    if not count:
        raise AudioError("too short: one window takes 3 s")
    return np.log10(10000 * power[: count * FRAMES] + 1).reshape(count, FRAMES, BANDS)


def load_tagger():
    """musicnn as a function, windows → pooled layers `(window, 1506)` and probabilities of the tags
    `(window, 50)`; and the names of the tags.
    """
    # Keras 3 dropped the layers that musicnn is built of
    os.environ |= {"TF_USE_LEGACY_KERAS": "1", "TF_CPP_MIN_LOG_LEVEL": "3"}
    warnings.filterwarnings("ignore", "`tf.layers", UserWarning)
    try:
        import tensorflow as tf
        from musicnn import configuration, models
    except ImportError as error:
        where = f"see the top of {Path(__file__).name}"
        raise RunError(f"{error}: `extract` runs in an environment of its own, {where}.") from error
    tf.compat.v1.disable_eager_execution()
    x = tf.compat.v1.placeholder(tf.float32, [None, FRAMES, BANDS])
    with tf.name_scope("model"):
        tags = len(configuration.MSD_LABELS)
        logits, *_, mean_pool, max_pool, _ = models.define_model(x, False, MODEL, tags)
    outputs = tf.concat([mean_pool, max_pool], 1), tf.sigmoid(logits)
    session = tf.compat.v1.Session()
    tf.compat.v1.train.Saver().restore(session, f"{Path(models.__file__).parent / MODEL}/")
    return lambda batch: session.run(outputs, {x: batch}), configuration.MSD_LABELS


def songs_of_all(runs):
    "The songs of all runs, each once, with `preview`: the seconds that are listened to."
    each = [songs_of(run).assign(preview=load_settings(run).preview_seconds) for run in runs]
    return pd.concat(each).drop_duplicates("key")


def extract(runs, path, every=25):
    "Extract what `path` lacks of the runs' songs; unreadable files are named and left out."
    songs = songs_of_all(runs)
    done, _ = load_features(path)
    todo = songs[~songs["key"].isin(list(done))]
    tagger, names = load_tagger()
    print(f"{len(songs)} songs, {len(songs) - len(todo)} of them done before")
    shown = tqdm(todo.itertuples(), total=len(todo), desc="musicnn", unit="song", mininterval=1)
    try:
        for number, song in enumerate(shown, 1):
            start = perf_counter()
            try:
                layers = tagger(windows(song.path, song.preview))
                features, tags = [layer.mean(axis=0) for layer in layers]
            except AudioError as error:
                tqdm.write(f"left out: {plain_text(song.song_id)}: {error}")
            else:
                done[song.key] = features, tags, perf_counter() - start
            if number % every == 0 and done:
                save_features(path, done, names)
    finally:
        if done:
            save_features(path, done, names)


def spaces(features, fitted, plain=False, components=32):
    "Name → vectors `(song, components)`; scales and components come from the songs `fitted`."
    values = features if plain else StandardScaler().fit(features[fitted]).transform(features)
    pca = PCA(min(components, fitted.sum()), svd_solver="full").fit(values[fitted])
    vectors = pca.transform(values).astype(np.float32)
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    return {"musicnn": vectors, "musicnn, unit length": vectors / lengths}


def known_songs(run, path):
    "The songs of a run that have features, whether each is held out, their features, and the tags."
    songs = songs_of(run)
    done, names = load_features(path)
    held = load_table(read_artifact(run, "02_baselines", "split.csv"))["held_out"].eq("True")
    known = songs["key"].isin(list(done)).to_numpy()
    title = Path(run).name
    if not known.any():
        raise RunError(
            f"{path} holds no features of the run {title}: extract them first, "
            f"see the top of {Path(__file__).name}."
        )
    if not known.all():
        count = f"{(~known).sum()} of {len(songs)} songs of the run {title}"
        print(f"{count} have no features and are not scored")
    found = [done[key] for key in songs["key"][known]]
    return songs[known], held.to_numpy()[known], found, names


def print_tags(tags, labels, names):
    "The four tags `(song, tag)` that the tagger hears most in each label."
    for label, mean in pd.DataFrame(tags).groupby(labels).mean().iterrows():
        heard = ", ".join(names[i] for i in np.argsort(-mean)[:4])
        print(f"{plain_text(label)}: {heard}")


def score(run, path, seeds, plain=False):
    "The rows of one run in the shape of its own `scores.csv`; prints the tags of each label."
    songs, held, found, names = known_songs(run, path)
    features, tags, seconds = [np.array(column) for column in zip(*found)]
    labels = songs["genre"].to_numpy()
    print_tags(tags, labels, names)
    splits = split_masks(held)
    split = headline_split(splits)
    scored = np.flatnonzero(splits[split])
    view = dict(level="song", pooling="mean", split=split, seconds=seconds.sum())
    rows = []
    for name, vectors in spaces(features, ~held, plain).items():
        for row in score_view(vectors[scored], labels[scored], scored, list(seeds)):
            rows.append(dict(embedding=name) | view | row)
    return over_trainings(pd.DataFrame(rows))[SCORE_COLUMNS].round(6)


def read_arguments():
    "What was asked for."
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    runs = "folders of finished runs; the word `extract` before them extracts features"
    parser.add_argument("runs", nargs="+", help=runs)
    where = "where the features are (%(default)s)"
    parser.add_argument("--features", default="data/cache/musicnn.npz", help=where)
    seeds = "seeds of the clusterers (%(default)s)"
    parser.add_argument("--seeds", type=int, default=5, help=seeds)
    plain = "leave the features as they are before the principal components"
    parser.add_argument("--plain", action="store_true", help=plain)
    parser.add_argument("--out", help="CSV file for the scores")
    args = parser.parse_args()
    if args.runs == ["extract"]:
        parser.error("extract which run's features? Name its folder")
    return args


def score_runs(args):
    "Print each run's table with the rows of musicnn; write them where that was asked for."
    tables = []
    for run in args.runs:
        title = Path(run).name
        print(f"\n## {title}: the tags that musicnn hears in each label, then the table\n")
        table = score(run, args.features, range(args.seeds), args.plain)
        tables.append(table.assign(run=title))
        own = pd.read_csv(read_artifact(run, "04_evaluation", "scores.csv"))
        print("\n" + to_markdown(summary_table(pd.concat([own, tables[-1]]))))
    if args.out:
        pd.concat(tables).to_csv(args.out, index=False, lineterminator="\n")


def main():
    args = read_arguments()
    try:
        if args.runs[0] == "extract":
            extract(args.runs[1:], args.features)
        else:
            score_runs(args)
    except RunError as error:
        sys.exit(f"musicnn: {error}")
    except KeyboardInterrupt:
        sys.exit("musicnn: interrupted; the same command goes on")


if __name__ == "__main__":
    main()
