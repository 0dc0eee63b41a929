"""What is done with measured numbers: medians with their spread, ratios round by round, and the search for a limit."""

import statistics
from collections.abc import Callable, Sequence

import msgspec


class Spread(msgspec.Struct, frozen=True):
    """The middle of some rounds, and how far they lie apart."""

    median: float
    low: float
    high: float
    rounds: int


def spread(values: Sequence[float]) -> Spread | None:
    """None if nothing was measured."""
    if not values:
        return None
    return Spread(statistics.median(values), min(values), max(values), len(values))


def percentile(values: Sequence[float], share: float) -> float:
    """The smallest value that `share` (0 to 1) of all values do not exceed. Raises ValueError if there is none."""
    if not values:
        raise ValueError("expected at least one value, got none")
    ordered = sorted(values)
    rank = -int(-share * len(ordered) // 1)  # rounded up: of 100 values the 99th is the p99
    return ordered[min(len(ordered), max(1, rank)) - 1]


def ratios(ours: Sequence[float | None], theirs: Sequence[float | None]) -> list[float]:
    """Ours by theirs, round by round: both of a round had the same noise. Rounds that lack one are left out."""
    return [a / b for a, b in zip(ours, theirs, strict=False) if a is not None and b]


class Limit(msgspec.Struct, frozen=True):
    """How far a search came. `open_ended`: nothing that was tried failed, so the true limit lies above."""

    most: int
    open_ended: bool


def limit(passes: Callable[[int], bool], ladder: Sequence[int], *, step: int) -> Limit:
    """The most that passes: up the ladder until one fails, then halves the gap until it is no wider than `step`.

    ladder: ascending. `most` is 0 if already its first rung fails.
    """
    good = 0
    for rung in ladder:
        if not passes(rung):
            return Limit(_between(passes, good, rung, step), open_ended=False)
        good = rung
    return Limit(good, open_ended=True)


def _between(passes: Callable[[int], bool], good: int, bad: int, step: int) -> int:
    while bad - good > step:
        middle = (good + bad) // 2
        if passes(middle):
            good = middle
        else:
            bad = middle
    return good
