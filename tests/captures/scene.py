"""Monday, November 23, 2026, nine in the morning in Chicago: where and when the tests of the captures are."""

from datetime import datetime, time
from typing import Any
from zoneinfo import ZoneInfo

import msgspec

from app.captures.captured import Captured, Reading
from app.captures.kinds import KINDS
from app.rules.office import WEEKDAYS, Hours, Office

CHICAGO = ZoneInfo("America/Chicago")
OFFICE = Office(
    name="Lakeside Dental",
    zone=CHICAGO,
    hours={day: Hours(time(8), time(17)) for day in WEEKDAYS[:5]},
    slot_minutes=30,
    desks={},
)


class Here(msgspec.Struct):
    """A `Scene`."""

    now: datetime = datetime(2026, 11, 23, 9, 0, tzinfo=CHICAGO)
    office: Office = OFFICE
    caller_turns: int = 1


def here(country: str = "US", now: datetime | None = None) -> Here:
    office = msgspec.structs.replace(OFFICE, country=country)
    return Here(office=office) if now is None else Here(office=office, now=now)


def reading(kind: type[Captured[Any]], heard: str, rule: object = None, scene: Here | None = None) -> Reading:
    return KINDS[kind].read(heard, rule, scene or here())


def value(kind: type[Captured[Any]], heard: str, rule: object = None, scene: Here | None = None) -> str:
    """What a tool would get, as text."""
    return str(kind(reading(kind, heard, rule, scene).value))
