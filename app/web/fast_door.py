"""The fast door: one port. Media upgrades become links of our own; every other connection is hypercorn's, in the same loop.

A small protocol reads each connection's first request head and decides. A later request on a kept-alive connection is hypercorn's
whatever it asks for, so the media route is registered there too (`voice.py`), behind the same guard and tickets.
"""

import asyncio
import contextlib
import errno
import re
import socket
from collections.abc import Callable, Coroutine
from typing import Any, cast

import structlog

from app.adapters.link import WireLink
from app.adapters.upgrade import Upgrade, read_upgrade
from app.calls.switchboard import Switchboard
from app.errors import SetupError
from app.web.asgi_link import MESSAGE_BYTES, UNSENT_BYTES
from app.web.cold_streams import ColdStreams
from app.web.crowd import Crowd
from app.web.fly import MISDIRECTED
from app.web.guard import Guard
from app.web.lent_connections import LentConnections, address_of
from app.web.streams import PhoneStream, Verdict, judge

log = structlog.get_logger()

HEAD_BYTES = 16 * 1024
HEAD_SECONDS = 5.0
LEAVE_SECONDS = 1.0
"""How long a peer that was refused, or told goodbye, may take to close its end."""
UNDECIDED = 1000
"""Connections that may be reading their heads at once; past that the oldest is dropped, of the address that has most."""
BACKLOG = 1024
MEDIA = b"GET /voice/ws/"
GOING_AWAY = 1001

_upgrade = re.compile(rb"\r\nupgrade[ \t]*:[ \t]*websocket[ \t]*\r\n", re.IGNORECASE)
_TOO_LONG = b"expected a request head of at most 16 kB\n"
TOO_LONG = (
    b"HTTP/1.1 431 Request Header Fields Too Large\r\nContent-Type: text/plain; charset=utf-8\r\n"
    b"Connection: close\r\nContent-Length: %d\r\n\r\n%b" % (len(_TOO_LONG), _TOO_LONG)
)
_TOO_MANY = b"too many connections from your address: close some, or ask again in a moment\n"
TOO_MANY = (
    b"HTTP/1.1 503 Service Unavailable\r\nContent-Type: text/plain; charset=utf-8\r\nRetry-After: 1\r\n"
    b"Connection: close\r\nContent-Length: %d\r\n\r\n%b" % (len(_TOO_MANY), _TOO_MANY)
)
REFUSALS = {
    403: "expected a stream URL and signature of ours: the ticket or the signature is wrong, used or late\n",
    MISDIRECTED: "another machine has this call\n",
    404: "expected /voice/ws/<mode>/<ticket> with a mode that there is\n",
}


class FastDoor:
    """The port of one process."""

    def __init__(
        self,
        board: Switchboard,
        guard: Guard,
        account_sid: str,
        web: Callable[[], asyncio.BaseProtocol],
        cold: ColdStreams | None = None,
    ) -> None:
        """account_sid: ours; empty where none is configured. web: makes hypercorn's protocol for a connection.

        cold: looks into tickets of other processes; None where there is none.
        """
        self.cold = cold
        self.board = board
        self.guard = guard
        self.account_sid = account_sid
        self.web = web
        self.undecided: Crowd[Entrance] = Crowd()
        self.lent = LentConnections()
        self.links: set[PhoneLink] = set()
        self._crowded = False
        """It was said; again once there was room for half as many."""
        self._servers: list[asyncio.Server] = []
        self._empty = asyncio.Event()
        self._empty.set()

    async def open(self, host: str, port: int) -> None:
        """Listen on every address of `host`. Raises SetupError if the port cannot be had."""
        loop = asyncio.get_running_loop()
        for sock in bound_sockets(host, port):
            self._servers.append(await loop.create_server(lambda: Entrance(self), sock=sock, backlog=BACKLOG))

    @property
    def addresses(self) -> list[tuple[str, int]]:
        """Where it listens: address and port."""
        return [sock.getsockname()[:2] for server in self._servers for sock in server.sockets]

    def shut(self) -> None:
        """Listen no more; what is connected stays."""
        for server in self._servers:
            server.close()
        self._servers.clear()

    async def close(self) -> None:
        """Shut, drop who has not said what he wants, and say goodbye to what streams still; they get a second to answer."""
        self.shut()
        self.lent.close()
        for entrance in self.undecided:
            entrance.drop()
        for link in list(self.links):
            link.close(GOING_AWAY, "the server stops")
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._empty.wait(), LEAVE_SECONDS)
        for link in list(self.links):
            link.abort()

    def came(self, entrance: "Entrance") -> None:
        """A connection whose head is awaited; too many, and the oldest makes room."""
        self.undecided.add(entrance, address_of(entrance.transport))
        if len(self.undecided) > UNDECIDED:
            if not self._crowded:
                self._crowded = True
                log.warning("too many connections without a request; the oldest are dropped", at_most=UNDECIDED)
            self.undecided.oldest().drop()

    def decided(self, entrance: "Entrance") -> None:
        """Its head was read, or it is gone."""
        self.undecided.discard(entrance)
        if len(self.undecided) < UNDECIDED // 2:
            self._crowded = False

    def linked(self, link: "PhoneLink") -> None:
        """A stream was accepted."""
        self.links.add(link)
        self._empty.clear()

    def unlinked(self, link: "PhoneLink") -> None:
        """Its socket is gone."""
        self.links.discard(link)
        if not self.links:
            self._empty.set()


class PhoneLink(WireLink):
    """A phone's link that its door knows of."""

    door: FastDoor

    def connection_lost(self, exc: Exception | None) -> None:
        """The socket is gone."""
        super().connection_lost(exc)
        self.door.unlinked(self)


class Entrance(asyncio.Protocol):
    """One connection until it is clear whose it is."""

    def __init__(self, door: FastDoor) -> None:
        self.door = door
        self._read = bytearray()
        self._refused = False
        self._timer: asyncio.TimerHandle | None = None
        self._looking: asyncio.Task[None] | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """A peer has connected."""
        self.transport = cast("asyncio.Transport", transport)
        self._timer = asyncio.get_running_loop().call_later(HEAD_SECONDS, self.drop)
        self.door.came(self)

    def data_received(self, data: bytes) -> None:
        """More of the head, or all of it and what follows."""
        if self._refused:
            return
        seen = max(0, len(self._read) - 3)
        self._read += data
        end = _head_end(self._read, seen)
        if (end or len(self._read)) > HEAD_BYTES:
            self._refuse(TOO_LONG)
        elif end:
            read = bytes(self._read)
            if is_media(read[:end]):
                self._stream(read[:end], read[end:])
            elif self.door.lent.add(self.transport):
                self._hand_over(self.door.web(), read)
            else:
                self._refuse(TOO_MANY)

    def connection_lost(self, exc: Exception | None) -> None:
        """It went before it was clear, or after it was refused."""
        self._decided()

    def drop(self) -> None:
        """Close without an answer."""
        self._decided()
        self.transport.abort()

    def _decided(self) -> None:
        self.door.decided(self)
        if self._timer is not None:
            self._timer.cancel()

    def _hand_over(self, protocol: asyncio.BaseProtocol, data: bytes) -> None:
        """From here on the connection is that protocol's; what was read comes first."""
        self._decided()
        transport = self.transport
        transport.pause_reading()  # uvloop picks the callback for what it reads when reading starts
        transport.set_protocol(protocol)
        transport.resume_reading()
        protocol.connection_made(transport)
        if data:
            cast("asyncio.Protocol", protocol).data_received(data)

    def _stream(self, head: bytes, rest: bytes) -> None:
        """A media upgrade: checked as a handshake, then by guard and ticket, and only then accepted."""
        door = self.door
        upgrade = read_upgrade(head, max_size=MESSAGE_BYTES)
        if not upgrade.good:  # first, since a good ticket is spent by being looked at
            self._refuse(upgrade.answer.serialize())
            return
        verdict = judge(door.board, door.guard, upgrade.path.split("?")[0], upgrade.signature)
        if verdict.open and door.cold is not None:
            self.transport.pause_reading()
            work = door.cold.take_in(verdict, replayed=door.cold.fly.replayed(_header_names(head)))
            self._looking = asyncio.get_running_loop().create_task(self._look(work, upgrade, rest))
            return
        self._decide(verdict, upgrade, rest)

    async def _look(self, work: Coroutine[Any, Any, Verdict], upgrade: Upgrade, rest: bytes) -> None:
        """The books are asked about a ticket, for two seconds at most; the peer waits, or goes."""
        try:
            verdict = await work
        except Exception:
            log.exception("a fault of ours as a ticket was looked into")
            verdict = Verdict(403)
        if not self.transport.is_closing():
            self.transport.resume_reading()
            self._decide(verdict, upgrade, rest)
        elif verdict.call is not None:
            self.door.board.unjoined(verdict.call)

    def _decide(self, verdict: Verdict, upgrade: Upgrade, rest: bytes) -> None:
        door = self.door
        if verdict.status != 101:
            self._refuse(upgrade.refuse(verdict.status, REFUSALS[verdict.status], verdict.headers))
            return
        link = PhoneLink(upgrade.accept(), max_unsent=UNSENT_BYTES)
        link.door = door
        link.call_sid = "" if verdict.call is None else verdict.call.info.call_sid
        link.listener = PhoneStream(door.board, link, verdict, account_sid=door.account_sid, door="fast")
        door.linked(link)
        self._hand_over(link, rest)

    def _refuse(self, answer: bytes) -> None:
        """Answer and close; what still comes is read away for a second, since a reset would take the answer with it."""
        self._refused = True
        self._read.clear()
        if self._timer is not None:
            self._timer.cancel()
        self._timer = asyncio.get_running_loop().call_later(LEAVE_SECONDS, self.drop)
        self.transport.write(answer)
        self.transport.write_eof()


def is_media(head: bytes) -> bool:
    """Whether a request's head, with its empty line, asks for a media stream."""
    return head.startswith(MEDIA) and _upgrade.search(head) is not None


def _header_names(head: bytes) -> dict[str, str]:
    """Which headers a request has, in lower case; their values do not matter."""
    return {line.partition(b":")[0].strip().lower().decode("latin-1"): "" for line in head.splitlines()[1:]}


def _head_end(read: bytearray, seen: int) -> int:
    """Behind the empty line that ends a head; 0 while there is none. hypercorn's parser takes bare line feeds, so they count."""
    ends = [at + len(mark) for mark in (b"\r\n\r\n", b"\n\n", b"\n\r\n") if (at := read.find(mark, seen)) >= 0]
    return min(ends, default=0)


def bound_sockets(host: str, port: int) -> list[socket.socket]:
    """A socket for each address of a host; `::` takes IPv4 too. Raises SetupError, naming the remedy."""
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    except OSError as wrong:
        raise SetupError(f"HOST: expected an address of this machine, got {host!r}: {wrong.strerror}") from wrong
    sockets: list[socket.socket] = []
    failed: OSError | None = None
    for family, kind, protocol, _, address in dict.fromkeys(found):
        sock = socket.socket(family, kind, protocol)
        try:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            if family == socket.AF_INET6:
                sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, host != "::")
            sock.bind(address)
            sock.setblocking(False)
        except OSError as wrong:
            sock.close()
            failed = wrong
        else:
            sockets.append(sock)
    if failed is not None and (not sockets or failed.errno != errno.EADDRNOTAVAIL):
        for sock in sockets:
            sock.close()
        raise SetupError(
            f"expected to listen on {host}:{port}, but: {failed.strerror}. "
            "Stop what listens there, or take another port with --port or PORT."
        ) from failed
    return sockets
