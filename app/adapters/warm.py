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
import time
from collections.abc import Callable, Iterable

from app.adapters.endpoint import Endpoint
from app.adapters.engine_session import EngineSession
from app.adapters.opening import Opening
from app.adapters.servers import Server, Servers
from app.adapters.spare import Spares
from app.core import effects as do
from app.core.rows import CallInfo
from app.mode import Mode
from app.rules.fallback_engines import FIRST

Maker = Callable[[CallInfo, Mode, Opening | None, Server], EngineSession]
"""Builds a session with a server, that has not begun."""


class Warm:
    """Sessions by call. `make` builds one that has not begun."""

    def __init__(self, make: Maker, spares: Spares, *, primes: bool = False, servers: Servers | None = None) -> None:
        """primes: let the model read the prompt of a prepared session before its greeting is asked for.

        servers: which ones there are; None: one, of which nothing is known.
        """
        self.make = make
        self.spares = spares
        self.primes = primes
        self.servers = servers or Servers([Server(name=FIRST, endpoint=Endpoint(url=""))])
        self.prepared: dict[str, EngineSession] = {}
        self.told: Callable[[str, str, str, str, float], None] | None = None
        """Is told of each session that is ready, or lost: its call, how it came (`prepared`, `cold`, or the rung of a reconnect),
        its server, its state, and the seconds that it took. None: calls are not traced."""
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
        self._prepare(info, mode, opening, self.servers.first())

    def _prepare(self, info: CallInfo, mode: Mode, opening: Opening | None, server: Server) -> None:
        """Begin with one server; if it will not, with the one that stands in for it, and the caller hears nothing of that."""
        session = self.make(info, mode, opening, server)
        self.prepared[info.call_sid] = session
        took = self._timed(info.call_sid, "prepared")

        def reported(it: EngineSession) -> None:
            took(it)
            other = self.servers.after(it.server)
            if it.state == "lost" and other is not None and self.prepared.get(info.call_sid) is it:
                self._prepare(info, mode, opening, other)

        session.reports = reported
        spare = self.spares.take(session.endpoint, session.model)
        session.start(spare, primes=self.primes and (opening is None or not opening.speaks))

    def _timed(self, call_sid: str, how: str) -> Callable[[EngineSession], None]:
        """What a session that begins now reports to."""
        began, known = time.monotonic(), False

        def reported(session: EngineSession) -> None:
            nonlocal known
            self._reported(session)
            if self.told is not None and not known:  # it is told of again if it is refused later
                known = True
                self.told(call_sid, how, session.server, session.state, time.monotonic() - began)

        return reported

    def _reported(self, session: EngineSession) -> None:
        """What a session tells of its server."""
        if session.state == "ready":
            self.servers.works(session.server)
        else:
            self.servers.fails(session.server, session.why_lost, refused=session.refused)

    def claim(self, info: CallInfo, mode: Mode, opening: Opening | None) -> tuple[EngineSession, str]:
        """The call's session, and the path it came by. One that was lost meanwhile is replaced by a new one."""
        if info.call_sid in self._due:  # the stream starts in the very turn of its webhook
            self._due[info.call_sid].cancel()
            self._begin(info, mode, opening)
        session = self.prepared.pop(info.call_sid, None)
        if session is not None and session.state != "lost":
            return session, "prepared"
        session, on_spare = self._start(info, mode, opening, self.servers.first(), "cold")
        return session, "spare" if on_spare else "cold"

    def again(
        self, info: CallInfo, mode: Mode, opening: Opening | None, order: do.Reconnect, before: EngineSession | None
    ) -> EngineSession | None:
        """Another session for a call whose session is gone; None if no server is left that could be asked.

        before: the one that is gone. opening: as for the call's first one, or a silent one.
        """
        name = self.servers.first().name if before is None else before.server
        if order.rung == "next" or order.refused:
            self.servers.fails(name, order.why, refused=order.refused)
        server = self.servers.after(name) if order.rung == "next" else self.servers.named(name)
        return None if server is None else self._start(info, mode, opening, server, order.rung)[0]

    def _start(
        self, info: CallInfo, mode: Mode, opening: Opening | None, server: Server, how: str
    ) -> tuple[EngineSession, bool]:
        session = self.make(info, mode, opening, server)
        session.reports = self._timed(info.call_sid, how)
        return session, session.start(self.spares.take(session.endpoint, session.model))

    def retire(self, call_sid: str) -> float:
        """Drop what was prepared for a call, if anything; what it has cost, in dollars."""
        due = self._due.pop(call_sid, None)
        if due is not None:
            due.cancel()
        session = self.prepared.pop(call_sid, None)
        if session is None:
            return 0.0
        spent = session.spent_usd
        session.close()
        return spent

    def close(self) -> None:
        """Drop everything, and keep no more spare links."""
        self.spares.close()
        for call_sid in [*self.prepared, *self._due]:
            self.retire(call_sid)
