"""Rows of one call, and a journal at work, for the tests of the books."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
from sqlalchemy.ext.asyncio import AsyncEngine

from app.adapters.journal import Journal
from app.core.rows import CallEnded, CallStarted, DebugEvent, Turn

NOON = datetime(2026, 11, 24, 12, 0, 0, 123456, tzinfo=UTC)

started = CallStarted(
    call_sid="CA1",
    mode="receptionist",
    direction="inbound",
    from_number="+14155550133",
    to_number="+14155550199",
    started_at=NOON,
    version="0.1.0",
)
ended = CallEnded(
    call_sid="CA1",
    ended_at=NOON + timedelta(minutes=2),
    outcome="agent_ended",
    cost_usd=0.0421,
    greeting_path="prepared",
    greeting_ms=180,
)


def turn(seq: int, words: str = "Hello.", **changes: Any) -> Turn:
    row = Turn(call_sid="CA1", seq=seq, who="agent", generated_text=words, heard_text=words, start_ms=0, end_ms=900)
    return msgspec.structs.replace(row, **changes)


def event(number: int) -> DebugEvent:
    return DebugEvent(call_sid="CA1", at=NOON, source="model", event={"number": number})


@asynccontextmanager
async def writing(engine: AsyncEngine, **options: Any) -> AsyncIterator[Journal]:
    """A journal at work; whatever it holds at the end must be written by then."""
    journal = Journal(engine, **options)
    async with asyncio.TaskGroup() as tasks:
        running = tasks.create_task(journal.run())
        yield journal
        assert await journal.close(10) == 0
        await running
