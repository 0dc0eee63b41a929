"""The server side of the carrier's tests: doors that answer what a test tells them, and a scripted media socket."""

import asyncio
import json
from base64 import b64encode
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from twilio.request_validator import RequestValidator
from websockets.asyncio.server import ServerConnection, serve
from websockets.exceptions import ConnectionClosed

from app.sim.carrier import Carrier
from app.sim.carrier_call import CarrierCall
from app.sim.carrier_quirks import Quirks
from app.sim.playout import SILENCE
from app.sim.rest_server import RestServer

TOKEN = "0123456789abcdef0123456789abcdef"
CALLER, OURS = "+14155550133", "+14155550199"
PUBLIC = "https://agent.example.com"
TONE = bytes(range(160))  # 20 ms that are not silence

Twiml = str | Response


@dataclass
class Asked:
    """One request that the server got."""

    path: str
    method: str
    fields: dict[str, str]
    headers: Mapping[str, str]
    signed: bool


@dataclass
class MediaEnd:
    """The server's end of one stream."""

    socket: ServerConnection
    received: list[dict[str, Any]] = field(default_factory=list)

    @property
    def stream_sid(self) -> str:
        return str(self.received[1]["streamSid"])

    async def next(self, event: str) -> dict[str, Any]:
        """The next message of this kind; others are kept in `received` and passed over."""
        while True:
            message = json.loads(await self.socket.recv())
            self.received.append(message)
            if message["event"] == event:
                return dict(message)

    async def drained(self) -> None:
        """Read until the carrier closes."""
        try:
            while True:
                self.received.append(json.loads(await self.socket.recv()))
        except ConnectionClosed:
            return

    async def send(self, event: str, **body: Any) -> None:
        await self.socket.send(json.dumps({"event": event, "streamSid": self.stream_sid, **body}))

    async def audio(self, audio: bytes) -> None:
        await self.send("media", media={"payload": b64encode(audio).decode()})

    async def mark(self, name: str) -> None:
        await self.send("mark", mark={"name": name})

    def of(self, event: str) -> list[dict[str, Any]]:
        return [message for message in self.received if message["event"] == event]


class Stage:
    """A server whose TwiML each test sets: `answers[path]` is one answer, or a list of them in order (the last stays)."""

    def __init__(self, public_url: str) -> None:
        self.public_url = public_url
        self.answers: dict[str, Twiml | list[Twiml]] = {}
        self.asked: list[Asked] = []
        self.phone: Callable[[MediaEnd], Awaitable[None]] | None = None
        self.phones: list[MediaEnd] = []
        self.upgrades: list[tuple[str, str | None]] = []
        self.media_url = ""
        self.base = ""
        self.carrier: Carrier
        self.validator = RequestValidator(TOKEN)

    async def called(self, line: "Line | None" = None, quirks: Quirks | None = None) -> CarrierCall:
        """A call that has just begun."""
        return await self.carrier.dial(from_number=CALLER, to_number=OURS, line=line or Line(), quirks=quirks)

    def paths(self) -> list[str]:
        return [asked.path for asked in self.asked]

    def to(self, path: str) -> list[Asked]:
        return [asked for asked in self.asked if asked.path == path]

    def connect(self, *, after: str = "", action: str = "", stream: str = "", parameters: str = "") -> str:
        """TwiML with the stream."""
        attribute = f' action="{action}"' if action else ""
        noun = f'<Stream url="{self.media_url}"{stream}>{parameters}</Stream>'
        return f"<Response><Connect{attribute}>{noun}</Connect>{after}</Response>"

    async def answer(self, request: Request) -> Response:
        form = dict(parse_qsl((await request.body()).decode(), keep_blank_values=True))
        path = request.url.path
        url = self.public_url + path + (f"?{request.url.query}" if request.url.query else "")
        signature = request.headers.get("x-twilio-signature", "")
        signed = bool(self.validator.validate(url, form, signature))
        fields = form if request.method == "POST" else dict(request.query_params)
        self.asked.append(Asked(path, request.method, fields, dict(request.headers), signed))
        answer = self.answers.get(path, "<Response/>")
        if isinstance(answer, list):
            answer = answer.pop(0) if len(answer) > 1 else answer[0]
        return answer if isinstance(answer, Response) else Response(answer, media_type="text/xml")

    async def media(self, socket: ServerConnection) -> None:
        assert socket.request is not None
        self.upgrades.append((socket.request.path, socket.request.headers.get("x-twilio-signature")))
        phone = MediaEnd(socket)
        self.phones.append(phone)
        try:
            await phone.next("start")
            if self.phone is not None:
                await self.phone(phone)
            else:
                await phone.drained()
        except ConnectionClosed:
            return


class Line:
    """A caller's end that remembers what it heard."""

    def __init__(self) -> None:
        self.frames: list[bytes] = []
        self.verbs: list[str] = []
        self.started: list[str] = []
        self.ended: list[str] = []
        self.on_frame: Callable[[int], None] = lambda count: None

    def next_frame(self) -> bytes:
        return SILENCE

    def heard(self, frame: bytes, at_ms: int) -> None:
        self.frames.append(frame)
        self.on_frame(len(self.frames))

    def verb(self, name: str, attributes: Mapping[str, str], text: str) -> None:
        self.verbs.append(name)

    def stream_started(self, stream_sid: str) -> None:
        self.started.append(stream_sid)

    def stream_ended(self, why: str) -> None:
        self.ended.append(why)


@asynccontextmanager
async def stage(public_url: str = PUBLIC, **options: Any) -> AsyncIterator[Stage]:
    """A server and a carrier that calls it; both are stopped at the end."""
    it = Stage(public_url)
    app = Starlette(routes=[Route("/{path:path}", it.answer, methods=["GET", "POST"])])
    server = RestServer(app)
    it.base = await server.start()
    async with serve(it.media, "127.0.0.1", 0, compression=None, ping_interval=None) as sockets:
        port = next(iter(sockets.sockets)).getsockname()[1]
        it.media_url = f"ws://127.0.0.1:{port}/media"
        options = {"verb_speed": 1000.0, **options}
        it.carrier = Carrier(auth_token=TOKEN, public_url=public_url, connect_to=it.base, **options)
        try:
            async with asyncio.timeout(30):
                yield it
        finally:
            await it.carrier.close()
            await server.stop()
