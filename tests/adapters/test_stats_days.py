"""Days that are counted once and kept: the same figures as counting all calls afresh, waits true to 1 %."""

from datetime import timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from app.adapters import stats_days
from app.adapters.stats_days import RECENT, Remembered, day_edges, figures, keep_days
from app.adapters.stats_queries import LONGEST_CALL, Group, Stats, Waits, Wish, stats
from app.adapters.stats_sums import Histogram, Sum, middle
from app.core.rows import Row
from tests.adapters.rows import NOON
from tests.adapters.test_stats_queries import call, keep, tool, transfer

CHICAGO = ZoneInfo("America/Chicago")
EDGES = day_edges(8, NOON, CHICAGO)
WEEK = Wish(EDGES)


@pytest.fixture(autouse=True)
def many(monkeypatch: pytest.MonkeyPatch) -> None:
    """However few calls there are, they are as many as would be counted by days."""
    monkeypatch.setattr(stats_days, "EXACT_CALLS", -1)


def busy_week() -> list[Row]:
    """Calls of all kinds on each day but one."""
    rows: list[Row] = []
    for day in (0, 1, 2, 3, 5, 6, 7):
        for n in range(12):
            sid = f"CA{day}-{n}"
            rows += call(
                sid,
                NOON - timedelta(days=day, minutes=7 * n),
                mode="csr" if n % 3 else "receptionist",
                model="big" if n % 4 else None,
                outcome="failed" if n == 5 else "completed",
                greeting_ms=90 + 37 * n + day,
                greeting_path="cold" if n % 5 == 0 else "prepared",
                turn_ms=tuple(200 + 61 * n * (k + 1) for k in range(n % 4)),
                cuts=n % 2,
                cost_usd=0.01 * n,
            )
            rows.append(tool(sid, 0, "book" if n % 2 else "look", "error" if n == 3 else "ok", ms=20 + 11 * n))
            rows.append(tool(sid, 1, "slow", "working", ms=0))
            if n == 7:
                rows.append(transfer(sid, 0, "sales", "accepted" if day % 2 else "busy", NOON - timedelta(days=day)))
    return rows


def close(found: Waits, exact: Waits) -> bool:
    pairs = ((found.median, exact.median), (found.p95, exact.p95))
    return found.count == exact.count and all(
        a == b if a is None or b is None else a == pytest.approx(b, rel=0.011, abs=0.5) for a, b in pairs
    )


def same_group(found: Group, exact: Group) -> bool:
    counts = ("calls", "failed", "talked", "cuts")
    sums = ("cost_usd", "seconds")
    return (
        all(getattr(found, name) == getattr(exact, name) for name in counts)
        and all(getattr(found, name) == pytest.approx(getattr(exact, name)) for name in sums)
        and close(found.greeting, exact.greeting)
        and close(found.turn, exact.turn)
    )


def assert_same(found: Stats, exact: Stats) -> None:
    assert (found.rounded, exact.rounded) == (True, False)
    assert same_group(found.total, exact.total)
    assert [same_group(*pair) for pair in zip(found.buckets, exact.buckets, strict=True)] == [True] * len(exact.buckets)
    for mine, theirs in ((found.modes, exact.modes), (found.models, exact.models)):
        assert [one.name for one in mine] == [one.name for one in theirs]
        assert all(same_group(a.figures, b.figures) for a, b in zip(mine, theirs, strict=True))
    assert found.outcomes == exact.outcomes
    assert [name for name, _ in found.greetings] == [name for name, _ in exact.greetings]
    assert all(close(a, b) for (_, a), (_, b) in zip(found.greetings, exact.greetings, strict=True))
    facts: Any = lambda row: (row.name, row.refused, row.failed, row.working)  # noqa: E731
    assert [facts(row) for row in found.tools] == [facts(row) for row in exact.tools]
    assert all(close(a.waits, b.waits) for a, b in zip(found.tools, exact.tools, strict=True))
    assert found.transfers == exact.transfers


async def test_days_that_are_kept_add_up_to_what_is_counted_afresh(engine: AsyncEngine) -> None:
    await keep(engine, *busy_week())
    async with engine.begin() as connection:  # as if each had been written when its call was
        dated = "UPDATE tool_calls SET at = started_at FROM calls WHERE calls.call_sid = tool_calls.call_sid"
        await connection.execute(text(dated))
    for wish in (WEEK, Wish(EDGES, mode="csr"), Wish(EDGES, model="big"), Wish(EDGES, mode="nobody's")):
        exact = await stats(engine, wish)
        for _ in ("counted and kept", "out of what was kept"):
            assert_same(await figures(engine, wish, NOON), exact)


async def test_a_settled_day_is_not_counted_again_and_a_fresh_one_always_is(engine: AsyncEngine) -> None:
    await keep(engine, *call("CA1", NOON - timedelta(days=5)))
    assert (await figures(engine, WEEK, NOON)).total.calls == 1
    await keep(
        engine, *call("CA2", NOON - timedelta(days=5)), *call("CA3", NOON), *call("CA4", NOON - timedelta(days=1))
    )
    found = await figures(engine, WEEK, NOON)
    assert [group.calls for group in found.buckets] == [0, 0, 1, 0, 0, 0, 1, 1]


async def test_a_day_that_is_just_over_is_counted_again_after_some_minutes_and_today_at_once(
    engine: AsyncEngine,
) -> None:
    days = Remembered()
    await keep(engine, *call("CA1", NOON - timedelta(days=1)))
    assert (await figures(engine, WEEK, NOON, days)).total.calls == 1
    await keep(engine, *call("CA2", NOON - timedelta(days=1)), *call("CA3", NOON))
    for wish in (WEEK, Wish(EDGES[2:])):
        found = await figures(engine, wish, NOON + RECENT / 2, days)
        assert [group.calls for group in found.buckets[-3:]] == [0, 1, 1]
    found = await figures(engine, WEEK, NOON + RECENT, days)
    assert [group.calls for group in found.buckets[-3:]] == [0, 2, 1]


async def test_a_day_that_was_over_only_minutes_ago_is_counted_each_time(engine: AsyncEngine) -> None:
    days, late = Remembered(), EDGES[-2] + timedelta(minutes=50)
    for n in range(2):
        await keep(engine, *call(f"CA{n}", EDGES[-2] - timedelta(minutes=5)))
        assert (await figures(engine, WEEK, late, days)).buckets[-2].calls == n + 1


async def test_a_day_is_kept_only_once_none_of_its_calls_can_change(engine: AsyncEngine) -> None:
    settled = await keep_days(engine, EDGES, NOON)
    assert EDGES[settled] <= NOON - LONGEST_CALL < EDGES[settled + 1]
    async with engine.connect() as connection:
        rows = (await connection.execute(text("SELECT since, until, mode FROM stat_days ORDER BY since"))).all()
    assert [tuple(row) for row in rows] == [(EDGES[n], EDGES[n + 1], "") for n in range(settled)]
    assert await keep_days(engine, EDGES, NOON) == settled
    assert await keep_days(engine, EDGES[-3:], NOON) == 0


async def test_another_zones_days_are_other_days(engine: AsyncEngine) -> None:
    await keep(engine, *call("CA1", EDGES[2] + timedelta(minutes=5)))
    assert [group.calls for group in (await figures(engine, WEEK, NOON)).buckets][:4] == [0, 0, 1, 0]
    paris = Wish(day_edges(8, NOON, ZoneInfo("Europe/Paris")))
    assert (await figures(engine, paris, NOON)).total.calls == 1


async def test_few_calls_are_counted_exactly_and_nothing_is_kept(
    engine: AsyncEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    await keep(engine, *call("CA1", NOON - timedelta(days=5)), *call("CA2", NOON - timedelta(days=4)))
    monkeypatch.setattr(stats_days, "EXACT_CALLS", 2)
    assert not (await figures(engine, WEEK, NOON)).rounded
    monkeypatch.setattr(stats_days, "EXACT_CALLS", 1)
    assert (await figures(engine, WEEK, NOON)).rounded


async def test_one_day_by_its_hours_is_exact(engine: AsyncEngine) -> None:
    await keep(engine, *call("CA1", NOON, greeting_ms=333))
    hours = Wish(tuple(EDGES[-2] + timedelta(hours=n) for n in range(25)))
    found = await figures(engine, hours, NOON)
    assert (found.rounded, found.total.greeting.median) == (False, 333)


async def test_a_step_is_as_near_to_its_values_as_is_said(engine: AsyncEngine) -> None:
    values = [0, 1, 2, 3, 17, 49, 50, 51, 499, 500, 501, 1200, 59_999, 3_600_000]
    at = NOON - timedelta(days=5)
    await keep(engine, *(row for n in values for row in call(f"CA{n}", at, mode=f"m{n}", greeting_ms=n, turn_ms=(n,))))
    found = {named.name: named.figures for named in (await figures(engine, WEEK, NOON)).modes}
    for value in values:
        for waits in (found[f"m{value}"].greeting, found[f"m{value}"].turn):
            assert waits.count == 1
            assert waits.median == waits.p95 == pytest.approx(value, rel=0.01, abs=1)


def test_histograms_add_up_wherever_they_begin() -> None:
    piled = Sum()
    for steps in ({3: 2, 9: 1}, {0: 5}, {9: 1, 1023: 1}):
        piled.add(Histogram.of(steps))
    found = piled.waits()
    assert (found.count, found.median) == (10, (middle(0) + middle(3)) / 2)
    assert found.p95 == pytest.approx(middle(9) + 0.55 * (middle(1023) - middle(9)))
    assert Sum().waits() == Waits()
