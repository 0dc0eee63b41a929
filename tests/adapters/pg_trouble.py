"""Troubles of a real Postgres, for the tests of the books; all but a kill are over when the block is."""

import contextlib
import os
import signal
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

from app.adapters.pg_postmaster import read_postmaster


def postmaster(url: str) -> int:
    """The process number of the embedded server behind an address."""
    (sockets,) = parse_qs(urlsplit(url).query)["host"]
    running = read_postmaster(Path(sockets))
    assert running is not None
    return running.pid


@contextlib.contextmanager
def hung(url: str) -> Iterator[None]:
    """The server accepts connections and never answers: it and all its processes stand still."""
    parent = postmaster(url)
    pids = [parent, *_children(parent)]
    for pid in pids:
        os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        for pid in reversed(pids):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGCONT)


def _children(parent: int) -> list[int]:
    return [
        int(stat.parent.name)
        for stat in Path("/proc").glob("[0-9]*/stat")
        if (fields := _fields(stat)) and int(fields[1]) == parent
    ]


def _fields(stat: Path) -> list[str]:
    """What stands behind the name: state, parent, ..."""
    try:
        return stat.read_text().rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return []
