"""What a caller hears while the model says nothing: in the midst of its words, before them, and for how long."""

# `did` fails by itself; its assert is for the reader.
# mypy: disable-error-code="truthy-bool"

import pytest

from app.core import effects as do
from app.core import events as ev
from tests.core.story import Story, greeted, returned


def in_a_sentence(**terms: object) -> Story:
    """Two seconds of an answer were sent, and the response goes on."""
    call = greeted(**terms)
    call.caller_talks("c1", "What are your hours?")
    call.act(ev.ResponseStarted("r1"))
    call.voice("r1", "a1", 2000)
    call.tell(ev.AgentSaid("r1", "a1", "We are open Monday"))
    return call


def asked(**terms: object) -> Story:
    """The caller has asked, and the answer has begun without a sound."""
    call = greeted(**terms)
    call.caller_talks("c1", "What are your hours?")
    call.act(ev.ResponseStarted("r1"))
    return call


# --- in the midst of a sentence ---------------------------------------------------------------------------------------


def test_a_sentence_that_stops_short_is_explained_two_seconds_after_its_last_sound_at_most() -> None:
    call = in_a_sentence()
    call.waits(3499)
    assert call.did_not(do.PlayClip, do.Reconnect)
    call.waits(2)
    assert call.did(do.PlayClip).name == "one_moment"
    call.waits(500)
    assert call.did(do.Reconnect), "four seconds after its last event"


def test_so_is_the_greeting_of_a_server_that_does_not_announce_its_responses() -> None:
    call = Story()
    call.rings()
    call.voice("r0", "a0", 1000)
    call.waits(3999)
    assert call.did(do.PlayClip).name == "one_moment"
    assert call.did_not(do.Reconnect)
    call.waits(2)
    assert call.did(do.Reconnect)


def test_each_piece_of_sound_puts_that_off() -> None:
    call = in_a_sentence()
    for _ in range(20):  # as slow as it is heard, and each piece a second late
        call.waits(3000)
        assert call.did_not(do.PlayClip, do.Reconnect)
        call.voice("r1", "a1", 2000)


def test_sound_without_words_is_a_sign_of_life() -> None:
    call = in_a_sentence()
    for _ in range(10):
        call.waits(1000)
        assert call.voice("r1", "a1", 1000)
        assert call.did_not(do.PlayClip, do.Reconnect)


def test_our_own_clip_is_no_sign_of_the_model_s_life() -> None:
    call = in_a_sentence(hush_seconds=1.0)
    call.waits(4001)
    assert len(call.all(do.Reconnect)) == 1


def test_a_pause_behind_whole_words_is_borne_as_long_as_one_before_them() -> None:
    call = in_a_sentence(stall_seconds=9.0)
    call.tell(ev.AgentAudioEnded("r1", "a1"))
    call.waits(2000 + 1999)
    assert call.did_not(do.PlayClip)
    call.waits(2)
    assert call.did(do.PlayClip)


def test_an_answer_that_is_over_owes_nothing() -> None:
    call = in_a_sentence()
    call.act(ev.AgentAudioEnded("r1", "a1"), ev.ResponseDone("r1", "completed"))
    call.waits(20_000)
    assert call.did_not(do.PlayClip, do.Reconnect)


def test_a_tool_that_runs_has_its_own_words_for_that() -> None:
    call = in_a_sentence()
    call.act(ev.AgentAudioEnded("r1", "a1"), ev.ToolCalled("r1", "t1", "free_slots", "{}"))
    call.voice("r1", "a2", 500)
    call.tell(ev.AgentAudioEnded("r1", "a2"))
    call.waits(3900)
    assert call.did_not(do.PlayClip)
    call.act(ev.ResponseDone("r1", "completed"))
    call.waits(10_000)
    assert call.did_not(do.PlayClip)
    call.act(returned("t1"))
    call.waits(2001)
    assert call.did(do.PlayClip), "now the answer is owed"


def test_a_caller_who_cuts_in_is_not_asked_to_wait() -> None:
    call = in_a_sentence()
    call.waits(1000)
    call.act(ev.CallerSpoke("c2"))
    call.waits(10_000)
    assert call.did_not(do.PlayClip)


# --- before a word ----------------------------------------------------------------------------------------------------


def test_an_answer_that_was_begun_and_shows_no_sign_of_life_is_taken_from_another_session() -> None:
    call = asked()
    call.waits(3999)
    assert call.did(do.PlayClip)
    assert call.did_not(do.Reconnect)
    call.waits(2)
    assert call.did(do.Reconnect)


def test_an_answer_that_is_worked_on_unheard_has_longer_but_not_for_ever() -> None:
    call = asked()
    for _ in range(7):
        call.machine.sign_at = call.now
        call.waits(1000)
        assert call.did_not(do.Reconnect)
    call.machine.sign_at = call.now
    call.waits(1001)
    assert call.did(do.Reconnect)


def test_a_model_that_reasons_may_be_silent_for_longer() -> None:
    call = asked(model="gpt-realtime-2")
    call.waits(7999)
    assert call.did_not(do.Reconnect)
    call.waits(2)
    assert call.did(do.Reconnect)


def test_who_waits_on_is_kept_company_every_four_seconds() -> None:
    call = asked(model="gpt-realtime-2", think_seconds=30.0)
    for ms in (2001, 4000, 4000, 4000):
        call.waits(ms)
        assert call.did(do.PlayClip).name == "one_moment"
    call.voice("r1", "a1", 1000)
    call.act(ev.AgentAudioEnded("r1", "a1"), ev.ResponseDone("r1", "completed"))
    call.waits(10_000)
    assert call.did_not(do.PlayClip)


@pytest.mark.parametrize("model", ["gpt-realtime-1.5", "gpt-realtime-2"])
def test_from_question_to_answer_no_silence_is_longer_than_four_seconds(model: str) -> None:
    call = asked(model=model)
    silences, last = [], call.now
    for _ in range(12 * 20):
        call.waits(50)
        if call.all(do.PlayClip):
            silences.append(call.now - last)
            last = call.machine.playback.ends_at
        if call.all(do.Reconnect):
            break
    assert silences
    assert max(silences) < 4.0
    assert call.now - last < 4.0
    assert call.did(do.Reconnect)
