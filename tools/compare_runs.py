"""Did a change move a number? Compare the tables and arrays of two runs of one recipe.

    python tools/compare_runs.py data/runs/before data/runs/after

Files are told apart by the checksums in the chapters' manifests. A table that differs is read: rows
are matched by their texts; times, and where files lie, are left out. The exit status is 1 where a
number differs, or a row or a file of the first run is missing from the second.
"""

import sys
from pathlib import Path

import numpy as np
import pandas as pd

from song_metric.runs import read_manifest

PASSING = ("seconds", "took", "path")  # parts of the names of columns that no result depends on
COMPARED = (".csv", ".npy")


def read_outputs(run: Path) -> dict[str, str]:
    "Checksums of a run's tables and arrays by their path below the run."
    found = {}
    for manifest in sorted(run.glob("*/manifest.json")):
        chapter = manifest.parent
        for name, checksum in read_manifest(chapter)["outputs"].items():
            if name.endswith(COMPARED):
                found[f"{chapter.name}/{name}"] = checksum
    return found


def read_keyed(path: Path) -> pd.DataFrame:
    """A table whose rows are named by their texts, and numbered where texts repeat.

    Columns of what passes are left out.
    """
    table = pd.read_csv(path)
    table = table[[name for name in table if not any(part in name for part in PASSING)]]
    texts = [name for name in table if table[name].dtype.kind not in "fiu"]
    key = table[texts].astype(str).agg(" · ".join, axis=1) if texts else table.index.astype(str)
    key = pd.Series(key, index=table.index)
    number = key.groupby(key).cumcount().astype(str)
    return table.drop(columns=texts).set_index(key + " #" + number)


def compare_tables(before: Path, after: Path) -> list[str]:
    "What differs between two tables, a line each; nothing where all of the first is in the second."
    old, new = read_keyed(before), read_keyed(after)
    lost_columns = [name for name in old if name not in new]
    lost_rows = [row for row in old.index if row not in new.index]
    said = [f"without the column {name}" for name in lost_columns]
    said += [f"without the row {row}" for row in lost_rows[:5]]
    rows = old.index.intersection(new.index)
    columns = [name for name in old if name in new]
    a = old.loc[rows, columns].to_numpy(float)
    b = new.loc[rows, columns].to_numpy(float)
    other = ~((a == b) | (np.isnan(a) & np.isnan(b)))
    if other.any():
        largest = np.nanmax(np.abs(a - b))
        said.append(f"{other.sum()} of {other.size} numbers differ, by at most {largest:g}")
    return said


def compare_arrays(before: Path, after: Path) -> list[str]:
    "What differs between two arrays on disk."
    a, b = np.load(before, mmap_mode="r"), np.load(after, mmap_mode="r")
    if a.shape != b.shape:
        return [f"of shape {b.shape}, and not {a.shape}"]
    gap = np.abs(np.asarray(a, np.float64) - b).max()
    return [f"differs by at most {gap:g}"] if gap else []


def compare_runs(before: Path, after: Path) -> int:
    "Print what differs; the number of files that do."
    old, new = read_outputs(before), read_outputs(after)
    if not old:
        sys.exit(f"{before} holds no finished chapter.")
    differing = 0
    for name, checksum in old.items():
        if name not in new:
            said = ["is missing"]
        elif new[name] == checksum:
            said = []
        else:
            compare = compare_tables if name.endswith(".csv") else compare_arrays
            said = compare(before / name, after / name)
        differing += bool(said)
        for line in said:
            print(f"{name}: {line}")
    print(f"{len(old) - differing} of {len(old)} tables and arrays are equal.")
    return differing


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    sys.exit(bool(compare_runs(Path(sys.argv[1]), Path(sys.argv[2]))))
