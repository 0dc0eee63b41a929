"""The business's backend of the matrix: it books what it is asked for, once for each key, and can be slow to say so.

Its ledger is what the agent's words are held against: nothing may be in it twice, and nothing told that is not in it.
"""

import asyncio
import contextlib
import json
from collections.abc import Mapping
from typing import Any

import msgspec


class Asked(msgspec.Struct):
    """A request that came whole."""

    path: str
    key: str
    body: Mapping[str, Any]


class Business:
    """`acts`: what was done, by the key that it was asked for with. `asked`: every request, repeats as well."""

    def __init__(self) -> None:
        self.asked: list[Asked] = []
        self.acts: dict[str, Mapping[str, Any]] = {}
        self.first_acts = True
        """Whether the first request is acted on at once; else nothing of it is ever done."""
        self.holds_seconds: float | None = 0.0
        """The first answer comes so much later; None: never."""
        self._server: asyncio.Server | None = None
        self._answers: set[asyncio.Task[None]] = set()
        self._news = asyncio.Event()

    async def start(self) -> str:
        """Listen; returns the address."""
        self._server = await asyncio.start_server(self._connected, "127.0.0.1", 0)
        return f"http://127.0.0.1:{self._server.sockets[0].getsockname()[1]}"

    async def close(self) -> None:
        """Hang up on whoever waits."""
        if self._server is not None:
            self._server.close()
        for answer in set(self._answers):
            answer.cancel()
        await asyncio.gather(*self._answers, return_exceptions=True)

    async def is_asked(self) -> None:
        """Wait for the first request."""
        while not self.asked:
            self._news.clear()
            await self._news.wait()

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._answers.add(task)
        try:
            with contextlib.suppress(OSError, asyncio.IncompleteReadError, asyncio.CancelledError):  # by `close`
                await self._serve(reader, writer)
        finally:
            self._answers.discard(task)
            writer.transport.abort()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            lines = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
            method, path, _ = lines[0].split(" ", 2)
            heads = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines[1:])}
            body = json.loads(await reader.readexactly(int(heads.get("content-length", 0))) or b"{}")
            answer = b"{}"
            if method == "POST":
                answer = await self._act(Asked(path, heads.get("idempotency-key", ""), body))
            writer.write(b"HTTP/1.1 201 Created\r\nContent-Type: application/json\r\n")
            writer.write(b"Content-Length: %d\r\n\r\n%b" % (len(answer), answer))
            await writer.drain()

    async def _act(self, asked: Asked) -> bytes:
        first = not self.asked
        self.asked.append(asked)
        if self.first_acts or not first:
            self.acts.setdefault(asked.key, asked.body)
        self._news.set()
        if first and self.holds_seconds is None:
            await asyncio.Event().wait()
        elif first:
            await asyncio.sleep(self.holds_seconds or 0.0)
        kept = {name: asked.body[name] for name in ("name", "start", "reason") if name in asked.body}
        return msgspec.json.encode({"reference": f"R{list(self.acts).index(asked.key) + 1}", **kept})
