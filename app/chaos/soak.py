"""The soak: very many short calls, one server; memory, tasks, descriptors and rows stay what they were, and are exact.

Each call rings, is greeted for half a second and is hung up by the caller. After each tenth of them, once all are over, the server
is looked at. A call that is over is remembered for `LINGER_SECONDS`; past that, memory may grow by `MOST_BYTES` a call at most.
"""

import asyncio
import contextlib
import os
import shutil
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Callable, Mapping
from pathlib import Path

import msgspec

from app.adapters.database import make_engine
from app.adapters.embedded_pg import EmbeddedPostgres
from app.calls.roster import LINGER_SECONDS
from app.chaos.lone import quietly
from app.chaos.scene import ACCOUNT, OURS, PUBLIC, TOKEN, environment_of, eventually
from app.chaos.server import Server, quiet_port
from app.errors import SetupError
from app.settings import ROOT
from app.sim.carrier import Carrier
from app.sim.playout import SILENCE

STEPS = 10
AT_A_TIME = 16
HEARD_MS = 500
PATIENCE_SECONDS = 30.0
MOST_BYTES = 1024
"""Of growth a call: the last calls that are over are remembered for a while, so that nothing late revives one."""
MORE = 4
"""Descriptors and tasks may differ by so many: connections of the pool, spare links, a timer's task."""
TABLES = {
    "calls": "SELECT count(*) FROM calls WHERE ended_at IS NOT NULL",
    "turns": "SELECT count(*) FROM turns WHERE who = 'agent'",
    "stream_started": "SELECT count(*) FROM milestones WHERE name = 'stream_started'",
    "call_closed": "SELECT count(*) FROM milestones WHERE name = 'call_closed'",
}
"""What there must be one of for each call."""


class Look(msgspec.Struct, kw_only=True):
    """The server after so many calls, all of which are over."""

    calls: int
    seconds: float
    rss_kb: int
    tasks: int
    files: int
    rows: Mapping[str, int]


class Impatient:
    """A caller who hangs up as soon as half a second of the greeting was heard."""

    def __init__(self) -> None:
        self.enough = asyncio.Event()
        self._heard_ms = 0

    def next_frame(self) -> bytes:
        """Not a word."""
        return SILENCE

    def heard(self, frame: bytes, at_ms: int) -> None:
        """20 ms of the agent's end."""
        self._heard_ms += 20 * (frame != SILENCE)
        if self._heard_ms >= HEARD_MS:
            self.enough.set()


def run(calls: int, at_a_time: int, done: Callable[[Look], object]) -> list[Look]:
    """So many calls; what the server looked like on the way, each of which `done` is told at once. Raises SetupError."""
    quietly()
    try:
        return asyncio.run(_soak(calls, at_a_time, done))
    except* TimeoutError:
        raise SetupError(
            f"expected every call to be greeted within {PATIENCE_SECONDS:g} s; one was not. Try fewer at a time: --jobs 4"
        ) from None


def judge(looks: list[Look]) -> list[str]:
    """What grew, and what is missing or twice. The first tenth fills caches; memory is judged as `settled` says."""
    wrong = [
        f"after {look.calls} calls there are {count} of {name}"
        for look in looks
        for name, count in look.rows.items()
        if count != look.calls
    ]
    steady = settled(looks)
    if steady:
        grown = (steady[-1].rss_kb - steady[0].rss_kb) * 1024 / (steady[-1].calls - steady[0].calls)
        if grown > MOST_BYTES:
            wrong.append(f"memory grew by {grown:.0f} bytes a call, {MOST_BYTES} at most")
    first, last = (looks[1:] or looks)[0], looks[-1]
    for name, before, after in (("tasks", first.tasks, last.tasks), ("descriptors", first.files, last.files)):
        if after > before + MORE:
            wrong.append(f"{name} grew from {before} to {after}")
    return wrong


def settled(looks: list[Look]) -> list[Look]:
    """Those by which memory is judged: as many calls are forgotten as come. Empty where the soak was too short for that."""
    steady = [look for look in looks if look.seconds > LINGER_SECONDS + 30.0]
    return steady if len(steady) > 1 else []


async def _soak(calls: int, at_a_time: int, done_so_far: Callable[[Look], object]) -> list[Look]:
    looks: list[Look] = []
    async with contextlib.AsyncExitStack() as stack:
        server, books = await _parts(stack)
        engine = make_engine(books, keep_connections=False)
        stack.push_async_callback(engine.dispose)

        async def rows() -> dict[str, int]:
            async with engine.connect() as connection:
                return {name: (await connection.exec_driver_sql(sql)).scalar_one() for name, sql in TABLES.items()}

        async def quiet() -> bool:
            figures = await server.figures()
            return figures["offhook_calls_live"] == figures["offhook_journal_spooled"] == 0

        began, done = time.monotonic(), 0
        for step in range(min(STEPS, calls)):
            share = calls * (step + 1) // min(STEPS, calls) - done
            await _calls(server, share, at_a_time, done)
            done += share
            await eventually(quiet, "an end of all calls", 60.0)
            figures = await server.figures()
            look = Look(
                calls=done,
                seconds=round(time.monotonic() - began, 1),
                rss_kb=_rss_kb(server.pid),
                tasks=int(figures["offhook_tasks"]),
                files=_files(server.pid),
                rows=await rows(),
            )
            looks.append(look)
            done_so_far(look)
    return looks


async def _calls(server: Server, count: int, at_a_time: int, done: int) -> None:
    """So many calls, by a carrier whose connections are gone afterwards. Raises TimeoutError if one is not greeted."""
    free = asyncio.Semaphore(at_a_time)
    carrier = Carrier(auth_token=TOKEN, account_sid=ACCOUNT, public_url=PUBLIC, connect_to=server.url, keep_audio=False)

    async def one(number: int) -> None:
        async with free:
            line = Impatient()
            call = await carrier.dial(from_number=f"+1415{number:07d}", to_number=OURS, line=line)
            try:
                async with asyncio.timeout(PATIENCE_SECONDS):
                    await line.enough.wait()
            finally:
                await call.hang_up()
                carrier.account.calls.pop(call.call_sid)

    try:
        async with asyncio.TaskGroup() as tasks:
            for number in range(done, done + count):
                tasks.create_task(one(number))
    finally:
        await carrier.close()


async def _parts(stack: contextlib.AsyncExitStack) -> tuple[Server, str]:
    """A server and its books; the model is a process of its own."""
    if not _files(os.getpid()):
        raise SetupError("expected a system with /proc (Linux), to count descriptors and memory by")
    folder = Path(tempfile.mkdtemp(prefix="offhook-chaos-"))
    stack.callback(shutil.rmtree, folder, ignore_errors=True)
    postgres = EmbeddedPostgres(folder / "pg", durable=False)
    stack.callback(postgres.stop)
    books = postgres.start()
    shutil.copy(ROOT / "offhook.toml", folder)
    model_url = await stack.enter_async_context(_model())
    server = Server()
    stack.push_async_callback(server.close)
    server.environment = {**environment_of(folder, books, model_url), "LOG_LEVEL": "warning"}
    await server.start()
    return server, books


@contextlib.asynccontextmanager
async def _model() -> AsyncIterator[str]:
    """The model stand-in's address."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "app.cli", "model", "--port", str(quiet_port()), cwd=ROOT,
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.DEVNULL, start_new_session=True,
    )  # fmt: skip
    try:
        assert process.stdout is not None
        said = (await process.stdout.readline()).decode().strip()
        if not said:
            raise SetupError("expected the model stand-in to start; it ended instead: try ./offhook model")
        yield said.partition("=")[2]
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


def _rss_kb(pid: int) -> int:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(text.split()[1]) for text in lines if text.startswith("VmRSS:"))


def _files(pid: int) -> int:
    """Open descriptors; 0 where the system does not tell."""
    folder = Path(f"/proc/{pid}/fd")
    return sum(1 for _ in folder.iterdir()) if folder.exists() else 0
