"""What a caller's name, number or day is once it has been read: the argument types that tools ask for.

    @tool
    async def call_back(phone: Confirmed[PhoneNumber], name: PersonName) -> str: ...

A plain one arrives as soon as it could be read, marked `confirmed=False`. One in `Confirmed[...]` arrives only after the caller
heard it read back and answered; until then the tool does not run (app/captures/ledger.py). None of them is ever printed whole:
a `repr` in a log shows no personal data.
"""

from datetime import date, datetime, time
from typing import Annotated, Any, Generic, Literal, NamedTuple, Protocol, TypeVar

import msgspec

from app.rules.office import Office

T = TypeVar("T")


class Captured(msgspec.Struct, Generic[T], frozen=True):
    """A value that a caller gave. `str()` of it is the value as text."""

    value: T
    confirmed: bool = False
    """Whether it was read back to the caller, who answered, and it stayed the same."""

    def __str__(self) -> str:
        match self.value:
            case datetime() | time():
                return self.value.isoformat(timespec="minutes")
            case date():
                return self.value.isoformat()
        return str(self.value)

    def __repr__(self) -> str:
        return f"{type(self).__name__}(confirmed={self.confirmed})"


class PersonName(Captured[str], frozen=True):
    """A person's name, as written: "Sean O'Brien"."""


class PhoneNumber(Captured[str], frozen=True):
    """A phone number, E.164."""


class EmailAddress(Captured[str], frozen=True):
    """An e-mail address, in small letters. Nobody asked whether there is a mailbox."""


class PostalCode(Captured[str], frozen=True):
    """A postal code of the office's country, as written there: "94105", "K1A 0B1"."""


class DigitString(Captured[str], frozen=True):
    """An order, customer or policy number: digits alone. Lengths and checksum by `DigitRule`."""


class SpelledWord(Captured[str], frozen=True):
    """A word or code given letter by letter: capital letters, digits and hyphens."""


class LocalDate(Captured[date], frozen=True):
    """A day at the business: today or later, or a past one by `DateRule`."""


class LocalTime(Captured[time], frozen=True):
    """A time of day at the business, whole minutes."""


class LocalMoment(Captured[datetime], frozen=True):
    """A day and time at the business, in the future, without a zone: as `Store.book` takes it."""


class DigitRule(msgspec.Struct, frozen=True):
    """Which digits are right: `Annotated[DigitString, DigitRule(lengths=(8,), checksum="mod11")]`.

    The last digit is the check digit. mod11: the others are multiplied by `weights` from the right, over and over; what is
    missing from their sum to a multiple of 11 is the check digit (11 counts as 0; 10 makes the number invalid). Weights 2 to 7
    are those of bank accounts, 2 to 10 those of the British health service.
    """

    lengths: tuple[int, ...] = ()
    """Allowed numbers of digits; empty: 1 to 32."""
    checksum: Literal["none", "luhn", "mod11"] = "none"
    weights: tuple[int, ...] = (2, 3, 4, 5, 6, 7)

    def __post_init__(self) -> None:
        if any(not 1 <= length <= 32 for length in self.lengths):
            raise ValueError(f"DigitRule: expected lengths of 1 to 32 digits, got {self.lengths}")
        if self.checksum not in ("none", "luhn", "mod11"):
            raise ValueError(f"DigitRule: expected a checksum of none, luhn or mod11, got {self.checksum!r}")
        if not self.weights or any(not 1 <= weight <= 10 for weight in self.weights):
            raise ValueError(f"DigitRule: expected weights of 1 to 10, got {self.weights}")


class DateRule(msgspec.Struct, frozen=True):
    """Which days are right: `Annotated[LocalDate, DateRule(past=True)]` is a birthday, whose year must be given."""

    past: bool = False


class Demand:
    """The mark of `Confirmed[...]`."""


Confirmed = Annotated[T, Demand]
"""The tool does not run before the caller agreed to this argument."""


class Scene(Protocol):
    """Where and when something is read; a tool's `CallContext` is one."""

    now: datetime
    """At the business, with its zone."""
    office: Office
    caller_turns: int
    """How often the caller has spoken or pressed keys so far."""


class Reading(NamedTuple):
    """What was made of the words that were heard."""

    value: Any
    aloud: str
    """How to read it back, in groups."""
