"The map as people meet it: opened from disk, without a network, in headless Chromium."

import json
import os
import re
import shutil
from pathlib import Path
from time import monotonic
from urllib.parse import unquote, urlparse
from xml.etree import ElementTree

import numpy as np
import pytest
import soundfile as sf
from test_space import catalog

import song_metric.map as module
from song_metric.cli import main
from song_metric.files import RunError
from song_metric.map import MapSound, map_data, page_script, vectors_text, write_map
from song_metric.playlists import fluid_way, fluidity, path
from song_metric.render import render
from song_metric.space import SongSpace

BROWSERS = ("chromium", "chromium-browser", "google-chrome")
CHROMIUM = next(filter(None, map(shutil.which, BROWSERS)), None)
REQUIRED = "SONG_METRIC_BROWSER_TESTS"  # "required", as in CI, makes a missing browser a failure
FLAGS = """
    --no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking
    --disable-component-update --disable-sync
""".split()
SCRIPT = "</script><script>window.hurt = 1</script>"
EVIL = f"{SCRIPT}<img src=x onerror='window.hurt = 2'>$$x$$ \u2028 #%41"
SONGS = 150
SOUNDING = 30  # songs that have a file; that of song 4 is broken

# What is asked of the page.
PLOT = "Bokeh.documents[0].roots()[0]"
WIDTH = f"{PLOT}.x_range.end - {PLOT}.x_range.start"
PLAYER = "document.getElementById('player')"
STATUS = "document.getElementById('status').textContent"
LAYER = f"""name => {{
    const layer = {PLOT}.renderers.find(renderer => renderer.name === name);
    const data = layer.data_source.data;
    return Object.fromEntries(Object.keys(data).map(key => [key, Array.from(data[key])]));
}}"""
PIXEL = f"""i => {{
    const plot = {PLOT};
    const data = plot.renderers[0].data_source.data;
    const box = document.getElementById("plot").getBoundingClientRect();
    const share = (value, range) => (value - range.start) / (range.end - range.start);
    const x = share(data.x[i], plot.x_range);
    const y = share(data.y[i], plot.y_range);
    return [box.left + x * box.width, box.bottom - y * box.height];
}}"""
TEN_FRAMES = """() => new Promise(done => {
    let frames = 10;
    const next = () => frames-- ? requestAnimationFrame(next) : done();
    next();
})"""
INK = """() => {
    let count = 0;
    const walk = node => {
        if (node.tagName === "CANVAS" && node.width) {
            const image = node.getContext("2d").getImageData(0, 0, node.width, node.height);
            for (let i = 3; i < image.data.length; i += 4) if (image.data[i]) count++;
        }
        [...node.children, ...(node.shadowRoot?.children ?? [])].forEach(walk);
    };
    walk(document.getElementById("plot"));
    return count;
}"""
ADD_SCRIPT = """() => {
    const script = document.createElement("script");
    script.textContent = "window.hurt = 3";
    document.body.append(script);
}"""
LOAD_IMAGE = """() => new Promise(done => {
    const image = new Image();
    image.onerror = done;
    image.src = "file:///x.png";
})"""


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A space, its map, and what `write_map` says of it.

    150 songs in three genres, thirty with sound; some are called by markup, and one is broken.
    """
    folder = tmp_path_factory.mktemp("maps with spaces")
    rng = np.random.default_rng(0)
    rows = catalog(SONGS, artists=40)
    genre = np.arange(SONGS) // 5 % 3
    rows["genre"] = np.array(["slow", "fast", "<b>loud</b>"])[genre]
    rows["path"] = [str(folder / "music" / f"{i} #ü.wav") for i in range(SONGS)]
    rows["duration"] = 6.0
    rows.loc[7, "title"] = EVIL
    rows.loc[8, "artist"] = EVIL
    rows.loc[9, "title"] = "Señor Ünique"
    (folder / "music").mkdir()
    for i in range(SOUNDING):
        sf.write(rows["path"][i], 0.3 * np.sin(np.arange(6 * 8000) * 0.02 * (i + 3)), 8000)
    Path(rows["path"][4]).write_text("this is no sound")
    vectors = rng.normal(size=(3, 16))[genre] + rng.normal(size=(SONGS, 16))
    space = SongSpace(vectors.astype("float32"), rows)
    place = folder / "map.html"
    sound = MapSound(seconds=2, workers=1)
    return space, place, write_map(space, place, title=f"Songs {EVIL}", sound=sound)


@pytest.fixture(scope="module")
def browser():
    if not CHROMIUM:
        missing = "no Chromium was found: install it (Debian: apt-get install chromium)"
        if os.environ.get(REQUIRED) == "required":
            pytest.fail(missing)
        pytest.skip(f"{missing} to test the map")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield browser
        browser.close()


def until(page, truth, *given):
    """Wait until an expression or function of the page is true.

    (Playwright's own waiting makes code of text, which the page's policy forbids.)
    """
    end = monotonic() + 15
    while not page.evaluate(truth, *given):
        said = page.inner_text("#status")
        assert monotonic() < end, f"still not so after 15 s: {truth}; the page says {said!r}"
        page.wait_for_timeout(40)


def opened(browser, place, **options):
    """The page at a file, when it is ready.

    `page.trouble` collects errors, and requests for anything but the file itself.
    """
    address = Path(place).as_uri()
    context = browser.new_context(offline=True, viewport=dict(width=1200, height=800), **options)
    page = context.new_page()
    page.trouble = []

    def note_message(message):
        ours = message.text.startswith("Canvas2D: Multiple readback")  # our own reading of pixels
        if message.type in ("error", "warning") and not ours:
            page.trouble.append(message.text)

    def note_request(request):
        if request.url != address and not request.url.startswith("data:"):
            page.trouble.append(request.url[:200])

    page.set_default_timeout(15_000)
    page.on("console", note_message)
    page.on("pageerror", lambda error: page.trouble.append(str(error)))
    page.on("request", note_request)
    page.goto(address)
    until(page, "document.documentElement.dataset.ready")
    return page


@pytest.fixture
def page(browser, made):
    page = opened(browser, made[1])
    yield page
    assert page.trouble == []
    page.context.close()


def drawn(page, name):
    "The data of one of the picture's layers, as Bokeh has them."
    return page.evaluate(LAYER, name)


def pixel(page, i):
    "Where a song's point lies on the screen."
    return page.evaluate(PIXEL, i)


def painted(page):
    "Wait until what was asked for is drawn."
    page.evaluate(TEN_FRAMES)


def ink(page):
    "How many pixels of the picture are drawn on."
    return page.evaluate(INK)


def alone(page, among, without=()):
    "The song of `among` whose point is furthest from all others, so that a click means it."
    at = np.array([pixel(page, i) for i in range(SONGS)])
    gaps = {i: np.sort(np.linalg.norm(at - at[i], axis=1))[1] for i in among if i not in without}
    return max(gaps, key=gaps.get)


def move_to(page, x, y, far):
    "Move the mouse to a place, from so many pixels away."
    page.mouse.move(x - far, y - far)
    page.mouse.move(x, y, steps=4)


def with_shift(page, press, *given):
    "Press while the Shift key is held."
    page.keyboard.down("Shift")
    press(*given)
    page.keyboard.up("Shift")


def listed(page, where):
    "The songs of a list."
    buttons = page.query_selector_all(f"#{where} button.song")
    return [int(button.get_attribute("data-song")) for button in buttons]


def find(page, text):
    page.fill("#search", text)
    return listed(page, "found")


def script_page(browser, space):
    "A page with a space, and of the map's script no more than space and path."
    page = browser.new_page()
    data = map_data(space, np.zeros((len(space), 2)), ".")
    values = dict(data=data, vectors=vectors_text(space.vectors))
    page.set_content(render("map_data.html.j2", **values))
    page.add_script_tag(content=page_script(("space", "path")))
    return page


@pytest.mark.parametrize(
    "songs, dimension, artists, copies",
    [(12, 2, 12, 0), (90, 5, 3, 0), (90, 5, 30, 40), (800, 24, 60, 9)],
)
def test_the_page_has_pythons_paths_on_random_spaces(browser, songs, dimension, artists, copies):
    rng = np.random.default_rng(songs)
    vectors = rng.normal(size=(songs, dimension)).astype("float32")
    rows = catalog(songs, artists=artists)
    same = rng.choice(songs, (2, copies), replace=False)
    vectors[same[0, ::2]] = vectors[same[1, ::2]]  # the same sound
    for column in ("artist", "title"):  # the same song, sounding otherwise
        rows.loc[same[0, 1::2], column] = rows.loc[same[1, 1::2], column].to_numpy()
    space = SongSpace(vectors, rows)
    page = script_page(browser, space)
    for n in (2, 3, 7, 12) * 5:
        a, b = rng.choice(np.setdiff1d(np.arange(songs), same[0]), 2, replace=False).tolist()
        found = page.evaluate("given => fluidPath(...given)", [a, b, n])
        assert found == fluid_way(space, a, b, n)
        score = page.evaluate("path => fluidity(path)", found)
        wanted = fluidity(space, found)
        assert score["strain"] == pytest.approx(wanted["strain"], rel=1e-6)
        assert score["turn"] == pytest.approx(wanted["mean_turn"], abs=1e-3)
        assert score["changes"] == wanted["genre_changes"]
        assert score["repeats"] == wanted["artist_repeats"]
    page.close()


def test_it_opens_from_disk_without_a_network(page, made):
    assert page.evaluate("navigator.onLine") is False
    assert len(drawn(page, "songs")["x"]) == SONGS
    assert page.query_selector("#plot .bk-Plot, #plot > div")
    text = page.inner_text("#foot")
    assert f"Trustworthiness {made[2]['trust']['value']:.3f} (n_neighbors = 10)" in text
    assert "misleads" in text
    assert "true nearest neighbours in all 16 dimensions" in text
    assert f"{SONGS - SOUNDING + 1} of {SONGS} songs have no sound" in text


def test_its_policy_lets_nothing_else_run_or_load(page, made):
    page.evaluate(ADD_SCRIPT)
    with pytest.raises(Exception, match="Failed to fetch"):
        page.evaluate("fetch('data:,x')")
    page.evaluate(LOAD_IMAGE)
    assert page.evaluate("window.hurt") is None
    assert len(page.trouble) >= 3
    for text in page.trouble:
        assert "Content Security Policy" in text or text == "file:///x.png"
    page.trouble.clear()


def test_search_finds_a_song(page, made):
    songs = made[0].songs
    assert find(page, "title 77") == [77]
    assert find(page, "senor unique") == [9]
    assert find(page, "no such song") == []
    assert "No song" in page.inner_text("#count")
    words = (songs["title"] + " " + songs["artist"]).str.casefold()
    both = words.str.contains("title") & words.str.contains("12")
    assert find(page, "title 12") == np.flatnonzero(both).tolist()
    assert find(page, "") == []


def test_a_click_plays_a_song_and_draws_its_true_neighbours(page, made):
    space = made[0]
    song = alone(page, range(SOUNDING), without=(4, 7, 8))
    page.mouse.click(*pixel(page, song))
    until(page, f"{PLAYER}.currentTime > .3 && !{PLAYER}.paused")
    assert page.inner_text("#chosen").endswith(space.songs["title"][song])
    near, distance = space.nearest_positions(song, 10)
    assert listed(page, "near") == near.tolist()
    numbers = [float(node.inner_text()) for node in page.query_selector_all("#near .number")]
    assert numbers == distance.round(3).tolist()
    points, lines = drawn(page, "songs"), drawn(page, "lines")
    assert set(lines["x"]) == {points["x"][song]}
    assert lines["x1"] == [points["x"][i] for i in near]
    assert lines["y1"] == [points["y"][i] for i in near]
    page.check("#others")
    assert listed(page, "near") == space.nearest_positions(song, 10, other_artists=True)[0].tolist()


def test_neighbours_play_and_can_be_chosen(page, made):
    find(page, "title 0")
    page.click("#found button.song")
    near = listed(page, "near")
    sounding = [i for i in near if i < SOUNDING and i != 4]
    silent = next(i for i in near if i >= SOUNDING)
    page.click(f"#near button.song[data-song='{silent}']")
    until(page, f"{STATUS}.includes('there is no such file')")
    for song in sounding[:1]:
        page.click(f"#near button.song[data-song='{song}']")
        page.wait_for_selector(f"#near button.song[data-playing][data-song='{song}']")
        until(page, f"{PLAYER}.currentTime > .2")
    page.click(f"#near li:has([data-song='{silent}']) button.go")
    assert listed(page, "near") == made[0].nearest_positions(silent, 10)[0].tolist()


def test_what_cannot_be_heard_says_why(page):
    for text, why in (("title 4", "not audio: text"), ("title 99", "there is no such file")):
        page.fill("#search", text)
        page.keyboard.press("Enter")
        until(page, f"why => {STATUS}.includes(why)", why)
        assert page.evaluate(f"{PLAYER}.paused")


def test_names_stay_text(page, made):
    assert find(page, "</script>") == [7, 8]
    for song in (7, 8):
        page.click(f"#found button.song[data-song='{song}']")
        page.hover("#near button.song >> nth=0")
    move_to(page, *pixel(page, 7), far=40)
    assert "window.hurt = 1" in page.inner_text("#found")
    assert "window.hurt" in page.inner_text("#about-song")
    assert "<b>loud</b>" in page.inner_text("#legend")
    assert "window.hurt" in page.inner_text("h1")
    assert "window.hurt" in page.title()
    assert page.evaluate("window.hurt") is None
    assert not page.query_selector_all("img, #legend b, #found script, #about-song img, h1 *")
    text = made[1].read_text(encoding="utf-8")
    own = re.sub(r"<script>.*?</script>", "", text, flags=re.S)
    assert "<script>" not in own
    assert "<img" not in own
    assert "\u2028" not in own


def test_hover_names_a_song(page, made):
    song = alone(page, range(SONGS), without=(7, 8))
    move_to(page, *pixel(page, song), far=60)
    page.wait_for_selector("#tip", state="visible")
    tip = page.inner_text("#tip")
    row = made[0].songs.iloc[song]
    assert tip.split("\n")[0] == row["title"]
    assert row["artist"] in tip
    assert row["genre"] in tip


def test_quick_and_slow_clicks_count(page, made):
    titles = made[0].songs["title"]
    first = alone(page, range(SONGS), without=(7, 8))
    second = alone(page, range(SONGS), without=(first, 7, 8))
    page.mouse.click(*pixel(page, first))
    page.mouse.click(*pixel(page, second))
    assert page.inner_text("#chosen").endswith(titles[second]), "one quickly after the other"
    page.mouse.dblclick(*pixel(page, first))
    assert page.inner_text("#chosen").endswith(titles[first])
    page.mouse.click(*pixel(page, second), delay=600)
    assert page.inner_text("#chosen").endswith(titles[second])
    with_shift(page, page.mouse.dblclick, *pixel(page, first))
    assert page.is_visible("#path-card"), "a double click does not take back the path that it drew"


def test_the_legend_filters(page, made):
    slow = (made[0].songs["genre"] == "slow").to_numpy()
    button = "#legend button.genre:has-text('slow')"
    page.click(button)
    assert page.evaluate(f"{PLOT}.renderers[0].view.filter.booleans") == slow.tolist()
    assert page.get_attribute(button, "aria-pressed") == "true"
    assert f"{slow.sum()} of {SONGS} songs are shown" in page.inner_text("#status")
    page.mouse.click(*pixel(page, alone(page, np.flatnonzero(~slow).tolist())))
    assert not page.is_visible("#song-card"), "a hidden point cannot be clicked"
    page.mouse.click(*pixel(page, alone(page, np.flatnonzero(slow).tolist())))
    assert page.is_visible("#song-card")
    page.keyboard.press("Escape")
    painted(page)
    before = ink(page)
    page.click("#all")
    painted(page)
    assert before < 0.6 * ink(page)
    assert page.get_attribute(button, "aria-pressed") == "false"


def test_two_songs_give_the_path_of_the_command_line(page, made, tmp_path):
    space = made[0]
    a, b = 3, 140
    find(page, f"title {a}")
    page.click(f"#found button.song[data-song='{a}']")
    page.click("#start")
    assert "now choose where it leads" in page.inner_text("#pending")
    find(page, f"title {b}")
    page.keyboard.press("Enter")
    for n in (12, 5):
        page.fill("#length", str(n))
        page.keyboard.press("Enter")
        wanted = path(space, a, b, n).songs
        assert listed(page, "path") == wanted
        assert f"Strain {fluidity(space, wanted)['strain']:.2f}" in page.inner_text("#score")
        assert drawn(page, "numbers")["text"] == [str(i + 1) for i in range(n)]
        assert len(drawn(page, "lines")["x"]) == n - 1
    files = space.songs["path"][wanted].tolist()
    with page.expect_download() as download:
        page.click("#m3u8")
    download.value.save_as(tmp_path / "path.m3u8")
    lines = (tmp_path / "path.m3u8").read_text(encoding="utf-8").split("\n")
    assert lines[0] == "#EXTM3U"
    assert [line for line in lines if line and not line.startswith("#")] == files
    with page.expect_download() as download:
        page.click("#xspf")
    download.value.save_as(tmp_path / "path.xspf")
    tracks = ElementTree.parse(tmp_path / "path.xspf").findall(".//{*}location")
    assert [unquote(urlparse(track.text).path) for track in tracks] == files


def test_a_path_plays_through(page, made):
    find(page, "title 1")
    page.click("#found button.song[data-song='1']")
    page.fill("#search", "")
    other = alone(page, range(10, SOUNDING))
    page.mouse.move(5, 5)
    with_shift(page, page.mouse.click, *pixel(page, other))
    page.fill("#length", "3")
    page.keyboard.press("Enter")
    assert listed(page, "path") == path(made[0], 1, other, 3).songs
    page.click("#through")
    page.wait_for_selector("#path button.song[data-playing][data-song='1']")
    page.wait_for_selector(f"#path button.song[data-playing][data-song='{other}']")
    until(page, "!document.querySelector('#path [data-playing]')")


def focused(page):
    "The song whose button has the focus, or the id of the element that has it."
    return page.evaluate("document.activeElement.dataset.song ?? document.activeElement.id")


def test_it_can_be_used_without_a_mouse(page, made):
    page.keyboard.press("/")
    assert focused(page) == "search"
    assert page.input_value("#search") == ""
    page.keyboard.type("title 1")
    page.keyboard.press("ArrowDown")
    page.keyboard.press("ArrowDown")
    second = int(focused(page))
    assert second == listed(page, "found")[1]
    outline = page.evaluate("getComputedStyle(document.activeElement).outlineStyle")
    assert outline == "solid", "the focus can be seen"
    page.keyboard.press("Enter")
    until(page, f"{PLAYER}.currentTime > .1")
    assert listed(page, "near") == made[0].nearest_positions(second, 10)[0].tolist()
    page.focus("#near button.song")
    page.keyboard.press("ArrowDown")
    assert int(focused(page)) == listed(page, "near")[1]


def test_escape_takes_back_one_thing_after_the_other(page):
    page.keyboard.press("/")
    page.keyboard.type("title 1")
    page.keyboard.press("ArrowUp")
    assert focused(page) == "search"
    page.keyboard.press("Enter")
    until(page, f"!{PLAYER}.paused")
    page.keyboard.press("Escape")
    assert page.input_value("#search") == ""
    assert page.is_visible("#song-card")
    page.keyboard.press("Escape")
    assert not page.is_visible("#song-card")
    assert page.evaluate(f"{PLAYER}.paused")


def test_keys_zoom_and_everything_has_a_name(page):
    page.focus("#map")
    before = page.evaluate(WIDTH)
    page.keyboard.press("+")
    assert page.evaluate(WIDTH) < before * 0.9
    page.keyboard.press("0")
    assert page.evaluate(WIDTH) == pytest.approx(before)
    assert not page.query_selector_all("button:not([aria-label]):empty")
    assert all(node.get_attribute("aria-label") for node in page.query_selector_all("[aria-label]"))


def test_the_wheel_zooms_and_dark_paper_is_dark(browser, made):
    page = opened(browser, made[1], color_scheme="dark")
    before = page.evaluate(WIDTH)
    page.mouse.move(300, 300)
    page.mouse.wheel(0, -300)
    until(page, f"{WIDTH} < {before} * .95")
    paper = page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert paper == "rgb(22, 24, 29)"
    assert page.trouble == []
    page.context.close()


def test_files_can_be_linked(browser, made):
    space, place, facts = made
    linked = place.with_name("linked.html")
    found = write_map(space, linked, sound=MapSound("link", seconds=2))
    assert found["sound"]["kind"] == "link"
    assert found["bytes"] < facts["bytes"]
    page = opened(browser, linked)
    find(page, "title 3")
    page.keyboard.press("Enter")
    until(page, f"{PLAYER}.currentTime > 2.2")
    until(page, f"{PLAYER}.paused")
    assert page.evaluate(f"{PLAYER}.currentTime") < 5
    assert all(text.startswith(place.parent.as_uri()) for text in page.trouble)
    page.context.close()


def test_the_same_space_gives_the_same_file(made):
    space, place, _ = made
    again = place.with_name("again.html")
    write_map(space, again, title=f"Songs {EVIL}", sound=MapSound(seconds=2, workers=2))
    assert again.read_bytes() == place.read_bytes()


def test_too_many_and_too_few(made, monkeypatch, tmp_path):
    space = made[0]
    place = tmp_path / "map.html"
    monkeypatch.setattr(module, "MOST", 100)
    facts = write_map(space, place, sound=MapSound("none"))
    assert (facts["songs"], facts["of"]) == (100, SONGS)
    assert f"Of {SONGS} songs, 100 are drawn" in place.read_text(encoding="utf-8")
    few = tmp_path / "few.html"
    with pytest.raises(RunError, match="five songs"):
        write_map(SongSpace(space.vectors[:3], space.songs[:3]), few)
    with pytest.raises(RunError, match="take more than"):
        write_map(space, few, sound=MapSound("embed", megabytes=0.1))
    assert not few.exists()


def test_the_command(made, tmp_path, capsys):
    space, place, _ = made
    saved = space.save(place.parent / "space")

    def run(*words):
        "Exit status, what is printed, and the complaint."
        with pytest.raises(SystemExit) as end:
            main(["map", "--space", str(saved), *map(str, words)])
        return end.value.code, *capsys.readouterr()

    status, text, _ = run("--out", tmp_path / "songs.html", "--audio", "link")
    assert status == 0
    assert "150 songs, trustworthiness" in text
    assert "Songs without sound: 120" in text
    assert (tmp_path / "songs.html").exists()
    silent = tmp_path / "none.html"
    found = json.loads(run("--out", silent, "--audio", "none", "--json")[1])
    assert found["sound"]["kind"] == "none"
    assert found["bytes"] == silent.stat().st_size
    for words, expected in (
        (["--out", "map.pdf"], 2),
        (["--out", tmp_path], 2),
        (["--out", tmp_path / "x.html", "--audio", "loud"], 1),
        (["--out", tmp_path / "x.html", "--space", str(tmp_path)], 1),
    ):
        status, _, complaint = run(*words)
        assert status == expected, words
        assert len(complaint.strip().splitlines()) == 1, words
