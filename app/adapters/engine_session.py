"""The other half of the seam between a call and its engine: a session, whatever its protocol (app/wire/engine_wire.py)."""

from collections.abc import Callable
from typing import Any, Literal, Protocol

from app.adapters.endpoint import Endpoint, FreshLink
from app.rules.engines import Engine
from app.wire.engine_wire import EngineWire


class ModelListener(Protocol):
    """Who drives a call with a session."""

    def model_ready(self, *, opening: bool) -> None:
        """The session is configured, and its opening was sent. Its `wire` is settled."""
        ...

    def from_model(self, text: bytes) -> None:
        """One message after that."""
        ...

    def model_lost(self, why: str) -> None:
        """The session is over, or never came to be; called once."""
        ...


class EngineSession(Protocol):
    """One session. `start` it early, `attach` a listener when there is one; `close` ends it at any time."""

    endpoint: Endpoint
    engine: Engine
    """What it can do, and what it lacks."""
    model: str
    server: str
    """The name of the server that it is with, as app/adapters/servers.py has it."""
    state: Literal["opening", "ready", "lost"]
    why_lost: str
    refused: bool
    """Lost, because the server will not have us: another session there would fare no better."""

    @property
    def reports(self) -> "Callable[[Any], None] | None":
        """Is told, with the session, once it is ready, and if it is lost before or refused after; not if we close it."""
        ...

    @reports.setter
    def reports(self, reports: "Callable[[Any], None] | None") -> None: ...

    @property
    def lasts_seconds(self) -> float | None:
        """How long until the server ends it because its time is up; None: not known."""
        ...

    @property
    def spent_usd(self) -> float:
        """What it has cost before anybody listened."""
        ...

    @property
    def wire(self) -> EngineWire:
        """How it is spoken to, from `model_ready` on."""
        ...

    def start(self, spare: FreshLink | None = None, *, primes: bool = False) -> bool:
        """Begin on a spare link, or to dial; returns at once, telling whether the spare took what was written."""
        ...

    def attach(self, listener: ModelListener) -> None:
        """From now on this one hears everything; what was kept comes first, in order."""
        ...

    def send(self, text: bytes) -> None:
        """Write one message now. Raises LinkClosed, LinkClogged."""
        ...

    def close(self) -> None:
        """End the session; nobody is told."""
        ...
