"""An endpoint of a business's over a real socket, which behaves as a test wants it to, and keeps what it was sent."""

import asyncio
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any, NamedTuple

import msgspec
from standardwebhooks import Webhook as Signer

from app.rules.webhooks import Webhook

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSwMfKQ9r8GKYqr"
PATIENCE = 15.0


class Received(NamedTuple):
    """One request."""

    headers: dict[str, str]
    body: bytes

    @property
    def id(self) -> str:
        return self.headers["webhook-id"]

    def verified(self, secret: str = SECRET) -> Any:
        """The message, if the library says that it is ours. Raises WebhookVerificationError."""
        return Signer(secret).verify(self.body, self.headers)


Manner = Callable[[asyncio.StreamWriter], Awaitable[None]]


class Endpoint:
    """Answers each request by the next of `manners`, and by the last one from then on."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.manners: list[Manner] = [taken]
        self.received: list[Received] = []
        self.connections = 0
        self._news = asyncio.Event()
        self.talks: set[asyncio.Task[None]] = set()

    def webhook(self, **changes: Any) -> Webhook:
        return msgspec.structs.replace(Webhook(name="crm", url=self.url, secrets=(SECRET,)), **changes)

    async def gets(self, count: int) -> list[Received]:
        """Wait until so many requests have come."""
        async with asyncio.timeout(PATIENCE):
            while len(self.received) < count:
                self._news.clear()
                await self._news.wait()
        return self.received

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        talk = asyncio.current_task()
        assert talk is not None
        self.talks.add(talk)
        try:
            head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
            headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in head[1:] if line)}
            body = await reader.readexactly(int(headers["content-length"]))
            self.received.append(Received(headers, body))
            manner = self.manners.pop(0) if len(self.manners) > 1 else self.manners[0]
            self._news.set()
            await manner(writer)
        except (OSError, asyncio.IncompleteReadError):
            pass  # the other side has had enough, which is what some of these are for
        finally:
            writer.close()
            self.talks.discard(talk)


def says(status: str, body: bytes = b"", *more: str) -> Manner:
    """A plain answer."""

    async def answer(writer: asyncio.StreamWriter) -> None:
        lines = [f"HTTP/1.1 {status}", f"Content-Length: {len(body)}", "Connection: close", *more]
        writer.write("\r\n".join([*lines, "", ""]).encode() + body)
        await writer.drain()

    return answer


taken = says("204 No Content")


async def hangs(writer: asyncio.StreamWriter) -> None:
    """No word, ever."""
    await asyncio.Event().wait()


async def drips(writer: asyncio.StreamWriter) -> None:
    """A header that never ends, a byte at a time: no pause is ever long."""
    writer.write(b"HTTP/1.1 200 OK\r\nX-Long: ")
    while not writer.is_closing():
        writer.write(b"x")
        await writer.drain()
        await asyncio.sleep(0.01)


def floods(status: str, megabytes: int) -> tuple[Manner, list[int]]:
    """An answer of so many megabytes; and a list that has how many bytes the other side took, once it left."""
    took: list[int] = []

    async def answer(writer: asyncio.StreamWriter) -> None:
        size = megabytes << 20
        writer.write(f"HTTP/1.1 {status}\r\nContent-Length: {size}\r\n\r\n".encode())
        sent, block = 0, b"x" * 65536
        try:
            while sent < size:
                writer.write(block)
                await writer.drain()
                sent += len(block)
        finally:
            took.append(sent)

    return answer, took


@asynccontextmanager
async def endpoint(*manners: Manner, tls: ssl.SSLContext | None = None) -> AsyncIterator[Endpoint]:
    """One on a free port."""
    it = Endpoint("")
    server = await asyncio.start_server(it._serve, "127.0.0.1", 0, ssl=tls)
    port = server.sockets[0].getsockname()[1]
    it.url = f"{'https' if tls else 'http'}://127.0.0.1:{port}/hooks"
    it.manners = list(manners) or [taken]
    try:
        yield it
    finally:
        server.close()
        talks = list(it.talks)
        for talk in talks:
            talk.cancel()
        await asyncio.gather(*talks, return_exceptions=True)
