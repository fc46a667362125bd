"After editing a notebook: export the module, clean the notebooks, and write README.md from nbs/index.ipynb."

import re
import subprocess
import sys
from pathlib import Path

import nbformat
from nbconvert import MarkdownExporter
from nbconvert.preprocessors import ExecutePreprocessor
from nbdev.clean import nbdev_clean
from nbdev.doclinks import nbdev_export

ROOT = Path(__file__).resolve().parent.parent


def readme() -> str:
    "index.ipynb as Markdown: its prose, and what its code cells print (tables from figures/), with paths as seen from the top folder."
    notebook = nbformat.read(ROOT / "nbs/index.ipynb", as_version=4)
    ExecutePreprocessor(kernel_name="python3").preprocess(
        notebook, {"metadata": {"path": ROOT / "nbs"}}
    )
    text, _ = MarkdownExporter(
        exclude_input=True, exclude_input_prompt=True, exclude_output_prompt=True
    ).from_notebook_node(notebook)
    lines = (line.rstrip() for line in text.replace("](../", "](").splitlines())
    note = "<!-- Made from nbs/index.ipynb by `make prepare`: edit the notebook. -->\n\n"
    return note + re.sub(r"\n{3,}", "\n\n", "\n".join(lines)).strip() + "\n"


def tidy(folder: Path) -> None:
    "Imports in order, and the layout of ruff: of notebooks before they are exported, and of the module."
    ruff = [sys.executable, "-m", "ruff"]
    subprocess.run([*ruff, "check", "--select", "I", "--fix", "--quiet", folder], check=True)
    subprocess.run([*ruff, "format", "--quiet", folder], check=True)


if __name__ == "__main__":
    tidy(ROOT / "nbs")
    nbdev_export()
    nbdev_clean()
    tidy(ROOT / "song_metric")
    path, text = ROOT / "README.md", readme()
    if not path.exists() or path.read_text(encoding="utf-8") != text:
        path.write_text(text, encoding="utf-8")
        print("README.md has been written anew from nbs/index.ipynb.")
