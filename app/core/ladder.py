"""Ladder: what is tried when the model's session is gone, in which order and how often. No clock; seconds on the machine's.

    rung      is taken                                                                       how often
    again     the session died, stalled or failed: the same server, another session          RECONNECTS in WINDOW seconds
    next      the server will not have us, or a try on it came to nothing: the next server    each of them once a call
    (none)    neither is left: the call leaves by the door, to the keypad menu and a person

A try comes to nothing if its session is not ready in time, or fails before it has done anything. The first try on a server may
be followed by another only within `mend_seconds` of the fault: a caller does not wait for a third silence.
"""

from dataclasses import dataclass, field
from typing import Literal

from app.core.phases import Terms

Rung = Literal["again", "next", "rollover"]
Cause = Literal["lost", "stalled", "failed", "refused", "expired", "rollover"]
"""What took the model away: its end closed or broke; it owed an event; its responses fail; it will not have us; its time was up."""

WINDOW = 300.0
RECONNECTS = 3
APART = (0.0, 0.4, 1.2)
"""Seconds from one try on a server to the next one, in a row: a server that is just being restarted refuses at once, and three
tries within a moment would be none."""


@dataclass(slots=True)
class Ladder:
    """One stream's. `lost_at`: since when no session has done anything for the caller; None while one does."""

    terms: Terms
    lost_at: float | None = None
    fruitless: int = 0
    """Tries on this server that came to nothing, in a row."""
    switched: int = 0
    """How many servers were given up on."""
    tries: list[float] = field(default_factory=list)
    """When this server was tried again."""
    _since: float = 0.0
    """When the first of the fruitless tries was made."""

    def climb(self, now: float, *, refused: bool) -> Rung | None:
        """The session is gone, or the last try failed: what to do next; None: nothing is left. refused: not by this server."""
        if self.lost_at is None:
            self.lost_at, self.fruitless = now, 0
        if not self.fruitless:
            self._since = now
        self.tries = [at for at in self.tries if at > now - WINDOW]
        soon = self.fruitless == 0 or now - self._since < self.terms.mend_seconds
        here = not refused and soon and len(self.tries) < RECONNECTS
        rung: Rung = "again"
        if self.switched + 1 < self.terms.servers and (self.fruitless or not here):
            rung = "next"
            self.switched += 1
            self.tries, self.fruitless, self._since = [], 0, now
        elif not here:
            return None
        self.fruitless += 1
        self.tries.append(now)
        return rung

    def waits(self, now: float) -> float:
        """Seconds until the try that `climb` has just granted is to be made."""
        apart = APART[min(self.fruitless, len(APART)) - 1]
        if self.fruitless < 2 or len(self.tries) < 2:
            return 0.0
        self.tries[-1] = max(now, self.tries[-2] + apart)
        return self.tries[-1] - now

    def holds(self) -> None:
        """The session does what it is there for."""
        self.lost_at, self.fruitless = None, 0
