"""Deliveries in Postgres: finished calls of which nobody was told yet, and messages on their way to endpoints.

    finished_calls   a row for each call that is over, written by the journal behind all others of the call; told once
    deliveries       a row for each call and endpoint: waiting -> sent, or dead after the last attempt, or off
    webhooks         when an endpoint was first seen, and since when it wants no more (410)

Several processes share the work: each claims rows that no other holds (FOR UPDATE SKIP LOCKED), in a transaction that is over
before anything is sent. A claim is a lease: a row whose process dies is due again when it has run out. So a message is sent at
least once, always under the same id, and a receiver that was sent it twice can tell.
"""

import secrets
from collections.abc import Awaitable, Callable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Literal

import msgspec
from sqlalchemy import ColumnElement, Interval, delete, func, literal, select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from app.adapters.delivery_tables import deliveries, finished_calls, webhooks

LEASE = timedelta(seconds=60)
"""Longer than any attempt, and than the questions to the model before a call is told of."""
RETRY_SECONDS = (5.0, 300.0, 1800.0, 7200.0, 18_000.0, 36_000.0, 50_400.0, 72_000.0, 86_400.0)
"""How long after a failed attempt the next one is made: ten over three days. Source: Standard Webhooks, "Deliverability"."""
JITTER = 0.2
"""Up to so much of it is added, so that an endpoint that comes back is not asked for everything at once."""
NEWS = timedelta(days=4)
"""As long as a delivery is tried."""
SENT_DAYS = 30
KEPT_DAYS = 90
State = Literal["waiting", "sent", "dead", "off"]


class Finished(msgspec.Struct, frozen=True):
    """A call of which nobody was told yet. tries: how often a process took it up, this time included."""

    call_sid: str
    at: datetime
    written: tuple[str, ...] | None
    tries: int


class Delivery(msgspec.Struct, frozen=True, kw_only=True):
    """One message to one endpoint. attempts: those that were begun. status, why: of the last one."""

    id: str
    call_sid: str
    endpoint: str
    event: str
    payload: str
    state: State
    attempts: int
    next_at: datetime
    created_at: datetime
    sent_at: datetime | None = None
    status: int | None = None
    why: str = ""


def utc_now() -> datetime:
    """Now."""
    return datetime.now(UTC)


class Deliveries:
    """The tables of deliveries. `now` is aware; every method is a transaction of its own."""

    def __init__(
        self, engine: AsyncEngine, *, now: Callable[[], datetime] = utc_now, jitter: Callable[[], float] | None = None
    ) -> None:
        """jitter: 0 to 1, anew for each retry."""
        self._engine = engine
        self._now = now
        self._jitter = jitter or secrets.SystemRandom().random

    # --- finished calls ---------------------------------------------------------------------------------------------

    async def introduce(self, names: Sequence[str]) -> None:
        """Endpoints that this configuration has: one that is new is told of calls that finish from now on.

        Calls that finished while nobody looked (no configuration had an endpoint) are no news after some days, and told to nobody.
        """
        now = self._now()
        rows = [{"name": name, "since": now} for name in names]
        stale = update(finished_calls).where(~finished_calls.c.told, finished_calls.c.at < now - NEWS)
        async with self._engine.begin() as connection:
            if rows:
                await connection.execute(insert(webhooks).on_conflict_do_nothing(), rows)
            await connection.execute(stale.values(told=True))

    def age(self, call: Finished) -> timedelta:
        """How long ago a call finished."""
        return self._now() - call.at

    async def finished(self, most: int) -> list[Finished]:
        """Take up calls of which nobody was told yet, earliest first. One that fails is due again later and later."""
        now, table = self._now(), finished_calls
        due = (
            select(table.c.call_sid)
            .where(~table.c.told, table.c.due_at <= now)
            .order_by(table.c.due_at)
            .limit(most)
            .with_for_update(skip_locked=True)
            .cte("due")
        )
        later = func.make_interval(0, 0, 0, 0, 0, 0, LEASE.seconds * (table.c.tries + 1), type_=Interval)
        claim = (
            update(table)
            .where(table.c.call_sid == due.c.call_sid)
            .values(due_at=literal(now) + later, tries=table.c.tries + 1)
            .returning(table.c.call_sid, table.c.at, table.c.written, table.c.tries)
        )
        async with self._engine.begin() as connection:
            rows = (await connection.execute(claim)).all()
        return sorted(
            (Finished(sid, at, None if written is None else tuple(written), tries) for sid, at, written, tries in rows),
            key=lambda call: call.at,
        )

    async def not_yet(self, call: Finished) -> None:
        """The call goes on: look again in a while, as if for the first time."""
        later = {"due_at": self._now() + LEASE, "tries": 0}
        mine = (finished_calls.c.call_sid == call.call_sid, ~finished_calls.c.told)
        async with self._engine.begin() as connection:
            await connection.execute(update(finished_calls).where(*mine).values(later))

    async def tell(
        self,
        call: Finished,
        endpoints: Sequence[tuple[str, str]],
        payload: str,
        also: Callable[[AsyncConnection], Awaitable[None]] | None = None,
    ) -> int:
        """Put a finished call on its way to endpoints, all or nothing; to how many.

        endpoints: (name, event). also: written in the same transaction. One that was introduced after the call's end gets nothing;
        to one that is switched off the delivery is kept, and not sent.
        """
        now = self._now()
        async with self._engine.begin() as connection:
            mine = (
                update(finished_calls)
                .where(finished_calls.c.call_sid == call.call_sid, ~finished_calls.c.told)
                .values(told=True)
            )
            if (await connection.execute(mine)).rowcount == 0:
                return 0  # its lease ran out, and another process was quicker
            if also is not None:
                await also(connection)
            known = select(webhooks.c.name, webhooks.c.since, webhooks.c.off_at)
            found = {name: (since, off_at) for name, since, off_at in await connection.execute(known)}
            rows = [
                {
                    "id": f"msg_{secrets.token_hex(16)}",
                    "call_sid": call.call_sid,
                    "endpoint": name,
                    "event": event,
                    "payload": payload,
                    "state": "waiting" if found[name][1] is None else "off",
                    "next_at": now,
                    "created_at": now,
                }
                for name, event in endpoints
                if name in found and call.at >= found[name][0]
            ]
            if rows:
                await connection.execute(insert(deliveries).on_conflict_do_nothing(), rows)
        return len(rows)

    # --- sending ----------------------------------------------------------------------------------------------------

    async def claim(self, endpoint: str, most: int) -> list[Delivery]:
        """Take up what is due for an endpoint, earliest first; its attempts are counted now."""
        now = self._now()
        due = (
            select(deliveries.c.id)
            .where(deliveries.c.endpoint == endpoint, deliveries.c.state == "waiting", deliveries.c.next_at <= now)
            .order_by(deliveries.c.next_at)
            .limit(most)
            .with_for_update(skip_locked=True)
            .cte("due")
        )
        claim = (
            update(deliveries)
            .where(deliveries.c.id == due.c.id)
            .values(attempts=deliveries.c.attempts + 1, next_at=now + LEASE)
            .returning(deliveries)
        )
        async with self._engine.begin() as connection:
            return [_delivery(row) for row in (await connection.execute(claim)).all()]

    async def sent(self, delivery: Delivery, status: int) -> None:
        """The endpoint has taken it."""
        await self._settle(delivery, state="sent", sent_at=self._now(), status=status, why="")

    async def failed(self, delivery: Delivery, status: int, why: str) -> State:
        """It was not taken: when it is tried again, or that it is not."""
        if delivery.attempts > len(RETRY_SECONDS):
            state: State = "dead"
            await self._settle(delivery, state=state, status=status, why=why)
            return state
        wait = RETRY_SECONDS[delivery.attempts - 1] * (1 + JITTER * self._jitter())
        await self._settle(delivery, next_at=self._now() + timedelta(seconds=wait), status=status, why=why)
        return "waiting"

    async def gone(self, delivery: Delivery, status: int, why: str) -> int:
        """The endpoint wants no more: all that waits for it is off, and what comes will be. How many deliveries that is."""
        async with self._engine.begin() as connection:
            now = self._now()
            row = {"name": delivery.endpoint, "since": now, "off_at": now, "off_why": why}
            put = insert(webhooks).values(row)
            await connection.execute(
                put.on_conflict_do_update(index_elements=["name"], set_={"off_at": now, "off_why": why})
            )
            await connection.execute(
                update(deliveries).where(deliveries.c.id == delivery.id).values(status=status, why=why)
            )
            waiting = (deliveries.c.endpoint == delivery.endpoint, deliveries.c.state == "waiting")
            return (await connection.execute(update(deliveries).where(*waiting).values(state="off"))).rowcount

    async def _settle(self, delivery: Delivery, **values: Any) -> None:
        """Unless another process has taken it up since: then that one decides."""
        mine = (
            deliveries.c.id == delivery.id,
            deliveries.c.attempts == delivery.attempts,
            deliveries.c.state == "waiting",
        )
        async with self._engine.begin() as connection:
            await connection.execute(update(deliveries).where(*mine).values(**values))

    # --- by hand ----------------------------------------------------------------------------------------------------

    async def all(self, states: Sequence[State], most: int) -> list[Delivery]:
        """Deliveries in these states, the newest first."""
        query = select(deliveries).where(deliveries.c.state.in_(states))
        query = query.order_by(deliveries.c.created_at.desc()).limit(most)
        async with self._engine.connect() as connection:
            return [_delivery(row) for row in (await connection.execute(query)).all()]

    async def counts(self) -> dict[tuple[str, State], int]:
        """How many there are, by endpoint and state."""
        query = select(deliveries.c.endpoint, deliveries.c.state, func.count()).group_by(
            deliveries.c.endpoint, deliveries.c.state
        )
        async with self._engine.connect() as connection:
            return {(endpoint, state): count for endpoint, state, count in await connection.execute(query)}

    async def switched_off(self) -> dict[str, str]:
        """Endpoints that want no more, with what they said."""
        query = select(webhooks.c.name, webhooks.c.off_why).where(webhooks.c.off_at.is_not(None))
        async with self._engine.connect() as connection:
            return {name: why or "" for name, why in await connection.execute(query)}

    async def again(self, *, ids: Sequence[str] = (), endpoint: str = "") -> list[str]:
        """Make deliveries due at once, as if they had never been tried, and switch their endpoints on; the ids of those.

        ids: these, whatever their state, sent ones too. endpoint: all of its that are dead or off.
        """
        which: list[ColumnElement[bool]] = [
            deliveries.c.id.in_(ids) if ids else deliveries.c.state.in_(("dead", "off"))
        ]
        if endpoint:
            which.append(deliveries.c.endpoint == endpoint)
        async with self._engine.begin() as connection:
            reset = (
                update(deliveries)
                .where(*which)
                .values(state="waiting", attempts=0, next_at=self._now())
                .returning(deliveries.c.id, deliveries.c.endpoint)
            )
            rows = (await connection.execute(reset)).all()
            names = {row.endpoint for row in rows} | ({endpoint} if endpoint else set())
            if names:
                on = update(webhooks).where(webhooks.c.name.in_(names)).values(off_at=None, off_why=None)
                await connection.execute(on)
        return [row.id for row in rows]

    async def forget(self) -> int:
        """Delete what is old: sent deliveries after a month, all others after three; how many. They hold what callers said."""
        now = self._now()
        old = deliveries.c.created_at < now - timedelta(days=KEPT_DAYS)
        done = (deliveries.c.state == "sent") & (deliveries.c.created_at < now - timedelta(days=SENT_DAYS))
        past = finished_calls.c.at < now - timedelta(days=KEPT_DAYS)
        async with self._engine.begin() as connection:
            forgotten = (await connection.execute(delete(deliveries).where(old | done))).rowcount
            await connection.execute(delete(finished_calls).where(past))
        return forgotten


def _delivery(row: Any) -> Delivery:
    return msgspec.convert(row, Delivery, from_attributes=True)
