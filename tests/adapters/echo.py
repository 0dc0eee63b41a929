"""Our links as an echo server and an echo client, for what is tried on them from outside."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from websockets.client import ClientProtocol
from websockets.protocol import Protocol
from websockets.uri import parse_uri

from app.adapters.link import WireLink
from app.adapters.upgrade import read_upgrade

LARGEST = 16 << 20


class EchoLink(WireLink):
    """A link that sends back what it hears, binary messages too: those are what our calls never have."""

    def __init__(self, core: Protocol, *, max_unsent: int = 2 * LARGEST) -> None:
        super().__init__(core, max_unsent=max_unsent)
        self.listener = self
        self.got: list[bytes] = []
        self.over = asyncio.Event()
        self.code = 0

    def heard(self, text: bytes) -> None:
        self.got.append(text)
        self.send(text)

    def closed(self, code: int, reason: str) -> None:
        self.code = code

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        self.over.set()

    def _binary(self, data: bytes) -> None:
        self.core.send_binary(data)
        self._flush()


class Hall(asyncio.Protocol):
    """Reads a handshake, then gives its place to an echo."""

    def __init__(self, echoes: "Echoes") -> None:
        self.echoes = echoes
        self.head = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport: asyncio.Transport = transport  # type: ignore[assignment]

    def data_received(self, data: bytes) -> None:
        self.head += data
        head, end, rest = self.head.partition(b"\r\n\r\n")
        if not end:
            return
        upgrade = read_upgrade(head + end, max_size=LARGEST)
        assert upgrade.good
        link = EchoLink(upgrade.accept(), max_unsent=self.echoes.max_unsent)
        self.transport.set_protocol(link)
        link.connection_made(self.transport)
        if rest:
            link.data_received(rest)
        self.echoes.links.append(link)
        self.echoes.came.put_nowait(link)


class Echoes:
    """A server on a free port. `came` has each link once it is open."""

    def __init__(self, max_unsent: int) -> None:
        self.max_unsent = max_unsent
        self.port = 0
        self.links: list[EchoLink] = []
        self.came: asyncio.Queue[EchoLink] = asyncio.Queue()

    @property
    def url(self) -> str:
        return f"ws://127.0.0.1:{self.port}"


@asynccontextmanager
async def echo_server(max_unsent: int = 2 * LARGEST) -> AsyncIterator[Echoes]:
    """Serve until left; then every link is dropped."""
    echoes = Echoes(max_unsent)
    server = await asyncio.get_running_loop().create_server(lambda: Hall(echoes), "127.0.0.1", 0)
    echoes.port = server.sockets[0].getsockname()[1]
    try:
        yield echoes
    finally:
        server.close()
        for link in echoes.links:
            link.abort()
        await asyncio.gather(*(link.over.wait() for link in echoes.links))


async def echo_client(url: str) -> list[bytes]:
    """Connect, echo until the server closes; returns the text messages that came."""
    uri = parse_uri(url)
    core = ClientProtocol(uri, max_size=LARGEST)
    core.send_request(core.connect())
    _, link = await asyncio.get_running_loop().create_connection(lambda: EchoLink(core), uri.host, uri.port)
    await link.over.wait()
    return link.got
