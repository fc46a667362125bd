"Odd names, odd tables, small libraries, system folders: used as meant, or refused in a sentence."

import os

import pandas as pd
import pytest
from test_space import catalog

from song_metric.catalog import build_catalog, load_table, require_enough, save_table
from song_metric.files import RunError
from song_metric.plans import make_plan
from song_metric.runs import run_dir
from song_metric.sources.table import load_rows, path_of_uri, row_path
from song_metric.splits import split_songs
from song_metric.tags import find_candidates

RATE = 22050
CONTROLS = [chr(code) for code in (*range(33), 0x7F, 0x85, 0xA0, 0x2028, 0x2029, 0xFEFF)]
ODD = [
    "a\rb",
    "Icon\r",
    "\r",
    "a\r\nb",
    "\r\r\n",
    'q"q',
    '"',
    '"\r"',
    "caf\udce9",
    "\ud800",
    "",
    " lead",
    "trail ",
    "a,b",
    "NA",
    "None",
    "\\",
    "'",
    "=1+1",
    *CONTROLS,
    "".join(CONTROLS),
]


@pytest.mark.parametrize(
    "names", [ODD, *([name] for name in ODD)], ids=lambda names: ascii(names)[:20]
)
def test_tables_keep_any_name(tmp_path, names):
    table = pd.DataFrame(dict(path=names, reason=names[::-1]))
    save_table(table, tmp_path / "t.csv")
    assert load_table(tmp_path / "t.csv").to_dict("list") == table.to_dict("list")


def test_tables_of_plain_names_are_written_as_ever(tmp_path):
    table = catalog(3).assign(title=["a", "b, c", 'd "e"\nf'], held_out=[True, False, True])
    save_table(table, tmp_path / "t.csv")
    expected = table.to_csv(index=False, lineterminator="\n")
    assert (tmp_path / "t.csv").read_bytes() == expected.encode()


def touch(folder, *names):
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).touch()


@pytest.mark.skipif(os.name == "nt", reason="Windows has no such names")
def test_pictures_of_macos_folders_are_no_songs(tmp_path):
    touch(tmp_path, "Icon\r", "a/Icon\r", "a/Icon\uf00d", "a/Icon:0d")
    touch(tmp_path, "a/Icon", "a/x\ry.flac", "a/Icon\r.flac")
    assert find_candidates(tmp_path) == (["a/Icon", "a/Icon\r.flac", "a/x\ry.flac"], [])


SYSTEM = """
$RECYCLE.BIN/S-1-5-21-1, $Recycle.Bin, RECYCLER/S-1-5-21-7-500, System Volume Information,
#recycle/Rock, Rock/@eaDir/a.flac, #snapshot/Rock, @Recycle, @recycle, @Recently-Snapshot, @__thumb,
.Trash-1000/files, .Trashes/501, Network Trash Folder, Temporary Items, lost+found, __MACOSX,
LOST.DIR, FOUND.000, @tmp, ~snapshot/hourly.0, .snapshots/1, @GMT-2024.01.01-00.00.00,
Backups.backupdb, .stversions
"""


def test_bins_and_system_folders_are_not_entered(tmp_path):
    bands = ["$uicideboy$", "@onefive", "#1 Hits", "Recycled", "Snapshot", "Found", "Lost", "S-1"]
    folders = SYSTEM.strip().replace("\n", " ").split(", ")
    touch(tmp_path, *(f"{name}/x.flac" for name in [*bands, *folders]))
    assert find_candidates(tmp_path) == (sorted(f"{name}/x.flac" for name in bands), [])


ROWS = [dict(path=f"rock/{i}.wav", genre="Rock, 1,5") for i in range(3)]


def text(separator, end="\n", quote=""):
    rows = [["path", "Genre"], *(list(row.values()) for row in ROWS)]
    return end.join(separator.join(f"{quote}{cell}{quote}" for cell in row) for row in rows) + end


@pytest.mark.parametrize(
    "data",
    [
        text(",", quote='"').encode(),
        text(";").encode("utf-8-sig"),
        b"sep=;\r\n" + text(";", "\r\n").encode(),
        b"\xef\xbb\xbfSEP=;\r" + text(";", "\r").encode(),
        b'"sep=;"\n' + text(";").encode(),
        b"sep=|;;\n" + text("|").encode(),
        b"\n\n" + text("\t").encode(),
        text(";", quote='"').replace("path", 'path";"a, b, c').replace("wav", 'wav";"').encode(),
        text("|", "\n\n").encode(),
    ],
)
def test_tables_of_other_programs_are_read(tmp_path, data):
    (tmp_path / "songs.csv").write_bytes(data)
    rows = load_rows(str(tmp_path / "songs.csv"))
    assert [dict(path=row["path"], genre=row["genre"]) for row in rows] == ROWS


def test_line_breaks_in_quotes_are_part_of_a_field(tmp_path):
    (tmp_path / "songs.csv").write_text(
        'path;title\na.mp3;"two\r\nlines; ""and"" more"\n', newline=""
    )
    assert load_rows(str(tmp_path / "songs.csv")) == [
        dict(path="a.mp3", title='two\r\nlines; "and" more')
    ]


@pytest.mark.parametrize(
    "data, words",
    [
        (text(";").encode("utf-16"), "UTF-16 text: save it as UTF-8"),
        (text(";").encode("utf-16-be"), "UTF-16 text: save it as UTF-8"),
        (
            text(";").replace("Rock", "Música").encode("latin-1"),
            "line 2 of songs.csv is no UTF-8 text",
        ),
        (
            b'path,genre\na,b\n"c,d\ne,f\n',
            "a quotation mark is opened and not closed in its line 3",
        ),
        (b'path,genre\na,"' + b"b,c\n" * 50_000, "field larger than field limit .* in its line 2"),
        (b"file,genre\na,b\n", "needs a column path or url, and has file, genre"),
        (b"sep=;\n", "no rows"),
        (b"", "no rows"),
    ],
)
def test_tables_that_cannot_be_read_are_refused_with_the_place(tmp_path, data, words):
    (tmp_path / "songs.csv").write_bytes(data)
    with pytest.raises(RunError, match=words):
        load_rows(str(tmp_path / "songs.csv"))


@pytest.mark.skipif(os.name == "nt", reason="paths as other systems see them")
def test_paths_of_other_systems_lead_to_their_files(tmp_path):
    file = tmp_path / "Mu\u0301sica" / "a b #1?.wav"
    touch(tmp_path, file.relative_to(tmp_path))
    local = file.as_uri().replace("file://", "file://localhost")
    written = ("Música/a b #1?.wav", "Música\\a b #1?.wav", ".\\Mu\u0301sica\\a b #1?.wav")
    for name in (*written, local, file.as_uri()):
        assert row_path(dict(path=name), tmp_path).samefile(file), name
    assert row_path(dict(url=file.as_uri()), tmp_path) == file
    touch(tmp_path, "back\\slash.wav")
    assert row_path(dict(path="back\\slash.wav"), tmp_path).name == "back\\slash.wav"


def test_file_addresses():
    assert path_of_uri("file:///C:/My%20Music/%C3%BC.mp3") == "C:/My Music/ü.mp3"
    assert path_of_uri("file://nas/music/a.mp3") == "//nas/music/a.mp3"
    assert path_of_uri("file:/a/b.mp3") == "/a/b.mp3"


@pytest.mark.skipif(os.name == "nt", reason="these are paths there")
def test_paths_of_another_machine_are_listed_with_what_to_do(tmp_path):
    (tmp_path / "songs.csv").write_text("path,genre\nC:\\Music\\a.mp3,Pop\n\\\\nas\\b.mp3,Pop\n")
    songs, rejected = build_catalog("table", data=str(tmp_path / "songs.csv"), workers=1)
    assert not len(songs)
    assert rejected["reason"].str.contains("give it relative to the table").all()


def names_of_runs(*plans):
    chosen = [dict(source="folder", **plan) for plan in plans]
    return [make_plan(root="runs", overrides=plan).folder.name for plan in chosen]


def test_two_folders_of_one_name_have_two_runs(tmp_path):
    homes = [tmp_path / name / "Music" for name in ("home", "usb")]
    for folder in homes:
        folder.mkdir(parents=True)
    a, b = map(str, homes)
    first, again, other, genre, artist = names_of_runs(
        dict(data=a),
        dict(data=os.path.join(a, "..", "Music")),
        dict(data=b),
        dict(data=a, label="genre"),
        dict(data=a, label="artist"),
    )
    assert first == again
    assert len({first, other, genre, artist}) == 4
    assert first.startswith("folder-Music-")
    assert genre == f"{first}-genre"
    same = make_plan(run=first, root="runs", overrides=dict(source="folder", data=b))
    assert same.folder.name == first, "--run overrides"


@pytest.mark.parametrize("name", ["...", "Für Elise", "a b", "a-b", "x" * 200, "-", "東京"])
def test_any_folder_gives_a_run_its_name(tmp_path, name):
    (tmp_path / name).mkdir()
    (run,) = names_of_runs(dict(data=str(tmp_path / name), label="no such: label"))
    assert run_dir(run)


def test_the_runs_of_the_demo_keep_their_names():
    for profile in ("demo", "smoke", "recordings", "report"):
        assert make_plan(profile, root="runs").folder.name == profile
    assert (
        make_plan("demo", root="runs", overrides=dict(label="artist")).folder.name == "demo-artist"
    )


def test_labels_of_one_song_each_are_refused_in_a_sentence():
    songs, rejected = catalog(20), pd.DataFrame(columns=["path", "reason"])
    with pytest.raises(RunError, match="None of the 20 labels has two songs"):
        require_enough(songs.assign(genre=songs["song_id"]), rejected)
    lopsided = songs.assign(genre=["a", "a", *songs["song_id"][2:]])
    require_enough(lopsided, rejected)
    assert 0 < split_songs(lopsided.assign(artist="")).sum() < 20
