"Chapters of a few lines, and one smoke run that several tests look at."
import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

SIDE_BY_SIDE = "PYTEST_XDIST_WORKER" in os.environ  # `make test`: two processes share the tests
if SIDE_BY_SIDE: os.environ.setdefault("OMP_NUM_THREADS", "1")  # each has one core: no threads that wait for each other

from song_metric.report import toy_notebook

FIRST = """
from song_metric.runs import Chapter
chapter = Chapter(run, "00_data")
chapter.path("catalog.csv").write_text("song_id,genre,title\\n" + "".join(f"{i},rock,<script>alert({i})</script>\\n" for i in range(songs)))
print("songs:", songs)
"""
SECOND = """
from song_metric.runs import Chapter
chapter = Chapter(run, "01_second")
lines = chapter.read("00_data", "catalog.csv").read_text().splitlines()
"""
WORK = """
import sys
for i in range(50): print(f"\\r{i + 1}/50 steps", end="", file=sys.stderr, flush=True)
print(file=sys.stderr)
"""


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items):
    "Side by side, tests that share a fixture stay in one process: those of the smoke run, which begins, and those of each file, the larger files first."
    if not SIDE_BY_SIDE: return
    for item in items:
        group = "smoke" if "smoke" in item.fixturenames else item.path.name
        item.add_marker(pytest.mark.xdist_group(group))
    items.sort(key=lambda item: ("smoke" not in item.fixturenames, -item.path.stat().st_size, item.path.name))


@pytest.fixture(autouse=True, scope="session")
def cache(tmp_path_factory):
    "What is fetched and remembered in tests stays out of the clone's cache; the demo's songs, which are rendered there, do not."
    folder = tmp_path_factory.mktemp("cache")
    os.environ["SONG_METRIC_CACHE"] = str(folder)
    yield folder
    del os.environ["SONG_METRIC_CACHE"]


@pytest.fixture
def toys(tmp_path) -> SimpleNamespace:
    "Two chapters in a folder of their own: `nbs`, `root` (the runs), and `write`, which replaces the second chapter's last cell."
    nbs = tmp_path / "with {braces}" / "nbs"
    (nbs / "profiles").mkdir(parents=True)
    (nbs / "profiles" / "demo.yaml").write_text("# The default\n")
    (nbs / "profiles" / "smoke.yaml").write_text("# For tests\nsongs: 3\n")
    toy_notebook(nbs / "00_data.ipynb", "run = '../runs/demo'\nseed = 0\nsongs = 2  # how many", FIRST, "chapter.finish(songs=songs)", title="First", summary="Makes a catalog")

    def write(last="chapter.finish()", work=WORK):
        toy_notebook(nbs / "01_second.ipynb", "run = '../runs/demo'\nseed = 0\nrate = 0.5\nworkers = 0", SECOND, work, "chapter.path('count.txt').write_text(str(len(lines) - 1))", last, title="Second", summary="Counts the songs")

    write()
    return SimpleNamespace(nbs=nbs, root=tmp_path / "runs", write=write)


def song_metric(*arguments, **options) -> subprocess.CompletedProcess:
    "Run the command line as a user does."
    options.setdefault("timeout", 600)
    return subprocess.run([sys.executable, "-c", "from song_metric.cli import main; main()", *map(str, arguments)], capture_output=True, text=True, encoding="utf-8", **options)


@pytest.fixture(scope="session")
def smoke(tmp_path_factory) -> SimpleNamespace:
    "The smoke profile, run once through the command line: `folder` of the run, `result` of the command."
    given = os.environ.get("SONG_METRIC_SMOKE")  # the folder of runs of an earlier session, to save a minute while developing
    root = Path(given) if given else tmp_path_factory.mktemp("runs")
    result = song_metric("report", "--profile", "smoke", "--runs-dir", root)
    return SimpleNamespace(folder=root / "smoke", root=root, result=result)
