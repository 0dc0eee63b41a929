"""./offhook on machines of every kind: first use, moved and interrupted set-ups, two at once, and what it says when it cannot.

Installing is a stand-in for `uv` on PATH, so that no test needs a network; the real one is what runs this suite.
"""

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
TOOLS = [
    "awk",
    "cat",
    "cut",
    "dirname",
    "grep",
    "head",
    "ls",
    "mkdir",
    "mv",
    "ps",
    "readlink",
    "rm",
    "sed",
    "sha256sum",
    "shasum",
    "sort",
    "tail",
    "tr",
]
PYTHON = Path(os.path.realpath(sys.executable))

CLI = """
import os, sys
print("called", *sys.argv[1:])
print("in", os.getcwd())
print("path", os.environ["PYTHONPATH"])
if "wait" in sys.argv:
    sys.stdout.flush()
    sys.stdin.read()
"""

# Writes down how it was called; installs, of all the locks, one module.
UV = """#!/bin/sh
echo "$@" >>"$UV_CALLS"
while [ $# -gt 0 ]; do [ "$1" = --python ] && where=$2; shift; done
for site in "${where%/bin/python}"/lib/python*/site-packages; do
    echo 'import sys; print("pytest", *sys.argv[1:])' >"$site/pytest.py"
done
"""


class Machine:
    """A checkout, and a PATH with nothing on it but what a test puts there."""

    def __init__(self, folder: Path) -> None:
        self.checkout = folder / "my checkout"
        (self.checkout / "app").mkdir(parents=True)
        for name in ("offhook", "requirements.lock", "requirements-dev.lock", "requirements-uv.lock"):
            shutil.copy(ROOT / name, self.checkout / name)
        (self.checkout / "app" / "__init__.py").touch()
        (self.checkout / "app" / "cli.py").write_text(CLI)
        self.bin = folder / "bin"
        self.bin.mkdir()
        self.calls = folder / "calls"
        self.calls.touch()
        for tool in TOOLS:
            if found := shutil.which(tool):
                (self.bin / tool).symlink_to(found)
        self.has("uv", UV)
        self.has("python3", f'#!/bin/sh\nexec {PYTHON} "$@"\n')

    def has(self, name: str, script: str) -> Path:
        program = self.bin / name
        program.write_text(script)
        program.chmod(0o755)
        return program

    @property
    def environment(self) -> dict[str, str]:
        return {"PATH": str(self.bin), "UV_CALLS": str(self.calls), "HOME": str(self.bin.parent)}

    def starts(
        self, *words: str, program: Path | str | None = None, cwd: Path | None = None
    ) -> "subprocess.Popen[str]":
        command = [str(program or self.checkout / "offhook"), *words]
        pipe = subprocess.PIPE
        return subprocess.Popen(
            command, cwd=cwd or self.checkout, env=self.environment, stdin=pipe, stdout=pipe, stderr=pipe, text=True
        )

    def runs(self, *words: str, program: Path | str | None = None, cwd: Path | None = None) -> str:
        """What it printed; fails the test if it failed."""
        process = self.starts(*words, program=program, cwd=cwd)
        said, complained = process.communicate(timeout=60)
        assert process.returncode == 0, complained
        return said

    def refuses(self, *words: str) -> str:
        """Its complaint: one line."""
        process = self.starts(*words)
        said, complained = process.communicate(timeout=60)
        assert process.returncode != 0
        assert said == ""
        assert "Traceback" not in complained
        line: str = complained.splitlines()[-1]
        assert line.startswith("offhook: ")
        return line

    def installs(self) -> list[str]:
        return [re.findall(r"[\w-]+\.lock", line)[-1] for line in self.calls.read_text().splitlines()]


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return Machine(tmp_path)


@pytest.fixture
def running(machine: Machine) -> Iterator["subprocess.Popen[str]"]:
    """A server of this checkout."""
    process = machine.starts("serve", "wait")
    assert process.stdout
    assert process.stdout.readline() == "called serve wait\n"
    yield process
    process.communicate(timeout=60)


def test_the_first_use_sets_up_and_later_ones_need_neither_installer_nor_python(machine: Machine) -> None:
    assert "called serve --port 9\n" in machine.runs("serve", "--port", "9")
    assert machine.installs() == ["requirements.lock"]
    assert "--require-hashes" in machine.calls.read_text()

    for name in ("uv", "python3"):
        (machine.bin / name).unlink()
    assert "called call\n" in machine.runs("call")


def test_arguments_with_spaces_and_the_callers_folder_arrive_as_they_are(machine: Machine, tmp_path: Path) -> None:
    said = machine.runs("call", "a b.toml", cwd=tmp_path)
    assert "called call a b.toml\n" in said
    assert f"in {tmp_path}\n" in said
    assert f"path {machine.checkout}\n" in said


def test_another_project_in_the_callers_folder_is_not_taken_for_ours(machine: Machine, tmp_path: Path) -> None:
    (tmp_path / "app").mkdir()
    (tmp_path / "app" / "__init__.py").write_text("raise SystemExit('wrong app')")
    assert "called modes\n" in machine.runs("modes", cwd=tmp_path)


def test_it_finds_its_folder_through_links_and_through_path(machine: Machine, tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(machine.checkout / "offhook")
    (machine.bin / "offhook").symlink_to("../link")
    assert f"path {machine.checkout}\n" in machine.runs("modes", program=tmp_path / "link", cwd=tmp_path)
    said = machine.runs("-c", "offhook modes", program="/bin/sh", cwd=tmp_path)
    assert f"path {machine.checkout}\n" in said
    said = machine.runs("offhook", "modes", program="/bin/sh")
    assert f"path {machine.checkout}\n" in said


def test_the_test_tools_come_on_top_and_the_server_needs_nothing_new(machine: Machine) -> None:
    machine.runs("serve")
    assert machine.runs("test", "tests/core") == "pytest -n 4 --dist worksteal tests/core\n"
    assert machine.runs("test", "-n0") == "pytest -n0\n"
    assert machine.runs("test", "--pdb") == "pytest --pdb\n"
    machine.runs("serve")
    assert machine.installs() == ["requirements.lock", "requirements-dev.lock"]


@pytest.mark.usefixtures("running")
def test_the_test_tools_are_added_while_a_server_runs(machine: Machine) -> None:
    assert machine.runs("test") == "pytest -n 4 --dist worksteal\n"


def test_a_changed_lock_is_not_installed_under_a_running_server(
    machine: Machine, running: "subprocess.Popen[str]"
) -> None:
    lock = machine.checkout / "requirements.lock"
    lock.write_text(lock.read_text() + "# changed\n")

    complaint = machine.refuses("call")

    assert f"process {running.pid} still runs" in complaint
    running.communicate(timeout=60)
    assert "called call\n" in machine.runs("call")
    assert machine.installs() == ["requirements.lock"] * 2


def test_a_moved_checkout_is_set_up_again(machine: Machine) -> None:
    machine.runs("serve")
    machine.checkout = machine.checkout.rename(machine.checkout.parent / "elsewhere")
    assert f"path {machine.checkout}\n" in machine.runs("serve")
    assert machine.installs() == ["requirements.lock"] * 2


def test_a_set_up_that_was_killed_half_way_is_done_again(machine: Machine) -> None:
    machine.has("uv", "#!/bin/sh\nkill -9 $PPID\n")
    process = machine.starts("serve")
    process.communicate(timeout=60)
    assert process.returncode == -9

    machine.has("uv", UV)
    assert "called serve\n" in machine.runs("serve")


def test_of_two_first_starts_at_once_one_sets_up_and_both_run(machine: Machine, tmp_path: Path) -> None:
    begun, go = tmp_path / "begun", tmp_path / "go"
    os.mkfifo(begun)
    os.mkfifo(go)
    machine.has("uv", f"{UV}\necho begun >{begun}\ncat {go}\n")
    first = machine.starts("serve")
    assert begun.read_text() == "begun\n"  # it installs now

    second = machine.starts("call")
    assert second.stderr
    assert "waiting for another ./offhook" in second.stderr.readline()
    go.write_text("go")

    assert "called serve\n" in first.communicate(timeout=60)[0]
    assert "called call\n" in second.communicate(timeout=60)[0]
    assert machine.installs() == ["requirements.lock"]


def test_a_python_that_is_too_old_or_only_a_shim_is_told_with_the_remedy(machine: Machine) -> None:
    machine.has("python3.13", "#!/bin/sh\necho 'shim: command not found' >&2\nexit 127\n")
    machine.has("python3", "#!/bin/sh\ncase $2 in *realpath*) exit 1 ;; *) echo 'Python 3.9' ;; esac\n")
    (machine.bin / "uv").unlink()
    complaint = machine.refuses("serve")
    assert "needs Python 3.11 or newer, found Python 3.9" in complaint
    assert "apt install python3" in complaint

    (machine.bin / "python3").unlink()
    assert "found no Python at all" in machine.refuses("serve")


def test_a_shim_that_fails_is_passed_over_for_a_python_that_works(machine: Machine) -> None:
    machine.has("python3.14", "#!/bin/sh\nexit 127\n")
    assert "called serve\n" in machine.runs("serve")


def test_a_missing_ensurepip_is_told_unless_uv_is_there(machine: Machine) -> None:
    machine.has(
        "python3",
        "#!/bin/sh\ncase $2 in *realpath*) echo \"$0\" ;; 'import ensurepip') exit 1 ;; "
        f'*) exec {PYTHON} "$@" ;; esac\n',
    )
    (machine.bin / "uv").unlink()
    assert "apt install python3-venv" in machine.refuses("serve")

    machine.has("uv", UV)
    assert "called serve\n" in machine.runs("serve")


def test_a_failed_download_is_told_with_its_words_and_the_log(machine: Machine) -> None:
    machine.has("uv", "#!/bin/sh\necho 'error: Failed to fetch: dns error' >&2\nexit 2\n")
    complaint = machine.refuses("serve")
    assert "could not install requirements.lock: error: Failed to fetch: dns error." in complaint
    assert str(machine.checkout / ".venv" / "setup.log") in complaint
    assert "Failed to fetch" in (machine.checkout / ".venv" / "setup.log").read_text()


def test_a_folder_that_cannot_be_written_is_told(machine: Machine) -> None:
    (machine.checkout / ".venv").write_text("")
    assert "cannot write in" in machine.refuses("serve")


def test_a_folder_named_venv_that_is_none_is_left_alone(machine: Machine) -> None:
    mine = machine.checkout / ".venv" / "thesis.txt"
    mine.parent.mkdir()
    mine.write_text("mine")
    assert "is not a virtual environment" in machine.refuses("serve")
    assert mine.read_text() == "mine"


def test_a_folder_with_a_colon_is_refused(machine: Machine) -> None:
    machine.checkout = machine.checkout.rename(machine.checkout.parent / "a:b")
    assert "colon" in machine.refuses("serve")


def test_a_missing_lock_is_told_with_how_to_get_it_back(machine: Machine) -> None:
    (machine.checkout / "requirements.lock").unlink()
    assert "git checkout -- requirements.lock" in machine.refuses("serve")


@pytest.mark.parametrize("word", ["test", "lint", "fuzz"])
def test_help_has_an_example(machine: Machine, word: str) -> None:
    assert f"example: ./offhook {word}" in machine.runs(word, "--help")


def pins(name: str) -> set[str]:
    return {line.split(" \\")[0] for line in (ROOT / name).read_text().splitlines() if re.match(r"[a-z0-9]", line)}


def test_the_test_lock_holds_all_of_the_run_lock_so_that_it_can_go_on_top() -> None:
    assert pins("requirements.lock") <= pins("requirements-dev.lock")


@pytest.mark.parametrize("name", ["requirements.lock", "requirements-dev.lock", "requirements-uv.lock"])
def test_a_lock_has_a_hash_for_every_pin_and_names_no_address(name: str) -> None:
    text = (ROOT / name).read_text()
    assert re.search(r"https?://|file:", text) is None
    for block in re.split(r"\n(?=[a-z0-9])", text.strip()):
        assert "==" in block.split("\n")[0]
        assert "--hash=sha256:" in block
