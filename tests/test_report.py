"The runner on chapters of a few lines: it skips, resumes, refuses, fails; then one smoke run."

import csv
import io
import json
import os
import re
import signal
import subprocess
import symtable
import sys
import time

import pandas as pd
import pytest
from conftest import song_metric
from rich.console import Console

from song_metric.chapters import chapters, notebooks_folder, read_notebook
from song_metric.evaluation import SCORE_COLUMNS
from song_metric.files import RunError, UsageError
from song_metric.plans import make_plan
from song_metric.publishing import publish
from song_metric.register import registered
from song_metric.report import report
from song_metric.runs import read_artifact, read_manifest


def make(toys, **options) -> str:
    "Make the toys' report and return what was printed."
    text = io.StringIO()
    report(nbs=toys.nbs, root=toys.root, console=Console(file=text, width=200), **options)
    return text.getvalue()


def test_parameters_are_those_that_papermill_sees():
    from papermill import inspect_notebook

    for notebook in chapters(notebooks_folder()):
        assert set(notebook.parameters) == set(inspect_notebook(str(notebook.path))), notebook.name
        assert {"run", "seed"} <= set(notebook.parameters), notebook.name


def test_no_cell_takes_a_parameters_name():
    "A demonstration that gave a parameter's name to something else would change the run below."
    for notebook in chapters(notebooks_folder()):
        for cell in notebook.code:
            plain = re.sub(r"^[%!].*$", "pass", cell, flags=re.M)
            symbols = symtable.symtable(plain, notebook.name, "exec").get_symbols()
            bound = [one for one in symbols if one.is_assigned() or one.is_imported()]
            taken = {one.get_name() for one in bound} & set(notebook.parameters)
            assert not taken, (notebook.name, taken, cell)


def test_a_file_that_is_no_notebook_is_refused_with_the_reason(tmp_path):
    (tmp_path / "00_data.ipynb").write_text("no JSON")
    with pytest.raises(RunError, match=r"cannot be read as a notebook: Expecting value"):
        read_notebook(tmp_path / "00_data.ipynb")


def test_every_profile_can_be_planned():
    for path in (notebooks_folder() / "profiles").glob("*.yaml"):
        make_plan(path.stem)


def test_runs_then_skips_then_runs_what_changed(toys):
    first = make(toys)
    assert "unchanged" not in first
    assert "report.html" in first
    assert "50/50 steps" in first
    folder = toys.root / "demo"
    assert (folder / "01_second" / "count.txt").read_text() == "2"
    started = read_manifest(folder / "01_second")["started"]

    second = make(toys)
    assert second.count("unchanged") == 2
    assert "Nothing had changed" in second
    assert read_manifest(folder / "01_second")["started"] == started

    third = make(toys, overrides={"rate": "1", "workers": "7"})
    assert third.count("unchanged") == 1
    assert "(changed: rate)" in third
    assert read_manifest(folder / "01_second")["parameters"] == {"rate": 1.0, "seed": 0}

    fourth = make(toys, overrides={"rate": "1", "songs": "5"})
    assert "(changed: songs)" in fourth
    assert "(00_data/catalog.csv has changed)" in fourth
    assert (folder / "01_second" / "count.txt").read_text() == "5"

    toys.write(last="chapter.finish(more=1)")
    fifth = make(toys, overrides={"rate": "1", "songs": "5"})
    assert fifth.count("unchanged") == 1
    assert "(its code has changed)" in fifth

    (folder / "01_second" / "count.txt").write_text("6")
    assert "(count.txt is missing or altered)" in make(toys, overrides={"rate": "1", "songs": "5"})
    assert (folder / "01_second" / "count.txt").read_text() == "5"


def test_manifest_and_executed_notebook(toys):
    make(toys, profile="smoke")
    manifest = read_manifest(toys.root / "smoke" / "01_second")
    assert manifest["inputs"].keys() == {"00_data/catalog.csv"}
    assert manifest["outputs"].keys() == {"count.txt"}
    assert manifest["seconds"] >= 0
    assert manifest["peak_memory_mb"] > 10
    assert manifest["versions"]["numpy"]
    for file in (toys.root / "smoke").rglob("*.json"):
        assert str(toys.root) not in file.read_text()
        assert str(toys.nbs) not in file.read_text()
    executed = json.loads((toys.root / "smoke" / "01_second" / "notebook.ipynb").read_text())
    streams = [
        "".join(output["text"])
        for cell in executed["cells"]
        for output in cell.get("outputs", [])
        if output["output_type"] == "stream"
    ]
    assert "50/50 steps\n" in streams
    assert not any("\r" in text or "49/50" in text for text in streams)


SCORES = pd.DataFrame(
    [
        dict(
            embedding=name,
            level="song",
            split="held_out",
            pooling="mean",
            clusterer=clusterer,
            v_measure=v,
            ami=v,
            v_measure_std=0.01,
            ami_std=0.01,
            v_measure_training_std=0.02,
            ami_training_std=0.02,
        )
        for name, v in (("PCA", 0.4), ("ALI", 0.3))
        for clusterer in ("k-means", "gmm-diag")
    ]
)


@pytest.fixture
def published(toys, monkeypatch):
    "The toys' clone with published scores; makes a demo run with scores where 04 leaves them."
    monkeypatch.setattr("song_metric.publishing.home", lambda: toys.nbs.parent)
    (toys.nbs.parent / "figures").mkdir()
    SCORES.to_csv(toys.nbs.parent / "figures" / "scores.csv", index=False)

    def scored(scores):
        "Make the report, and then put its scores where the evaluation's stand."
        folder = toys.root / "demo" / "04_evaluation"
        folder.mkdir(parents=True, exist_ok=True)
        scores.to_csv(folder / "scores.csv", index=False)
        return make(toys)

    return scored


def test_a_report_is_compared_with_the_published_one_and_changes_nothing(toys, published):
    before = (toys.nbs.parent / "figures" / "scores.csv").read_bytes()
    assert "Reproduction: 8 of 8 cells lie within 2 published spreads" in published(SCORES)
    other = SCORES.assign(ami=SCORES["ami"] + (SCORES["embedding"] == "ALI") * 0.1)
    said = published(other)
    assert "Reproduction: 6 of 8 cells" in said
    assert "ALI under k-means AMI, is 4.5 spreads above" in said
    page = (toys.root / "demo" / "report.html").read_text(encoding="utf-8")
    assert page.index("<h2>Reproduction</h2>") < page.index("<h2>Chapters</h2>")
    assert "+4.5" in page
    assert (toys.nbs.parent / "figures" / "scores.csv").read_bytes() == before


def test_only_a_repetition_is_compared(toys, published):
    published(SCORES)
    assert "Reproduction" in make(toys, overrides={"seed": "1"}), (
        "another seed repeats the experiment"
    )
    assert "Reproduction" not in make(toys, overrides={"songs": "3"})
    assert not (toys.root / "demo" / "reproduction.csv").exists()
    assert "Reproduction" not in make(toys, profile="smoke")


def test_publishing_is_a_command_of_its_own(toys, published):
    figures = toys.nbs.parent / "figures"
    published(SCORES.assign(ami=0.5))
    for options in (
        dict(profile="smoke"),
        dict(overrides={"seed": "1"}),
        dict(overrides={"songs": "3"}),
    ):
        with pytest.raises(RunError, match="none that is published"):
            publish(nbs=toys.nbs, root=toys.root, **options)
    assert publish(nbs=toys.nbs, root=toys.root) == ["scores.csv"]
    assert publish(nbs=toys.nbs, root=toys.root) == []
    assert "8 of 8" in make(toys)
    assert pd.read_csv(figures / "scores.csv")["ami"].eq(0.5).all()
    toys.write(last="raise SystemExit")
    with pytest.raises(RunError):
        make(toys)
    with pytest.raises(RunError, match="not finished"):
        publish(nbs=toys.nbs, root=toys.root)


def test_names_of_songs_stay_text(toys):
    make(toys)
    for page in (toys.root / "demo").rglob("*.html"):
        text = page.read_text(encoding="utf-8")
        assert "<script" not in text and "default-src 'none'" in text, page
        assert not re.search(r"""(?:src|href)=["']?(?:https?:)?//""", text), page
    assert "&lt;script&gt;alert(1)" in (toys.root / "demo" / "report.html").read_text(
        encoding="utf-8"
    )


@pytest.mark.parametrize(
    "options, words",
    [
        (dict(overrides={"sogns": "3"}), "Did you mean songs?"),
        (dict(overrides={"songs": "3.5"}), "takes a whole number"),
        (dict(overrides={"rate": "fast"}), "takes a number"),
        (dict(overrides={"run": "elsewhere"}), "--run"),
        (dict(profile="smok"), "There are: demo, smoke"),
        (dict(run="../x"), "cannot name a run"),
        (dict(run=".."), "cannot name a run"),
    ],
)
def test_refusals_come_before_anything_runs(toys, options, words):
    with pytest.raises(UsageError, match=re.escape(words)):
        make(toys, **options)
    assert not toys.root.exists()


def test_an_unknown_parameter_in_a_profile_is_refused(toys):
    (toys.nbs / "profiles" / "smoke.yaml").write_text("songs: 3\nepochs: 1\n")
    with pytest.raises(UsageError, match="epochs"):
        make(toys, profile="smoke")


def test_a_failing_chapter_is_no_success(toys):
    make(toys)
    toys.write(last="1 / len('')  # [bold]\nchapter.finish()")
    result = song_metric("report", "--notebooks", toys.nbs, "--runs-dir", toys.root)
    assert result.returncode == 1
    assert "Chapter 01_second failed in cell" in result.stderr
    assert "ZeroDivisionError" in result.stderr
    assert "[bold]" in result.stderr
    assert "notebook.ipynb" in result.stderr
    assert "Traceback (most" not in result.stderr
    folder = toys.root / "demo"
    assert not (folder / "report.html").exists()
    assert read_manifest(folder / "01_second") is None
    assert json.loads((folder / "run.json").read_text())["state"] == "failed"
    with pytest.raises(RunError, match="run the notebook 01_second.ipynb first"):
        read_artifact(folder, "01_second", "count.txt")

    toys.write()
    assert make(toys).count("unchanged") == 1  # the first chapter need not run again
    assert (folder / "report.html").exists()


def test_an_error_for_the_user_is_one_sentence(toys):
    sentence = "There is no [red]music[/red] here."
    toys.write(last=f"from song_metric.files import RunError\nraise RunError({sentence!r})")
    told = f"Chapter 01_second stopped: {sentence}\nThe executed notebook is "
    with pytest.raises(RunError, match="^" + re.escape(told)):
        make(toys)


def test_a_chapter_that_does_not_finish_is_a_failure(toys):
    toys.write(last="pass")
    with pytest.raises(RunError, match="without its manifest"):
        make(toys)


def test_a_dying_kernel_is_a_failure(toys):
    toys.write(last="import os\nos._exit(1)")
    with pytest.raises(RunError, match="its kernel stopped"):
        make(toys)


def wait_for(path, seconds=60):
    "Wait until a file is there."
    end = time.monotonic() + seconds
    while not path.exists():
        assert time.monotonic() < end, f"{path} did not appear"
        time.sleep(0.05)


SLEEP = """
import os, time
reached = chapter.path("checkpoints/reached")
if not reached.exists():
    reached.write_text(str(os.getpid()))
    time.sleep(300)
"""


def heed_interrupts():
    "A background shell hands on that interrupts are ignored."
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def start(toys) -> subprocess.Popen:
    "A report in a process of its own, whose second chapter sleeps once it has made `reached`."
    toys.write(work=SLEEP)
    code = "from song_metric.cli import main; main()"
    places = ["--notebooks", str(toys.nbs), "--runs-dir", str(toys.root)]
    process = subprocess.Popen(
        [sys.executable, "-c", code, "report", *places],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        preexec_fn=heed_interrupts,
    )
    wait_for(toys.root / "demo" / "01_second" / "checkpoints" / "reached")
    return process


def gone(pid, seconds=20) -> bool:
    "Whether a process ends within some seconds."
    import psutil

    for _ in range(seconds * 10):
        if not psutil.pid_exists(pid) or psutil.Process(pid).status() == psutil.STATUS_ZOMBIE:
            return True
        time.sleep(0.1)
    return False


@pytest.mark.skipif(os.name == "nt", reason="signals")
@pytest.mark.parametrize("signum", [signal.SIGKILL, signal.SIGINT, signal.SIGTERM])
def test_a_stopped_report_goes_on_where_it_was(toys, signum):
    process = start(toys)
    reached = toys.root / "demo" / "01_second" / "checkpoints" / "reached"
    time.sleep(0.2)
    kernel = int(reached.read_text())
    if signum == signal.SIGKILL:
        with pytest.raises(RunError, match="Another report"):
            make(toys)
    process.send_signal(signum)
    output, errors = process.communicate(timeout=60)
    status = {signal.SIGKILL: -9, signal.SIGINT: 130, signal.SIGTERM: 143}
    assert process.returncode == status[signum], errors
    if signum == signal.SIGINT:
        assert "The same command goes on from here." in errors
        assert "Traceback" not in errors
    assert gone(kernel), "the kernel outlived its report"
    assert not (toys.root / "demo" / "report.html").exists()

    again = make(toys)
    assert again.count("unchanged") == 1
    assert "(unfinished last time)" in again
    assert (toys.root / "demo" / "01_second" / "count.txt").read_text() == "2"
    assert list(read_manifest(toys.root / "demo" / "01_second")["outputs"]) == ["count.txt"]


def test_the_kernel_is_this_python(toys, tmp_path, monkeypatch):
    "Also when the user has registered another kernel under the name python3."
    other = tmp_path / "jupyter" / "kernels" / "python3"
    other.mkdir(parents=True)
    (other / "kernel.json").write_text(
        json.dumps(
            dict(argv=["/bin/false", "{connection_file}"], display_name="x", language="python")
        )
    )
    monkeypatch.setenv("JUPYTER_PATH", str(tmp_path / "jupyter"))
    monkeypatch.setenv("JUPYTER_DATA_DIR", str(tmp_path / "jupyter"))
    toys.write(last="import sys\nchapter.finish(python=sys.executable)")
    make(toys)
    assert read_manifest(toys.root / "demo" / "01_second")["facts"]["python"] == sys.executable


# The real chapters


def test_smoke_run_ends_with_a_report(smoke):
    assert smoke.result.returncode == 0, smoke.result.stderr[-3000:]
    assert (smoke.folder / "report.html").exists()
    assert str(smoke.folder / "report.html") in smoke.result.stdout
    for notebook in chapters(notebooks_folder()):
        assert read_manifest(smoke.folder / notebook.name)["parameters"], notebook.name
        assert (smoke.folder / notebook.name / "notebook.html").exists(), notebook.name


def test_smoke_scores_are_tidy(smoke):
    with open(smoke.folder / "04_evaluation" / "scores.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert list(rows[0]) == SCORE_COLUMNS
    assert {row["level"] for row in rows} == {"song", "example"}
    seeds = {row["embedding"]: int(row["training_seeds"]) for row in rows if row["level"] == "song"}
    assert seeds["ALI"] == seeds["ALI with agreement"] == 2
    assert seeds["PCA"] == 1


def test_smoke_says_what_its_spreads_are_and_what_is_missing(smoke):
    "The table has both spreads; a row that cannot be made here is told missing, with the reason."
    with open(smoke.folder / "04_evaluation" / "summary.csv", newline="") as file:
        rows = {row["embedding"]: row for row in csv.DictReader(file)}
    assert re.fullmatch(r"-?\.\d{3} ± \.\d{3} \(\.\d{3}\)", rows["ALI"]["k-means V"])
    assert re.fullmatch(r"-?\.\d{3} \(\.\d{3}\)", rows["PCA"]["k-means V"])
    said = (smoke.folder / "04_evaluation" / "caption.md").read_text(encoding="utf-8")
    reasons = {embedding.title: embedding.missing for embedding in registered(smoke.folder)}
    assert "2 training seeds" in said
    assert "float32" in said
    for player in ("bliss", "musly", "musly, PCA"):
        why = reasons[player]
        assert (player in rows) == (not why)
        assert not why or f"No row of {player}: {why}." in said


def test_smoke_pages_ask_nothing_of_the_network(smoke):
    "The map has scripts of its own, and may ask for nothing: tests/test_map.py drives it."
    mapped = smoke.folder / "06_playlists" / "map.html"
    assert "default-src 'none'" in mapped.read_text(encoding="utf-8")
    pages = [path for path in smoke.folder.rglob("*.html") if path != mapped]
    assert len(pages) == len(chapters(notebooks_folder())) + 1
    for page in pages:
        text = page.read_text(encoding="utf-8")
        assert "<script" not in text, page
        assert not re.search(r"""src=["']?(?:https?:)?//|<link\b""", text), page
        for link in re.findall(r'href="([^"#]+)"', text):
            outside = link.startswith(("http", "mailto:"))
            assert outside or (page.parent / link).exists(), (page, link)


def test_smoke_manifests_name_no_folder_of_this_machine(smoke):
    for path in smoke.folder.rglob("manifest.json"):
        text = path.read_text()
        assert str(smoke.root) not in text, path
        assert str(notebooks_folder()) not in text, path


def test_smoke_again_changes_nothing(smoke):
    start = time.monotonic()
    result = song_metric("report", "--profile", "smoke", "--runs-dir", smoke.root)
    assert result.returncode == 0
    assert "Nothing had changed" in result.stdout
    assert time.monotonic() - start < 15
