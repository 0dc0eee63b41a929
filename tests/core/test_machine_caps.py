"""What a call costs beside its responses, caps that are told from outside, and a goodbye that nobody could say."""

# `did` fails by itself; its assert is for the reader.
# mypy: disable-error-code="truthy-bool"

import pytest

from app.core import effects as do
from app.core import events as ev
from app.core.phases import OUT_OF_MONEY, STILL_NOT_THERE, STILL_THERE
from app.rules.prices import Prices
from tests.core.story import greeted


def test_a_silent_caller_is_asked_asked_again_and_taken_leave_of() -> None:
    call = greeted(dormant_seconds=20.0, goodbye_seconds=10.0)
    for number, (silence, question) in enumerate(((20_100, STILL_THERE), (10_100, STILL_NOT_THERE))):
        call.waits(silence)
        assert call.did(do.AddText).text == question
        assert call.did_not(do.HangUp)
        call.says(f"r{number}", (f"q{number}", 0))
    call.waits(10_100)
    assert call.did(do.HangUp).reason == "dormant"


def test_a_caller_who_answers_the_second_question_begins_anew() -> None:
    call = greeted(dormant_seconds=20.0, goodbye_seconds=10.0)
    call.waits(20_100)
    call.says("r1", ("q1", 0))
    call.waits(10_100)
    call.says("r2", ("q2", 0))
    call.caller_talks("c1")
    call.says("r3", ("a3", 0))
    call.waits(20_100)
    assert call.did(do.AddText).text == STILL_THERE


def test_a_goodbye_that_the_model_does_not_say_is_left_to_the_carrier() -> None:
    call = greeted(dormant_seconds=20.0, goodbye_seconds=10.0)
    call.waits(20_100)
    call.says("r1", ("q1", 0))
    call.waits(10_100)
    call.says("r2", ("q2", 0))
    call.waits(10_100)
    assert not call.did(do.HangUp).unsaid
    call.waits(10_100)
    assert call.did(do.HangUp).unsaid
    assert call.did(do.CallIsOver).outcome == "dormant"


def test_a_goodbye_that_was_said_is_not_said_again() -> None:
    call = greeted(max_seconds=20.0)
    call.waits(20_000)
    call.says("r1", ("a1", 1000), done=False)
    call.waits(12_000)
    assert call.over
    assert not [effect for effect in call.all(do.HangUp, ever=True) if effect.unsaid]


def test_money_that_is_gone_elsewhere_winds_a_call_down_once() -> None:
    call = greeted()
    call.act(ev.CapReached("caller_day"))
    hang_up = call.did(do.HangUp)
    assert (hang_up.reason, hang_up.cap) == ("capped", "caller_day")
    assert call.did(do.AddText).text == OUT_OF_MONEY
    call.act(ev.CapReached("caller_day"))
    assert call.did_not(do.HangUp, do.AddText)
    call.says("r1", ("a1", 1000))
    call.waits(1000)
    assert call.did(do.CallIsOver).outcome == "capped"


def test_a_call_over_its_own_cap_says_which() -> None:
    call = greeted(max_seconds=20.0)
    call.waits(20_000)
    assert call.did(do.HangUp).cap == "call_seconds"
    dear = greeted(max_cost_usd=0.01)
    dear.act(ev.ResponseStarted("r1"))
    dear.voice("r1", "a1", 500)
    dear.tell(ev.ResponseDone("r1", "completed", usage={"output_token_details": {"audio_tokens": 1000}}))
    assert dear.did(do.HangUp).cap == "call_cost"


def test_writing_down_the_caller_s_words_and_the_line_itself_cost_too() -> None:
    prices = Prices(telephone_minute=0.06, transcription={"scribe": 0.6})
    call = greeted(prices=prices, transcriber="scribe")
    call.act(ev.CallerTranscribed("c1", "Yes.", usage={"type": "duration", "seconds": 3}))
    assert call.record.cost_usd == pytest.approx(0.03)
    call.waits(59_400)
    call.act(ev.CallerLeft("stop"))
    assert call.record.cost_usd == pytest.approx(0.03 + 0.06, abs=0.001)


def test_a_transcription_that_nobody_asked_for_costs_nothing() -> None:
    call = greeted()
    call.act(ev.CallerTranscribed("c1", "Yes.", usage={"type": "duration", "seconds": 3}))
    assert call.record.cost_usd == 0.0
