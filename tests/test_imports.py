"The picture of imports: one direction, no circle; and which chapters run again after a change."

import ast
import shutil
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

from song_metric.changes import (
    BOOKKEEPING,
    code_digest,
    imported_names,
    module_files,
    module_sources,
    names_in,
)
from song_metric.chapters import Notebook, chapters, notebooks_folder
from song_metric.sources._base import sources

PACKAGE = Path(__file__).resolve().parent.parent / "song_metric"
MODULES = module_files(PACKAGE)
STORY = {  # a chapter, and the module that its notebook exports
    "00_data": "catalog",
    "01_spectrograms": "spectrograms",
    "02_baselines": "baselines",
    "03_ali": "ali",
    "04_evaluation": "evaluation",
    "05_visualization": "visualization",
    "06_playlists": "playlists",
    "07_geometry": "geometry",
}
TRAINED = """
    ali audio baselines catalog metric names register seen sources._base spectrograms store
    synthesis tags texture training
""".split()  # what the nets are trained again for, beside the cells of their chapter


def imports_of(name: str) -> set[str]:
    """The modules of this package that a module imports, also those that a function imports.

    One that is named in a text, to have its code in a checksum, is not imported.
    """
    nodes = ast.walk(ast.parse(MODULES[name].read_text(encoding="utf-8")))
    statements = [node for node in nodes if isinstance(node, (ast.Import, ast.ImportFrom))]
    package = name.rpartition(".")[0]
    found = set().union(*(names_in(statement, package) for statement in statements))
    return found & MODULES.keys() - {name}


IMPORTS = {name: imports_of(name) for name in MODULES}


def reached_from(name: str) -> set[str]:
    "All modules of this package that a module imports, directly or through others."
    found = set()
    queue = [name]
    while queue:
        new = IMPORTS[queue.pop()] - found
        found |= new
        queue += new
    return found


def test_no_module_imports_itself_through_others():
    order = list(TopologicalSorter(IMPORTS).static_order())  # a `CycleError` names the circle
    assert set(order) == set(MODULES)
    assert order.index("song_metric.files") < order.index("song_metric.ali")


def test_chapters_export_the_modules_of_the_story():
    for chapter, module in STORY.items():
        first_cells = (notebooks_folder() / f"{chapter}.ipynb").read_text(encoding="utf-8")[:5000]
        assert f"#| default_exp {module}" in first_cells, chapter


@pytest.mark.parametrize("chapter", STORY)
def test_a_chapters_module_imports_earlier_chapters_only(chapter):
    later = {f"song_metric.{STORY[name]}" for name in STORY if name > chapter}
    assert not reached_from(f"song_metric.{STORY[chapter]}") & later


def test_what_is_imported_is_used_from_below():
    "Sources, and what decodes, know nothing of nets, tables, maps and reports."
    above = {f"song_metric.{name}" for name in ("ali", "space", "tables", "map", "report", "cli")}
    for name in MODULES:
        if name.startswith("song_metric.sources.") or name == "song_metric.audio":
            assert not reached_from(name) & above, name


def test_no_chapter_imports_what_runs_chapters():
    runners = {
        f"song_metric.{name}" for name in ("plans", "kernels", "report", "publishing", "cli")
    }
    for module in STORY.values():
        assert not reached_from(f"song_metric.{module}") & runners, module


def modules_of(notebook: Notebook) -> set[str]:
    "The modules whose change makes a chapter run again, whatever its source."
    names = set().union(*map(imported_names, notebook.code))
    choices = sources() if "source" in notebook.parameters else [""]
    return set().union(*(module_sources(names, PACKAGE, source) for source in choices))


def test_every_module_keeps_the_books_or_counts_for_a_chapter():
    "A new module is reached by a chapter, or it is named in `BOOKKEEPING`."
    packages = {name for name in MODULES if name.endswith(".__init__")}
    counted = {f"song_metric.{module}" for module in STORY.values()}
    counted |= set().union(*map(modules_of, chapters(notebooks_folder())))
    assert not counted & BOOKKEEPING
    assert counted | BOOKKEEPING | packages == MODULES.keys() - {"song_metric._modidx"}


def test_the_nets_are_trained_again_for_these_modules_only():
    "A module that makes them train for hours is named here on purpose."
    notebooks = {notebook.name: notebook for notebook in chapters(notebooks_folder())}
    assert modules_of(notebooks["03_ali"]) == {f"song_metric.{name}" for name in TRAINED}


# Which chapters run again


@pytest.fixture
def package(tmp_path) -> Path:
    "A copy of this package, to change."
    ignored = shutil.ignore_patterns("__pycache__", "_modidx.py")
    return Path(shutil.copytree(PACKAGE, tmp_path / "song_metric", ignore=ignored))


def digests(package: Path) -> dict[str, str]:
    "The digest of each chapter's code, with the demo's songs."
    found = {}
    for notebook in chapters(notebooks_folder()):
        source = "demo" if "source" in notebook.parameters else ""
        found[notebook.name] = code_digest(notebook, package, source)
    return found


def run_again(package: Path, modules: list[str], change) -> list[str]:
    "The chapters whose code is another, by their numbers, after `change` of modules' sources."
    before = digests(package)
    for module in modules:
        path = package / (module if "." in module else f"{module}.py")
        source = path.read_text(encoding="utf-8")
        changed = change(source)
        assert changed != source, "the change must change something"
        path.write_text(changed, encoding="utf-8")
    after = digests(package)
    return [name[:2] for name in before if before[name] != after[name]]


def reword(function: str):
    "A change: the first sentence that a function says, other than its docstring, says more."

    def change(source: str) -> str:
        tree = ast.parse(source)
        found = next(node for node in tree.body if getattr(node, "name", "") == function)
        nodes = [node for statement in found.body[1:] for node in ast.walk(statement)]
        texts = [node for node in nodes if isinstance(node, ast.Constant)]
        text = next(node for node in texts if isinstance(node.value, str) and " " in node.value)
        text.value += " And more."
        return ast.unparse(tree)

    return change


def add_statement(source: str) -> str:
    "A change: another constant."
    return source + "\nANOTHER = 1\n"


def comment(source: str) -> str:
    "A change: the module's docstring, and a comment."
    return source.replace('"""', '"""Better: ', 1) + "\n# a comment\n"


def test_a_caption_reworded_trains_nothing(package):
    again = run_again(package, ["tables"], reword("caption"))
    assert "04" in again
    assert not {"00", "01", "02", "03"} & set(again)


def test_how_scores_are_computed_is_no_concern_of_the_nets(package):
    again = run_again(package, ["evaluation"], add_statement)
    assert not {"00", "01", "02", "03"} & set(again)


def test_another_metric_reaches_all_that_is_measured(package):
    again = run_again(package, ["metric"], add_statement)
    assert {"02", "03", "04", "05", "06"} <= set(again)
    assert not {"00", "01"} & set(again)


def test_another_decoder_reaches_all(package):
    assert run_again(package, ["audio"], add_statement) == [name[:2] for name in STORY]


def test_a_script_of_the_map_reaches_the_chapter_that_writes_it(package):
    assert run_again(package, ["assets/map_keys.js"], "{}// more\n".format) == ["06"]
    assert run_again(package, ["assets/report.css"], "{}/* more */\n".format) == []


def test_the_machinery_makes_nothing_run_again(package):
    modules = [name.removeprefix("song_metric.") for name in sorted(BOOKKEEPING)]
    assert run_again(package, modules, add_statement) == []


def test_better_sentences_make_nothing_run_again(package):
    assert run_again(package, ["tables", "metric", "audio", "ali"], comment) == []
