"""The business as offhook.toml describes it: name, zone, hours and desks."""

import re
from datetime import date, datetime, time, timedelta
from zoneinfo import ZoneInfo

import msgspec

E164 = re.compile(r"\+[1-9]\d{6,14}")
"""A phone number as the network writes it."""

RING_TONES = frozenset(
    {
        "at", "au", "be", "bg", "br", "ch", "cl", "cn", "cz", "de", "dk", "ee", "es", "fi", "fr", "gr", "hu", "il", "in", "it",
        "jp", "lt", "mx", "my", "nl", "no", "nz", "ph", "pl", "pt", "ru", "se", "sg", "th", "tw", "uk", "us", "us-old", "ve", "za",
    }
)  # fmt: skip
"""Countries whose ringing the carrier can play to a caller. Source: Twilio, TwiML Dial, `ringTone`."""

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
    ring_tone: str = "us"
    """The country, of RING_TONES, whose ringing a caller hears who is being put through."""
    country: str = "US"
    """Two letters (ISO 3166): whose phone numbers, postal codes and order of dates callers use."""

    def reachable(self, name: str) -> Desk | None:
        """The desk of that name; for one that is unknown, the first of offhook.toml. None if nobody can be dialled there either.

        A desk whose telephone nobody has set is as good as unknown.
        """
        wanted = self.desks.get(name)
        there = (desk for desk in self.desks.values() if desk.number)
        return wanted if wanted is not None and wanted.number else next(there, None)

    def hours_on(self, day: date) -> Hours | None:
        """Opening hours on a day; None when closed."""
        return self.hours.get(WEEKDAYS[day.weekday()])

    def open_at(self, moment: datetime) -> bool:
        """Whether the office is open at a moment, which is aware. An office without any hours is never known to be open."""
        local = self.now(moment)
        hours = self.hours_on(local.date())
        return hours is not None and hours.opens <= local.time() < hours.closes

    def desk_open(self, desk: Desk, moment: datetime) -> bool:
        """Whether somebody is at a desk at a moment, which is aware; a desk without hours of any kind is always open."""
        week = self._week_of(desk)
        local = self.now(moment)
        hours = week.get(WEEKDAYS[local.weekday()])
        return not week or (hours is not None and hours.opens <= local.time() < hours.closes)

    def desk_opens(self, desk: Desk, moment: datetime) -> datetime:
        """When a desk that is closed at a moment opens next, on the business's clock; that moment if it never closes."""
        week = self._week_of(desk)
        local = self.now(moment)
        for ahead in range(8):
            day = local.date() + timedelta(days=ahead)
            hours = week.get(WEEKDAYS[day.weekday()])
            if hours is not None and (opens := datetime.combine(day, hours.opens, self.zone)) > local:
                return opens
        return local

    def _week_of(self, desk: Desk) -> dict[str, Hours]:
        """Its own hours, else the office's."""
        return self.hours if desk.hours is None else desk.hours

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
