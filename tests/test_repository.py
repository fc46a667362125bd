"The repository agrees with itself: notebooks, module, README, settings, lock and environment."

import ast
import filecmp
import re
import subprocess
import sys
from configparser import ConfigParser
from importlib import import_module
from pathlib import Path

import nbformat
import pytest
import yaml
from conftest import run_in_copy
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

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
    return run_in_copy(tmp_path_factory.mktemp("prepared"), "prepare.py")


def test_notebooks_are_clean(prepared):
    dirty = [
        p.relative_to(ROOT).as_posix()
        for p in NOTEBOOKS
        if not filecmp.cmp(p, prepared / p.relative_to(ROOT), shallow=False)
    ]
    assert not dirty, "run `make prepare` and commit"


def modules_of(folder: Path) -> dict[Path, str]:
    "The package's files; nbdev's index of them is made anew by every export, and is not kept."
    package = folder / "song_metric"
    found = [path for path in package.rglob("*.py") if path.name != "_modidx.py"]
    return {path.relative_to(package): path.read_text(encoding="utf-8") for path in found}


def test_module_is_exported(prepared):
    assert modules_of(ROOT) == modules_of(prepared), "run `make prepare` and commit"


def test_readme_follows_index(prepared):
    assert (ROOT / "README.md").read_text() == (prepared / "README.md").read_text(), (
        "run `make prepare` and commit"
    )


def test_links_of_papers_lead_somewhere():
    for path in [*ROOT.glob("*.md"), *ROOT.glob("data/*/README.md")]:
        text = path.read_text(encoding="utf-8")
        links = re.findall(r"\]\((?!https?:|#)([^)#\s]+)", text)
        links += re.findall(r'src="([^"]+)"', text)
        broken = [link for link in links if not (path.parent / link).exists()]
        assert not broken, path.name


def test_readme_is_short():
    "A visitor reads it in five minutes: what it is, one picture, one table, commands, an example."
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    assert len(text.split()) <= 900
    assert text.count("<img ") + text.count("![") == 1
    assert len(re.findall(r"^\| --- \|", text, re.M)) == 1


def test_readme_has_the_published_numbers():
    "Its table's rows stand so in figures/report/ruler.md, its claims so, but shorter."
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    rows = {line for line in text.splitlines() if line.startswith("|")}
    published = (ROOT / "figures/report/ruler.md").read_text(encoding="utf-8").splitlines()
    assert len(rows) == 7 and rows <= set(published)
    verdict = (ROOT / "figures/report/verdict.md").read_text(encoding="utf-8").strip()
    plain = re.sub(r" \([^()]*\[[^()]*\)", "", verdict)
    titles = re.findall(r"\*\*.+?\*\*", plain)
    claims = [part for part in text.split("\n\n") if part.startswith(tuple(titles))]
    assert len(claims) == len(titles) == 4
    for sentence in re.split(r"(?<=\.) ", " ".join(claims)):
        assert sentence.rstrip(".") in plain, sentence


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
        lines = tagged[0].source.splitlines()
        for statement in ast.parse(tagged[0].source).body:
            told = lines[statement.lineno - 1 : statement.end_lineno]
            assert any("#" in line for line in told), f"{path.name}: {told[0]} has no comment"


def ruff(*arguments) -> subprocess.CompletedProcess:
    return subprocess.run(
        [sys.executable, "-m", "ruff", *arguments], cwd=ROOT, capture_output=True, text=True
    )


def test_style():
    "One configuration, in pyproject.toml, for notebooks, module, tests, tools and benchmarks."
    for arguments in (["check", "--no-cache"], ["format", "--check", "--no-cache"]):
        done = ruff(*arguments)
        assert done.returncode == 0, done.stdout + done.stderr


def test_cells_are_short():
    "Forty lines and 1,500 characters of code at most: what a reader takes in at once."
    long = [
        (path.name, cell.id)
        for path in NOTEBOOKS
        for cell in nbformat.read(path, as_version=4).cells
        if cell.cell_type == "code"
        and (len(cell.source.splitlines()) > 40 or len(cell.source) > 1500)
    ]
    assert not long, long


def test_few_functions_take_many_parameters():
    "At most five take more than seven, and each says in its docstring why."
    found = []
    for path in sorted((ROOT / "song_metric").rglob("*.py")):
        lines = path.read_text(encoding="utf-8").splitlines()
        found += [(path, number) for number, line in enumerate(lines, 1) if "PLR0913" in line]
    assert len(found) <= 5
    for path, number in found:
        tree = ast.parse(path.read_text(encoding="utf-8"))
        functions = [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)]
        (function,) = [node for node in functions if node.lineno == number]
        assert "parameters" in (ast.get_docstring(function) or ""), (path.name, function.name)


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
        settings[f"{kind}requirements"] for kind in ("", "report_", "dev_", "docs_")
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
        ".".join(path.relative_to(ROOT).with_suffix("").parts)
        for path in sorted((ROOT / "song_metric").rglob("[!_]*.py"))
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
    code = f"""
import sys
from importlib import import_module

for name in {blocked}:
    sys.modules[name] = None
for name in {modules}:
    import_module(name)
"""
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, timeout=120, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr


def test_benchmarks_import_what_is_there():
    "They run now and then only: here, that what they take from the module is still there."
    for path in [*ROOT.glob("benchmarks/*.py"), *ROOT.glob("tools/*.py")]:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("song_metric"):
                module = import_module(node.module)
                missing = [name.name for name in node.names if not hasattr(module, name.name)]
                assert not missing, (path.name, node.module, missing)


def test_the_workflow_names_what_is_here(settings):
    """It runs elsewhere only.

    Here: it can be read, and the commands, files and Pythons that it names are ours.
    """
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


def test_contributing_tells_of_every_room():
    "Each notebook, and each folder, has its line in the layout of the house."
    text = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    for path in NOTEBOOKS:
        name = "sources" if path.parent.name == "sources" else path.stem
        assert re.search(rf"\b{re.escape(name)}\b", text), path.name


def test_citation_is_of_this_version(settings):
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    assert citation["version"] == settings["version"]
    assert citation["repository-code"] == "https://github.com/song-metric/song_metric"


def test_the_lock_is_for_pythons_that_are_supported(settings):
    "None of its lines is for older Pythons, and for each Python a package has one version."
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


def test_what_is_cited_is_in_the_references():
    entries = (ROOT / "REFERENCES.md").read_text(encoding="utf-8").split("- **")[1:]
    listed = {
        (entry.split(" ")[0].rstrip(","), entry[: entry.index("**")][-4:]) for entry in entries
    }
    cited = re.compile(r"([^\W\d_][\w-]+)(?:(?:, [\w ]+)* & [\w ]+?| et al\.)? ((?:19|20)\d\d)")
    found = set()
    for path in NOTEBOOKS:
        for cell in nbformat.read(path, as_version=4).cells:
            for bracket in re.findall(r"\[([^\]]*?(?:19|20)\d\d)\](?!\()", cell.source):
                found |= {match.groups() for match in cited.finditer(bracket)}
    found.discard(("RFC", "1924"))  # a standard, not a paper
    assert len(found) > 15 and found <= listed, sorted(found - listed)
