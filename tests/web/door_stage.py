"""The fast door on a stage: a small application behind it, a board that knows two tickets, and peers that speak raw HTTP."""

import asyncio
import hashlib
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any, cast

import pytest
from hypercorn.asyncio import serve
from hypercorn.config import Config
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response, StreamingResponse
from starlette.routing import Route, WebSocketRoute
from starlette.websockets import WebSocket
from websockets.client import ClientProtocol
from websockets.frames import Frame, Opcode
from websockets.http11 import Response as Handshake
from websockets.uri import WebSocketURI

from app.calls.switchboard import Switchboard
from app.commands.answering import config
from app.core import events as ev
from app.web.fast_door import FastDoor
from app.web.lent_server import LentServer, loop_factory, plain_loop
from tests.web.samples import ACCOUNT, CALL, HOST, guard, sign

PATIENCE = 10.0
LOOPS: dict[str, Callable[[], asyncio.AbstractEventLoop]] = {"as served": loop_factory(), "plain": plain_loop}
every_loop = pytest.mark.parametrize("loop", LOOPS)
TICKET = "/voice/ws/receptionist/t1"


class Relay:
    """Says back what it hears."""

    def __init__(self, link: Any) -> None:
        self.link = link
        self.ends: list[int] = []

    def heard(self, text: bytes) -> None:
        self.link.send(text)

    def closed(self, code: int, reason: str) -> None:
        self.ends.append(code)


class Board:
    """What a door asks of a switchboard."""

    def __init__(self) -> None:
        self.modes = {"receptionist": _Named("receptionist")}
        self.tickets = {"t1", "t2"}
        self.doors: list[str] = []
        self.relays: list[Relay] = []
        self.unjoined_calls = 0

    def redeem(self, mode: str, ticket: str) -> Any:
        if ticket not in self.tickets:
            return None
        self.tickets.remove(ticket)
        return _Call()

    def foreign(self, mode: str, ticket: str) -> Any:
        return None

    def answer(self, call: Any, link: Any, started: ev.StreamStarted, door: str) -> Relay:
        self.doors.append(door)
        self.relays.append(Relay(link))
        return self.relays[-1]

    def unjoined(self, call: Any) -> None:
        self.unjoined_calls += 1


class _Named:
    def __init__(self, name: str) -> None:
        self.name = name


class _Call:
    tape = None
    finished = False

    def __init__(self) -> None:
        self.info = ev.StreamStarted(stream_sid="", call_sid=CALL, account_sid=ACCOUNT, parameters={}, encoding="")


async def _echo(request: Request) -> Response:
    body = await request.body()
    assert request.client is not None
    return PlainTextResponse(
        f"{request.method} {len(body)} {hashlib.sha256(body).hexdigest()} from {request.client.host}:{request.client.port}"
    )


async def _big(request: Request) -> Response:
    left = int(request.headers["x-size"])

    async def pieces() -> AsyncIterator[bytes]:
        for _ in range(left >> 16):
            yield b"x" * (1 << 16)

    return StreamingResponse(pieces())


async def _events(request: Request) -> Response:
    async def lines() -> AsyncIterator[bytes]:
        for n in range(3):
            yield b"data: %d\n\n" % n
            await request.app.state.go_on.wait()

    return StreamingResponse(lines(), media_type="text/event-stream")


async def _socket(socket: WebSocket) -> None:
    await socket.accept()
    await socket.send_text("by asgi")
    await socket.close()


class Stage:
    """A door that is open, and what is behind it."""

    def __init__(self, door: FastDoor, board: Board, port: int, app: Starlette, config: Config) -> None:
        self.door, self.board, self.port, self.app, self.config = door, board, port, app, config
        self._peers: list[Peer] = []

    async def connect(self, host: str = "127.0.0.1", port: int = 0) -> "Peer":
        peer = Peer(*await asyncio.open_connection(host, port or self.port))
        self._peers.append(peer)
        return peer

    async def gone(self) -> None:
        """Wait until the door has no link."""
        async with asyncio.timeout(PATIENCE):
            while self.door.links:  # noqa: ASYNC110  the end of a socket is the other loop turn's news
                await asyncio.sleep(0.01)

    async def clear(self) -> None:
        """Hang up for all who are connected still."""
        for peer in self._peers:
            peer.close()
        await asyncio.gather(*(peer.writer.wait_closed() for peer in self._peers), return_exceptions=True)

    async def stream(self, path: str = TICKET, rest: bytes = b"", **more: str) -> "Phone":
        """An upgrade, and its answer; more: headers with `_` for `-`, instead of or beside the usual ones."""
        phone = Phone(await self.connect())
        phone.peer.writer.write(phone.request(path, **more) + rest)
        await phone.shaken()
        return phone


class Peer:
    """One raw connection."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer

    async def answer(self) -> tuple[int, bytes]:
        """The next answer that has its length: status and body."""
        async with asyncio.timeout(PATIENCE):
            head = (await self.reader.readuntil(b"\r\n\r\n")).lower()
            length = int(head.partition(b"content-length:")[2].split(b"\r\n")[0])
            return int(head.split(b" ")[1]), await self.reader.readexactly(length)

    async def asks(self, head: str, body: bytes = b"") -> tuple[int, bytes]:
        self.writer.write(head.replace("\n", "\r\n").encode() + body)
        return await self.answer()

    async def ends(self) -> bytes:
        """All that still comes, until the other side closes or resets."""
        async with asyncio.timeout(PATIENCE):
            try:
                return await self.reader.read()
            except ConnectionError:
                return b""

    def close(self) -> None:
        self.writer.close()


class Phone:
    """A peer that speaks WebSocket, by a core of its own."""

    def __init__(self, peer: Peer) -> None:
        self.peer = peer
        self.core = ClientProtocol(WebSocketURI(False, "127.0.0.1", 80, "/", ""))
        self.answer: Handshake | None = None
        self._frames: list[Frame] = []

    def request(self, path: str, **more: str) -> bytes:
        request = self.core.connect()
        request.path = path
        request.headers["X-Twilio-Signature"] = sign(HOST.replace("http", "ws", 1) + path)
        for name, value in more.items():
            header = name.replace("_", "-")
            if header in request.headers:
                del request.headers[header]
            if value:
                request.headers[header] = value
        self.core.send_request(request)
        return b"".join(self.core.data_to_send())

    async def shaken(self) -> None:
        async with asyncio.timeout(PATIENCE):
            while self.answer is None:
                await self._more()

    def send(self, text: bytes) -> None:
        self.core.send_text(text)
        self.peer.writer.write(b"".join(self.core.data_to_send()))

    async def frame(self) -> Frame:
        async with asyncio.timeout(PATIENCE):
            while not self._frames:
                await self._more()
            return self._frames.pop(0)

    async def _more(self) -> None:
        data = await self.peer.reader.read(65_536)
        if data:
            self.core.receive_data(data)
        else:
            self.core.receive_eof()
        for event in self.core.events_received():
            if isinstance(event, Handshake):
                self.answer = event
            elif isinstance(event, Frame):
                self._frames.append(event)
        if self.core.handshake_exc is not None and self.answer is None:
            raise self.core.handshake_exc
        self.peer.writer.write(b"".join(out for out in self.core.data_to_send() if out))


def start(call_sid: str = CALL) -> bytes:
    """The carrier's `start`."""
    return (
        b'{"event":"start","sequenceNumber":"1","streamSid":"MZ%b","start":{"accountSid":"%b","callSid":"%b",'
        b'"streamSid":"MZ%b","tracks":["inbound"],"customParameters":{},'
        b'"mediaFormat":{"encoding":"audio/x-mulaw","sampleRate":8000,"channels":1}}}'
        % (b"a" * 32, ACCOUNT.encode(), call_sid.encode(), b"a" * 32)
    )


def masked(text: bytes) -> bytes:
    """A client's frame."""
    return Frame(Opcode.TEXT, text).serialize(mask=True)


def on_stage(play: Callable[[Stage], Awaitable[None]], loop: str = "as served") -> None:
    """Run a test's play on a loop of its own, as the door needs one that lends its servers."""
    with asyncio.Runner(loop_factory=LOOPS[loop]) as runner:
        runner.run(_play(play))


async def _play(play: Callable[[Stage], Awaitable[None]]) -> None:
    async with asyncio.timeout(30), a_stage() as stage:
        await play(stage)


@asynccontextmanager
async def a_stage() -> AsyncIterator[Stage]:
    """A door on a free port, with hypercorn behind it."""
    app: Any = Starlette(
        routes=[
            Route("/echo", _echo, methods=["GET", "POST"]),
            Route("/events", _events),
            Route("/big", _big),
            WebSocketRoute("/voice/ws/{path:path}", _socket),
        ]
    )
    app.state.go_on = asyncio.Event()
    lent, closing, board = LentServer(), asyncio.Event(), Board()
    settings = config(lent.bind)
    web = asyncio.create_task(serve(app, settings, shutdown_trigger=closing.wait))
    door = FastDoor(cast(Switchboard, board), guard(), ACCOUNT, await lent.factory)
    await door.open("127.0.0.1", 0)
    try:
        stage = Stage(door, board, door.addresses[0][1], app, settings)
        yield stage
        await stage.clear()
    finally:
        await door.close()
        closing.set()
        await web
