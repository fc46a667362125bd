"""Megabytes and seconds of a map: made, opened, zoomed; and how near its paths are to Python's.

Opens the map in headless Chromium (Debian: apt-get install chromium), with playwright from the
development requirements. "Interactive" is the page's own account: the points are drawn, and a
click is answered.

    python benchmarks/map.py data/runs/demo/06_playlists/space
        [--songs 20000] [--pairs 200] [--map map.html]
"""

import argparse
import json
import shutil
import tempfile
from pathlib import Path
from time import perf_counter

import numpy as np
from playwright.sync_api import Browser, sync_playwright
from space import enlarged

from song_metric.map import map_data, page_script, vectors_text, write_map
from song_metric.playlists import fluid_way, fluidity
from song_metric.render import render
from song_metric.space import SongSpace

FLAGS = """
    --no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking
    --disable-component-update --disable-sync
""".split()
READY = """() => new Promise(done => {
    const look = () => {
        const { ready } = document.documentElement.dataset;
        if (ready) done(Number(ready));
        else setTimeout(look, 5);
    };
    look();
})"""
ZOOM = """async steps => {
    const times = [];
    const frame = () => new Promise(requestAnimationFrame);
    for (let i = 0; i < steps; i++) {
        const start = performance.now();
        document.getElementById(i % 2 ? "wider" : "closer").click();
        await frame(); // it is drawn in the first, and seen before the second
        await frame();
        times.push(performance.now() - start);
    }
    return times;
}"""
CHOOSE = """() => {
    const search = document.getElementById("search");
    search.value = "a";
    search.dispatchEvent(new Event("input"));
    const start = performance.now();
    document.querySelector("#found button").click();
    return performance.now() - start;
}"""
FLUID_PATH = """([a, b, n]) => {
    const start = performance.now();
    const path = fluidPath(a, b, n);
    return [path, performance.now() - start];
}"""


def measure_opening(browser: Browser, place: Path, times: int = 5) -> dict:
    """Seconds from opening to interactive, the least and the median of several times.

    And milliseconds of a zoom step, and of the first chosen song.
    """
    ready, zooms, chosen = [], [], []
    for _ in range(times):
        page = browser.new_context(offline=True, viewport=dict(width=1280, height=800)).new_page()
        page.goto(place.resolve().as_uri(), wait_until="commit")
        ready.append(page.evaluate(READY) / 1000)
        page.wait_for_load_state()
        zooms += page.evaluate(ZOOM, 6)
        chosen.append(page.evaluate(CHOOSE))
        page.context.close()
    return dict(
        interactive=(min(ready), float(np.median(ready))),
        zoom_ms=float(np.median(zooms)),
        first_choice_ms=min(chosen),
    )


def compare_paths(browser: Browser, space: SongSpace, pairs: int, n: int = 12) -> dict:
    """Over random pairs, how many paths are those of `fluid_way`, song by song.

    And the ratio of strains (least, mean, most), and milliseconds of a path in the browser.
    """
    page = browser.new_page()
    data = map_data(space, np.zeros((len(space), 2)), ".")
    values = dict(data=data, vectors=vectors_text(space.vectors))
    page.set_content(render("map_data.html.j2", **values))
    page.add_script_tag(content=page_script(("space", "path")))
    rng = np.random.default_rng(0)
    same, ratios, times = 0, [], []
    for _ in range(pairs):
        a, b = rng.choice(len(space), 2, replace=False).tolist()
        found, ms = page.evaluate(FLUID_PATH, [a, b, n])
        wanted = fluid_way(space, a, b, n)
        same += found == wanted
        ratios.append(fluidity(space, found)["strain"] / fluidity(space, wanted)["strain"])
        times.append(ms)
    page.close()
    ratio = (min(ratios), float(np.mean(ratios)), max(ratios))
    return dict(pairs=pairs, same=same, ratio=ratio, ms=float(np.median(times)))


def measure(browser: Browser, name: str, space: SongSpace, place: Path) -> None:
    "Make the map where there is none, and print its size and times."
    made = ""
    if not place.exists():
        start = perf_counter()
        write_map(space, place)
        made = f", made in {perf_counter() - start:.0f} s"
    megabytes = place.stat().st_size / 1e6
    times = json.dumps(measure_opening(browser, place))
    print(f"{name}: {len(space):,} songs, {megabytes:.2f} MB{made}; {times}", flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("space")
    parser.add_argument("--songs", type=int, default=20_000, help="songs of the large map; 0: none")
    parser.add_argument("--pairs", type=int, default=200)
    parser.add_argument("--map", type=Path, help="the space's map, where it has been made already")
    args = parser.parse_args()
    space = SongSpace.load(args.space)
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=shutil.which("chromium"), args=FLAGS)
        measure(browser, "its map", space, args.map or Path(folder) / "map.html")
        if args.songs:
            large = enlarged(space, args.songs)
            measure(browser, "a large map", large, Path(folder) / "large.html")
        print(f"paths: {json.dumps(compare_paths(browser, space, args.pairs))}")
        browser.close()


if __name__ == "__main__":
    main()
