"""This machine as the doctor sees it: Python, the lock, the data folder, the port."""

import hashlib
import importlib.metadata
import os
import shutil
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from app.adapters.data_folder import Running
from app.doctor import machine
from app.doctor.port import port


class Usage(NamedTuple):
    """As shutil.disk_usage answers it."""

    total: int
    used: int
    free: int


def test_a_python_that_is_too_old_is_a_fault_and_one_that_is_not_the_checkout_s_a_warning(tmp_path: Path) -> None:
    (tmp_path / ".venv").mkdir()
    own = str(tmp_path / ".venv")
    assert machine.python((3, 10), own, tmp_path).level == "fault"
    assert machine.python((3, 12), own, tmp_path).level == "fine"
    assert machine.python((3, 12), "/usr", tmp_path).level == "warning"
    assert machine.python((3, 15), own, tmp_path).level == "warning"


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """One with a lock of a single package, which is installed so, and a stamp of just that."""
    lock = tmp_path / "requirements.lock"
    version = importlib.metadata.version("msgspec")
    lock.write_text(
        f"msgspec==0.0.1 ; python_version < '3'\nmsgspec=={version} \\\n    --hash=sha256:00\nnosuch-package==1\n"
    )
    stamp(tmp_path, lock)
    return tmp_path


def stamp(folder: Path, lock: Path, home: Path | None = None) -> None:
    (folder / ".venv").mkdir(exist_ok=True)
    (folder / ".venv/.stamp").write_text(f"{hashlib.sha256(lock.read_bytes()).hexdigest()}\n{home or folder}\n\n")


def test_what_is_installed_is_held_against_the_lock(checkout: Path) -> None:
    lock = checkout / "requirements.lock"
    assert machine.lock(checkout).level == "fine"
    lock.write_text(lock.read_text() + "# changed\n")
    assert (machine.lock(checkout).level, "changed" in machine.lock(checkout).what) == ("warning", True)
    stamp(checkout, lock, Path("/elsewhere"))
    assert "/elsewhere" in machine.lock(checkout).what
    lock.write_text("msgspec==0.0.1\n")
    found = machine.lock(checkout)
    assert (found.level, "instead of 0.0.1" in found.what) == ("fault", True)
    lock.unlink()
    assert machine.lock(checkout).level == "fault"


def test_without_a_stamp_the_packages_count_alone(checkout: Path) -> None:
    (checkout / ".venv/.stamp").unlink()
    assert machine.lock(checkout).level == "fine"


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    made = tmp_path / "data"
    made.mkdir(mode=0o700)
    yield made
    made.chmod(0o700)


def test_a_data_folder_is_ours_alone_writable_and_has_room(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    room = Usage(1 << 40, 0, 5_000 << 20)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: room)
    assert machine.data_in(folder).level == "fine"
    folder.chmod(0o755)
    open_to_all = machine.data_in(folder)
    assert (open_to_all.level, "0755" in open_to_all.what) == ("warning", True)
    assert "chmod 0700" in open_to_all.remedy
    folder.chmod(0o500)
    assert machine.data_in(folder).level == "fault"
    folder.chmod(0o700)
    room = Usage(1 << 40, 0, 900 << 20)
    assert machine.data_in(folder).level == "warning"
    room = Usage(1 << 40, 0, 100 << 20)
    assert machine.data_in(folder).level == "fault"


def test_a_data_folder_that_is_not_there_is_not_made(tmp_path: Path) -> None:
    assert machine.data_in(tmp_path / "none").level == "skipped"
    assert not (tmp_path / "none").exists()
    file = tmp_path / "file"
    file.touch()
    assert machine.data_in(file).level == "fault"


# --- the port -------------------------------------------------------------------------------------------------------


def running(pid: int, number: int) -> Running:
    url = f"http://127.0.0.1:{number}"
    return Running(pid, url, url, "postgresql://nobody@127.0.0.1/none", "")


async def test_a_port_is_free_ours_or_another_s_and_the_other_is_named() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        number = taken.getsockname()[1]
        taken.listen()
        strange = await port("127.0.0.1", number, None)
        ours = await port("127.0.0.1", number, running(os.getpid(), number))
        other = await port("127.0.0.1", number, running(os.getpid(), number + 1 if number < 65_535 else 1))
    free = await port("127.0.0.1", number, None)
    assert strange.level == "fault"
    assert f"process {os.getpid()}" in strange.what
    assert "python" in strange.what
    assert f"kill {os.getpid()}" in strange.remedy
    assert (ours.level, other.level, free.level) == ("fine", "fault", "fine")


async def test_an_address_of_another_machine_cannot_be_listened_on() -> None:
    assert (await port("192.0.2.1", 8000, None)).level == "fault"
