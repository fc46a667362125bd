"""Copy the outputs of the demo run's executed chapters into the committed notebooks.

So a reader who runs nothing sees the tables and figures. Only cells flagged `#| run` whose source
has not changed are filled; progress bars and outputs of more than 400 kB stay out.
"""

import json
from pathlib import Path

import nbformat

ROOT = Path(__file__).resolve().parent.parent
MOST = 400_000  # bytes of one cell's outputs


def kept(outputs: list) -> list:
    "What of a cell's outputs is worth keeping: no standard error, nothing too large."
    shown = [one for one in outputs if one.output_type != "error" and one.get("name") != "stderr"]
    for output in shown:
        if output.output_type == "execute_result":
            output.execution_count = None
    return shown if len(json.dumps(shown)) <= MOST else []


def read_cells(path: Path) -> tuple[nbformat.NotebookNode, list]:
    "A notebook, and its cells of code."
    notebook = nbformat.read(path, as_version=4)
    return notebook, [cell for cell in notebook.cells if cell.cell_type == "code"]


def keep_outputs(path: Path, executed: Path) -> None:
    "Fill a chapter's cells with the outputs of the same cells in its executed copy."
    notebook, cells = read_cells(path)
    found = {cell.source: cell.outputs for cell in read_cells(executed)[1]}
    for cell in cells:
        if cell.source.startswith("#| run"):
            cell.outputs = kept(found.get(cell.source, []))
    nbformat.write(notebook, path)


if __name__ == "__main__":
    for path in sorted((ROOT / "nbs").glob("[0-9][0-9]_*.ipynb")):
        executed = ROOT / "data/runs/demo" / path.stem / "notebook.ipynb"
        if not executed.exists():
            raise SystemExit(f"{path.stem} has not been run: make report first.")
        keep_outputs(path, executed)
