"""Renew requirements.lock from settings.ini: one file for Python 3.11 and newer, on any platform.

It needs `pip install uv`.
"""

import subprocess
from configparser import ConfigParser
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PINNED = {"torch": "torch==2.13.0"}  # one release for all, whatever is newest
LEFT_OUT = ("nvidia-", "cuda-", "triton")  # torch brings those that its build needs
HEADER = """\
# Every version, for Python 3.11 and newer on any platform. Made by `make lock` from settings.ini.
# torch brings its own CUDA packages where its build asks for them, so they are not pinned here.
"""


def declared_packages(settings: dict) -> list[str]:
    "Every requirement of settings.ini, as it is to be resolved."
    groups = [settings[f"{kind}requirements"] for kind in ("", "report_", "dev_", "docs_")]
    return [PINNED.get(one.split(">")[0], one) for one in " ".join(groups).split()]


def main() -> None:
    "Resolve what settings.ini declares, and write the lock."
    parser = ConfigParser()
    parser.read(ROOT / "settings.ini", encoding="utf-8")
    settings = parser["DEFAULT"]
    resolve = "uv pip compile --universal --no-header --no-annotate --quiet".split()
    found = subprocess.run(
        [*resolve, "--python-version", settings["min_python"], "-"],
        input="\n".join(declared_packages(settings)),
        text=True,
        check=True,
        capture_output=True,
    ).stdout
    kept = [line for line in found.splitlines() if not line.startswith(LEFT_OUT)]
    (ROOT / "requirements.lock").write_text(HEADER + "\n".join(kept) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
