"The space is a metric; it is saved, loaded, asked and added to without changing a vector."

import errno
import json
import os
import shutil
import subprocess
import sys
import threading
import time
from dataclasses import replace
from itertools import product

import numpy as np
import pytest
import soundfile as sf
from conftest import toy_catalog
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from song_metric.ali import ALIEmbedding
from song_metric.files import RunError
from song_metric.recipe import Recipe
from song_metric.search import build_index
from song_metric.space import SongSpace, add_to
from song_metric.spectrograms import SpectrogramSettings

SMALL = SpectrogramSettings(
    seconds=1, preview_seconds=3, examples=3, bands=16, frames=16, sample_rate=8000, n_fft=512
)


def catalog(n, artists=10):
    return toy_catalog(n).assign(artist=[f"Artist {i % artists}" for i in range(n)])


def numbers(dimension):
    return arrays(np.float32, (3, dimension), elements=st.floats(-1000, 1000, width=32))


@settings(max_examples=200, deadline=None)
@given(vectors=st.integers(1, 20).flatmap(numbers))
def test_distance_is_a_metric(vectors):
    space = SongSpace(vectors, catalog(3))
    d = np.array([[space.distance(a, b) for b in range(3)] for a in range(3)])
    assert (np.diag(d) == 0).all() and (d >= 0).all() and (d == d.T).all()
    for a, b in product(range(3), repeat=2):
        apart = abs(vectors[a].astype(float) - vectors[b]).max()
        if apart == 0 or apart > 1e-100:
            assert (d[a, b] > 0) == (apart > 0)
    for a, b, c in product(range(3), repeat=3):
        assert d[a, c] <= d[a, b] + d[b, c] + 1e-9 * (1 + d.max())


@settings(max_examples=50, deadline=None)
@given(seed=st.integers(0, 10**6), n=st.integers(2, 60), k=st.integers(1, 70))
def test_nearest_is_what_sorting_gives(seed, n, k):
    vectors = np.random.default_rng(seed).normal(size=(n, 5)).astype("float32")
    near, distance = SongSpace(vectors, catalog(n)).nearest_positions(0, k)
    truth = np.linalg.norm(vectors.astype(float) - vectors[0].astype(float), axis=1)
    assert (near == np.argsort(truth[1:], kind="stable")[:k] + 1).all() and np.allclose(
        distance, truth[near]
    )


def blobs():
    "Five thousand points about fifty centres."
    centres = np.random.default_rng(0).normal(size=(50, 16)) * 3
    noise = np.random.default_rng(1).normal(size=(5000, 16))
    return (np.repeat(centres, 100, axis=0) + noise).astype("float32")


def test_the_index_finds_what_sorting_finds(monkeypatch, tmp_path):
    vectors = blobs()
    assert build_index(vectors)[1] >= 0.99
    exact = SongSpace(vectors, catalog(5000))
    truth = [exact.nearest_positions(i, 10)[0] for i in range(0, 5000, 50)]
    monkeypatch.setattr("song_metric.search.EXACT_UP_TO", 100)
    space = SongSpace(vectors, catalog(5000))
    found = [space.nearest_positions(i, 10)[0] for i in range(0, 5000, 50)]
    assert np.mean([len(set(a) & set(b)) / 10 for a, b in zip(found, truth)]) >= 0.98
    assert space.near.recall >= 0.99
    again = SongSpace.load(space.save(tmp_path / "space"))
    assert again.near.recall == space.near.recall
    assert (again.nearest_positions(7, 10)[0] == space.nearest_positions(7, 10)[0]).all()
    assert f"recall@10 {space.near.recall:.4f}" in repr(again)


def test_a_saved_space_brings_its_index(monkeypatch, tmp_path):
    "And a filter that leaves little reaches as far as it must, with and without it."
    monkeypatch.setattr("song_metric.search.EXACT_UP_TO", 100)
    vectors = blobs()
    rare = catalog(5000).assign(genre=["rare" if i % 600 == 0 else "common" for i in range(5000)])
    saved = SongSpace.load(SongSpace(vectors, rare).save(tmp_path / "rare"))
    assert saved.near.index is not None and saved.near.recall >= 0.99
    far = np.linalg.norm(vectors.astype(float) - vectors[7], axis=1)
    order = sorted(range(0, 5000, 600), key=far.__getitem__)
    for space in (SongSpace(vectors, rare), saved):
        assert space.nearest(7, 9, genre="rare").index.tolist() == order
        assert space.nearest(7, 3, genre="rare").index.tolist() == order[:3]


def test_an_index_grows_with_its_space_and_by_nothing_else(monkeypatch):
    monkeypatch.setattr("song_metric.search.EXACT_UP_TO", 100)
    vectors, songs = blobs(), catalog(5000)
    space = SongSpace(vectors[:4900], songs[:4900])
    space.near.ensure_index()
    recall = space.near.recall
    rows = songs[4900:].to_dict("records")
    with pytest.raises(ValueError, match="not finite"):
        space.extend(np.full_like(vectors[4900:], np.nan), rows)
    assert len(space) == space.near.index.ntotal == 4900
    space.extend(vectors[4900:], rows)
    assert len(space) == space.near.index.ntotal == 5000 and space.near.recall == recall
    assert space.near.search(vectors[4950], 1)[0] == [4950]


@pytest.fixture(scope="module")
def music(tmp_path_factory):
    "Fifteen songs in two folders, a text, and the weights of an untrained encoder."
    folder, rng = tmp_path_factory.mktemp("music"), np.random.default_rng(0)
    for i in range(15):
        place = folder / "songs" / ("slow" if i % 2 else "fast") / f"song {i}.wav"
        place.parent.mkdir(parents=True, exist_ok=True)
        sf.write(
            place,
            0.3 * np.sin(np.arange(32000) * 0.03 * (i + 1)) + 0.03 * rng.normal(size=32000),
            8000,
        )
    ALIEmbedding(epochs=0, width=2, latent_dim=4).fit(rng.random((4, 16, 16))).save(
        folder / "ali.safetensors"
    )
    return folder


def empty(music):
    return SongSpace(
        np.zeros((0, 8), "float32"),
        catalog(1)[:0],
        Recipe(SMALL, music / "ali.safetensors"),
    )


def test_adding_ten_files_to_a_saved_space_equals_building_it_with_them(music, tmp_path):
    files = sorted((music / "songs").rglob("*.wav"))
    whole, part = empty(music), empty(music)
    whole.add(files, root=music / "songs")
    part.add(files[:5], root=music / "songs")
    saved = SongSpace.load(part.save(tmp_path / "space"))
    added, rejected = saved.add(files[5:], root=music / "songs")
    assert (
        len(added) == 10
        and not len(rejected)
        and list(saved.songs["song_id"]) == list(whole.songs["song_id"])
    )
    assert np.abs(saved.vectors - whole.vectors).max() < 1e-5


def test_what_cannot_be_added_is_listed(music, tmp_path):
    space = empty(music)
    space.add([music / "songs"])
    (tmp_path / "text.mp3").write_text("no sound")
    sf.write(tmp_path / "silent.wav", np.zeros(32000), 8000)
    sf.write(tmp_path / "short.wav", np.ones(2000) * 0.1, 8000)
    shutil.copy(music / "songs" / "slow" / "song 3.wav", tmp_path / "another name.wav")
    added, rejected = space.add([tmp_path])
    reasons = {
        path.rsplit("/", 1)[-1]: reason
        for path, reason in zip(rejected["path"], rejected["reason"])
    }
    assert not len(added) and len(space) == 15
    assert (
        "the same sound as slow/song 3.wav" in reasons["another name.wav"]
        and "silent" in reasons["silent.wav"]
        and "too short" in reasons["short.wav"]
        and "not audio" in reasons["text.mp3"]
    )
    again, refused = space.add([music / "songs"])
    assert not len(again) and len(refused) == 15, "the same folder twice"
    with pytest.raises(RunError, match="There is no file"):
        space.add([tmp_path / "gone.wav"])


def test_filters_of_a_sound_file_go_by_its_tags(music, tmp_path):
    space = empty(music)
    space.add([music / "songs"])
    space.extend([], [])
    artists = ["The Band" if i % 3 else "Others" for i in range(len(space))]
    space = SongSpace(space.vectors, space.songs.assign(artist=artists), space.recipe)
    sound, rate = sf.read(music / "songs" / "slow" / "song 3.wav")
    with sf.SoundFile(tmp_path / "new.flac", "w", rate, 1) as file:
        file.artist = "the band"
        file.write(np.roll(sound, 9000) + 0.05 * np.random.default_rng(0).normal(size=len(sound)))
    assert set(space.nearest(tmp_path / "new.flac", 15)["artist"]) == {"The Band", "Others"}
    assert (
        set(space.nearest(tmp_path / "new.flac", 15, other_artists=True)["artist"]) == {"Others"}
        and len(space.nearest(tmp_path / "new.flac", 15, other_artists=True)) == 5
    )


def test_a_space_without_encoder_says_so(music):
    with pytest.raises(RunError, match="cannot encode"):
        SongSpace(np.zeros((2, 3), "float32"), catalog(2)).nearest(
            music / "songs" / "slow" / "song 3.wav"
        )


def make_old(space):
    "Make of a space one that the version before wrote."
    facts = json.loads((space / "space.json").read_text())
    del facts["save"], facts["files"]
    (space / "space.json").write_text(json.dumps(facts))


def edit(path, old, new):
    path.write_text(path.read_text().replace(old, new))


def make_folder_of(path):
    path.unlink()
    path.mkdir()


def lead_elsewhere(space):
    facts = json.loads((space / "space.json").read_text())
    (space / "space.json").write_text(json.dumps({**facts, "save": "./../.."}))
    (space / "songs.csv").unlink()


NO_NUMBERS = np.full((8, 8), np.nan, "float32")
DAMAGE = {
    "vectors cut": lambda space: os.truncate(space / "vectors.npy", 200),
    "vectors empty": lambda space: os.truncate(space / "vectors.npy", 0),
    "vectors gone": lambda space: os.remove(space / "vectors.npy"),
    "vectors are objects": lambda space: np.save(space / "vectors.npy", np.array([{}, None])),
    "vectors of another space": lambda space: np.save(space / "vectors.npy", NO_NUMBERS[1:] * 0),
    "vectors are a folder": lambda space: make_folder_of(space / "vectors.npy"),
    "no numbers": lambda space: np.save(space / "vectors.npy", NO_NUMBERS),
    "songs gone": lambda space: os.remove(space / "songs.csv"),
    "songs cut": lambda space: os.truncate(space / "songs.csv", 400),
    "songs empty": lambda space: os.truncate(space / "songs.csv", 0),
    "songs are bytes": lambda space: (space / "songs.csv").write_bytes(bytes(range(256))),
    "a song twice": lambda space: edit(space / "songs.csv", "song 4.wav", "song 2.wav"),
    "encoder cut": lambda space: os.truncate(space / "encoder.safetensors", 1000),
    "encoder gone": lambda space: os.remove(space / "encoder.safetensors"),
    "facts cut": lambda space: os.truncate(space / "space.json", 50),
    "facts empty": lambda space: os.truncate(space / "space.json", 0),
    "facts are a list": lambda space: (space / "space.json").write_text("[]"),
    "facts are few": lambda space: (space / "space.json").write_text('{"format": 1}'),
    "facts are bytes": lambda space: (space / "space.json").write_bytes(b"\xff\xfe\x00"),
    "facts are a folder": lambda space: make_folder_of(space / "space.json"),
    "another version": lambda space: edit(space / "space.json", '"format": 1', '"format": 99'),
    "settings of another version": lambda space: edit(space / "space.json", '"bands"', '"bends"'),
    "settings that are impossible": lambda space: edit(
        space / "space.json", '"n_fft": 512', '"n_fft": "512"'
    ),
    "a save that leads elsewhere": lead_elsewhere,
}


@pytest.fixture(scope="module")
def whole(music, tmp_path_factory):
    "The space of eight songs, saved."
    space = empty(music)
    space.add(sorted((music / "songs").rglob("*.wav"))[:8])
    return space.save(tmp_path_factory.mktemp("whole") / "space")


def test_a_space_is_opened_and_asked_without_a_net(whole):
    code = f"""
import sys
from song_metric.space import SongSpace

space = SongSpace.load({str(whole)!r})
space.nearest(space.resolve("song 0"), 3)
print(len(space), {{"torch", "sklearn", "librosa", "faiss"}} & set(sys.modules))
"""
    done = subprocess.run([sys.executable, "-c", code], timeout=120, capture_output=True, text=True)
    assert done.stdout == "8 set()\n", done.stderr


@pytest.mark.parametrize("made", ["now", "before"])
@pytest.mark.parametrize("what", DAMAGE)
def test_damage_is_told_in_a_sentence(what, made, whole, music, tmp_path):
    space = shutil.copytree(whole, tmp_path / "space")
    if made == "before":
        make_old(space)
        assert len(SongSpace.load(space)) == 8, "spaces that people have still load"
    DAMAGE[what](space)
    with pytest.raises(RunError, match="make.* again with `song-metric space`") as found:
        SongSpace.load(space).nearest(music / "songs" / "slow" / "song 3.wav")
    assert "\n" not in str(found.value)


def test_a_space_of_other_songs_than_it_was(whole, tmp_path):
    "Songs may be edited by hand, and the folder may be reached by a link, and hold other files."
    space = shutil.copytree(whole, tmp_path / "disk" / "space")
    edit(space / "songs.csv", "unlabelled", "Folk")
    (space / "my notes.txt").write_text("keep me")
    try:
        (tmp_path / "link").symlink_to(space, target_is_directory=True)
    except OSError:
        pytest.skip("links may not be made here")
    loaded = SongSpace.load(tmp_path / "link")
    loaded.songs["title"] = "renamed"
    loaded.save(tmp_path / "link")
    assert (
        (tmp_path / "link").is_symlink()
        and set(SongSpace.load(space).songs["title"]) == {"renamed"}
        and (space / "my notes.txt").exists()
    )
    assert SongSpace.load(space).songs["path"].tolist() == loaded.songs["path"].tolist()
    loaded.save(space)  # the same folder by another name
    assert sorted(path.name for path in space.iterdir() if not path.name.startswith(".")) == [
        "encoder.safetensors",
        "my notes.txt",
        "songs.csv",
        "space.json",
        "vectors.npy",
    ]
    assert not [path for path in space.iterdir() if path.is_dir()]


@pytest.mark.parametrize(
    "refuse", ["open", "np.save", "shutil.copyfile", "os.fsync", "os.replace", "write_json"]
)
def test_a_full_disk_leaves_the_space_as_it_was(refuse, whole, music, tmp_path, monkeypatch):
    space = shutil.copytree(whole, tmp_path / "space")
    loaded = SongSpace.load(space)
    loaded.recipe = replace(loaded.recipe, weights=music / "ali.safetensors")  # to be copied
    loaded.extend([loaded.vectors[0] + 1], [dict(loaded.songs.iloc[0], song_id="new")])

    def full(*_, **__):
        raise OSError(errno.ENOSPC, "No space left on device")

    names = dict(
        open=("pandas.io.common.open", full),
        **{
            "np.save": ("song_metric.saving.np.save", full),
            "shutil.copyfile": ("song_metric.saving.shutil.copyfile", full),
            "os.fsync": ("os.fsync", full),
            "write_json": ("json.dumps", full),
            "os.replace": ("os.replace", full),
        },
    )
    with monkeypatch.context() as patch:
        patch.setattr(*names[refuse], raising=False)
        with pytest.raises(RunError, match="cannot be written, because the disk is full"):
            loaded.save(space)
    assert len(SongSpace.load(space)) == 8 and not [
        path for path in space.iterdir() if path.is_dir()
    ]
    loaded.save(space)
    assert len(SongSpace.load(space)) == 9


def die_after(moment):
    "Let this process die when it asks the system for its `moment`-th change of files."
    calls = [0]

    def count(true):
        def call(*arguments, **options):
            calls[0] += 1
            if calls[0] > moment:
                os._exit(9)
            return true(*arguments, **options)

        return call

    for name in ("mkdir", "fsync", "replace", "unlink", "rmdir"):
        setattr(os, name, count(getattr(os, name)))


def save_one_more(space, folder, moment):
    "In a process of its own, which dies at that moment: its exit status, 0 where it came through."
    child = os.fork()
    if not child:
        try:
            die_after(moment)
            row = dict(space.songs.iloc[0], song_id=f"new {moment}")
            space.extend([space.vectors[0] + 1], [row])
            space.save(folder)
            os._exit(0)
        finally:
            os._exit(1)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


@pytest.mark.skipif(not hasattr(os, "fork"), reason="processes cannot be forked")
def test_a_process_killed_at_any_moment_leaves_one_space_or_the_other(whole, tmp_path):
    folder, left = shutil.copytree(whole, tmp_path / "space"), set()
    for moment in range(100):
        before = SongSpace.load(folder)
        status = save_one_more(before, folder, moment)
        after = SongSpace.load(folder)
        more = len(after) - len(before)
        assert status in (0, 9) and more in (0, 1) and after.recipe.weights.exists()
        left.add((status, more))
        if status == 0:
            break
    assert left == {(9, 0), (9, 1), (0, 1)} and moment > 8
    folders = [path for path in folder.iterdir() if path.is_dir()]
    assert not folders, "what was interrupted is cleared up"


def test_of_two_at_once_the_second_waits_and_both_are_in(
    whole, music, tmp_path, monkeypatch, capsys
):
    space, true, begun = (
        shutil.copytree(whole, tmp_path / "space"),
        SongSpace.add,
        threading.Event(),
    )
    for name, tone in (("a", 0.111), ("b", 0.222)):
        sf.write(tmp_path / f"{name}.wav", 0.3 * np.sin(np.arange(32000) * tone), 8000)

    def add(self, files, **options):
        begun.set()
        time.sleep(0.2)
        return true(self, files, **options)

    monkeypatch.setattr(SongSpace, "add", add)
    first = threading.Thread(target=add_to, args=(space, [tmp_path / "a.wav"]))
    first.start()
    assert begun.wait(10)
    add_to(space, [tmp_path / "b.wav"])
    first.join()
    assert SongSpace.load(space).songs["song_id"].tolist()[8:] == ["a.wav", "b.wav"]
    assert f"(number {os.getpid()}) is at work on the space" in capsys.readouterr().err


def test_a_space_that_others_have_changed_is_not_overwritten(whole, tmp_path):
    space = shutil.copytree(whole, tmp_path / "space")
    mine, others = SongSpace.load(space), SongSpace.load(space)
    others.save(space)
    mine.save(space)  # nothing has changed
    others.songs["title"] = "another"
    others.save(space)
    with pytest.raises(RunError, match="load it again"):
        mine.save(space)
    assert len(SongSpace.load(mine.save(tmp_path / "elsewhere"))) == 8


def test_a_folder_that_cannot_be_made_or_written(whole, tmp_path):
    (tmp_path / "file").write_text("")
    space = SongSpace.load(whole)
    for place in (tmp_path / "file", tmp_path / "file" / "below"):
        with pytest.raises(RunError, match="a file stands where a folder should be"):
            space.save(place)
        with pytest.raises(RunError, match="a file stands where a folder should be"):
            add_to(place, [])
        with pytest.raises(RunError, match="holds no space"):
            SongSpace.load(place)


def test_a_space_is_what_its_run_says(smoke):
    space = SongSpace.from_run(smoke.folder)
    assert (SongSpace.load(smoke.folder / "06_playlists" / "space").vectors == space.vectors).all()
    for i in (0, 17):
        vector, own = space.encode_file(space.songs["path"].iat[i])
        assert own == i and np.abs(vector - space.vectors[i]).max() < 1e-5


def test_adding_ten_songs_gives_the_vectors_that_the_run_has(smoke, tmp_path):
    "Ten songs are taken out of a run's space and added to it again, as files."
    whole = SongSpace.from_run(smoke.folder)
    out = np.arange(0, len(whole), 4)[:10]
    kept = np.setdiff1d(np.arange(len(whole)), out)
    part = SongSpace(whole.vectors[kept], whole.songs.iloc[kept], whole.recipe)
    ids = whole.songs["song_id"].iloc[out].tolist()
    for song_id, path in zip(ids, whole.songs["path"].iloc[out]):
        shutil.copy(path, tmp_path / song_id)  # the id, which decides on the cut, is the name
    saved = SongSpace.load(part.save(tmp_path / "space"))
    added, rejected = saved.add([tmp_path / song_id for song_id in ids])
    assert not len(rejected) and added["song_id"].tolist() == ids
    assert np.abs(saved.vectors[len(kept) :] - whole.vectors[out]).max() < 1e-5
    assert (saved.vectors[: len(kept)] == whole.vectors[kept]).all()
    again = SongSpace.load(saved.save(tmp_path / "space"))
    near = [space.nearest(ids[3], 5)["song_id"].tolist() for space in (again, whole)]
    assert near[0] == near[1]
