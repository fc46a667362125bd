"Playlists are fluid, exact in length and safe to write; players find every file; the commands answer."
import json
import shutil
import subprocess
from xml.etree import ElementTree

import numpy as np
import pytest
import soundfile as sf
from conftest import song_metric
from test_space import catalog

from song_metric.playlists import Playlist, around, compare_paths, fluidity, mix, path, through
from song_metric.runs import RunError
from song_metric.space import SongSpace


@pytest.fixture(scope="module")
def space():
    return SongSpace(np.random.default_rng(0).normal(size=(300, 8)).astype("float32"), catalog(300, artists=60))


@pytest.mark.parametrize("n", [2, 3, 7, 20, 60])
def test_a_path_has_its_length_its_ends_and_no_repeats(space, n):
    for a, b in ((3, 99), (200, 7)):
        songs = path(space, a, b, n).songs
        assert len(songs) == n == len(set(songs)) and songs[0] == a and songs[-1] == b
        if n > 2: assert fluidity(space, songs)["artist_repeats"] == 0


def test_a_path_strains_less_than_the_alternatives(space):
    rows = compare_paths(space, 30, 10)
    strain = rows.pivot(index="pair", columns="method", values="strain")
    for other in ("straight line", "random walk", "random walk with an aim"): assert (strain["path"] < strain[other]).mean() > .9, other


def test_the_cheapest_way_is_cheapest():
    "Against every playlist of five songs that goes forward, by brute force."
    from itertools import combinations
    small = SongSpace(np.random.default_rng(2).normal(size=(12, 2)).astype("float32"), catalog(12, artists=12))
    from song_metric.playlists import corridor
    order = corridor(small, 0, 11).tolist()
    best = min(fluidity(small, [0, *middle, 11])["strain"] for middle in combinations(order[1:-1], 3))
    assert np.isclose(fluidity(small, path(small, 0, 11, 5).songs)["strain"], best)


@pytest.mark.parametrize("make", [lambda s: path(s, 1, 1), lambda s: path(s, 1, 2, 301), lambda s: path(s, 1, 999), lambda s: through(s, [1, 2, 1], 9), lambda s: around(s, [1], 5, 2), lambda s: mix(s, [])])
def test_impossible_requests_are_refused(space, make):
    with pytest.raises(RunError): make(space)


@pytest.mark.skipif(not shutil.which("ffprobe"), reason="ffprobe is not installed")
@pytest.mark.parametrize("absolute", [False, True])
def test_a_player_opens_every_entry(tmp_path, absolute):
    names = ["#1.wav", "100 %41.wav", "ü 音.wav", "a & b <c>.wav", " space.wav", "it's \"quoted\".wav"]
    rows = catalog(len(names))
    rows["path"] = [str(tmp_path / "music" / name) for name in names]
    rows["title"] = "line\nbreak #EXTINF:1"
    (tmp_path / "music").mkdir()
    for place in rows["path"]: sf.write(place, np.sin(np.arange(8000) / 9) * .3, 8000)
    playlist = Playlist(SongSpace(np.eye(len(names), dtype="float32"), rows), list(range(len(names))))
    text = playlist.save(tmp_path / "lists" / "a.m3u8", absolute).read_text(encoding="utf-8")
    entries = [line for line in text.split("\n") if line and not line.startswith("#")]
    assert len(entries) == len(names) and text.startswith("#EXTM3U\n")
    for entry in entries: assert subprocess.run(["ffprobe", "-v", "error", entry], cwd=tmp_path / "lists", capture_output=True).returncode == 0, entry
    from urllib.parse import unquote, urlparse
    for name, track in zip(names, ElementTree.parse(playlist.save(tmp_path / "lists" / "a.xspf", absolute)).findall(".//{*}location")):
        place = unquote(urlparse(track.text).path)
        assert (tmp_path / "lists" / place).resolve() == (tmp_path / "music" / name).resolve()


def test_commands_on_a_run(smoke, tmp_path):
    def ask(*words): return song_metric(*words, "--run", "smoke", "--runs-dir", smoke.root)
    space = SongSpace.load(smoke.folder / "06_playlists" / "space")
    a, b = space.songs["song_id"].iloc[[0, -1]]
    found = json.loads(ask("nearest", a, "-k", "4", "--json").stdout)
    assert [song["song_id"] for song in found["songs"]] == space.nearest(a, 4)["song_id"].tolist()
    found = json.loads(ask("path", a, b, "-n", "6", "--json", "--save", tmp_path / "p.m3u8").stdout)
    assert len(found["songs"]) == 6 and found["songs"][-1]["song_id"] == b and (tmp_path / "p.m3u8").exists()
    assert "strain" in ask("playlist", a, "-n", "3").stdout and "strain" in ask("mix", a, "-s", b, "-n", "3").stdout
    for words, said in ((["nearest", "no such song"], "No song and no sound file"), (["nearest", "."], "fits"), (["path", a, a], "from one song to another")):
        result = ask(*words)
        assert result.returncode == 1 and said in result.stderr and "Traceback" not in result.stderr, result.stderr
    assert "There are: smoke" in song_metric("nearest", a, "--run", "other", "--runs-dir", smoke.root).stderr
    assert ask("space", tmp_path / "mine").returncode == 0
    added = json.loads(ask("add", space.songs["path"].iloc[0], "--space", tmp_path / "mine", "--json").stdout)
    assert added["songs"] == len(space) and "the same sound as" in added["rejected"][0]["reason"]
