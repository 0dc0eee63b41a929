"""Reads offhook.toml: the business, its hours and desks, and which number reaches which mode."""

import tomllib
from collections.abc import Mapping
from datetime import time
from pathlib import Path
from types import MappingProxyType
from typing import Any
from zoneinfo import ZoneInfo

import msgspec
import phonenumbers

from app.rules import fallback_engines
from app.rules.consent import Table, read_rules
from app.rules.dialable import dear
from app.rules.office import E164, RING_TONES, WEEKDAYS, Desk, Hours, Office
from app.rules.outbound import Table as OutboundTable
from app.rules.outbound import read_outbound
from app.rules.prices import OURS, Prices
from app.rules.recording import Table as RecordingTable
from app.rules.recording import read_recording
from app.rules.retention import RetentionDays, check_retention
from app.rules.webhooks import Table as WebhookTable
from app.rules.webhooks import read_webhooks

ALWAYS = {day: Hours(time.min, time.max) for day in WEEKDAYS}
PERSON = "person"
"""The desk of a business that names none, but a person's number."""


class _Desk(msgspec.Struct, forbid_unknown_fields=True):
    about: str = ""
    number: str = ""
    hours: dict[str, str] | str | None = None
    warm: bool = False
    toll: bool = False


class _Business(msgspec.Struct, forbid_unknown_fields=True):
    name: str = "the office"
    zone: str = "UTC"
    slot_minutes: int = 30
    ring_tone: str = "us"
    country: str = "US"
    hours: dict[str, str] = {}
    desks: dict[str, _Desk] = {}


class _Calls(msgspec.Struct, forbid_unknown_fields=True):
    default_mode: str = "receptionist"
    numbers: dict[str, str] = {}
    consent: Table = msgspec.field(default_factory=Table)


class _File(msgspec.Struct, forbid_unknown_fields=True):
    business: _Business = msgspec.field(default_factory=_Business)
    calls: _Calls = msgspec.field(default_factory=_Calls)
    prices: Prices = OURS
    webhook: list[WebhookTable] = []
    fallback_engine: list[fallback_engines.Table] = []
    retention: RetentionDays = msgspec.field(default_factory=RetentionDays)
    recording: RecordingTable = msgspec.field(default_factory=RecordingTable)
    outbound: OutboundTable = msgspec.field(default_factory=OutboundTable)


def read_office(
    path: Path, human: str, faults: list[str], environ: Mapping[str, str] = MappingProxyType({})
) -> dict[str, Any]:
    """The file's part of the settings, by their names; what is wrong is added to `faults`.

    human: the number of desks that have none of their own. environ: where the secrets are that the file names.
    """
    file = _File()
    try:
        tables = tomllib.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, OSError) as wrong:
        faults.append(f"{path.name}: {wrong}")
        tables = {}
    for name in sorted(tables):  # one by one, so that a fault of one table does not hide another's
        try:
            part = msgspec.convert({name: tables[name]}, _File)
            setattr(file, name, getattr(part, name))
        except msgspec.ValidationError as wrong:
            faults.append(f"{path.name}: {wrong}")
    business = file.business
    try:
        zone = ZoneInfo(business.zone)
    except (ValueError, OSError, KeyError):
        faults.append(f"{path.name}: business.zone: expected a zone as America/Chicago, got {business.zone!r}")
        zone = ZoneInfo("UTC")
    hours = _week(business.hours, f"{path.name}: business.hours", faults)
    if not 5 <= business.slot_minutes <= 480:
        faults.append(f"{path.name}: business.slot_minutes: expected 5 to 480, got {business.slot_minutes}")
    desks = {}
    for name, desk in business.desks.items():
        if desk.number and not E164.fullmatch(desk.number):
            faults.append(f"{path.name}: business.desks.{name}.number: expected +14155550100, got {desk.number!r}")
        elif desk.number and not desk.toll and (why := dear(desk.number)):
            faults.append(
                f"{path.name}: business.desks.{name}.number: expected a number that costs no more than a call, got {why}; "
                "toll = true beside it allows it"
            )
        week = ALWAYS if desk.hours == "always" else None
        if isinstance(desk.hours, str) and week is None:
            faults.append(
                f'{path.name}: business.desks.{name}.hours: expected "always" or hours by weekday, got {desk.hours!r}'
            )
        if isinstance(desk.hours, dict):
            week = _week(desk.hours, f"{path.name}: business.desks.{name}.hours", faults)
            if not week:
                faults.append(f"{path.name}: business.desks.{name}.hours: expected at least one day, got none")
        desks[name] = Desk(name=name, about=desk.about, number=desk.number or human, hours=week, warm=desk.warm)
    if not desks and human:
        desks[PERSON] = Desk(name=PERSON, about="anything", number=human)
    if business.ring_tone not in RING_TONES:
        known = ", ".join(sorted(RING_TONES))
        faults.append(f"{path.name}: business.ring_tone: expected one of {known}, got {business.ring_tone!r}")
    if business.country not in phonenumbers.SUPPORTED_REGIONS:
        faults.append(f"{path.name}: business.country: expected two letters as US or GB, got {business.country!r}")
    faults += file.prices.faults(path.name)
    for number in file.calls.numbers:
        if not E164.fullmatch(number):
            faults.append(f"{path.name}: calls.numbers: expected numbers as +14155550100, got {number!r}")
    office = Office(
        business.name, zone, hours, max(1, business.slot_minutes), desks, business.ring_tone, business.country
    )
    consent = read_rules(file.calls.consent, path.name, faults)
    return {
        "office": office,
        "default_mode": file.calls.default_mode,
        "numbers": file.calls.numbers,
        "consent": consent,
        "prices": file.prices,
        "fallback_engines": fallback_engines.read_engines(file.fallback_engine, environ, path.name, faults),
        "webhooks": read_webhooks(file.webhook, environ, path.name, faults),
        "retention": check_retention(file.retention, path.name, faults),
        "recording": read_recording(file.recording, path.name, faults),
        "outbound": read_outbound(file.outbound, path.name, faults),
    }


def _week(week: dict[str, str], where: str, faults: list[str]) -> dict[str, Hours]:
    """Hours by weekday; what is none is added to `faults`."""
    hours = {}
    for day, text in week.items():
        opened = _hours(text)
        if day not in WEEKDAYS or opened is None:
            faults.append(f'{where}.{day}: expected a weekday with hours as "08:00-17:00", got {text!r}')
        else:
            hours[day] = opened
    return hours


def _hours(text: str) -> Hours | None:
    """ "08:00-17:00" as hours, "24:00" being the end of the day; None if it is nothing of the kind."""
    opens, _, closes = (part.strip() for part in text.partition("-"))
    try:
        hours = Hours(time.fromisoformat(opens), time.max if closes == "24:00" else time.fromisoformat(closes))
    except ValueError:
        return None
    if hours.opens.tzinfo or hours.closes.tzinfo:  # "12:00-17:00" reads as noon in a zone
        return None
    return hours if hours.opens < hours.closes else None
