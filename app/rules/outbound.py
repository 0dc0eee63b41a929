"""Outbound rules: whom the business may call, when, how often; [outbound] of offhook.toml. Nothing here dials.

Numbers are judged, and given their zones, by the public numbering plans (phonenumbers). A number whose zone nobody can tell (a
mobile, a toll-free number) is one of every zone that it may be in: it is called when none of them is quiet. Where that is never,
as with numbers that may be anywhere from Guam to Puerto Rico, the business's own zone counts.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime, time, timedelta
from typing import Any, Literal
from zoneinfo import ZoneInfo

import msgspec
import phonenumbers

from app.errors import CallRefused
from app.rules.dialable import dear
from app.rules.office import E164

Result = Literal["", "answered", "message_left", "busy", "no_answer", "failed", "fax", "canceled", "lost"]
"""What became of one attempt; empty while it rings or talks. `lost`: nobody ever told."""

AGAIN: frozenset[Result] = frozenset({"busy", "no_answer", "failed", "lost"})
"""After these a number is tried again, if there are attempts left."""

SPACING_MINUTES: dict[str, int] = {"busy": 15, "no_answer": 120, "failed": 60, "lost": 120}
UNKNOWN_ZONE = "Etc/Unknown"
TURNS = 200
"""Of looking for a moment at which no zone is quiet: each is a step of at least a minute, and most of hours."""
MOST_ZONES = 20
"""A number that may be in more zones than this is one of a group of countries: the business's zone stands for it. Russia has 16."""

REFUSED_KINDS: dict[int, str] = {
    phonenumbers.PhoneNumberType.PAGER: "a pager",
    phonenumbers.PhoneNumberType.UAN: "a company-wide number",
    phonenumbers.PhoneNumberType.VOICEMAIL: "a voicemail access number",
}


class Quiet(msgspec.Struct, frozen=True):
    """Hours in which nobody is called, on the callee's clock; `until` is not quiet any more. The same twice: never quiet."""

    begins: time = time(21)
    until: time = time(8)

    def ends_after(self, local: datetime) -> datetime | None:
        """When the quiet hours that hold at a local moment end; None if none do."""
        now, day = local.time().replace(tzinfo=None), local.date()
        if self.begins == self.until:
            return None
        if self.begins < self.until:
            return datetime.combine(day, self.until, local.tzinfo) if self.begins <= now < self.until else None
        if now >= self.begins:
            return datetime.combine(day + timedelta(days=1), self.until, local.tzinfo)
        return datetime.combine(day, self.until, local.tzinfo) if now < self.until else None


class OutboundRules(msgspec.Struct, frozen=True, kw_only=True):
    """All of [outbound]. `countries` empty: the business's own."""

    countries: frozenset[str] = frozenset()
    quiet: Quiet = Quiet()
    max_attempts: int = 3
    spacing_minutes: Mapping[str, int] = msgspec.field(default_factory=lambda: SPACING_MINUTES)
    ring_seconds: int = 25
    at_once: int = 10
    """New Twilio accounts may hold two calls at a time, and place one a second; more are queued there."""
    a_day: int = 200
    a_day_to_one: int = 3
    waiting: int = 1000
    detect_machines: bool = True

    def spacing(self, result: Result) -> timedelta:
        """How long to wait before the next attempt."""
        return timedelta(minutes=self.spacing_minutes.get(result, SPACING_MINUTES["failed"]))


class Table(msgspec.Struct, forbid_unknown_fields=True):
    """[outbound] as it is written."""

    countries: list[str] = []
    quiet: str = "21:00-08:00"
    max_attempts: int = 3
    spacing_minutes: dict[str, int] = {}
    ring_seconds: int = 25
    at_once: int = 10
    a_day: int = 200
    a_day_to_one: int = 3
    waiting: int = 1000
    detect_machines: bool = True


RANGES = {
    "max_attempts": (1, 20), "ring_seconds": (5, 120), "at_once": (1, 1000), "a_day": (1, 100_000), "a_day_to_one": (1, 20),
    "waiting": (1, 1_000_000),
}  # fmt: skip
"""Least and most of each."""


def read_outbound(table: Table, where: str, faults: list[str]) -> OutboundRules:
    """The rules of a table; what is wrong with it is added to `faults`. where: the file's name."""
    where = f"{where}: outbound"
    for code in table.countries:
        if code not in phonenumbers.SUPPORTED_REGIONS:
            faults.append(f"{where}.countries: expected two letters as US or GB, got {code!r}")
    for name, (least, most) in RANGES.items():
        if not least <= getattr(table, name) <= most:
            faults.append(f"{where}.{name}: expected {least} to {most}, got {getattr(table, name)}")
    for result, minutes in table.spacing_minutes.items():
        if result not in SPACING_MINUTES or not 1 <= minutes <= 7 * 24 * 60:
            known = ", ".join(SPACING_MINUTES)
            faults.append(
                f"{where}.spacing_minutes: expected 1 to 10080 minutes for one of {known}, got {result} = {minutes}"
            )
    quiet = None
    try:
        quiet = read_quiet(table.quiet)
    except ValueError as wrong:
        faults.append(f"{where}.quiet: expected {wrong}, got {table.quiet!r}")
    values: dict[str, Any] = {name: getattr(table, name) for name in RANGES}
    return OutboundRules(
        countries=frozenset(table.countries),
        quiet=quiet or Quiet(),
        spacing_minutes=SPACING_MINUTES | table.spacing_minutes,
        detect_machines=table.detect_machines,
        **values,
    )


def read_quiet(text: str) -> Quiet:
    """ "21:00-08:00" or "never". Raises ValueError with what was expected."""
    if text == "never":
        return Quiet(time(0), time(0))
    begins, _, until = (part.strip() for part in text.partition("-"))
    try:
        quiet = Quiet(time.fromisoformat(begins), time.fromisoformat(until))
    except ValueError:
        quiet = Quiet(time(0), time(0))
    if quiet.begins == quiet.until or quiet.begins.tzinfo or quiet.until.tzinfo:
        raise ValueError('hours as 21:00-08:00, or "never"')
    return quiet


# --- numbers ----------------------------------------------------------------------------------------------------------


def check_number(number: str, countries: frozenset[str]) -> None:
    """Raise CallRefused unless this is a number that may be called. countries: by two letters, at least one."""
    if not E164.fullmatch(number):
        raise CallRefused("number_not_e164", f"expected a number as +14155550100, got {number[:40]!r}")
    try:
        parsed = phonenumbers.parse(number)
    except phonenumbers.NumberParseException as wrong:
        raise CallRefused("number_invalid", f"expected a number that can be dialled, got {number}: {wrong}") from wrong
    why = dear(number) or REFUSED_KINDS.get(phonenumbers.number_type(parsed), "")
    if why:
        raise CallRefused("number_premium", f"expected a person's number, got {number}: {why}")
    if not phonenumbers.is_valid_number(parsed):
        raise CallRefused("number_invalid", f"expected a number that can be dialled, got {number}: no such number")
    country = phonenumbers.region_code_for_number(parsed) or "no country"
    if country not in countries:
        allowed = ", ".join(sorted(countries))
        raise CallRefused(
            "country_not_allowed",
            f"expected a number of {allowed}, got {number} of {country}; add it to outbound.countries to allow it",
        )


def zones_of(number: str, home: ZoneInfo) -> list[ZoneInfo]:
    """The zones that a valid number may be in; `home` where nobody can tell."""
    from phonenumbers import timezone  # its tables take 60 ms: not at every start

    names = timezone.time_zones_for_number(phonenumbers.parse(number))
    if not names or UNKNOWN_ZONE in names or len(names) > MOST_ZONES:
        return [home]
    return [ZoneInfo(name) for name in names]


def allowed_from(moment: datetime, zones: Sequence[ZoneInfo], quiet: Quiet) -> datetime | None:
    """The first moment, from an aware one on, at which none of these zones is quiet; None if there is none."""
    for _ in range(TURNS):
        ends = [end for zone in zones if (end := quiet.ends_after(moment.astimezone(zone))) is not None]
        if not ends:
            return moment
        moment = max(ends).astimezone(moment.tzinfo)
    return None
