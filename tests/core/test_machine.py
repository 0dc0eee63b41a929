"""The course of a call: greeting, turns, keys, books. Each test is a short story under a hand-moved clock."""

# `did` fails by itself; its assert is for the reader.
# mypy: disable-error-code="truthy-bool"

import pytest

from app.core import effects as do
from app.core import events as ev
from app.core.phases import OPENING_ID, Phase
from app.core.record import CallRecord
from app.core.rows import CallEnded, Turn
from tests.core.story import Story, greeted, milestones, started

# --- greeting --------------------------------------------------------------------------------------------------------


def test_the_stream_starts_then_the_model_is_ready_and_the_agent_greets() -> None:
    call = Story()
    call.machine.greeting_path = "prepared"
    call.act(started())
    assert (call.machine.phase, call.machine.listening) == (Phase.OPENING, False)
    assert not call.machine.speaking("r1")
    call.waits(40)
    call.act(ev.ModelReady())
    assert (call.machine.phase, call.machine.listening) == (Phase.TALKING, True)
    assert call.machine.sequencer.asked == OPENING_ID
    call.waits(210)
    call.says("r1", ("a1", 2000))
    assert call.measured() == ("greeting", 250, "prepared")
    assert (call.record.greeting_path, call.record.greeting_ms) == ("prepared", 250)
    assert milestones(call) == ["stream_started", "model_ready", "first_audio_sent"]


def test_a_greeting_after_the_clip_was_already_the_fallbacks() -> None:
    call = Story()
    call.machine.greeting_path = "cold"
    call.rings()
    call.waits(1999)
    assert call.did_not(do.PlayClip)
    call.waits(1)
    assert call.did(do.PlayClip).name == "one_moment"
    assert call.measured() == ("greeting", 2000, "fallback")
    call.says("r1", ("a1", 2000))
    assert (call.record.greeting_path, call.record.greeting_ms) == ("fallback", 2000)
    call.waits(20_000)
    assert not call.over


@pytest.mark.parametrize("ready", [True, False])
def test_no_audio_in_five_seconds_is_a_failed_call_that_is_led_to_a_person(ready: bool) -> None:
    call = Story()
    call.act(started(), *([ev.ModelReady()] if ready else []))
    call.waits(4999)
    assert not call.over
    call.waits(1)
    assert call.did(do.Reconnect).afresh
    call.waits(4000)
    call.waits(4000)
    assert call.did(do.Apologise)
    assert call.did(do.CloseStream).code == 1000
    assert call.did(do.CallIsOver).outcome == "failed"


def test_audio_in_time_ends_the_wait_for_it() -> None:
    call = Story()
    call.rings()
    call.says("r1", ("a1", 1000))
    call.waits(30_000)
    assert call.did_not(do.PlayClip, do.Apologise)


def test_a_mode_in_which_the_caller_speaks_first_waits_for_nobody() -> None:
    call = Story()
    call.rings(opening=False)
    call.waits(10_000)
    assert call.did_not(do.PlayClip, do.Apologise)
    assert call.machine.sequencer.idle


def test_a_stream_that_does_not_greet_measures_no_greeting() -> None:
    call = Story(greets=False)
    call.rings()
    call.says("r1", ("a1", 1000))
    assert call.did_not(do.Measure)
    assert call.record.greeting_ms is None


def test_the_first_streams_greeting_stays_in_the_record() -> None:
    record = CallRecord(call_sid="CA1", mode="m")
    call = Story(record=record)
    call.rings()
    call.says("r1", ("a1", 1000))
    again = Story(record=record, starts_at=150.0)
    again.machine.greeting_path = "spare"
    again.rings()
    again.waits(700)
    again.says("r1", ("b1", 1000))
    assert again.did(do.Measure).path == "spare"
    assert (record.greeting_path, record.greeting_ms, record.began) == ("cold", 0, 100.0)


def test_a_caller_who_speaks_before_the_greeting_is_not_cut_off_by_the_wait_for_it() -> None:
    call = Story()
    call.rings()
    call.act(ev.ResponseStarted("r1"))
    call.waits(1000)
    call.act(ev.CallerSpoke("c1"), ev.ResponseDone("r1", "cancelled", "turn_detected"))
    call.waits(5000)
    assert call.did_not(do.Apologise, do.CloseStream)
    assert not call.over


# --- turns -----------------------------------------------------------------------------------------------------------


def test_a_transcript_after_the_answer_keeps_the_turn_in_its_place() -> None:
    call = greeted()
    call.act(ev.CallerSpoke("c1"))
    call.waits(900)
    call.act(ev.CallerStopped("c1"), ev.CallerTurnTaken("c1"))
    call.says("r1", ("a1", 1000), text="Certainly.")
    call.waits(1000)
    call.act(ev.CallerTranscribed("c1", " Sales, please. "))
    write = call.did(do.Write).row
    assert isinstance(write, Turn)
    assert (write.seq, write.who, write.generated_text, write.heard_text) == (
        1,
        "caller",
        "Sales, please.",
        "Sales, please.",
    )
    assert (write.start_ms, write.end_ms) == (600, 1500)
    assert [turn.who for turn in call.record.spoken] == ["agent", "caller", "agent"]


def test_a_turn_of_which_only_the_transcript_came_is_a_turn() -> None:
    call = greeted()
    call.act(ev.CallerTurnTaken("c1"), ev.CallerTranscribed("c1", "Hello?"))
    assert [(turn.who, turn.text) for turn in call.record.spoken[1:]] == [("caller", "Hello?")]


def test_a_failed_transcription_is_an_empty_turn_and_the_talk_goes_on() -> None:
    call = greeted()
    call.act(
        ev.CallerSpoke("c1"), ev.CallerStopped("c1"), ev.CallerTranscribed("c1", "", failed="audio_unintelligible")
    )
    call.says("r1", ("a1", 500))
    assert [(turn.who, turn.text) for turn in call.record.spoken[1:]] == [("caller", ""), ("agent", "")]
    assert not call.over


def test_the_callers_first_words_are_a_milestone_once() -> None:
    call = greeted()
    call.caller_talks("c1")
    call.caller_talks("c2")
    assert milestones(call).count("first_caller_speech") == 1


# --- keys ------------------------------------------------------------------------------------------------------------


def test_keys_are_one_line_of_talk_at_the_hash() -> None:
    call = greeted()
    for digit in "42":
        call.act(ev.KeyPressed(digit))
        assert call.scene == []
        call.waits(1400)
    call.act(ev.KeyPressed("#"))
    assert call.did(do.AddText) == do.AddText("user", "(The caller pressed 4 2 # on the keypad.)")
    assert call.did(do.RequestResponse)
    call.waits(2000)
    assert call.did_not(do.AddText)


def test_keys_are_one_line_of_talk_after_a_pause() -> None:
    call = greeted()
    call.act(ev.KeyPressed("7"))
    call.waits(1499)
    assert call.did_not(do.AddText)
    call.waits(1)
    assert call.did(do.AddText).text == "(The caller pressed 7 on the keypad.)"


def test_keys_interrupt_what_is_said_and_cancel_the_running_response() -> None:
    call = greeted()
    call.says("r1", ("a1", 3000), done=False)
    call.waits(800)
    call.act(ev.KeyPressed("#"))
    assert call.did(do.Truncate).heard_ms == 800
    assert call.did(do.CancelResponse).response_id == "r1"
    assert call.did_not(do.RequestResponse)
    call.act(ev.ResponseDone("r1", "cancelled", "client_cancelled"))
    assert call.did(do.RequestResponse)


def test_keys_from_before_the_model_was_ready_wait_for_it() -> None:
    call = Story()
    call.act(started(), ev.KeyPressed("5"), ev.KeyPressed("#"))
    call.waits(1000)
    assert call.all(do.AddText, ever=True) == []
    call.act(ev.ModelReady())
    call.waits(1600)
    assert call.did(do.AddText).text == "(The caller pressed 5 # on the keypad.)"


# --- rows at the end -------------------------------------------------------------------------------------------------


def test_the_books_are_complete_when_the_call_is_over() -> None:
    call = greeted()
    usage = {"output_token_details": {"audio_tokens": 1000}}
    call.says("r1", ("a1", 2000), text="We open at eight.", done=False)
    call.act(ev.ResponseDone("r1", "completed", usage=usage))
    call.waits(1000)
    call.act(ev.CallerLeft("stop"))
    turns = [write.row for write in call.all(do.Write) if isinstance(write.row, Turn)]
    assert [(turn.seq, turn.generated_text, turn.heard_text) for turn in turns] == [
        (0, "", ""),
        (1, "We open at eight.", "We open"),
    ]
    (ended,) = call.rows(CallEnded)
    assert (ended.outcome, ended.cost_usd, ended.greeting_path, ended.greeting_ms) == ("caller_left", 0.064, "cold", 0)
    assert milestones(call)[-1] == "call_closed"
