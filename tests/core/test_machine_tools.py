"""Tools and requests: what is offered, what runs, and when the model is asked to go on."""

# `did` fails by itself; its assert is for the reader.
# mypy: disable-error-code="truthy-bool"

import msgspec
import pytest

from app.core import effects as do
from app.core import events as ev
from app.core.rows import ToolCall
from app.core.tool_calls import BEGUN
from tests.core.story import Story, greeted, milestones, returned

# --- tools on offer --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("status", ["completed", "cancelled", "incomplete", "failed"])
def test_all_tools_are_offered_once_when_the_first_response_is_done_whatever_its_status(status: str) -> None:
    call = Story()
    call.rings()
    call.act(ev.ResponseStarted("x1", out_of_band=True), ev.ResponseDone("x1", "completed", out_of_band=True))
    assert call.did_not(do.OfferTools)
    call.act(ev.ResponseStarted("r1"))
    assert call.did_not(do.OfferTools)
    call.act(ev.ResponseDone("r1", status))
    assert call.did(do.OfferTools)
    call.act(ev.ResponseStarted("r2"), ev.ResponseDone("r2", "completed"))
    assert call.did_not(do.OfferTools)


# --- tools -----------------------------------------------------------------------------------------------------------


def test_a_tool_runs_is_answered_and_the_model_is_asked_once_the_response_is_done() -> None:
    call = greeted()
    call.act(ev.ResponseStarted("r1"), ev.ToolCalled("r1", "t1", "free_slots", '{"day":1}'))
    assert call.did(do.RunTool) == do.RunTool("t1", "free_slots", '{"day":1}')
    call.act(returned("t1", '{"slots":[]}'))
    assert call.did(do.AnswerTool) == do.AnswerTool("t1", '{"slots":[]}')
    assert call.did_not(do.RequestResponse)
    call.act(ev.ResponseDone("r1", "completed"))
    assert call.did(do.RequestResponse)
    row = ToolCall(
        call_sid="CA1",
        seq=0,
        name="free_slots",
        arguments='{"day":1}',
        result='{"slots":[]}',
        status="ok",
        ms=5,
        start_ms=600,
    )
    begun = msgspec.structs.replace(row, result=BEGUN, status="working", ms=0)
    assert call.rows(ToolCall) == [begun, row]
    assert milestones(call).count("tool_called") == 1


@pytest.mark.parametrize("order", [("t1", "t2"), ("t2", "t1")])
@pytest.mark.parametrize("done_after", [0, 1, 2])
def test_two_tools_of_one_response_are_one_request_after_the_last(order: tuple[str, str], done_after: int) -> None:
    call = greeted()
    call.act(ev.ResponseStarted("r1"), ev.ToolCalled("r1", "t1", "f", "{}"), ev.ToolCalled("r1", "t2", "f", "{}"))
    events: list[ev.Event] = [returned(order[0]), returned(order[1])]
    events.insert(done_after, ev.ResponseDone("r1", "completed"))
    for event in events[:2]:
        call.tell(event)
    assert call.did_not(do.RequestResponse)
    call.tell(events[2])
    assert call.did(do.RequestResponse)


def test_a_quick_first_tool_does_not_ask_before_its_slow_sibling_came_back() -> None:
    call = greeted()
    call.act(ev.ResponseStarted("r1"), ev.ToolCalled("r1", "t1", "f", "{}"), returned("t1"))
    call.tell(ev.ToolCalled("r1", "t2", "slow", "{}"))
    call.tell(ev.ResponseDone("r1", "completed"))
    assert call.did_not(do.RequestResponse)
    call.tell(returned("t2"))
    assert call.did(do.RequestResponse)


def test_a_slow_tool_of_an_earlier_response_does_not_hold_up_a_later_ones_answer() -> None:
    call = greeted()
    call.act(ev.ResponseStarted("r1"), ev.ToolCalled("r1", "slow", "f", "{}"), ev.ResponseDone("r1", "completed"))
    call.caller_talks("c1", "And when do you open?")
    call.act(ev.ResponseStarted("r2"), ev.ToolCalled("r2", "quick", "g", "{}"), ev.ResponseDone("r2", "completed"))
    call.act(returned("quick"))
    assert call.did(do.RequestResponse)


def test_a_tool_call_that_is_named_twice_runs_once_and_an_answer_counts_once() -> None:
    call = greeted()
    call.act(ev.ToolCalled("r1", "t1", "f", "{}"), ev.ToolCalled("r1", "t1", "f", "{}"))
    assert call.did(do.RunTool)
    call.act(returned("t1"), returned("t1"), returned("nobody's"))
    assert call.did(do.AnswerTool)


def test_a_tool_that_returns_while_the_caller_speaks_is_answered_by_the_servers_own_response() -> None:
    call = greeted()
    call.act(ev.ResponseStarted("r1"), ev.ToolCalled("r1", "t1", "f", "{}"), ev.ResponseDone("r1", "completed"))
    call.act(ev.CallerSpoke("c1"), returned("t1"))
    assert call.did_not(do.RequestResponse)
    call.act(ev.CallerStopped("c1"), ev.ResponseStarted("r2"), ev.ResponseDone("r2", "completed"))
    assert call.did_not(do.RequestResponse)


def test_a_busy_refusal_is_asked_again_after_the_other_response() -> None:
    call = greeted()
    call.act(ev.ToolCalled("r1", "t1", "f", "{}"), returned("t1"))
    ask = call.did(do.RequestResponse).event_id
    busy = ev.ModelComplained("conversation_already_has_active_response", "invalid_request_error", "", event_id=ask)
    call.act(busy)
    assert call.did_not(do.RequestResponse)
    call.act(ev.ResponseDone("r2", "completed"))
    assert call.did(do.RequestResponse).event_id != ask


def test_a_busy_refusal_without_any_sign_of_the_other_response_is_asked_again_after_a_while() -> None:
    call = greeted()
    call.act(ev.ToolCalled("r1", "t1", "f", "{}"), returned("t1"))
    ask = call.did(do.RequestResponse).event_id
    call.act(ev.ModelComplained("conversation_already_has_active_response", "", "", event_id=ask))
    call.waits(3000)
    assert call.did(do.RequestResponse).event_id != ask


def test_a_server_that_is_slow_to_begin_an_answer_is_asked_for_it_once() -> None:
    call = greeted()
    call.act(ev.ToolCalled("r1", "t1", "f", "{}"), returned("t1"))
    assert call.did(do.RequestResponse)
    call.waits(3500)
    call.says("r2", ("a2", 1000))
    assert call.did_not(do.RequestResponse)


def test_a_server_that_owes_an_answer_to_the_caller_is_asked_for_it() -> None:
    call = greeted()
    call.caller_talks("c1")
    call.waits(1999)
    assert call.did_not(do.RequestResponse)
    call.waits(1)
    assert call.did(do.RequestResponse)


def test_the_time_from_the_callers_last_word_to_the_first_audio_is_measured_once() -> None:
    call = greeted()
    call.caller_talks("c1")
    call.waits(640)
    call.says("r1", ("a1", 500), ("a2", 500))
    assert call.measured() == ("turn", 640, "")
