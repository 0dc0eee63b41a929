"""Connections that were handed to hypercorn, watched from outside: so many at most, and none that does not read.

hypercorn bounds how long a connection may be idle, and the doors how long a form may take. What nobody there bounds is a peer
that asks and then reads nothing: its answer waits in our memory, and the task that writes it, for ever. So each connection with
something unsent is looked at every few seconds, and dropped once nothing of it has moved for too long.
"""

import asyncio

import structlog

from app.web.crowd import Crowd

log = structlog.get_logger()

AT_MOST = 2000
LOOK_SECONDS = 5.0
STUCK_SECONDS = 30.0
"""A peer that takes nothing of what is sent to it for so long is dropped."""


class LentConnections:
    """All connections of one port that hypercorn has."""

    def __init__(self) -> None:
        self.crowd: Crowd[asyncio.Transport] = Crowd()
        self._unsent: dict[asyncio.Transport, tuple[int, float]] = {}
        """Of those with something to send: how much it was, and since when it has been that much."""
        self._timer: asyncio.TimerHandle | None = None
        self._crowded = False

    def add(self, transport: asyncio.Transport) -> bool:
        """One more; False if it is the one that has to go, to be closed by who asks.

        When there are too many the newest of the address that has most goes: what is old may be a call's stream.
        """
        if len(self.crowd) >= AT_MOST:
            self._forget_closed()
        self.crowd.add(transport, address_of(transport))
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(LOOK_SECONDS, self._look)
        if len(self.crowd) <= AT_MOST:
            self._crowded = False
            return True
        if not self._crowded:
            self._crowded = True
            log.warning("too many connections; the newest of who has most are dropped", at_most=AT_MOST)
        newest = self.crowd.newest()
        self.crowd.discard(newest)
        self._unsent.pop(newest, None)
        if newest is transport:
            return False
        newest.abort()
        return True

    def close(self) -> None:
        """Look no more; the connections are hypercorn's to close."""
        if self._timer is not None:
            self._timer.cancel()

    def _look(self) -> None:
        self._forget_closed()
        now, loop = asyncio.get_running_loop().time(), asyncio.get_running_loop()
        self._timer = loop.call_later(LOOK_SECONDS, self._look) if self.crowd else None
        for transport in self.crowd:
            unsent = transport.get_write_buffer_size()
            before = self._unsent.get(transport)
            if not unsent:
                self._unsent.pop(transport, None)
            elif before is None or before[0] != unsent:
                self._unsent[transport] = unsent, now
            elif now - before[1] >= STUCK_SECONDS:
                log.warning("a peer does not read its answer, and is dropped", unsent_bytes=unsent)
                transport.abort()

    def _forget_closed(self) -> None:
        for transport in self.crowd:
            if transport.is_closing():
                self.crowd.discard(transport)
                self._unsent.pop(transport, None)


def address_of(transport: asyncio.BaseTransport) -> str:
    """The peer's address, without its port; empty if it is gone already."""
    peer = transport.get_extra_info("peername")
    return str(peer[0]) if isinstance(peer, tuple) and peer else ""
