"Renew requirements.lock from settings.ini: one file for Python 3.11 and newer on every platform (needs `pip install uv`)."

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

if __name__ == "__main__":
    settings = ConfigParser()
    settings.read(ROOT / "settings.ini", encoding="utf-8")
    cfg = settings["DEFAULT"]
    ranges = " ".join(
        cfg[f"{kind}requirements"] for kind in ("", "report_", "dev_", "docs_")
    ).split()
    wanted = [PINNED.get(r.split(">")[0], r) for r in ranges]
    command = [
        "uv",
        "pip",
        "compile",
        "--universal",
        "--python-version",
        cfg["min_python"],
        "--no-header",
        "--no-annotate",
        "--quiet",
        "-",
    ]
    found = subprocess.run(
        command, input="\n".join(wanted), text=True, check=True, capture_output=True
    ).stdout
    kept = [line for line in found.splitlines() if not line.startswith(LEFT_OUT)]
    (ROOT / "requirements.lock").write_text(HEADER + "\n".join(kept) + "\n", encoding="utf-8")
