"""LedgerStore: a business's books in memory, as a mode's tools see them."""

import asyncio
from datetime import date, datetime, time
from zoneinfo import ZoneInfo

from app.errors import BackendDown, NotFound, SlotTaken
from app.mode import Booking, Desk, Office
from app.rules.office import WEEKDAYS, Hours

OFFICE = Office(
    name="Lakeside Dental",
    zone=ZoneInfo("America/Chicago"),
    hours={day: Hours(time(8), time(17)) for day in WEEKDAYS[:5]},
    slot_minutes=30,
    desks={
        "reception": Desk("reception", "anything else", "+14155550101"),
        "billing": Desk("billing", "invoices", "+14155550102"),
        "lab": Desk("lab", "nobody is there", ""),
    },
)
MONDAY = datetime(2026, 11, 23, 9, 0, tzinfo=OFFICE.zone)
"""Now, in every rehearsal."""


class LedgerStore:
    """`Store` with everything in the open. `down`: the backend does not answer; `slow_seconds`: it takes its time."""

    def __init__(self) -> None:
        self.bookings: dict[datetime, Booking] = {}
        self.messages: list[tuple[str, str, str]] = []
        self.known: dict[str, list[str]] = {}
        """Names by number."""
        self.phones: list[str] = []
        self.keys: dict[str, Booking | str] = {}
        self.down = False
        self.slow_seconds = 0.0

    async def free_slots(self, day: date) -> list[datetime]:
        await self._answers()
        return [at for at in OFFICE.slots_on(day) if at not in self.bookings]

    async def book(self, *, name: str, start: datetime, reason: str, phone: str, key: str) -> Booking:
        await self._answers()
        done = self.keys.get(key)
        if isinstance(done, Booking):
            return done
        if start in self.bookings or start not in OFFICE.slots_on(start.date()):
            raise SlotTaken
        booking = Booking(reference=f"B{len(self.bookings) + 1}", name=name, start=start, reason=reason)
        self.bookings[start] = self.keys[key] = booking
        self.phones.append(phone)
        return booking

    async def cancel(self, *, name: str, start: datetime, key: str) -> Booking:
        await self._answers()
        booking = self.bookings.get(start)
        if booking is None or booking.name.lower() != name.lower():
            raise NotFound
        return self.bookings.pop(start)

    async def add_message(self, *, name: str, text: str, phone: str, key: str) -> str:
        await self._answers()
        self.messages.append((name, text, phone))
        return f"M{len(self.messages)}"

    async def names_under(self, phone: str) -> list[str]:
        await self._answers()
        return self.known.get(phone, [])

    async def _answers(self) -> None:
        if self.slow_seconds:
            await asyncio.sleep(self.slow_seconds)
        if self.down:
            raise BackendDown
