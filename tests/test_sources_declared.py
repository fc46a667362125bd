"A source is one file with a declaration: it is listed, fetched, validated and reported on."

import importlib
import json
import sys

import pytest
from typer.testing import CliRunner

import song_metric.sources
from song_metric.catalog import build_catalog
from song_metric.chapters import notebooks_folder
from song_metric.cli import app
from song_metric.files import RunError, UsageError
from song_metric.plans import make_plan
from song_metric.sources._base import Source, get_source, own_parameters, sources

TOY = """
from pathlib import Path

from song_metric.catalog import checked_songs
from song_metric.runs import source_folder
from song_metric.sources._base import Looking, Source


def fetch(data: str = "", *, tones: int = 2) -> list[dict]:
    import numpy as np
    import soundfile as sf

    folder = source_folder("toy", data)
    for number in range(tones):
        path = folder / "ab"[number % 2] / f"{number}.wav"
        path.parent.mkdir(parents=True, exist_ok=True)
        sf.write(path, 0.1 * np.sin(np.arange(50000) * (0.1 + number / 9)), 8000)
    return []


def catalog(*, data: str, label: str = "letter", most: int = 99, looking: Looking):
    paths = sorted(source_folder("toy", data).rglob("*.wav"))[:most]
    rows = [
        dict(song_id=path.name, path=str(path), genre=path.parent.name, source="toy")
        for path in paths
    ]
    return checked_songs(rows, looking)


def validate(data: str = ""):
    found = any(source_folder("toy", data).rglob("*.wav"))
    return [] if found else [dict(path="a/0.wav", reason="there is no such file")], []


SOURCE = Source(
    name="toy",
    title="Tones that are made here",
    licence="CC0-1.0",
    size="nothing",
    time="a moment",
    needs="nothing",
    command="song-metric fetch toy",
    labels=("letter",),
    catalog=catalog,
    fetch=fetch,
    validate=validate,
)
"""


@pytest.fixture
def toy(tmp_path, monkeypatch):
    "The folder for the songs of a source `toy` that a file on the package's path declares."
    (tmp_path / "package").mkdir()
    (tmp_path / "package" / "toy.py").write_text(TOY)
    path = [*song_metric.sources.__path__, str(tmp_path / "package")]
    monkeypatch.setattr(song_metric.sources, "__path__", path)
    importlib.invalidate_caches()
    yield tmp_path / "songs"
    sys.modules.pop("song_metric.sources.toy", None)
    vars(song_metric.sources).pop("toy", None)


def run(*words):
    "The command line in this process, where the toy is known: its result."
    return CliRunner().invoke(app, [str(word) for word in words])


def test_a_source_of_one_file_works_in_every_command(toy):
    listed = json.loads(run("sources", "--json").stdout)
    assert "toy" in [row["name"] for row in listed]
    assert "song-metric fetch toy" in run("sources").stdout
    toy.mkdir()
    result = run("validate", "toy", "--data", toy, "--json")
    assert result.exit_code == 1 and "there is no such file" in result.stdout
    result = run("fetch", "toy", "--data", toy, "-p", "tones=12")
    assert result.exit_code == 0 and len(list(toy.rglob("*.wav"))) == 12, result.output
    assert run("validate", "toy", "--data", toy).exit_code == 0
    songs, rejected = build_catalog("toy", data=toy, workers=1, most=10)
    assert len(songs) == 10 and set(songs["genre"]) == {"a", "b"} and rejected.empty


def test_a_source_of_one_file_works_in_a_report(toy, tmp_path):
    given = dict(source="toy", data=str(toy))
    with pytest.raises(UsageError, match="is no folder"):
        make_plan(overrides=given, root=tmp_path)
    toy.mkdir()
    plan = make_plan(overrides=given, root=tmp_path)
    assert plan.source == "toy" and plan.folder.name.startswith("toy-songs-")


def test_the_first_chapter_takes_what_the_source_takes(toy, tmp_path, monkeypatch):
    "The chapter's own cells, run here: it passes on no parameter of another source."
    run("fetch", "toy", "--data", toy, "-p", "tones=12")
    monkeypatch.chdir(tmp_path)
    notebook = json.loads((notebooks_folder() / "00_data.ipynb").read_text(encoding="utf-8"))
    code = ["".join(cell["source"]) for cell in notebook["cells"] if cell["cell_type"] == "code"]
    names = {}
    for text in code:
        if text.startswith(("#| export", "import", "from", "run: str")):
            exec(text, names)
    names |= dict(run=str(tmp_path / "run"), source="toy", data=str(toy), workers=1)
    (chapter,) = (text for text in code if "catalog, rejected = build_catalog(" in text)
    exec(chapter, names)
    assert len(names["catalog"]) == 12 and (tmp_path / "run/00_data/manifest.json").exists()


@pytest.mark.parametrize("name", sources())
def test_each_source_is_declared_and_refuses_what_it_does_not_take(name):
    source = get_source(name)
    assert isinstance(source, Source) and source.name == name
    known = own_parameters(source, "catalog")
    assert known["label"] in source.labels and {"seconds", "workers"} <= set(known)
    with pytest.raises(RunError, match=f"{name} has no parameter 'wrkers'. Did you mean workers?"):
        build_catalog(name, wrkers=1)
    with pytest.raises(RunError, match="There is no label 'mood'"):
        build_catalog(name, label="mood")


def test_typing_errors_are_refused_by_the_module_as_by_the_command_line():
    with pytest.raises(RunError) as caught:
        build_catalog("fma", subste="medium")
    assert "no parameter 'subste'. Did you mean subset" in str(caught.value)
    result = run("fetch", "fma", "-p", "subste=medium")
    assert "no parameter 'subste'. Did you mean subset" in str(result.exception)
    assert isinstance(result.exception, UsageError)
    with pytest.raises(UsageError, match="Did you mean fma?"):
        build_catalog("fmaa")
