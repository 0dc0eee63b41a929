"""The phone's link by ASGI: one pump that reads, one writer that sends, so that the app is whole under any ASGI server."""

import asyncio
import contextlib
from collections import deque

import structlog
from starlette.websockets import WebSocket, WebSocketDisconnect

from app.adapters.link import Listener
from app.errors import LinkClogged, LinkClosed

log = structlog.get_logger()

UNSENT_BYTES = 1 << 20
MESSAGE_BYTES = 256 * 1024
"""A frame of 20 ms is 300 bytes; nobody who speaks the protocol comes near this."""
CLOSE_SECONDS = 2.0
"""How long what was sent before a close, and the close itself, may take."""


class AsgiLink:
    """A `Link` over a Starlette WebSocket. `send` never waits; the writer takes what gathered."""

    def __init__(self, socket: WebSocket) -> None:
        self.socket = socket
        self.code: int | None = None
        """Our close code, once we close."""
        self._reason = ""
        self._unsent: deque[bytes] = deque()
        self._unsent_bytes = 0
        self._wake = asyncio.Event()
        self._closing = asyncio.Event()
        self._gone = False

    def send(self, text: bytes) -> None:
        """Queue one text message for the writer. Raises LinkClosed, LinkClogged."""
        if self._gone or self.code is not None:
            raise LinkClosed
        self._unsent.append(text)
        self._unsent_bytes += len(text)
        if self._unsent_bytes > UNSENT_BYTES:
            self._unsent.clear()
            self.close(1011, "reads too slowly")
            raise LinkClogged
        self._wake.set()

    def close(self, code: int = 1000, reason: str = "") -> None:
        """Close once what was sent before is written; fine if it is closed."""
        if self.code is None:
            self.code, self._reason = code, reason[:120]
            self._wake.set()
            self._closing.set()

    async def run(self, listener: Listener) -> None:
        """Read and write until either end is done; the listener hears of the end once, whatever it was."""
        reader = asyncio.create_task(self._read(listener))
        writer = asyncio.create_task(self._write())
        closing = asyncio.create_task(self._closing.wait())
        code = 1006
        try:
            await asyncio.wait({reader, writer, closing}, return_when=asyncio.FIRST_COMPLETED)
            if closing.done() and not writer.done():  # a peer that does not read must not hold its call for ever
                await asyncio.wait({writer}, timeout=CLOSE_SECONDS)
            if reader.done() and reader.exception() is None:
                code = reader.result()
        finally:
            self._gone = True
            for task in (reader, writer, closing):
                task.cancel()
            await asyncio.gather(reader, writer, closing, return_exceptions=True)
            listener.closed(self.code or code, self._reason)

    async def _read(self, listener: Listener) -> int:
        """Hand on text; returns the peer's close code."""
        logged = False
        while True:
            message = await self.socket.receive()
            if message["type"] == "websocket.disconnect":
                return int(message.get("code") or 1005)
            text = message.get("text")
            if len(text or message.get("bytes") or "") > MESSAGE_BYTES:
                self.close(1009, "message too big")
                await asyncio.sleep(CLOSE_SECONDS)
                return 1009
            if text is not None:
                listener.heard(text)
            elif not logged:
                logged = True
                log.warning("binary message passed over", expected="text")

    async def _write(self) -> None:
        """Send what gathered, then wait for more; the close comes last."""
        with contextlib.suppress(WebSocketDisconnect, RuntimeError, OSError):
            while True:
                while self._unsent:
                    text = self._unsent.popleft()
                    self._unsent_bytes -= len(text)
                    await self.socket.send_text(text.decode())
                if self.code is not None:
                    await self.socket.close(self.code, self._reason or None)
                    return
                self._wake.clear()
                await self._wake.wait()
