"""The built-in business: bookings and messages in our own Postgres, for a house without BUSINESS_API_BASE. One chair."""

import asyncio
import secrets
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import UTC, date, datetime, timedelta

import structlog
from sqlalchemy import ColumnElement, Row, func, select, union_all, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from app.adapters.business_tables import bookings, messages
from app.adapters.database import DATABASE_ERRORS, reason_of
from app.errors import BackendDown, NotFound, SlotTaken
from app.mode import Booking
from app.rules.office import Office

log = structlog.get_logger()

DEADLINE_SECONDS = 2.5
LETTERS = "FHJKMPRTWXY34679"
"""For references: nothing that looks like another (0 O, 1 I L, 2 Z, 5 S, 8 B), and no vowels, so that no words come out."""
REFERENCE_LETTERS = 6
TRIES = 8
NAMES = 5
"""How many names a number is known by, at most: a family, not a street."""


def new_reference() -> str:
    """A short reference that can be spoken; one of 16 million."""
    return "".join(secrets.choice(LETTERS) for _ in range(REFERENCE_LETTERS))


def utc_now() -> datetime:
    """The time, aware."""
    return datetime.now(UTC)


class PgStore:
    """A `Store` (app/mode.py) in Postgres: the database's unique keys, not this code, decide who gets a slot."""

    def __init__(self, engine: AsyncEngine, office: Office, *, now: Callable[[], datetime] = utc_now) -> None:
        """now: an aware datetime."""
        self._engine = engine
        self.office = office
        self._now = now

    async def free_slots(self, day: date) -> list[datetime]:
        """Slots of the office's hours on a day, less the kept and the past ones."""
        slots = self._coming(day)
        if not slots:
            return []
        async with self._books() as connection:
            kept = await self._kept_on(connection, day)
        return [slot for slot in slots if not self._overlaps(slot, kept)]

    async def book(self, *, name: str, start: datetime, reason: str, phone: str, key: str) -> Booking:
        """Keep a slot; of two at once for the same one, one gets it and the other SlotTaken."""
        start = self._local(start)
        async with self._books() as connection:
            # Before the key is looked for: else a twin of this request could take the slot in between.
            kept = await self._kept_on(connection, start.date())
            if found := await _booking(connection, bookings.c.key == key):
                return found
            self._require_slot(start)
            if self._overlaps(start, kept):
                raise SlotTaken
            for _ in range(TRIES):
                values = {
                    "reference": new_reference(), "key": key, "name": name.strip(), "start": start, "reason": reason.strip(),
                    "phone": phone,
                }  # fmt: skip
                # Waits for a booking in progress on the same start or key; then the loser has no row, and no error either.
                statement = insert(bookings).values(values).on_conflict_do_nothing().returning(*BOOKING)
                if row := (await connection.execute(statement)).one_or_none():
                    return _as_booking(row)
                kept = await self._kept_on(connection, start.date())
                if found := await _booking(connection, bookings.c.key == key):
                    return found
                if start in kept:
                    raise SlotTaken
        raise BackendDown  # eight references in a row were in use: the books are not what we think

    async def cancel(self, *, name: str, start: datetime, key: str) -> Booking:
        """Give a slot back, to whoever asks with the booking's name; the row stays, marked."""
        start = self._local(start)
        async with self._books() as connection:
            if found := await _booking(connection, bookings.c.cancel_key == key):
                return found
            kept = (
                select(*BOOKING).where(bookings.c.start == start, bookings.c.cancelled_at.is_(None)).with_for_update()
            )
            row = (await connection.execute(kept)).one_or_none()
            if row is None or _plain(row.name) != _plain(name):
                if found := await _booking(connection, bookings.c.cancel_key == key):
                    return found  # the same request, a moment earlier
                raise NotFound
            change = update(bookings).where(bookings.c.reference == row.reference)
            await connection.execute(change.values(cancelled_at=func.now(), cancel_key=key))
            return _as_booking(row)

    async def add_message(self, *, name: str, text: str, phone: str, key: str) -> str:
        """Keep a message for the office; returns its reference."""
        async with self._books() as connection:
            for _ in range(TRIES):
                values = {
                    "reference": new_reference(),
                    "key": key,
                    "name": name.strip(),
                    "text": text.strip(),
                    "phone": phone,
                }
                statement = insert(messages).values(values).on_conflict_do_nothing().returning(messages.c.reference)
                reference = (await connection.execute(statement)).scalar_one_or_none()
                if reference is None:
                    kept = select(messages.c.reference).where(messages.c.key == key)
                    reference = (await connection.execute(kept)).scalar_one_or_none()
                if reference is not None:
                    return str(reference)
        raise BackendDown

    async def names_under(self, phone: str) -> list[str]:
        """Names of bookings, those given back too, and of messages under a number, latest first."""
        if not phone:
            return []
        rows = (
            select(table.c.name, table.c.created_at).where(table.c.phone == phone) for table in (bookings, messages)
        )
        both = union_all(*rows).subquery()
        query = select(both.c.name).group_by(both.c.name).order_by(func.max(both.c.created_at).desc(), both.c.name)
        async with self._books() as connection:
            return [str(name) for name in (await connection.execute(query.limit(NAMES))).scalars()]

    @asynccontextmanager
    async def _books(self) -> AsyncIterator[AsyncConnection]:
        """One transaction within the deadline. Raises BackendDown for whatever the database has."""
        try:
            async with asyncio.timeout(DEADLINE_SECONDS), self._engine.begin() as connection:
                yield connection
        except DATABASE_ERRORS as error:
            log.warning("business.database", reason=reason_of(error))
            raise BackendDown from error

    async def _kept_on(self, connection: AsyncConnection, day: date) -> set[datetime]:
        midnight = datetime.combine(day, datetime.min.time())
        query = select(bookings.c.start).where(
            bookings.c.start >= midnight,
            bookings.c.start < midnight + timedelta(days=1),
            bookings.c.cancelled_at.is_(None),
        )
        return set((await connection.execute(query)).scalars())

    def _overlaps(self, slot: datetime, kept: set[datetime]) -> bool:
        """Whether a kept booking reaches into a slot; one may lie across it if `slot_minutes` was another when it was made."""
        length = timedelta(minutes=self.office.slot_minutes)
        return any(abs(slot - start) < length for start in kept)

    def _coming(self, day: date) -> list[datetime]:
        return [slot for slot in self.office.slots_on(day) if self._is_to_come(slot)]

    def _is_to_come(self, start: datetime) -> bool:
        # By UTC: two times of one zone are compared by their clock faces, which is wrong across a change of clocks.
        return start.replace(tzinfo=self.office.zone).astimezone(UTC) > self._now().astimezone(UTC)

    def _local(self, start: datetime) -> datetime:
        return start if start.tzinfo is None else start.astimezone(self.office.zone).replace(tzinfo=None)

    def _require_slot(self, start: datetime) -> None:
        if start not in self.office.slots_on(start.date()):
            raise SlotTaken(
                f"There is no appointment at {start:%Y-%m-%d %H:%M}: outside opening hours, or between two slots. "
                "Look up the free slots of that day and offer one of them."
            )
        if not self._is_to_come(start):
            raise SlotTaken(f"{start:%Y-%m-%d %H:%M} is in the past; offer a free slot that is still to come.")


BOOKING = (bookings.c.reference, bookings.c.name, bookings.c.start, bookings.c.reason)


async def _booking(connection: AsyncConnection, where: ColumnElement[bool]) -> Booking | None:
    row = (await connection.execute(select(*BOOKING).where(where))).one_or_none()
    return _as_booking(row) if row else None


def _as_booking(row: Row[str, str, datetime, str]) -> Booking:
    return Booking(reference=row.reference, name=row.name, start=row.start, reason=row.reason)


def _plain(name: str) -> str:
    """A name as it compares: any case, any spacing."""
    return " ".join(name.casefold().split())
