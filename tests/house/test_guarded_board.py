"""What the switchboard lets in: nothing revives a call that has ended, caps turn new calls away, and only desks are dialled."""

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any, cast

import pytest

from app.calls.lag import LoopLag
from app.calls.live_call import LiveCall
from app.calls.roster import DEPARTED
from app.calls.spending import Limits, Spending
from app.calls.transfers import Transfers
from app.core import effects as do
from app.core.rows import CallEnded, CallInfo, Milestone
from modes.receptionist import mode as receptionist
from tests.house.samples import OFFICE
from tests.house.test_ticket_life import Stage

INFO = CallInfo(call_sid="CA" + "1" * 32, account_sid="AC1", caller="+14155550133", dialled="+14155550199")
MONDAY = datetime(2026, 11, 23, 16, 0, tzinfo=UTC)


@pytest.fixture
def stage() -> Iterator[Stage]:
    it = Stage()
    yield it
    it.loop.end()


def rings(stage: Stage, info: CallInfo = INFO) -> LiveCall:
    """The webhook of a call."""

    async def ring() -> LiveCall | None:
        return stage.board.incoming(info, receptionist)

    call = stage.loop.run_until_complete(ring())
    assert call is not None
    stage.loop.run(0)
    return call


def capped(stage: Stage, **limits: Any) -> LoopLag:
    """Give the board caps, without books."""
    lag = LoopLag()
    stage.board.spending = Spending(Limits(**limits), OFFICE, lag, cast(Any, None), settled=cast(Any, None))
    return lag


def test_a_repeated_webhook_after_the_end_begins_nothing(stage: Stage) -> None:
    call = rings(stage)
    sessions, rows = len(stage.sessions), len(stage.rows)
    stage.board.ended(INFO.call_sid)
    again = rings(stage)
    assert again is call
    assert (again.finished, again.ticket, stage.board.live) == (True, "", 0)
    assert len(stage.sessions) == sessions
    assert [row for row in stage.rows[rows:] if type(row).__name__ == "CallStarted"] == []


def test_a_final_status_is_remembered_longer_than_its_call_and_within_bounds(stage: Stage) -> None:
    rings(stage)
    stage.board.ended(INFO.call_sid)
    stage.loop.run(400)
    assert INFO.call_sid not in stage.board.calls
    assert INFO.call_sid in stage.board.departed
    for number in range(DEPARTED):
        stage.board.ended(f"CA{number}")
    assert INFO.call_sid not in stage.board.departed
    assert len(stage.board.departed) == DEPARTED


def test_a_final_status_twice_ends_a_call_once(stage: Stage) -> None:
    rings(stage)
    for _ in range(3):
        stage.board.ended(INFO.call_sid)
    assert stage.board.live == 0


def test_a_call_over_a_cap_has_no_session_and_a_whole_row(stage: Stage) -> None:
    capped(stage, caller_calls=1)
    first = rings(
        stage, CallInfo(call_sid="CA" + "2" * 32, account_sid="AC1", caller=INFO.caller, dialled=INFO.dialled)
    )
    assert first.turned_away is None
    prepared = len(stage.sessions)
    call = rings(stage)
    assert (call.turned_away, call.ticket, call.next.step) == ("caller_calls", "", "apologise")
    assert rings(stage) is call, "asked again it is the same, and is not counted again"
    assert len(stage.sessions) == prepared
    mine = [row for row in stage.rows if getattr(row, "call_sid", "") == INFO.call_sid]
    assert [row.outcome for row in mine if isinstance(row, CallEnded)] == ["turned_away"]
    assert "turned_away_caller_calls" in [row.name for row in mine if isinstance(row, Milestone)]


def test_a_loop_that_runs_late_turns_new_calls_away_until_it_keeps_up(stage: Stage) -> None:
    lag = capped(stage)
    lag.overloaded = True
    call = rings(stage)
    assert call.turned_away == "lag"
    lag.overloaded = False
    welcome = rings(stage, CallInfo(call_sid="CA" + "3" * 32, account_sid="AC1", caller="", dialled=""))
    assert welcome.ticket


def test_what_a_call_costs_counts_from_its_beginning(stage: Stage) -> None:
    capped(stage, day=1.0)
    call = rings(stage)
    call.record.cost_usd = 1.0
    assert stage.board.spending is not None
    assert stage.board.spending.over(INFO) == "day"
    stage.board.wind_down(call, "day")  # it has no stream: there is nobody to take leave
    assert not call.finished


@pytest.mark.parametrize("wanted", ["+19005550100", "tel:+19005550100", "", "Billing ", "billing;+19005550100", "9"])
def test_whoever_names_a_number_instead_of_a_desk_gets_a_desk_of_the_file(stage: Stage, wanted: str) -> None:
    call = rings(stage)
    call.transfers = Transfers(INFO.call_sid, lambda row: None)
    call.remember(do.PutThrough(to=wanted, reason="asked for it"))
    call.dials(OFFICE, MONDAY)
    numbers = {desk.number for desk in OFFICE.desks.values()}
    if call.next.step == "dial":
        assert OFFICE.desks[call.next.desk].number in numbers - {""}
    else:
        assert call.next.step == "resume"
