"""A phone's end of a media stream, frame by frame: what the carrier stand-in would never send, a test sends by this."""

import asyncio
import base64
import json
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from http.client import HTTPResponse
from typing import Any

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidStatus

from app.sim.playout import FRAME_BYTES, SILENCE
from tests.calls.foreign import ACCOUNT, sign
from tests.calls.product import PUBLIC, Product

SOCKETS = PUBLIC.replace("http", "ws", 1)
PATIENCE = 20.0


class Phone:
    """One open socket. `heard` is all audio that came; frames of silence flow from `start` until `hush`."""

    def __init__(self, socket: ClientConnection) -> None:
        self.socket = socket
        self.stream_sid = "MZ" + "a" * 32
        self.heard = bytearray()
        self.events: list[dict[str, Any]] = []
        self._news = asyncio.Event()
        self._reader = asyncio.create_task(self._read())
        self._flow: asyncio.Task[None] | None = None
        self._speech = bytearray()

    async def start(self, call_sid: str, *, account_sid: str = ACCOUNT, silence: bool = True, **changes: Any) -> None:
        """`connected`, `start`, and from then on frames in real time."""
        await self.socket.send('{"event":"connected","protocol":"Call","version":"1.0.0"}')
        start = {
            "accountSid": account_sid,
            "streamSid": self.stream_sid,
            "callSid": call_sid,
            "tracks": ["inbound"],
            "mediaFormat": {"encoding": "audio/x-mulaw", "sampleRate": 8000, "channels": 1},
            "customParameters": {},
            **changes,
        }
        await self.send({"event": "start", "sequenceNumber": "1", "streamSid": self.stream_sid, "start": start})
        if silence:
            self._flow = asyncio.create_task(self._frames())

    async def send(self, message: str | bytes | dict[str, Any]) -> None:
        """One message; a closed socket is no error here."""
        with suppress(ConnectionClosed):
            await self.socket.send(json.dumps(message) if isinstance(message, dict) else message)

    def say(self, audio: bytes) -> None:
        """Speak, from the next frame on."""
        self._speech += audio

    async def hears(self, size: int = 8000, *, in_all: bool = False) -> None:
        """Wait for so many more bytes of the agent's audio; in_all: until so many have come, which they may have."""
        wanted = size if in_all else len(self.heard) + size
        async with asyncio.timeout(PATIENCE):
            while len(self.heard) < wanted:
                self._news.clear()
                await self._news.wait()

    async def closed(self) -> tuple[int, str]:
        """Wait until the server closes; its code and reason."""
        async with asyncio.timeout(PATIENCE):
            await asyncio.shield(self._reader)
        return self.socket.close_code or 1006, self.socket.close_reason or ""

    @property
    def open(self) -> bool:
        return not self._reader.done()

    async def hush(self) -> None:
        """Stop sending, and reading."""
        for task in (self._flow, self._reader):
            if task is not None:
                task.cancel()
                await asyncio.gather(task, return_exceptions=True)

    async def _frames(self) -> None:
        loop = asyncio.get_running_loop()
        began, n = loop.time(), 0
        while True:
            frame = bytes(self._speech[:FRAME_BYTES]) or SILENCE
            del self._speech[:FRAME_BYTES]
            media = {"track": "inbound", "chunk": str(n + 1), "timestamp": str(n * 20)}
            media["payload"] = base64.b64encode(frame).decode()
            await self.send(
                {"event": "media", "sequenceNumber": str(n + 2), "streamSid": self.stream_sid, "media": media}
            )
            n += 1
            await asyncio.sleep(max(0.0, began + n * 0.02 - loop.time()))

    async def _read(self) -> None:
        with suppress(ConnectionClosed):
            async for text in self.socket:
                event = json.loads(text)
                self.events.append(event)
                if event["event"] == "media":
                    self.heard += base64.b64decode(event["media"]["payload"], validate=True)
                if event["event"] == "mark":
                    await self.send(
                        {"event": "mark", "streamSid": self.stream_sid, "mark": {"name": event["mark"]["name"]}}
                    )
                self._news.set()


@asynccontextmanager
async def phone(
    product: Product, url: str, signature: str | None = None, *, late: bool = False
) -> AsyncIterator[Phone]:
    """The socket of a stream URL. signature: instead of the right one; empty: none. Raises InvalidStatus if refused.

    late: on a connection that has had a request before, as proxies with pools make them.
    """
    signature = sign(url, {}) if signature is None else signature
    headers = {"x-twilio-signature": signature} if signature else {}
    real = product.url.replace("http", "ws", 1) + url.removeprefix(SOCKETS)
    used = await asyncio.to_thread(used_connection, product) if late else None
    async with connect(
        real, sock=used, additional_headers=headers, compression=None, proxy=None, ping_interval=None, close_timeout=2
    ) as connection:
        end = Phone(connection)
        try:
            yield end
        finally:
            await end.hush()


def used_connection(product: Product) -> socket.socket:
    """A connection that has had its first answer already."""
    connection = socket.create_connection(("127.0.0.1", int(product.url.rpartition(":")[2])), PATIENCE)
    connection.sendall(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")
    answer = HTTPResponse(connection)
    answer.begin()
    answer.read()
    assert not answer.will_close
    answer.close()
    return connection


async def refused(product: Product, url: str, signature: str | None = None) -> int:
    """The status that an upgrade is refused with; 101 if it is not."""
    try:
        async with phone(product, url, signature):
            return 101
    except InvalidStatus as error:
        return error.response.status_code
