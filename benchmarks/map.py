"""Megabytes and seconds of a map: made, opened, zoomed; and how its paths compare with Python's.

Opens the map in headless Chromium (Debian: apt-get install chromium), with playwright from the
development requirements. "Interactive" is the page's own account: the points are drawn, and a click
is answered.

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
from playwright.sync_api import sync_playwright
from space import enlarged

from song_metric.map import SPACE_SCRIPT, WAY_SCRIPT, write_map
from song_metric.playlists import fluid_way, fluidity
from song_metric.space import SongSpace

FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
READY = """() => new Promise(done => {
  const page = document.documentElement;
  const look = () => page.dataset.ready ? done(Number(page.dataset.ready)) : setTimeout(look, 5);
  look();
})"""
CHOOSE = """() => {
  const search = document.getElementById("search");
  search.value = "a";
  search.dispatchEvent(new Event("input"));
  const start = performance.now();
  document.querySelector("#found button").click();
  return performance.now() - start;
}"""
FRAMES = """async steps => {
    const times = [], frame = () => new Promise(requestAnimationFrame);
    for (let i = 0; i < steps; i++) {
        const start = performance.now();
        document.getElementById(i % 2 ? "wider" : "closer").click();
        await frame(), await frame(); // drawn in the first, seen before the second
        times.push(performance.now() - start);
    }
    return times;
}"""


def opening(browser, place, times: int = 5) -> dict:
    """Seconds from opening to interactive, the least and the median of several times; milliseconds
    of a zoom step and of a chosen song.
    """
    ready, zooms, chosen = [], [], []
    for _ in range(times):
        page = browser.new_context(offline=True, viewport=dict(width=1280, height=800)).new_page()
        page.goto(Path(place).resolve().as_uri(), wait_until="commit")
        ready.append(page.evaluate(READY) / 1000)
        page.wait_for_load_state()
        zooms += page.evaluate(FRAMES, 6)
        chosen.append(page.evaluate(CHOOSE))
        page.context.close()
    return dict(
        interactive=(min(ready), float(np.median(ready))),
        zoom_ms=float(np.median(zooms)),
        first_choice_ms=min(chosen),
    )


def paths(browser, space: SongSpace, pairs: int, n: int = 12, seed: int = 0) -> dict:
    """Over random pairs: the share of paths that are those of `fluid_way`, song by song, the ratio
    of strains, and milliseconds of a path in the browser.
    """
    page = browser.new_page()
    page.goto("about:blank")
    artists = np.where(space.known, space.artists, -1).tolist()
    data = dict(
        dimension=space.vectors.shape[1],
        genres=[],
        songs=dict(
            x=[0] * len(space),
            y=[0] * len(space),
            genre=space.genres.tolist(),
            artist_number=artists,
        ),
    )
    from song_metric.map import as_text, script_json

    vectors = as_text(np.ascontiguousarray(space.vectors, "<f4").tobytes())
    page.set_content(
        f'<script type="text/plain" id="data">{script_json(data)}</script>'
        f'<script type="text/plain" id="vectors">{vectors}</script>'
    )
    page.add_script_tag(content=SPACE_SCRIPT + WAY_SCRIPT + "\nwindow.fluidWay = fluidWay;")
    draw, same, ratios, times = np.random.default_rng(seed), 0, [], []
    for _ in range(pairs):
        a, b = (int(i) for i in draw.choice(len(space), 2, replace=False))
        way, ms = page.evaluate(
            "([a, b, n]) => { const start = performance.now(); return [fluidWay(a, b, n), "
            "performance.now() - start]; }",
            [a, b, n],
        )
        ours = fluid_way(space, a, b, n)
        same += way == ours
        ratios.append(fluidity(space, way)["strain"] / fluidity(space, ours)["strain"])
        times.append(ms)
    page.close()
    return dict(
        pairs=pairs,
        same=same,
        ratio=(min(ratios), float(np.mean(ratios)), max(ratios)),
        ms=float(np.median(times)),
    )


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("space")
    parser.add_argument("--songs", type=int, default=20_000, help="songs of the large map; 0: none")
    parser.add_argument("--pairs", type=int, default=200)
    parser.add_argument("--map", help="the space's map, where it has been made already")
    args = parser.parse_args()
    space = SongSpace.load(args.space)
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=shutil.which("chromium"), args=FLAGS)
        for name, songs in (
            ("its map", space),
            ("a large map", enlarged(space, args.songs) if args.songs else None),
        ):
            if songs is None:
                continue
            place, start = (
                Path(args.map) if args.map and songs is space else Path(folder) / "map.html",
                perf_counter(),
            )
            made = (
                ""
                if args.map and songs is space
                else f", made in {write_map(songs, place) and perf_counter() - start:.0f} s"
            )
            size = f"{place.stat().st_size / 1e6:.2f} MB"
            seen = json.dumps(opening(browser, place))
            print(f"{name}: {len(songs):,} songs, {size}{made}; {seen}", flush=True)
        print(f"paths: {json.dumps(paths(browser, space, args.pairs))}")
        browser.close()


if __name__ == "__main__":
    main()
