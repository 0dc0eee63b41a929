"""A session whose time is nearly up is replaced at a pause; what every replaced session leaves in the books."""

# `did` fails by itself; its assert is for the reader.
# mypy: disable-error-code="truthy-bool"

import pytest

from app.core import effects as do
from app.core import events as ev
from app.core.phases import Phase
from app.core.rows import CallEnded, Response
from tests.core.story import Story, milestones, started
from tests.core.test_machine_recovery import LOST, READY, mid_word

# --- rollover ---------------------------------------------------------------------------------------------------------


def old_session(lasts: float = 310.0) -> Story:
    call = Story(rollover_seconds=300.0)
    call.act(started(), ev.ModelReady(lasts_seconds=lasts))
    call.says("r0", ("a0", 500))
    return call


def test_a_session_whose_time_is_nearly_up_is_replaced_at_a_pause_without_a_word() -> None:
    call = old_session()
    call.waits(9_999)
    assert call.did_not(do.Reconnect)
    call.waits(2)
    assert call.did(do.Reconnect).rung == "rollover"
    call.waits(300)
    call.act(READY)
    measure = call.did(do.Measure)
    assert (measure.what, measure.path, measure.cause) == ("gap", "rollover", "rollover")
    assert measure.seconds == pytest.approx(0.3, abs=0.01)
    assert milestones(call)[-1] == "rolled_over"
    assert "model_lost" not in milestones(call)
    assert call.did_not(do.PlayClip, do.RequestResponse)
    assert call.record.memory.longest_gap_ms == pytest.approx(300, abs=10)


def test_it_waits_for_the_pause() -> None:
    call = old_session()
    call.waits(9_000)
    call.act(ev.CallerSpoke("c1"))
    call.waits(5_000)
    assert call.did_not(do.Reconnect)
    call.act(ev.CallerStopped("c1"), ev.CallerTranscribed("c1", "Hello?"), ev.ResponseStarted("r1"))
    call.waits(2_000)
    assert call.did_not(do.Reconnect)
    call.voice("r1", "a1", 500)
    call.act(ev.ResponseDone("r1", "completed"))
    call.waits(2_000)
    assert call.did(do.Reconnect).rung == "rollover"


def test_a_session_that_expires_before_a_pause_came_is_replaced_by_the_same_road() -> None:
    call = mid_word()
    call.act(ev.ModelComplained("session_expired", "invalid_request_error", "60 minutes"))
    assert call.did(do.Reconnect).rung == "again"
    call.act(READY)
    assert call.did(do.RequestResponse)


def test_a_rollover_that_fails_is_a_fault_like_any_other() -> None:
    call = old_session()
    call.waits(10_001)
    call.act(LOST)
    assert call.did(do.Reconnect).rung == "again"
    assert "model_lost" in milestones(call)


# --- the books --------------------------------------------------------------------------------------------------------


def test_each_session_is_paid_for_at_its_own_model_s_price() -> None:
    call = Story(servers=2, model="gpt-realtime-1.5", max_cost_usd=1000)
    usage = {"output_token_details": {"audio_tokens": 1_000_000}, "input_tokens": 0}
    call.rings()
    call.act(ev.ResponseStarted("r0"), ev.ResponseDone("r0", "completed", usage=usage))
    dear = call.record.cost_usd
    call.act(ev.ModelLost("quota", refused=True), ev.ModelReady(opening=True, model="gpt-realtime-mini"))
    call.act(ev.ResponseStarted("r1"), ev.ResponseDone("r1", "completed", usage=usage))
    assert dear == pytest.approx(64.0)
    assert call.record.cost_usd - dear == pytest.approx(20.0, abs=0.1)
    assert [row.model for row in call.machine.trace.rows if isinstance(row, Response)] == [
        "gpt-realtime-1.5",
        "gpt-realtime-mini",
    ]


def test_the_call_keeps_how_often_and_how_long_it_was_without() -> None:
    call = mid_word()
    call.act(LOST)
    call.waits(700)
    call.act(READY)
    call.act(ev.CallerLeft("stop"))
    ended = call.rows(CallEnded)[-1]
    assert (ended.reconnects, ended.longest_gap_ms) == (1, 700)


def test_while_there_is_no_session_nothing_is_told_to_one() -> None:
    call = mid_word()
    call.act(LOST)
    assert call.machine.phase is Phase.OPENING
    assert not call.machine.listening
