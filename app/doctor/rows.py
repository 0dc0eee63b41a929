"""What a check finds, and the row that is made of it: what is so, what to do about it, and where that is explained."""

from collections.abc import Sequence
from typing import Any, Literal

import msgspec

Level = Literal["fine", "skipped", "warning", "fault"]
"""Worse and worse. `skipped`: it was not looked at, and `what` says why."""


class Finding(msgspec.Struct, frozen=True, kw_only=True):
    """What one check found. Neither text may hold a secret; `Examination` takes out those that it knows all the same."""

    level: Level
    what: str
    remedy: str = ""
    """What to do; empty where nothing need be done."""
    text: str = ""
    """Something to paste elsewhere, of several lines."""


class Row(msgspec.Struct, frozen=True, kw_only=True):
    """One line. `docs`: a file under docs/ and a heading in it."""

    check: str
    level: Level
    what: str
    remedy: str
    text: str
    docs: str

    @property
    def ok(self) -> bool:
        """Whether calls can come in spite of this: all but faults."""
        return self.level != "fault"

    def as_json(self) -> dict[str, Any]:
        """For programs: the fields, and `ok`."""
        return {"check": self.check, "ok": self.ok, **msgspec.to_builtins(self)}


def fine(what: str) -> Finding:
    """As it should be."""
    return Finding(level="fine", what=what)


def skipped(why: str, remedy: str = "") -> Finding:
    """Not looked at."""
    return Finding(level="skipped", what=why, remedy=remedy)


def warning(what: str, remedy: str, text: str = "") -> Finding:
    """Calls come, but not as well as they could."""
    return Finding(level="warning", what=what, remedy=remedy, text=text)


def fault(what: str, remedy: str, text: str = "") -> Finding:
    """Calls will not come, or will not be answered."""
    return Finding(level="fault", what=what, remedy=remedy, text=text)


def exit_code(rows: Sequence[Row]) -> int:
    """By the worst line: 1 with a fault, else 0."""
    return 0 if all(row.ok for row in rows) else 1
