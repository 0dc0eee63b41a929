"""A browser of sorts at `/phone`: asks for tickets, opens the line, speaks mu-law into it, and remembers what it was told."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from typing import Any

import httpx
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidStatus

from app.adapters.data_folder import Running
from app.adapters.store import CallStore
from app.sim.playout import FRAME_BYTES, SILENCE
from tests.web.console_stage import csrf

PATIENCE = 30.0
AHEAD = 6
"""Frames that are sent before their time: the machine may be busy, and a microphone that runs dry is heard as a hole."""


class PhoneBrowser:
    """One browser. `url` is the server's."""

    def __init__(self, running: Running, books: CallStore, **headers: str) -> None:
        self.url, self.books = running.url, books
        self.http = httpx.AsyncClient(trust_env=False, base_url=running.url, headers=headers)
        self.token = ""

    async def page(self) -> httpx.Response:
        """The phone's page; its form is good for tickets from then on."""
        answer = await self.http.get("/phone", headers={"Accept": "text/html"})
        self.token = csrf(answer)
        return answer

    async def ask(self, **wish: str) -> httpx.Response:
        """Ask for a ticket."""
        if not self.token:
            await self.page()
        return await self.http.post("/phone/ticket", data=wish, headers={"X-CSRF-Token": self.token})

    async def ticket(self, **wish: str) -> str:
        answer = await self.ask(**wish)
        assert answer.status_code == 200, answer.text
        return str(answer.json()["ticket"])

    def socket(self, ticket: str, *, origin: str | None = "", **headers: str) -> connect:
        """The line of a ticket. origin: the page's own if empty; None sends none."""
        if self.http.cookies:
            headers["Cookie"] = "; ".join(f"{name}={value}" for name, value in self.http.cookies.items())
        return connect(
            f"{self.url.replace('http', 'ws', 1)}/phone/ws/{ticket}",
            origin=(self.url if origin == "" else origin),  # type: ignore[arg-type]  # it is any text
            additional_headers=headers,
            proxy=None,
            close_timeout=5,
            ping_interval=None,
        )

    async def refused(self, ticket: str, *, origin: str | None = "", **headers: str) -> int:
        """The status that the line is refused with; 101 if it is not."""
        try:
            async with self.socket(ticket, origin=origin, **headers):
                return 101
        except InvalidStatus as wrong:
            return wrong.response.status_code

    @asynccontextmanager
    async def call(self, **wish: str) -> AsyncIterator["PhoneCall"]:
        """A call that has just begun, with its microphone on."""
        async with self.socket(await self.ticket(**wish)) as line:
            call = PhoneCall(line)
            try:
                yield call
            finally:
                await call.stop()


class PhoneCall:
    """One call as the page has it. `told` are the messages, `frames` how many times 20 ms were heard."""

    def __init__(self, socket: ClientConnection) -> None:
        self.socket = socket
        self.told: list[dict[str, Any]] = []
        self.frames = 0
        self._speech = bytearray()
        self._news = asyncio.Event()
        self._reader = asyncio.create_task(self._read())
        self._microphone = asyncio.create_task(self._speak())

    @property
    def sid(self) -> str:
        return str(self.of("call")[0]["call_sid"])

    def of(self, kind: str, **what: Any) -> list[dict[str, Any]]:
        return [told for told in self.told if told["kind"] == kind and told.items() >= what.items()]

    async def order(self, do: str, **what: Any) -> None:
        await self.socket.send(json.dumps({"do": do, **what}))

    def say(self, audio: bytes) -> None:
        """Speak, from the next frame on."""
        self._speech += audio

    async def until(self, check: Callable[[], object], what: str) -> None:
        try:
            async with asyncio.timeout(PATIENCE):
                while not check():
                    assert not self._reader.done(), f"the line was closed before {what}: {self.told[-5:]}"
                    self._news.clear()
                    await self._news.wait()
        except TimeoutError:
            raise AssertionError(f"expected {what}; told last: {self.told[-5:]}") from None

    async def told_of(self, kind: str, **what: Any) -> None:
        await self.until(lambda: self.of(kind, **what), f"{kind} {what}")

    async def agent_said(self, words: str) -> None:
        """Wait until the agent has said, and the caller heard, some words."""
        await self.until(
            lambda: any(words in turn["heard"] for turn in self.of("turn", who="agent")), f"the agent's {words!r}"
        )

    async def closed(self) -> int:
        """Wait until the server closes the line; its code."""
        try:
            async with asyncio.timeout(PATIENCE):
                await asyncio.shield(self._reader)
        except TimeoutError:
            raise AssertionError(f"expected the line to be closed; told last: {self.told[-8:]}") from None
        return self.socket.close_code or 1006

    async def stop(self) -> None:
        for task in (self._microphone, self._reader):
            task.cancel()
        await asyncio.gather(self._microphone, self._reader, return_exceptions=True)

    async def _speak(self) -> None:
        loop = asyncio.get_running_loop()
        began, sent = loop.time(), 0
        with suppress(ConnectionClosed):
            while True:
                frame = bytes(self._speech[:FRAME_BYTES]) or SILENCE
                del self._speech[:FRAME_BYTES]
                await self.socket.send(frame)
                sent += 1
                await asyncio.sleep(max(0.0, began + (sent - AHEAD) * 0.02 - loop.time()))

    async def _read(self) -> None:
        with suppress(ConnectionClosed):
            async for message in self.socket:
                if isinstance(message, bytes):
                    assert len(message) == FRAME_BYTES
                    self.frames += 1
                else:
                    self.told.append(json.loads(message))
                self._news.set()
