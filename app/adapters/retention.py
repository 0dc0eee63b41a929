"""Deletes what has been kept long enough: a few rows at a time, so that nobody waits.

A row of a call has no age of its own: calls are walked from the oldest, some at a time, each time in one short transaction. Where
the walk stopped is remembered until the process ends; a new one begins again from the oldest, which finds nothing twice and costs
one look into an index for each call.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from datetime import UTC, datetime, timedelta

import structlog
from sqlalchemy import ColumnElement, Table, delete, select, tuple_
from sqlalchemy.ext.asyncio import AsyncEngine

from app.adapters.all_tables import METADATA
from app.adapters.business_tables import bookings, messages
from app.adapters.database import DATABASE_ERRORS, reason_of
from app.adapters.outbound_tables import outbound_attempts, outbound_calls
from app.adapters.tables import (
    call_outcomes,
    calls,
    captures,
    debug_events,
    recordings,
    responses,
    spans,
    tool_calls,
    turns,
)
from app.rules.retention import RetentionDays

log = structlog.get_logger()

FIRST_SECONDS = 60.0
"""After the start: a server that never runs for an hour keeps nothing for ever."""
EVERY_SECONDS = 3600.0
CALLS_AT_ONCE = 200
ROWS_AT_ONCE = 5000
PAUSE_SECONDS = 0.05
"""Between two transactions: calls in progress write in between."""

TALK = (turns, tool_calls, captures, call_outcomes, spans, responses)
KEPT_BY_OTHERS = {recordings.name}
"""Tables whose rows stand for something outside of the database, which has to go first."""


def of_calls() -> list[Table]:
    """All tables of the house whose rows belong to a call, but `calls`."""
    return [
        table
        for table in METADATA.sorted_tables
        if "call_sid" in table.c and table is not calls and table.name not in KEPT_BY_OTHERS
    ]


class Retention:
    """The walk through the books. `jobs`: more that is to be tidied, by name; each tells how many rows it took."""

    def __init__(
        self,
        engine: AsyncEngine,
        days: RetentionDays,
        jobs: Mapping[str, Callable[[datetime], Awaitable[int]]] | None = None,
    ) -> None:
        """jobs: called with the present moment."""
        self._engine = engine
        self._days = days
        self._jobs = dict(jobs or {})
        self._talked: tuple[datetime, str] | None = None
        """The last call whose talk is gone."""

    async def run(self) -> None:
        """Tidy a minute after the start and then every hour, until cancelled."""
        await asyncio.sleep(FIRST_SECONDS)
        while True:
            log.info("books tidied", **await self.tidy(datetime.now(UTC)))
            await asyncio.sleep(EVERY_SECONDS)

    async def tidy(self, now: datetime) -> dict[str, int]:
        """All that is due: how many rows, or calls, by what. What could not be done is logged, and done the next time."""
        jobs = {
            "debug_events": self._debug_events,
            "talks": self._talks,
            "calls": self._calls,
            "business": self._business,
            **self._jobs,
        }
        done: dict[str, int] = {}
        for name, job in jobs.items():
            try:
                done[name] = await job(now)
            except DATABASE_ERRORS as wrong:
                log.warning("the books could not be tidied", part=name, why=reason_of(wrong))
            except Exception:
                log.exception("a fault of ours as the books were tidied", part=name)
        return {name: count for name, count in done.items() if count}

    async def _debug_events(self, now: datetime) -> int:
        before = _before(now, self._days.debug_days)
        return 0 if before is None else await self._rows(debug_events, debug_events.c.at < before)

    async def _business(self, now: datetime) -> int:
        before = _before(now, self._days.business_days)
        if before is None:
            return 0
        past = (bookings.c.start < before.replace(tzinfo=None)) & (bookings.c.created_at < before)
        return await self._rows(bookings, past) + await self._rows(messages, messages.c.created_at < before)

    async def _talks(self, now: datetime) -> int:
        """What was said in old calls: how many calls were looked at."""
        before = _before(now, self._days.talk_days)
        looked_at = 0
        while before is not None:
            place = tuple_(calls.c.started_at, calls.c.call_sid)
            query = select(calls.c.started_at, calls.c.call_sid).where(calls.c.started_at < before)
            if self._talked is not None:
                query = query.where(place > tuple_(*self._talked))
            async with self._engine.begin() as connection:
                found = (await connection.execute(query.order_by(place).limit(CALLS_AT_ONCE))).all()
                sids = [str(row.call_sid) for row in found]
                for table in TALK:
                    await connection.execute(delete(table).where(table.c.call_sid.in_(sids)))
            if found:
                self._talked = (found[-1].started_at, str(found[-1].call_sid))
            looked_at += len(found)
            if len(found) < CALLS_AT_ONCE:
                break
            await asyncio.sleep(PAUSE_SECONDS)
        return looked_at

    async def _calls(self, now: datetime) -> int:
        """Old calls with everything that is left of them: how many."""
        before = _before(now, self._days.calls_days)
        gone = 0
        while before is not None:
            old = select(calls.c.call_sid).where(calls.c.started_at < before).order_by(calls.c.started_at)
            async with self._engine.begin() as connection:
                found = old.limit(CALLS_AT_ONCE).with_for_update(skip_locked=True)
                sids = [str(sid) for sid in (await connection.execute(found)).scalars()]
                for table in [*of_calls(), calls]:
                    await connection.execute(delete(table).where(table.c.call_sid.in_(sids)))
            gone += len(sids)
            if len(sids) < CALLS_AT_ONCE:
                break
            await asyncio.sleep(PAUSE_SECONDS)
        if before is not None:
            await self._rows(outbound_attempts, outbound_attempts.c.started_at < before)
            await self._rows(outbound_calls, outbound_calls.c.finished_at < before)
        return gone

    async def _rows(self, table: Table, which: ColumnElement[bool]) -> int:
        """Delete these rows of a table; how many."""
        keys = list(table.primary_key.columns)
        gone = 0
        while True:
            some = select(*keys).where(which).limit(ROWS_AT_ONCE).with_for_update(skip_locked=True).cte("some")
            async with self._engine.begin() as connection:
                statement = delete(table).where(tuple_(*keys).in_(select(*some.c)))
                count = (await connection.execute(statement)).rowcount
            gone += count
            if count < ROWS_AT_ONCE:
                return gone
            await asyncio.sleep(PAUSE_SECONDS)


def _before(now: datetime, days: int) -> datetime | None:
    return now - timedelta(days=days) if days else None
