"""The business as offhook.toml describes it: name, zone, hours and desks."""

import re
from datetime import date, datetime, time, timedelta
from zoneinfo import ZoneInfo

import msgspec

E164 = re.compile(r"\+[1-9]\d{6,14}")
"""A phone number as the network writes it."""

WEEKDAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")


class Hours(msgspec.Struct, frozen=True):
    """Opening hours of one day, local time; `closes` is not open any more."""

    opens: time
    closes: time


class Desk(msgspec.Struct, frozen=True):
    """A person or team to put callers through to. `number` is E.164."""

    name: str
    about: str
    number: str
    hours: dict[str, Hours] | None = None
    """By weekday, as the office's; None: whenever the office is open, or always if it has no hours."""
    warm: bool = False
    """The person hears who calls and why, and accepts by key, before the caller is joined."""


class Office(msgspec.Struct, frozen=True):
    """The business. `hours` has a key of WEEKDAYS for each day that is not closed; `desks` by name."""

    name: str
    zone: ZoneInfo
    hours: dict[str, Hours]
    slot_minutes: int
    desks: dict[str, Desk]

    def hours_on(self, day: date) -> Hours | None:
        """Opening hours on a day; None when closed."""
        return self.hours.get(WEEKDAYS[day.weekday()])

    def slots_on(self, day: date) -> list[datetime]:
        """Starts of all appointments that fit into a day's hours, local time without a zone."""
        hours = self.hours_on(day)
        if hours is None:
            return []
        start, end, step = (
            datetime.combine(day, hours.opens),
            datetime.combine(day, hours.closes),
            timedelta(minutes=self.slot_minutes),
        )
        return [start + n * step for n in range(max(0, (end - start) // step))]

    def now(self, at: datetime) -> datetime:
        """The same moment on the business's clock. `at` is aware."""
        return at.astimezone(self.zone)
