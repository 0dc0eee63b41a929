"""A filler for a slow tool: into silence and nowhere else, and never in the way of the answer."""

# `did` fails by itself; its assert is for the reader.
# mypy: disable-error-code="truthy-bool"

import pytest

from app.core import effects as do
from app.core import events as ev
from tests.core.story import Story, greeted, returned

SENTENCE = "One moment please."


def slow(call_id: str = "t1", after_ms: int = 700) -> ev.ToolSlow:
    return ev.ToolSlow(call_id=call_id, sentence=SENTENCE, after_ms=after_ms)


def calls_tool(*names: str, saying_ms: float = 0) -> Story:
    """A response that calls tools is done, and nobody speaks."""
    call = greeted()
    call.act(ev.ResponseStarted("r1"))
    if saying_ms:
        call.voice("r1", "a1", saying_ms)
        call.tell(ev.AgentAudioEnded("r1", "a1"))
    for n, name in enumerate(names or ("lookup",), 1):
        call.tell(ev.ToolCalled("r1", f"t{n}", name, "{}"))
    call.tell(ev.ResponseDone("r1", "completed"))
    return call


def filling() -> Story:
    """The filler's response has begun, and nothing of it was heard."""
    call = calls_tool()
    call.act(slow(), ev.ResponseStarted("f1"))
    return call


# --- the filler ------------------------------------------------------------------------------------------------------


def test_a_slow_tool_has_its_filler_read_out_at_once_into_silence() -> None:
    call = calls_tool()
    call.act(slow())
    assert call.did(do.RequestResponse).reads == SENTENCE


def test_a_quick_answer_needs_no_filler() -> None:
    call = calls_tool()
    call.act(returned("t1"))
    assert call.did(do.RequestResponse).reads == ""
    call.act(slow())
    call.waits(3000)
    assert not [ask for ask in call.all(do.RequestResponse) if ask.reads]


def test_a_filler_waits_until_our_own_words_are_heard_and_as_much_silence_again() -> None:
    call = calls_tool(saying_ms=2000)
    call.act(slow())
    assert call.did_not(do.RequestResponse)
    call.waits(2600)
    assert call.did_not(do.RequestResponse)
    call.waits(200)
    assert call.did(do.RequestResponse).reads == SENTENCE


def test_an_answer_that_comes_during_our_own_words_leaves_no_filler_behind_them() -> None:
    call = calls_tool(saying_ms=2000)
    call.act(slow(), returned("t1"))
    assert call.did(do.RequestResponse).reads == ""
    call.says("r2", ("a2", 500))
    call.waits(5000)
    assert call.did_not(do.RequestResponse)


def test_a_filler_is_never_said_over_the_caller_or_before_they_are_answered() -> None:
    call = calls_tool()
    call.act(ev.CallerSpoke("c1"), slow())
    call.waits(3000)
    assert call.did_not(do.RequestResponse)
    call.act(ev.CallerStopped("c1"))
    call.waits(1500)
    assert call.did_not(do.RequestResponse), "the server owes the caller an answer"
    call.says("r2", ("a2", 1000))
    call.waits(1600)
    assert call.did_not(do.RequestResponse)
    call.waits(200)
    assert call.did(do.RequestResponse).reads == SENTENCE, "it is still slow"


def test_a_filler_does_not_talk_to_a_caller_who_is_typing() -> None:
    call = calls_tool()
    call.act(ev.KeyPressed("4"), slow())
    assert call.did_not(do.RequestResponse)


def test_the_answer_waits_for_a_filler_that_is_heard_and_no_longer() -> None:
    call = filling()
    call.voice("f1", "fa", 1500)
    call.act(returned("t1"))
    assert call.did(do.AnswerTool)
    assert call.did_not(do.CancelResponse, do.RequestResponse, do.ClearPlayback)
    call.act(ev.AgentAudioEnded("f1", "fa"), ev.ResponseDone("f1", "completed"))
    assert call.did(do.RequestResponse).reads == ""


def test_a_filler_of_which_nothing_is_heard_steps_back_for_the_answer() -> None:
    call = filling()
    call.act(returned("t1"))
    assert call.did(do.CancelResponse) == do.CancelResponse("f1")
    assert not call.voice("f1", "fa", 200), "what still comes of it is not for the caller"
    call.act(ev.ResponseDone("f1", "cancelled"))
    assert call.did(do.RequestResponse).reads == ""


def test_a_filler_that_was_only_asked_for_steps_back_as_it_begins() -> None:
    call = calls_tool()
    call.act(slow())
    call.act(returned("t1"))
    assert call.did_not(do.RequestResponse, do.CancelResponse)
    call.act(ev.ResponseStarted("f1"))
    assert call.did(do.CancelResponse) == do.CancelResponse("f1")
    assert not call.machine.speaking("f1")
    call.act(ev.ResponseDone("f1", "cancelled"))
    assert call.did(do.RequestResponse).reads == ""


def test_a_caller_who_cuts_in_on_a_filler_is_heard_and_the_answer_is_not_lost() -> None:
    call = filling()
    call.voice("f1", "fa", 1500)
    call.waits(400)
    call.act(ev.CallerSpoke("c1"))
    assert call.did(do.Truncate).heard_ms == 400
    call.act(ev.ResponseDone("f1", "cancelled"), returned("t1"))
    assert call.did(do.AnswerTool)
    call.act(ev.CallerStopped("c1"), ev.ResponseStarted("r2"))
    assert call.machine.speaking("r2")
    call.act(ev.ResponseDone("r2", "completed"))
    assert call.did_not(do.RequestResponse), "the server's own response has seen the answer"


@pytest.mark.parametrize("code", ["unsupported_response_override", "invalid_value"])
def test_a_server_that_reads_nothing_out_answers_all_the_same(code: str) -> None:
    call = calls_tool()
    call.act(slow())
    ask = call.did(do.RequestResponse).event_id
    call.act(returned("t1"))
    assert call.did_not(do.RequestResponse)
    call.act(ev.ModelComplained(code, "invalid_request_error", "", event_id=ask))
    assert call.did(do.RequestResponse).reads == ""


def test_a_filler_that_finds_the_server_busy_is_not_asked_for_again() -> None:
    call = calls_tool()
    call.act(slow())
    ask = call.did(do.RequestResponse).event_id
    call.act(ev.ModelComplained("conversation_already_has_active_response", "", "", event_id=ask))
    call.waits(3000)
    assert call.did_not(do.RequestResponse)


def test_a_server_that_never_begins_the_filler_does_not_hold_up_the_answer_for_ever() -> None:
    call = calls_tool()
    call.act(slow(), returned("t1"))
    call.waits(3100)
    assert [ask.reads for ask in call.all(do.RequestResponse)] == [""]


def test_a_filler_that_fails_is_nobodys_loss() -> None:
    call = filling()
    call.act(ev.ResponseDone("f1", "failed", error_code="server_error"))
    assert call.did_not(do.RequestResponse, do.Apologise)
    call.act(returned("t1"))
    assert call.did(do.RequestResponse).reads == ""
    call.act(ev.ResponseStarted("r2"), ev.ResponseDone("r2", "failed", error_code="server_error"))
    assert call.did(do.RequestResponse), "an answer that fails is still asked for once more"


def test_a_filler_that_fails_for_good_ends_the_talk_as_any_response_does() -> None:
    call = filling()
    call.act(ev.ResponseDone("f1", "failed", error_code="insufficient_quota"))
    assert call.did(do.Apologise)


def test_two_slow_tools_of_one_response_have_one_filler() -> None:
    call = calls_tool("lookup", "lookup")
    call.act(slow("t1"), slow("t2"))
    assert call.did(do.RequestResponse).reads == SENTENCE
    call.says("f1", ("fa", 800))
    call.act(returned("t1"))
    assert call.did_not(do.RequestResponse), "its sibling is still out"
    call.waits(4000)
    assert call.did_not(do.RequestResponse)
    call.act(returned("t2"))
    assert call.did(do.RequestResponse).reads == ""


def test_one_answer_of_two_does_not_take_the_filler_back() -> None:
    call = calls_tool("lookup", "lookup")
    call.act(slow("t1"), ev.ResponseStarted("f1"), returned("t1"))
    assert call.did_not(do.CancelResponse)
    assert call.machine.speaking("f1")


def test_a_filler_that_is_due_is_not_said_by_a_line_that_is_left() -> None:
    call = calls_tool("put_through", "lookup", saying_ms=1000)
    call.act(slow("t2"), returned("t1", to="sales"))
    call.waits(4000)
    assert not [ask for ask in call.all(do.RequestResponse) if ask.reads]


def test_a_tool_with_a_long_deadline_is_not_taken_for_a_model_that_says_nothing() -> None:
    call = greeted(stall_seconds=12.0)
    call.act(ev.ResponseStarted("r1"), ev.ToolCalled("r1", "t1", "lookup", "{}"))
    call.voice("r1", "a1", 500)  # words behind the call
    call.act(ev.AgentAudioEnded("r1", "a1"), ev.ResponseDone("r1", "completed"))
    call.waits(20_000)
    assert call.did_not(do.Apologise)
    call.act(returned("t1"))
    assert call.did(do.RequestResponse)
