"""A browser's end of a softphone call: takes everything at once, sends as fast as the browser reads, and never holds the line up.

Audio that a slow browser did not take in time is thrown away, the oldest first: it is worth nothing late. What happened on the
line is not, so that a browser which does not even take that is given up.
"""

import asyncio
from collections import deque
from typing import Any

import msgspec
import structlog
from starlette.websockets import WebSocket, WebSocketDisconnect, WebSocketState

log = structlog.get_logger()

MOST_FRAMES = 25
"""Half a second of audio."""
MOST_NEWS = 2000
CLOSE_SECONDS = 2.0
"""How long what is left to send may take after the end."""


class BrowserLink:
    """A `Page` over a WebSocket. `dropped`: frames that the browser was too slow for."""

    def __init__(self, socket: WebSocket) -> None:
        self.socket = socket
        self.dropped = 0
        self.gave_up = asyncio.Event()
        """The browser does not read."""
        self._news: deque[str] = deque()
        self._frames: deque[bytes] = deque()
        self._wake = asyncio.Event()
        self._last = False

    def audio(self, frame: bytes) -> None:
        """160 bytes of mu-law."""
        if len(self._frames) >= MOST_FRAMES:
            self._frames.popleft()
            self.dropped += 1
        self._frames.append(frame)
        self._wake.set()

    def tell(self, kind: str, **what: Any) -> None:
        """One JSON message: its `kind`, and what belongs to it."""
        if len(self._news) >= MOST_NEWS:
            self.gave_up.set()
            return
        self._news.append(msgspec.json.encode({"kind": kind, **what}).decode())
        self._wake.set()

    async def write(self) -> None:
        """Send until `finish`, news first; returns early if the browser is gone."""
        try:
            while True:
                while self._news or self._frames:
                    if self._news:
                        await self.socket.send_text(self._news.popleft())
                    else:
                        await self.socket.send_bytes(self._frames.popleft())
                if self._last:
                    return
                self._wake.clear()
                await self._wake.wait()
        except (WebSocketDisconnect, RuntimeError, OSError) as gone:  # the reader hears of it too
            log.info("a softphone's browser is gone", why=type(gone).__name__)

    async def finish(self, writer: "asyncio.Task[None]", code: int, reason: str) -> None:
        """Send what is left and close; a browser that does not take it within two seconds is left."""
        self._last = True
        self._frames.clear()
        self._wake.set()
        _, late = await asyncio.wait({writer}, timeout=CLOSE_SECONDS)
        for task in late:
            task.cancel()
        await asyncio.gather(writer, return_exceptions=True)
        if self.socket.application_state is WebSocketState.CONNECTED:
            try:
                async with asyncio.timeout(CLOSE_SECONDS):
                    await self.socket.close(code, reason)
            except (TimeoutError, WebSocketDisconnect, RuntimeError, OSError) as gone:
                log.info("a softphone's browser took no goodbye", why=type(gone).__name__)
