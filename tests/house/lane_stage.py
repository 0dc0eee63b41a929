"""A call of the house's own parts, from the phone's socket to the model's; only the two sockets are in memory.

What a test lays on a socket is read in that call, and what the house wrote to one can be asked for right behind it: the loop
has no turn in between unless the test gives it one.
"""

import asyncio
import base64
import json
from collections import deque
from collections.abc import Awaitable, Callable
from types import SimpleNamespace
from typing import Any, Literal, cast
from urllib.parse import urlsplit

import msgspec
from starlette.types import Message
from starlette.websockets import WebSocket
from websockets.http11 import Request
from websockets.server import ServerProtocol

from app.adapters.endpoint import Endpoint
from app.adapters.model_link import ModelSession
from app.adapters.opening import Opening
from app.adapters.servers import Server
from app.adapters.spoken_session import SpokenSession
from app.adapters.tts_link import TtsServer
from app.calls.recording import Tape
from app.core.machine import CallMachine
from app.core.phases import Phase
from app.core.rows import CallInfo
from app.mode import Mode
from app.rules.engines import DialectName
from app.web.asgi_link import AsgiLink
from app.web.fast_door import Entrance, FastDoor
from app.web.streams import PhoneStream, judge
from modes.receptionist import mode as receptionist
from tests.adapters.sessions import GREETS, MODEL, PLAN
from tests.adapters.test_spoken_session import VOICE
from tests.adapters.wire import TEXT, F, Wire, decode, encode
from tests.house.test_ticket_life import Stage
from tests.web.door_stage import start
from tests.web.samples import ACCOUNT, CALL, HOST, guard, sign

Kind = Literal["ga", "flat", "hybrid", "pcm", "spoken", "recorded"]
"""A dialect; or `ga` with a model that wants PCM16, with another house's voice, or on a recorded stream."""
CREATED: dict[DialectName, dict[str, Any]] = {
    "ga": {"type": "realtime"},
    "flat": {"modalities": ["audio", "text"]},
    "hybrid": {"audio": {}, "voice": "eve"},
}
MODEL_PORT, VOICE_PORT = 1, 2
TURNS = 100
"""Of the loop, in which a call is joined."""


class Line(Wire):
    """One socket. `takes` gives the messages written since it was asked last."""

    def __init__(self, protocol: asyncio.BaseProtocol, *, server: bool) -> None:
        """server: which end of it is the house's."""
        super().__init__(cast(Any, protocol))
        self.server = server

    def set_protocol(self, protocol: asyncio.BaseProtocol) -> None:
        self.link = cast(Any, protocol)

    def pause_reading(self) -> None:
        """What comes is the test's to say."""

    resume_reading = pause_reading

    def comes(self, text: bytes) -> None:
        """A text message in one frame, in one read."""
        self.reads(self.framed(text))

    def framed(self, text: bytes) -> bytes:
        return encode(F(TEXT, text), mask=self.server)

    def reads(self, data: bytes) -> None:
        self.link.data_received(data)

    def takes(self) -> list[bytes]:
        data, self.written = self.written, b""
        return [frame.data for frame in decode(data, masked=not self.server)]

    def shakes_hands(self) -> None:
        """The peer answers the house's request for an upgrade."""
        core = ServerProtocol()
        core.receive_data(self.written)
        (request,) = core.events_received()
        assert isinstance(request, Request)
        core.send_response(core.accept(request))
        self.written = b""
        self.reads(b"".join(core.data_to_send()))


class AsgiPhone:
    """A phone by an ASGI server that has all of its messages there. `seen` is what each had led to as the next was asked for."""

    def __init__(self, stage: "LaneStage", *texts: bytes) -> None:
        self.stage = stage
        self.sent: list[bytes] = []
        self.seen: list[tuple[list[bytes], bool, int]] = []
        """For each: what the model was written, whether the loop did anything else meanwhile, and what was left for it to do."""
        self._texts = deque(texts)
        self._before: int | None = None
        self._turned = False
        self.pump: asyncio.Task[None] | None = None
        self.socket = WebSocket({"type": "websocket", "headers": []}, self._receive, self._send)
        self.link = AsgiLink(self.socket)

    async def _receive(self) -> Message:
        if self._before is None:
            self._before = 0
            return {"type": "websocket.connect"}
        self.seen.append((self.stage.model.takes(), self._turned, self.stage.waits() - self._before))
        if not self._texts:
            await asyncio.Event().wait()
        self._turned = False
        self.stage.loop.call_soon(self._turn)
        self._before = self.stage.waits()
        return {"type": "websocket.receive", "text": self._texts.popleft().decode()}

    async def _send(self, message: Message) -> None:
        if message["type"] == "websocket.send":
            self.sent.append(message["text"].encode())

    def _turn(self) -> None:
        self._turned = True


class LaneStage(Stage):
    """A board whose sessions are real, and a call on it."""

    def __init__(self, kind: Kind) -> None:
        super().__init__()
        self.kind = kind
        self.dialect: DialectName = kind if kind in ("ga", "flat", "hybrid") else "ga"
        self.lines: dict[int, Line] = {}
        self.loop.create_connection = self._connects  # type: ignore[method-assign, assignment]
        if kind == "recorded":
            tape = Tape(cast(Any, None), 0, cast(Any, None), "")
            self.board.recorder = cast(
                Any,
                SimpleNamespace(disclosure=lambda mode: mode.disclosure, tape=lambda *_: tape, over=lambda *_: None),
            )

    @property
    def model(self) -> Line:
        return self.lines[MODEL_PORT]

    @property
    def voice(self) -> Line:
        """The other house's, where one speaks."""
        return self.lines[VOICE_PORT]

    def waits(self) -> int:
        """What the loop has to do, now or later, and what was taken back of it."""
        return len(self.loop._ready) + len(self.loop._scheduled)  # type: ignore[attr-defined]

    def due(self) -> int:
        """What the loop has to do, now or later."""
        handles = [*self.loop._ready, *self.loop._scheduled]  # type: ignore[attr-defined]
        return sum(not handle.cancelled() for handle in handles)

    async def by_the_fast_door(self) -> Line:
        """A call that talks; its phone's socket, on which nothing is left to be taken."""
        ticket = await self._prepared()
        door = FastDoor(self.board, guard(), ACCOUNT, lambda: asyncio.Protocol())
        entrance = Entrance(door)
        phone = Line(entrance, server=True)
        entrance.connection_made(phone)
        phone.reads(_upgrade(ticket))
        assert phone.written.startswith(b"HTTP/1.1 101 ")
        phone.written = b""
        phone.comes(start())
        await self._talks()
        phone.takes()
        return phone

    async def by_asgi(self, *texts: bytes) -> AsgiPhone:
        """A call by the door of a foreign server, whose phone has said `start` and these."""
        ticket = await self._prepared()
        phone = AsgiPhone(self, start(), *texts)
        verdict = judge(self.board, guard(), _path(ticket), sign(_url(ticket)))
        stream = PhoneStream(self.board, phone.link, verdict, account_sid=ACCOUNT, door="asgi")
        await phone.socket.accept()
        phone.pump = self.loop.create_task(phone.link.run(stream))
        await self._until(lambda: len(phone.seen) > len(texts) + 1)
        await self._talks()
        await self._until(lambda: not phone.link._unsent)
        phone.sent.clear()
        return phone

    def begins_an_item(self) -> None:
        """The agent begins to speak; the first sound of an item is an event, which the machine is told of."""
        self.model.comes(self.sound(0))

    def sound(self, n: int) -> bytes:
        """A piece of the agent's speech, 20 ms."""
        kind = "response.audio.delta" if self.dialect == "flat" else "response.output_audio.delta"
        audio = bytes([n]) * (960 if self.kind == "pcm" else 160)
        return json.dumps({"type": kind, "response_id": "r1", "item_id": "i1", "delta": text_of(audio)}).encode()

    async def _prepared(self) -> str:
        """A call whose webhook came, and whose session is ready; its ticket."""
        call = self.board.incoming(
            CallInfo(call_sid=CALL, account_sid=ACCOUNT, caller="+14155550133", dialled="+14155550199"), receptionist
        )
        assert call is not None
        sockets = 2 if self.kind == "spoken" else 1
        await self._until(lambda: len(self.lines) == sockets)
        for line in self.lines.values():
            line.shakes_hands()
        self.model.comes(json.dumps({"type": "session.created", "session": CREATED[self.dialect]}).encode())
        await self._until(lambda: bool(self.model.written))
        (update,) = self.model.takes()
        configured = json.loads(update)["session"]
        self.model.comes(json.dumps({"type": "session.updated", "session": configured}).encode())
        await self._until(lambda: self.board.warm.prepared[CALL].state == "ready")
        await self._until(lambda: bool(self.model.written))
        return call.ticket

    async def _talks(self) -> None:
        """The stream is joined, and the agent's first response begins."""
        await self._until(lambda: self._machine is not None and self._machine.phase is Phase.TALKING)
        self.model.comes(json.dumps({"type": "response.created", "response": {"id": "r1"}}).encode())
        await self._until(lambda: self._machine is not None and self._machine.speaking("r1"))
        self.model.takes()

    @property
    def _machine(self) -> CallMachine | None:
        relay = self.board.calls[CALL].relay
        return None if relay is None else relay.machine

    def _make(self, info: CallInfo, mode: Mode, opening: Opening | None, server: Server) -> Any:
        codec: Literal["pcm16_24k"] | None = "pcm16_24k" if self.kind == "pcm" else None
        endpoint = Endpoint(url=f"ws://127.0.0.1:{MODEL_PORT}", codec=codec)
        plan = msgspec.structs.replace(PLAN, texts=self.kind == "spoken")
        session = ModelSession(endpoint, MODEL, plan, GREETS)
        if self.kind != "spoken":
            return session
        return SpokenSession(session, TtsServer(f"ws://127.0.0.1:{VOICE_PORT}"), VOICE)

    async def _connects(self, made: Callable[[], asyncio.BaseProtocol], host: str, port: int) -> tuple[Any, Any]:
        protocol = made()
        self.lines[port] = Line(protocol, server=False)
        protocol.connection_made(self.lines[port])
        return self.lines[port], protocol

    async def _until(self, check: Callable[[], bool]) -> None:
        """Give the loop turns."""
        for _ in range(TURNS):
            if check():
                return
            await asyncio.sleep(0)
        raise AssertionError("the call was not joined")


def on_stage(play: Callable[[LaneStage], Awaitable[None]], kind: Kind = "ga") -> None:
    """Run a test's play on a loop whose time is its own."""
    stage = LaneStage(kind)

    async def runs() -> None:
        await play(stage)

    try:
        stage.loop.run_until_complete(runs())
        assert not stage.loop.faults
    finally:
        stage.loop.end()


def from_caller(n: int) -> bytes:
    """20 ms of the caller's speech, as the carrier sends it."""
    return json.dumps({"event": "media", "media": {"track": "inbound", "payload": speech(n)}}).encode()


def speech(n: int) -> str:
    """20 ms in u-law, unlike any other."""
    return text_of(bytes([n]) * 160)


def text_of(audio: bytes) -> str:
    return base64.b64encode(audio).decode()


def _path(ticket: str) -> str:
    return f"/voice/ws/{receptionist.name}/{ticket}"


def _url(ticket: str) -> str:
    return HOST.replace("http", "ws", 1) + _path(ticket)


def _upgrade(ticket: str) -> bytes:
    """The carrier's request."""
    return (
        f"GET {_path(ticket)} HTTP/1.1\r\nHost: {urlsplit(HOST).netloc}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n"
        f"X-Twilio-Signature: {sign(_url(ticket))}\r\n\r\n"
    ).encode()
