"""The upper anchors: features of musicnn's four nets, trained with labels, under our protocol.

How far is a space that never saw a label from one that did? musicnn [Pons & Serra, ISMIR 2019
late-breaking] ships the weights of four nets: its own and a VGG, each trained on 50 tags of the
Million Song Dataset (MSD) and of MagnaTagATune (MTT). A song is cut into windows of three seconds,
from the middle of the file that every other row is made of. Each window has the net's pooled
layers: musicnn's pooling over time, or a VGG's last two layers, mean and maximum over time and
frequency. A song is the mean over its windows, or their mean and deviation (`wasserstein`); then 32
principal components, fitted on the songs that are not held out. Each space is scored as it comes,
and with every vector brought to length 1: four variants a net, and the table shows the one of
highest MAP among other artists, chosen by the labels that it is scored with. An upper anchor may
have every choice; the file of `--out` holds all. Features are standardised before the components:
tried both ways on the demo corpus and on free game soundtracks, that scored higher in every cell,
on held-out songs and on the others (`--plain` leaves it out).

musicnn needs TensorFlow and asks for versions of 2019, so its features are extracted in an
environment of their own (about 3 GB):

    python -m venv data/cache/musicnn
    data/cache/musicnn/bin/pip install tf_keras librosa pandas tqdm av filelock mutagen
    data/cache/musicnn/bin/pip install --no-deps musicnn
    data/cache/musicnn/bin/python benchmarks/musicnn.py extract data/runs/demo [more runs]
                                             [--features data/cache/musicnn.npz]

Four nets take some five seconds a song on a core; `--windows 3` listens to three windows of a song
only, evenly spread, and takes a third of that. Interrupted, it goes on where it was. Then, in the
project's environment:

    python benchmarks/musicnn.py data/runs/demo [more runs]
                                 [--features data/cache/musicnn.npz] [--out musicnn.csv]

`--out` writes the scores of all variants, and those of suggestions into a second file beside it.
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
from song_metric.baselines import unit_length
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
from song_metric.retrieval import suggestion_table, suggestions
from song_metric.runs import read_artifact
from song_metric.space import SongSpace
from song_metric.spectrograms import load_settings
from song_metric.tables import summary_table, to_markdown

# what the weights were trained on
RATE = 16000  # samples a second
FRAMES = 187  # of a window
BANDS = 96  # on the mel scale
NETS = ("MSD_musicnn", "MTT_musicnn", "MSD_vgg", "MTT_vgg")  # the tags shown are those of the first


def songs_of(run):
    """The songs of a run that have examples, with `key`: the name of their features, which runs of
    the same corpus share.
    """
    songs = load_catalog(read_artifact(run, "01_spectrograms", "songs.csv"))
    return songs.assign(key=f"{load_settings(run).preview_seconds:g} s of " + songs["path"])


def load_features(path):
    """`key` → {net: mean and deviation of its features over windows `(2, feature)`; `tags`: mean
    probabilities `(50,)`; `seconds` that each net took `(net,)`}, and the names of the tags. Both
    are empty where nothing has been extracted.
    """
    if not Path(path).exists():
        return {}, []
    with np.load(path, allow_pickle=False) as file:
        keys, names = file["key"].tolist(), file["names"].tolist()
        columns = {name: file[name] for name in file.files if name not in ("key", "names")}
    if not set(NETS) <= set(columns):
        raise RunError(f"{path} lacks some of the nets {', '.join(NETS)}: delete it, and extract.")
    rows = zip(*columns.values())
    return {key: dict(zip(columns, row)) for key, row in zip(keys, rows)}, names


def save_features(path, done, names):
    "Write them at once: a reader sees the old file or the new one."
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    found = list(done.values())
    columns = {name: np.array([row[name] for row in found]) for name in found[0]}
    with open(path.with_name(f".{path.name}.part"), "wb") as file:
        np.savez(file, key=list(done), names=names, **columns)
    os.replace(file.name, path)


def windows(path, seconds, most=0):
    """The nets' input `(window, frame, band)` from the middle `seconds` of a sound file; `most`: so
    many windows, evenly spread (0: all). musicnn's own code rounds powers to float16, where loud
    frames overflow to infinity; this does not.
    """
    sound, _, _ = read_middle(path, seconds, RATE)
    options = dict(sr=RATE, n_fft=512, hop_length=256, n_mels=BANDS)
    power = librosa.feature.melspectrogram(y=sound, **options).T
    count = len(power) // FRAMES
    if not count:
        raise AudioError("too short: one window takes 3 s")
    found = np.log10(10000 * power[: count * FRAMES] + 1).reshape(count, FRAMES, BANDS)
    most = min(most or count, count)
    return found[((np.arange(most) + 0.5) * count / most).astype(int)]


def import_musicnn():
    "TensorFlow as of its first version, and musicnn's configuration and models."
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
    return tf, configuration, models


def pooled_layers(tf, net, layers):
    "What of a net's `layers` describes a window, `(window, feature)`."
    if net.endswith("musicnn"):
        *_, mean_pool, max_pool, _ = layers
        return tf.concat([mean_pool, max_pool], 1)
    means = [tf.reduce_mean(layer, [1, 2]) for layer in layers[-2:]]
    maxima = [tf.reduce_max(layer, [1, 2]) for layer in layers[-2:]]
    return tf.concat([*means, *maxima], 1)


def load_net(net):
    "A net as a function, windows → features `(window, feature)` and tags' probabilities."
    tf, configuration, models = import_musicnn()
    with tf.Graph().as_default():
        x = tf.compat.v1.placeholder(tf.float32, [None, FRAMES, BANDS])
        with tf.name_scope("model"):
            tags = len(configuration.MSD_LABELS)  # as many as MagnaTagATune's
            logits, *layers = models.define_model(x, False, net, tags)
        outputs = pooled_layers(tf, net, layers), tf.sigmoid(logits)
        session = tf.compat.v1.Session()
        tf.compat.v1.train.Saver().restore(session, f"{Path(models.__file__).parent / net}/")
    return lambda batch: session.run(outputs, {x: batch})


def listen(nets, batch):
    "What all nets make of a song's windows: a row of `load_features`."
    row, seconds = {}, []
    for number, (net, function) in enumerate(nets.items()):
        start = perf_counter()
        features, tags = function(batch)
        row[net] = np.stack([features.mean(axis=0), features.std(axis=0)])
        if number == 0:
            row["tags"] = tags.mean(axis=0)
        seconds.append(perf_counter() - start)
    return row | dict(seconds=np.array(seconds))


def songs_of_all(runs):
    "The songs of all runs, each once, with `preview`: the seconds that are listened to."
    each = [songs_of(run).assign(preview=load_settings(run).preview_seconds) for run in runs]
    return pd.concat(each).drop_duplicates("key")


def extract(runs, path, most=0, every=25):
    "Extract what `path` lacks of the runs' songs; unreadable files are named and left out."
    songs = songs_of_all(runs)
    done, _ = load_features(path)
    todo = songs[~songs["key"].isin(list(done))]
    nets = {net: load_net(net) for net in NETS}
    names = import_musicnn()[1].MSD_LABELS
    print(f"{len(songs)} songs, {len(songs) - len(todo)} of them done before")
    shown = tqdm(todo.itertuples(), total=len(todo), desc="musicnn", unit="song", mininterval=1)
    try:
        for number, song in enumerate(shown, 1):
            try:
                done[song.key] = listen(nets, windows(song.path, song.preview, most))
            except AudioError as error:
                tqdm.write(f"left out: {plain_text(song.song_id)}: {error}")
            if number % every == 0 and done:
                save_features(path, done, names)
    finally:
        if done:
            save_features(path, done, names)


def spaces(net, features, fitted, plain=False, components=32):
    """Title → vectors `(song, components)` of a net's features `(song, 2, feature)`, under each
    pooling, as they come and at length 1; scales and components come from the songs `fitted`.
    """
    found = {}
    poolings = dict(mean=features[:, 0], wasserstein=features.reshape(len(features), -1))
    for pooling, values in poolings.items():
        if not plain:
            values = StandardScaler().fit(values[fitted]).transform(values)
        pca = PCA(min(components, fitted.sum()), svd_solver="full").fit(values[fitted])
        vectors = pca.transform(values).astype(np.float32)
        found[f"{net}, {pooling}"] = vectors
        found[f"{net}, {pooling}, unit length"] = unit_length(vectors)
    return found


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


def score_spaces(found, labels, scored, split, seeds):
    "Clusterings of all `found` {title: vectors}, in the shape of a run's own `scores.csv`."
    rows = []
    for title, vectors in found.items():
        view = dict(embedding=title, level="song", pooling="mean", split=split, seconds=np.nan)
        for row in score_view(vectors[scored], labels[scored], scored, list(seeds)):
            rows.append(view | row)
    return over_trainings(pd.DataFrame(rows))[SCORE_COLUMNS].round(6)


def best_variants(suggested):
    "Of each net the title of highest MAP among other artists, where artists are known."
    rows = suggested[suggested["artist_filter"] == suggested["artist_filter"].max()]
    nets = rows["embedding"].str.partition(",")[0]
    return rows.loc[rows.groupby(nets, sort=False)["map"].idxmax(), "embedding"].tolist()


def score(run, path, seeds, plain=False):
    """The rows of one run: clusterings in the shape of its `scores.csv`, and suggestions in that of
    its `suggestions.csv`; prints the tags of each label.
    """
    songs, held, found, names = known_songs(run, path)
    labels = songs["genre"].to_numpy()
    print_tags([row["tags"] for row in found], labels, names)
    splits = split_masks(held)
    scored = np.flatnonzero(splits[headline_split(splits)])
    vectors = {}
    for number, net in enumerate(NETS):
        features = np.array([row[net] for row in found])
        vectors |= spaces(net, features, ~held, plain)
        print(f"{net}: {sum(row['seconds'][number] for row in found):.0f} s")
    space = SongSpace(features[:, 0], songs.reset_index(drop=True))
    clusters = score_spaces(vectors, labels, scored, headline_split(splits), seeds)
    return clusters, suggestions(vectors, space, scored)


def read_arguments():
    "What was asked for."
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    runs = "folders of finished runs; the word `extract` before them extracts features"
    parser.add_argument("runs", nargs="+", help=runs)
    where = "where the features are (%(default)s)"
    parser.add_argument("--features", default="data/cache/musicnn.npz", help=where)
    most = "windows of a song that are listened to, evenly spread (0: all)"
    parser.add_argument("--windows", type=int, default=0, help=most)
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
    "Print each run's tables with the best row of each net; write all where that was asked for."
    written = [], []
    kinds = (
        ("04_evaluation", "scores.csv", summary_table),
        ("06_playlists", "suggestions.csv", suggestion_table),
    )
    for run in args.runs:
        title = Path(run).name
        print(f"\n## {title}: the tags that MSD_musicnn hears in each label, then the tables\n")
        found = score(run, args.features, range(args.seeds), args.plain)
        best = best_variants(found[1])
        for table, (chapter, file, as_texts), rows in zip(found, kinds, written):
            own = pd.read_csv(read_artifact(run, chapter, file))
            shown = pd.concat([own, table[table["embedding"].isin(best)]])
            print("\n" + to_markdown(as_texts(shown).rename_axis(columns="embedding", index=None)))
            rows.append(table.assign(run=title))
    if args.out:
        out = Path(args.out)
        for rows, path in zip(written, (out, out.with_stem(f"{out.stem}-suggestions"))):
            pd.concat(rows).to_csv(path, index=False, lineterminator="\n")


def main():
    args = read_arguments()
    try:
        if args.runs[0] == "extract":
            extract(args.runs[1:], args.features, args.windows)
        else:
            score_runs(args)
    except RunError as error:
        sys.exit(f"musicnn: {error}")
    except KeyboardInterrupt:
        sys.exit("musicnn: interrupted; the same command goes on")


if __name__ == "__main__":
    main()
