"""Outbound: what may be asked for when a call is to be placed, and what is told of it. Checked here, kept by the outbound book.

What is asked is checked whole before anything is kept: the number, its country, the mode and the fields that it needs, and when the
callee's clock allows a call. In quiet hours a call is not refused: it is kept, and placed when they end.
"""

import hashlib
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, Literal

import msgspec

from app.errors import CallRefused
from app.mode import Mode
from app.rules.office import Office
from app.rules.outbound import OutboundRules, Result, allowed_from, check_number, zones_of

FIELDS_BYTES = 4000
LATEST = timedelta(days=90)
State = Literal["waiting", "live", "done"]


class Wish(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A call that somebody wants placed: the body of `POST /calls`. Moments carry their zone."""

    to: str
    mode: str
    fields: dict[str, Any] = {}
    """What the mode has to know of this call, as its `asks` says."""
    not_before: datetime | None = None
    not_after: datetime | None = None
    """No attempt begins later than this."""
    max_attempts: int | None = None

    @property
    def hash(self) -> str:
        """The same for the same wish, whatever the order of its keys."""
        return hashlib.sha256(msgspec.json.encode(self, order="deterministic")).hexdigest()


class Checked(msgspec.Struct, frozen=True, kw_only=True):
    """A wish that may be kept."""

    wish: Wish
    fields: dict[str, Any]
    due_at: datetime
    max_attempts: int
    why_later: str = ""
    """Why it is not placed at once; empty if it is."""


class Told(msgspec.Struct, frozen=True, kw_only=True):
    """One attempt, as it is told to who asked. `result` is empty while it rings or talks."""

    call_sid: str
    started_at: datetime
    ended_at: datetime | None
    answered_by: str
    result: Result
    detail: str


class Placed(msgspec.Struct, frozen=True, kw_only=True):
    """A call that was asked for, as it stands. `due_at`: when the next attempt may begin; `outcome`: of the mode, if any."""

    reference: str
    to: str
    mode: str
    status: State
    result: str
    due_at: datetime
    attempts: list[Told] = []
    outcome: dict[str, Any] | None = None


def check(wish: Wish, *, rules: OutboundRules, modes: Mapping[str, Mode], office: Office, now: datetime) -> Checked:
    """Everything that can be said without the book. now: aware. Raises CallRefused."""
    check_number(wish.to, rules.countries or frozenset({office.country}))
    fields = _fields(wish, modes)
    for name in ("not_before", "not_after"):
        moment = getattr(wish, name)
        if moment is not None and not _is_moment(moment):
            raise CallRefused(
                "time_invalid", f"expected {name} with its zone, as 2026-12-01T09:00:00-06:00, got {moment.isoformat()}"
            )
    if wish.not_before is not None and wish.not_before > now + LATEST:
        raise CallRefused("time_invalid", f"expected not_before within {LATEST.days} days, got {wish.not_before}")
    if wish.max_attempts is not None and not 1 <= wish.max_attempts <= rules.max_attempts:
        raise CallRefused(
            "attempts_invalid", f"expected max_attempts from 1 to {rules.max_attempts}, got {wish.max_attempts}"
        )
    wanted = max(now, wish.not_before.astimezone(UTC) if wish.not_before else now)
    due_at = allowed_from(wanted, zones_of(wish.to, office.zone), rules.quiet)
    if due_at is None:
        raise CallRefused("never_allowed", f"there is no hour at which it is not quiet in every zone of {wish.to}")
    if wish.not_after is not None and due_at > wish.not_after:
        quiet = f"{rules.quiet.begins:%H:%M} to {rules.quiet.until:%H:%M}"
        raise CallRefused(
            "too_late",
            f"expected not_after no earlier than {due_at.isoformat()}, the first moment outside of quiet hours ({quiet}), "
            f"got {wish.not_after.isoformat()}",
        )
    why = "" if due_at <= now else "quiet hours of the callee" if due_at > wanted else "not before then"
    return Checked(
        wish=wish, fields=fields, due_at=due_at, max_attempts=wish.max_attempts or rules.max_attempts, why_later=why
    )


def _fields(wish: Wish, modes: Mapping[str, Mode]) -> dict[str, Any]:
    """The fields as the mode's type has them."""
    callers = sorted(name for name, mode in modes.items() if mode.asks is not None)
    mode = modes.get(wish.mode)
    if mode is None or mode.asks is None:
        raise CallRefused(
            "mode_unknown",
            f"expected a mode that places calls ({', '.join(callers) or 'there is none'}), got {wish.mode!r}",
        )
    if len(msgspec.json.encode(wish.fields)) > FIELDS_BYTES:
        raise CallRefused("fields_invalid", f"expected fields of at most {FIELDS_BYTES} bytes")
    try:
        fields: dict[str, Any] = msgspec.to_builtins(msgspec.convert(wish.fields, mode.asks))
    except msgspec.ValidationError as wrong:
        raise CallRefused("fields_invalid", f"expected fields that fit the mode {wish.mode!r}, got: {wrong}") from wrong
    for name, value in fields.items():
        if not all(text.isprintable() for text in _texts(value)):
            raise CallRefused("fields_invalid", f"expected one line of text in {name!r}, got {value!r}")
    return fields


def _texts(value: Any) -> Iterator[str]:
    """Every text in what a mode asks for: all of it stands in the prompt."""
    match value:
        case str():
            yield value
        case dict():
            for part in (*value.keys(), *value.values()):
                yield from _texts(part)
        case list():
            for part in value:
                yield from _texts(part)


def _is_moment(moment: datetime) -> bool:
    """Whether it is one for everybody: with its zone, and in the years that UTC has."""
    try:
        return moment.tzinfo is not None and bool(moment.astimezone(UTC))
    except OverflowError:
        return False
