"The repository agrees with itself: notebooks, module, README, settings, lock and environment."

import filecmp
import os
import re
import shutil
import subprocess
import sys
from configparser import ConfigParser
from pathlib import Path

import nbformat
import numpy as np
import pytest
import soundfile as sf
import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

from song_metric.ali import ALIEmbedding

ROOT = Path(__file__).resolve().parent.parent
NOTEBOOKS = sorted(
    p for p in (ROOT / "nbs").rglob("*.ipynb") if ".ipynb_checkpoints" not in p.parts
)


@pytest.fixture(scope="module")
def settings():
    config = ConfigParser()
    config.read(ROOT / "settings.ini", encoding="utf-8")
    return config["DEFAULT"]


@pytest.fixture(scope="module")
def prepared(tmp_path_factory):
    "A copy of the repository in which `make prepare` has run."
    copy = tmp_path_factory.mktemp("prepared") / "song_metric"
    shutil.copytree(
        ROOT,
        copy,
        ignore=shutil.ignore_patterns(
            ".git", ".venv", "runs", "cache", "__pycache__", "*.egg-info", ".ipynb_checkpoints"
        ),
    )
    subprocess.run(
        [sys.executable, "tools/prepare.py"],
        cwd=copy,
        check=True,
        capture_output=True,
        timeout=300,
        env={**os.environ, "PYTHONPATH": str(copy)},
    )
    return copy


def test_notebooks_are_clean(prepared):
    dirty = [
        p.relative_to(ROOT).as_posix()
        for p in NOTEBOOKS
        if not filecmp.cmp(p, prepared / p.relative_to(ROOT), shallow=False)
    ]
    assert not dirty, "run `make prepare` and commit"


def test_module_is_exported(prepared):
    ours = {
        p.relative_to(ROOT / "song_metric"): p.read_text()
        for p in (ROOT / "song_metric").rglob("*.py")
    }
    fresh = {
        p.relative_to(prepared / "song_metric"): p.read_text()
        for p in (prepared / "song_metric").rglob("*.py")
    }
    assert ours == fresh, "run `make prepare` and commit"


def test_readme_follows_index(prepared):
    assert (ROOT / "README.md").read_text() == (prepared / "README.md").read_text(), (
        "run `make prepare` and commit"
    )


def test_readme_links_lead_somewhere():
    links = re.findall(r"\]\((?!https?:|#)([^)#\s]+)", (ROOT / "README.md").read_text())
    assert links and not [
        link for link in links if not (ROOT / link).exists() and not link.startswith("data/runs")
    ]


def test_chapters_declare_parameters():
    chapters = [p for p in NOTEBOOKS if re.match(r"\d\d_", p.name)]
    assert [p.name[:2] for p in chapters] == [f"{i:02d}" for i in range(len(chapters))]
    for path in chapters:
        tagged = [
            c
            for c in nbformat.read(path, as_version=4).cells
            if "parameters" in c.metadata.get("tags", [])
        ]
        assert len(tagged) == 1, f"{path.name} has {len(tagged)} parameters cells"
        assert all("#" in line for line in tagged[0].source.splitlines()), (
            f"{path.name}: a parameter without its comment"
        )


def test_exported_cells_are_short():
    long = [
        (path.name, len(cell.source.splitlines()))
        for path in NOTEBOOKS
        for cell in nbformat.read(path, as_version=4).cells
        if cell.cell_type == "code"
        and cell.source.startswith("#| export")
        and len(cell.source.splitlines()) > 60
    ]
    assert not long, long


def fenced(language):
    "The README's code blocks in a language."
    return re.findall(
        rf"```{language}\n(.*?)```", (ROOT / "README.md").read_text(encoding="utf-8"), re.S
    )


def test_readme_commands_exist():
    commands = [
        line.split("#")[0].split()
        for block in fenced("bash")
        for line in block.splitlines()
        if line.strip()
    ]
    makefile = (ROOT / "Makefile").read_text()
    assert ["make", "report"] in commands and ["make", "test"] in commands
    shown = {}
    for words in commands:
        if words[0] == "make":
            assert re.search(rf"^{words[1]}:", makefile, re.M), words
        elif words[0].endswith("song-metric"):
            if words[1] not in shown:
                shown[words[1]] = subprocess.run(
                    [Path(sys.executable).with_name("song-metric"), words[1], "--help"],
                    capture_output=True,
                    text=True,
                    check=True,
                    cwd=ROOT,
                    env={**os.environ, "COLUMNS": "200", "TERM": "dumb"},
                ).stdout
            assert all(option in shown[words[1]] for option in words if option.startswith("--")), (
                words
            )


def test_readme_example_runs(tmp_path):
    "The README's Python example, as it stands, on six files and freshly made weights."
    (example,) = fenced("python")
    assert len([line for line in example.splitlines() if line]) == 11
    rng = np.random.default_rng(0)
    (tmp_path / "my-music/somebody").mkdir(parents=True)
    (tmp_path / "data/runs/demo/03_ali").mkdir(parents=True)
    for i in range(6):
        sf.write(
            tmp_path / f"my-music/somebody/song {i}.mp3",
            0.3 * np.sin(np.arange(22050 * 7) * (0.02 + 0.01 * i))
            + 0.01 * rng.normal(size=22050 * 7),
            22050,
        )
    ALIEmbedding(epochs=0, width=4).fit(rng.random((4, 64, 8))).save(
        tmp_path / "data/runs/demo/03_ali/ali_agreement.safetensors"
    )
    done = subprocess.run(
        [sys.executable, "-c", example], cwd=tmp_path, capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stderr
    assert re.match(
        r"Nearest to song 0\.mp3 are \['song \d\.mp3'(, 'song \d\.mp3'){4}\]", done.stdout
    )


def locked():
    "Name → requirement lines of the lock."
    out = {}
    for line in (ROOT / "requirements.lock").read_text().splitlines():
        if line and not line.startswith("#"):
            requirement = Requirement(line)
            out.setdefault(canonicalize_name(requirement.name), []).append(requirement)
    return out


def test_lock_satisfies_settings(settings):
    lock = locked()
    for wanted in " ".join(
        settings[k] for k in ("requirements", "report_requirements", "dev_requirements")
    ).split():
        wanted = Requirement(wanted)
        pins = lock.get(canonicalize_name(wanted.name))
        assert pins, (
            f"{wanted.name} is in settings.ini and not in requirements.lock: run `make lock`"
        )
        for pin in pins:
            (version,) = (s.version for s in pin.specifier)
            assert wanted.specifier.contains(Version(version)), (
                f"requirements.lock has {pin}, settings.ini asks for {wanted}"
            )


def test_environment_is_the_lock(settings):
    environment = yaml.safe_load((ROOT / "environment.yml").read_text())
    conda = [d for d in environment["dependencies"] if isinstance(d, str)]
    (pip,) = (d["pip"] for d in environment["dependencies"] if isinstance(d, dict))
    assert environment["name"] == settings["lib_name"] and pip == ["-r requirements.lock", "-e ."]
    (python,) = (d.split("=")[1] for d in conda if d.startswith("python"))
    assert Version(python) >= Version(settings["min_python"])


def test_modules_need_no_notebook_tools():
    "One process in which those tools cannot be imported takes all modules."
    modules = [
        "ali",
        "audio",
        "baselines",
        "data",
        "evaluation",
        "spectrograms",
        "visualization",
        "space",
        "playlists",
        "geometry",
        "map",
        "cli",
        "runs",
        "workers",
        "reproduction",
    ]
    blocked = [
        "nbdev",
        "fastcore",
        "execnb",
        "papermill",
        "jupyterlab",
        "nbconvert",
        "IPython",
        "midirenderer",
        "pretty_midi",
    ]
    code = f"import sys\nfrom importlib import import_module\nfor name in {blocked}: sys.modules[name] = None\nfor name in {modules}: import_module(f'song_metric.{{name}}')"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, timeout=120, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr


def test_the_workflow_names_what_is_here(settings):
    "It runs elsewhere only: here, that it can be read, and that the commands, files and Pythons that it names are ours."
    workflow = yaml.safe_load((ROOT / ".github/workflows/test.yml").read_text(encoding="utf-8"))
    assert set(workflow[True]) == {"push", "pull_request"} and set(workflow["jobs"]) == {
        "linux",
        "old-processor",
        "windows-and-macos",
    }
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    told = [
        step["run"] for job in workflow["jobs"].values() for step in job["steps"] if "run" in step
    ]
    assert (
        "bash .ci/run" in told
        and "make old-processor" in told
        and any("pytest" in line for line in told)
    )
    for line in told:
        for target in re.findall(r"\bmake ([a-z-]+)", line):
            assert re.search(rf"^{target}:", makefile, re.M), target
        for file in re.findall(r"(?:bash|-r|tools/\S+) (\S+)", line):
            assert (ROOT / file).exists(), file
    pythons = [
        job["strategy"]["matrix"]["python"]
        for job in workflow["jobs"].values()
        if "strategy" in job
    ]
    assert pythons and all(found[0] == settings["min_python"] for found in pythons)
    (options,) = re.findall(r"pytest( -n 2 .*)", makefile)
    assert options.replace("-n 2", "-n auto") in told[-1]


def test_contributing_names_commands_that_exist():
    text, makefile = (
        (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8"),
        (ROOT / "Makefile").read_text(encoding="utf-8"),
    )
    targets = set(re.findall(r"(?:^|`)make ([a-z-]+)", text, re.M))
    assert {"test", "prepare", "old-processor"} <= targets
    for target in targets:
        assert re.search(rf"^{target}:", makefile, re.M), target
    for link in re.findall(r"\]\((?!https?:|#)([^)#\s]+)", text):
        assert (ROOT / link).exists(), link


def test_the_lock_is_for_pythons_that_are_supported(settings):
    "No line of it is for an older Python than the oldest, and for each Python a package has one version."
    oldest = Version(settings["min_python"])
    header = (ROOT / "requirements.lock").read_text(encoding="utf-8").splitlines()[0]
    assert f"Python {oldest} and newer" in header
    pythons = [f"3.{minor}.{patch}" for minor in range(11, 15) for patch in (0, 9)]
    for name, pins in locked().items():
        here = [
            [
                pin
                for pin in pins
                if not pin.marker
                or pin.marker.evaluate(
                    {"python_full_version": full, "python_version": full.rpartition(".")[0]}
                )
            ]
            for full in pythons
        ]
        assert all(len(found) <= 1 for found in here), name
    texts = [
        line
        for line in (ROOT / "requirements.lock").read_text(encoding="utf-8").splitlines()
        if re.search(rf"< '{oldest}(\.0)?'|[<>=] '3\.10", line)
    ]
    assert not texts


def tracked():
    if not (ROOT / ".git").exists():
        pytest.skip("not a clone")
    names = subprocess.run(
        ["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout.split("\0")
    return [ROOT / n for n in names if n and (ROOT / n).exists()]


def test_no_audio_no_pickle_no_machine_paths():
    for path in tracked():
        assert path.suffix not in {
            ".wav",
            ".flac",
            ".mp3",
            ".ogg",
            ".opus",
            ".pkl",
            ".pt",
            ".pth",
        }, path
        if path.suffix in {
            ".py",
            ".ipynb",
            ".md",
            ".ini",
            ".yml",
            ".yaml",
            ".csv",
            ".json",
            ".toml",
            ".tex",
        } and path != Path(__file__):
            assert not re.search(
                r"(?<![\w.])/(home|root|Users|work)/", path.read_text(encoding="utf-8")
            ), f"{path} names a machine's folder"
