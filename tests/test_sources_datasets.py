"Miniatures of FMA and GTZAN in the layout of the real ones, a library that grows, and soundtracks."

import csv
import hashlib
import io
import json
import os
import shutil
import signal
import subprocess
import sys
import tarfile
import time
import zipfile
from functools import cache
from pathlib import Path

import mutagen
import numpy as np
import pytest
import soundfile as sf
from conftest import song_metric
from servers import Server

from song_metric.catalog import build_catalog, load_table
from song_metric.chapters import notebooks_folder
from song_metric.downloads import Web
from song_metric.files import RunError
from song_metric.sources import fma, folder, gtzan
from song_metric.spectrograms import SpectrogramSettings, compute_examples
from song_metric.splits import split_songs

RATE = 22050
# the header of the real tracks.csv: 52 columns in two rows, and a third that names the index
ALBUM = """comments date_created date_released engineer favorites id information listens producer
    tags title tracks type""".split()
ARTIST = """active_year_begin active_year_end associated_labels bio comments date_created favorites
    id latitude location longitude members name related_projects tags website
    wikipedia_page""".split()
TRACK = """bit_rate comments composer date_created date_recorded duration favorites genre_top genres
    genres_all information interest language_code license listens lyricist number publisher tags
    title""".split()
HEADER = [("album", name) for name in ALBUM]
HEADER += [("artist", name) for name in ARTIST]
HEADER += [("set", "split"), ("set", "subset")]
HEADER += [("track", name) for name in TRACK]


def sound(number, seconds=6.0, kind="MP3", **how):
    "A file of a tone that swells, another one for each number."
    t = np.arange(int(RATE * seconds)) / RATE
    tone = np.sin(2 * np.pi * (150 + 37 * number) * t)
    swell = 1 + 0.5 * np.sin(2 * np.pi * (1 + number % 5) * t)
    noise = np.random.default_rng(number).standard_normal(len(t))
    file = io.BytesIO()
    audio = 0.3 * tone * swell + 0.02 * noise
    sf.write(file, audio.astype("float32"), RATE, format=kind, **how)
    return file.getvalue()


def zipped(files):
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w", zipfile.ZIP_BZIP2) as archive:  # as the real ones are
        for name, content in files.items():
            archive.writestr(name, content)
    return data.getvalue()


def fma_row(number):
    "A row of the small FMA's table: the track's number, and its values by column."
    track_id = {24: 99134, 25: 7000}.get(number, 2 + 500 * number)
    values = {
        ("artist", "name"): f'Artist {number // 3}, "quoted"',
        ("artist", "bio"): "A life,\nin two lines",
        ("album", "title"): f"Album {number // 3}",
        ("set", "split"): ("training", "validation", "test")[number // 3 % 3],
        ("set", "subset"): "medium" if number == 25 else "small",
        ("track", "genre_top"): ("Rock", "Folk", "Hip-Hop")[number % 3],
        ("track", "license"): "Attribution",
        ("track", "title"): f"Song {number}",
    }
    return track_id, [values.get(column, "") for column in HEADER]


@cache
def small_fma():
    """The two archives of a small FMA.

    24 songs of three genres by eight artists, one faulty, one in the medium subset only.
    """
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    for row in (0, 1):
        writer.writerow(["", *(column[row] for column in HEADER)])
    writer.writerow(["track_id", *[""] * len(HEADER)])
    clips = {fma.clip_path(99134, "small"): b""}
    for number in range(26):
        track_id, values = fma_row(number)
        writer.writerow([track_id, *values])
        if number < 24:
            clips[fma.clip_path(track_id, "small")] = sound(number)
    tables = {
        "fma_metadata/tracks.csv": text.getvalue(),
        "fma_metadata/genres.csv": "genre_id\n",
        "fma_metadata/features.csv": "large",
    }
    return {"/fma/fma_metadata.zip": zipped(tables), "/fma/fma_small.zip": zipped(clips)}


def fetch_fma(target, server):
    web = Web(attempts=200, pause=0.001)
    return fma.fetch(str(target), base=f"{server.base}/fma", web=web)


@pytest.fixture(scope="module")
def fma_folder(tmp_path_factory):
    """The small FMA, fetched from a server that fails.

    It breaks off, resets connections (which may take along what had arrived) and answers 503.
    """
    target = tmp_path_factory.mktemp("fma")
    archives = small_fma()
    checksums = {}
    for path, body in archives.items():
        name = path.split("_")[1].removesuffix(".zip")
        checksums[name] = f"sha1:{hashlib.sha1(body).hexdigest()}"
    with (
        pytest.MonkeyPatch.context() as patch,
        Server({"short": 0.5, "cut": 0.3, "503": 0.3}, archives) as server,
    ):
        patch.setattr(fma, "CHECKSUMS", checksums)
        assert fetch_fma(target, server) == []
        assert server.ranges, "no download went on"
        asked = len(server.log)
        fetch_fma(target, server)
        assert len(server.log) == asked
        gone, damaged = (target / fma.clip_path(track_id, "small") for track_id in (2, 502))
        gone.unlink()
        damaged.write_bytes(bytes(damaged.stat().st_size))
        missing, invalid = fma.validate(str(target))
        assert [Path(row["path"]).name for row in missing + invalid] == [gone.name, damaged.name]
        fetch_fma(target, server)
        assert len(server.log) > asked and fma.validate(str(target)) == ([], [])
    return target


def test_fma(fma_folder, tmp_path):
    assert not list(fma_folder.rglob("*.zip")) and not list(fma_folder.rglob("*.part"))
    assert not (fma_folder / "fma_metadata/features.csv").exists()
    assert fma.validate(str(fma_folder)) == ([], [])
    songs, rejected = build_catalog("fma", data=str(fma_folder), workers=1)
    assert len(songs) == 24 and songs["artist"][0] == 'Artist 0, "quoted"'
    assert set(songs["split"]) == {"training", "validation", "test"}
    assert set(songs["genre"]) == {"Rock", "Folk", "Hip-Hop"}
    assert rejected.values.tolist() == [
        ["fma_small/099/099134.mp3", "known to be faulty: no sound in it (FMA's own list)"]
    ]
    held = split_songs(songs, 0.4)
    assert 0 < held.sum() < len(songs)
    assert not set(songs["artist"][held]) & set(songs["artist"][~held])
    settings = SpectrogramSettings(bands=8, frames=12, examples=2)
    kept, failed, _ = compute_examples(songs, settings, tmp_path, workers=1)
    assert len(kept) == 24 and not len(failed)


def test_fma_archives_that_are_not_the_published_ones(tmp_path):
    with (
        Server({}, small_fma()) as server,
        pytest.raises(RunError, match="fma_metadata.zip.*checksum.*no longer the published file"),
    ):
        fma.fetch(str(tmp_path), base=f"{server.base}/fma", web=Web(pause=0.001))
    assert not list(tmp_path.rglob("*.zip"))


@pytest.mark.parametrize("layout", ["genres/{0}/{1}.au", "Data/genres_original/{0}/{1}.wav"])
def test_gtzan(tmp_path, layout):
    kind = layout[-2:].upper().replace("AV", "WAV")
    names = [
        f"{genre}.{number:05d}"
        for genre in ("blues", "metal", "pop")
        for number in (0, 1, 2, 12, 15, 34)
    ]
    for number, name in enumerate(names):
        path = tmp_path / "set" / layout.format(name.split(".")[0], name)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(sound(number, kind=kind))
    jazz = tmp_path / "set" / layout.format("jazz", "jazz.00054")
    jazz.parent.mkdir(parents=True)
    jazz.write_bytes(b"\0" * 4000)
    with tarfile.open(tmp_path / "set.tar.gz", "w:gz") as archive:
        archive.add(tmp_path / "set", ".")
    for data in (tmp_path / "set", tmp_path / "set.tar.gz"):
        if data.is_file():
            shutil.rmtree(gtzan.cache_home() / "gtzan", ignore_errors=True)
        songs, rejected = build_catalog("gtzan", data=str(data), workers=1)
        assert len(songs) == 18 and list(rejected["path"]) == [f"jazz/{jazz.name}"]
        songs, rejected = build_catalog("gtzan", data=str(data), workers=1, faults="drop")
        faulty = rejected["reason"].str.contains("known to be faulty")
        assert len(songs) == 18 - 2 and faulty.sum() == 2  # metal.00034, pop.00015
        assert set(songs["split"]) == {"training", "validation", "test"}


def test_a_library_that_grows(tmp_path, monkeypatch, here):
    "Files seen before are not opened again; a changed one is; duplicates are listed."
    body = [sound(number, kind="FLAC") for number in range(40)]

    def write(name, content, genre):
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(content)
        tagged = mutagen.File(path, easy=True)
        tagged.update(genre=genre, artist=f"Artist {name[0]}", title=name)
        tagged.save()

    for number in range(36):
        write(f"{number % 4}/{number}.flac", body[number], ("Hip-Hop/Rap", "jazz")[number % 2])
    looked = []
    look = folder.look_at

    def watch(path, preview_seconds):
        looked.append(path)
        return look(path, preview_seconds)

    def read():
        return build_catalog("folder", data=str(tmp_path), label="genre", workers=1)

    monkeypatch.setattr(folder, "look_at", watch)
    songs, _ = read()
    assert len(looked) == 36 == len(songs) and set(songs["genre"]) == {"Hip hop", "Jazz"}
    looked.clear()
    assert read()[0].equals(songs) and not looked
    for number in (36, 37):
        write(f"0/{number}.flac", body[number], "jazz")
    write("0/zz copy.flac", body[0], "jazz")
    write("1/1.flac", body[38], "jazz")
    songs, rejected = read()
    assert sorted(Path(path).name for path in looked) == [
        "1.flac",
        "36.flac",
        "37.flac",
        "zz copy.flac",
    ]
    assert len(songs) == 38 and rejected.values.tolist() == [
        ["0/zz copy.flac", "a duplicate: it sounds exactly like 0/0.flac"]
    ]


QUICK = [
    "workers=1",
    "training_seeds=1",
    "epochs=1",
    "looks=1",
    "agreement_updates=2",
    "cluster_seeds=1",
    "examples=3",
    "tsne_songs=8",
    "path_pairs=4",
    "bootstrap=10",
    "wrong_draws=2",
]
SMALLER = ["--profile", "smoke", *(word for value in QUICK for word in ("-p", value))]


@pytest.fixture(scope="session")
def first_chapters(tmp_path_factory):
    """The chapters that meet a source's songs: catalog, spectrograms and split.

    What follows is the same for all sources.
    """
    nbs = tmp_path_factory.mktemp("first") / "nbs"
    (nbs / "profiles").mkdir(parents=True)
    (nbs / "profiles" / "smoke.yaml").write_text(
        "components: 16\ncurve_components: 32\nexamples: 3\n"
    )
    for name in ("00_data", "01_spectrograms", "02_baselines"):
        shutil.copy(notebooks_folder() / f"{name}.ipynb", nbs)
    return nbs


def report_of(source, data, runs, nbs, *more):
    "The songs of a smoke run, each with whether it was held out."
    words = ["report", "--profile", "smoke", "--notebooks", nbs, "--runs-dir", runs]
    result = song_metric(*words, "--source", source, "--data", data, *more)
    assert result.returncode == 0, result.stderr + result.stdout
    (run,) = json.loads(song_metric("runs", "--json", "--runs-dir", runs).stdout)
    assert run["source"] == source and run["chapters"] == run["chapters_in_all"] == 3
    folder = runs / run["run"]
    split = load_table(folder / "02_baselines/split.csv")
    songs = load_table(folder / "01_spectrograms/songs.csv")
    return songs.assign(held_out=split["held_out"] == "True")


def test_small_fma_through_the_report(fma_folder, tmp_path, first_chapters):
    "Scored on the test songs that FMA itself names."
    songs = report_of("fma", fma_folder, tmp_path, first_chapters, "-p", "split=official")
    assert len(songs) == 24 and 0 < songs["held_out"].sum() < 24
    assert (songs["held_out"] == (songs["split"] == "test")).all()


def test_small_gtzan_through_the_report(tmp_path, first_chapters):
    "Files of .au, a broken one among them, and the index of artists: no artist is on both sides."
    genres = ("blues", "jazz", "rock")
    names = [f"{genre}.{number:05d}" for genre in genres for number in range(8)]
    lines = ["file, artist, title"]
    for number, name in enumerate([*names, "jazz.00054"]):
        path = tmp_path / "set/genres" / name.split(".")[0] / f"{name}.au"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(sound(number, kind="AU") if number < len(names) else b"\0" * 4000)
        lines.append(f'{name}.wav, "Band {number // 2}, The", Song')
    (tmp_path / "set/gtzan_index.csv").write_text("\n".join(lines) + "\n")
    songs = report_of("gtzan", tmp_path / "set", tmp_path / "runs", first_chapters)
    assert len(songs) == 24 and 0 < songs["held_out"].sum() < 24
    assert songs["artist"][0] == "Band 0, The"
    assert not set(songs["artist"][songs["held_out"]]) & set(songs["artist"][~songs["held_out"]])


APT = """#!/bin/sh
# as apt-get download: the index's version is gone; a file that is there in part is gone on with
for name; do :; done
deb=toy-music_2_all.deb
case "$name" in
    *=*) echo "E: Version '1' for 'toy-music' was not found" >&2; exit 100;;
esac
case "$*" in
    *--print-uris*) echo "'http://127.0.0.1/$deb' $deb $(wc -c < "$TOY_DEB") SHA256:0"; exit;;
esac
have=$(cat $deb 2> /dev/null | wc -c)
echo "$have" >> "$TOY_LOG"
tail -c +$((have + 1)) "$TOY_DEB" | head -c 1000 >> $deb
[ -e "$TOY_SLOW" ] && sleep 60
tail -c +$((have + 1001)) "$TOY_DEB" >> $deb
"""
CONTROL = """Package: toy-music
Version: 2
Architecture: all
Maintainer: Nobody <nobody@example.org>
Description: toy
"""
INDEX = "package,version,member,file,album,artist,title,licence,bytes,sha256"
FETCH = """
import sys
from song_metric.sources import soundtracks
sys.exit(len(soundtracks.fetch(sys.argv[1], index=sys.argv[2])))
"""


@pytest.fixture
def toy_package(tmp_path):
    "A package of two songs with its index, and an apt-get that brings it: (songs, environment)."
    top = tmp_path / "package"
    for path in (top / "DEBIAN", top / "usr", tmp_path / "bin"):
        path.mkdir(parents=True)
    (top / "DEBIAN/control").write_text(CONTROL)
    songs = [sound(number, kind="OGG") for number in range(2)]
    lines = [INDEX]
    for number, body in enumerate(songs):
        (top / f"usr/{number}.ogg").write_bytes(body)
        names = f"toy-music,1,usr/{number}.ogg,toy/{number}.ogg,Toy,Ana,Song {number},CC0-1.0"
        lines.append(f"{names},{len(body)},{hashlib.sha256(body).hexdigest()}")
    (tmp_path / "index.csv").write_text("\n".join(lines) + "\n")
    words = ["dpkg-deb", "--build", "-Zgzip", top, tmp_path / "toy.deb"]
    subprocess.run(words, check=True, capture_output=True)
    (tmp_path / "bin/apt-get").write_text(APT)
    (tmp_path / "bin/apt-get").chmod(0o755)
    toys = dict(TOY_DEB="toy.deb", TOY_LOG="log", TOY_SLOW="slow")
    environment = {name: str(tmp_path / file) for name, file in toys.items()}
    path = f"{tmp_path / 'bin'}:{os.environ['PATH']}"
    return songs, {**os.environ, **environment, "PATH": path}


@pytest.mark.skipif(not shutil.which("dpkg-deb"), reason="no dpkg-deb")
def test_soundtracks_killed_and_gone_on(tmp_path, toy_package):
    """Killed while apt is at work, no half package counts as one.

    What apt has brought is gone on with; a damaged track is fetched anew.
    """
    songs, environment = toy_package
    made = tmp_path / "made"
    made.mkdir()
    slow = tmp_path / "slow"
    slow.touch()
    log = tmp_path / "log"
    command = [sys.executable, "-c", FETCH, made, tmp_path / "index.csv"]
    process = subprocess.Popen(
        command, env=environment, start_new_session=True, stderr=subprocess.DEVNULL
    )
    deadline = time.monotonic() + 60
    part = made / ".apt/toy-music_2_all.deb"
    while not (part.exists() and part.stat().st_size == 1000) and time.monotonic() < deadline:
        time.sleep(0.02)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    assert part.stat().st_size == 1000 and [path.name for path in made.iterdir()] == [".apt"]
    slow.unlink()
    for start in (1000, 0):  # gone on with; and anew, after a track was damaged
        assert subprocess.run(command, env=environment, timeout=120).returncode == 0
        assert log.read_text().split()[-1] == str(start)
        assert [(made / f"toy/{number}.ogg").read_bytes() for number in range(2)] == songs
        assert not list(made.glob(".apt*")) + list(made.glob("*.deb"))
        damaged = bytearray(songs[1])
        damaged[-1] ^= 1
        (made / "toy/1.ogg").write_bytes(damaged)
    subprocess.run(command, env=environment, timeout=120, check=True)
    asked = log.read_text()
    subprocess.run(command, env=environment, timeout=120, check=True)
    assert log.read_text() == asked  # all is there: apt is not asked
