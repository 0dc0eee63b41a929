"""Tickets for the softphone's socket: made for one call that somebody at the page wants, spent once, and soon worth nothing."""

import secrets
import time
from collections.abc import Callable

import msgspec

TICKET_SECONDS = 20.0
MOST = 20
"""Tickets that may wait at once; past that the oldest is dropped."""


class Wish(msgspec.Struct, frozen=True, kw_only=True):
    """The call to make. mode: empty for the dialled number's. script: its recorded caller talks; empty: whoever is there."""

    caller: str
    dialled: str
    mode: str = ""
    script: str = ""


class Tickets:
    """All that wait."""

    def __init__(self, now: Callable[[], float] = time.monotonic) -> None:
        self._now = now
        self._waiting: dict[str, tuple[float, Wish]] = {}

    def make(self, wish: Wish) -> str:
        """A ticket: 32 characters for a URL."""
        ticket = secrets.token_urlsafe(24)
        self._waiting[ticket] = (self._now() + TICKET_SECONDS, wish)
        while len(self._waiting) > MOST:
            del self._waiting[next(iter(self._waiting))]
        return ticket

    def spend(self, ticket: str) -> Wish | None:
        """What it was made for; None if it is wrong, used or late."""
        until, wish = self._waiting.pop(ticket, (0.0, None))
        return wish if self._now() <= until else None
