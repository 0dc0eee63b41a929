"""A transaction pooler at its worst: after every transaction the client continues on the next of three servers.

PgBouncer's `pool_mode = transaction` may do that whenever others use it too. Speaks just enough of the protocol for one
client connection at a time: start-up without TLS, then whole messages in both directions.
Source: PostgreSQL manual, "Message Formats".
"""

import asyncio
import struct
from pathlib import Path

SERVERS = 3
ENDS = {b"Q": b"Z", b"S": b"Z", b"H": b"nTE"}
"""A client's message that asks for answers, and the type of the last one: for Flush after Describe, its description or an error."""


class Pooler:
    """Listens on a Unix socket in `folder` (as Postgres does) and speaks to the server behind `server_socket`."""

    def __init__(self, folder: Path, server_socket: str) -> None:
        self.folder = folder
        self.server_socket = server_socket
        self.switches = 0
        self._clients: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> "Pooler":
        self._listener = await asyncio.start_unix_server(self._accept, self.folder / ".s.PGSQL.5432")
        return self

    async def __aexit__(self, *_: object) -> None:
        self._listener.close()
        for client in self._clients:
            client.cancel()
        await asyncio.gather(*self._clients, return_exceptions=True)

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task
        self._clients.add(task)
        servers: list[tuple[asyncio.StreamReader, asyncio.StreamWriter]] = []
        try:
            length = await reader.readexactly(4)
            startup = length + await reader.readexactly(struct.unpack("!I", length)[0] - 4)
            for number in range(SERVERS):
                server = await asyncio.open_unix_connection(self.server_socket)
                servers.append(server)
                server[1].write(startup)
                await self._answer(server[0], writer if number == 0 else None, b"Z")
            current = 0
            while True:
                message = await self._message(reader)
                servers[current][1].write(message)
                if message[:1] == b"X":
                    return
                if last := ENDS.get(message[:1]):
                    status = await self._answer(servers[current][0], writer, last)
                    if status == b"I":
                        current = (current + 1) % SERVERS
                        self.switches += 1
        except (asyncio.IncompleteReadError, ConnectionError):
            return
        finally:
            self._clients.discard(task)
            for _, other in [*servers, (reader, writer)]:
                other.close()

    async def _answer(self, server: asyncio.StreamReader, client: asyncio.StreamWriter | None, last: bytes) -> bytes:
        """Pass on all messages up to one of the types in `last`; returns the transaction's status, if it tells."""
        while True:
            message = await self._message(server)
            if client:
                client.write(message)
            if message[:1] in last:
                return message[5:] if message[:1] == b"Z" else b""

    async def _message(self, reader: asyncio.StreamReader) -> bytes:
        head = await reader.readexactly(5)
        return head + await reader.readexactly(struct.unpack("!I", head[1:])[0] - 4)
