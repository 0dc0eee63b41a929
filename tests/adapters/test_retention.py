"""What is old enough goes, table by table, a few rows at a time; the rest stays."""

import asyncio
from datetime import datetime, timedelta

import msgspec
import pytest
from sqlalchemy import func, insert, select
from sqlalchemy.ext.asyncio import AsyncEngine

from app.adapters import retention as retention_module
from app.adapters.business_tables import bookings, messages
from app.adapters.retention import Retention
from app.adapters.tables import calls, consents, debug_events, milestones, turns
from app.core.rows import Consent, Milestone, Row
from app.rules.retention import RetentionDays
from tests.adapters.rows import NOON, event, started, turn, writing

DAYS = RetentionDays(debug_days=10, talk_days=100, calls_days=1000, business_days=50)
TABLES = (calls, turns, milestones, consents, debug_events)


async def counts(engine: AsyncEngine) -> dict[str, int]:
    async with engine.connect() as connection:
        return {
            table.name: (await connection.execute(select(func.count()).select_from(table))).scalar_one()
            for table in TABLES
        }


async def put_calls(engine: AsyncEngine, ages: list[int]) -> None:
    """One call for each age in days, with a row of each kind."""
    async with writing(engine) as journal:
        for age in ages:
            sid, at = f"CA{age}", NOON - timedelta(days=age)
            rows: list[Row] = [
                msgspec.structs.replace(started, call_sid=sid, started_at=at),
                msgspec.structs.replace(turn(0), call_sid=sid),
                Milestone(call_sid=sid, name="call_closed", at=at),
                Consent(
                    call_sid=sid,
                    at=at,
                    what="ai",
                    text="You talk to a computer.",
                    why="always",
                    how="greeting",
                    heard=True,
                ),
                msgspec.structs.replace(event(age), call_sid=sid, at=at),
            ]
            for row in rows:
                journal.put(row)


async def test_each_kind_of_row_is_kept_for_its_own_time(engine: AsyncEngine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retention_module, "CALLS_AT_ONCE", 2)
    monkeypatch.setattr(retention_module, "ROWS_AT_ONCE", 3)
    monkeypatch.setattr(retention_module, "PAUSE_SECONDS", 0)
    await put_calls(engine, [1, 9, 11, 50, 99, 101, 200, 300, 999, 1001, 1002, 1003])
    retention = Retention(engine, DAYS)
    done = await retention.tidy(NOON)
    assert done == {"debug_events": 10, "talks": 7, "calls": 3}
    assert await counts(engine) == {"calls": 9, "turns": 5, "milestones": 9, "consents": 9, "debug_events": 2}
    assert await retention.tidy(NOON) == {}, "and nothing is looked at twice"
    assert await retention.tidy(NOON + timedelta(days=2)) == {"debug_events": 1, "talks": 1, "calls": 1}
    assert await counts(engine) == {"calls": 8, "turns": 4, "milestones": 8, "consents": 8, "debug_events": 1}
    again = Retention(engine, DAYS)  # after a restart
    assert await again.tidy(NOON + timedelta(days=2)) == {"talks": 4}, "it looks once more, and finds nothing"
    assert (await counts(engine))["turns"] == 4


async def test_bookings_go_after_the_appointment_and_messages_after_they_were_written(engine: AsyncEngine) -> None:
    def booking(name: str, start_days_ago: int, made_days_ago: int) -> dict[str, object]:
        start = (NOON - timedelta(days=start_days_ago)).replace(tzinfo=None)
        made = NOON - timedelta(days=made_days_ago)
        return {
            "reference": name,
            "key": name,
            "name": name,
            "start": start,
            "reason": "",
            "phone": "",
            "created_at": made,
        }

    async with engine.begin() as connection:
        rows = [booking("old", 51, 60), booking("to come", -20, 60), booking("new", 40, 45)]
        await connection.execute(insert(bookings), rows)
        for name, days in (("old", 51), ("new", 49)):
            values = {"reference": name, "key": name, "name": name, "text": "", "phone": ""}
            await connection.execute(insert(messages).values(values | {"created_at": NOON - timedelta(days=days)}))
    assert await Retention(engine, DAYS).tidy(NOON) == {"business": 2}
    assert await Retention(engine, RetentionDays()).tidy(NOON + timedelta(days=9999)) == {}, "by default they are kept"


async def test_a_job_that_fails_keeps_no_other_from_its_work(engine: AsyncEngine) -> None:
    async def away(now: datetime) -> int:
        raise ConnectionRefusedError("not there")

    async def three(now: datetime) -> int:
        return 3

    await put_calls(engine, [2000])
    done = await Retention(engine, DAYS, {"first": away, "second": three}).tidy(NOON)
    assert done == {"debug_events": 1, "talks": 1, "calls": 1, "second": 3}


async def test_a_server_need_not_run_for_an_hour_to_have_its_books_tidied(
    engine: AsyncEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(retention_module, "FIRST_SECONDS", 0.0)
    tidied = asyncio.Event()

    async def tell(now: datetime) -> int:
        tidied.set()
        return 0

    running = asyncio.create_task(Retention(engine, DAYS, {"told": tell}).run())
    async with asyncio.timeout(20):
        await tidied.wait()
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
