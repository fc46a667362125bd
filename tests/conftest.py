"Chapters of a few lines, and one smoke run that several tests look at."

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import nbformat
import pandas as pd
import pytest
from filelock import FileLock
from nbformat import v4

ROOT = Path(__file__).resolve().parent.parent
MADE = (  # what a copy of the repository does without
    *(".git", ".venv", "runs", "cache", "__pycache__", "*.egg-info"),
    *(".ipynb_checkpoints", "_docs", "_proc"),
)
SIDE_BY_SIDE = "PYTEST_XDIST_WORKER" in os.environ  # `make test`: two processes share the tests
if SIDE_BY_SIDE:  # each has one core: no threads that wait for each other
    os.environ.setdefault("OMP_NUM_THREADS", "1")

FIRST = """
from song_metric.runs import Chapter
chapter = Chapter(run, "00_data")
rows = [f"{i},rock,<script>alert({i})</script>" for i in range(songs)]
chapter.path("catalog.csv").write_text("\\n".join(["song_id,genre,title", *rows, ""]))
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


def toy_notebook(path, *code: str, title="Toy", summary="A chapter for tests") -> Path:
    "Write a notebook of code cells to `path`; the first of them is its parameters cell."
    cells = [v4.new_code_cell(source) for source in code]
    cells[0].metadata["tags"] = ["parameters"]
    heading = v4.new_markdown_cell(f"# {title}\n\n> {summary}\n")
    spec = dict(kernelspec=dict(display_name="python3", language="python", name="python3"))
    nbformat.write(v4.new_notebook(cells=[heading, *cells], metadata=spec), path)
    return Path(path)


def toy_catalog(songs: int) -> pd.DataFrame:
    "A catalog of songs that have names, of two labels, and no files."
    rows = [
        dict(
            song_id=f"s{i}",
            path=f"s{i}.ogg",
            genre="ab"[i % 2],
            artist="",
            album="",
            title=f"Title {i}",
            duration=30.0,
            source="",
            licence="",
        )
        for i in range(songs)
    ]
    return pd.DataFrame(rows)


def run_in_copy(folder: Path, tool: str) -> Path:
    "A copy of the repository in `folder`, in which one of its tools has run."
    copy = folder / "song_metric"
    shutil.copytree(ROOT, copy, ignore=shutil.ignore_patterns(*MADE))
    done = subprocess.run(
        [sys.executable, f"tools/{tool}"],
        cwd=copy,
        capture_output=True,
        text=True,
        timeout=300,
        env={**os.environ, "PYTHONPATH": str(copy)},
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return copy


def pytest_collection_modifyitems(items):
    """Files in an order that lets nobody wait for the smoke run.

    Side by side, one process begins with a file that asks for it, the other with those that do not.
    """
    if not SIDE_BY_SIDE:
        return
    asking = {item.path.name for item in items if "smoke" in item.fixturenames}
    rank = dict.fromkeys(asking, 2) | {"test_report.py": 0}
    items.sort(
        key=lambda item: (rank.get(item.path.name, 1), -item.path.stat().st_size, item.path.name)
    )


@pytest.fixture(autouse=True, scope="session")
def cache(tmp_path_factory):
    """What is fetched and remembered in tests stays out of the clone's cache.

    The demo's songs, which are rendered there, do not.
    """
    folder = tmp_path_factory.mktemp("cache")
    os.environ["SONG_METRIC_CACHE"] = str(folder)
    yield folder
    del os.environ["SONG_METRIC_CACHE"]


@pytest.fixture
def toys(tmp_path) -> SimpleNamespace:
    """Two chapters in a folder of their own: `nbs`, `root` (the runs), and `write`.

    `write` replaces the second chapter's last cell.
    """
    nbs = tmp_path / "with {braces}" / "nbs"
    (nbs / "profiles").mkdir(parents=True)
    (nbs / "profiles" / "demo.yaml").write_text("# The default\n")
    (nbs / "profiles" / "smoke.yaml").write_text("# For tests\nsongs: 3\n")
    toy_notebook(
        nbs / "00_data.ipynb",
        "run = '../runs/demo'\nseed = 0\nsongs = 2  # how many",
        FIRST,
        "chapter.finish(songs=songs)",
        title="First",
        summary="Makes a catalog",
    )

    def write(last="chapter.finish()", work=WORK):
        toy_notebook(
            nbs / "01_second.ipynb",
            "run = '../runs/demo'\nseed = 0\nrate = 0.5\nworkers = 0",
            SECOND,
            work,
            "chapter.path('count.txt').write_text(str(len(lines) - 1))",
            last,
            title="Second",
            summary="Counts the songs",
        )

    write()
    return SimpleNamespace(nbs=nbs, root=tmp_path / "runs", write=write)


def song_metric(*arguments, **options) -> subprocess.CompletedProcess:
    "Run the command line as a user does."
    options.setdefault("timeout", 600)
    return subprocess.run(
        [sys.executable, "-c", "from song_metric.cli import main; main()", *map(str, arguments)],
        capture_output=True,
        text=True,
        encoding="utf-8",
        **options,
    )


@pytest.fixture(scope="session")
def smoke(tmp_path_factory) -> SimpleNamespace:
    """The smoke profile, run once by one of the processes for all.

    `folder` of the run, `result` of the command. SONG_METRIC_SMOKE names the folder of runs of an
    earlier session, to save a minute while developing.
    """
    given = os.environ.get("SONG_METRIC_SMOKE")
    shared = tmp_path_factory.getbasetemp().parent
    if not SIDE_BY_SIDE:
        shared = tmp_path_factory.mktemp("smoke")
    root = Path(given) if given else shared / "runs"
    with FileLock(shared / "smoke.lock"):
        said = shared / "smoke.json"
        if not said.exists():
            result = song_metric("report", "--profile", "smoke", "--runs-dir", root)
            said.write_text(
                json.dumps(
                    dict(returncode=result.returncode, stdout=result.stdout, stderr=result.stderr)
                )
            )
    return SimpleNamespace(
        folder=root / "smoke", root=root, result=SimpleNamespace(**json.loads(said.read_text()))
    )


@pytest.fixture
def here(monkeypatch):
    "Files are looked at in this process, where a test can watch it, and not in workers."

    def one_by_one(function, items, *_, **__):
        return map(function, list(items))

    for module in ("seen", "spectrograms", "growing"):
        monkeypatch.setattr(f"song_metric.{module}.in_parallel", one_by_one)
