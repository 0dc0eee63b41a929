"""Caps on what calls may cost: by caller, by number, by day, over restarts and beside other processes."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from app.adapters.spent import Spent
from app.calls.lag import LoopLag
from app.calls.spending import Cap, Limits, Spending
from app.core.record import CallRecord
from app.core.rows import CallInfo
from tests.house.samples import OFFICE

NOON = datetime(2026, 11, 23, 18, 0, tzinfo=UTC)
ANNA, BERT = "+14155550133", "+14155550134"
OURS, OTHER = "+14155550199", "+14155550198"


class Enough(Exception):
    """The test has seen what it came for."""


class Call:
    """A call as far as it costs."""

    def __init__(self, sid: str, caller: str = ANNA, dialled: str = OURS) -> None:
        self.info = CallInfo(call_sid=sid, account_sid="AC1", caller=caller, dialled=dialled)
        self.record = CallRecord(call_sid=sid, mode="m")
        self.finished = False


class House:
    """The sums of a process, with a clock and books in the test's hands."""

    def __init__(self, **limits: Any) -> None:
        self.now = NOON
        self.books: list[tuple[str, Spent]] = []
        self.asked: list[datetime] = []
        self.settled = True
        self.lag = LoopLag()
        self.spending = Spending(
            Limits(**limits), OFFICE, self.lag, self._sums, settled=self._settled, utc=lambda: self.now
        )

    async def _settled(self) -> bool:
        return self.settled

    async def _sums(self, since: datetime, but: Sequence[str]) -> list[Spent]:
        self.asked.append(since)
        if not self.settled:
            raise OSError("no database")
        return [spent for sid, spent in self.books if sid not in but]

    def call(self, sid: str, caller: str = ANNA, dialled: str = OURS, usd: float = 0.0) -> Call:
        call = Call(sid, caller, dialled)
        self.spending.begins(call)
        call.record.cost_usd = usd
        return call

    def ends(self, call: Call) -> None:
        """It is over, and the books have it."""
        call.finished = True
        spent = Spent(call.info.caller, call.info.dialled, call.record.cost_usd)
        self.books.append((call.info.call_sid, spent))

    def new(self, caller: str = ANNA, dialled: str = OURS) -> Cap | None:
        return self.spending.refuses(Call("CAnew", caller, dialled).info)


async def test_a_caller_whose_calls_have_cost_enough_today_is_turned_away_and_nobody_else_is() -> None:
    house = House(caller_day=2.0)
    house.ends(house.call("CA1", usd=1.5))
    assert house.new() is None
    running = house.call("CA2", usd=0.5)
    assert house.new() == "caller_day"
    assert house.spending.over(running.info) == "caller_day", "and the call in progress is wound down"
    assert house.new(BERT) is None
    assert house.new("") is None


async def test_a_number_and_the_day_have_sums_of_their_own() -> None:
    house = House(number_day=2.0, day=3.0)
    house.call("CA1", ANNA, OURS, usd=1.0)
    house.call("CA2", BERT, OURS, usd=1.0)
    assert house.new("+14155550135", OURS) == "number_day"
    assert house.new("+14155550135", OTHER) is None
    house.call("CA3", BERT, OTHER, usd=1.0)
    assert house.new("+14155550135", OTHER) == "day"


async def test_the_sums_hold_over_a_restart_by_the_books() -> None:
    before = House(caller_day=2.0)
    before.ends(before.call("CA1", usd=2.0))
    after = House(caller_day=2.0)
    after.books = before.books
    assert after.new() is None
    await after.spending.read_books()
    assert after.new() == "caller_day"
    assert after.asked == [datetime(2026, 11, 23, tzinfo=OFFICE.zone)]


async def test_no_call_is_counted_twice_when_the_books_are_read_while_it_lasts_and_after() -> None:
    house = House(day=10.0)
    running, over = house.call("CA1", usd=3.0), house.call("CA2", usd=3.0)
    house.books.append(("CA1", Spent(ANNA, OURS, 3.0)))  # its first stream is over, and it goes on
    house.ends(over)
    for _ in range(3):
        await house.spending.read_books()
        assert house.new() is None
    running.record.cost_usd = 6.9
    assert house.new() is None
    running.record.cost_usd = 7.0
    assert house.new() == "day"


async def test_a_call_that_another_process_began_counts_there_until_the_books_say_more() -> None:
    house = House(day=5.0)
    house.books = [("CA1", Spent(ANNA, OURS, 3.0))]
    await house.spending.read_books()
    call = house.call("CA1")
    call.record = CallRecord(call_sid="CA1", mode="m", cost_usd=3.0)
    assert house.new() is None
    call.record.cost_usd = 4.9
    assert house.new() is None
    await house.spending.read_books()
    assert house.new() is None
    call.record.cost_usd = 5.0
    assert house.new() == "day"


async def test_books_that_do_not_answer_or_lag_behind_change_nothing() -> None:
    house = House(caller_day=2.0)
    call = house.call("CA1", usd=2.0)
    call.finished = True
    house.settled = False
    await house.spending.read_books()
    assert house.asked == [], "what is not written yet would be missing"
    assert house.new() == "caller_day"

    async def broken(since: datetime, but: Sequence[str]) -> list[Spent]:
        raise OSError("gone")

    house.settled, house.spending._books = True, broken
    await house.spending.read_books()
    assert house.new() == "caller_day"


async def test_a_call_that_ends_while_the_books_are_waited_for_is_counted_once() -> None:
    """On a busy server rows always wait: what was put before is waited for, and what comes meanwhile is left for the next time."""
    house = House(caller_day=2.0)
    running = house.call("CA1", usd=1.5)

    async def settled() -> bool:
        house.ends(running)
        return True

    house.spending._settled = settled
    await house.spending.read_books()
    assert house.new() is None, "1.5 and not 3"
    assert running.info.call_sid in house.spending._own
    house.spending._settled = house._settled
    await house.spending.read_books()
    assert house.new() is None
    assert not house.spending._own, "what the books have is not remembered here as well"


async def test_at_midnight_of_the_business_everybody_begins_anew() -> None:
    house = House(caller_day=2.0)
    house.ends(house.call("CA1", usd=2.0))
    assert house.new() == "caller_day"
    house.now = datetime(2026, 11, 24, 0, 1, tzinfo=OFFICE.zone).astimezone(UTC)
    assert house.new() is None
    house.call("CA2", usd=2.0)
    assert house.new() == "caller_day"


async def test_calls_of_one_caller_within_an_hour_are_counted() -> None:
    house = House(caller_calls=2)
    assert [house.new() for _ in range(3)] == [None, None, "caller_calls"]
    assert house.new(BERT) is None
    house.now += timedelta(minutes=59)
    assert house.new() == "caller_calls"
    house.now += timedelta(minutes=1)
    assert house.new() is None
    house.now += timedelta(hours=2)
    await house.spending.read_books()
    assert house.spending._came == {}, "who has not called for an hour is forgotten"


async def test_a_loop_that_runs_late_turns_new_calls_away_and_no_call_in_progress() -> None:
    house = House()
    assert house.new() is None
    house.lag.overloaded = True
    assert house.new() == "lag"
    assert house.spending.over(Call("CA1").info) is None


async def test_without_caps_nothing_is_kept_and_no_book_is_read() -> None:
    house = House()
    house.call("CA1", usd=1000.0)
    await house.spending.read_books()
    await house.spending.run(lambda: [], lambda call, cap: None)
    assert house.new() is None
    assert house.asked == []


async def test_calls_in_progress_over_a_cap_are_wound_down(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("app.calls.spending.LOOK_SECONDS", 0.001)
    house = House(day=1.0)
    call = house.call("CA1", usd=0.5)
    seen: list[tuple[str, Cap]] = []

    def wind_down(one: Any, cap: Cap) -> None:
        seen.append((one.info.call_sid, cap))
        raise Enough

    def live() -> list[Call]:
        call.record.cost_usd += 0.2
        return [call]

    with pytest.raises(Enough):
        await house.spending.run(live, wind_down)
    assert seen == [("CA1", "day")]
    assert call.record.cost_usd >= 1.0
