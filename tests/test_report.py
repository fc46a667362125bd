"The runner on chapters of a few lines: it skips, resumes, refuses, fails and escapes; then one smoke run of the real chapters."
import csv
import io
import json
import os
import re
import shutil
import signal
import subprocess
import symtable
import sys
import time

import pytest
from conftest import song_metric
from rich.console import Console

from song_metric.report import UsageError, chapters, make_plan, notebooks_folder, report, share_figures
from song_metric.runs import RunError, read_artifact, read_manifest


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
    "A demonstration that used a parameter's name for something of its own would change the run below it."
    for notebook in chapters(notebooks_folder()):
        for cell in notebook.code:
            table = symtable.symtable(re.sub(r"^[%!].*$", "pass", cell, flags=re.M), notebook.name, "exec")
            taken = {symbol.get_name() for symbol in table.get_symbols() if symbol.is_assigned() or symbol.is_imported()} & set(notebook.parameters)
            assert not taken, (notebook.name, taken, cell)


def test_every_profile_can_be_planned():
    for path in (notebooks_folder() / "profiles").glob("*.yaml"): make_plan(path.stem)


def test_runs_then_skips_then_runs_what_changed(toys):
    first = make(toys)
    assert "unchanged" not in first and "report.html" in first and "50/50 steps" in first
    folder = toys.root / "demo"
    assert (folder / "01_second" / "count.txt").read_text() == "2"
    started = read_manifest(folder / "01_second")["started"]

    second = make(toys)
    assert second.count("unchanged") == 2 and "Nothing had changed" in second
    assert read_manifest(folder / "01_second")["started"] == started

    third = make(toys, overrides={"rate": "1", "workers": "7"})
    assert third.count("unchanged") == 1 and "(changed: rate)" in third
    assert read_manifest(folder / "01_second")["parameters"] == {"rate": 1.0, "seed": 0}

    fourth = make(toys, overrides={"rate": "1", "songs": "5"})
    assert "(changed: songs)" in fourth and "(00_data/catalog.csv has changed)" in fourth
    assert (folder / "01_second" / "count.txt").read_text() == "5"

    toys.write(last="chapter.finish(more=1)")
    fifth = make(toys, overrides={"rate": "1", "songs": "5"})
    assert fifth.count("unchanged") == 1 and "(its code has changed)" in fifth

    (folder / "01_second" / "count.txt").write_text("6")
    assert "(count.txt is missing or altered)" in make(toys, overrides={"rate": "1", "songs": "5"})
    assert (folder / "01_second" / "count.txt").read_text() == "5"


def test_manifest_and_executed_notebook(toys):
    make(toys, profile="smoke")
    manifest = read_manifest(toys.root / "smoke" / "01_second")
    assert manifest["inputs"].keys() == {"00_data/catalog.csv"} and manifest["outputs"].keys() == {"count.txt"}
    assert manifest["seconds"] >= 0 and manifest["peak_memory_mb"] > 10 and manifest["versions"]["numpy"]
    for file in (toys.root / "smoke").rglob("*.json"): assert str(toys.root) not in file.read_text() and str(toys.nbs) not in file.read_text()
    executed = json.loads((toys.root / "smoke" / "01_second" / "notebook.ipynb").read_text())
    streams = ["".join(output["text"]) for cell in executed["cells"] for output in cell.get("outputs", []) if output["output_type"] == "stream"]
    assert "50/50 steps\n" in streams and not any("\r" in text or "49/50" in text for text in streams)


def test_the_demos_figures_are_shared(toys, monkeypatch):
    monkeypatch.setattr("song_metric.report.home", lambda: toys.nbs.parent)
    figures = toys.nbs.parent / "figures"
    for chapter, name, text in (("04_evaluation", "scores.csv", "ami,seconds\n.5,1\n"), ("04_evaluation", "other.csv", "x"), ("04_evaluation", "summary.tex", "x"), ("05_visualization", "tsne.png", "x")):
        (toys.root / "demo" / chapter).mkdir(parents=True, exist_ok=True)
        (toys.root / "demo" / chapter / name).write_text(text)
    for options in (dict(profile="smoke"), dict(overrides={"seed": "1"}), dict(overrides={"songs": "3"})):
        assert share_figures(make_plan(nbs=toys.nbs, root=toys.root, **options)) == []
    plan = make_plan(nbs=toys.nbs, root=toys.root, overrides={"workers": "2"})
    assert share_figures(plan) == ["scores.csv", "summary.tex", "tsne.png"] == sorted(path.name for path in figures.iterdir())
    (figures / "scores.csv").write_text("ami,seconds\n.5,2\n")
    (figures / "tsne.png").write_text("y")
    assert share_figures(plan) == ["tsne.png"]
    shutil.copyfile(toys.nbs / "profiles" / "smoke.yaml", toys.nbs / "profiles" / "large.yaml")
    shutil.copytree(toys.root / "demo", toys.root / "large")
    assert share_figures(make_plan(profile="large", nbs=toys.nbs, root=toys.root)) == ["scores.csv", "summary.tex", "tsne.png"] and (figures / "large" / "tsne.png").read_text() == "x"


def test_names_of_songs_stay_text(toys):
    make(toys)
    for page in (toys.root / "demo").rglob("*.html"):
        text = page.read_text(encoding="utf-8")
        assert "<script" not in text and "default-src 'none'" in text, page
        assert not re.search(r"""(?:src|href)=["']?(?:https?:)?//""", text), page
    assert "&lt;script&gt;alert(1)" in (toys.root / "demo" / "report.html").read_text(encoding="utf-8")


@pytest.mark.parametrize("options, words", [
    (dict(overrides={"sogns": "3"}), "Did you mean songs?"),
    (dict(overrides={"songs": "3.5"}), "takes a whole number"),
    (dict(overrides={"rate": "fast"}), "takes a number"),
    (dict(overrides={"run": "elsewhere"}), "--run"),
    (dict(profile="smok"), "There are: demo, smoke"),
    (dict(run="../x"), "cannot name a run"),
    (dict(run=".."), "cannot name a run"),
])
def test_refusals_come_before_anything_runs(toys, options, words):
    with pytest.raises(UsageError, match=re.escape(words)): make(toys, **options)
    assert not toys.root.exists()


def test_an_unknown_parameter_in_a_profile_is_refused(toys):
    (toys.nbs / "profiles" / "smoke.yaml").write_text("songs: 3\nepochs: 1\n")
    with pytest.raises(UsageError, match="epochs"): make(toys, profile="smoke")


def test_a_failing_chapter_is_no_success(toys):
    make(toys)
    toys.write(last="1 / len('')  # [bold]\nchapter.finish()")
    result = song_metric("report", "--notebooks", toys.nbs, "--runs-dir", toys.root)
    assert result.returncode == 1 and "Chapter 01_second failed in cell" in result.stderr and "ZeroDivisionError" in result.stderr
    assert "[bold]" in result.stderr and "notebook.ipynb" in result.stderr and "Traceback (most" not in result.stderr
    folder = toys.root / "demo"
    assert not (folder / "report.html").exists() and read_manifest(folder / "01_second") is None
    assert json.loads((folder / "run.json").read_text())["state"] == "failed"
    with pytest.raises(RunError, match="run the notebook 01_second.ipynb first"): read_artifact(folder, "01_second", "count.txt")

    toys.write()
    assert make(toys).count("unchanged") == 1  # the first chapter need not run again
    assert (folder / "report.html").exists()


def test_an_error_for_the_user_is_one_sentence(toys):
    toys.write(last="from song_metric.runs import RunError\nraise RunError('There is no [red]music[/red] here.')")
    with pytest.raises(RunError, match=r"^Chapter 01_second stopped: There is no \[red\]music\[/red\] here\.\nThe executed notebook is "): make(toys)


def test_a_chapter_that_does_not_finish_is_a_failure(toys):
    toys.write(last="pass")
    with pytest.raises(RunError, match="without its manifest"): make(toys)


def test_a_dying_kernel_is_a_failure(toys):
    toys.write(last="import os\nos._exit(1)")
    with pytest.raises(RunError, match="its kernel stopped"): make(toys)


def wait_for(path, seconds=60):
    "Wait until a file is there."
    end = time.monotonic() + seconds
    while not path.exists():
        assert time.monotonic() < end, f"{path} did not appear"
        time.sleep(.05)


def start(toys) -> subprocess.Popen:
    "A report in a process of its own, whose second chapter sleeps after it has made the file `reached`."
    toys.write(work="import os, time\nif not chapter.path('checkpoints/reached').exists():\n    chapter.path('checkpoints/reached').write_text(str(os.getpid()))\n    time.sleep(300)")
    process = subprocess.Popen([sys.executable, "-c", "from song_metric.cli import main; main()", "report", "--notebooks", str(toys.nbs), "--runs-dir", str(toys.root)],
                               stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True,
                               preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL)) # a background shell hands on that interrupts are ignored
    wait_for(toys.root / "demo" / "01_second" / "checkpoints" / "reached")
    return process


def gone(pid, seconds=20) -> bool:
    "Whether a process ends within some seconds."
    import psutil
    for _ in range(seconds * 10):
        if not psutil.pid_exists(pid) or psutil.Process(pid).status() == psutil.STATUS_ZOMBIE: return True
        time.sleep(.1)
    return False


@pytest.mark.skipif(os.name == "nt", reason="signals")
@pytest.mark.parametrize("signum", [signal.SIGKILL, signal.SIGINT, signal.SIGTERM])
def test_a_stopped_report_goes_on_where_it_was(toys, signum):
    process = start(toys)
    reached = toys.root / "demo" / "01_second" / "checkpoints" / "reached"
    time.sleep(.2)
    kernel = int(reached.read_text())
    if signum == signal.SIGKILL:
        with pytest.raises(RunError, match="Another report"): make(toys)
    process.send_signal(signum)
    output, errors = process.communicate(timeout=60)
    assert process.returncode == {signal.SIGKILL: -9, signal.SIGINT: 130, signal.SIGTERM: 143}[signum], errors
    if signum == signal.SIGINT: assert "The same command goes on from here." in errors and "Traceback" not in errors
    assert gone(kernel), "the kernel outlived its report"
    assert not (toys.root / "demo" / "report.html").exists()

    again = make(toys)
    assert again.count("unchanged") == 1 and "(unfinished last time)" in again
    assert (toys.root / "demo" / "01_second" / "count.txt").read_text() == "2"
    assert list(read_manifest(toys.root / "demo" / "01_second")["outputs"]) == ["count.txt"]


def test_the_kernel_is_this_python(toys, tmp_path, monkeypatch):
    "Also when the user has registered another kernel under the name python3."
    other = tmp_path / "jupyter" / "kernels" / "python3"
    other.mkdir(parents=True)
    (other / "kernel.json").write_text(json.dumps(dict(argv=["/bin/false", "{connection_file}"], display_name="x", language="python")))
    monkeypatch.setenv("JUPYTER_PATH", str(tmp_path / "jupyter"))
    monkeypatch.setenv("JUPYTER_DATA_DIR", str(tmp_path / "jupyter"))
    toys.write(last="import sys\nchapter.finish(python=sys.executable)")
    make(toys)
    assert read_manifest(toys.root / "demo" / "01_second")["facts"]["python"] == sys.executable


# The real chapters

def test_smoke_run_ends_with_a_report(smoke):
    assert smoke.result.returncode == 0, smoke.result.stderr[-3000:]
    assert (smoke.folder / "report.html").exists() and str(smoke.folder / "report.html") in smoke.result.stdout
    for notebook in chapters(notebooks_folder()):
        assert read_manifest(smoke.folder / notebook.name)["parameters"], notebook.name
        assert (smoke.folder / notebook.name / "notebook.html").exists(), notebook.name


def test_smoke_scores_are_tidy(smoke):
    with open(smoke.folder / "04_evaluation" / "scores.csv", newline="") as file: rows = list(csv.DictReader(file))
    assert list(rows[0]) == "embedding,level,pooling,split,clusterer,v_measure,v_measure_std,ami,ami_std,precision_at_10,dimension,n,seeds,seconds".split(",")
    assert {row["level"] for row in rows} == {"song", "example"}


def test_smoke_pages_ask_nothing_of_the_network(smoke):
    pages, mapped = [path for path in smoke.folder.rglob("*.html") if path.name != "map.html"], smoke.folder / "06_playlists" / "map.html"
    assert len(pages) == len(chapters(notebooks_folder())) + 1
    assert "default-src 'none'" in mapped.read_text(encoding="utf-8"), "the map has scripts of its own, and may ask for nothing: tests/test_map.py drives it"
    for page in pages:
        text = page.read_text(encoding="utf-8")
        assert "<script" not in text and not re.search(r"""src=["']?(?:https?:)?//|<link\b""", text), page
        for link in re.findall(r'href="([^"#]+)"', text):
            assert link.startswith(("http", "mailto:")) or (page.parent / link).exists(), (page, link)


def test_smoke_manifests_name_no_folder_of_this_machine(smoke):
    for path in smoke.folder.rglob("manifest.json"): assert str(smoke.root) not in path.read_text() and str(notebooks_folder()) not in path.read_text(), path


def test_smoke_again_changes_nothing(smoke):
    start = time.monotonic()
    result = song_metric("report", "--profile", "smoke", "--runs-dir", smoke.root)
    assert result.returncode == 0 and "Nothing had changed" in result.stdout and time.monotonic() - start < 15
