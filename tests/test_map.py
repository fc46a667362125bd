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
from song_metric.map import MapSound, write_map
from song_metric.playlists import fluidity, path
from song_metric.space import SongSpace

CHROMIUM = (
    shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
)
REQUIRED = "SONG_METRIC_BROWSER_TESTS"  # environment variable: "required" makes a missing browser a failure, as in CI
FLAGS = "--no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking --disable-component-update --disable-sync".split()
EVIL = "</script><script>window.hurt = 1</script><img src=x onerror='window.hurt = 2'>$$x$$ \u2028 #%41"
SONGS = 150


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    "A space of 150 songs in three genres, thirty with sound, of which one is called by markup and one is broken; its map, and what `write_map` says of it."
    folder, rng = tmp_path_factory.mktemp("maps with spaces"), np.random.default_rng(0)
    rows = catalog(SONGS, artists=40)
    rows["genre"] = [("slow", "fast", "<b>loud</b>")[i // 5 % 3] for i in range(SONGS)]
    rows["path"] = [str(folder / "music" / f"{i} #ü.wav") for i in range(SONGS)]
    rows["duration"] = 6.0
    rows.loc[7, "title"], rows.loc[8, "artist"], rows.loc[9, "title"] = EVIL, EVIL, "Señor Ünique"
    (folder / "music").mkdir()
    for i in range(30):
        sf.write(rows["path"][i], 0.3 * np.sin(np.arange(6 * 8000) * 0.02 * (i + 3)), 8000)
    Path(rows["path"][4]).write_text("this is no sound")
    space = SongSpace(
        (rng.normal(size=(3, 16))[np.arange(SONGS) // 5 % 3] + rng.normal(size=(SONGS, 16))).astype(
            "float32"
        ),
        rows,
    )
    place = folder / "map.html"
    sound = MapSound(seconds=2, workers=1)
    facts = write_map(space, place, title=f"Songs {EVIL}", sound=sound)
    return space, place, facts


@pytest.fixture(scope="module")
def browser():
    if not CHROMIUM:
        if os.environ.get(REQUIRED) == "required":
            pytest.fail("no Chromium was found: apt-get install chromium")
        pytest.skip(
            "no Chromium was found: install it (Debian: apt-get install chromium) to test the map"
        )
    from playwright.sync_api import sync_playwright

    with sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield browser
        browser.close()


def until(page, truth, *given):
    "Wait until an expression or function of the page is true. (Playwright's own waiting makes code of text, which the page's policy forbids.)"
    end = monotonic() + 15
    while not page.evaluate(truth, *given):
        assert monotonic() < end, (
            f"still not so after 15 s: {truth}; the page says {page.inner_text('#status')!r}"
        )
        page.wait_for_timeout(40)


def opened(browser, place, **options):
    "The page at a file, when it is ready; `page.trouble` collects errors, and requests for anything but the file itself."
    context = browser.new_context(offline=True, viewport=dict(width=1200, height=800), **options)
    page, trouble = context.new_page(), []
    page.set_default_timeout(15_000)
    page.on(
        "console",
        lambda message: (
            trouble.append(message.text)
            if message.type in ("error", "warning")
            and not message.text.startswith("Canvas2D: Multiple readback")
            else None
        ),
    )  # our own reading of pixels
    page.on("pageerror", lambda error: trouble.append(str(error)))
    page.on(
        "request",
        lambda request: (
            trouble.append(request.url[:200])
            if request.url != Path(place).as_uri() and not request.url.startswith("data:")
            else None
        ),
    )
    page.goto(Path(place).as_uri())
    until(page, "document.documentElement.dataset.ready")
    page.trouble = trouble
    return page


@pytest.fixture
def page(browser, made):
    page = opened(browser, made[1])
    yield page
    assert page.trouble == []
    page.context.close()


def drawn(page, name):
    "The data of one of the picture's layers, as Bokeh has them."
    return page.evaluate(
        """name => { const r = Bokeh.documents[0].roots()[0].renderers.find(r => r.name === name), d = r.data_source.data;
        return Object.fromEntries(Object.keys(d).map(k => [k, Array.from(d[k])])); }""",
        name,
    )


def pixel(page, i):
    "Where a song's point lies on the screen."
    return page.evaluate(
        """i => { const p = Bokeh.documents[0].roots()[0], d = p.renderers[0].data_source.data, b = document.getElementById("plot").getBoundingClientRect();
        const x = (d.x[i] - p.x_range.start) / (p.x_range.end - p.x_range.start), y = (d.y[i] - p.y_range.start) / (p.y_range.end - p.y_range.start);
        return [b.left + x * b.width, b.bottom - y * b.height]; }""",
        i,
    )


def painted(page):
    "Wait until what was asked for is drawn."
    page.evaluate(
        "() => new Promise(done => { let frames = 10; const next = () => frames-- ? requestAnimationFrame(next) : done(); next(); })"
    )


def ink(page):
    "How many pixels of the picture are drawn on."
    return page.evaluate("""() => { let count = 0;
        const walk = node => {
            if (node.tagName === "CANVAS" && node.width) { const data = node.getContext("2d").getImageData(0, 0, node.width, node.height).data; for (let i = 3; i < data.length; i += 4) if (data[i]) count++; }
            [...node.children, ...(node.shadowRoot?.children ?? [])].forEach(walk);
        };
        walk(document.getElementById("plot"));
        return count; }""")


def alone(page, among, without=()):
    "The song of `among` whose point is furthest from all others, so that a click means it."
    at = np.array([pixel(page, i) for i in range(SONGS)])
    gaps = [
        np.sort(np.linalg.norm(at - at[i], axis=1))[1] if i not in without else -1 for i in among
    ]
    return list(among)[int(np.argmax(gaps))]


def listed(page, where):
    return [
        int(button.get_attribute("data-song"))
        for button in page.query_selector_all(f"#{where} button.song")
    ]


def find(page, text):
    page.fill("#search", text)
    return listed(page, "found")


def test_it_opens_from_disk_without_a_network(page, made):
    assert page.evaluate("navigator.onLine") is False
    assert len(drawn(page, "songs")["x"]) == SONGS and page.query_selector(
        "#plot .bk-Plot, #plot > div"
    )
    text = page.inner_text("#foot")
    assert (
        f"Trustworthiness {made[2]['trust']['value']:.3f} (n_neighbors = 10)" in text
        and "misleads" in text
        and "true nearest neighbours in all 16 dimensions" in text
    )
    assert f"{SONGS - 29} of {SONGS} songs have no sound" in text


def test_its_policy_lets_nothing_else_run_or_load(page, made):
    page.evaluate(
        "document.body.append(Object.assign(document.createElement('script'), {textContent: 'window.hurt = 3'}))"
    )
    with pytest.raises(Exception, match="Failed to fetch"):
        page.evaluate("fetch('data:,x')")
    page.evaluate(
        "new Promise(done => { const image = new Image(); image.onerror = done; image.src = 'file:///x.png'; })"
    )
    assert page.evaluate("window.hurt") is None
    assert len(page.trouble) >= 3 and all(
        "Content Security Policy" in text or text == "file:///x.png" for text in page.trouble
    )
    page.trouble.clear()


def test_search_finds_a_song(page, made):
    space = made[0]
    assert find(page, "title 77") == [77] and find(page, "senor unique") == [9]
    assert find(page, "no such song") == [] and "No song" in page.inner_text("#count")
    words = (space.songs["title"] + " " + space.songs["artist"]).str.casefold()
    assert (
        find(page, "title 12")
        == np.flatnonzero(words.str.contains("title") & words.str.contains("12")).tolist()
        and find(page, "") == []
    )


def test_a_click_plays_a_song_and_draws_its_true_neighbours(page, made):
    space = made[0]
    song = alone(page, set(range(30)) - {4, 7, 8})
    page.mouse.click(*pixel(page, song))
    until(
        page,
        "document.getElementById('player').currentTime > .3 && !document.getElementById('player').paused",
    )
    assert page.inner_text("#chosen").endswith(space.songs["title"][song])
    near, distance = space.nearest_positions(song, 10)
    assert listed(page, "near") == near.tolist()
    assert [
        float(node.inner_text()) for node in page.query_selector_all("#near .number")
    ] == distance.round(3).tolist()
    points, lines = drawn(page, "songs"), drawn(page, "lines")
    assert (
        set(lines["x"]) == {points["x"][song]}
        and lines["x1"] == [points["x"][i] for i in near]
        and lines["y1"] == [points["y"][i] for i in near]
    )
    page.check("#others")
    assert listed(page, "near") == space.nearest_positions(song, 10, other_artists=True)[0].tolist()


def test_neighbours_play_and_can_be_chosen(page, made):
    find(page, "title 0")
    page.click("#found button.song")
    with_sound = (
        next(i for i in listed(page, "near") if i < 30 and i != 4)
        if any(i < 30 and i != 4 for i in listed(page, "near"))
        else None
    )
    silent = next(i for i in listed(page, "near") if i >= 30)
    page.click(f"#near button.song[data-song='{silent}']")
    until(page, "document.getElementById('status').textContent.includes('there is no such file')")
    if with_sound is not None:
        page.click(f"#near button.song[data-song='{with_sound}']")
        page.wait_for_selector(f"#near button.song[data-playing][data-song='{with_sound}']")
        until(page, "document.getElementById('player').currentTime > .2")
    page.click(f"#near li:has([data-song='{silent}']) button.go")
    assert listed(page, "near") == made[0].nearest_positions(silent, 10)[0].tolist()


def test_what_cannot_be_heard_says_why(page):
    for text, why in (("title 4", "not audio: text"), ("title 99", "there is no such file")):
        page.fill("#search", text)
        page.keyboard.press("Enter")
        until(page, "why => document.getElementById('status').textContent.includes(why)", why)
        assert page.evaluate("document.getElementById('player').paused")


def test_names_stay_text(page, made):
    assert find(page, "</script>") == [7, 8]
    for song in (7, 8):
        page.click(f"#found button.song[data-song='{song}']")
        page.hover("#near button.song >> nth=0")
    x, y = pixel(page, 7)
    page.mouse.move(x - 40, y), page.mouse.move(x, y, steps=3)
    assert (
        "window.hurt = 1" in page.inner_text("#found")
        and "window.hurt" in page.inner_text("#about-song")
        and "<b>loud</b>" in page.inner_text("#legend")
    )
    assert "window.hurt" in page.inner_text("h1") and "window.hurt" in page.title()
    assert page.evaluate("window.hurt") is None and not page.query_selector_all(
        "img, #legend b, #found script, #about-song img, h1 *"
    )
    own = re.sub(r"<script>.*?</script>", "", made[1].read_text(encoding="utf-8"), flags=re.S)
    assert (
        "<script>" not in own
        and "<img" not in own
        and own.isprintable() is False
        and "\u2028" not in own
    )


def test_hover_names_a_song(page, made):
    song = alone(page, range(SONGS), without=(7, 8))
    x, y = pixel(page, song)
    page.mouse.move(x - 60, y - 60), page.mouse.move(x, y, steps=4)
    page.wait_for_selector("#tip", state="visible")
    row = made[0].songs.iloc[song]
    assert (
        page.inner_text("#tip").split("\n")[0] == row["title"]
        and row["artist"] in page.inner_text("#tip")
        and row["genre"] in page.inner_text("#tip")
    )


def test_quick_and_slow_clicks_count(page, made):
    titles = made[0].songs["title"]
    first = alone(page, range(SONGS), without=[7, 8])
    second = alone(page, range(SONGS), without=[first, 7, 8])
    page.mouse.click(*pixel(page, first))
    page.mouse.click(*pixel(page, second))
    assert page.inner_text("#chosen").endswith(titles[second]), (
        "two songs, clicked one quickly after the other"
    )
    page.mouse.dblclick(*pixel(page, first))
    assert page.inner_text("#chosen").endswith(titles[first])
    page.mouse.click(*pixel(page, second), delay=600)
    assert page.inner_text("#chosen").endswith(titles[second])
    page.keyboard.down("Shift"), page.mouse.dblclick(*pixel(page, first)), page.keyboard.up("Shift")
    assert page.is_visible("#path-card"), "a double click does not take back the path that it drew"


def test_the_legend_filters(page, made):
    slow = (made[0].songs["genre"] == "slow").to_numpy()
    page.click("#legend button.genre:has-text('slow')")
    assert (
        page.evaluate("Bokeh.documents[0].roots()[0].renderers[0].view.filter.booleans")
        == slow.tolist()
        and page.get_attribute("#legend button.genre:has-text('slow')", "aria-pressed") == "true"
    )
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
    assert (
        before < 0.6 * ink(page)
        and page.get_attribute("#legend button.genre:has-text('slow')", "aria-pressed") == "false"
    )


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
        assert listed(
            page, "path"
        ) == wanted and f"Strain {fluidity(space, wanted)['strain']:.2f}" in page.inner_text(
            "#score"
        )
        assert (
            drawn(page, "numbers")["text"] == [str(i + 1) for i in range(n)]
            and len(drawn(page, "lines")["x"]) == n - 1
        )
    with page.expect_download() as download:
        page.click("#m3u8")
    download.value.save_as(tmp_path / "way.m3u8")
    lines = (tmp_path / "way.m3u8").read_text(encoding="utf-8").split("\n")
    assert (
        lines[0] == "#EXTM3U"
        and [line for line in lines if line and not line.startswith("#")]
        == space.songs["path"][wanted].tolist()
    )
    with page.expect_download() as download:
        page.click("#xspf")
    download.value.save_as(tmp_path / "way.xspf")
    tracks = ElementTree.parse(tmp_path / "way.xspf").findall(".//{*}location")
    assert [unquote(urlparse(track.text).path) for track in tracks] == space.songs["path"][
        wanted
    ].tolist()


def test_a_path_plays_through(page, made):
    find(page, "title 1")
    page.click("#found button.song[data-song='1']")
    page.fill("#search", "")
    other = alone(page, range(10, 30))
    page.mouse.move(5, 5)
    page.keyboard.down("Shift")
    page.mouse.click(*pixel(page, other))
    page.keyboard.up("Shift")
    page.fill("#length", "3")
    page.keyboard.press("Enter")
    way = listed(page, "path")
    assert way == path(made[0], 1, other, 3).songs
    page.click("#through")
    page.wait_for_selector("#path button.song[data-playing][data-song='1']")
    page.wait_for_selector(f"#path button.song[data-playing][data-song='{other}']")
    until(page, "!document.querySelector('#path [data-playing]')")


def test_it_can_be_used_without_a_mouse(page, made):
    def focused():
        return page.evaluate("document.activeElement.dataset.song ?? document.activeElement.id")

    page.keyboard.press("/")
    assert focused() == "search" and page.input_value("#search") == ""
    page.keyboard.type("title 1")
    page.keyboard.press("ArrowDown"), page.keyboard.press("ArrowDown")
    second = int(focused())
    assert second == listed(page, "found")[1]
    outline = page.evaluate("getComputedStyle(document.activeElement).outlineStyle")
    assert outline == "solid", "the focus can be seen"
    page.keyboard.press("Enter")
    until(page, "document.getElementById('player').currentTime > .1")
    assert listed(page, "near") == made[0].nearest_positions(second, 10)[0].tolist()
    page.focus("#near button.song")
    page.keyboard.press("ArrowDown")
    assert int(focused()) == listed(page, "near")[1]
    page.keyboard.press("Escape")
    assert page.input_value("#search") == "" and page.is_visible("#song-card"), (
        "one thing after the other"
    )
    page.keyboard.press("Escape")
    assert (
        page.input_value("#search") == ""
        and not page.is_visible("#song-card")
        and page.evaluate("document.getElementById('player').paused")
    )
    page.focus("#map")
    before = page.evaluate(
        "Bokeh.documents[0].roots()[0].x_range.end - Bokeh.documents[0].roots()[0].x_range.start"
    )
    page.keyboard.press("+")
    assert (
        page.evaluate(
            "Bokeh.documents[0].roots()[0].x_range.end - Bokeh.documents[0].roots()[0].x_range.start"
        )
        < before * 0.9
    )
    assert not page.query_selector_all("button:not([aria-label]):empty") and all(
        page.query_selector_all("[aria-label]")
    )


def test_the_wheel_zooms_and_dark_paper_is_dark(browser, made):
    page = opened(browser, made[1], color_scheme="dark")
    width = (
        "Bokeh.documents[0].roots()[0].x_range.end - Bokeh.documents[0].roots()[0].x_range.start"
    )
    before = page.evaluate(width)
    page.mouse.move(300, 300)
    page.mouse.wheel(0, -300)
    until(page, f"{width} < {before} * .95")
    assert (
        page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(22, 24, 29)"
        and page.trouble == []
    )
    page.context.close()


def test_files_can_be_linked(browser, made):
    space, place, _ = made
    facts = write_map(space, place.with_name("linked.html"), sound=MapSound("link", seconds=2))
    assert facts["sound"]["kind"] == "link" and facts["bytes"] < made[2]["bytes"]
    page = opened(browser, place.with_name("linked.html"))
    find(page, "title 3")
    page.keyboard.press("Enter")
    until(page, "document.getElementById('player').currentTime > 2.2")
    until(page, "document.getElementById('player').paused")
    assert page.evaluate("document.getElementById('player').currentTime") < 5 and all(
        text.startswith(place.parent.as_uri()) for text in page.trouble
    )
    page.context.close()


def test_the_same_space_gives_the_same_file(made):
    space, place, _ = made
    again = place.with_name("again.html")
    sound = MapSound(seconds=2, workers=2)
    write_map(space, again, title=f"Songs {EVIL}", sound=sound)
    assert again.read_bytes() == place.read_bytes()


def test_too_many_and_too_few(made, monkeypatch, tmp_path):
    space = made[0]
    monkeypatch.setattr(module, "MOST", 100)
    facts = write_map(space, tmp_path / "map.html", sound=MapSound("none"))
    assert (facts["songs"], facts["of"]) == (100, SONGS) and f"Of {SONGS} songs, 100 are drawn" in (
        tmp_path / "map.html"
    ).read_text(encoding="utf-8")
    with pytest.raises(RunError, match="five songs"):
        write_map(SongSpace(space.vectors[:3], space.songs[:3]), tmp_path / "few.html")
    with pytest.raises(RunError, match="take more than"):
        write_map(space, tmp_path / "few.html", sound=MapSound("embed", megabytes=0.1))
    assert not (tmp_path / "few.html").exists()


def test_the_command(made, tmp_path, capsys):
    space, place, _ = made
    saved = space.save(place.parent / "space")

    def run(*words):
        "Exit status, what is printed, and the complaint."
        with pytest.raises(SystemExit) as end:
            main(["map", "--space", str(saved), *map(str, words)])
        return end.value.code, *capsys.readouterr()

    status, text, _ = run("--out", tmp_path / "songs.html", "--audio", "link")
    assert (
        status == 0
        and "150 songs, trustworthiness" in text
        and "Songs without sound: 120" in text
        and (tmp_path / "songs.html").exists()
    )
    found = json.loads(run("--out", tmp_path / "none.html", "--audio", "none", "--json")[1])
    assert (
        found["sound"]["kind"] == "none"
        and found["bytes"] == (tmp_path / "none.html").stat().st_size
    )
    for words, expected in (
        (["--out", "map.pdf"], 2),
        (["--out", tmp_path], 2),
        (["--out", tmp_path / "x.html", "--audio", "loud"], 1),
        (["--out", tmp_path / "x.html", "--space", str(tmp_path)], 1),
    ):
        status, _, complaint = run(*words)
        assert status == expected and len(complaint.strip().splitlines()) == 1, words
