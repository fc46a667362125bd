"""The documentation site in _docs, offline: the notebooks, the papers beside them, and the modules.

Pages lie as in the repository, so that a link leads to the same page here as there.
"""

import os
import re
import shutil
import subprocess
import sys
from configparser import ConfigParser
from itertools import chain
from pathlib import Path

import nbformat
import yaml
from latex2mathml.converter import convert
from nbconvert import MarkdownExporter

ROOT = Path(__file__).resolve().parent.parent
PAGES = ROOT / "_proc" / "site"  # as Markdown, for mkdocs
PAPERS = (
    "README.md",
    "CONTRIBUTING.md",
    "CHANGELOG.md",
    "MODEL_CARD.md",
    "DATA_CARD.md",
    "REFERENCES.md",
    "data/demo/README.md",
    "data/soundtracks/README.md",
)
SHOWN = (".png", ".csv")  # of figures/, what pages show and link
ROOMS = {  # the notebooks beside the chapters, in the order in which they are read
    "Sound and songs": "audio synthesis names tags seen downloads data",
    "From a song to a point": "metric players texture encoder splits training register store",
    "Scores": "ruler retrieval hubs tables reproduction",
    "The space": "search lookup points recipe growing saving space indexing "
    "wishes why playlist_files listening map",
    "A report": "files runs workers chapters essence changes plans kernels report publishing",
    "Pages and commands": "render pages cli doctor",
}
LEFT_OUT = ("#| hide", "#| default_exp")  # cells that tell a reader nothing
LINK = re.compile(r"\]\((?!https?:|mailto:|#)([^)#\s]+)((?:#[^)\s]*)?)\)")


def settings() -> dict[str, str]:
    "What settings.ini declares."
    parser = ConfigParser()
    parser.read(ROOT / "settings.ini", encoding="utf-8")
    return dict(parser["DEFAULT"])


def notebooks() -> list[Path]:
    "All notebooks but the README's."
    found = sorted((ROOT / "nbs").rglob("*.ipynb"))
    return [p for p in found if ".ipynb_checkpoints" not in p.parts and p.name != "index.ipynb"]


def as_mathml(found: re.Match) -> str:
    "A formula of LaTeX as MathML, which browsers draw without a script."
    if found["code"]:
        return found["code"]
    if found["block"]:
        below = re.sub(
            r"\\(min|max)_\{(\w[^}]*)\}", r"\\underset{\2}{\\\1}", found["block"].strip()
        )
        return f"\n\n<div>{convert(below, display='block')}</div>\n\n"
    return convert(found["inline"])


def with_formulas(text: str) -> str:
    "Markdown whose formulas, between dollars, have become MathML; code stays code."
    code = r"(?P<code>```.*?```|`[^`\n]+`)"
    block = r"\$\$(?P<block>.+?)\$\$"
    inline = r"\$(?P<inline>[^\s$](?:[^$\n]*[^\s$])?)\$"
    return re.sub(f"{code}|{block}|{inline}", as_mathml, text, flags=re.DOTALL)


def notebook_page(path: Path) -> tuple[str, dict[str, bytes]]:
    "A notebook as Markdown, and its pictures by name."
    notebook = nbformat.read(path, as_version=4)
    notebook.cells = [cell for cell in notebook.cells if not cell.source.startswith(LEFT_OUT)]
    for cell in notebook.cells:
        if cell.cell_type == "markdown":
            cell.source = with_formulas(cell.source)
        else:
            cell.source = re.sub(r"^#\| ?\w+.*\n", "", cell.source)
    notebook.metadata.language_info = {"name": "python"}
    names = {"output_files_dir": f"{path.stem}_files", "unique_key": path.stem}
    text, resources = MarkdownExporter().from_notebook_node(notebook, names)
    text = re.sub(r"<style scoped>.*?</style>", "", text, flags=re.DOTALL)
    return text.replace('<table border="1" class="dataframe">', "<table>"), resources["outputs"]


def site_link(found: re.Match, source: Path, address: str) -> str:
    "A link as the site has it: to a page, a figure, or the repository's own view of a file."
    name, anchor = found.groups()
    target = (source.parent / name).resolve()
    if not target.exists():  # a picture that was made with the page, or no link at all
        return found[0]
    inside = target.relative_to(ROOT).as_posix()
    if target.suffix == ".ipynb" and target.name != "index.ipynb":
        return f"]({name.removesuffix('.ipynb')}.md{anchor})"
    if inside in PAPERS or target.suffix in SHOWN and inside.startswith("figures/"):
        return found[0]
    return f"]({address}/blob/main/{inside})"


def write_page(source: Path, text: str, address: str) -> None:
    "A page where its source lies in the repository, with links that hold on the site."
    page = (PAGES / source.relative_to(ROOT)).with_suffix(".md")
    page.parent.mkdir(parents=True, exist_ok=True)
    text = LINK.sub(lambda found: site_link(found, source, address), text)
    page.write_text(text, encoding="utf-8")


def write_module_page(module: Path) -> None:
    "A module's page: every public name, with signature and docstring; mkdocstrings fills it."
    name = ".".join(module.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")
    text = f"# {name}\n\n"
    notebook = re.search(r"edit: .*(nbs/.*)\.ipynb", module.read_text(encoding="utf-8"))
    if notebook:
        text += f"Its source and its examples: [{notebook[1]}](../{notebook[1]}.md).\n\n"
    page = PAGES / "api" / f"{name}.md"
    page.parent.mkdir(parents=True, exist_ok=True)
    page.write_text(f"{text}::: {name}\n", encoding="utf-8")


def write_notebook(path: Path, address: str) -> None:
    "A notebook's page, and its pictures beside it."
    text, pictures = notebook_page(path)
    write_page(path, text, address)
    for name, picture in pictures.items():
        place = (PAGES / path.relative_to(ROOT)).parent / name
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(picture)


def write_pages() -> None:
    "All pages, anew."
    shutil.rmtree(PAGES, ignore_errors=True)
    PAGES.mkdir(parents=True)
    shutil.copyfile(ROOT / "tools/site.css", PAGES / "site.css")
    for path in (ROOT / "figures").rglob("*"):
        if path.suffix in SHOWN:
            copy = PAGES / path.relative_to(ROOT)
            copy.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, copy)
    address = settings()["git_url"]
    for path in notebooks():
        write_notebook(path, address)
    for name in PAPERS:
        path = ROOT / name
        write_page(path, with_formulas(path.read_text(encoding="utf-8")), address)
    for module in sorted((ROOT / "song_metric").rglob("*.py")):
        if module.name != "_modidx.py":
            write_module_page(module)


def room_pages(names: str, pages: list[str]) -> list[str]:
    "The pages of these rooms, of those that there are."
    wanted = [f"nbs/{name}.md" for name in names.split()]
    return [page for page in wanted if page in pages]


def module_title(page: str) -> str:
    "How the list of modules calls a module's page: short, for the list is narrow."
    return page.removeprefix("api/").removesuffix(".md").removeprefix("song_metric.")


def navigation() -> list:
    "The pages in the order in which previous and next lead through them."
    pages = sorted(path.relative_to(PAGES).as_posix() for path in PAGES.rglob("*.md"))
    chapters = [page for page in pages if re.match(r"nbs/\d\d_", page)]
    sources = [page for page in pages if page.startswith("nbs/sources/")]
    api = [page for page in pages if page.startswith("api/")]
    first = ["README.md", "nbs/usage.md", "nbs/results.md"]
    rooms = {title: room_pages(names, pages) for title, names in ROOMS.items()}
    told = {*first, *chapters, *sources, *api, *PAPERS, *chain(*rooms.values())}
    return [
        *first,
        {"Chapters": chapters},
        *({title: found} for title, found in rooms.items()),
        {"Sources of songs": sources},
        {"What was tried": [page for page in pages if page not in told]},
        {"Modules": [{module_title(page): page} for page in api]},
        {"About": list(PAPERS[1:])},
    ]


def main() -> int:
    "Write the pages and build the site; the exit status of mkdocs."
    write_pages()
    config = PAGES.parent / "mkdocs.yml"
    rest = {"docs_dir": PAGES.name, "site_dir": "../_docs", "nav": navigation()}
    config.write_text(yaml.safe_dump({"INHERIT": "../mkdocs.yml", **rest}), encoding="utf-8")
    mkdocs = [sys.executable, "-m", "mkdocs", "build", "--strict", "-f", config]
    quiet = {**os.environ, "NO_MKDOCS_2_WARNING": "1"}
    return subprocess.run(mkdocs, cwd=ROOT, env=quiet).returncode


if __name__ == "__main__":
    sys.exit(main())
