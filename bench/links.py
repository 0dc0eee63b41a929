"""Both ends of a WebSocket on the product's own links, for the programs of the bench that are written in Python."""

import asyncio
from collections.abc import Callable
from typing import cast

from websockets.client import ClientProtocol
from websockets.uri import parse_uri

from app.adapters.link import Listener, WireLink
from app.adapters.upgrade import read_upgrade

LARGEST = 1 << 20
UNSENT = 8 << 20


class Hall(asyncio.Protocol):
    """Reads a handshake's head, then gives its place to a link."""

    def __init__(self, make: Callable[[WireLink], Listener]) -> None:
        self._make = make
        self._head = b""
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """A client is there."""
        self._transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        """The head, whole or in pieces."""
        assert self._transport is not None
        self._head += data
        head, end, rest = self._head.partition(b"\r\n\r\n")
        if not end:
            return
        upgrade = read_upgrade(head + end, max_size=LARGEST)
        if not upgrade.good:
            self._transport.write(upgrade.answer.serialize())
            self._transport.close()
            return
        link = WireLink(upgrade.accept(), max_unsent=UNSENT)
        link.listener = self._make(link)
        self._transport.set_protocol(link)
        link.connection_made(self._transport)
        opened = getattr(link.listener, "opened", None)
        if opened is not None:
            opened()
        if rest:
            link.data_received(rest)


async def listen(port: int, make: Callable[[WireLink], Listener]) -> int:
    """Accept every upgrade on 127.0.0.1. make: whoever listens to a link that came; its `opened`, if it has one, is called
    once it may write. Returns the port."""
    server = await asyncio.get_running_loop().create_server(lambda: Hall(make), "127.0.0.1", port, backlog=1024)
    return int(server.sockets[0].getsockname()[1])


async def dial(url: str, listener: Listener, headers: dict[str, str] | None = None) -> WireLink:
    """A client's link, open. Raises OSError, InvalidHandshake, LinkClosed."""
    uri = parse_uri(url)
    core = ClientProtocol(uri, max_size=LARGEST)
    request = core.connect()
    for name, value in (headers or {}).items():
        request.headers[name] = value
    core.send_request(request)

    def end() -> WireLink:
        link = WireLink(core, max_unsent=UNSENT)
        link.listener = listener
        return link

    _, link = await asyncio.get_running_loop().create_connection(end, uri.host, uri.port)
    await link.opened
    return link
