"Forty kinds of files, good and bad: each is either used or listed with a true reason."

import os
import re

import mutagen
import mutagen.id3
import numpy as np
import pytest
import soundfile as sf

from song_metric.catalog import (
    build_catalog,
    count_reasons,
    load_catalog,
    load_table,
    require_enough,
    save_table,
)
from song_metric.files import RunError
from song_metric.sources._base import ask, get_source
from song_metric.tags import read_tags

RATE = 22050
USED = "used"
PASSED_OVER = "passed over"


def tone(seconds=8.0, rate=RATE):
    t = np.arange(round(seconds * rate)) / rate
    noise = np.random.default_rng(0).standard_normal(len(t))
    return (0.3 * np.sin(2 * np.pi * 440 * t) + 0.05 * noise).astype("float32")


class Zoo:
    """Files in `folder`, good and bad.

    `expected` maps each one's name to USED, PASSED_OVER, or the start of the reason that it is
    listed with.
    """

    def __init__(self, folder):
        self.folder = folder
        self.expected = {}
        self.sound = tone()

    def write(self, name, expectation, samples=None, rate=RATE, **how):
        sf.write(self.folder / name, self.sound if samples is None else samples, rate, **how)
        self.expected[name] = expectation
        return self.folder / name

    def raw(self, name, expectation, content):
        (self.folder / name).write_bytes(content)
        self.expected[name] = expectation

    def content(self, name):
        return (self.folder / name).read_bytes()


SUBTYPES = {
    "8bit.wav": "PCM_U8",
    "24bit.wav": "PCM_24",
    "32bit.wav": "PCM_32",
    "float.wav": "FLOAT",
    "double.wav": "DOUBLE",
    "ulaw.wav": "ULAW",
}


def add_what_must_be_used(zoo):
    for kind in ("wav", "flac", "ogg", "mp3", "aiff", "au"):
        zoo.write(f"good.{kind}", USED)
    zoo.write("noending.xyz", USED, format="FLAC")
    zoo.write("good.opus", USED, tone(8, 24000), 24000, format="OGG", subtype="OPUS")
    for name, subtype in SUBTYPES.items():
        zoo.write(name, USED, subtype=subtype)
    zoo.write("6ch.wav", USED, np.stack([zoo.sound] * 6, 1))
    zoo.write("96k.wav", USED, tone(8, 96000), 96000)
    zoo.write("8k.wav", USED, tone(8, 8000), 8000)
    zoo.write("huge.wav", USED, zoo.sound * 1e30, subtype="FLOAT")
    zoo.write("quiet.flac", USED, zoo.sound * 3e-3)
    zoo.write("exactly5s.wav", USED, zoo.sound[: 5 * RATE])
    zoo.write("<script>alert(1)<∕script>.wav", USED)
    zoo.write("日本語 ♫ $x$ 'quoted' \"twice\", comma.flac", USED)
    zoo.write("two\nlines.ogg", USED)
    streamed = bytearray(zoo.content("good.wav"))
    streamed[4:8] = streamed[40:44] = b"\xff" * 4  # what a program that writes to a pipe leaves
    zoo.raw("streamed.wav", USED, streamed)


def add_what_is_no_sound(zoo):
    for kind in ("wav", "flac", "ogg", "mp3", "opus"):
        text = b"These are the words of a song, la la la.\n" * 500
        content = zoo.content(f"good.{kind}")
        zoo.raw(f"empty.{kind}", "empty: the file holds 0 bytes", b"")
        zoo.raw(f"text.{kind}", "not audio: text", text)
        zoo.raw(f"half.{kind}", "truncated or damaged", content[: len(content) // 2])
        zoo.raw(f"start.{kind}", "truncated or damaged|damaged", content[:90])
    noise = np.random.default_rng(0).bytes(200_000)
    page = b"<!DOCTYPE html><html><title>404 Not Found</title></html>" * 50
    windows_media = bytes.fromhex("3026b2758e66cf11") + bytes(5000)
    zoo.raw("text.au", "not audio: text", b"no header here, only words\n" * 3000)
    zoo.raw("random.mp3", "not audio, or of no supported format|damaged", noise)
    zoo.raw("page.ogg", "not audio: an HTML page", page)
    zoo.raw("picture.mp3", "not audio: a JPEG picture", b"\xff\xd8\xff\xe0" + bytes(5000))
    mpeg4 = b"\0\0\0\x20ftypM4A " + bytes(5000)
    zoo.raw("song.m4a", "damaged: it starts like MPEG-4", mpeg4)
    zoo.raw("song.wma", "damaged: it starts like Windows Media", windows_media)


def add_what_is_wrong_in_the_sound(zoo):
    sound = zoo.sound
    zoo.write("silent.wav", "silent", sound * 0)
    zoo.write("silent.mp3", "silent", sound * 0)
    zoo.write("almost silent.wav", "silent", sound * 1e-5, subtype="FLOAT")
    zoo.write("second.wav", "too short: 1.0 s", sound[:RATE])
    zoo.write("nosound.wav", "empty: its header promises no sound", sound[:0])
    for name, value in (("nan.wav", np.nan), ("infinite.wav", np.inf)):
        broken = np.where(np.arange(len(sound)) == len(sound) // 2, value, sound)
        zoo.write(name, "damaged: .*not finite", broken, subtype="FLOAT")
    hole = bytearray(zoo.content("good.flac"))
    start = len(hole) // 2
    end = len(hole) * 6 // 10
    hole[start:end] = bytes(end - start)
    zoo.raw("hole.flac", "damaged: decoding stops", hole)


def add_what_is_no_file(zoo):
    (zoo.folder / "folder.mp3").mkdir()
    zoo.expected["folder.mp3"] = "a folder, not a file"
    if hasattr(os, "symlink"):
        (zoo.folder / "broken link.mp3").symlink_to(zoo.folder / "gone.mp3")
        zoo.expected["broken link.mp3"] = "a broken link"
        (zoo.folder / "loop").symlink_to(zoo.folder)
    if hasattr(os, "mkfifo"):
        os.mkfifo(zoo.folder / "pipe.wav")
        zoo.expected["pipe.wav"] = "not a regular file"
    if hasattr(os, "geteuid") and os.geteuid():
        zoo.write("locked.wav", "may not be read: permission denied").chmod(0)


COMPANIONS = ["cover.jpg", "notes.txt", "booklet.PDF", "list.m3u", "album.cue"]


def make_zoo(folder):
    "What a folder may hold, each kind once: the expectations by name."
    zoo = Zoo(folder)
    add_what_must_be_used(zoo)
    add_what_is_no_sound(zoo)
    add_what_is_wrong_in_the_sound(zoo)
    add_what_is_no_file(zoo)
    for name in [*COMPANIONS, ".hidden.mp3", "._good.mp3"]:
        zoo.raw(name, PASSED_OVER, b"x")
    return zoo.expected


@pytest.fixture(scope="module")
def zoo(tmp_path_factory):
    top = tmp_path_factory.mktemp("music")
    (top / "Zoo").mkdir()
    (top / "Other").mkdir()
    expected = make_zoo(top / "Zoo")
    for number in range(2):
        sf.write(top / "Other" / f"{number}.flac", tone(6), RATE)
    sf.write(top / "top.wav", tone(6), RATE)
    catalog, rejected = build_catalog("folder", data=str(top), workers=2, keep_duplicates=True)
    return top, expected, catalog, rejected


def test_each_file_is_used_or_listed_with_a_true_reason(zoo):
    _, expected, catalog, rejected = zoo
    used = set(catalog["song_id"])
    reasons = dict(zip(rejected["path"], rejected["reason"]))
    wrong = {}
    for name, expectation in expected.items():
        found = USED if f"Zoo/{name}" in used else reasons.get(f"Zoo/{name}", PASSED_OVER)
        if not re.match(expectation, found):
            wrong[name] = (expectation, found)
    assert not wrong
    assert reasons["top.wav"].startswith("no label: it lies in the top folder")
    looked_at = [name for name, expectation in expected.items() if expectation != PASSED_OVER]
    assert len(used) + len(reasons) == len(looked_at) + 3


def test_rows_are_plain_and_survive_the_file(zoo, tmp_path):
    top, _, catalog, rejected = zoo
    save_table(catalog, tmp_path / "catalog.csv")
    save_table(rejected, tmp_path / "rejected.csv")
    assert load_catalog(tmp_path / "catalog.csv").to_dict("list") == catalog.to_dict("list")
    assert load_table(tmp_path / "rejected.csv").to_dict("list") == rejected.to_dict("list")
    assert list(catalog["song_id"]) == sorted(catalog["song_id"])
    row = catalog.set_index("song_id").loc["Zoo/two\nlines.ogg"]
    assert (row["title"], row["genre"], row["artist"]) == ("two lines", "Zoo", "")
    assert row["duration"] == pytest.approx(8, abs=0.1)
    assert "\n" not in "".join(rejected["reason"]) and str(top) not in "".join(rejected["reason"])
    assert count_reasons(rejected)["files"].sum() == len(rejected)


def test_any_number_of_processes_gives_the_same(zoo):
    top, _, catalog, rejected = zoo
    again = build_catalog("folder", data=str(top), workers=1, keep_duplicates=True)
    assert again[0].equals(catalog) and again[1].equals(rejected)


def test_a_name_that_is_no_text_is_listed(tmp_path):
    (tmp_path / "a").mkdir()
    try:
        (tmp_path / "a" / os.fsdecode(b"caf\xe9.wav")).write_bytes(b"RIFF")
    except OSError:
        pytest.skip("this file system takes UTF-8 names only")
    rows, rejected = ask(get_source("folder"), "catalog", tmp_path, workers=1)
    assert rows == [] and rejected == [
        dict(path="a/caf\\xe9.wav", reason="its name is not valid UTF-8: rename it")
    ]


def test_labels_from_tags(tmp_path):
    for number, kind in enumerate(("flac", "ogg", "mp3", "wav", "aiff")):
        sf.write(tmp_path / f"{number}.{kind}", tone(6), RATE)
    for path in sorted(tmp_path.iterdir())[:3]:
        tagged = mutagen.File(path, easy=True)
        if tagged.tags is None:
            tagged.add_tags()
        tagged.update(genre="Jazz", artist="Ana\n<b>", album="NA")
        tagged.save()
    for path in sorted(tmp_path.iterdir())[3:]:
        tagged = mutagen.File(path)
        tagged.add_tags()
        tagged.tags.add(mutagen.id3.TCON(encoding=3, text="(17)"))
        tagged.save()
    catalog, rejected = build_catalog(
        "folder", data=str(tmp_path), label="genre", workers=1, keep_duplicates=True
    )
    assert list(catalog["genre"]) == ["Jazz"] * 3 + ["Rock"] * 2
    assert list(catalog["artist"])[:3] == ["Ana <b>"] * 3
    assert list(catalog["album"])[:3] == ["NA"] * 3
    catalog, rejected = build_catalog(
        "folder", data=str(tmp_path), label="artist", workers=1, keep_duplicates=True
    )
    assert len(catalog) == 3 and len(rejected) == 2
    assert rejected["reason"].str.startswith("no artist tag").all()


def test_old_wav_tags(tmp_path):
    with sf.SoundFile(tmp_path / "old.wav", "w", RATE, 1) as file:
        file.artist, file.title = "Ana", "Um"
        file.write(tone(6))
    assert read_tags(tmp_path / "old.wav") == dict(artist="Ana", title="Um")


def test_small_labels_are_listed(tmp_path):
    for name in ("a/1.wav", "a/2.wav", "b/1.wav"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        sf.write(tmp_path / name, tone(6), RATE)
    catalog, rejected = build_catalog("folder", data=str(tmp_path), workers=1, keep_duplicates=True)
    assert list(catalog["song_id"]) == ["a/1.wav", "a/2.wav"]
    assert rejected["path"][0] == "b/1.wav" and "too few songs" in rejected["reason"][0]
    with pytest.raises(RunError, match=r"Only 2 usable song.*1 × its label has too few songs"):
        require_enough(catalog, rejected)


@pytest.mark.parametrize(
    "how, words",
    [
        (dict(data=""), "needs a folder of music"),
        (dict(data="/no/such/place"), "is no folder"),
        (dict(data=__file__), "is no folder"),
        (dict(data=".", label="mood"), "folder, genre, album, artist"),
    ],
)
def test_what_cannot_be_is_refused(how, words):
    with pytest.raises(RunError, match=words):
        build_catalog("folder", **how)


def test_a_folder_without_music_is_refused(tmp_path):
    (tmp_path / "notes.txt").write_text("x")
    with pytest.raises(RunError, match="no sound files"):
        build_catalog("folder", data=str(tmp_path))


def test_an_unknown_source_is_refused():
    with pytest.raises(RunError, match="deezer, demo, fma, folder"):
        build_catalog("wax cylinders")
