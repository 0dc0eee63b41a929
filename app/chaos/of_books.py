"""What can befall the database and the disk."""

import asyncio
import signal
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from typing import Any

from app.chaos.fault import Act, Fault, of
from app.chaos.postgres import Postgres
from app.chaos.scene import Scene, eventually
from app.chaos.talks import GREETING

HUNG_SECONDS = 8.0
LONG_SECONDS = 60.0


def killed_for(seconds: float) -> Act:
    """kill -9 in the greeting, and it is there again that much later."""

    async def act(scene: Scene) -> None:
        await scene.caller.begins(GREETING)
        scene.database.kill()
        await asyncio.sleep(seconds)
        await scene.database.again()

    return act


def in_trouble(how: Callable[[Postgres], AbstractAsyncContextManager[None]]) -> Act:
    """It does not do its work for a while, from the greeting on."""

    async def act(scene: Scene) -> None:
        await scene.caller.begins(GREETING)
        async with how(scene.database):
            await asyncio.sleep(HUNG_SECONDS)

    return act


async def gone(scene: Scene) -> None:
    """It is gone before the telephone rings ..."""
    scene.database.kill()


async def comes_back(scene: Scene) -> None:
    """... and comes back after the call."""
    await scene.call.finished()
    await scene.database.again()


async def restarts(scene: Scene) -> None:
    """It is restarted again and again, whatever is being written."""
    for _ in range(6):
        await asyncio.sleep(2.0)
        await scene.database.restart()


async def gone_and_we_die(scene: Scene) -> None:
    """It is gone in the greeting; after the call we are killed too; both are started again, and the spool is replayed."""
    await scene.caller.begins(GREETING)
    scene.database.kill()
    await scene.call.finished()
    await asyncio.sleep(1.0)  # the caller is gone; what is due within a moment is on disk
    scene.server.signal(signal.SIGKILL)
    await scene.server.ended()
    await scene.database.again()
    await scene.server.start()


async def disk_full(scene: Scene) -> None:
    """Our own disk takes nothing from the greeting on: no spool, no log."""
    await scene.caller.begins(GREETING)
    scene.server.full_disk(True)
    await scene.call.finished()
    scene.server.full_disk(False)


async def disk_full_and_gone(scene: Scene) -> None:
    """Our own disk is full, and Postgres is gone, until the call is over: rows wait in memory."""
    await scene.caller.begins(GREETING)
    scene.server.full_disk(True)
    scene.database.kill()
    await scene.call.finished()
    await scene.database.again()
    await eventually(lambda: _written(scene), "the rows out of memory")
    scene.server.full_disk(False)


async def _written(scene: Scene) -> bool:
    return (await scene.server.figures())["offhook_journal_spooled"] == 0


def database(name: str, does: str, **more: Any) -> Fault:
    """A fault of its own Postgres."""
    return of("database", name, does, own_postgres=True, **more)


BOOKS = (
    database("killed", "kill -9 in mid-call, back after 8 s", act=killed_for(HUNG_SECONDS), quick=True),
    database("killed-60s", "kill -9 in mid-call, back after 60 s", act=killed_for(LONG_SECONDS)),
    database("gone", "gone before the call, back after it", before=gone, act=comes_back),
    database("hung", "takes connections and answers nothing, for 8 s", act=in_trouble(Postgres.hung)),
    database(
        "no-connections", "all of its connections are taken, for 8 s", act=in_trouble(Postgres.without_connections)
    ),
    database("restarts", "is restarted six times, every 2 s, whatever is being written", act=restarts),
    database("full", "answers every write with 53100, disk full, for 8 s", act=in_trouble(Postgres.full)),
    database("read-only", "takes no write, for 8 s, as after a failover", act=in_trouble(Postgres.read_only)),
    database(
        "gone-then-killed",
        "gone in mid-call; after the call the server is killed as well, and both start again",
        act=gone_and_we_die,
    ),
    of("disk", "full", "the server's disk takes no byte more, from mid-call to its end", act=disk_full, quick=True),
    of("disk", "full-database-gone", "the disk is full, and Postgres gone", own_postgres=True, act=disk_full_and_gone),
)
