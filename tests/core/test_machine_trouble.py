"""When the model's end fails: lost, refused, stuck or silent. The caller is led to a person, and no fault is made worse."""

# `did` fails by itself; its assert is for the reader.
# mypy: disable-error-code="truthy-bool"

from collections.abc import Callable

import pytest

from app.core import effects as do
from app.core import events as ev
from app.core.phases import GONE_FOR_GOOD, Phase
from app.core.rows import CallEnded
from tests.core.story import Story, greeted, returned, started


def opening() -> Story:
    call = Story()
    call.act(started())
    return call


def put_through() -> Story:
    call = greeted()
    call.says("r1", ("a1", 2000), done=False)
    call.act(
        ev.ToolCalled("r1", "t1", "put_through", "{}"), ev.ResponseDone("r1", "completed"), returned("t1", to="sales")
    )
    return call


# --- lost -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("begin", [opening, greeted])
def test_a_model_that_will_not_have_us_is_a_failed_call_that_is_led_on(begin: Callable[[], Story]) -> None:
    call = begin()
    call.act(ev.ModelLost("socket closed (1006)", refused=True))
    assert call.did(do.Apologise).reason == "socket closed (1006)"
    assert call.did(do.CloseStream).reason == "socket closed (1006)"
    assert call.did(do.CallIsOver) == do.CallIsOver("failed", "socket closed (1006)")
    assert call.rows(CallEnded)[-1].outcome == "failed"


def test_a_model_that_is_lost_while_leaving_keeps_what_was_promised() -> None:
    call = put_through()
    call.act(ev.ModelLost("socket closed (1006)"))
    assert call.did_not(do.Apologise, do.Reconnect, do.CallIsOver)
    call.waits(2000)
    assert call.did(do.CallIsOver).outcome == "transferred"
    assert call.machine.playback.heard_ms("a1", call.now) == 2000


def test_a_model_that_is_lost_before_the_stream_started_says_nothing_yet() -> None:
    call = Story()
    call.act(ev.ModelLost("refused"))
    assert (call.scene, call.machine.phase) == ([], Phase.WAITING)


def test_a_model_that_is_lost_after_the_end_changes_nothing() -> None:
    call = greeted()
    call.act(ev.CallerLeft("stop"))
    call.act(ev.ModelLost("closed"))
    assert call.scene == []


# --- failed responses -------------------------------------------------------------------------------------------------


def failed(response: str, code: str = "server_error", kind: str = "server_error") -> ev.ResponseDone:
    return ev.ResponseDone(response, "failed", error_code=code, error_type=kind)


def test_a_failed_response_is_tried_once_more() -> None:
    call = greeted()
    call.act(ev.ResponseStarted("r1"), failed("r1"))
    assert call.did(do.RequestResponse)
    call.act(ev.ResponseStarted("r2"), failed("r2"))
    assert call.did(do.Reconnect).rung == "again"
    assert call.did_not(do.Apologise)


def test_a_response_that_works_forgives_the_failure_before_it() -> None:
    call = greeted()
    for number in range(3):
        call.act(ev.ResponseStarted(f"f{number}"), failed(f"f{number}"))
        assert call.did(do.RequestResponse)
        call.says(f"ok{number}", (f"a{number}", 100))
    assert not call.over


def test_a_response_that_was_cut_forgives_nothing() -> None:
    call = greeted()
    call.act(ev.ResponseStarted("r1"), failed("r1"))
    call.act(ev.ResponseStarted("r2"), ev.ResponseDone("r2", "cancelled"))
    call.act(ev.ResponseStarted("r3"), failed("r3"))
    assert call.did(do.Reconnect)


def test_a_failed_response_with_a_wish_behind_it_is_one_request() -> None:
    call = greeted()
    call.act(ev.ResponseStarted("r1"), ev.ToolCalled("r1", "t1", "f", "{}"), returned("t1"), failed("r1"))
    assert call.did(do.RequestResponse)
    call.says("r2", ("a2", 500))
    assert call.did_not(do.RequestResponse)


@pytest.mark.parametrize("code", sorted(GONE_FOR_GOOD))
@pytest.mark.parametrize("field", ["code", "type"])
def test_what_no_retry_heals_ends_the_talk_at_once(code: str, field: str) -> None:
    call = greeted()
    code, kind = (code, "") if field == "code" else ("", code)
    call.act(ev.ResponseStarted("r1"), failed("r1", code, kind))
    assert call.did_not(do.RequestResponse)
    assert call.did(do.CallIsOver).outcome == "failed"
    other = greeted()
    other.act(ev.ModelComplained(code, kind, "no more"))
    assert other.did(do.Apologise)
    assert other.did(do.CallIsOver).outcome == "failed"


def test_a_failed_greeting_offers_the_tools_and_is_tried_again() -> None:
    call = Story()
    call.rings()
    call.act(ev.ResponseStarted("r1"), failed("r1"))
    assert call.did(do.OfferTools)
    assert call.did(do.RequestResponse)


@pytest.mark.parametrize(
    "code",
    ["unsupported_content_type", "response_cancel_not_active", "invalid_value", "item_truncate_invalid_item_id", ""],
)
def test_other_complaints_leave_the_talk_as_it_is(code: str) -> None:
    call = greeted()
    call.act(ev.ModelComplained(code, "invalid_request_error", "no", event_id="e1"))
    assert call.scene == []
    assert call.machine.phase is Phase.TALKING


# --- stuck ------------------------------------------------------------------------------------------------------------


def test_a_model_that_never_answers_is_asked_once_and_replaced_after_four_seconds() -> None:
    call = greeted()
    call.caller_talks("c1")
    call.waits(3_999)
    assert call.did(do.RequestResponse)
    assert call.did_not(do.Reconnect)
    call.waits(1)
    assert call.did(do.Reconnect).rung == "again"
    assert not call.over


def test_a_model_that_answers_with_silence_on_purpose_is_not_stuck() -> None:
    call = greeted()
    call.caller_talks("c1", "Thank you.")
    call.act(ev.ResponseStarted("r1"), ev.ResponseDone("r1", "completed"))
    call.waits(30_000)
    assert call.did_not(do.Apologise, do.RequestResponse)
    assert not call.over


def test_a_tool_that_takes_its_time_is_not_a_stuck_model() -> None:
    call = greeted()
    call.caller_talks("c1", "Tomorrow?")
    call.act(
        ev.ResponseStarted("r1"), ev.ToolCalled("r1", "t1", "free_slots", "{}"), ev.ResponseDone("r1", "completed")
    )
    call.waits(25_000)
    assert not call.over
    call.act(returned("t1"))
    assert call.did(do.RequestResponse)


def test_a_caller_who_speaks_on_while_a_tool_returns_is_not_cut_off() -> None:
    """The model owes nothing yet while the caller still has the floor."""
    call = greeted()
    call.act(ev.ResponseStarted("r1"), ev.ToolCalled("r1", "t1", "f", "{}"), ev.ResponseDone("r1", "completed"))
    call.act(ev.CallerSpoke("c1"), returned("t1"))
    call.waits(20_000)
    assert call.did_not(do.Apologise)
    assert not call.over


def test_a_response_that_is_not_announced_is_heard_and_cut_like_any_other() -> None:
    call = Story()
    call.rings()
    assert call.voice("r1", "a1", 1000)
    call.act(ev.ResponseDone("r1", "completed"))
    assert call.machine.sequencer.idle
    call.waits(300)
    call.act(ev.CallerSpoke("c1"))
    assert call.did(do.Truncate).heard_ms == 300


def test_a_second_start_and_a_second_ready_change_nothing() -> None:
    call = greeted()
    call.act(started(), ev.ModelReady())
    assert call.scene == []
    assert call.machine.phase is Phase.TALKING
