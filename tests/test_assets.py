"Templates, styles and scripts are files of the package, and can be read."

import re
import runpy
from importlib import resources
from pathlib import Path

import pytest

from song_metric.map import SCRIPTS, page_script
from song_metric.render import environment, render

ROOT = Path(__file__).resolve().parent.parent
ASSETS = ROOT / "song_metric" / "assets"
FILES = sorted(ASSETS.iterdir())
SCRIPT_FILES = [path for path in FILES if path.suffix == ".js"]
STYLE_FILES = [path for path in FILES if path.suffix == ".css"]
TEMPLATE_FILES = [path for path in FILES if path.suffix == ".j2"]
LOOPS = re.compile(r"\bfor \([^;]*;[^;]*;[^;]*\)")
STRINGS = re.compile(r"\"[^\"]*\"|`[^`]*`")
COMMENTS = re.compile(r"//.*|/\*.*?\*/")
TOP_LEVEL = re.compile(r"^(?:async )?(?:function|const|let) (\w+)", re.M)


def named(path):
    return path.name


def test_they_are_installed_with_the_package(monkeypatch):
    given = {}
    monkeypatch.setattr("setuptools.setup", lambda **options: given.update(options))
    runpy.run_path(str(ROOT / "setup.py"))
    patterns = given["package_data"]["song_metric"]
    packaged = {path for pattern in patterns for path in ASSETS.parent.glob(pattern)}
    assert set(FILES) <= packaged
    folder = resources.files("song_metric") / "assets"
    assert {file.name for file in folder.iterdir()} == {path.name for path in FILES}


def test_each_is_used():
    texts = [*ASSETS.parent.glob("*.py"), *TEMPLATE_FILES]
    uses = "\n".join(path.read_text(encoding="utf-8") for path in texts)
    assert [path.stem for path in SCRIPT_FILES] == sorted(f"map_{theme}" for theme in SCRIPTS)
    for path in STYLE_FILES + TEMPLATE_FILES:
        assert f'"{path.name}"' in uses, path.name


@pytest.mark.parametrize("path", FILES, ids=named)
def test_lines_are_short(path):
    text = path.read_text(encoding="utf-8")
    assert text.endswith("\n")
    assert not re.search(r"[ \t]+$|\t", text, re.M)
    assert max(map(len, text.splitlines())) <= 100


@pytest.mark.parametrize("path", SCRIPT_FILES + STYLE_FILES, ids=named)
def test_one_statement_a_line(path):
    for line in path.read_text(encoding="utf-8").splitlines():
        bare = COMMENTS.sub("", STRINGS.sub('""', line))
        bare = LOOPS.sub("for ()", bare).strip()
        assert ";" not in bare[:-1], line
        assert not re.match(r"var ", bare), line


def test_the_scripts_share_one_scope_and_no_name():
    names = TOP_LEVEL.findall(page_script())
    assert len(names) > 100
    assert [name for name in set(names) if names.count(name) > 1] == []


def test_a_template_escapes_and_refuses_what_it_does_not_know():
    evil = "<script>alert(1)</script>"
    page = render("chapter.html.j2", title=evil, chapters=[], cells=evil, code_style="")
    assert "<script" not in page
    with pytest.raises(Exception, match="'nothing' is undefined"):
        environment().from_string("{{ nothing }}").render()
