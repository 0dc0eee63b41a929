"""What can befall the database and the disk."""

import asyncio
import signal

from app.chaos.caller import GREETING
from app.chaos.fault import Fault
from app.chaos.scene import Scene, eventually

HUNG_SECONDS = 8.0
LONG_SECONDS = 60.0


async def killed_long(scene: Scene) -> None:
    """kill -9 in the greeting; 60 s later it is there again: the call has long ended."""
    await _killed(scene, LONG_SECONDS)


async def killed(scene: Scene) -> None:
    """kill -9 in the greeting, and it is there again 8 s later."""
    await _killed(scene, HUNG_SECONDS)


async def _killed(scene: Scene, seconds: float) -> None:
    await scene.caller.begins(GREETING)
    assert scene.postgres is not None
    scene.postgres.kill()
    await asyncio.sleep(seconds)
    await scene.postgres.again()


async def gone(scene: Scene) -> None:
    """It is gone before the telephone rings ..."""
    assert scene.postgres is not None
    scene.postgres.kill()


async def comes_back(scene: Scene) -> None:
    """... and comes back after the call."""
    assert scene.postgres is not None
    await scene.call.finished()
    await scene.postgres.again()


async def hung(scene: Scene) -> None:
    """It takes connections and answers nothing, from the greeting on."""
    await scene.caller.begins(GREETING)
    assert scene.postgres is not None
    async with scene.postgres.hung():
        await asyncio.sleep(HUNG_SECONDS)


async def no_connections(scene: Scene) -> None:
    """All of its places are taken."""
    await scene.caller.begins(GREETING)
    assert scene.postgres is not None
    async with scene.postgres.without_connections():
        await asyncio.sleep(HUNG_SECONDS)


async def restarts(scene: Scene) -> None:
    """It is restarted again and again, whatever is being written."""
    assert scene.postgres is not None
    for _ in range(6):
        await asyncio.sleep(2.0)
        await scene.postgres.restart()


async def full(scene: Scene) -> None:
    """It has no room for a row more."""
    await scene.caller.begins(GREETING)
    assert scene.postgres is not None
    async with scene.postgres.full():
        await asyncio.sleep(HUNG_SECONDS)


async def read_only(scene: Scene) -> None:
    """Another server has taken over from it."""
    await scene.caller.begins(GREETING)
    assert scene.postgres is not None
    async with scene.postgres.read_only():
        await asyncio.sleep(HUNG_SECONDS)


async def gone_and_we_die(scene: Scene) -> None:
    """It is gone in the greeting; after the call we are killed too; both are started again, and the spool is replayed."""
    await scene.caller.begins(GREETING)
    assert scene.postgres is not None
    scene.postgres.kill()
    await scene.call.finished()
    await asyncio.sleep(1.0)  # the caller is gone; what is due within a moment is on disk
    scene.server.signal(signal.SIGKILL)
    await scene.server.ended()
    await scene.postgres.again()
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
    assert scene.postgres is not None
    scene.server.full_disk(True)
    scene.postgres.kill()
    await scene.call.finished()
    await scene.postgres.again()
    await eventually(lambda: _written(scene), "the rows out of memory")
    scene.server.full_disk(False)


async def _written(scene: Scene) -> bool:
    return (await scene.server.figures())["offhook_journal_spooled"] == 0


BOOKS = (
    Fault(
        name="database-killed",
        group="database",
        does="kill -9 in mid-call, back after 8 s",
        own_postgres=True,
        act=killed,
        quick=True,
    ),
    Fault(
        name="database-killed-60s",
        group="database",
        does="kill -9 in mid-call, back after 60 s",
        own_postgres=True,
        act=killed_long,
    ),
    Fault(
        name="database-gone",
        group="database",
        does="gone before the call, back after it",
        own_postgres=True,
        before=gone,
        act=comes_back,
    ),
    Fault(
        name="database-hung",
        group="database",
        does="takes connections and answers nothing, for 8 s",
        own_postgres=True,
        act=hung,
    ),
    Fault(
        name="database-no-connections",
        group="database",
        does="all of its connections are taken, for 8 s",
        own_postgres=True,
        act=no_connections,
    ),
    Fault(
        name="database-restarts",
        group="database",
        does="is restarted six times, every 2 s, whatever is being written",
        own_postgres=True,
        act=restarts,
    ),
    Fault(
        name="database-full",
        group="database",
        does="answers every write with 53100, disk full, for 8 s",
        own_postgres=True,
        act=full,
    ),
    Fault(
        name="database-read-only",
        group="database",
        does="takes no write, for 8 s, as after a failover",
        own_postgres=True,
        act=read_only,
    ),
    Fault(
        name="database-gone-then-killed",
        group="database",
        does="gone in mid-call; after the call the server is killed as well, and both start again",
        own_postgres=True,
        act=gone_and_we_die,
    ),
    Fault(
        name="disk-full",
        group="disk",
        does="the server's disk takes no byte more, from mid-call to its end",
        act=disk_full,
        quick=True,
    ),
    Fault(
        name="disk-full-database-gone",
        group="disk",
        does="the disk is full, and Postgres gone",
        own_postgres=True,
        act=disk_full_and_gone,
    ),
)
