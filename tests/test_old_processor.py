"The check for old processors can fail: shown on a package that dies and one that works."

import os
import shutil
import signal
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tools"))
import old_processor
from old_processor import PROCESSORS, Outcome, Use, broken, check, ending, run_use, table

DIES = Use("bliss-fake", "import os, signal; os.kill(os.getpid(), signal.SIGILL)")
WORKS = Use("numpy", "print('fine')")
FAILS = Use("scipy", "raise ImportError('no such symbol')")
posix = pytest.mark.skipif(os.name == "nt", reason="signals")


@posix
def test_a_package_that_dies_is_found(monkeypatch):
    said = []
    found = check(
        [DIES, WORKS, FAILS], {"here": (), "through env": ("env",)}, jobs=3, told=said.append
    )
    assert broken(found) == ["bliss-fake", "scipy"]
    assert len(said) == 6
    lines = table(found).splitlines()
    assert lines[0].split() == ["package", "version", "here", "through", "env"]
    assert "died (SIGILL)" in lines[1]
    assert lines[2].split()[2:] == ["ok", "ok"]
    assert "failed: ImportError: no such symbol" in lines[3]
    monkeypatch.setattr(old_processor, "OPTIONAL", {"bliss-fake", "scipy"})
    assert broken(found) == []
    assert "bliss-fake (optional)" in table(found)


@posix
@pytest.mark.parametrize("uses, status", [([DIES, WORKS], 1), ([WORKS], 0)])
def test_the_exit_status(monkeypatch, capsys, uses, status):
    monkeypatch.setattr(old_processor, "all_uses", lambda: uses)
    monkeypatch.setattr(old_processor, "PROCESSORS", {"here": ()})
    monkeypatch.setattr(old_processor, "QEMU", sys.executable)
    monkeypatch.setattr(old_processor.sys, "platform", "linux")
    monkeypatch.setattr(old_processor.platform, "machine", lambda: "x86_64")
    assert old_processor.main([]) == status
    assert ("bliss-fake" in capsys.readouterr().out.splitlines()[-1]) == bool(status)


def test_without_qemu_it_says_how_to_get_it(monkeypatch, capsys):
    monkeypatch.setattr(old_processor, "QEMU", "no-such-qemu")
    monkeypatch.setattr(old_processor.sys, "platform", "linux")
    monkeypatch.setattr(old_processor.platform, "machine", lambda: "x86_64")
    assert old_processor.main([]) == 2
    assert "apt-get install qemu-user" in capsys.readouterr().out


@posix
def test_endings():
    assert ending(0, "a warning") == "ok"
    assert ending(-signal.SIGILL, "") == ending(128 + signal.SIGILL, "") == "died (SIGILL)"
    assert ending(-signal.SIGSEGV, "") == "died (SIGSEGV)"
    assert ending(1, "") == "failed: status 1"
    assert run_use(Use("x", "import time; time.sleep(9)"), timeout=0.1) == Outcome(
        "not done after 0 s", 0.1
    )


def test_every_native_package_is_used_or_loaded():
    packages = {use.package for use in old_processor.all_uses()}
    assert {"numpy", "torch", "scipy", "faiss-cpu", "soundfile"} <= packages
    missed = set(old_processor.native_packages()) - packages - old_processor.NEVER_LOADED
    assert missed <= {"song-metric"}


@pytest.mark.skipif(not shutil.which(old_processor.QEMU), reason="no qemu-user")
@pytest.mark.parametrize("processor", ["v2 (Nehalem)", "v3 (Haswell)"])
def test_quick_packages_on_old_processors(processor):
    uses = [use for use in old_processor.all_uses() if use.package in ("markupsafe", "rpds-py")]
    found = check(uses, {processor: PROCESSORS[processor]}, jobs=2)
    assert len(found) == 2
    assert broken(found) == []
