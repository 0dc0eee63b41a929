"""Runs faults beside each other, each in a process of its own: none can disturb another, and none leaves anything behind."""

import asyncio
import contextlib
import os
import shutil
import signal
import sys
import tempfile
from collections.abc import AsyncIterator, Callable, Sequence
from pathlib import Path

import msgspec

from app.adapters.embedded_pg import EmbeddedPostgres, create_database
from app.adapters.migrate import migrate
from app.chaos.fault import Fault
from app.chaos.lone import quietly
from app.chaos.playing import Row
from app.errors import SetupError
from app.settings import ROOT

TEMPLATE = "chaos_template"
PATIENCE_SECONDS = 300.0
"""A fault that takes longer is broken off."""
LEAVE_SECONDS = 30.0


def usual_jobs() -> int:
    """How many faults this machine bears at once: two a core, as each is a server, a carrier, a model and now and then Postgres."""
    return min(8, 2 * (os.cpu_count() or 1))


async def run(faults: Sequence[Fault], jobs: int, done: Callable[[Row], object]) -> list[Row]:
    """Play all of them; rows in the order of `faults`, and `done` is told of each as it ends. Raises SetupError."""
    quietly()
    free = asyncio.Semaphore(jobs)

    async with _books() as url:

        async def one(number: int, fault: Fault) -> Row:
            async with free:
                database = "" if fault.own_postgres else await create_database(url, f"chaos_{number}", TEMPLATE)
                row = await alone(fault, database)
            done(row)
            return row

        async with asyncio.TaskGroup() as tasks:
            playing = [tasks.create_task(one(number, fault)) for number, fault in enumerate(faults)]
    return [task.result() for task in playing]


async def alone(fault: Fault, database: str) -> Row:
    """One fault in its own process, which is ended whatever happens."""
    with tempfile.TemporaryFile() as errors:
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "app.chaos.lone", fault.name, database, cwd=ROOT,
            env={**os.environ, "PYTHONPATH": str(ROOT)}, stdout=asyncio.subprocess.PIPE, stderr=errors, start_new_session=True,
        )  # fmt: skip
        try:
            async with asyncio.timeout(PATIENCE_SECONDS):
                told, _ = await process.communicate()
            return msgspec.json.decode(told.splitlines()[-1], type=Row)
        except TimeoutError:
            why = f"it did not end within {PATIENCE_SECONDS:g} s"
        except (IndexError, msgspec.MsgspecError):
            errors.seek(0)
            why = f"its process failed: {errors.read()[-400:].decode(errors='replace').strip()}"
        finally:
            await _end(process)
    return Row(fault=fault.name, group=fault.group, ok=False, limit_ms=fault.limit_ms, why=why)


async def _end(process: asyncio.subprocess.Process) -> None:
    """As by Ctrl-C, so that it ends what it has started."""
    if process.returncode is None:
        process.send_signal(signal.SIGINT)
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(process.wait(), LEAVE_SECONDS)
    if process.returncode is None:
        process.kill()
        await process.wait()


@contextlib.asynccontextmanager
async def _books() -> AsyncIterator[str]:
    """One Postgres with a migrated database to copy; each fault gets a copy. Raises SetupError."""
    folder = Path(tempfile.mkdtemp(prefix="offhook-chaos-"))
    postgres = EmbeddedPostgres(folder, durable=False)
    try:
        url = postgres.start()
        await migrate(await create_database(url, TEMPLATE))
        yield url
    finally:
        postgres.stop()
        shutil.rmtree(folder, ignore_errors=True)


def first(group: BaseExceptionGroup[SetupError]) -> SetupError:
    """What is said of several things that went wrong at once: the first."""
    wrong = group.exceptions[0]
    return first(wrong) if isinstance(wrong, BaseExceptionGroup) else wrong
