"""A finished call in the books, a clock that is moved by hand, and a courier, for the tests of word to the business."""

from datetime import UTC, datetime, timedelta
from typing import Any, Literal

import msgspec
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from app.adapters.deliveries import Deliveries
from app.adapters.model_link import ModelSession
from app.adapters.store import CallStore
from app.core.finished import CallFinished
from app.core.rows import Outcome, ToolCall, Turn, Who
from app.jobs.courier import Courier
from app.mode import Mode
from app.rules.webhooks import Webhook
from tests.adapters.rows import ended, started, writing

PUBLIC = "https://agent.example"


class Clock:
    """Stands still until it is moved. It begins ahead of the database's own."""

    def __init__(self) -> None:
        self.now = datetime.now(UTC) + timedelta(minutes=5)

    def __call__(self) -> datetime:
        return self.now

    def moves(self, seconds: float) -> None:
        self.now += timedelta(seconds=seconds)


def deliveries(engine: AsyncEngine, clock: Clock) -> Deliveries:
    return Deliveries(engine, now=clock, jitter=lambda: 0.0)


def no_session(mode: Mode) -> tuple[ModelSession, str]:
    raise AssertionError(f"{mode.name} asks for no afterword")


def courier(engine: AsyncEngine, clock: Clock, *webhooks: Webhook, **changes: Any) -> Courier:
    options: dict[str, Any] = {
        "modes": {}, "public_url": PUBLIC, "session": no_session, "max_cost_usd": 5.0, "seconds": 5.0, **changes,
    }  # fmt: skip
    return Courier(deliveries(engine, clock), CallStore(engine), webhooks, **options)


def _said(seq: int, who: Who, words: str, heard: str) -> Turn:
    start_ms = seq * 1000
    return Turn(
        call_sid="CA1",
        seq=seq,
        who=who,
        generated_text=words,
        heard_text=heard,
        start_ms=start_ms,
        end_ms=start_ms + 900,
    )


def _did(seq: int, arguments: str, result: str, status: Literal["ok", "refused"]) -> ToolCall:
    return ToolCall(call_sid="CA1", seq=seq, name="book", arguments=arguments, result=result, status=status, ms=12)


async def finishes(engine: AsyncEngine, clock: Clock, *call_sids: str, mode: str = "receptionist") -> None:
    """All rows of calls that are over now; of CA1 if none is named."""
    rows: list[Any] = [
        started,
        _said(0, "agent", "Hello, how can I help?", "Hello,"),
        _said(1, "caller", "Book me in.", "Book me in."),
        _did(0, '{"day":"2026-11-25"}', '{"result":"Done."}', "ok"),
        _did(1, "{nonsense", "", "refused"),
        Outcome(call_sid="CA1", kind=mode, fields={"result": "booked", "name": ""}, valid=True),
        ended,
        CallFinished(call_sid="CA1", at=clock.now, written=("result",)),
    ]
    async with writing(engine) as journal:
        for call_sid in call_sids or ("CA1",):
            for row in rows:
                changes = {"call_sid": call_sid} | ({"mode": mode} if row is started else {})
                journal.put(msgspec.structs.replace(row, **changes))


async def does(courier: Courier) -> int:
    """All that is due now, to its end."""
    begun = 0
    while more := await courier.turn():
        begun += more
        await courier.idle()
    return begun


async def rows(engine: AsyncEngine, sql: str, **values: Any) -> list[Any]:
    async with engine.connect() as connection:
        return list((await connection.execute(text(sql), values)).all())
