"""A Postgres of its own for one fault, and what can befall it: killed, hung, restarted, out of connections, full, read-only."""

import asyncio
import contextlib
import os
import signal
import sys
from collections.abc import AsyncIterator, Iterator, Sequence
from pathlib import Path
from urllib.parse import unquote

import asyncpg
from sqlalchemy import make_url

from app.adapters.embedded_pg import EmbeddedPostgres
from app.adapters.pg_postmaster import read_postmaster
from app.adapters.tables import metadata
from app.errors import SetupError
from app.settings import ROOT

FULL = """
CREATE OR REPLACE FUNCTION chaos_full() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN RAISE EXCEPTION 'could not extend file: No space left on device' USING ERRCODE = '53100'; END $$
"""


class Postgres:
    """`url` is its address, the same in each of its lives. A process of its own keeps it, as starting one takes its time."""

    def __init__(self, folder: Path) -> None:
        self.url = ""
        self._folder = folder
        self._keeper: asyncio.subprocess.Process

    async def start(self) -> None:
        """Begin its first life."""
        self._folder.mkdir(exist_ok=True)
        with (self._folder / "keeper.log").open("wb") as log:
            self._keeper = await asyncio.create_subprocess_exec(
                sys.executable, "-m", "app.chaos.postgres", str(self._folder), cwd=ROOT,
                env={**os.environ, "PYTHONPATH": str(ROOT)}, stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE, stderr=log, start_new_session=True,
            )  # fmt: skip
        await self.again()

    def kill(self) -> None:
        """kill -9, all of it."""
        for pid in self._pids():
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)

    async def again(self) -> None:
        """It is there again: after a kill by recovery, as after any crash. Raises SetupError."""
        await self._tell("start")

    async def restart(self) -> None:
        """Every connection is cut, and it is there again at once. Raises SetupError."""
        await self._tell("restart")

    async def close(self) -> None:
        """End it."""
        assert self._keeper.stdin is not None
        self._keeper.stdin.close()
        await self._keeper.wait()

    async def _tell(self, order: str) -> None:
        assert self._keeper.stdin is not None
        assert self._keeper.stdout is not None
        self._keeper.stdin.write(f"{order}\n".encode())
        self.url = (await self._keeper.stdout.readline()).decode().strip()
        if not self.url:
            said = (self._folder / "keeper.log").read_text(errors="replace")
            raise SetupError(f"expected a Postgres in {self._folder}, but: {said[-400:]}")

    @contextlib.asynccontextmanager
    async def hung(self) -> AsyncIterator[None]:
        """It takes connections and never answers: all of its processes stand still."""
        with still(self._pids()):
            yield

    @contextlib.asynccontextmanager
    async def without_connections(self) -> AsyncIterator[None]:
        """Whoever was connected is thrown out, and all places are taken."""
        taken: list[asyncpg.Connection[asyncpg.Record]] = []
        admin = await self._connect()
        try:
            await self._take(taken)
            await admin.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'offhook'"
            )
            for _ in range(20):
                await self._take(taken)
                await asyncio.sleep(0.02)
            yield
        finally:
            for connection in [*taken, admin]:
                connection.terminate()

    @contextlib.asynccontextmanager
    async def full(self) -> AsyncIterator[None]:
        """Every write is answered as by a server whose disk is full (SQLSTATE 53100); by triggers: nobody's disk is filled up."""
        tables = [table.name for table in metadata.sorted_tables]
        admin = await self._connect()
        await admin.execute(FULL)
        for table in tables:
            await admin.execute(
                f"CREATE TRIGGER chaos_full BEFORE INSERT OR UPDATE OR DELETE ON {table} EXECUTE FUNCTION chaos_full()"
            )
        try:
            yield
        finally:
            for table in tables:
                await admin.execute(f"DROP TRIGGER chaos_full ON {table}")
            await admin.close()

    @contextlib.asynccontextmanager
    async def read_only(self) -> AsyncIterator[None]:
        """It takes no write, as a server that another one has taken over from."""
        admin = await self._connect()
        await admin.execute("SET default_transaction_read_only = off")
        await admin.execute("ALTER SYSTEM SET default_transaction_read_only = on")
        await admin.execute("SELECT pg_reload_conf()")
        try:
            yield
        finally:
            await admin.execute("ALTER SYSTEM RESET default_transaction_read_only")
            await admin.execute("SELECT pg_reload_conf()")
            await admin.close()

    async def _take(self, taken: list["asyncpg.Connection[asyncpg.Record]"]) -> None:
        with contextlib.suppress(asyncpg.TooManyConnectionsError):
            while True:
                taken.append(await self._connect())

    async def _connect(self) -> "asyncpg.Connection[asyncpg.Record]":
        url = make_url(self.url)
        return await asyncpg.connect(
            host=unquote(str(url.query["host"])),
            port=int(str(url.query["port"])),
            user=url.username,
            database=url.database,
            server_settings={"application_name": "chaos"},
        )

    def _pids(self) -> list[int]:
        (pid_file,) = self._folder.glob("pg[0-9]*/postmaster.pid")
        running = read_postmaster(pid_file.parent)
        assert running is not None, "it runs"
        return [running.pid, *children(running.pid)]


@contextlib.contextmanager
def still(pids: Sequence[int]) -> Iterator[None]:
    """These processes do nothing: they take connections, and never answer."""
    for pid in pids:
        os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        for pid in reversed(pids):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGCONT)


def children(parent: int) -> list[int]:
    """Whose parent this is. Where there is no /proc, the parent alone is known, and its children end with it."""
    found = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            if int(stat.read_text().rpartition(")")[2].split()[1]) == parent:
                found.append(int(stat.parent.name))
    return found


def keep(folder: Path) -> None:
    """Start and restart a server as stdin says, a word a line; each is answered with its address. It ends with stdin."""
    server = EmbeddedPostgres(folder, durable=True)  # what was committed survives a kill
    try:
        for order in sys.stdin:
            if order.strip() == "restart":
                server.stop()
            sys.stdout.write(server.start() + "\n")
            sys.stdout.flush()
    finally:
        server.stop()


if __name__ == "__main__":
    keep(Path(sys.argv[1]))
