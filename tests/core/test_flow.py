"""Flows in the machine: where a call begins, where keys, failures and silence lead, and the next stream of a call."""

# `did` fails by itself; its assert is for the reader.
# mypy: disable-error-code="truthy-bool"

from app.core import effects as do
from app.core import events as ev
from app.core.phases import Phase
from app.core.record import CallRecord
from app.core.rows import ToolCall
from tests.core.flow_samples import HOTLINE, chooses, enters, hotline, in_order, offered, presses, says, told
from tests.core.story import Story, greeted, milestones, started

# --- beginning -------------------------------------------------------------------------------------------------------


def test_the_first_states_tools_are_offered_once_the_greeting_is_made_and_nothing_before_it() -> None:
    call = Story(mode=HOTLINE)
    call.rings()
    assert call.did_not(do.OfferTools, do.AddText)
    assert milestones(call)[:2] == ["stream_started", "state_menu"]
    call.says("r0", ("a0", 500))
    assert offered(call) == ["put_through", "choose"]
    assert call.did(do.OfferTools).detection is True


def test_outside_office_hours_a_call_begins_elsewhere() -> None:
    call = Story(mode=HOTLINE, open_now=False)
    call.rings()
    assert call.record.flow_state == "closed"
    call.says("r0", ("a0", 500))
    assert offered(call) == ["put_through"]


def test_where_the_caller_speaks_first_the_states_tools_are_there_for_the_first_answer() -> None:
    call = Story(mode=HOTLINE)
    call.rings(opening=False)
    assert offered(call) == ["put_through", "choose"]
    call.says("r1", ("a1", 500))
    assert call.did_not(do.OfferTools)


def test_an_update_that_is_refused_is_sent_again_with_the_states_tools_and_without_detection() -> None:
    call = hotline()
    call.act(ev.ModelComplained("invalid_value", "invalid_request_error", "no such detection", event_id="offer-tools"))
    assert call.did(do.OfferTools).detection is False
    assert offered(call) == ["put_through", "choose"]


# --- keys ------------------------------------------------------------------------------------------------------------


def test_a_key_that_the_state_knows_cuts_in_and_moves_at_once() -> None:
    call = hotline()
    call.says("r1", ("a1", 4000), done=False)
    call.waits(1000)
    call.act(ev.KeyPressed("1"))
    assert call.did(do.ClearPlayback)
    assert call.did(do.Truncate).heard_ms == 1000
    assert call.did(do.CancelResponse).response_id == "r1"
    assert told(call, "user") == ["(The caller pressed 1 on the keypad.)"]
    assert offered(call) == ["put_through", "find_order", "correct"]
    assert call.did_not(do.RequestResponse)
    call.act(ev.ResponseDone("r1", "cancelled"))
    assert call.did(do.RequestResponse)
    assert call.record.flow_state == "order"


def test_a_key_in_silence_asks_for_words_in_the_same_breath() -> None:
    call = hotline()
    call.act(ev.KeyPressed("1"))
    enters(call, "order")


def test_a_key_during_the_greeting_is_answered_with_the_new_states_tools() -> None:
    call = Story(mode=HOTLINE)
    call.rings()
    call.says("r0", ("a0", 3000), done=False)
    call.act(ev.KeyPressed("1"))
    assert call.did(do.ClearPlayback)
    assert call.did_not(do.OfferTools, do.RequestResponse)
    call.act(ev.ResponseDone("r0", "cancelled"))
    assert [type(effect) for effect in call.scene] == [do.OfferTools, do.RequestResponse]
    assert offered(call) == ["put_through", "find_order", "correct"]
    assert call.did(do.OfferTools).detection is True


def test_a_key_for_a_person_dials_without_words() -> None:
    call = hotline()
    call.says("r1", ("a1", 4000))
    call.act(ev.KeyPressed("0"))
    assert call.did(do.ClearPlayback)
    assert call.did(do.PutThrough).to == "office"
    assert call.did_not(do.RequestResponse, do.OfferTools)
    assert call.over
    assert "transfer_started" in milestones(call)


def test_a_key_for_a_person_needs_no_model() -> None:
    call = Story(mode=HOTLINE)
    call.act(started(), ev.KeyPressed("0"))
    assert call.did(do.PutThrough).to == "office"
    assert call.over


def test_a_key_from_before_the_model_was_there_moves_once_it_is() -> None:
    call = Story(mode=HOTLINE)
    call.act(started(), ev.KeyPressed("1"))
    assert call.record.flow_state == "menu"
    call.tell(ev.ModelReady(True))
    assert call.record.flow_state == "order"
    assert told(call) == [says("order")]


def test_a_key_that_leads_to_the_end_is_a_goodbye_in_words_and_the_next_key_takes_it_back() -> None:
    call = hotline()
    call.act(ev.KeyPressed("*"))
    assert call.did(do.HangUp)
    assert "goodbye" in told(call)[-1]
    assert call.did(do.RequestResponse)
    assert not call.over
    call.act(ev.KeyPressed("1"))
    assert call.did(do.Resume)
    assert call.machine.phase is Phase.TALKING
    assert call.record.flow_state == "order"


def test_keys_after_a_person_was_promised_change_nothing() -> None:
    call = hotline()
    chooses(call, "a person", 0.9)
    call.says("r2", ("a2", 3000))
    call.act(ev.KeyPressed("1"), ev.KeyPressed("7"))
    assert call.scene == []
    call.waits(4000)
    assert call.over


def test_wrong_keys_of_one_burst_are_one_failure_that_the_model_is_told() -> None:
    call = hotline()
    call.act(ev.KeyPressed("7"), ev.KeyPressed("8"))
    call.waits(2000)
    assert told(call, "user") == ["(The caller pressed 7 8 on the keypad.)"]
    assert "1, 9, *, 0" in told(call)[0]
    assert call.did(do.RequestResponse)
    assert call.did_not(do.OfferTools)
    assert call.record.flow_failures == 1


def test_in_a_state_without_keys_they_are_told_as_they_are() -> None:
    call = hotline(record=CallRecord(call_sid="CA1", mode="hotline", flow_state="known"))
    call.act(ev.KeyPressed("4"), ev.KeyPressed("2"), ev.KeyPressed("#"))
    assert told(call, "user") == ["(The caller pressed 4 2 # on the keypad.)"]
    assert call.did(do.RequestResponse)
    assert call.record.flow_failures == 0


# --- corrections, failures, silence ----------------------------------------------------------------------------------


def test_a_correction_leads_back() -> None:
    call = in_order()
    call.act(ev.ResponseStarted("r2"), ev.ToolCalled("r2", "t2", "correct", '{"what":"it is not about an order"}'))
    call.tell(ev.ResponseDone("r2", "completed"))
    enters(call, "menu")


def test_three_failures_of_any_kind_lead_to_a_person_in_words() -> None:
    call = hotline()
    chooses(call, "an order", 0.2)
    call.act(ev.KeyPressed("7"))
    call.waits(2000)
    assert call.did_not(do.PutThrough)
    chooses(call, "an order", 0.2, n=3)
    assert call.did(do.PutThrough).reason == "could not be understood"
    assert "put through to office" in told(call)[-1]
    assert call.did(do.RequestResponse)
    assert call.record.flow_failures == 0  # a caller who comes back begins anew


def test_silence_is_a_failure_and_is_asked_about_unless_it_leads_somewhere() -> None:
    call = hotline()
    call.waits(61_000)
    assert "still there" in told(call)[0]
    assert call.record.flow_failures == 1
    quiet = hotline(record=CallRecord(call_sid="CA1", mode="hotline", flow_state="known", flow_failures=1))
    quiet.waits(61_000)
    enters(quiet, "menu")
    assert quiet.record.flow_failures == 0


def test_failures_are_of_a_state_and_repeating_it_forgives_none() -> None:
    call = hotline()
    chooses(call, "an order", 0.2)
    call.says("r4", ("a4", 100))
    call.act(ev.KeyPressed("9"))
    enters(call, "menu")
    assert call.record.flow_failures == 1
    call.says("r5", ("a5", 100))
    call.act(ev.KeyPressed("1"))
    assert call.record.flow_failures == 0


# --- several streams -------------------------------------------------------------------------------------------------


def test_the_next_stream_of_a_call_goes_on_where_it_was_left() -> None:
    first = in_order()
    first.act(ev.CallerLeft("socket closed (1006)"))
    second = Story(mode=HOTLINE, record=first.record, open_now=False, starts_at=first.clock + 5)
    second.rings()
    second.says("r0", ("a0", 500))
    assert offered(second) == ["put_through", "find_order", "correct"]
    assert "state_order" not in milestones(second)  # it was no move
    presses(second, "4711#")
    assert second.did(do.RunTool)
    rows = {row.seq for row in (*first.rows(ToolCall), *second.rows(ToolCall))}
    assert len(rows) == len(first.rows(ToolCall)) + len(second.rows(ToolCall))


def test_a_state_that_is_no_more_begins_the_flow_anew() -> None:
    call = Story(mode=HOTLINE, record=CallRecord(call_sid="CA1", mode="hotline", flow_state="of_an_older_version"))
    assert call.record.flow_state == "menu"


def test_a_mode_without_a_flow_offers_its_tools_as_ever() -> None:
    call = greeted()
    assert call.all(do.OfferTools, ever=True) == [do.OfferTools()]
    call.act(ev.KeyPressed("1"))
    call.waits(2000)
    assert told(call, "user") == ["(The caller pressed 1 on the keypad.)"]
