"""Plots as plain SVG, made on the server: their geometry here, their marks in templates/console/plot.html.

A plot is a picture of numbers that its page also has as a table, so it needs no script. One unit is a pixel at the plot's own
width of 360; pages set plots in columns of about that, so that the words stay as large as those around them.
"""

from collections.abc import Callable, Sequence
from math import floor, log10
from typing import Literal

import msgspec

WIDTH, HEIGHT = 360, 172
LEFT, RIGHT, TOP, BOTTOM = 46, 6, 12, 20
STEPS = (1.0, 1.5, 2.0, 2.5, 3.0, 4.0, 5.0, 6.0, 8.0, 10.0)
"""What a round scale ends with, whatever its power of ten."""
ROOM = 1.15
"""A budget's line is not the plot's upper edge."""


class Series(msgspec.Struct, frozen=True):
    """One row of values, one for each bucket; None where there is none. `kind` is the class of its colour."""

    name: str
    kind: Literal["first", "second", "failed"]
    values: Sequence[float | None]


class Tick(msgspec.Struct, frozen=True):
    """A place on an axis, and its label."""

    at: float
    label: str
    anchor: Literal["start", "middle", "end"] = "end"


class Bar(msgspec.Struct, frozen=True):
    """A bar, and the words that it shows when pointed at."""

    x: float
    y: float
    width: float
    height: float
    kind: str
    words: str


class Dot(msgspec.Struct, frozen=True):
    """A value of a line, and the words that it shows when pointed at."""

    x: float
    y: float
    kind: str
    words: str


class Line(msgspec.Struct, frozen=True):
    """A path of straight pieces, broken where values are missing."""

    path: str
    kind: str


class Plot(msgspec.Struct, frozen=True, kw_only=True):
    """Everything that the template draws."""

    name: str
    title: str
    says: str
    """The plot in a sentence, for those who do not see it."""
    legend: list[tuple[str, str]]
    bars: list[Bar] = []
    lines: list[Line] = []
    dots: list[Dot] = []
    rows: list[Tick] = []
    columns: list[Tick] = []
    budget: Tick | None = None
    empty: bool = False


def bars(
    name: str,
    title: str,
    labels: Sequence[str],
    series: Sequence[Series],
    shown: Callable[[float], str],
    *,
    scale: Callable[[float], str] | None = None,
    budget: float = 0.0,
    axis: Sequence[str] = (),
) -> Plot:
    """A bar a bucket, its series one upon the other.

    shown: how a value is written; scale: how on the scale, if not so. budget: of a bucket, a line across; 0: none. axis: shorter
    labels.
    """
    sums = [sum(values) for values in zip(*([v or 0.0 for v in row.values] for row in series), strict=True)]
    highest = max(sums, default=0)
    top = round_up(max(highest, budget * (ROOM if highest <= budget else 1)))
    places, slot = _places(len(labels))
    made: list[Bar] = []
    for n, label in enumerate(labels):
        below = 0.0
        words = f"{label}: " + ", ".join(f"{shown(row.values[n] or 0)} {row.name}" for row in series)
        for row in series:
            if value := row.values[n] or 0.0:
                y, foot = _height(below + value, top), _height(below, top)
                width = max(1.0, slot * 0.72)
                made.append(
                    Bar(round(places[n] - width / 2, 1), y, round(width, 1), round(foot - y, 1), row.kind, words)
                )
                below += value
    most = max(range(len(sums)), key=lambda n: sums[n], default=0)
    says = f"{title}: {shown(sum(sums))} in all, most at {labels[most]} with {shown(sums[most])}." if any(sums) else ""
    if says and budget:
        says += f" The budget is {shown(budget)}; {sum(value > budget for value in sums)} of {len(sums)} are above it."
    return Plot(
        name=name,
        title=title,
        says=says or f"{title}: nothing.",
        legend=[(row.name, row.kind) for row in series] if len(series) > 1 else [],
        bars=made,
        rows=_rows(top, scale or shown),
        columns=_columns(axis or labels, places),
        budget=Tick(_height(budget, top), f"budget {shown(budget)}") if budget else None,
        empty=not any(sums),
    )


def lines(
    name: str,
    title: str,
    labels: Sequence[str],
    series: Sequence[Series],
    shown: Callable[[float], str],
    *,
    budget: float,
    axis: Sequence[str] = (),
) -> Plot:
    """A line a series, and the budget across; the rest as in `bars`."""
    values = [value for row in series for value in row.values if value is not None]
    top = round_up(max([*values, budget]) * (ROOM if max(values, default=0) <= budget else 1))
    places, _ = _places(len(labels))
    made, dots = [], []
    for row in series:
        pieces, pen = [], "M"
        for x, value, label in zip(places, row.values, labels, strict=True):
            if value is None:
                pen = "M"
                continue
            y = _height(value, top)
            pieces.append(f"{pen}{x:g} {y:g}")
            dots.append(Dot(x, y, row.kind, f"{label}: {shown(value)} {row.name}"))
            pen = "L"
        made.append(Line("".join(pieces), row.kind))
    over = [sum(value is not None and value > budget for value in row.values) for row in series]
    told = "; ".join(f"{row.name} above it in {count}" for row, count in zip(series, over, strict=True))
    return Plot(
        name=name,
        title=title,
        says=f"{title}: the budget is {shown(budget)}; of {len(labels)} points {told}."
        if values
        else f"{title}: nothing.",
        legend=[(row.name, row.kind) for row in series],
        lines=made,
        dots=dots,
        rows=_rows(top, shown),
        columns=_columns(axis or labels, places),
        budget=Tick(_height(budget, top), f"budget {shown(budget)}"),
        empty=not values,
    )


def round_up(value: float) -> float:
    """The end of a scale that has room for a value: the next round number, 1 for nothing."""
    if value <= 0:
        return 1.0
    power = 10.0 ** floor(log10(value))
    return next((step * power for step in STEPS if step * power >= value * (1 - 1e-9)), 10 * power)


def _height(value: float, top: float) -> float:
    return round(HEIGHT - BOTTOM - (HEIGHT - BOTTOM - TOP) * value / top, 1)


def _places(count: int) -> tuple[list[float], float]:
    """The middle of each bucket, and how wide one is."""
    slot = (WIDTH - LEFT - RIGHT) / max(1, count)
    return [round(LEFT + slot * (n + 0.5), 1) for n in range(count)], slot


def _rows(top: float, shown: Callable[[float], str]) -> list[Tick]:
    return [Tick(_height(top * part, top), shown(top * part)) for part in (0.0, 0.5, 1.0)]


def _columns(labels: Sequence[str], places: Sequence[float]) -> list[Tick]:
    """Labels of four buckets at most, the first and the last among them; all in line with their buckets."""
    last = len(labels) - 1
    chosen = sorted({round(last * part / 3) for part in range(4)}) if last >= 0 else []
    return [Tick(places[n], labels[n], _anchor(n, last)) for n in chosen]


def _anchor(n: int, last: int) -> Literal["start", "middle", "end"]:
    """Labels at the edges of many buckets lean inwards; those of few have room."""
    if last < 12:
        return "middle"
    return "start" if n == 0 else "end" if n == last else "middle"
