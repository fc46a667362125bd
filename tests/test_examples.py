"Every command that a text shows is one that works: its name, its options, and its parameters."

import re
import shlex
from pathlib import Path

import nbformat
import pytest
from typer.main import get_command

from song_metric import chapters
from song_metric.cli import app
from song_metric.sources._base import get_source, own_parameters, sources

ROOT = Path(__file__).resolve().parent.parent
PAPERS = sorted([*ROOT.glob("*.md"), *ROOT.glob("data/*/README.md")])
NOTEBOOKS = [p for p in sorted((ROOT / "nbs").rglob("*.ipynb")) if "checkpoints" not in str(p)]
COMMANDS = get_command(app).commands
ANY_SOURCE = ("SOURCE", "DIR")  # what a text says for any source, or folder


def prose(path: Path) -> str:
    "The text of a Markdown file, or of a notebook's cells that are prose."
    if path.suffix == ".md":
        return path.read_text(encoding="utf-8")
    cells = nbformat.read(path, as_version=4).cells
    return "\n\n".join(cell.source for cell in cells if cell.cell_type == "markdown")


def texts() -> dict[str, str]:
    "All that shows commands, by where it stands."
    found = {path.relative_to(ROOT).as_posix(): prose(path) for path in PAPERS + NOTEBOOKS}
    for name, command in COMMANDS.items():
        found[f"song-metric {name} --help"] = command.help
    for name in sources():
        found[f"the source {name}"] = f"`{get_source(name).command}`"
    return found


def examples(text: str) -> list[str]:
    "The commands that a text shows: in its blocks of shell, and between backticks."
    lines = []
    for block in re.findall(r"```(?:bash|sh)\n(.*?)```", text, re.S):
        lines += block.splitlines()
    lines += re.findall(r"`([^`\n]+)`", re.sub(r"```.*?```", "", text, flags=re.S))
    found = [re.match(r"\s*(?:\S*/)?(song-metric\s.+)", line) for line in lines]
    return [match[1] for match in found if match]


SHOWN = sorted({(where, line) for where, text in texts().items() for line in examples(text)})


def parameters_of(command: str, options: dict) -> set[str]:
    "The parameters that `-p` may set for a command."
    if command == "report":
        notebooks = chapters.chapters(ROOT / "nbs")
        return {name for notebook in notebooks for name in notebook.parameters}
    return set(own_parameters(get_source(options["source"]), command))


def test_there_are_examples():
    everywhere = {where for where, _ in SHOWN}
    assert {"README.md", "nbs/usage.ipynb", "song-metric report --help"} <= everywhere
    assert len(SHOWN) > 50


@pytest.mark.parametrize("where, line", SHOWN, ids=[line[:60] for _, line in SHOWN])
def test_example_is_one_that_works(where, line):
    words = shlex.split(line, comments=True)[1:]
    if words[0] in ("--help", "--version"):
        return
    assert words[0] in COMMANDS, where
    name, *arguments = words
    if not arguments or arguments == ["--help"]:  # a command that is named, and no more
        return
    context = COMMANDS[name].make_context(name, arguments)  # it refuses what it does not know
    if context.params.get("source") in ANY_SOURCE:
        return
    given = [text.partition("=")[0] for text in context.params.get("parameter") or []]
    assert not given or set(given) <= parameters_of(name, context.params), where


def test_parameters_that_are_named_in_prose_exist():
    "Also where `-p name=value` stands alone."
    known = parameters_of("report", {})
    for name in sources():
        for act in ("catalog", "fetch", "validate"):
            if getattr(get_source(name), act):
                known |= own_parameters(get_source(name), act).keys()
    for where, text in texts().items():
        for name in re.findall(r"-p (\w+)=", text):
            assert name in known | {"name"}, where


def test_makefile_and_papers_agree():
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.M))
    for path in PAPERS:
        named = re.findall(r"(?:^|`)make ([a-z-]+)", path.read_text(encoding="utf-8"), re.M)
        assert set(named) <= targets, path.name
