"""Budgets: how slow a call may be before it counts as a fault. Defaults are what a caller bears; a script may want otherwise."""

import tomllib
from pathlib import Path
from typing import Annotated

import msgspec

from app.errors import SetupError

Limit = Annotated[int, msgspec.Meta(ge=0)]


class Budgets(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Milliseconds at most, as the caller's ear has them; None: as the defaults have it.

    greeting_ms: stream start to first sound; greeting_spread_ms: from the quickest to the slowest of a model's greetings.
    barge_in_ms: how long the agent goes on once the caller cuts in, at worst. answer_ms: last word to first sound, in the median.
    tool_ms: the slowest tool. untrue: how many lines may claim what no tool has done.
    """

    greeting_ms: Limit | None = None
    greeting_spread_ms: Limit | None = None
    barge_in_ms: Limit | None = None
    answer_ms: Limit | None = None
    tool_ms: Limit | None = None
    untrue: Limit | None = None

    def over(self, others: "Budgets") -> "Budgets":
        """These, and what they leave open as the others have it."""
        mine = {name: value for name in self.__struct_fields__ if (value := getattr(self, name)) is not None}
        return msgspec.structs.replace(others, **mine)


USUAL = Budgets(greeting_ms=1500, greeting_spread_ms=1000, barge_in_ms=600, answer_ms=2500, tool_ms=1500, untrue=0)


class _File(msgspec.Struct, forbid_unknown_fields=True):
    budgets: Budgets


def load(path: Path) -> Budgets:
    """A file with a table [budgets], over the usual ones. Raises SetupError."""
    try:
        file = msgspec.convert(tomllib.loads(path.read_text(encoding="utf-8")), _File)
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError, msgspec.ValidationError) as wrong:
        names = ", ".join(Budgets.__struct_fields__)
        raise SetupError(f"{path}: expected a table [budgets] with any of {names}, got: {wrong}") from wrong
    return file.budgets.over(USUAL)


def exceeded(limits: Budgets, found: dict[str, int | None]) -> list[str]:
    """What is above its limit, as sentences. found: by the names of the limits; None: there was nothing to measure."""
    said = {
        "greeting_ms": "a greeting within {limit} ms, got {got} ms",
        "greeting_spread_ms": "greetings no more than {limit} ms apart, got {got} ms",
        "barge_in_ms": "the agent silent {limit} ms after a barge-in, got {got} ms",
        "answer_ms": "answers within {limit} ms in the median, got {got} ms",
        "tool_ms": "every tool back within {limit} ms, got {got} ms",
        "untrue": "{limit} lines that claim what no tool has done, got {got}",
    }
    return [
        f"expected {said[name].format(limit=limit, got=got)}"
        for name, got in found.items()
        if got is not None and (limit := getattr(limits, name)) is not None and got > limit
    ]
