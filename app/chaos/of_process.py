"""What can befall the server's process, and the clock of its machine."""

import asyncio
import signal
from typing import Any

from app.chaos.fault import Act, of
from app.chaos.scene import Scene, eventually
from app.chaos.talks import BOOKS, GREETING, HOURS, OPEN

FROZEN_SECONDS = 5.0


def ended_by(number: signal.Signals) -> Act:
    """The process that has the call gets a signal while it greets."""

    async def act(scene: Scene) -> None:
        await scene.caller.begins(GREETING)
        scene.serving().signal(number)

    return act


async def killed(scene: Scene) -> None:
    """kill -9 of the process that has the call, in mid-answer; another one lives."""
    await scene.caller.begins(OPEN)
    await asked(scene)
    scene.serving().signal(signal.SIGKILL)


async def killed_without_books(scene: Scene) -> None:
    """kill -9 in mid-answer, with the database gone: the other process knows nothing of the call."""
    await scene.caller.begins(OPEN)
    await asked(scene)
    scene.database.kill()
    victim = scene.serving()
    victim.signal(signal.SIGKILL)
    await scene.call.finished()
    await scene.database.again()
    await victim.start()


async def killed_as_it_books(scene: Scene) -> None:
    """kill -9 while the business's backend has the booking, and has not said so."""
    scene.backend.holds_seconds = None
    await scene.backend.is_asked()
    await begun(scene)
    scene.serving().signal(signal.SIGKILL)


async def killed_before_it_books(scene: Scene) -> None:
    """kill -9 once the backend was asked, which did nothing of it."""
    scene.backend.first_acts = False
    await killed_as_it_books(scene)


async def frozen(scene: Scene) -> None:
    """Nothing of it runs for five seconds of the greeting."""
    await scene.caller.begins(GREETING)
    await _stands_still(scene)


async def frozen_before_an_answer(scene: Scene) -> None:
    """... and while an answer is due."""
    await scene.caller.until(lambda: HOURS in scene.caller.said and scene.caller.silent, "the end of the question")
    await _stands_still(scene)


async def _stands_still(scene: Scene) -> None:
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


async def begun(scene: Scene) -> None:
    """The books have it that a tool was begun."""

    async def written() -> bool:
        return bool(await scene.store.tool_calls(scene.call.call_sid))

    await eventually(written, "a tool call in the books")


_FROZEN: dict[str, Any] = {
    "limit_ms": 7000,
    "why_longer": "nobody can speak while the process stands still; 2 s after that",
}
_KILLED: dict[str, Any] = {"servers": 2, "heard": "resumed", "dead_life": True, "codes": frozenset({31903})}

PROCESS = (
    of("process", "killed", "kill -9 in mid-answer; another process lives", act=killed, quick=True, **_KILLED),
    of(
        "process",
        "killed-in-greeting",
        "kill -9 while it greets; another process lives",
        act=ended_by(signal.SIGKILL),
        **_KILLED,
    ),
    of(
        "process",
        "killed-no-database",
        "kill -9 in mid-answer and the database gone; another process lives",
        own_postgres=True,
        act=killed_without_books,
        **_KILLED,
    ),
    of(
        "process",
        "killed-as-it-books",
        "kill -9 while the business has booked and has not said so; another process lives",
        talk=BOOKS,
        act=killed_as_it_books,
        **_KILLED,
    ),
    of(
        "process",
        "killed-before-it-books",
        "kill -9 once the business was asked to book and has not; another process lives",
        talk=BOOKS,
        act=killed_before_it_books,
        **_KILLED,
    ),
    of(
        "process",
        "term",
        "SIGTERM in mid-call, as at a deploy; another process lives",
        servers=2,
        act=ended_by(signal.SIGTERM),
        heard="resumed",
    ),
    of("process", "frozen", "stopped for 5 s while it greets", act=frozen, quick=True, **_FROZEN),
    of("process", "frozen-in-answer", "stopped for 5 s while an answer is due", act=frozen_before_an_answer, **_FROZEN),
    of("clock", "jump", "the wall clock goes an hour on in mid-call, and two hours back", act=clock_jumps),
)
