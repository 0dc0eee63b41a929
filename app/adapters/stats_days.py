"""The same figures as stats_queries.py for many calls: days that are over are counted once, and kept.

A call changes within LONGEST_CALL of its start at most. A day that ended before that is counted into `stat_days`: a row for each
mode and model, with its sums, and its waits as histograms, so that days can be added up. What is not kept yet, and the days since,
are counted when they are asked for; `Remembered` saves a process most of both. A day is known by its two
edges: one on another zone's clock is another day.

Percentiles are true to 1 % (stats_sums.py). Periods with few calls are counted exactly, and so is one
day by its hours: stats_queries.py does both.
"""

import asyncio
from collections import defaultdict
from collections.abc import Iterable, Sequence
from datetime import UTC, date, datetime, timedelta
from itertools import pairwise, takewhile
from typing import Any
from zoneinfo import ZoneInfo

import msgspec
import structlog
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from app.adapters.database import DATABASE_ERRORS, reason_of
from app.adapters.stats_queries import LONGEST_CALL, Stats, Wish, ask, stats
from app.adapters.stats_sums import STEP, Day, Histogram, ToolDay, added

log = structlog.get_logger()

EXACT_CALLS = 10_000
"""So many calls are counted afresh in a fifth of a second."""
KEPT_DAYS = 90
MOST_REMEMBERED = 200
"""Days, of some 30 kB."""
AT_ONCE = 5
"""Days that are counted together."""
EVERY_SECONDS = 3600.0
STILL = timedelta(hours=1)
"""After its end few of a day's calls change: nearly all are over, and their tools have come back."""
RECENT = timedelta(minutes=10)
"""For so long a day that is over, but may change, is not counted again."""


Key = tuple[int, str, str]
"""Bucket, mode and model."""
Span = tuple[datetime, datetime]
"""A day, by its edges."""
Part = tuple[str, str, Day]
"""Mode, model, and a day of the calls with them."""

_day = msgspec.json.Decoder(Day)


class Remembered:
    """Days that one process need not count again: settled ones, and for RECENT those that are over. Left of a period is today."""

    def __init__(self) -> None:
        self.settled: dict[Span, list[Part]] = {}
        """As `stat_days` has them."""
        self._over: dict[Span, list[Part]] = {}
        self._at = datetime.min.replace(tzinfo=UTC)
        """When the first of those that are over was counted."""

    async def since(self, engine: AsyncEngine, edges: Sequence[datetime], now: datetime) -> list[list[Part]]:
        """The days between edges, none of which is settled; those that ended an hour ago may be as of RECENT ago."""
        spans = list(pairwise(edges))
        if now - self._at >= RECENT:
            self._over.clear()
        known = [self._over[span] for span in takewhile(self._over.__contains__, spans)]
        if len(known) == len(spans):
            return known
        if not self._over:
            self._at = now
        fresh: list[list[Part]] = [[] for _ in spans[len(known) :]]
        for (n, mode, model), day in (await count_days(engine, edges[len(known) :])).items():
            fresh[n].append((mode, model, day))
        for span, parts in zip(spans[len(known) :], fresh, strict=True):
            if span[1] <= now - STILL:
                self._over[span] = parts
        return known + fresh

    def keep(self, rows: Iterable[Any]) -> None:
        """Rows of `stat_days`."""
        if len(self.settled) > MOST_REMEMBERED:
            self.settled.clear()
        read: defaultdict[Span, list[Part]] = defaultdict(list)
        for row in rows:
            read[row.since, row.until].append((row.mode, row.model, _day.decode(row.figures)))
        self.settled.update(read)


async def figures(engine: AsyncEngine, wish: Wish, now: datetime, days: Remembered | None = None) -> Stats:
    """All figures of a period, as `stats` has them. Its buckets are days, unless it is short. days: of who asks often."""
    edges, days = wish.edges, days or Remembered()
    if edges[-1] - edges[0] <= timedelta(hours=26):
        return await stats(engine, wish)
    settled = settled_of(edges, now)
    spans = list(pairwise(edges[: settled + 1]))
    known = sum(day.calls for span in spans for _, _, day in days.settled.get(span, ()))
    if known <= EXACT_CALLS and await few(engine, edges):
        return await stats(engine, wish)
    if not days.settled.keys() >= set(spans):
        await keep_days(engine, edges, now)
        rows = (await ask(engine, (KEPT, {"since": edges[0], "until": edges[settled]})))[0]
        await asyncio.to_thread(days.keep, rows)
    late = await days.since(engine, edges[settled:], now)
    parts = [*(days.settled[span] for span in spans), *late]
    return await asyncio.to_thread(added, wish, [(n, *part) for n, day in enumerate(parts) for part in day])


FEW = """
    SELECT count(*) <= :most AS few
    FROM (SELECT FROM calls WHERE started_at >= :since AND started_at < :until LIMIT :most + 1) AS counted
"""
KEPT = """
    SELECT since, until, mode, model, figures FROM stat_days
    WHERE since >= :since AND until <= :until
"""
EDGES_KEPT = "SELECT DISTINCT since, until FROM stat_days WHERE since >= :since AND until <= :until"
KEEP = text(
    "INSERT INTO stat_days (since, until, mode, model, figures) "
    "VALUES (:since, :until, :mode, :model, :figures) ON CONFLICT DO NOTHING"
)
FORGET = text("DELETE FROM stat_days WHERE until < :before")


async def few(engine: AsyncEngine, edges: Sequence[datetime]) -> bool:
    """Whether a period has so few calls that they are counted afresh."""
    values = {"since": edges[0], "until": edges[-1], "most": EXACT_CALLS}
    return bool((await ask(engine, (FEW, values)))[0][0].few)


def settled_of(edges: Sequence[datetime], now: datetime) -> int:
    """How many of the first days between edges cannot change any more."""
    return sum(edge <= now - LONGEST_CALL for edge in edges[1:])


async def keep_days(engine: AsyncEngine, edges: Sequence[datetime], now: datetime) -> int:
    """Count and keep the days between edges that are settled and not kept yet; how many of the first days are settled."""
    settled = settled_of(edges, now)
    values = {"since": edges[0], "until": edges[settled]}
    kept = {(row.since, row.until) for row in (await ask(engine, (EDGES_KEPT, values)))[0]} if settled else set()
    missing = [n for n in range(settled) if (edges[n], edges[n + 1]) not in kept]
    while missing:
        first, count = missing[0], 1
        while count < min(AT_ONCE, len(missing)) and missing[count] == first + count:
            count += 1
        days = await count_days(engine, edges[first : first + count + 1])
        for n in range(count):
            days.setdefault((n, "", ""), Day())  # a day without calls is counted, too
        rows = [
            {
                "since": edges[first + n],
                "until": edges[first + n + 1],
                "mode": mode,
                "model": model,
                "figures": msgspec.json.encode(day).decode(),
            }
            for (n, mode, model), day in days.items()
        ]
        async with engine.begin() as connection:
            await connection.execute(KEEP, rows)
        del missing[:count]
    return settled


async def keep_counting(engine: AsyncEngine, zone: ZoneInfo) -> None:
    """Keep what the page of figures may be asked for, now and every hour, until cancelled."""
    while True:
        now = datetime.now(UTC)
        edges = day_edges(KEPT_DAYS, now, zone)
        try:
            if not await few(engine, edges):
                await keep_days(engine, edges, now)
            async with engine.begin() as connection:
                await connection.execute(FORGET, {"before": edges[0] - timedelta(days=7)})
        except DATABASE_ERRORS as wrong:  # counted when they are asked for, then
            log.warning("past days could not be counted", why=reason_of(wrong))
        await asyncio.sleep(EVERY_SECONDS)


def day_edges(days: int, now: datetime, zone: ZoneInfo) -> tuple[datetime, ...]:
    """The midnights of the last so many days up to the end of today, on the clock of a zone. In UTC."""
    today = now.astimezone(zone).date()
    return tuple(midnight(today - timedelta(days=ago), zone) for ago in range(days - 1, -2, -1))


def midnight(day: date, zone: ZoneInfo) -> datetime:
    """When a day begins on a zone's clock, in UTC."""
    return datetime(day.year, day.month, day.day, tzinfo=zone).astimezone(UTC)


# --- counting ---------------------------------------------------------------------------------------------------------

_CALLS = """
    (SELECT width_bucket(started_at, CAST(:edges AS timestamptz[])) - 1 AS bucket, mode COLLATE "C" AS mode,
        coalesce(model, '') COLLATE "C" AS model, call_sid, outcome, cuts, cost_usd, ended_at - started_at AS lasted,
        greeting_path, greeting_ms, turn_ms
    FROM calls WHERE started_at >= :since AND started_at < :until) AS c
"""


def _step(ms: str) -> str:
    return (
        f"CASE WHEN {ms} <= 1 THEN 0 ELSE ceil(ln(CAST({ms} AS float8)) / ln(CAST({STEP} AS float8)))::int END AS step"
    )


SUMS = f"""
    SELECT bucket, mode, model, coalesce(outcome, '') AS outcome, count(*) AS calls, count(turn_ms) AS talked,
        coalesce(sum(cuts) FILTER (WHERE turn_ms IS NOT NULL), 0) AS cuts, coalesce(sum(cost_usd), 0)::float8 AS cost_usd,
        coalesce(sum(extract(epoch FROM lasted)), 0)::float8 AS seconds
    FROM {_CALLS} GROUP BY 1, 2, 3, 4
"""  # noqa: S608  our own text only; what comes from outside is bound
GREETINGS = f"""
    SELECT bucket, mode, model, coalesce(greeting_path, '') AS name, {_step("greeting_ms")}, count(*) AS count
    FROM {_CALLS} WHERE greeting_ms IS NOT NULL GROUP BY 1, 2, 3, 4, 5
"""  # noqa: S608
TURNS = f"""
    SELECT bucket, mode, model, {_step("ms")}, count(*) AS count FROM {_CALLS}, unnest(turn_ms) AS ms GROUP BY 1, 2, 3, 4
"""  # noqa: S608
TOOLS = f"""
    SELECT bucket, mode, model, name COLLATE "C" AS name, status COLLATE "C" AS status, {_step("ms")}, count(*) AS count
    FROM {_CALLS} JOIN tool_calls USING (call_sid) WHERE at >= :since AND at < :latest GROUP BY 1, 2, 3, 4, 5, 6
"""  # noqa: S608
DESKS = f"""
    SELECT bucket, mode, model, desk, result, count(*) AS count
    FROM {_CALLS} JOIN transfers USING (call_sid) WHERE started_at >= :since AND started_at < :latest GROUP BY 1, 2, 3, 4, 5
"""  # noqa: S608


async def count_days(engine: AsyncEngine, edges: Sequence[datetime]) -> dict[Key, Day]:
    """What the books have of the days between edges, by the day's number, mode and model; none for a day without calls."""
    values = {"edges": list(edges), "since": edges[0], "until": edges[-1], "latest": edges[-1] + LONGEST_CALL}
    plain = {name: values[name] for name in ("edges", "since", "until")}
    questions = ((SUMS, plain), (GREETINGS, plain), (TURNS, plain), (TOOLS, values), (DESKS, values))
    sums, greetings, turns, tools, desks = await ask(engine, *questions)
    days: defaultdict[Key, Day] = defaultdict(Day)
    for row in sums:
        day = days[row.bucket, row.mode, row.model]
        day.calls += row.calls
        day.failed += row.calls if row.outcome in ("failed", "lost") else 0
        day.talked += row.talked
        day.cuts += row.cuts
        day.cost_usd += row.cost_usd
        day.seconds += row.seconds
        day.outcomes[row.outcome] = row.calls
    for (bucket, mode, model, name), steps in _steps(greetings, "name").items():
        days[bucket, mode, model].greetings[name] = Histogram.of(steps)
    for (bucket, mode, model), steps in _steps(turns).items():
        days[bucket, mode, model].turns = Histogram.of(steps)
    for row in tools:
        statuses = days[row.bucket, row.mode, row.model].tools.setdefault(row.name, ToolDay()).statuses
        statuses[row.status] = statuses.get(row.status, 0) + row.count
    for (bucket, mode, model, name), steps in _steps([row for row in tools if row.status != "working"], "name").items():
        days[bucket, mode, model].tools[name].waits = Histogram.of(steps)
    for row in desks:
        days[row.bucket, row.mode, row.model].desks.setdefault(row.desk, {})[row.result] = row.count
    return dict(days)


def _steps(rows: Iterable[Any], *names: str) -> dict[Any, dict[int, int]]:
    found: defaultdict[Any, dict[int, int]] = defaultdict(dict)
    for row in rows:
        steps = found[row.bucket, row.mode, row.model, *(getattr(row, name) for name in names)]
        steps[row.step] = steps.get(row.step, 0) + row.count
    return found
