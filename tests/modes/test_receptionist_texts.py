"""Texts from the front desk: asked for, sent once and to the caller, and what became of them told as it is."""

from collections.abc import Callable

import pytest

from app.adapters.texted import Texted
from modes.receptionist import mode
from tests.modes.rehearsal_table import CALLER, DIALLED, Rehearsal

Rehearse = Callable[..., Rehearsal]
BODY = (
    "Lakeside Dental: your appointment is on Tuesday, November 24 at 09:00. Reference B1. "
    "Reply STOP to get no more texts."
)


def booked(call: Rehearsal) -> Rehearsal:
    """An appointment is made, and the caller has been asked whether they want a text."""
    call.rings()
    call.agent_says("Good morning.", ms=1000)
    call.waits(ms=1100)
    call.caller_says("Tuesday at nine. The name is Novak.")
    call.model_calls("book_appointment", name="Novak", start="2026-11-24T09:00", reason="check-up")
    call.agent_says("You are booked. Shall I text you a confirmation?", ms=1500)
    call.waits(ms=1600)
    return call


@pytest.fixture
def call(rehearse: Rehearse) -> Rehearsal:
    return booked(rehearse(mode))


def milestones(call: Rehearsal) -> list[str]:
    return [row.name for row in call.text_rows]


def test_a_caller_who_says_yes_gets_the_appointment_in_writing(call: Rehearsal) -> None:
    call.caller_says("Yes, please.")
    call.model_calls("text_confirmation")
    assert call.answer() == {"result": "Sent to the number that the caller calls from."}
    assert call.text_box.texts == [(CALLER, DIALLED, BODY)]
    assert call.outcome["texted"] is True
    assert milestones(call) == ["text_sent"]


def test_without_a_word_of_the_caller_s_nothing_is_sent(call: Rehearsal) -> None:
    call.model_calls("text_confirmation")
    assert "ask the caller first" in call.answer()["error"]
    assert call.text_box.texts == []
    assert call.outcome["texted"] is False


def test_the_same_text_is_sent_once_however_often_it_is_asked_for(call: Rehearsal) -> None:
    call.caller_says("Yes, please.")
    for _ in range(3):
        call.model_calls("text_confirmation")
        call.agent_says("I have sent it.")
    assert len(call.text_box.texts) == 1


def test_there_is_nothing_to_confirm_before_a_booking_or_after_it_was_cancelled(
    rehearse: Rehearse, call: Rehearsal
) -> None:
    fresh = rehearse(mode)
    fresh.rings()
    fresh.caller_says("Text me something.")
    fresh.model_calls("text_confirmation")
    assert "nothing to confirm" in fresh.answer()["error"]
    call.caller_says("No, cancel it.")
    call.model_calls("cancel_appointment", name="Novak", start="2026-11-24T09:00")
    call.agent_says("Shall I cancel it?")
    call.caller_says("Yes.")
    call.model_calls("cancel_appointment", name="Novak", start="2026-11-24T09:00")
    call.agent_says("It is cancelled.")
    call.model_calls("text_confirmation")
    assert "nothing to confirm" in call.answer()["error"]
    assert fresh.text_box.texts == call.text_box.texts == []


@pytest.mark.parametrize("caller", ["", "+266696687", "+8656696", "anonymous", "sip:novak@example.com", "+19005550100"])
def test_a_caller_whose_number_cannot_be_texted_is_told_so(rehearse: Rehearse, caller: str) -> None:
    call = booked(rehearse(mode, caller=caller))
    call.caller_says("Yes, please.")
    call.model_calls("text_confirmation")
    assert "read the details out" in call.answer()["error"]
    assert call.text_box.texts == []
    assert call.outcome["texted"] is False


@pytest.mark.parametrize(
    ("code", "words"),
    [
        (21610, "opted out"),
        (21614, "cannot take texts"),
        (21211, "cannot take texts"),
        (20429, "try once more"),
        (20003, "the carrier did not take it"),
        (21606, "the carrier did not take it"),
        (0, "the carrier did not take it"),
    ],
)
def test_what_the_carrier_refuses_is_told_honestly(call: Rehearsal, code: int, words: str) -> None:
    call.text_box.answer = Texted("refused", code)
    call.caller_says("Yes, please.")
    call.model_calls("text_confirmation")
    assert words in call.answer()["error"]
    assert "No text was sent" in call.answer()["error"]
    assert call.outcome["texted"] is False
    assert milestones(call) == [f"text_refused_{code}"]


def test_a_refused_text_may_be_asked_for_again_but_not_for_ever(call: Rehearsal) -> None:
    call.text_box.answer = Texted("refused", 20429)
    call.caller_says("Yes, please.")
    for _ in range(6):
        call.model_calls("text_confirmation")
        call.agent_says("One moment.")
    assert len(call.text_box.texts) == 4
    assert "often enough" in call.last_tool().result


def test_a_text_of_which_nobody_knows_whether_it_went_out_is_not_sent_again(call: Rehearsal) -> None:
    call.text_box.answer = Texted("unknown")
    call.caller_says("Yes, please.")
    for _ in range(2):
        call.model_calls("text_confirmation")
        assert "not known whether" in call.answer()["error"]
        call.agent_says("I do not know whether it was sent.")
    assert len(call.text_box.texts) == 1
    assert milestones(call) == ["text_unknown"]
    assert call.outcome["texted"] is False


def test_a_text_that_is_under_way_when_the_tool_gives_up_is_neither_lost_nor_doubled(call: Rehearsal) -> None:
    call.text_box.slow_seconds = 3.5
    call.caller_says("Yes, please.")
    call.model_calls("text_confirmation")
    call.waits(ms=3100)
    assert call.last_tool().status == "late"
    assert call.outcome["texted"] is False
    call.agent_says("I am not sure that it went out.")
    call.waits(ms=1000)
    assert milestones(call) == ["text_sent"]
    call.model_calls("text_confirmation")
    assert call.last_tool().status == "ok"
    assert len(call.text_box.texts) == 1
