"""Prepared sessions: begun at the webhook, claimed at the stream's start, retired when nobody comes.

A call's session is opened while the carrier is still connecting the stream: the greeting is generated meanwhile, waits in the
session, and leaves the moment the stream starts. Whichever moment a session is begun at, it takes a spare link if there is one.

    path        its session was begun                                     on
    prepared    at the webhook                                            either
    spare       at the stream's start: nothing was prepared, or was lost  a spare link
    cold        at the stream's start                                     a link of its own
    fallback    (the caller heard a clip of the house's first; the machine says so)
"""

import asyncio
from collections.abc import Callable, Iterable

from app.adapters.endpoint import Endpoint
from app.adapters.model_link import ModelSession
from app.adapters.opening import Opening
from app.adapters.spare import Spares
from app.core.record import CallInfo
from app.mode import Mode


class Warm:
    """Sessions by call. `make` builds one that has not begun."""

    def __init__(
        self, make: Callable[[CallInfo, Mode, Opening | None], ModelSession], spares: Spares, *, primes: bool = False
    ) -> None:
        """primes: let the model read the prompt of a prepared session before its greeting is asked for."""
        self.make = make
        self.spares = spares
        self.primes = primes
        self.prepared: dict[str, ModelSession] = {}
        self._due: dict[str, asyncio.Handle] = {}
        """Calls whose session is begun in the next turn of the loop: the webhook's answer is written before that."""

    def open(self, endpoint: Endpoint, models: Iterable[str]) -> None:
        """Have spare links to these models from now on. Needs a running loop."""
        self.spares.keep(endpoint, models)

    def prepare(self, info: CallInfo, mode: Mode, opening: Opening | None) -> None:
        """Have a session begun for a call, at once but not here; one that was begun before is dropped.

        opening None, or one that does not speak: the mode's own. Nothing of it delays the webhook: the prompt is rendered and
        the link written later.
        """
        self.retire(info.call_sid)
        loop = asyncio.get_running_loop()
        self._due[info.call_sid] = loop.call_soon(self._begin, info, mode, opening)

    def _begin(self, info: CallInfo, mode: Mode, opening: Opening | None) -> None:
        del self._due[info.call_sid]
        session = self.make(info, mode, opening)
        self.prepared[info.call_sid] = session
        spare = self.spares.take(session.endpoint, session.model)
        session.start(spare, primes=self.primes and (opening is None or not opening.speaks))

    def claim(self, info: CallInfo, mode: Mode, opening: Opening | None) -> tuple[ModelSession, str]:
        """The call's session, and the path it came by. One that was lost meanwhile is replaced by a new one."""
        if info.call_sid in self._due:  # the stream starts in the very turn of its webhook
            self._due[info.call_sid].cancel()
            self._begin(info, mode, opening)
        session = self.prepared.pop(info.call_sid, None)
        if session is not None and session.state != "lost":
            return session, "prepared"
        session = self.make(info, mode, opening)
        on_spare = session.start(self.spares.take(session.endpoint, session.model))
        return session, "spare" if on_spare else "cold"

    def retire(self, call_sid: str) -> None:
        """Drop what was prepared for a call, if anything."""
        due = self._due.pop(call_sid, None)
        if due is not None:
            due.cancel()
        session = self.prepared.pop(call_sid, None)
        if session is not None:
            session.close()

    def close(self) -> None:
        """Drop everything, and keep no more spare links."""
        self.spares.close()
        for call_sid in [*self.prepared, *self._due]:
            self.retire(call_sid)
