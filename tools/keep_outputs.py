"""Copy the outputs of the demo run's executed chapters into the committed notebooks, so that a reader who runs nothing sees the tables and figures.

Only cells flagged `#| run` whose source has not changed are filled; progress bars and outputs of more than 400 kB stay out."""

import json
from pathlib import Path

import nbformat

ROOT = Path(__file__).resolve().parent.parent
MOST = 400_000  # bytes of one cell's outputs


def kept(outputs) -> list:
    "What of a cell's outputs is worth keeping: no standard error, nothing too large."
    outputs = [o for o in outputs if o.output_type != "error" and o.get("name") != "stderr"]
    for output in outputs:
        if output.output_type == "execute_result":
            output.execution_count = None
    return outputs if len(json.dumps(outputs)) <= MOST else []


if __name__ == "__main__":
    for path in sorted((ROOT / "nbs").glob("[0-9][0-9]_*.ipynb")):
        executed = ROOT / "data/runs/demo" / path.stem / "notebook.ipynb"
        if not executed.exists():
            raise SystemExit(f"{path.stem} has not been run: make report first.")
        notebook = nbformat.read(path, as_version=4)
        found = {
            cell.source: cell.outputs
            for cell in nbformat.read(executed, as_version=4).cells
            if cell.cell_type == "code"
        }
        for cell in notebook.cells:
            if cell.cell_type == "code" and cell.source.startswith("#| run"):
                cell.outputs = kept(found.get(cell.source, []))
        nbformat.write(notebook, path)
        print(
            f"{path.name}: {sum(bool(c.get('outputs')) for c in notebook.cells)} cells with outputs, {path.stat().st_size / 1e3:.0f} kB"
        )
