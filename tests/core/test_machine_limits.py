"""The limits of a call: a silent caller is asked and taken leave of; time and money run out."""

# `did` fails by itself; its assert is for the reader.
# mypy: disable-error-code="truthy-bool"

import pytest

from app.core import effects as do
from app.core import events as ev
from app.core.phases import STILL_NOT_THERE
from tests.core.story import Story, greeted, returned


def says_goodbye(call: Story, *, ms: float = 2000) -> None:
    """The agent says goodbye and calls the tool that ends the call."""
    call.says("r1", ("a1", ms), done=False)
    call.act(ev.ToolCalled("r1", "t1", "end_call", "{}"), ev.ResponseDone("r1", "completed"), returned("t1", ends=True))


# --- silence ----------------------------------------------------------------------------------------------------------


def test_a_silent_caller_is_asked_and_then_taken_leave_of() -> None:
    call = greeted(dormant_seconds=60.0, goodbye_seconds=15.0)
    call.waits(59_800)
    assert call.did_not(do.AddText)
    call.waits(200)
    assert call.did(do.AddText).role == "system"
    assert call.did(do.RequestResponse)
    call.says("r1", ("a1", 2000))
    call.waits(16_900)
    assert call.did_not(do.AddText)
    call.waits(200)
    assert call.did(do.AddText).text == STILL_NOT_THERE
    call.says("r3", ("a3", 2000))
    call.waits(17_100)
    assert call.did(do.HangUp).reason == "dormant"
    assert call.did(do.AddText)
    call.says("r2", ("a2", 1500))
    assert not call.over
    call.waits(1500)
    assert call.did(do.CallIsOver).outcome == "dormant"


def test_silence_counts_from_the_end_of_what_the_caller_hears() -> None:
    call = greeted(dormant_seconds=5.0)
    call.says("r1", ("a1", 30_000))
    call.waits(34_900)
    assert call.did_not(do.AddText)
    call.waits(200)
    assert call.did(do.AddText)


@pytest.mark.parametrize("sign", ["speech", "key"])
def test_a_caller_who_gives_a_sign_starts_the_silence_anew(sign: str) -> None:
    call = greeted()
    call.waits(60_100)
    call.says("r1", ("a1", 1000))
    call.waits(5000)
    if sign == "speech":
        call.caller_talks("c1")
    else:
        call.act(ev.KeyPressed("1"), ev.KeyPressed("#"))
    call.says("r2", ("a2", 1000))
    call.waits(60_900)
    assert call.did_not(do.HangUp, do.AddText)
    call.waits(200)
    assert call.did(do.AddText)
    assert not call.over


def test_a_caller_who_speaks_during_the_goodbye_for_silence_takes_it_back() -> None:
    call = greeted(dormant_seconds=10.0, goodbye_seconds=5.0)
    call.waits(10_000)
    call.says("r1", ("a1", 1000))
    call.waits(6000)
    call.says("r3", ("a3", 1000))
    call.waits(6000)
    assert call.did(do.HangUp)
    call.says("r2", ("a2", 2000))
    call.waits(500)
    call.act(ev.CallerSpoke("c1"))
    assert call.did_not(do.CloseStream)
    assert not call.over


def test_a_caller_who_speaks_for_long_is_not_silent() -> None:
    call = greeted(dormant_seconds=10.0)
    call.act(ev.CallerSpoke("c1"))
    call.waits(60_000)
    assert call.scene == []


# --- caps -------------------------------------------------------------------------------------------------------------


def test_a_call_that_is_out_of_time_says_goodbye() -> None:
    call = greeted(max_seconds=20.0)
    call.waits(19_300)
    assert call.did_not(do.HangUp)
    call.waits(100)
    assert call.did(do.HangUp).reason == "capped"
    assert call.did(do.RequestResponse)
    call.says("r1", ("a1", 1000))
    call.waits(1000)
    assert call.did(do.CallIsOver).outcome == "capped"


def test_a_call_that_is_out_of_time_lets_the_agent_finish_first() -> None:
    call = greeted(max_seconds=20.0)
    call.waits(19_000)
    call.says("r1", ("a1", 3000), done=False)
    call.waits(400)
    assert call.did(do.HangUp)
    assert call.did_not(do.RequestResponse, do.ClearPlayback)
    call.act(ev.ResponseDone("r1", "completed"))
    assert call.did(do.RequestResponse)


def test_a_model_that_does_not_say_goodbye_is_waited_for_ten_seconds() -> None:
    call = greeted(max_seconds=20.0)
    call.waits(29_300)
    assert not call.over
    call.waits(200)
    assert call.did(do.CallIsOver).outcome == "capped"


def test_a_call_that_costs_too_much_says_goodbye() -> None:
    call = greeted(max_cost_usd=0.1)
    usage = {"output_token_details": {"audio_tokens": 1000}}
    for response in ("r1", "r2"):
        call.act(ev.ResponseStarted(response))
        call.voice(response, f"a{response}", 500)
        call.tell(ev.ResponseDone(response, "completed", usage=usage))
        if response == "r1":
            assert call.did_not(do.HangUp)
    assert call.did(do.HangUp).reason == "capped"
    assert call.record.cost_usd == pytest.approx(0.128)


def test_out_of_band_responses_cost_too() -> None:
    call = greeted()
    usage = {"output_token_details": {"text_tokens": 1000}}
    call.act(ev.ResponseStarted("x1", True), ev.ResponseDone("x1", "completed", usage=usage, out_of_band=True))
    assert call.record.cost_usd == pytest.approx(0.016)


def test_a_cap_that_comes_during_a_goodbye_holds_when_the_goodbye_is_taken_back() -> None:
    call = greeted(max_seconds=20.0)
    call.waits(18_000)
    says_goodbye(call, ms=3000)
    call.waits(2000)
    call.act(ev.CallerSpoke("c1"))
    call.waits(1000)
    call.act(ev.CallerStopped("c1"))
    call.says("r2", ("a2", 1000))
    call.waits(30_000)
    assert call.over
