"""Calls that hang in the carrier's hands: the operator's wish is set, and the carrier is led to ask for it."""

from datetime import UTC, datetime
from typing import cast

import pytest

from app.calls.interventions import Interventions, NotDone
from app.calls.live_call import Next
from app.calls.switchboard import Switchboard
from app.core.rows import Milestone, Row, Turn
from tests.web.console_stage import Board, Carrier, Stage


def hand(stage: Stage) -> Interventions:
    return Interventions(cast("Switchboard", stage.board))


def rows(board: Board) -> list[Row]:
    found: list[Row] = board.journal.rows
    return found


async def test_a_call_that_rings_is_ended_by_leading_it_to_what_comes_next() -> None:
    stage = Stage()
    stage.board.redirector = carrier = Carrier()
    call = stage.rings()
    await hand(stage).hang_up(call.info.call_sid)
    assert call.next.step == "hang_up"
    assert carrier.led == [(call.info.call_sid, stage.board.next_url)]
    assert [row.heard_text for row in rows(stage.board) if isinstance(row, Turn)] == ["The operator hung up."]
    assert [row.name for row in rows(stage.board) if isinstance(row, Milestone)] == ["operator_hung_up"]


async def test_a_call_in_the_menu_is_put_through_by_leading_it_on() -> None:
    stage = Stage()
    stage.board.redirector = Carrier()
    call = stage.rings()
    call.by_keys = True
    assert [desk.name for desk in hand(stage).desks()] == ["billing", "reception"]
    await hand(stage).put_through(call.info.call_sid, "billing")
    assert (call.next.step, call.next.desk) == ("dial", "billing")
    call.dials(stage.board.office, datetime.now(UTC))
    with pytest.raises(NotDone, match="being put through to billing already"):
        await hand(stage).put_through(call.info.call_sid, "reception")


async def test_without_rest_or_against_its_will_the_call_is_left_as_it_was() -> None:
    stage = Stage()
    call = stage.rings()
    with pytest.raises(NotDone, match="TWILIO_ACCOUNT_SID"):
        await hand(stage).hang_up(call.info.call_sid)
    stage.board.redirector = Carrier()
    stage.board.redirector.takes = False
    call.next = before = Next("dial", "billing")
    with pytest.raises(NotDone, match="would not take it"):
        await hand(stage).hang_up(call.info.call_sid)
    assert call.next is before
    assert rows(stage.board) == []


async def test_a_call_that_is_over_or_unknown_cannot_be_helped() -> None:
    stage = Stage()
    call = stage.rings()
    call.finished = True
    for sid in (call.info.call_sid, "CA" + "f" * 32, ""):
        with pytest.raises(NotDone, match="is over"):
            await hand(stage).hang_up(sid)


async def test_only_desks_of_the_configuration_that_can_be_reached_now_are_dialled() -> None:
    stage = Stage()
    stage.board.redirector = Carrier()
    call = stage.rings()
    for desk in ("nobody", "+14155550100", "", "x" * 500):
        with pytest.raises(NotDone, match="There is nobody at"):
            await hand(stage).put_through(call.info.call_sid, desk)
    assert call.next.step == "resume"
