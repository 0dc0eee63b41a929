"""The kinds of what can be captured: what the model is told of each, who reads it, and how it is typed on a keypad."""

from collections.abc import Callable
from typing import Any

import msgspec

from app.captures.captured import (
    Captured,
    DateRule,
    DigitRule,
    DigitString,
    EmailAddress,
    LocalDate,
    LocalMoment,
    LocalTime,
    PersonName,
    PhoneNumber,
    PostalCode,
    Reading,
    Scene,
    SpelledWord,
)
from app.captures.codes import POSTAL, read_digits, read_postal, read_word
from app.captures.dates import MONTH_FIRST, read_date
from app.captures.email import read_email
from app.captures.names import read_name
from app.captures.phone import read_phone
from app.captures.times import read_moment, read_time

Read = Callable[[str, object, Scene], Reading]


class Kind(msgspec.Struct, frozen=True, kw_only=True):
    """One kind. `read` raises ToolError with what is wrong, for the model."""

    name: str
    read: Read
    about: str
    """What the model reads in the schema."""
    keys: Callable[[str], str]
    """How it is typed, by the office's country; empty: it cannot be."""
    rule: type[Any] | None = None
    """What its `Annotated[...]` may hold besides `about(...)`."""


def _not_typed(country: str) -> str:
    return ""


def _postal_keys(country: str) -> str:
    return "the postal code" if "[A" not in POSTAL.get(country, "[A") else ""


def _date_keys(country: str) -> str:
    return (
        "two digits for the month, two for the day and four for the year"
        if country in MONTH_FIRST
        else ("two digits for the day, two for the month and four for the year")
    )


KINDS: dict[type[Captured[Any]], Kind] = {
    PersonName: Kind(
        name="name",
        read=read_name,
        about='a name; if spelled, the letters as heard: "Smith, S as in Sam, M, I, double T"',
        keys=_not_typed,
    ),
    PhoneNumber: Kind(
        name="phone",
        read=read_phone,
        about='a phone number, all of it: digits as heard, with "+" if it is foreign',
        keys=lambda country: "the number with its area code",
    ),
    EmailAddress: Kind(
        name="email",
        read=read_email,
        about='an e-mail address as heard: "J as in John, O, H, N, dot smith at gmail dot com"',
        keys=_not_typed,
    ),
    PostalCode: Kind(name="postal_code", read=read_postal, about="a postal code as heard", keys=_postal_keys),
    DigitString: Kind(
        name="digits",
        read=read_digits,
        about='digits as heard: "four one five, double two"',
        keys=lambda country: "the digits",
        rule=DigitRule,
    ),
    SpelledWord: Kind(
        name="spelled_word",
        read=read_word,
        about='spelled letters and digits as heard: "K as in king, B, seven, double O"',
        keys=_not_typed,
    ),
    LocalDate: Kind(
        name="date",
        read=read_date,
        about='a day as heard: "next Tuesday", "November 24"',
        keys=_date_keys,
        rule=DateRule,
    ),
    LocalTime: Kind(
        name="time",
        read=read_time,
        about='a time of day as heard, with am or pm if it was said: "half past two"',
        keys=lambda country: "hour and minutes by the 24-hour clock, four digits",
    ),
    LocalMoment: Kind(
        name="moment",
        read=read_moment,
        about='a day and time as heard: "next Tuesday at half past two"',
        keys=_not_typed,
    ),
}
