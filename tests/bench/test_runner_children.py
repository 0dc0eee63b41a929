"""What the bench starts, it sees whole and ends whole; what it builds, it builds once."""

import os
import signal
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from app.errors import SetupError
from bench.building import build
from bench.children import Child
from bench.usage import _ps_line, usage

FAMILY = """
import json, os, subprocess, sys
child = subprocess.Popen([sys.executable, "-c", "import time; print('up', flush=True); time.sleep(600)"], stdout=subprocess.PIPE)
child.stdout.readline()
print(json.dumps({"event": "ready", "child": child.pid}), flush=True)
{more}
"""
WAIT = "import time; time.sleep(600)"
STUBBORN = "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); " + WAIT


@pytest.fixture
def family(tmp_path: Path) -> Iterator[Child]:
    child = Child("family", [sys.executable, "-c", FAMILY.replace("{more}", WAIT)], log=tmp_path / "family.log")
    yield child
    child.end()


def gone(pid: int) -> bool:
    """Whether a process ends that is nobody's child here any more; its reaper may take a moment."""
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        try:
            os.kill(pid, 0)
            state = Path(f"/proc/{pid}/stat")
            if state.exists() and state.read_text().rpartition(")")[2].split()[0] == "Z":
                return True
        except (ProcessLookupError, FileNotFoundError):
            return True
        os.sched_yield()
    return False


def test_a_child_s_own_children_are_counted_and_end_with_it(family: Child) -> None:
    grandchild = family.wait_for("ready", 20)["child"]
    assert isinstance(grandchild, int)
    used = family.usage()
    assert used.processes == 2
    assert used.rss_kb > usage(grandchild).rss_kb > 1000
    assert used.cpu_s > 0
    family.end()
    assert gone(grandchild)
    assert family.usage().processes == 0


def test_a_child_that_ignores_the_signal_is_ended_by_force(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bench.children.END_SECONDS", 0.2)
    code = STUBBORN.replace("; import time", '; print(\'{"event": "ready"}\', flush=True); import time')
    child = Child("stubborn", [sys.executable, "-c", code], log=tmp_path / "log")
    child.wait_for("ready", 20)
    child.end()
    assert child.process.returncode == -signal.SIGKILL


def test_a_program_that_is_not_there_is_told(tmp_path: Path) -> None:
    with pytest.raises(SetupError, match="expected to start nobody by /no/such/program"):
        Child("nobody", ["/no/such/program"], log=tmp_path / "log")


def test_a_child_that_ends_too_early_is_told_with_its_last_words(tmp_path: Path) -> None:
    child = Child("brief", [sys.executable, "-c", "raise SystemExit('no port left')"], log=tmp_path / "log")
    with pytest.raises(SetupError, match=r"expected brief to go on, but it ended with 1; its last words: no port left"):
        child.wait_for("ready", 20)
    child.end()


def test_a_child_that_says_no_json_is_told(tmp_path: Path) -> None:
    child = Child("chatty", [sys.executable, "-c", "print('hello')"], log=tmp_path / "log")
    with pytest.raises(SetupError, match="expected a line of JSON from chatty, got b'hello'"):
        child.wait_for("ready", 20)
    child.end()


def test_a_line_of_ps_is_read_in_all_its_clocks() -> None:
    assert _ps_line("  12   1  2048   0:01.50")[2].cpu_s == 1.5
    assert _ps_line("12 1 2048 1-02:03:04")[2].cpu_s == 86400 + 2 * 3600 + 3 * 60 + 4
    pid, parent, used = _ps_line("12 7 2048 01:02.00")
    assert (pid, parent, used.rss_kb, used.cpu_s) == (12, 7, 2048, 62)


COMPILER = """#!/bin/sh
echo "$@" >>"$CALLS"
while [ $# -gt 0 ]; do [ "$1" = -o ] && out=$2; shift; done
case $REFUSE in yes) echo 'load.cpp:1: error: no such word' >&2; exit 1 ;; esac
echo "#!/bin/sh" >"$out"
chmod +x "$out"
"""


@pytest.fixture
def compiler(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A compiler that writes down its calls; the sources of a program."""
    program = tmp_path / "cxx"
    program.write_text(COMPILER)
    program.chmod(0o755)
    monkeypatch.setenv("CXX", str(program))
    monkeypatch.setenv("CALLS", str(tmp_path / "calls"))
    monkeypatch.setenv("REFUSE", "no")
    sources = tmp_path / "native"
    sources.mkdir()
    (sources / "load.cpp").write_text("int main() {}")
    (sources / "net.hpp").write_text("")
    return sources


def calls(sources: Path) -> int:
    return len((sources.parent / "calls").read_text().splitlines())


def test_a_program_is_built_once_and_anew_when_any_source_changes(compiler: Path, tmp_path: Path) -> None:
    first = build("load", cache=tmp_path / "cache", sources=compiler)
    assert os.access(first, os.X_OK)
    assert build("load", cache=tmp_path / "cache", sources=compiler) == first
    assert calls(compiler) == 1
    (compiler / "net.hpp").write_text("// other")
    assert build("load", cache=tmp_path / "cache", sources=compiler) != first
    assert calls(compiler) == 2


def test_what_the_compiler_refuses_is_told_and_leaves_nothing(
    compiler: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("REFUSE", "yes")
    with pytest.raises(SetupError, match=r"could not build load\.cpp: load\.cpp:1: error: no such word"):
        build("load", cache=tmp_path / "cache", sources=compiler)
    assert [path for path in (tmp_path / "cache").rglob("*") if path.is_file()] == []


def test_a_machine_without_a_compiler_is_told_how_to_get_one(
    compiler: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("CXX")
    monkeypatch.setenv("PATH", str(tmp_path / "empty"))
    with pytest.raises(SetupError, match=r"no C\+\+ compiler \(apt install"):
        build("load", cache=tmp_path / "cache", sources=compiler)
    monkeypatch.setenv("CXX", "/no/such/cxx")
    with pytest.raises(SetupError, match=r"expected a compiler in CXX, got '/no/such/cxx'"):
        build("load", cache=tmp_path / "cache", sources=compiler)
