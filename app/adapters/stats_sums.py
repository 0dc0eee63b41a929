"""Days that were counted, and how they are added up: sums, and waits as histograms.

A histogram's steps are 2 % wide, so a percentile out of any number of them is true to 1 %.
"""

import struct
from bisect import bisect_right
from collections import defaultdict
from collections.abc import Iterable
from functools import cached_property
from itertools import accumulate
from math import floor

import msgspec

from app.adapters.stats_queries import MOST_NAMES, Counted, Group, Named, Stats, Tool, Transfers, Waits, Wish

STEP = 1.02
STEPS = 1152
"""1.02 to this power is more than an integer of Postgres holds."""
FIELD = 32
"""Bits of a step in a whole histogram as one number: adding two is one addition then, ten times as quick as step by step."""


class Histogram(msgspec.Struct, dict=True):
    """How many values there are in each step, from step `low` on. Step n is the whole numbers up to STEP to the power of n."""

    low: int = 0
    counts: list[int] = []

    @classmethod
    def of(cls, steps: dict[int, int]) -> "Histogram":
        """Of counts by step."""
        low = min(steps)
        return cls(low, [steps.get(step, 0) for step in range(low, max(steps) + 1)])

    @cached_property
    def packed(self) -> int:
        """All of it as one number: step 0 in its lowest bits."""
        counts = struct.pack(f"<{len(self.counts)}I", *self.counts)
        return int.from_bytes(counts, "little") << (FIELD * self.low)


class ToolDay(msgspec.Struct):
    """A tool's calls by status, and the waits of those that have come back."""

    statuses: dict[str, int] = {}
    waits: Histogram = msgspec.field(default_factory=Histogram)


class Day(msgspec.Struct):
    """All of a day's calls with one mode and model. greetings: by the way in which they came, empty where that is not known."""

    calls: int = 0
    failed: int = 0
    talked: int = 0
    cuts: int = 0
    cost_usd: float = 0.0
    seconds: float = 0.0
    outcomes: dict[str, int] = {}
    greetings: dict[str, Histogram] = {}
    turns: Histogram = msgspec.field(default_factory=Histogram)
    tools: dict[str, ToolDay] = {}
    desks: dict[str, dict[str, int]] = {}


class Sum:
    """Histograms on top of each other."""

    def __init__(self) -> None:
        self._packed = 0

    def add(self, more: Histogram) -> None:
        """One more."""
        self._packed += more.packed

    def waits(self) -> Waits:
        """Its count and percentiles: between two values as Postgres's percentile_cont has it."""
        counts: tuple[int, ...] = struct.unpack(f"<{STEPS}I", self._packed.to_bytes(STEPS * FIELD // 8, "little"))
        below = list(accumulate(counts))
        count = below[-1]
        if not count:
            return Waits()

        def at(part: float) -> float:
            rank = part * (count - 1)
            low, high = (middle(bisect_right(below, place)) for place in (floor(rank), min(floor(rank) + 1, count - 1)))
            return low + (high - low) * (rank - floor(rank))

        return Waits(count, at(0.5), at(0.95))


def middle(step: int) -> float:
    """The middle of the whole numbers of a step."""
    if step == 0:
        return 1.0
    low, high = floor(STEP ** (step - 1)) + 1, floor(STEP**step)
    return (low + high) / 2


class Pile:
    """Days that are added up."""

    def __init__(self) -> None:
        self.sums = Day()
        self.greetings, self.turns = Sum(), Sum()

    def add(self, day: Day) -> None:
        """One more."""
        mine = self.sums
        mine.calls += day.calls
        mine.failed += day.failed
        mine.talked += day.talked
        mine.cuts += day.cuts
        mine.cost_usd += day.cost_usd
        mine.seconds += day.seconds
        for greeting in day.greetings.values():
            self.greetings.add(greeting)
        self.turns.add(day.turns)

    def group(self) -> Group:
        """Its figures."""
        mine = self.sums
        return Group(
            calls=mine.calls,
            failed=mine.failed,
            talked=mine.talked,
            cuts=mine.cuts,
            cost_usd=mine.cost_usd,
            seconds=mine.seconds,
            greeting=self.greetings.waits(),
            turn=self.turns.waits(),
        )


def added(wish: Wish, days: Iterable[tuple[int, str, str, Day]]) -> Stats:
    """Figures of a period out of its days. On a thread: it takes a tenth of a second."""
    total, buckets = Pile(), [Pile() for _ in wish.edges[1:]]
    modes: defaultdict[str, Pile] = defaultdict(Pile)
    models: defaultdict[str, Pile] = defaultdict(Pile)
    outcomes: defaultdict[str, int] = defaultdict(int)
    paths: defaultdict[str, Sum] = defaultdict(Sum)
    tools: defaultdict[str, tuple[Sum, defaultdict[str, int]]] = defaultdict(lambda: (Sum(), defaultdict(int)))
    desks: defaultdict[str, defaultdict[str, int]] = defaultdict(lambda: defaultdict(int))
    for bucket, mode, model, day in days:
        if (wish.mode and mode != wish.mode) or (wish.model and model != wish.model) or not day.calls:
            continue
        for pile in (total, buckets[bucket], modes[mode], models[model]):
            pile.add(day)
        for name, count in day.outcomes.items():
            outcomes[name] += count
        for name, greeting in day.greetings.items():
            if name:
                paths[name].add(greeting)
        for name, tool in day.tools.items():
            waits, statuses = tools[name]
            waits.add(tool.waits)
            for status, count in tool.statuses.items():
                statuses[status] += count
        for desk, results in day.desks.items():
            for result, count in results.items():
                desks[desk][result] += count
    return Stats(
        total=total.group(),
        buckets=[pile.group() for pile in buckets],
        modes=_named(modes),
        models=_named(models),
        outcomes=[Counted(*pair) for pair in _most(outcomes)],
        greetings=sorted(
            ((name, pile.waits()) for name, pile in paths.items()), key=lambda one: (-one[1].count, one[0])
        ),
        tools=_tools(tools),
        transfers=[Transfers(desk, dict(_most(desks[desk]))) for desk in sorted(desks)],
        rounded=True,
    )


def _named(piles: dict[str, Pile]) -> list[Named]:
    most = _most({name: pile.sums.calls for name, pile in piles.items()})
    return [Named(name, piles[name].group()) for name, _ in most[:MOST_NAMES]]


def _tools(found: dict[str, tuple[Sum, defaultdict[str, int]]]) -> list[Tool]:
    most = _most({name: sum(statuses.values()) for name, (_, statuses) in found.items()})
    made = []
    for name, _ in most[:MOST_NAMES]:
        waits, by = found[name]
        made.append(Tool(name, waits.waits(), by["refused"], by["error"] + by["late"], by["working"]))
    return made


def _most(counts: dict[str, int]) -> list[tuple[str, int]]:
    """The most frequent first."""
    return sorted(counts.items(), key=lambda pair: (-pair[1], pair[0]))
