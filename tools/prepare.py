"""After editing a notebook: export the module, clean the notebooks, and write README.md.

The README is nbs/index.ipynb; results, usage and the ledger are run, and keep their outputs.
"""

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
NOTE = "<!-- Made from nbs/index.ipynb by `make prepare`: edit the notebook. -->\n\n"
KEPT = ("results.ipynb", "usage.ipynb", "experiments/ali.ipynb")  # outputs, which cost seconds


def executed(path: Path) -> nbformat.NotebookNode:
    "A notebook, run where it stands."
    notebook = nbformat.read(path, as_version=4)
    runner = ExecutePreprocessor(kernel_name="python3")
    runner.preprocess(notebook, {"metadata": {"path": path.parent}})
    return notebook


def readme() -> str:
    "index.ipynb as Markdown: its prose, what its cells print, and paths as from the top folder."
    exporter = MarkdownExporter(
        exclude_input=True, exclude_input_prompt=True, exclude_output_prompt=True
    )
    text, _ = exporter.from_notebook_node(executed(ROOT / "nbs/index.ipynb"))
    text = re.sub(r'(\]\(|src=")\.\./', r"\1", text)
    text = "\n".join(line.rstrip() for line in text.splitlines())
    return NOTE + re.sub(r"\n{3,}", "\n\n", text).strip() + "\n"


def tidy(folder: Path) -> None:
    "Imports in order, and the layout of ruff."
    ruff = [sys.executable, "-m", "ruff"]
    subprocess.run([*ruff, "check", "--select", "I", "--fix", "--quiet", folder], check=True)
    subprocess.run([*ruff, "format", "--quiet", folder], check=True)


def main() -> None:
    "Everything that is made from notebooks, made anew."
    tidy(ROOT / "nbs")
    nbdev_export()
    tidy(ROOT / "song_metric")
    for name in KEPT:
        nbformat.write(executed(ROOT / "nbs" / name), ROOT / "nbs" / name)
    nbdev_clean()
    (ROOT / "README.md").write_text(readme(), encoding="utf-8")


if __name__ == "__main__":
    main()
