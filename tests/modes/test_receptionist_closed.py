"""The front desk when there is nobody: after hours, at a desk that is closed, with a backend that is down or slow."""

# `did` fails by itself; its assert is for the reader.
# mypy: disable-error-code="truthy-bool"

from collections.abc import Callable
from datetime import datetime, time
from typing import Any

import msgspec
import pytest

from app import prompts, tokens
from app.core.effects import PutThrough
from app.rules.office import Desk, Hours, Office
from modes.receptionist import mode
from tests.modes.ledger_store import MONDAY, OFFICE
from tests.modes.rehearsal_table import CALLER, Rehearsal

Rehearse = Callable[..., Rehearsal]
NIGHT = datetime(2026, 11, 23, 22, 0, tzinfo=OFFICE.zone)
FRIDAY_NIGHT = datetime(2026, 11, 27, 22, 0, tzinfo=OFFICE.zone)
WITH_EMERGENCY: Office = msgspec.structs.replace(
    OFFICE,
    desks={
        **OFFICE.desks,
        "emergency": Desk(
            "emergency",
            "pain at night",
            "+14155550103",
            {day: Hours(time.min, time.max) for day in ("monday", "friday")},
        ),
        "records": Desk("records", "old files", "+14155550104", {"monday": Hours(time(13), time(14))}),
    },
)


def ringing(rehearse: Rehearse, at: datetime, office: Office = OFFICE, caller: str = CALLER) -> Rehearsal:
    """A caller who has been greeted and has said something."""
    call = rehearse(mode, office=office, at=at, caller=caller)
    call.rings()
    call.agent_says("Good evening, Lakeside Dental. We are closed now.", ms=1000)
    call.waits(ms=1100)
    call.caller_says("I need somebody.")
    return call


def instructions(at: datetime, office: Office = OFFICE) -> str:
    return prompts.render(mode, office, prompts.Situation(caller=CALLER, dialled=CALLER, now=at))


def test_nobody_is_put_through_to_a_closed_desk_and_the_agent_knows_when_it_opens(rehearse: Rehearse) -> None:
    call = ringing(rehearse, FRIDAY_NIGHT)
    call.model_calls("put_through", desk="billing", reason="an invoice")
    assert call.answer()["error"] == (
        "Nobody is at billing now, until Monday 08:00. Say so, and offer a message or an appointment."
    )
    assert call.did_not(PutThrough)
    assert not call.over


def test_a_desk_with_hours_of_its_own_is_reached_by_night_and_another_not_by_day(rehearse: Rehearse) -> None:
    call = ringing(rehearse, NIGHT, WITH_EMERGENCY)
    call.model_calls("put_through", desk="billing", reason="pain")
    assert "an open desk (emergency)" in call.answer()["error"]
    call.agent_says("Billing is closed. Shall I put you through to emergency?")
    call.model_calls("put_through", desk="emergency", reason="pain")
    assert call.did(PutThrough).to == "emergency"
    by_day = ringing(rehearse, MONDAY, WITH_EMERGENCY)
    by_day.model_calls("put_through", desk="records", reason="a file")
    assert "until Monday 13:00" in by_day.answer()["error"]


def test_the_person_is_told_who_calls_and_what_was_promised(rehearse: Rehearse) -> None:
    call = ringing(rehearse, MONDAY)
    call.model_calls("put_through", desk="billing", reason="an invoice")
    assert (call.did(PutThrough).caller_name, call.did(PutThrough).promised) == ("", "")
    call = ringing(rehearse, MONDAY)
    call.model_calls("book_appointment", name="Novak", start="2026-11-24T09:00", reason="check-up")
    call.agent_says("You are booked.")
    call.model_calls("put_through", desk="billing", reason="an invoice")
    through = call.did(PutThrough)
    assert (through.caller_name, through.promised) == ("Novak", "an appointment on Tuesday at 09:00")
    call = ringing(rehearse, MONDAY)
    call.model_calls("take_message", name="Novak", message="Please ring me.")
    call.agent_says("I wrote that down.")
    call.model_calls("put_through", desk="billing", reason="an invoice")
    assert call.did(PutThrough).promised == "that somebody rings back"


def test_appointments_and_messages_are_taken_by_night(rehearse: Rehearse) -> None:
    call = ringing(rehearse, NIGHT)
    call.model_calls("book_appointment", name="Novak", start="2026-11-24T09:00", reason="check-up")
    assert call.answer()["booked"] is True
    call.agent_says("You are booked.")
    call.model_calls("take_message", name="Novak", message="Please ring me.")
    assert call.store.messages == [("Novak", "Please ring me.", CALLER)]


def test_the_agent_is_told_that_it_is_after_hours_and_which_desks_are_closed() -> None:
    assert "office is closed" not in instructions(MONDAY)
    night = instructions(NIGHT, WITH_EMERGENCY)
    assert "The office is closed now: say so" in night
    assert "billing (invoices; closed)" in night
    assert "emergency (pain at night)" in night
    assert "records (old files; closed)" in instructions(MONDAY, WITH_EMERGENCY)


@pytest.mark.parametrize("at", [MONDAY, NIGHT])
def test_the_prompt_stays_within_the_reference_s_size(at: datetime) -> None:
    assert tokens.exceeds(instructions(at), 478) == 0


def test_a_caller_without_a_number_is_asked_for_one_to_ring_back_and_may_keep_it_to_themselves(
    rehearse: Rehearse,
) -> None:
    call = ringing(rehearse, NIGHT, caller="")
    call.model_calls("take_message", name="Novak", message="Please ring me.")
    assert "ask for one to ring back" in call.answer()["error"]
    call.agent_says("May I have your number?")
    call.caller_says("I would rather not.")
    call.model_calls("take_message", name="Novak", message="Please ring me.")
    assert call.last_tool().status == "ok"
    assert call.store.messages == [("Novak", "Please ring me.", "")]


def test_a_number_to_ring_back_has_digits(rehearse: Rehearse) -> None:
    call = ringing(rehearse, MONDAY)
    call.model_calls("take_message", name="Novak", message="Please ring me.", callback="my office")
    assert "was not run" in call.answer()["error"]
    assert call.store.messages == []


def test_a_backend_that_is_down_is_admitted_and_a_message_is_taken_instead(rehearse: Rehearse) -> None:
    call = ringing(rehearse, MONDAY)
    call.store.down = True
    asked: list[tuple[str, dict[str, Any]]] = [
        ("free_slots", {"day": "2026-11-24"}),
        ("book_appointment", {"name": "Novak", "start": "2026-11-24T09:00", "reason": "check-up"}),
    ]
    for name, arguments in asked:
        call.model_calls(name, **arguments)
        assert "offer to take a message" in call.answer()["error"]
        call.agent_says("I am sorry, our books do not answer right now. May I take a message?")
    call.model_calls("cancel_appointment", name="Novak", start="2026-11-24T09:00")
    call.agent_says("Shall I cancel it?")
    call.caller_says("Yes.")
    call.model_calls("cancel_appointment", name="Novak", start="2026-11-24T09:00")
    assert "offer to take a message" in call.answer()["error"]
    assert call.outcome.get("result") is None
