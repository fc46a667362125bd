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
USED, PASSED_OVER = "used", "passed over"


def tone(seconds=8.0, rate=RATE):
    t = np.arange(round(seconds * rate)) / rate
    return (
        0.3 * np.sin(2 * np.pi * 440 * t) + 0.05 * np.random.default_rng(0).standard_normal(len(t))
    ).astype("float32")


def cut(path, share):
    whole = path.read_bytes()
    path.write_bytes(whole[: int(len(whole) * share)])


def make_zoo(folder):
    "Files in `folder`; the result maps each one's name to USED, PASSED_OVER, or the start of the reason that it is listed with."
    expected, sound = {}, tone()

    def write(name, expectation, samples=sound, rate=RATE, **how):
        sf.write(folder / name, samples, rate, **how)
        expected[name] = expectation
        return folder / name

    def raw(name, expectation, content):
        (folder / name).write_bytes(content)
        expected[name] = expectation

    # what must be used
    for name in (
        "good.wav",
        "good.flac",
        "good.ogg",
        "good.mp3",
        "good.aiff",
        "good.au",
        "noending.xyz",
    ):
        write(name, USED, **(dict(format="FLAC") if name.endswith("xyz") else {}))
    write("good.opus", USED, tone(8, 24000), 24000, format="OGG", subtype="OPUS")
    for name, subtype in (
        ("8bit.wav", "PCM_U8"),
        ("24bit.wav", "PCM_24"),
        ("32bit.wav", "PCM_32"),
        ("float.wav", "FLOAT"),
        ("double.wav", "DOUBLE"),
        ("ulaw.wav", "ULAW"),
    ):
        write(name, USED, subtype=subtype)
    write("6ch.wav", USED, np.stack([sound] * 6, 1))
    write("96k.wav", USED, tone(8, 96000), 96000)
    write("8k.wav", USED, tone(8, 8000), 8000)
    write("huge.wav", USED, sound * 1e30, subtype="FLOAT")
    write("quiet.flac", USED, sound * 3e-3)
    write("exactly5s.wav", USED, sound[: 5 * RATE])
    write("<script>alert(1)</script>.wav".replace("/", "∕"), USED)
    write("日本語 ♫ $x$ 'quoted' \"twice\", comma.flac", USED)
    write("two\nlines.ogg", USED)
    streamed = bytearray((folder / "good.wav").read_bytes())
    streamed[4:8] = streamed[40:44] = b"\xff" * 4  # what a program that writes to a pipe leaves
    raw("streamed.wav", USED, streamed)

    # what must be listed
    for kind in ("wav", "flac", "ogg", "mp3", "opus"):
        raw(f"empty.{kind}", "empty: the file holds 0 bytes", b"")
        raw(f"text.{kind}", "not audio: text", b"These are the words of a song, la la la.\n" * 500)
        content = (folder / f"good.{kind}").read_bytes()
        raw(f"half.{kind}", "truncated or damaged", content[: len(content) // 2])
        raw(f"start.{kind}", "truncated or damaged|damaged", content[:90])
    raw("text.au", "not audio: text", b"no header here, only words\n" * 3000)
    raw(
        "random.mp3",
        "not audio, or of no supported format|damaged",
        np.random.default_rng(0).bytes(200_000),
    )
    raw(
        "page.ogg",
        "not audio: an HTML page",
        b"<!DOCTYPE html><html><title>404 Not Found</title></html>" * 50,
    )
    raw("picture.mp3", "not audio: a JPEG picture", b"\xff\xd8\xff\xe0" + bytes(5000))
    raw("song.m4a", "damaged: it starts like MPEG-4", b"\0\0\0\x20ftypM4A " + bytes(5000))
    raw(
        "song.wma",
        "damaged: it starts like Windows Media",
        bytes.fromhex("3026b2758e66cf11") + bytes(5000),
    )
    write("silent.wav", "silent", sound * 0)
    write("silent.mp3", "silent", sound * 0)
    write("almost silent.wav", "silent", sound * 1e-5, subtype="FLOAT")
    write("second.wav", "too short: 1.0 s", sound[:RATE])
    write("nosound.wav", "empty: its header promises no sound", sound[:0])
    write(
        "nan.wav",
        "damaged: .*not finite",
        np.where(np.arange(len(sound)) == len(sound) // 2, np.nan, sound),
        subtype="FLOAT",
    )
    write(
        "infinite.wav",
        "damaged: .*not finite",
        np.where(np.arange(len(sound)) == len(sound) // 2, np.inf, sound),
        subtype="FLOAT",
    )
    hole = bytearray((folder / "good.flac").read_bytes())
    hole[len(hole) // 2 : len(hole) * 6 // 10] = bytes(len(hole) * 6 // 10 - len(hole) // 2)
    raw("hole.flac", "damaged: decoding stops", hole)
    (folder / "folder.mp3").mkdir()
    expected["folder.mp3"] = "a folder, not a file"
    if hasattr(os, "symlink"):
        (folder / "broken link.mp3").symlink_to(folder / "gone.mp3")
        expected["broken link.mp3"] = "a broken link"
        (folder / "loop").symlink_to(folder)
    if hasattr(os, "mkfifo"):
        os.mkfifo(folder / "pipe.wav")
        expected["pipe.wav"] = "not a regular file"
    if hasattr(os, "geteuid") and os.geteuid():
        write("locked.wav", "may not be read: permission denied").chmod(0)

    # what collections hold besides music
    for name in (
        "cover.jpg",
        "notes.txt",
        "booklet.PDF",
        "list.m3u",
        "album.cue",
        ".hidden.mp3",
        "._good.mp3",
    ):
        raw(name, PASSED_OVER, b"x")
    return expected


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
    used, reasons = set(catalog["song_id"]), dict(zip(rejected["path"], rejected["reason"]))
    wrong = {}
    for name, expectation in expected.items():
        found = USED if f"Zoo/{name}" in used else reasons.get(f"Zoo/{name}", PASSED_OVER)
        if not re.match(expectation, found):
            wrong[name] = (expectation, found)
    assert not wrong
    assert reasons["top.wav"].startswith("no label: it lies in the top folder")
    assert (
        len(used) + len(reasons)
        == sum(expectation != PASSED_OVER for expectation in expected.values()) + 3
    )


def test_rows_are_plain_and_survive_the_file(zoo, tmp_path):
    top, _, catalog, rejected = zoo
    save_table(catalog, tmp_path / "catalog.csv")
    save_table(rejected, tmp_path / "rejected.csv")
    assert load_catalog(tmp_path / "catalog.csv").to_dict("list") == catalog.to_dict("list")
    assert load_table(tmp_path / "rejected.csv").to_dict("list") == rejected.to_dict("list")
    assert list(catalog["song_id"]) == sorted(catalog["song_id"])
    row = catalog.set_index("song_id").loc["Zoo/two\nlines.ogg"]
    assert (
        row["title"] == "two lines"
        and row["genre"] == "Zoo"
        and row["artist"] == ""
        and row["duration"] == pytest.approx(8, abs=0.1)
    )
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
    assert (
        list(catalog["genre"]) == ["Jazz"] * 3 + ["Rock"] * 2
        and list(catalog["artist"])[:3] == ["Ana <b>"] * 3
        and list(catalog["album"])[:3] == ["NA"] * 3
    )
    catalog, rejected = build_catalog(
        "folder", data=str(tmp_path), label="artist", workers=1, keep_duplicates=True
    )
    assert (
        len(catalog) == 3
        and rejected["reason"].str.startswith("no artist tag").all()
        and len(rejected) == 2
    )


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
    assert (
        list(catalog["song_id"]) == ["a/1.wav", "a/2.wav"]
        and rejected.values.tolist()[0][0] == "b/1.wav"
        and "too few songs" in rejected["reason"][0]
    )
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
