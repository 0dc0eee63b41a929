"""The page of figures: periods on the operator's clock, plots with their table, and what it says when there is nothing."""

import re
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from msgspec.structs import replace
from sqlalchemy.ext.asyncio import AsyncEngine

from app.adapters.database import make_engine
from app.core import effects as do
from app.core import events as ev
from app.core.playback import Playback
from app.core.record import CallRecord
from app.core.trace import Trace
from app.web.console.plots import BOTTOM, HEIGHT, TOP, WIDTH, Series, bars, lines, round_up
from app.web.console.stats import StatsPage, count, edges_of, labels_of
from app.web.console.words import ms
from tests.adapters.rows import ended, started, writing
from tests.web.console_stage import Stage

NEW_YORK = ZoneInfo("America/New_York")
INLINE = re.compile(r"<style|\sstyle=|\son[a-z]+\s*=|<script(?![^>]*\ssrc=)|javascript:|data:", re.IGNORECASE)


def stage_on(engine: AsyncEngine, keep_seconds: float = 0.0) -> Stage:
    stage = Stage()
    stage.console.engine = engine
    stage.app.router.routes[:0] = StatsPage(stage.console, keep_seconds).routes()
    return stage


async def ask(stage: Stage, path: str = "/stats") -> tuple[int, str]:
    async with stage.browser() as browser:
        page = await browser.get(path)
    return page.status_code, page.text


async def rings(engine: AsyncEngine, sid: str, ago: timedelta = timedelta(), **changes: Any) -> None:
    at = datetime.now(UTC) - ago
    last = replace(ended, call_sid=sid, ended_at=at + timedelta(minutes=1), turn_ms=(900, 1500), cuts=1, model="big")
    async with writing(engine) as journal:
        for row in (replace(started, call_sid=sid, started_at=at), last):
            journal.put(replace(row, **{k: v for k, v in changes.items() if k in row.__struct_fields__}))
        await journal.flush()


# --- the clock ------------------------------------------------------------------------------------------------------


def test_days_begin_at_midnight_on_the_operators_clock() -> None:
    now = datetime(2026, 11, 24, 3, 0, tzinfo=UTC)  # still the 23rd in New York
    edges = edges_of(7, now, NEW_YORK)
    assert len(edges) == 8
    assert (edges[0], edges[-1]) == (datetime(2026, 11, 17, 5, tzinfo=UTC), datetime(2026, 11, 24, 5, tzinfo=UTC))
    assert labels_of(edges, NEW_YORK, hours=False)[-1] == "Mon 23 Nov"


@pytest.mark.parametrize(
    ("day", "hours"),
    [
        (datetime(2026, 3, 8, 12, tzinfo=NEW_YORK), 23),
        (datetime(2026, 11, 1, 12, tzinfo=NEW_YORK), 25),
        (datetime(2026, 11, 2, 12, tzinfo=NEW_YORK), 24),
        (datetime(2026, 4, 5, 12, tzinfo=ZoneInfo("Australia/Lord_Howe")), 24.5),
        (datetime(2026, 9, 6, 12, tzinfo=ZoneInfo("America/Santiago")), 23),  # its midnight does not exist
    ],
)
def test_a_day_is_as_long_as_the_clock_has_it(day: datetime, hours: float) -> None:
    zone = day.tzinfo
    assert isinstance(zone, ZoneInfo)
    edges = edges_of(1, day.astimezone(UTC), zone)
    assert edges[-1] - edges[0] == timedelta(hours=hours)
    assert len(edges) - 1 == -(-hours // 1)
    two = edges_of(7, (day + timedelta(days=1)).astimezone(UTC), zone)
    assert two[-2] - two[-3] == timedelta(hours=hours)
    assert sorted(set(two)) == list(two)


def test_the_hour_that_the_clock_repeats_is_there_twice() -> None:
    labels = labels_of(edges_of(1, datetime(2026, 11, 1, 12, tzinfo=UTC), NEW_YORK), NEW_YORK, hours=True)
    assert labels[:4] == ["00:00", "01:00", "01:00", "02:00"]


# --- the page -------------------------------------------------------------------------------------------------------


async def test_without_calls_the_page_says_what_to_do(engine: AsyncEngine) -> None:
    stage = stage_on(engine)
    status, page = await ask(stage)
    assert status == 200
    assert "No calls in this period" in page
    assert "./offhook call booking" in page
    assert "<svg viewBox" not in page
    status, page = await ask(stage, "/stats?days=90&mode=ivr")
    assert 'href="/stats?days=90"' in page
    assert "Count all calls" in page


async def test_the_page_shows_the_figures_of_its_period_and_no_others(engine: AsyncEngine) -> None:
    await rings(engine, "CA1")
    await rings(engine, "CA2", timedelta(days=20), mode="csr", model="small", greeting_ms=800)
    stage = stage_on(engine)
    _, week = await ask(stage, "/stats?days=7")
    _, month = await ask(stage, "/stats?days=30")
    assert '<dd class="big">1</dd>' in week
    assert '<dd class="big good">180 ms</dd>' in week
    assert '<dd class="big good">1.20 s</dd>' in week
    assert "small" not in week
    assert '<dd class="big">2</dd>' in month
    assert "/stats?days=30&amp;model=small" in month
    assert week.count('<th scope="row" class="nowrap">') == 7
    assert month.count('<th scope="row" class="nowrap">') == 30
    assert not INLINE.search(month)


async def test_figures_over_their_budget_say_so_in_words_too(engine: AsyncEngine) -> None:
    await rings(engine, "CA1", greeting_ms=501, turn_ms=(1201,))
    _, page = await ask(stage_on(engine))
    assert '<dd class="big bad">501 ms</dd>' in page
    assert "budget 500 ms</text>" in page
    assert "budget 1.20 s</text>" in page
    assert '1.20 s<span class="unseen"> (over the budget)' in page


async def test_hostile_names_are_text_in_every_part_of_the_page(engine: AsyncEngine) -> None:
    hostile = "\"><script>alert(1)</script>'{{7*7}}"
    await rings(engine, "CA1", mode=hostile, model=hostile, outcome=hostile, greeting_path=hostile)
    stage = stage_on(engine)
    for path in ("/stats", "/stats?mode=%22%3E%3Cscript%3Ealert(1)%3C/script%3E", "/stats?mode=a%00b&model=%EF%BF%BD"):
        status, page = await ask(stage, path)
        assert status == 200
        assert "<script>alert" not in page
        assert not INLINE.search(page)


@pytest.mark.parametrize("days", ["2", "0", "-1", "", "x", "1e3", "٧", "9" * 5000])
async def test_a_period_that_there_is_not_is_refused_with_those_that_there_are(engine: AsyncEngine, days: str) -> None:
    stage = stage_on(engine)
    async with stage.browser() as browser:
        page = await browser.get("/stats", params={"days": days})
    assert page.status_code == 400
    assert "one of 1, 7, 30, 90" in page.text
    assert len(page.text) < 10_000


async def test_figures_are_counted_once_for_a_while(engine: AsyncEngine) -> None:
    stage = stage_on(engine, keep_seconds=3600)
    _, before = await ask(stage)
    await rings(engine, "CA1")
    _, after = await ask(stage)
    _, other = await ask(stage, "/stats?days=30")
    assert before.partition("<main")[2] == after.partition("<main")[2]
    assert "No calls in this period" in after
    assert '<dd class="big">1</dd>' in other


async def test_a_database_that_does_not_answer_is_said_so(empty_database: str) -> None:
    engine = make_engine(empty_database)
    status, page = await ask(stage_on(engine))
    await engine.dispose()
    assert status == 503
    assert "No figures just now" in page


async def test_a_stranger_is_led_to_the_login(engine: AsyncEngine) -> None:
    stage = stage_on(engine)
    async with stage.browser(**{"X-Forwarded-For": "203.0.113.7"}) as stranger:
        page = await stranger.get("/stats?days=30")
    assert page.status_code == 303
    assert page.headers["location"] == "/login?next=/stats%3Fdays%3D30"


# --- plots ----------------------------------------------------------------------------------------------------------


def test_a_scale_ends_with_a_round_number_that_has_room() -> None:
    tops = [round_up(value) for value in (0, 0.003, 0.7, 1, 1.01, 7, 9.5, 480, 3400, 10_001)]
    assert tops == pytest.approx([1, 0.003, 0.8, 1, 1.5, 8, 10, 500, 4000, 15_000])


def test_bars_stand_on_each_other_and_say_what_they_are() -> None:
    plot = bars("n", "Calls", ["a", "b"], [Series("good", "first", [3, 0]), Series("bad", "failed", [1, 0])], count)
    below, above = plot.bars
    assert above.y + above.height == pytest.approx(below.y)
    assert above.y == TOP
    assert below.height == pytest.approx(3 * above.height)
    assert below.words == "a: 3 good, 1 bad"
    assert plot.says == "Calls: 4 in all, most at a with 4."


def test_a_budget_of_bars_is_a_line_that_is_always_on_the_plot() -> None:
    for values, budget in (([3.0, 12.0], 10.0), ([1.0, 2.0], 50.0)):
        plot = bars("cost", "Cost", ["a", "b"], [Series("", "first", values)], count, budget=budget)
        assert plot.budget is not None
        assert plot.budget.label == f"budget {budget:.0f}"
        assert min(bar.y for bar in plot.bars) < plot.budget.at if budget == 10 else plot.budget.at < plot.bars[1].y
        assert TOP < plot.budget.at < HEIGHT - BOTTOM
        over = sum(value > budget for value in values)
        assert plot.says.endswith(f"The budget is {budget:.0f}; {over} of 2 are above it.")
    assert bars("cost", "Cost", ["a"], [Series("", "first", [1.0])], count).budget is None


def test_a_line_breaks_where_nothing_was_measured_and_stays_on_the_plot() -> None:
    plot = lines("n", "Waits", list("abcd"), [Series("median", "first", [100, None, 300, 900])], ms, budget=500)
    assert re.fullmatch(r"M[\d.]+ [\d.]+M[\d.]+ [\d.]+L[\d.]+ [\d.]+", plot.lines[0].path)
    assert [dot.words for dot in plot.dots] == ["a: 100 ms median", "c: 300 ms median", "d: 900 ms median"]
    assert all(0 <= dot.x <= WIDTH and TOP <= dot.y <= HEIGHT for dot in plot.dots)
    assert plot.budget is not None
    assert plot.dots[1].y > plot.budget.at > plot.dots[2].y
    assert "median above it in 1" in plot.says


def test_a_plot_of_nothing_is_empty_and_its_budget_still_fits() -> None:
    nothing = Series("median", "first", [None] * 3)
    plot = lines("n", "Waits", list("abc"), [nothing], ms, budget=500)
    assert plot.empty
    assert plot.budget is not None
    assert plot.budget.at > TOP
    assert bars("n", "Calls", [], [], count).empty


# --- what is counted ------------------------------------------------------------------------------------------------


def test_every_wait_for_an_answer_is_in_the_record_the_slowest_among_them() -> None:
    record = CallRecord(call_sid="CA1", mode="ivr")
    trace = Trace(record, "big", 0)
    for seconds in (0.6, 1.25, 0.9):
        trace.follow(ev.TimePassed(), [do.Measure("turn", seconds), do.Measure("greeting", 9.0)], 0.0, Playback())
    assert record.turn_ms == [600, 1250, 900]
    assert record.slowest_turn_ms == max(record.turn_ms)
