"""Tickets: what a stream's URL proves. Made in one process of ours, and read in any: signed with what the carrier signs with.

A ticket names its owner (the process that has the call, and its session prepared), the call, which stream of it this is, and until
when. That nobody uses it twice is not written in it: its owner remembers, and all others ask the books (`adapters/claims.py`).
"""

import hashlib
import hmac
import re
import secrets
import time
from base64 import urlsafe_b64encode
from collections.abc import Callable, Sequence

import msgspec

SKEW_SECONDS = 5
"""Clocks of two machines may differ by so much."""
SIGNS = 32
"""Of the signature: 192 bits."""
_SHAPE = re.compile(r"([A-Za-z0-9_-]{1,64})\.([0-9]{1,4})\.([0-9]{1,12})\.([A-Za-z0-9]{1,64})\.([A-Za-z0-9_-]{32})")


class Ticket(msgspec.Struct, frozen=True):
    """What a ticket says. number: of the stream within the call, from 1. until: seconds since 1970."""

    owner: str
    number: int
    until: int
    call_sid: str


class Tickets:
    """Makes and reads tickets. All processes with the same tokens read each other's."""

    def __init__(
        self, tokens: Sequence[str] = (), instance: str = "", *, wall: Callable[[], float] = time.time
    ) -> None:
        """tokens: the account's, the first one signs (none: one of this process alone). instance: this process's name."""
        tokens = tokens or (secrets.token_hex(32),)
        self.instance = instance or secrets.token_hex(6)
        self._keys = [hmac.digest(token.encode(), b"offhook stream ticket", "sha256") for token in tokens]
        self._wall = wall

    def make(self, mode: str, call_sid: str, number: int, seconds: float) -> str:
        """A ticket for the n-th stream of a call in a mode, good for so many seconds from now. Fits into a path."""
        said = f"{self.instance}.{number}.{int(self._wall() + seconds) + 1}.{call_sid}"
        return f"{said}.{_signature(self._keys[0], mode, said)}"

    def read(self, mode: str, text: str) -> Ticket | None:
        """What a ticket says; None if it is not one of ours for this mode, or late."""
        found = _SHAPE.fullmatch(text)
        if found is None:
            return None
        said, _, signature = text.rpartition(".")
        if not any(hmac.compare_digest(_signature(key, mode, said), signature) for key in self._keys):
            return None
        ticket = Ticket(found[1], int(found[2]), int(found[3]), found[4])
        return ticket if self._wall() <= ticket.until + SKEW_SECONDS else None


def _signature(key: bytes, mode: str, said: str) -> str:
    return urlsafe_b64encode(hmac.digest(key, f"{mode}/{said}".encode(), hashlib.sha256)).decode()[:SIGNS]
