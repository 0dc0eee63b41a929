"""What an operator does to a call: it is done at once, by the one door, and the transcript says so."""

# `did` fails by itself; its assert is for the reader.
# mypy: disable-error-code="truthy-bool"

import pytest

from app.core import effects as do
from app.core import events as ev
from app.core.phases import Phase
from app.core.record import CallRecord
from app.core.rows import CallEnded, Turn
from tests.core.flow_samples import HOTLINE
from tests.core.story import Story, greeted, milestones, started

HUNG_UP = ev.OperatorHungUp()
PUT_THROUGH = ev.OperatorPutThrough("billing")


def house_lines(call: Story) -> list[str]:
    """What the transcript has of the house's, each line once."""
    return list({row.seq: row.heard_text for row in call.rows(Turn) if row.who == "house"}.values())


def test_a_hang_up_stops_what_is_said_and_closes_the_stream() -> None:
    call = greeted()
    call.says("r1", ("a1", 5000), text="This is a long sentence.")
    call.waits(1000)
    call.act(HUNG_UP)
    assert call.did(do.ClearPlayback)
    assert call.did(do.Truncate).heard_ms == 1000
    assert call.did(do.HangUp)
    assert call.did(do.CloseStream).code == 1000
    assert call.did(do.CallIsOver).outcome == "operator"
    assert house_lines(call) == ["The operator hung up."]
    assert "operator_hung_up" in milestones(call)
    assert call.rows(CallEnded)[-1].outcome == "operator"


def test_a_caller_who_is_put_through_hears_one_sentence_first() -> None:
    call = greeted()
    call.says("r1", ("a1", 5000))
    call.waits(500)
    call.act(PUT_THROUGH)
    assert call.did(do.ClearPlayback)
    assert call.did(do.PutThrough).to == "billing"
    assert "billing" in call.did(do.AddText).text
    assert call.did(do.RequestResponse)
    assert not call.over
    call.says("r2", ("a2", 1500))
    call.waits(1500)
    assert call.did(do.CallIsOver).outcome == "transferred"
    assert house_lines(call) == ["The operator put the caller through to billing."]
    assert {"operator_put_through", "transfer_started"} <= set(milestones(call))


def test_a_model_that_says_nothing_holds_a_transfer_up_for_ten_seconds() -> None:
    call = greeted()
    call.act(PUT_THROUGH)
    call.waits(9_999)
    assert not call.over
    call.waits(1)
    assert call.did(do.CallIsOver).outcome == "transferred"


def test_a_caller_who_talks_on_does_not_take_the_operator_s_transfer_back() -> None:
    call = greeted()
    call.act(PUT_THROUGH, ev.CallerSpoke("c1"))
    assert call.did_not(do.Resume)
    call.waits(10_000)
    assert call.all(do.PutThrough, ever=True)[-1].to == "billing"
    assert call.over


@pytest.mark.parametrize("event", [HUNG_UP, PUT_THROUGH])
def test_before_the_model_is_there_it_is_done_at_once(event: ev.Event) -> None:
    call = Story()
    call.act(started(), event)
    assert call.over
    assert call.did_not(do.AddText, do.RequestResponse)


def test_the_operator_may_think_again() -> None:
    call = greeted()
    call.act(PUT_THROUGH, ev.OperatorPutThrough("sales"))
    assert call.all(do.PutThrough)[-1].to == "sales"
    call.act(HUNG_UP)
    assert call.did(do.HangUp)
    assert call.over


def test_a_goodbye_that_is_being_said_can_still_become_a_transfer() -> None:
    call = greeted()
    call.says("r1", ("a1", 3000), done=False)
    call.act(ev.ToolCalled("r1", "t1", "end_call", "{}"), ev.ResponseDone("r1", "completed"))
    call.act(ev.ToolReturned(call_id="t1", output="{}", status="ok", ms=1, ends_call=True, reason="done"))
    assert call.machine.phase is Phase.LEAVING
    call.act(PUT_THROUGH)
    call.waits(10_000)
    assert call.did(do.CallIsOver).outcome == "transferred"


@pytest.mark.parametrize("event", [HUNG_UP, PUT_THROUGH])
def test_after_the_stream_s_end_nothing_is_done(event: ev.Event) -> None:
    call = greeted()
    call.act(ev.CallerLeft("stop"))
    call.act(event)
    assert call.scene == []


def test_in_a_flow_the_operator_leads_out_of_it() -> None:
    call = Story(mode=HOTLINE)
    call.rings()
    call.says("r0", ("a0", 500))
    call.waits(600)
    call.act(PUT_THROUGH)
    assert call.did(do.PutThrough).to == "billing"


def test_the_next_session_is_not_told_the_house_s_lines_and_turns_after_one_are_numbered_on() -> None:
    record = CallRecord(
        call_sid="CA1", mode="m", first_seq=3, earlier=[("house", "The operator hung up."), ("agent", "Hi.")]
    )
    record.speaks("agent", "a1", 0).text = "Hello."
    line = record.notes("The operator put the caller through to billing.", 1.0)
    after = record.speaks("caller", "c1", 5)
    after.text = "Thanks."
    assert (line.seq, line.who, line.heard_text) == (4, "house", "The operator put the caller through to billing.")
    assert after.seq == 5
    assert record.history() == [("agent", "Hi."), ("caller", "Thanks.")]
