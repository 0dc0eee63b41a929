"""Troubles of a real Postgres, for the tests of the books; all but a kill are over when the block is."""

import contextlib
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

from app.chaos.postgres import children, still


def postmaster(url: str) -> int:
    """The process number of the embedded server behind an address."""
    address = parse_qs(urlsplit(url).query)
    # Not by its data folder: where that has a long path, the socket is elsewhere, and the socket's lock has the number as well.
    lock = Path(address["host"][0]) / f".s.PGSQL.{address['port'][0]}.lock"
    return int(lock.read_text().split()[0])


@contextlib.contextmanager
def hung(url: str) -> Iterator[None]:
    """The server accepts connections and never answers: it and all its processes stand still."""
    parent = postmaster(url)
    with still([parent, *children(parent)]):
        yield
