"Previews and downloads against a server on this machine that fails in every way, often."

import base64
import hashlib
import json
import os
import stat
import subprocess
import sys
import tarfile
import time
import traceback
import zipfile
from pathlib import Path

import pytest
from conftest import song_metric
from servers import PAGE, Server, song

from song_metric.catalog import build_catalog
from song_metric.downloads import (
    DownloadError,
    Web,
    check_audio,
    download,
    unpack,
)
from song_metric.files import RunError
from song_metric.sources import deezer, spotify, table
from song_metric.sources._previews import check_fetched, load_tracks

ALL = dict.fromkeys(("429", "500", "503", "cut", "short", "page", "expired", "null", "quota"), 0.2)
QUICK = dict(attempts=60, pause=0.002, longest=0.02)


def fetch_deezer(folder, server, genres, songs, **web):
    "Fetch from a server on this machine; what could not be had."
    web = Web(**(web or QUICK))
    options = dict(genres=genres, songs_per_genre=songs, base=server.base, web=web)
    return deezer.fetch(folder, **options)


def whole(folder) -> list[int]:
    """Numbers of the songs in a folder.

    Each file is compared with what the server has, and no other file may look finished.
    """
    files = sorted(Path(folder).rglob("*.mp3"))
    for path in files:
        assert path.read_bytes() == song(int(path.stem)), path
    return [int(path.stem) for path in files]


def test_two_hundred_previews_under_every_fault(tmp_path):
    with Server(ALL) as server:
        missing = fetch_deezer(tmp_path, server, "rock, Jazz,pop,Electro", 50)
        assert len(whole(tmp_path)) == 200 == len(load_tracks(tmp_path)), missing[-4:]
        assert all(server.met[kind] >= 10 for kind in ALL), server.met
        assert "no preview" in {row["reason"].split(":")[0] for row in missing}
        assert all(row.get("replaced") and row["path"] for row in missing)
        assert check_fetched("deezer", tmp_path) == ([], []) and not list(tmp_path.rglob("*.part"))
        assert all(agent.startswith("song_metric/") for agent in server.agents)
        asked = len(server.log)
        assert fetch_deezer(tmp_path, server, "rock,jazz,pop,electro", 50) == []
        assert not [path for path in server.log[asked:] if path.startswith("/preview")]
    assert "hmac" not in (tmp_path / "tracks.jsonl").read_text()
    assert not any("hmac" in row["reason"] for row in missing)
    songs, _ = build_catalog("deezer", data=str(tmp_path), workers=1, keep_duplicates=True)
    assert len(songs) == 200 and songs["artist"].str.contains("<b>").all()
    assert set(songs["genre"]) == {"Rock", "Jazz", "Pop", "Electro"}


def test_what_is_gone_or_damaged_is_fetched_anew(tmp_path):
    with Server(ALL) as server:
        fetch_deezer(tmp_path, server, "rock", 20)
        gone, damaged = sorted(tmp_path.rglob("*.mp3"))[:2]
        gone.unlink()
        damaged.write_bytes(damaged.read_bytes()[:-1] + b"?")
        with open(tmp_path / "tracks.jsonl", "a") as log:
            log.write('{"song_id": "1", "fi')  # as a kill leaves it
        missing, invalid = check_fetched("deezer", tmp_path)
        assert [Path(row["path"]).name for row in missing + invalid] == [gone.name, damaged.name]
        fetch_deezer(tmp_path, server, "rock", 20)
        assert len(whole(tmp_path)) == 20 == len(load_tracks(tmp_path))
        assert check_fetched("deezer", tmp_path) == ([], []) and sum(server.sent.values()) >= 22


def test_what_cannot_be_had_is_named(tmp_path):
    with Server({"null": 1}) as server:
        missing = fetch_deezer(tmp_path, server, "rock", 5)
    assert missing[-1] == dict(path="Rock", reason="too few songs: 0 of 5 could be had")
    assert sum(row["reason"].startswith("no preview") for row in missing) == 200 + 5
    with Server({"500": 1}) as server, pytest.raises(RunError, match="500"):
        fetch_deezer(tmp_path, server, "", 5, attempts=2, pause=0.001)
    with Server() as server, pytest.raises(RunError, match="no genre 'polka'.*Electro, Jazz"):
        fetch_deezer(tmp_path, server, "polka", 5)


FETCH = """
import sys
from song_metric.downloads import Web
from song_metric.sources import deezer
web = Web(attempts=60, pause=.002, longest=.02)
deezer.fetch(sys.argv[1], genres="rock", songs_per_genre=60, base=sys.argv[2], web=web)
"""


def test_killed_and_started_again(tmp_path):
    with Server(ALL) as server:
        words = [sys.executable, "-c", FETCH, tmp_path, server.base]
        process = subprocess.Popen(words, stderr=subprocess.DEVNULL)
        deadline = time.monotonic() + 60
        while len(list(tmp_path.rglob("*.mp3"))) < 20 and time.monotonic() < deadline:
            time.sleep(0.002)
        process.kill()
        process.wait()
        before = whole(tmp_path)
        noted = {int(number) for number in load_tracks(tmp_path)}
        assert 20 <= len(before) < 60 and noted <= set(before)
        server.sent.clear()
        fetch_deezer(tmp_path, server, "rock", 60)
        sent = {int(Path(path).stem) for path in server.sent}
        assert len(load_tracks(tmp_path)) == 60 and not noted & sent


def test_a_broken_download_goes_on(tmp_path):
    body = os.urandom(1 << 20)
    checksum = f"sha1:{hashlib.sha1(body).hexdigest()}"
    with Server({"short": 0.5, "cut": 0.4, "503": 0.2}, {"/big.zip": body}) as server:
        web = Web(attempts=60, pause=0.001)
        path = download(web, f"{server.base}/big.zip", tmp_path / "big.zip", checksum)
        assert path.read_bytes() == body and server.ranges and not list(tmp_path.glob("*.part"))


def test_a_finished_part_is_recognised(tmp_path):
    (tmp_path / "a.zip.part").write_bytes(b"whole")
    checksum = f"sha256:{hashlib.sha256(b'whole').hexdigest()}"
    with Server(files={"/a.zip": b"whole"}) as server:
        download(Web(**QUICK), f"{server.base}/a.zip", tmp_path / "a.zip", checksum)
    assert (tmp_path / "a.zip").read_bytes() == b"whole"


@pytest.mark.parametrize(
    "faults, checksum, words, times",
    [
        ({}, "sha256:" + "0" * 64, "its checksum is", 2),
        ({"short": 1}, "", "broke off", 3),
        ({"page": 1}, "", "not audio: an HTML page", 3),
        ({"500": 1}, "", "500", 3),
    ],
)
def test_what_is_wrong_is_said(tmp_path, faults, checksum, words, times):
    path = tmp_path / "song.mp3"
    with Server(faults, {"/song.mp3": song(1)}) as server:
        address = f"{server.base}/song.mp3?key=secret"
        with pytest.raises(DownloadError, match=words):
            download(Web(attempts=3, pause=0.001), address, path, checksum, check_audio)
        assert len(server.log) == times
    assert not path.exists()


def test_a_dead_link_is_asked_for_once(tmp_path):
    path = tmp_path / "x.mp3"
    with (
        Server({}, {"/song.mp3": PAGE}) as server,
        pytest.raises(DownloadError, match="no such|404|no data|not audio"),
    ):
        web = Web(attempts=2, pause=0.001)
        download(web, f"{server.base}/song.mp3", path, check=check_audio)
    with pytest.raises(DownloadError, match="cannot be reached|broke off"):
        download(Web(attempts=2, pause=0.001), "http://127.0.0.1:9/song.mp3?key=secret", path)


def test_the_server_is_given_the_time_it_asks_for(tmp_path):
    with Server({"429": 1}, {"/a": b"x", "retry-after": 1}) as server:
        start = time.monotonic()
        with pytest.raises(DownloadError, match="429"):
            download(Web(attempts=2, pause=0.001), f"{server.base}/a", tmp_path / "a")
        assert 1 <= time.monotonic() - start < 3
        server.files["retry-after"] = 86400
        with pytest.raises(DownloadError, match="429"):
            download(Web(attempts=5), f"{server.base}/a", tmp_path / "a")
        assert len(server.log) == 3


@pytest.mark.parametrize(
    "name", ["../out.mp3", "/out.mp3", "a/../../out.mp3", "..\\out.mp3", "c:out.mp3"]
)
def test_archives_stay_inside(tmp_path, name):
    with zipfile.ZipFile(tmp_path / "bad.zip", "w") as archive:
        archive.writestr("fine.mp3", "x")
        info = zipfile.ZipInfo("placeholder")
        info.filename = name
        archive.writestr(info, "x")
    with pytest.raises(RunError, match="leads out of the folder"):
        unpack(tmp_path / "bad.zip", tmp_path / "deep" / "here")
    assert not (tmp_path / "deep").exists() and not list(tmp_path.rglob("out.mp3"))


def test_links_in_archives_are_refused(tmp_path):
    with zipfile.ZipFile(tmp_path / "bad.zip", "w") as archive:
        link = zipfile.ZipInfo("song.mp3")
        link.create_system = 3
        link.external_attr = (stat.S_IFLNK | 0o777) << 16
        archive.writestr(link, "/etc/passwd")
    with pytest.raises(RunError, match="holds a link"):
        unpack(tmp_path / "bad.zip", tmp_path / "here")
    with tarfile.open(tmp_path / "bad.tar.gz", "w:gz") as archive:
        link = tarfile.TarInfo("song.mp3")
        link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
        archive.addfile(link)
    with pytest.raises(RunError, match="a link or a device"):
        unpack(tmp_path / "bad.tar.gz", tmp_path / "here")
    assert not (tmp_path / "here").exists()


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no full disk to try")
def test_a_full_disk_is_said(tmp_path):
    (tmp_path / "a.zip.part").symlink_to("/dev/full")
    refusal = "a.zip cannot be written .No space left on device.: make room"
    with Server(files={"/a.zip": b"whole"}) as server, pytest.raises(RunError, match=refusal):
        download(Web(**QUICK), f"{server.base}/a.zip", tmp_path / "a.zip", "sha256:" + "0" * 64)


SECRET = "correct-horse-battery-staple"


def spotify_command(server, folder, secret=SECRET):
    application = dict(SPOTIFY_CLIENT_ID="an-id-of-mine", SPOTIFY_CLIENT_SECRET=secret)
    settings = dict(genres="jazz,rock", songs_per_genre=5, base=server.base, accounts=server.base)
    words = [word for name, value in settings.items() for word in ("-p", f"{name}={value}")]
    environment = {**os.environ, **application}
    return song_metric("fetch", "spotify", "--data", folder, *words, env=environment)


def authorization():
    return base64.b64encode(f"an-id-of-mine:{SECRET}".encode()).decode()


def test_spotify_as_it_was(tmp_path):
    with Server({"null": 0.2}, {"tired": 1}, secret=authorization()) as server:
        result = spotify_command(server, tmp_path)
    assert result.returncode == 0 and len(whole(tmp_path)) == 10, result.stderr
    assert "developer policy forbids" in result.stderr
    lists = [path.read_text() for path in tmp_path.rglob("*.jsonl")]
    said = "".join([result.stdout, result.stderr, *lists])
    assert not any(secret in said for secret in (SECRET, authorization(), *server.tokens))


def test_spotify_as_it_is_for_new_applications(tmp_path):
    with Server(files={"limit": 10}, secret=authorization(), previews=False) as server:
        result = spotify_command(server, tmp_path)
    assert result.returncode == 1 and "Traceback" not in result.stderr
    assert "27 November 2024" in result.stderr and "fetch deezer" in result.stderr


def test_spotify_failures_keep_the_secret(tmp_path, monkeypatch):
    with Server(secret=authorization()) as server:
        wrong = spotify_command(server, tmp_path, "another-secret-of-mine")
    assert wrong.returncode == 1 and "refuses the application's id and secret" in wrong.stderr
    plain = {name: value for name, value in os.environ.items() if not name.startswith("SPOTI")}
    without = song_metric("fetch", "spotify", "--data", tmp_path, env=plain)
    for result in (wrong, without):
        assert result.returncode == 1 and "Traceback" not in result.stderr
        assert "another-secret-of-mine" not in result.stdout + result.stderr
    monkeypatch.setenv("SPOTIFY_CLIENT_ID", "an-id-of-mine")
    monkeypatch.setenv("SPOTIFY_CLIENT_SECRET", SECRET)
    nowhere = "http://127.0.0.1:9"
    try:
        options = dict(base=nowhere, accounts=nowhere, web=Web(attempts=1))
        spotify.fetch(tmp_path, genres="jazz", **options)
        text = ""
    except RunError:
        text = traceback.format_exc()
    assert "gives no token" in text and SECRET not in text


IN_A_CHAPTER = """
from song_metric.downloads import Web
from song_metric.sources import spotify
servers = dict(base={1!r}, accounts={1!r}, web=Web(attempts={2}, pause=.002))
missing = spotify.fetch({0!r}, genres="jazz", songs_per_genre=3, **servers)
chapter.path("missing.txt").write_text(str(missing))
"""


def test_no_secret_in_a_run(toys, monkeypatch):
    """Spotify asked from within a chapter, in vain and with success.

    Nothing in the run's folder or on the screen holds the secret, its header or a token.
    """
    monkeypatch.setenv("SPOTIFY_CLIENT_ID", "an-id-of-mine")
    monkeypatch.setenv("SPOTIFY_CLIENT_SECRET", SECRET)
    secrets = [SECRET, authorization(), base64.b64encode(SECRET.encode()).decode()]
    command = ["report", "--notebooks", toys.nbs, "--runs-dir", toys.root, "--force"]
    faults = {"null": 0.2, "cut": 0.2, "page": 0.2}
    with Server(faults, {"tired": 1}, secret=authorization()) as server:
        for base, attempts, status in (
            (server.base, 60, 0),
            (server.base, 1, 1),
            ("http://127.0.0.1:9", 1, 1),
        ):
            folder = str(toys.root / f"previews {status}")
            toys.write(work=IN_A_CHAPTER.format(folder, base, attempts))
            if attempts == 1:
                server.faults["500"] = 1
            result = song_metric(*command)
            assert result.returncode == status, result.stderr
            files = [path for path in toys.root.rglob("*") if path.is_file()]
            names = {path.name for path in files}
            assert {"manifest.json", "notebook.ipynb"} <= names
            assert status or "report.html" in names
            assert len(list(toys.root.rglob("*.mp3"))) == 3
            said = [path.read_text(encoding="utf-8", errors="replace") for path in files]
            text = "".join([result.stdout, result.stderr, *said])
            assert "spotify" in text
            assert not any(secret in text for secret in [*secrets, *server.tokens])
    assert "Traceback" in text and "RunError" in text  # there was one to look into


def test_a_table_of_addresses(tmp_path):
    with Server({"500": 0.2}, {f"/{number}.mp3": song(number) for number in range(4)}) as server:
        lines = [
            "url,label,artist",
            *(f"{server.base}/{number}.mp3,{'ab'[number % 2]},X" for number in range(4)),
            f"{server.base}/gone.mp3,a,X",
            "file:///etc/passwd,a,X",
        ]
        (tmp_path / "songs.csv").write_text("\n".join(lines) + "\n")
        missing = table.fetch(str(tmp_path / "songs.csv"), web=Web(**QUICK))
    assert [row["path"].rsplit("/", 1)[-1] for row in missing] == ["gone.mp3"], (
        "a file: address is a file of this machine, and is not fetched"
    )
    songs, rejected = build_catalog("table", data=str(tmp_path / "songs.csv"), workers=1)
    assert len(songs) == 4 and rejected["reason"].str.split(":").str[0].tolist() == [
        "not audio",
        "not fetched yet",
    ]


def test_addresses_that_differ_behind_the_question_mark_are_told_apart(tmp_path, monkeypatch):
    monkeypatch.setenv("SONG_METRIC_CACHE", str(tmp_path))
    addresses = [f"https://music.example/song?id={number}" for number in range(3)]
    for url in addresses[:2]:
        path = table.cached_path(url)
        path.parent.mkdir(exist_ok=True)
        path.write_text(url)
    digest = hashlib.sha256(addresses[0].encode()).hexdigest()
    rows = [f"{url},rock,{digest}" for url in addresses]
    (tmp_path / "songs.csv").write_text("\n".join(["url,genre,sha256", *rows]))
    missing, invalid = table.validate(str(tmp_path / "songs.csv"))
    assert len(missing) == len(invalid) == 1, "the first is whole, the second is another"


WORDS = ("title", "licence", "size", "time", "needs", "command", "citation")


def test_commands_of_the_sources(tmp_path):
    found = {row["name"]: row for row in json.loads(song_metric("sources", "--json").stdout)}
    names = "deezer demo fma folder gtzan soundtracks spotify table".split()
    assert sorted(found) == names
    silent = {(name, key) for name, row in found.items() for key in WORDS if not row[key]}
    assert silent == {("folder", "citation"), ("table", "citation")}
    assert "GTZAN" in song_metric("sources").stdout
    for arguments, words, status in (
        (["fetch", "fm"], "There is no source 'fm'", 2),
        (["fetch", "gtzan"], "nothing to fetch", 2),
        (["fetch", "fma", "-p", "size=1"], "There are: subset", 2),
        (["fetch", "fma", "-p", "subset=tiny"], "no subset 'tiny'", 1),
        (["validate", "deezer", "--data", tmp_path], "Nothing has been fetched", 1),
    ):
        result = song_metric(*arguments)
        assert result.returncode == status, result.stderr
        assert words in result.stderr and "Traceback" not in result.stderr
