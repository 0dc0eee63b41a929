"""The data folder: secrets that stay the same, files that are whole or not there, for their owner alone."""

import errno
import os
from pathlib import Path
from threading import Barrier, Thread

import pytest

from app.adapters.data_folder import kept_secret, write_private
from app.errors import SetupError


def test_a_secret_is_made_once_whoever_comes_first_and_is_its_owners_alone(tmp_path: Path) -> None:
    start, found = Barrier(8), list[str]()

    def ask() -> None:
        start.wait()
        found.append(kept_secret(tmp_path, "token"))

    threads = [Thread(target=ask) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 8
    assert len(set(found)) == 1
    assert len(found[0]) == 32
    assert kept_secret(tmp_path, "token") == found[0]
    assert [path.name for path in tmp_path.iterdir()] == ["token"]
    assert (tmp_path / "token").stat().st_mode & 0o077 == 0


def test_nothing_is_no_secret(tmp_path: Path) -> None:
    (tmp_path / "token").write_text("\n")
    with pytest.raises(SetupError, match="Delete it"):
        kept_secret(tmp_path, "token")


def test_a_disk_without_hard_links_is_told_and_nothing_is_left_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def link(*paths: Path) -> None:
        raise PermissionError(errno.EPERM, os.strerror(errno.EPERM))

    monkeypatch.setattr(os, "link", link)
    with pytest.raises(SetupError, match="OFFHOOK_DATA"):
        kept_secret(tmp_path, "token")
    assert list(tmp_path.iterdir()) == []


def test_a_file_that_cannot_be_written_leaves_the_one_before_and_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_private(tmp_path / "note", "before")

    def full(handle: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space"):
        write_private(tmp_path / "note", "after")
    assert {path.name: path.read_text() for path in tmp_path.iterdir()} == {"note": "before"}
