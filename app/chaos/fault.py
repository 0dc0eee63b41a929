"""A fault of the matrix as data: what is done, what may be heard, what the books must hold."""

from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Literal

import msgspec

from app.chaos.talks import ASKS, Talk
from app.sim.carrier_quirks import Quirks
from app.sim.model_faults import Faults

Group = Literal["model", "carrier", "database", "process", "disk", "clock"]
Heard = Literal["talk", "resumed", "menu", "person", "voicemail", "refused"]
"""talk: the caller keeps the line and hears every sentence to its end. resumed: the line is given back on another stream, with an
apology, and the talk goes on. menu, person, voicemail: an apology, and that rung. refused: nobody is let in."""

LIMIT_MS = 2000
"""Silence that a caller takes for a dead line: something is heard within it, whatever happened."""
THINKS_MS = 2500
"""Where the model only stays silent, nobody can tell a fault from thought at first: 0.5 s until the caller has surely finished,
2 s in which it may think, and then the clip."""
TOLERANCE_MS = 500
"""Of the measuring: the stand-ins, the caller and the server share a machine that does other things as well."""

OUTCOMES: Mapping[Heard, tuple[str, ...]] = {
    "talk": ("completed",),
    "resumed": ("completed",),
    "menu": ("by_keys", "failed"),
    "person": ("failed",),
    "voicemail": ("missed", "voicemail"),
    "refused": (),
}

Act = Callable[[Any], Awaitable[None]]
"""What is done while the call goes on. It gets the `Scene`."""


class Fault(msgspec.Struct, frozen=True, kw_only=True):
    """One row of the matrix. `does` is a sentence, for people; the rest is carried out and judged."""

    name: str
    group: Group
    does: str
    heard: Heard = "talk"
    limit_ms: int = LIMIT_MS
    why_longer: str = ""
    """Of a limit that is not the usual one."""
    model: Faults = Faults()
    """Of this call's sessions, or with `everywhere` of the whole model server."""
    everywhere: bool = False
    gone: bool = False
    """Nobody listens where the model should be."""
    second: bool = False
    """There is a second engine, which works."""
    dialect: Literal["ga", "flat", "hybrid"] = "ga"
    environment: Mapping[str, str] = {}
    quirks: Quirks = Quirks()
    thinks_seconds: float = 0.3
    """How long the caller waits before the first line."""
    own_postgres: bool = False
    servers: int = 1
    mode: str = "receptionist"
    talk: Talk = ASKS
    before: Act | None = None
    """Done before the telephone rings."""
    act: Act | None = None
    """Done while the call goes on, or once it is over."""
    outcome: tuple[str, ...] = ()
    """Instead of the usual ones of `heard`."""
    unheard: bool = False
    """Nobody writes down what the caller says."""
    dead_life: bool = False
    """A life of a server ends by force: rows of its last moments, and its end of the stream, cannot be there."""
    codes: frozenset[int] = frozenset()
    """What the carrier may complain of."""
    quick: bool = False
    """Part of the short matrix that runs in CI."""

    @property
    def outcomes(self) -> tuple[str, ...]:
        """What may stand in the row of the call."""
        return self.outcome or OUTCOMES[self.heard]


def of(group: Group, name: str, does: str, **more: Any) -> Fault:
    """A fault of a group, with whose name its own begins. more: fields of `Fault`."""
    return Fault(name=f"{group}-{name}", group=group, does=does, **more)
