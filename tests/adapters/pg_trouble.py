"""Troubles of a real Postgres, for the tests of the books; all but a kill are over when the block is."""

import contextlib
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

from app.adapters.pg_postmaster import read_postmaster
from app.chaos.postgres import children, still


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
    with still([parent, *children(parent)]):
        yield
