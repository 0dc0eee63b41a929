"""Plays one fault: a real call in its own surroundings, then the judgement."""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator

import msgspec

from app.chaos import books, heard
from app.chaos.caller import GaveUp
from app.chaos.fault import Fault
from app.chaos.scene import OURS, Scene, eventually, staged
from app.chaos.talks import CALLER
from app.errors import OffhookError

CALL_SECONDS = 150.0
BOOKS_SECONDS = 30.0


class Row(msgspec.Struct, kw_only=True):
    """What came of a fault. `why`: what was wrong; empty where `ok`. silence_ms None: there was no call to hear."""

    fault: str
    group: str
    ok: bool
    silence_ms: int | None = None
    limit_ms: int
    why: str = ""
    heard: str = ""
    """What the carrier did, verb by verb."""
    seconds: float = 0.0


async def play(fault: Fault, database: str) -> Row:
    """Play it. database: an empty, migrated one; not looked at where the fault has a Postgres of its own."""
    began = time.monotonic()
    row = Row(fault=fault.name, group=fault.group, ok=False, limit_ms=fault.limit_ms)
    try:
        async with staged(fault, database) as scene:
            wrong = await _call(fault, scene)
            what = heard.listen(scene.call, scene.caller)
            row.silence_ms = None if fault.heard == "refused" else what.silence_ms
            row.heard = " ".join(what.verbs)
            wrong += heard.faults(fault, what) + scene.notes
            try:
                if fault.heard != "refused":
                    await eventually(lambda: books.closed(scene), "the end of the call in the books", BOOKS_SECONDS)
            except TimeoutError as late:
                wrong.append(str(late))
            wrong += await books.faults(fault, scene)
            wrong += _logged(scene)
    except (OffhookError, OSError, TimeoutError) as broken:
        wrong = [f"it could not be played: {broken}"]
    row.ok, row.why, row.seconds = not wrong, "; ".join(wrong), round(time.monotonic() - began, 1)
    return row


async def _call(fault: Fault, scene: Scene) -> list[str]:
    """The call, from the first ring until it is over and all that was to be done is done; what went wrong with it."""
    wrong: list[str] = []
    if fault.before is not None:
        await fault.before(scene)
    scene.call = await scene.carrier.dial(
        from_number=CALLER,
        to_number=OURS,
        line=scene.caller,
        webhook=f"/twilio/incoming?mode={fault.mode}",
        fallback="/twilio/fallback",
        gathers=("0",),
        quirks=fault.quirks,
    )
    scene.caller.life_ms = scene.call.hearing.life_ms
    async with _beside(fault, scene, wrong):
        talking = asyncio.create_task(scene.caller.talks())
        over = asyncio.create_task(scene.call.finished())
        try:
            async with asyncio.timeout(CALL_SECONDS):
                await asyncio.wait({talking, over}, return_when=asyncio.FIRST_COMPLETED)
                if talking.done():
                    await talking
                await over
        except (GaveUp, TimeoutError) as lost:
            wrong.append(str(lost) or f"the call did not end within {CALL_SECONDS:g} s")
            await scene.call.hang_up()
        finally:
            talking.cancel()
            await asyncio.gather(talking, return_exceptions=True)
    return wrong


@contextlib.asynccontextmanager
async def _beside(fault: Fault, scene: Scene, wrong: list[str]) -> AsyncIterator[None]:
    """What is done to the call while it goes on; it is waited for to its end."""
    act = asyncio.ensure_future(fault.act(scene)) if fault.act is not None else None
    yield
    if act is not None:
        try:
            async with asyncio.timeout(CALL_SECONDS):
                await act
        except (GaveUp, TimeoutError) as lost:
            wrong.append(f"what was to be done could not be: {lost}")


def _logged(scene: Scene) -> list[str]:
    """Tracebacks are faults of ours, whatever the caller heard."""
    found = []
    for server in scene.servers:
        lines = server.log().splitlines()
        tracebacks = [number for number, text in enumerate(lines) if "Traceback" in text]
        if tracebacks:
            found.append(f"{len(tracebacks)} tracebacks in the log: {_last(lines[tracebacks[0] :])}")
    return found


def _last(lines: list[str]) -> str:
    """What a traceback ends with: its first line that is not indented."""
    return next((text for text in lines[1:] if text and not text.startswith((" ", "|", "+"))), lines[0])[:200]
