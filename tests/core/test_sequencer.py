"""When a response may be asked for: one at a time, none while the caller speaks, none for what the server answers by itself."""

import pytest

from app.core.effects import RequestResponse
from app.core.sequencer import Sequencer


def done(sequencer: Sequencer, response_id: str) -> list[RequestResponse]:
    """A response is over, and what waited for it is granted if it may be."""
    sequencer.done(response_id)
    return sequencer.grant()


def test_a_wish_is_granted_at_once_when_nothing_runs() -> None:
    sequencer = Sequencer()
    assert sequencer.want() == [RequestResponse("ask-1")]
    assert not sequencer.idle
    assert sequencer.want() == []


def test_a_wish_waits_for_the_running_response() -> None:
    sequencer = Sequencer()
    sequencer.started("r1")
    assert sequencer.want() == []
    assert done(sequencer, "r1") == [RequestResponse("ask-1")]


def test_many_wishes_are_one_request() -> None:
    sequencer = Sequencer()
    sequencer.started("r1")
    assert [sequencer.want() for _ in range(3)] == [[], [], []]
    assert len(done(sequencer, "r1")) == 1
    sequencer.started("r2")
    assert done(sequencer, "r2") == []
    assert sequencer.idle


def test_a_wish_waits_while_the_caller_speaks_and_the_server_answers_it() -> None:
    sequencer = Sequencer()
    sequencer.caller_spoke()
    assert sequencer.want() == []
    sequencer.caller_stopped()
    assert sequencer.grant() == []
    sequencer.started("r1")
    assert done(sequencer, "r1") == []
    assert sequencer.idle


def test_a_wish_from_after_the_callers_words_outlives_the_servers_own_response() -> None:
    """The server's response began with the caller's last word: what was sent later is not in it."""
    sequencer = Sequencer()
    sequencer.caller_spoke()
    sequencer.caller_stopped()
    assert sequencer.want() == []
    sequencer.started("r1")
    assert done(sequencer, "r1") == [RequestResponse("ask-1")]


def test_a_server_that_does_not_answer_by_itself_is_asked() -> None:
    sequencer = Sequencer()
    sequencer.caller_spoke()
    sequencer.want()
    sequencer.caller_stopped()
    assert sequencer.grant() == []
    sequencer.awaits_server = False
    assert sequencer.grant() == [RequestResponse("ask-1")]


def test_a_busy_refusal_is_asked_again_when_the_other_response_is_done() -> None:
    sequencer = Sequencer()
    sequencer.want()
    sequencer.refused("ask-1", busy=True)
    sequencer.running.add("r1")
    assert sequencer.grant() == []
    assert done(sequencer, "r1") == [RequestResponse("ask-2")]


def test_a_refusal_for_another_reason_is_not_asked_again() -> None:
    sequencer = Sequencer()
    sequencer.want()
    sequencer.refused("ask-1", busy=False)
    assert sequencer.idle
    assert sequencer.grant() == []


@pytest.mark.parametrize("event_id", ["", "ask-7", "offer-tools"])
def test_a_refusal_of_something_else_changes_nothing(event_id: str) -> None:
    sequencer = Sequencer()
    sequencer.want()
    sequencer.refused(event_id, busy=True)
    assert (sequencer.asked, sequencer.wanted) == ("ask-1", False)


def test_a_response_that_nobody_saw_begin_may_end() -> None:
    sequencer = Sequencer()
    assert done(sequencer, "r9") == []
    assert sequencer.idle


# --- fillers ---------------------------------------------------------------------------------------------------------

SENTENCE = "One moment please."


def test_a_filler_is_asked_for_when_nobody_speaks_and_nothing_is_due() -> None:
    assert Sequencer().fill(SENTENCE) == [RequestResponse("filler-1", SENTENCE)]


def occupied() -> list[Sequencer]:
    """Each way of not being free."""
    running, asked, speaking, awaiting = (Sequencer() for _ in range(4))
    running.started("r1")
    asked.want()
    speaking.caller_spoke()
    awaiting.caller_spoke()
    awaiting.caller_stopped()
    return [running, asked, speaking, awaiting]


@pytest.mark.parametrize("sequencer", occupied(), ids=["running", "asked", "speaking", "awaiting"])
def test_a_filler_is_no_wish_that_waits(sequencer: Sequencer) -> None:
    assert sequencer.fill(SENTENCE) == []
    assert not sequencer.filler_asked
    assert not sequencer.wanted


def test_a_filler_s_response_is_known_and_the_next_one_is_not_it() -> None:
    sequencer = Sequencer()
    sequencer.fill(SENTENCE)
    assert sequencer.started("f1") is False
    assert sequencer.filler == "f1"
    sequencer.want()
    assert done(sequencer, "f1") == [RequestResponse("ask-2")]
    sequencer.started("r2")
    assert sequencer.filler == "f1"


def test_a_late_filler_is_unwanted_once_and_the_next_is_not() -> None:
    sequencer = Sequencer()
    sequencer.fill(SENTENCE)
    sequencer.filler_late = True
    assert sequencer.started("f1") is True
    done(sequencer, "f1")
    sequencer.fill(SENTENCE)
    assert sequencer.started("f2") is False


@pytest.mark.parametrize("busy", [True, False])
def test_a_refused_filler_is_not_wished_for_again(busy: bool) -> None:
    sequencer = Sequencer()
    (ask,) = sequencer.fill(SENTENCE)
    sequencer.refused(ask.event_id, busy=busy)
    assert sequencer.idle


def test_only_a_filler_is_forgotten() -> None:
    sequencer = Sequencer()
    sequencer.want()
    sequencer.forget_filler()
    assert sequencer.asked == "ask-1"
