"""The soak: calls that come, talk for most of a minute and go, again and again; memory and descriptors over time."""

import time
from collections.abc import Sequence

from bench.book import Book, Minute, Row
from bench.load import Load, NotMeasured
from bench.measuring import Target, Trial, measure, reason, say
from bench.parts import us_per_message
from bench.subjects import Running

CALLS = 50
MINUTE = Trial("soak", {"scenario": "steady", "calls": CALLS, "warmup_s": 2, "window_s": 55}, pacing_us=20_000.0)
"""Most of a minute; what is left of it goes for dialling and hanging up."""


def soak(load: Load, target: Running, book: Book, minutes: float) -> None:
    """Go on until the minutes are over; each minute goes into the book, and the growth between the second and the last."""
    name = target.subject.name
    began = time.monotonic()
    mine: list[Minute] = []
    while time.monotonic() - began < minutes * 60:
        try:
            mine.append(_minute(load, name, target, book, began))
        except NotMeasured as wrong:  # a busy moment of the machine; the soak goes on
            say(f"    soak: {reason(wrong)}")
            continue
        book.soak.append(mine[-1])
        say(f"    soak: {mine[-1].minute:.0f} min, {mine[-1].rss_kb / 1024:.1f} MB, {mine[-1].files} descriptors")
    settled = mine[1:]  # the first minute fills caches
    for figure, unit, values in (
        ("memory growth, quiet", "kB per hour", [one.quiet_rss_kb for one in settled]),
        ("descriptor growth, quiet", "per hour", [float(one.quiet_files) for one in settled]),
    ):
        row = Row("soak", "soak", figure, unit, name)
        if len(settled) < 2:
            book.put(row, 0, None, "a slope takes at least three minutes")
        else:
            book.put(row, 0, slope([one.minute for one in settled], values) * 60)


def _minute(load: Load, name: str, target: Target, book: Book, began: float) -> Minute:
    measured = measure(load, name, target, MINUTE, thrown=book.thrown)
    quiet = target.usage()
    return Minute(
        name,
        (time.monotonic() - began) / 60,
        measured.end.rss_kb,
        measured.end.pss_kb,
        measured.end.files,
        quiet.rss_kb,
        quiet.files,
        us_per_message(measured) or 0.0,
        max(measured.result.up.p99_us, measured.result.down.p99_us) / 1000,
    )


def slope(xs: Sequence[float], ys: Sequence[float]) -> float:
    """Of the straight line through the points that lies nearest to them. At least two different xs."""
    mean_x, mean_y = sum(xs) / len(xs), sum(ys) / len(ys)
    above = sum((x - mean_x) * (y - mean_y) for x, y in zip(xs, ys, strict=True))
    return above / sum((x - mean_x) ** 2 for x in xs)
