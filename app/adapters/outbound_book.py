"""The outbound book: what calls were asked for, which is due, what became of each attempt, and whom nobody calls again.

Any number of processes may share it. A call is claimed in one transaction that locks its row (SKIP LOCKED), counts it against
the caps and writes the attempt down before anything is dialled: after a crash an attempt may be lost, but none is made twice.
"""

import secrets
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

import msgspec
import structlog
from sqlalchemy import ColumnElement, delete, func, insert, select, text, update
from sqlalchemy.dialects.postgresql import insert as upsert
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from app.adapters.outbound_tables import do_not_call, outbound_attempts, outbound_calls
from app.adapters.tables import call_outcomes
from app.errors import CallRefused
from app.outbound import Checked, Placed, Told, Wish
from app.rules.outbound import AGAIN, OutboundRules, Result

log = structlog.get_logger()

CAPS_LOCK = 0x0FF_4008
"""Ours among Postgres's advisory locks: who claims a call or keeps one counts alone, so that no cap is passed by two at once."""
DAY = timedelta(days=1)
UNFINISHED = outbound_calls.c.status != "done"
POSTPONED = timedelta(minutes=10)
"""How much later a call is looked at again that a cap holds back."""


class Claimed(msgspec.Struct, frozen=True, kw_only=True):
    """A call that is to be dialled now, by whoever holds this. Its attempt is on record."""

    reference: str
    seq: int
    to: str
    mode: str
    fields: dict[str, Any]


class Open(msgspec.Struct, frozen=True, kw_only=True):
    """An attempt that nobody has told the end of."""

    reference: str
    seq: int
    call_sid: str
    started_at: datetime


class OutboundBook:
    """All of it, of one database. Moments are aware."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine

    # --- asking ---------------------------------------------------------------------------------------------------

    async def keep(
        self, checked: Checked, *, asked_by: str, key: str | None, rules: OutboundRules, now: datetime
    ) -> tuple[Placed, bool]:
        """Keep a call that is to be placed; whether it is new. The same key asks for the same call. Raises CallRefused."""
        wish = checked.wish
        async with self._engine.begin() as connection:
            await _alone(connection)
            if key is not None and (known := await _by_key(connection, asked_by, key)) is not None:
                if known.asked_hash != wish.hash:
                    raise CallRefused(
                        "key_reused",
                        "this Idempotency-Key came with another call before; take a new key for a new call",
                    )
                return await self._told(connection, known), False
            await _refuse(connection, wish, rules, now)
            values = {
                "reference": f"OB{secrets.token_hex(16)}", "asked_by": asked_by, "key": key, "asked_hash": wish.hash,
                "to_number": wish.to, "mode": wish.mode, "fields": checked.fields, "status": "waiting",
                "due_at": checked.due_at, "not_after": wish.not_after, "attempts": 0,
                "max_attempts": checked.max_attempts, "result": "",
            }  # fmt: skip
            row = (await connection.execute(insert(outbound_calls).values(values).returning(outbound_calls))).one()
            return await self._told(connection, row), True

    async def placed(self, reference: str, asked_by: str | None = None) -> Placed | None:
        """A call as it stands; None if there is none. asked_by: only if it was asked for by this token."""
        query = select(outbound_calls).where(outbound_calls.c.reference == reference)
        if asked_by is not None:
            query = query.where(outbound_calls.c.asked_by == asked_by)
        async with self._engine.connect() as connection:
            row = (await connection.execute(query)).one_or_none()
            return await self._told(connection, row) if row is not None else None

    async def cancel(self, reference: str, now: datetime) -> bool:
        """Take back a call that waits; False if there is none that does."""
        waiting = (outbound_calls.c.reference == reference) & (outbound_calls.c.status == "waiting")
        done = update(outbound_calls).where(waiting).values(status="done", result="cancelled", finished_at=now)
        async with self._engine.begin() as connection:
            return bool((await connection.execute(done)).rowcount)

    async def _told(self, connection: AsyncConnection, row: Any) -> Placed:
        query = select(outbound_attempts).where(outbound_attempts.c.reference == row.reference)
        attempts = (await connection.execute(query.order_by(outbound_attempts.c.seq))).all()
        sids = [attempt.call_sid for attempt in reversed(attempts) if attempt.call_sid]
        found = select(call_outcomes.c.call_sid, call_outcomes.c.fields).where(call_outcomes.c.call_sid.in_(sids))
        outcomes = {one.call_sid: one.fields for one in await connection.execute(found)} if sids else {}
        outcome = next((outcomes[sid] for sid in sids if sid in outcomes), None)
        return Placed(
            reference=row.reference,
            to=row.to_number,
            mode=row.mode,
            status=row.status,
            result=row.result,
            due_at=row.due_at,
            attempts=[msgspec.convert(attempt, Told, from_attributes=True) for attempt in attempts],
            outcome=outcome,
        )

    # --- dialling -------------------------------------------------------------------------------------------------

    async def claim(
        self, rules: OutboundRules, now: datetime, later: Callable[[str, datetime], datetime]
    ) -> Claimed | None:
        """The next call that is due, its attempt written down; None if there is none that may be dialled now.

        later: the first moment, from one on, at which a number may be called; a call whose number is quiet now is put off to it.
        """
        live = select(outbound_calls.c.to_number).where(outbound_calls.c.status == "live")
        due = (
            select(outbound_calls)
            .where(
                outbound_calls.c.status == "waiting",
                outbound_calls.c.due_at <= now,
                outbound_calls.c.to_number.not_in(live),
            )
            .order_by(outbound_calls.c.due_at)
            .limit(1)
            .with_for_update(skip_locked=True)
        )
        try:
            async with self._engine.begin() as connection:
                await _alone(connection)
                at_once = await _count(connection, select(func.count()).where(outbound_calls.c.status == "live"))
                if at_once >= rules.at_once or await _today(connection, now) >= rules.a_day:
                    return None
                while True:
                    row = (await connection.execute(due)).one_or_none()
                    if row is None:
                        return None
                    change = await _hindrance(connection, row, rules, now, later)
                    if change is not None:
                        await _change(connection, row.reference, **change)
                        continue
                    return await _begin(connection, row, now)
        except IntegrityError:  # a process of an older kind, without the lock, was quicker with this number
            return None

    async def dialled(self, reference: str, seq: int, call_sid: str) -> None:
        """The carrier took the attempt as this call."""
        await self._attempt(reference, seq, call_sid=call_sid)

    async def claimed(self, reference: str, call_sid: str) -> Claimed | None:
        """The attempt that rings now for a reference, known from now on by this call; for a process that did not dial it."""
        async with self._engine.begin() as connection:
            query = select(outbound_calls).where(outbound_calls.c.reference == reference)
            row = (await connection.execute(query.where(outbound_calls.c.status == "live"))).one_or_none()
            if row is None:
                return None
            mine = (outbound_attempts.c.reference == reference) & (outbound_attempts.c.seq == row.attempts)
            await connection.execute(
                update(outbound_attempts).where(mine, outbound_attempts.c.call_sid == "").values(call_sid=call_sid)
            )
            return _claimed(row, row.attempts)

    async def answered_by(self, reference: str, call_sid: str, who: str) -> None:
        """The carrier's verdict on who picked up, in its own words."""
        seq = await self.seq_of(reference, call_sid)
        if seq is not None:
            await self._attempt(reference, seq, outbound_attempts.c.result == "", answered_by=who, call_sid=call_sid)

    async def ended(
        self,
        reference: str,
        seq: int,
        result: Result,
        *,
        rules: OutboundRules,
        now: datetime,
        detail: str = "",
        final: bool = False,
    ) -> bool:
        """What became of an attempt: the call is done, or waits for its next one. False if that was told before.

        final: no further attempt, whatever the result.
        """
        async with self._engine.begin() as connection:
            mine = (outbound_attempts.c.reference == reference) & (outbound_attempts.c.seq == seq)
            told = update(outbound_attempts).where(mine, outbound_attempts.c.result == "")
            if not (await connection.execute(told.values(result=result, ended_at=now, detail=detail))).rowcount:
                return False
            query = select(outbound_calls).where(outbound_calls.c.reference == reference).with_for_update()
            row = (await connection.execute(query)).one()
            again = result in AGAIN and not final and row.attempts < row.max_attempts
            due_at = now + rules.spacing(result)
            if again and (row.not_after is None or due_at <= row.not_after):
                await _change(connection, reference, status="waiting", due_at=due_at, result=result)
            else:
                await _change(connection, reference, status="done", result=result, finished_at=now)
            return True

    async def undone(self, reference: str, seq: int, due_at: datetime) -> None:
        """The carrier never took the attempt, and it does not count: the call waits until `due_at`."""
        mine = (outbound_attempts.c.reference == reference) & (outbound_attempts.c.seq == seq)
        async with self._engine.begin() as connection:
            await connection.execute(delete(outbound_attempts).where(mine, outbound_attempts.c.call_sid == ""))
            await _change(connection, reference, status="waiting", due_at=due_at, attempts=seq - 1)

    async def seq_of(self, reference: str, call_sid: str) -> int | None:
        """Which attempt a call is; the one that rings, if its SID is not known yet. None: it is none of ours."""
        query = select(outbound_attempts.c.seq).where(
            outbound_attempts.c.reference == reference, outbound_attempts.c.call_sid.in_((call_sid, ""))
        )
        known_first = (outbound_attempts.c.call_sid.desc(), outbound_attempts.c.seq.desc())
        async with self._engine.connect() as connection:
            found = (await connection.execute(query.order_by(*known_first).limit(1))).scalar()
        return int(found) if found is not None else None

    async def left_open(self, before: datetime) -> list[Open]:
        """Attempts that began before a moment, and have no end."""
        query = select(outbound_attempts).where(
            outbound_attempts.c.result == "", outbound_attempts.c.started_at < before
        )
        async with self._engine.connect() as connection:
            rows = (await connection.execute(query.order_by(outbound_attempts.c.started_at))).all()
        return [msgspec.convert(row, Open, from_attributes=True) for row in rows]

    async def _attempt(self, reference: str, seq: int, *where: ColumnElement[bool], **values: Any) -> None:
        mine = (outbound_attempts.c.reference == reference) & (outbound_attempts.c.seq == seq)
        async with self._engine.begin() as connection:
            await connection.execute(update(outbound_attempts).where(mine, *where).values(values))

    # --- whom nobody calls again ----------------------------------------------------------------------------------

    async def never_call(self, number: str, why: str) -> None:
        """Put a number on the do-not-call list, if it is not there; what waits for it is taken back when it comes due."""
        row = upsert(do_not_call).values(number=number, why=why).on_conflict_do_nothing()
        async with self._engine.begin() as connection:
            await connection.execute(row)

    async def call_again(self, number: str) -> bool:
        """Take a number off the list; whether it was there."""
        async with self._engine.begin() as connection:
            return bool((await connection.execute(delete(do_not_call).where(do_not_call.c.number == number))).rowcount)

    async def never_called(self) -> list[tuple[str, str, datetime]]:
        """The list: number, why, since when; latest first."""
        query = select(do_not_call.c.number, do_not_call.c.why, do_not_call.c.added_at)
        async with self._engine.connect() as connection:
            rows = (await connection.execute(query.order_by(do_not_call.c.added_at.desc()))).all()
        return [(row.number, row.why, row.added_at) for row in rows]


async def _alone(connection: AsyncConnection) -> None:
    """Until the transaction ends; works behind a transaction pooler, too."""
    await connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": CAPS_LOCK})


async def _count(connection: AsyncConnection, query: Any) -> int:
    return int((await connection.execute(query)).scalar_one())


async def _by_key(connection: AsyncConnection, asked_by: str, key: str) -> Any:
    same = (outbound_calls.c.asked_by == asked_by) & (outbound_calls.c.key == key)
    return (await connection.execute(select(outbound_calls).where(same))).one_or_none()


async def _listed(connection: AsyncConnection, number: str) -> bool:
    return bool(await _count(connection, select(func.count()).where(do_not_call.c.number == number)))


async def _today(connection: AsyncConnection, now: datetime, number: str = "") -> int:
    """How many attempts there were in the last 24 hours: to a number, or to all."""
    query = select(func.count()).where(outbound_attempts.c.started_at > now - DAY)
    return await _count(connection, query.where(outbound_attempts.c.to_number == number) if number else query)


async def _refuse(connection: AsyncConnection, wish: Wish, rules: OutboundRules, now: datetime) -> None:
    """Raise CallRefused for what the book knows against a call."""
    number = wish.to
    if await _listed(connection, number):
        raise CallRefused("do_not_call", f"{number} is on the do-not-call list; nobody calls it")
    to_them = select(func.count()).where(outbound_calls.c.to_number == number, UNFINISHED)
    begun = (outbound_calls.c.status == "live") | (outbound_calls.c.due_at <= now)
    if await _count(connection, to_them.where(begun)):
        raise CallRefused("already_ringing", f"a call to {number} rings, talks or is just begun; ask again after it")
    if await _count(connection, to_them.where(outbound_calls.c.asked_hash == wish.hash)):
        raise CallRefused("already_waiting", f"this very call to {number} was asked for before, and waits")
    if await _today(connection, now, number) >= rules.a_day_to_one:
        raise CallRefused(
            "caps_reached",
            f"expected at most {rules.a_day_to_one} calls to {number} within a day (outbound.a_day_to_one)",
        )
    if await _today(connection, now) >= rules.a_day:
        raise CallRefused("caps_reached", f"expected at most {rules.a_day} calls within a day (outbound.a_day)")
    if await _count(connection, select(func.count()).select_from(outbound_calls).where(UNFINISHED)) >= rules.waiting:
        raise CallRefused("caps_reached", f"expected at most {rules.waiting} calls that wait (outbound.waiting)")


async def _hindrance(
    connection: AsyncConnection,
    row: Any,
    rules: OutboundRules,
    now: datetime,
    later: Callable[[str, datetime], datetime],
) -> dict[str, Any] | None:
    """What has come between asking and dialling, as changes of the row; None: nothing, it is dialled."""
    if await _listed(connection, row.to_number):
        return {"status": "done", "result": "do_not_call", "finished_at": now}
    if row.not_after is not None and now > row.not_after:
        return {"status": "done", "result": "too_late", "finished_at": now}
    allowed = later(row.to_number, now)
    if allowed > now:
        return {"due_at": allowed}
    if await _today(connection, now, row.to_number) >= rules.a_day_to_one:
        return {"due_at": now + POSTPONED}
    return None


async def _begin(connection: AsyncConnection, row: Any, now: datetime) -> Claimed:
    seq = row.attempts + 1
    await _change(connection, row.reference, status="live", attempts=seq)
    await connection.execute(
        insert(outbound_attempts).values(
            reference=row.reference,
            seq=seq,
            to_number=row.to_number,
            call_sid="",
            started_at=now,
            answered_by="",
            result="",
            detail="",
        )
    )
    return _claimed(row, seq)


def _claimed(row: Any, seq: int) -> Claimed:
    return Claimed(reference=row.reference, seq=seq, to=row.to_number, mode=row.mode, fields=dict(row.fields))


async def _change(connection: AsyncConnection, reference: str, **values: Any) -> None:
    await connection.execute(update(outbound_calls).where(outbound_calls.c.reference == reference).values(values))
