"""What can befall the server's process, and the clock of its machine."""

import asyncio
import signal

from app.chaos.caller import GREETING, HOURS, OPEN
from app.chaos.fault import Fault
from app.chaos.scene import Scene, eventually

FROZEN_SECONDS = 5.0


async def killed(scene: Scene) -> None:
    """kill -9 of the process that has the call, in mid-answer; another one lives."""
    await scene.caller.begins(OPEN)
    await asked(scene)
    scene.serving().signal(signal.SIGKILL)


async def killed_in_greeting(scene: Scene) -> None:
    """kill -9 while it greets."""
    await scene.caller.begins(GREETING)
    scene.serving().signal(signal.SIGKILL)


async def killed_without_books(scene: Scene) -> None:
    """kill -9 in mid-answer, with the database gone: the other process knows nothing of the call."""
    await scene.caller.begins(OPEN)
    await asked(scene)
    assert scene.postgres is not None
    scene.postgres.kill()
    victim = scene.serving()
    victim.signal(signal.SIGKILL)
    await scene.call.finished()
    await scene.postgres.again()
    await victim.start()


async def terminated(scene: Scene) -> None:
    """SIGTERM in the greeting, as at a deploy: what still talks near the end is handed over."""
    await scene.caller.begins(GREETING)
    scene.serving().signal(signal.SIGTERM)


async def frozen(scene: Scene) -> None:
    """Nothing of it runs for five seconds of the greeting."""
    await scene.caller.begins(GREETING)
    scene.server.signal(signal.SIGSTOP)
    await asyncio.sleep(FROZEN_SECONDS)
    scene.server.signal(signal.SIGCONT)


async def frozen_before_an_answer(scene: Scene) -> None:
    """... and while an answer is due."""
    await scene.caller.until(lambda: HOURS in scene.caller.said and scene.caller.silent, "the end of the question")
    scene.server.signal(signal.SIGSTOP)
    await asyncio.sleep(FROZEN_SECONDS)
    scene.server.signal(signal.SIGCONT)


async def clock_jumps(scene: Scene) -> None:
    """The wall clock goes an hour on in the greeting, and two hours back in the answer."""
    await scene.caller.begins(GREETING)
    scene.server.signal(signal.SIGUSR1)
    await scene.caller.begins(OPEN)
    scene.server.signal(signal.SIGUSR1)


async def asked(scene: Scene) -> None:
    """The books have the caller's question."""

    async def written() -> bool:
        return HOURS in [turn.generated_text for turn in await scene.store.turns(scene.call.call_sid)]

    await eventually(written, "the question in the books")


_FROZEN = "nobody can speak while the process stands still; 2 s after that"

PROCESS = (
    Fault(
        name="process-killed",
        group="process",
        does="kill -9 in mid-answer; another process lives",
        servers=2,
        act=killed,
        heard="resumed",
        dead_life=True,
        codes=frozenset({31903}),
        quick=True,
    ),
    Fault(
        name="process-killed-in-greeting",
        group="process",
        does="kill -9 while it greets; another process lives",
        servers=2,
        act=killed_in_greeting,
        heard="resumed",
        dead_life=True,
        codes=frozenset({31903}),
    ),
    Fault(
        name="process-killed-no-database",
        group="process",
        does="kill -9 in mid-answer and the database gone; another process lives",
        servers=2,
        own_postgres=True,
        act=killed_without_books,
        heard="resumed",
        dead_life=True,
        codes=frozenset({31903}),
    ),
    Fault(
        name="process-term",
        group="process",
        does="SIGTERM in mid-call, as at a deploy; another process lives",
        servers=2,
        act=terminated,
        heard="resumed",
    ),
    Fault(
        name="process-frozen",
        group="process",
        does="stopped for 5 s while it greets",
        act=frozen,
        limit_ms=7000,
        why_longer=_FROZEN,
        quick=True,
    ),
    Fault(
        name="process-frozen-in-answer",
        group="process",
        does="stopped for 5 s while an answer is due",
        act=frozen_before_an_answer,
        limit_ms=7000,
        why_longer=_FROZEN,
    ),
    Fault(
        name="clock-jump",
        group="clock",
        does="the wall clock goes an hour on in mid-call, and two hours back",
        act=clock_jumps,
    ),
)
