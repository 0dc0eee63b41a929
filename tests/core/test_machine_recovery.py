"""When the model's session goes away in mid-call: the caller keeps the line, and another session goes on where it was."""

# `did` fails by itself; its assert is for the reader.
# mypy: disable-error-code="truthy-bool"

import pytest

from app.core import effects as do
from app.core import events as ev
from app.core.phases import BROKE_OFF, CONTINUES, GONE_FOR_GOOD, WAITS
from app.core.rows import CallEnded, Turn
from tests.core.flow_samples import HOTLINE
from tests.core.story import Story, greeted, milestones, returned, started

LOST = ev.ModelLost("closed (1006)")
READY = ev.ModelReady(opening=False, model="gpt-realtime-1.5", lasts_seconds=3600.0)


def mid_word() -> Story:
    """The caller asked for the hours, and the answer broke off after two seconds, one of which was heard."""
    call = greeted()
    call.caller_talks("c1", "What are your hours?")
    call.act(ev.ResponseStarted("r1"))
    call.voice("r1", "a1", 2000)
    call.tell(ev.AgentSaid("r1", "a1", "We are open Monday"))
    call.waits(1000)
    return call


def in_a_tool() -> Story:
    """The caller asked for a time, and the tool that looks for one runs."""
    call = greeted()
    call.caller_talks("c1", "Is Tuesday free?")
    call.act(ev.ResponseStarted("r1"), ev.ToolCalled("r1", "t1", "free_slots", '{"day":"tuesday"}'))
    return call


def texts(call: Story) -> str:
    return " ".join(effect.text for effect in call.all(do.AddText))


# --- going on ---------------------------------------------------------------------------------------------------------


def test_an_answer_that_breaks_off_is_heard_to_its_end_and_gone_on_with() -> None:
    call = mid_word()
    call.act(LOST)
    assert call.did(do.Reconnect) == do.Reconnect(why="closed (1006)", rung="again")
    assert call.did_not(do.ClearPlayback, do.CloseStream, do.Apologise, do.PlayClip)
    assert call.did(do.MarkPlayback)
    call.waits(400)
    call.act(READY)
    assert call.did(do.TellHistory).lines == (
        do.Said("user", "What are your hours?"),
        do.Said("assistant", "We are open Monday"),
    )
    assert BROKE_OFF.format(words="We are open Monday") in texts(call)
    assert call.did(do.OfferTools)
    assert call.did(do.RequestResponse)
    assert call.machine.playback.playing(call.now), "the rest of what was sent"
    assert milestones(call)[-2:] == ["model_lost", "model_reconnected"]
    call.says("r2", ("a2", 1500), text="to Friday, from eight to five.")
    call.waits(3000)
    heard = [row for row in call.rows(Turn) if row.who == "agent"][-2:]
    assert [row.heard_text for row in heard][-1] == "to Friday, from eight to five."
    assert call.machine.playback.heard_ms("a1", call.now) == 2000


def test_the_order_is_tools_history_where_it_stands_and_then_the_question() -> None:
    call = mid_word()
    call.act(LOST, READY)
    kinds = [type(effect) for effect in call.scene if not isinstance(effect, do.Write | do.Measure)]
    assert kinds[-4:] == [do.OfferTools, do.TellHistory, do.AddText, do.RequestResponse]


def test_nothing_is_said_in_vain_where_it_is_the_caller_s_turn() -> None:
    call = greeted()
    call.act(LOST, READY)
    assert texts(call) == f"{CONTINUES} {WAITS}"
    call.waits(10_000)
    assert call.did_not(do.RequestResponse, do.PlayClip, do.Reconnect)
    call.caller_talks("c1")
    call.says("r1", ("a1", 500))
    assert not call.over


def test_a_caller_who_waits_for_an_answer_gets_it_from_the_next_session() -> None:
    call = greeted()
    call.caller_talks("c1", "What are your hours?")
    call.act(LOST, READY)
    assert call.did(do.TellHistory).lines[-1] == do.Said("user", "What are your hours?")
    assert call.did(do.RequestResponse)
    assert WAITS not in texts(call)


def test_words_that_no_session_understood_are_told_again_as_they_sounded() -> None:
    call = greeted()
    call.act(ev.CallerSpoke("c1"))
    call.waits(1500)
    call.act(LOST)
    assert call.did(do.Reconnect).retell_ms == 1500 + 800
    call.act(READY)
    assert call.did_not(do.RequestResponse)
    call.act(ev.CallerSpoke("x1"), ev.CallerStopped("x1"), ev.CallerTranscribed("x1", "Is Tuesday free?"))
    call.says("r2", ("a2", 500))
    turns = [turn for turn in call.record.spoken if turn.who == "caller"]
    assert [(turn.item_id, turn.text) for turn in turns] == [("x1", "Is Tuesday free?")]


def test_a_session_that_hears_nothing_in_what_it_is_told_again_is_asked_all_the_same() -> None:
    call = greeted()
    call.act(ev.CallerSpoke("c1"), ev.CallerStopped("c1"), LOST, READY)
    assert call.did_not(do.RequestResponse)
    call.waits(2000)
    assert call.did(do.RequestResponse)


def test_a_greeting_that_was_never_heard_is_made_again() -> None:
    call = Story()
    call.act(started(), LOST)
    assert call.did(do.Reconnect).afresh
    call.act(ev.ModelReady(opening=True))
    assert call.did_not(do.TellHistory, do.RequestResponse)
    call.says("r0", ("a0", 500))
    assert not call.over
    assert call.record.greeting_path == "cold"


def test_a_greeting_that_is_made_again_is_followed_by_all_tools_as_the_first_one_was() -> None:
    call = Story()
    call.rings()
    call.act(ev.ResponseStarted("r0"), ev.ResponseDone("r0", "failed"))
    assert call.did(do.OfferTools), "to the session that fails"
    call.act(LOST, ev.ModelReady(opening=True))
    call.says("r1", ("a1", 500))
    assert call.did(do.OfferTools), "and to the one that greets"


# --- tools ------------------------------------------------------------------------------------------------------------


def test_a_tool_that_runs_comes_back_to_the_next_session() -> None:
    call = in_a_tool()
    call.act(LOST, READY)
    assert call.did(do.TellHistory).lines[-1] == do.Called("t1", "free_slots", '{"day":"tuesday"}', None)
    assert call.did_not(do.RequestResponse)
    call.act(returned("t1", '{"slots":[]}'))
    assert call.did(do.AnswerTool) == do.AnswerTool("t1", '{"slots":[]}')
    assert call.did(do.RequestResponse)


def test_a_tool_that_comes_back_between_two_sessions_is_in_the_history_and_answered() -> None:
    call = in_a_tool()
    call.act(LOST, returned("t1", '{"slots":[]}'))
    assert call.did_not(do.AnswerTool, do.RequestResponse)
    call.act(READY)
    assert call.did(do.TellHistory).lines[-1] == do.Called("t1", "free_slots", '{"day":"tuesday"}', '{"slots":[]}')
    assert call.did(do.RequestResponse)


def test_a_transfer_that_a_tool_asks_for_in_between_is_made() -> None:
    call = in_a_tool()
    call.act(LOST, returned("t1", to="sales"))
    assert call.did(do.PutThrough).to == "sales"
    assert call.did(do.CallIsOver).outcome == "transferred"


def test_keys_that_were_pressed_in_between_are_told_in_order() -> None:
    call = greeted()
    call.act(ev.KeyPressed("4"), ev.KeyPressed("#"))
    call.says("r1", ("a1", 300))
    call.waits(500)
    call.act(LOST, ev.KeyPressed("7"), ev.KeyPressed("#"))
    assert call.did_not(do.AddText)
    call.act(READY)
    assert do.Said("user", "(The caller pressed 4 # on the keypad.)") in call.did(do.TellHistory).lines
    call.waits(2000)
    assert "pressed 7 #" in texts(call)
    assert call.did(do.RequestResponse)


def test_a_flow_goes_on_in_its_state_with_that_state_s_tools() -> None:
    call = Story(mode=HOTLINE)
    call.rings()
    call.says("r0", ("a0", 300))
    call.waits(400)
    call.act(LOST, READY)
    assert call.machine.flow is not None
    assert call.did(do.OfferTools).tools == call.machine.flow.offered()
    assert call.machine.flow.state.says in texts(call)


# --- the ladder's end -------------------------------------------------------------------------------------------------


def test_a_try_that_is_not_ready_in_time_is_followed_by_one_more_and_then_by_the_door() -> None:
    call = mid_word()
    call.act(LOST)
    call.waits(4000)
    assert call.did(do.Reconnect).rung == "again"
    call.waits(4000)
    assert call.did(do.Apologise)
    assert call.rows(CallEnded)[-1].outcome == "failed"


def test_a_server_that_refuses_at_once_is_given_a_moment_and_the_caller_s_promise_waits_for_nobody() -> None:
    """Its process is being restarted: three tries within a millisecond would all be in vain."""
    call = mid_word()
    call.act(LOST, LOST)
    assert len(call.all(do.Reconnect)) == 1
    call.waits(399)
    assert call.did_not(do.Reconnect)
    call.waits(2)
    assert call.did(do.Reconnect).rung == "again"
    call.act(LOST)
    assert call.did_not(do.Reconnect, do.Apologise)
    call.waits(1200)
    assert call.did(do.Reconnect)
    call.act(LOST)
    assert call.did(do.Apologise)


def test_a_try_that_was_put_off_is_not_made_once_a_session_is_there_or_the_caller_is_led_on() -> None:
    call = mid_word()
    call.act(LOST, LOST, READY)
    call.waits(1000)
    assert call.did_not(do.Reconnect)
    call = mid_word()
    call.act(LOST, LOST, ev.OperatorPutThrough("billing"))
    call.waits(1000)
    assert call.did_not(do.Reconnect)


def test_with_another_server_that_one_is_next() -> None:
    call = Story(servers=2)
    call.rings()
    call.says("r0", ("a0", 500))
    call.act(LOST, ev.ModelLost("nobody there"))
    assert [order.rung for order in call.all(do.Reconnect)] == ["again", "next"]
    call.act(ev.ModelReady(opening=False, model="other-model"))
    assert milestones(call)[-1] == "engine_switched"
    assert milestones(call).count("model_lost") == 1


@pytest.mark.parametrize("code", sorted(GONE_FOR_GOOD))
@pytest.mark.parametrize("field", ["code", "type"])
def test_what_never_heals_goes_to_another_server_at_once(code: str, field: str) -> None:
    code, kind = (code, "") if field == "code" else ("", code)
    for fault in (
        ev.ResponseDone("r1", "failed", error_code=code, error_type=kind),
        ev.ModelComplained(code, kind, "no"),
    ):
        call = Story(servers=2)
        call.rings()
        call.says("r0", ("a0", 500))
        call.act(ev.ResponseStarted("r1"), fault)
        order = call.did(do.Reconnect)
        assert (order.rung, order.refused) == ("next", True)


def test_where_no_server_is_left_the_caller_is_told_sorry() -> None:
    call = mid_word()
    call.act(LOST, ev.NoModelLeft("none"))
    assert call.did(do.Apologise)


def test_a_bug_of_ours_is_not_tried_again() -> None:
    call = greeted()
    call.act(ev.HouseFailed("a fault of ours"))
    assert call.did_not(do.Reconnect)
    assert call.did(do.Apologise)


# --- silence ----------------------------------------------------------------------------------------------------------


def test_a_caller_who_hears_nothing_is_told_within_two_seconds_and_told_once_more() -> None:
    call = greeted()
    call.caller_talks("c1", "What are your hours?")
    call.act(LOST)
    call.waits(1999)
    assert call.did(do.PlayClip).name == "interrupted"
    call.waits(4000)
    assert "one_moment" in [effect.name for effect in call.all(do.PlayClip)]


def test_a_gap_that_what_was_sent_covers_is_not_spoken_of() -> None:
    call = mid_word()
    call.act(LOST)
    call.waits(900)
    call.act(READY)
    call.says("r2", ("a2", 500))
    call.waits(5000)
    assert not call.all(do.PlayClip, ever=True)


# --- races ------------------------------------------------------------------------------------------------------------


def test_a_caller_who_hangs_up_in_between_ends_the_call_as_ever() -> None:
    call = mid_word()
    call.act(LOST, ev.CallerLeft("stop"))
    assert call.did(do.CloseModel)
    assert call.did(do.CallIsOver).outcome == "caller_left"
    call.act(READY)
    assert call.scene == []


def test_an_operator_who_puts_the_caller_through_in_between_is_obeyed() -> None:
    call = mid_word()
    call.act(LOST, ev.OperatorPutThrough("billing"))
    assert call.did(do.PutThrough).to == "billing"
    assert call.did(do.CallIsOver).outcome == "transferred"


def test_an_operator_who_hangs_up_in_between_is_obeyed() -> None:
    call = mid_word()
    call.act(LOST, ev.OperatorHungUp())
    assert call.did(do.CallIsOver).outcome == "operator"


def test_a_house_that_closes_in_between_hands_the_call_on() -> None:
    call = mid_word()
    call.act(LOST, ev.HouseCloses())
    assert call.did(do.Resume)
    assert call.over


def test_a_house_that_closes_before_a_goodbye_was_said_leaves_it_to_the_carrier() -> None:
    """Nobody is hung up on in silence, not even by a deploy."""
    call = greeted()
    call.act(ev.ResponseStarted("r1"), ev.ToolCalled("r1", "t1", "end_call", "{}"), ev.ResponseDone("r1", "completed"))
    call.act(returned("t1", ends=True), ev.HouseCloses())
    assert call.all(do.HangUp)[-1].unsaid
    assert call.did_not(do.Resume)


def test_a_second_fault_before_the_first_is_mended_keeps_what_is_owed() -> None:
    call = mid_word()
    call.act(LOST, LOST, READY)
    assert BROKE_OFF.format(words="We are open Monday") in texts(call)
    assert call.did(do.RequestResponse)


def test_a_second_fault_right_behind_the_first_still_owes_the_answer() -> None:
    call = mid_word()
    call.act(LOST, READY, LOST, READY)
    assert len(call.all(do.RequestResponse)) == 2


def test_a_goodbye_that_is_promised_when_the_model_goes_is_said_by_the_carrier() -> None:
    call = greeted()
    call.act(ev.ResponseStarted("r1"), ev.ToolCalled("r1", "t1", "end_call", "{}"), ev.ResponseDone("r1", "completed"))
    call.act(returned("t1", ends=True), LOST)
    assert call.all(do.HangUp)[-1].unsaid
    assert call.did(do.CallIsOver).outcome == "completed"


def test_a_caller_who_cuts_in_on_the_earlier_session_s_words_is_told_of_in_words() -> None:
    call = mid_word()
    call.act(LOST, READY, ev.CallerSpoke("c2"))
    assert call.did(do.ClearPlayback)
    assert call.did_not(do.Truncate, do.DeleteItem)
    assert "We are" in texts(call).rpartition("cut in")[2]


def test_deadlines_of_the_session_that_is_gone_mean_nothing_any_more() -> None:
    """A process that stood still finds several of them due at once."""
    call = greeted(answer_seconds=4.0, stall_seconds=3.0)
    call.caller_talks("c1")
    call.clock += 10
    call.act(ev.TimePassed())
    assert call.did(do.Reconnect)
    assert call.did_not(do.RequestResponse)
