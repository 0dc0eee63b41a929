"""A front of our own between two ends: leads connections on, to the next server that is ready, and can hold them up on the way.

It knows TCP and nothing above it, but for one question to each server: is it ready?
"""

import asyncio
import contextlib
from collections.abc import Sequence

ASK_SECONDS = 0.4
CHUNK = 65_536


class Front:
    """`up`: what clients send passes; `down`: what servers send does. Cleared, it waits on the way, and is not lost."""

    def __init__(self, ports: Sequence[int], *, asks: bool = False) -> None:
        """ports: on 127.0.0.1. asks: only those that answer /readyz with 200 get connections; of none, the first that listens."""
        self.ports = list(ports)
        self.up, self.down = asyncio.Event(), asyncio.Event()
        self.up.set()
        self.down.set()
        self._asks = asks
        self._turn = 0
        self._server: asyncio.Server | None = None
        self._pumps: set[asyncio.Task[None]] = set()
        self._carried: dict[int, list[int]] = {}
        """Of each open connection: its server's port, and the bytes that went to it."""

    async def start(self) -> int:
        """Listen; returns the port."""
        self._server = await asyncio.start_server(self._connected, "127.0.0.1", 0)
        return int(self._server.sockets[0].getsockname()[1])

    def freeze(self) -> None:
        """What is connected now never hears of each other again, and neither end is told; later connections are as usual."""
        for pump in self._pumps:
            pump.set_name("frozen")

    def busiest(self) -> int:
        """The port of the server that got most on one connection that is open: it has the stream."""
        return max(self._carried.values(), key=lambda carried: carried[1])[0]

    async def close(self) -> None:
        """Cut everything."""
        if self._server is not None:
            self._server.close()
        for pump in set(self._pumps):
            pump.cancel()
        await asyncio.gather(*self._pumps, return_exceptions=True)

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        found = await self._connect()
        if found is None:
            writer.transport.abort()
            return
        there, back, port = found
        carried = self._carried[id(back)] = [port, 0]
        pumps = [
            asyncio.create_task(self._pump(reader, back, self.up, carried)),
            asyncio.create_task(self._pump(there, writer, self.down, [port, 0])),
        ]
        self._pumps.update(pumps)
        try:
            await asyncio.wait(pumps)
        finally:
            self._pumps.difference_update(pumps)
            del self._carried[id(back)]
            for pump in pumps:
                pump.cancel()
            for end in (writer, back):
                end.transport.abort()

    async def _connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter, int] | None:
        """A connection to the next server: one that is ready, else one that listens."""
        turn, self._turn = self._turn, self._turn + 1
        ports = [self.ports[(turn + n) % len(self.ports)] for n in range(len(self.ports))]
        ready = [port for port in ports if not self._asks or await _ready(port)]
        for port in [*ready, *(port for port in ports if port not in ready)]:
            with contextlib.suppress(OSError):
                return *await asyncio.open_connection("127.0.0.1", port), port
        return None

    async def _pump(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, opened: asyncio.Event, carried: list[int]
    ) -> None:
        me = asyncio.current_task()
        assert me is not None
        with contextlib.suppress(ConnectionError):
            while piece := await reader.read(CHUNK):
                await opened.wait()
                if me.get_name() == "frozen":
                    await asyncio.Event().wait()
                carried[1] += len(piece)
                writer.write(piece)
                await writer.drain()
            await opened.wait()
            if writer.can_write_eof():
                writer.write_eof()
                return
        writer.transport.abort()


async def _ready(port: int) -> bool:
    """Whether a server says that it takes calls."""
    try:
        async with asyncio.timeout(ASK_SECONDS):
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            try:
                writer.write(b"GET /readyz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
                return b" 200 " in await reader.readline()
            finally:
                writer.transport.abort()
    except (OSError, TimeoutError):
        return False
