"""Calls that we placed, on the switchboard: whoever is rung gets an agent, and nobody who is gone does."""

from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any, cast

import msgspec
import pytest

from app.calls.live_call import LiveCall
from app.calls.switchboard import TICKET_SECONDS
from app.core import events as ev
from app.core.rows import CallEnded, CallInfo
from modes.reminder import mode as reminder
from tests.core.story import started
from tests.house.test_ticket_life import Stage

RING_SECONDS = 25.0
INFO = CallInfo(
    call_sid="CA" + "7" * 32, account_sid="AC1", caller="+14155550133", dialled="+14155550199", direction="outbound",
    fields={"name": "Baker", "start": "2026-12-01T09:00"}, screened=True,
)  # fmt: skip


@pytest.fixture
def stage() -> Iterator[Stage]:
    it = Stage()
    yield it
    it.loop.end()


def rings(stage: Stage, info: CallInfo = INFO) -> LiveCall | None:
    async def ring() -> LiveCall | None:
        return stage.board.outgoing(info, reminder, rings_seconds=RING_SECONDS)

    call = stage.loop.run_until_complete(ring())
    stage.loop.run(0)
    return call


@pytest.mark.parametrize("state", ["full", "draining", "both"])
def test_whoever_rings_already_is_talked_to_though_no_new_call_would_be(stage: Stage, state: str) -> None:
    """A callee who picks up and hears nothing has been called for nothing."""
    stage.board.draining = state != "full"
    stage.board.max_calls = 5 if state == "draining" else 0
    call = rings(stage)
    assert call is not None
    assert call.ticket
    assert not stage.sessions[0].closed


def test_a_process_that_ends_and_a_call_that_is_over_begin_nothing(stage: Stage) -> None:
    stage.board.ended(INFO.call_sid)
    assert rings(stage) is None
    stage.board.closing = True
    other = CallInfo(call_sid="CA" + "8" * 32, account_sid="AC1", caller="+14155550134", dialled="+14155550199")
    assert rings(stage, other) is None
    assert (stage.sessions, stage.board.live) == ([], 0)


def test_what_was_prepared_lives_as_long_as_it_may_ring_and_its_end_is_written_down(stage: Stage) -> None:
    call = rings(stage)
    assert call is not None
    stage.loop.run(TICKET_SECONDS + RING_SECONDS - 1)
    assert not stage.sessions[0].closed
    call.how = "no_answer"
    stage.board.ended(INFO.call_sid)
    assert stage.sessions[0].closed
    assert [row.outcome for row in stage.rows if isinstance(row, CallEnded)] == ["no_answer"]


KINDS = pytest.mark.parametrize(("who", "next_step"), [("machine", "message"), ("fax", "hang_up")])


@KINDS
def test_a_machine_that_is_known_before_the_stream_gets_no_session(stage: Stage, who: str, next_step: str) -> None:
    call = rings(stage)
    assert call is not None
    ticket = call.ticket
    stage.board.picked_up(INFO.call_sid, ev.PickedUp(who))  # type: ignore[arg-type]
    assert (call.next.step, call.how) == (next_step, who)
    assert stage.board.redeem(reminder.name, ticket) is None
    assert stage.sessions[0].closed
    stage.board.picked_up(INFO.call_sid, ev.PickedUp("person"))
    assert call.next.step == next_step, "a second verdict changes nothing"


@KINDS
def test_a_machine_that_is_known_between_the_upgrade_and_its_stream_s_start_is_not_talked_to(
    stage: Stage, who: str, next_step: str
) -> None:
    call = rings(stage)
    assert call is not None
    assert stage.board.redeem(reminder.name, call.ticket) is call
    stage.board.picked_up(INFO.call_sid, ev.PickedUp(who))  # type: ignore[arg-type]
    closed: list[tuple[int, str]] = []

    async def starts() -> None:
        link = SimpleNamespace(send=lambda text: None, close=lambda code, reason: closed.append((code, reason)))
        stage.board.answer(call, cast(Any, link), msgspec.structs.replace(started(), call_sid=INFO.call_sid), "asgi")

    stage.loop.run_until_complete(starts())
    assert closed == [(1000, who)]
    assert call.next.step == next_step
    assert [session.closed for session in stage.sessions] == [True], "no other one is opened for it"
