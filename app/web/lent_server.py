"""hypercorn without a port of its own: the loop keeps the server that it asks for, and the fast door hands it connections.

hypercorn ends in `loop.create_server(protocol_factory, sock=...)`. Its socket is a placeholder of ours, bound to nothing, so that a
listen which slipped through would open nothing; the loop sees it and keeps the factory instead.
"""

import asyncio
import os
import socket
from collections.abc import Callable
from typing import Any

from hypercorn.asyncio import run
from hypercorn.asyncio.tcp_server import TCPServer

Factory = Callable[[], asyncio.BaseProtocol]


class PromptServer(TCPServer):
    """A connection of hypercorn's that ends when its peer has gone.

    hypercorn 0.18 leaves one that was idle to its keep-alive time: a descriptor and three tasks for each webhook, for 75 seconds.
    """

    async def _read_data(self) -> None:
        await super()._read_data()
        await self.idle_task.stop()


run.TCPServer = PromptServer  # type: ignore[attr-defined]  # it offers no other way in


class LentServer:
    """One placeholder, and what comes for it. Used on a loop that `loop_factory` made."""

    def __init__(self) -> None:
        """Ask for nothing yet; `bind` goes into hypercorn's configuration."""
        placeholder = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._fd = placeholder.detach()
        self.bind = f"fd://{self._fd}"
        self.factory: asyncio.Future[Factory] = asyncio.get_running_loop().create_future()
        """Makes the protocols of hypercorn's connections; there once its application has started."""
        loop = asyncio.get_running_loop()
        assert isinstance(loop, _Lending), "expected a loop made by loop_factory"
        loop.lent = self

    def take(self, sock: object, factory: Factory) -> "_Placed | None":
        """Keep a server that is asked for on our placeholder; None if it is asked for on another socket."""
        if not isinstance(sock, socket.socket) or sock.fileno() != self._fd:
            return None
        self._fd = -1
        if not self.factory.done():
            self.factory.set_result(factory)
        return _Placed(sock)

    def close(self) -> None:
        """Close a placeholder that hypercorn never came to use."""
        fd, self._fd = self._fd, -1
        if fd >= 0:
            os.close(fd)


class _Placed:
    """What hypercorn holds for its server."""

    def __init__(self, sock: socket.socket) -> None:
        self._sock = sock

    def close(self) -> None:
        """Close the placeholder; nothing listens."""
        self._sock.close()

    async def wait_closed(self) -> None:
        """Nothing was open."""


class _Lending:
    """A loop whose `create_server` keeps what is asked for on the placeholder."""

    lent: LentServer | None = None

    async def create_server(
        self, protocol_factory: Factory, host: Any = None, port: Any = None, **options: Any
    ) -> asyncio.AbstractServer:
        """As every loop's, but for the placeholder."""
        placed = self.lent.take(options.get("sock"), protocol_factory) if self.lent is not None else None
        if placed is not None:
            return placed  # type: ignore[return-value]  # hypercorn knows no more than these two methods
        return await super().create_server(protocol_factory, host, port, **options)  # type: ignore[misc, no-any-return]


def loop_factory() -> Callable[[], asyncio.AbstractEventLoop]:
    """What makes the loop to serve on: uvloop's where it is installed, the plain one elsewhere."""
    try:
        import uvloop
    except ImportError:
        return plain_loop
    return type("LendingUvloop", (_Lending, uvloop.Loop), {})


def plain_loop() -> asyncio.AbstractEventLoop:
    """asyncio's own loop, lending too."""
    return _LendingLoop()


class _LendingLoop(_Lending, asyncio.SelectorEventLoop):  # type: ignore[misc]  # create_server's overloads
    """asyncio's own."""
