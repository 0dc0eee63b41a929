"""An app in a process of its own, to run a database, join one, or be killed; and what its server then does."""

import json
import os
import select
import subprocess
import sys
from pathlib import Path

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import create_async_engine
from sqlalchemy.pool import NullPool

from app.adapters.pg_postmaster import Postmaster, read_postmaster

ROOT = Path(__file__).resolve().parents[3]
linux_only = pytest.mark.skipif(sys.platform != "linux", reason="the death signal is Linux's")
root_only = pytest.mark.skipif(os.geteuid() != 0, reason="only root needs another account")

# An app in a process of its own: starts the database, says what it got, and stops when told so or killed.
APP = """
import json, sys
from pathlib import Path
from app.adapters import pg_account
from app.adapters.embedded_pg import EmbeddedPostgres
if sys.argv[2] != "linux":
    pg_account.die_with = lambda parent: None
postgres = EmbeddedPostgres(Path(sys.argv[1]))
print(json.dumps({"url": postgres.start(), "owner": postgres.owner}), flush=True)
sys.stdin.read()
postgres.stop()
"""


class App:
    """A process that runs or joins the database of a folder."""

    def __init__(self, folder: Path, platform: str = "linux") -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-c", APP, str(folder), platform],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env=os.environ | {"PYTHONPATH": str(ROOT)},
        )
        self.url, self.owner = "", False

    def answers(self) -> "App":
        assert self.process.stdout
        said = json.loads(self.process.stdout.readline())
        self.url, self.owner = said["url"], said["owner"]
        return self

    def stops(self) -> None:
        assert self.process.stdin
        assert self.process.stdout
        self.process.stdin.close()
        self.process.wait(60)
        self.process.stdout.close()

    def is_killed(self) -> None:
        self.process.kill()
        self.stops()


async def query(url: str, statement: str) -> list[str]:
    engine = create_async_engine(url, poolclass=NullPool)
    try:
        async with engine.begin() as connection:
            result = await connection.execute(text(statement))
            return [str(row[0]) for row in result] if result.returns_rows else []
    finally:
        await engine.dispose()


async def callers(url: str) -> list[str]:
    return await query(url, "SELECT caller FROM calls ORDER BY caller")


def running_in(folder: Path) -> Postmaster:
    (database,) = (path for path in folder.glob("pg*") if path.is_dir())
    running = read_postmaster(database)
    assert running, f"no server runs in {database}"
    return running


def children(pid: int) -> list[int]:
    found = []
    for entry in Path("/proc").glob("[0-9]*/stat"):
        try:
            parent = int(entry.read_text().rpartition(")")[2].split()[1])
        except (FileNotFoundError, ProcessLookupError):
            continue
        if parent == pid:
            found.append(int(entry.parent.name))
    return found


class Watch:
    """Waits for the end of a process that is not our child."""

    def __init__(self, pid: int) -> None:
        self.fd = os.pidfd_open(pid)

    def ends(self) -> bool:
        poll = select.poll()
        poll.register(self.fd, select.POLLIN)
        gone = poll.poll(60_000)
        os.close(self.fd)
        return bool(gone)
