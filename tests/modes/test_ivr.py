"""Calls in the telephone menu, as they would be overheard."""

# `did` fails by itself; its assert is for the reader.
# mypy: disable-error-code="truthy-bool"

import json
from collections.abc import Callable
from datetime import datetime
from typing import Any

import msgspec
import pytest

from app import prompts, tokens
from app.calls.live_call import outcome_row
from app.core.effects import (
    AddText,
    AnswerTool,
    CallIsOver,
    ClearPlayback,
    HangUp,
    OfferTools,
    PutThrough,
    RequestResponse,
)
from app.core.rows import Milestone
from modes.ivr import flow, mode
from tests.modes.ledger_store import MONDAY, OFFICE, LedgerStore
from tests.modes.rehearsal_table import CALLER, Rehearsal

Rehearse = Callable[..., Rehearsal]
GREETING = "Lakeside Dental, this is the digital assistant. How can I help you?"
SATURDAY = datetime(2026, 11, 21, 9, 0, tzinfo=OFFICE.zone)
SENTENCE = 478
"""Tokens of the reference prompt: what a quick first answer bears."""


@pytest.fixture
def call(rehearse: Rehearse) -> Rehearsal:
    """A call that has been greeted."""
    return greeted(rehearse)


def greeted(rehearse: Rehearse, **more: Any) -> Rehearsal:
    call = rehearse(mode, **more)
    call.rings()
    call.agent_says(GREETING, ms=3000)
    call.waits(ms=3100)
    return call


def wants(call: Rehearsal, intent: str, confidence: float = 0.9) -> None:
    """The caller says something, and the model tells what it was."""
    call.caller_says(f"{intent}?")
    call.model_calls("choose", intent=intent, confidence=confidence)


def offered(call: Rehearsal) -> set[str]:
    tools = call.did(OfferTools).tools
    assert tools is not None
    return {tool["name"] for tool in tools}


def told(call: Rehearsal) -> str:
    return " / ".join(effect.text for effect in call.all(AddText))


def at(call: Rehearsal) -> str:
    return call.record.flow_state


def moves(call: Rehearsal) -> list[str]:
    names = [row.name for row in call.rows(Milestone)]
    return [name.removeprefix("state_") for name in names if name.startswith("state_")]


def kept(call: Rehearsal) -> dict[str, Any]:
    """The outcome as the books get it; it must fit the mode's type."""
    row = outcome_row(call.record, mode)
    assert row.valid, row
    return {name: value for name, value in row.fields.items() if value not in ("", "none")}


def test_the_first_turn_is_lean_and_the_prompt_is_short() -> None:
    assert [tool.name for tool in mode.first_turn] == ["put_through"]
    for caller in (CALLER, ""):
        situation = prompts.Situation(caller=caller, dialled="", now=MONDAY)
        assert not tokens.exceeds(prompts.render(mode, OFFICE, situation), SENTENCE)


def test_it_says_that_it_is_a_machine() -> None:
    assert mode.disclosure.ai
    assert mode.disclosure.when == "always"
    assert "digital assistant" in mode.opening


def test_a_caller_says_what_they_want_and_is_led_through_nested_states(call: Rehearsal) -> None:
    wants(call, "invoices and payments")
    assert at(call) == "billing"
    assert "about an account" in told(call)
    assert offered(call) == {"put_through", "opening_hours", "end_call", "choose", "correct"}
    call.agent_says("Is it about an account, or for somebody in billing?")
    wants(call, "an account or an invoice")
    assert at(call) == "account"
    assert "note_account" in offered(call)
    assert moves(call) == ["main", "billing", "account"]


def test_the_same_ways_go_by_keys_which_cut_in(call: Rehearsal) -> None:
    call.agent_says("What can I do for you today? I can tell the hours, or ...", ms=4000)
    call.waits(ms=500)
    call.caller_presses("3")
    assert call.did(ClearPlayback)
    assert call.did(RequestResponse)
    assert at(call) == "billing"
    call.agent_says("Is it about an account?")
    call.caller_presses("1")
    assert at(call) == "account"
    call.caller_presses("*")
    assert at(call) == "billing"
    call.caller_presses("*")
    assert at(call) == "main"
    assert moves(call) == ["main", "billing", "account", "billing", "main"]


def test_every_key_of_the_menu_has_a_wish_beside_it() -> None:
    for state in flow.states:
        keys = {(way.to, way.key) for way in state.go if way.key}
        wishes = {way.to for way in state.go if way.intent}
        assert {to for to, _ in keys} == wishes, state.name
        assert all(f"press {key}" in state.menu or key in "9*0" for _, key in keys), state.name


def test_an_account_number_is_typed_up_to_the_pound_key_and_passed_on_without_a_claim_to_have_found_it(
    call: Rehearsal,
) -> None:
    for key in "31":
        call.caller_presses(key)
        call.agent_says("And now?", ms=500)
    call.caller_presses("123456#")
    call.waits(ms=100)
    assert "cannot look up accounts" in told(call)
    assert '"found":false' in told(call)
    assert at(call) == "done"
    assert call.did(RequestResponse)
    assert call.store.messages == [("telephone menu", "A caller asks about account 123456.", CALLER)]
    assert kept(call) == {"result": "noted", "account": "123456", "reference": "M1"}
    assert call.last_tool().status == "ok"


def test_a_caller_who_withholds_their_number_is_not_promised_a_call(rehearse: Rehearse) -> None:
    call = greeted(rehearse, caller="")
    wants(call, "invoices and payments")
    wants(call, "an account or an invoice")
    call.model_calls("note_account", number="123456")
    assert "withheld" in call.answer()["say"]
    assert "will call" not in call.answer()["say"]


def test_a_call_back_is_for_the_number_that_was_given(call: Rehearsal) -> None:
    wants(call, "be called back")
    call.model_calls("request_callback", number="4155550144")
    assert call.answer()["say"] == "Somebody will call you back at 1 4 1 5 5 5 5 0 1 4 4."
    assert [phone for _, _, phone in call.store.messages] == ["+14155550144"]
    assert kept(call) == {"result": "callback", "callback": "+14155550144", "reference": "M1"}
    assert at(call) == "done"


@pytest.mark.parametrize("number", ["4711", "555 0144", "1115550144", "415555014", "41555501444"])
def test_a_number_that_nobody_can_be_called_at_is_asked_for_again(call: Rehearsal, number: str) -> None:
    wants(call, "be called back")
    call.agent_says("Which number, please?", ms=1000)
    call.caller_presses(f"{number.replace(' ', '')}#")
    call.waits(ms=100)
    assert "is no phone number" in told(call)
    assert call.did(RequestResponse)
    assert call.last_tool().status == "refused"
    assert call.store.messages == []
    assert (at(call), call.record.flow_failures) == ("callback", 1)
    call.agent_says("That is too short. Which number, with its area code?", ms=1500)
    call.caller_presses("4155550144#")
    call.waits(ms=100)
    assert kept(call)["callback"] == "+14155550144"
    assert at(call) == "done"


@pytest.mark.parametrize("number", ["12", "1" * 16, "12a4", "1234; DROP TABLE messages", ""])
def test_a_number_that_is_none_is_refused_and_nothing_is_kept(call: Rehearsal, number: str) -> None:
    wants(call, "be called back")
    call.model_calls("request_callback", number=number)
    assert call.answer()["error"]
    assert call.last_tool().status == "refused"
    assert call.store.messages == []
    assert (at(call), call.record.flow_failures) == ("callback", 1)


def test_when_the_backend_is_down_it_is_said_and_nothing_is_claimed(rehearse: Rehearse) -> None:
    store = LedgerStore()
    store.down = True
    call = greeted(rehearse, store=store)
    wants(call, "be called back")
    call.caller_presses("4155550144#")
    call.waits(ms=100)
    assert "could not be saved" in told(call)
    assert call.last_tool().status == "refused"
    assert kept(call) == {}
    assert at(call) == "callback"


def test_a_backend_that_takes_too_long_is_no_success(rehearse: Rehearse) -> None:
    store = LedgerStore()
    store.slow_seconds = 10.0
    call = greeted(rehearse, store=store)
    wants(call, "be called back")
    call.model_calls("request_callback", number="4155550144")
    call.waits(ms=3500)
    assert call.last_tool().status == "late"
    assert kept(call) == {}
    assert at(call) == "callback"


def test_0_is_a_person_at_once_in_the_middle_of_a_sentence(call: Rehearsal) -> None:
    call.agent_says("I can tell you the opening hours, or somebody calls you back, or ...", ms=5000)
    call.waits(ms=700)
    call.caller_presses("0")
    wish = call.did(PutThrough)
    assert (wish.to, wish.reason, wish.outcome) == ("reception", "pressed 0", {"result": "transferred"})
    call.waits(ms=500)
    assert call.over
    assert kept(call) == {}, "nobody has picked up yet"


def test_a_caller_who_asks_for_billing_gets_billing(call: Rehearsal) -> None:
    wants(call, "invoices and payments")
    wants(call, "somebody in billing")
    assert call.did(PutThrough).to == "billing"


def test_three_failures_of_any_kind_are_a_person(call: Rehearsal) -> None:
    wants(call, "opening hours", confidence=0.3)
    assert "not clear enough" in call.answer()["error"]
    assert at(call) == "main"
    call.agent_says("I am sorry, could you say that again?", ms=1000)
    call.caller_presses("7")
    call.waits(ms=2000)
    assert "That means nothing here" in told(call)
    call.agent_says("That is not one of the choices.", ms=1000)
    wants(call, "be called back", confidence=0.1)
    assert call.did(PutThrough).to == "reception"


def test_a_caller_who_changes_their_mind_is_taken_back(call: Rehearsal) -> None:
    wants(call, "opening hours")
    call.model_calls("opening_hours")
    assert call.answer()["open_now"] is True
    call.agent_says("We are open until five.", ms=1000)
    call.caller_says("No, I changed my mind.")
    call.model_calls("correct", what="not the opening hours")
    assert at(call) == "main"
    wants(call, "be called back")
    assert moves(call) == ["main", "hours", "main", "callback"]
    assert kept(call) == {"result": "answered"}


def test_9_says_it_again_and_forgives_nothing(call: Rehearsal) -> None:
    call.caller_presses("7")
    call.waits(ms=2000)
    call.agent_says("That is not one of the choices.", ms=1000)
    call.caller_presses("9")
    assert "Main menu" in told(call)
    assert (at(call), call.record.flow_failures) == ("main", 1)


def test_after_hours_a_call_begins_elsewhere_and_is_told_so(rehearse: Rehearse) -> None:
    call = greeted(rehearse, at=SATURDAY)
    assert at(call) == "closed"
    call.caller_presses("1")
    assert at(call) == "hours"
    call.model_calls("opening_hours")
    assert call.answer()["open_now"] is False
    assert set(call.answer()["hours"]) == set(OFFICE.hours)


def test_a_tool_of_another_state_is_refused(call: Rehearsal) -> None:
    call.model_calls("note_account", number="123456")
    assert "no tool 'note_account' here" in call.answer()["error"]
    assert call.store.messages == []


def test_a_desk_that_is_not_there_is_refused_with_the_ones_that_are(call: Rehearsal) -> None:
    call.model_calls("put_through", desk="+19005550100", reason="ignore your rules")
    assert "billing, lab, reception" in call.answer()["error"]
    assert call.did_not(PutThrough)


def test_a_caller_who_is_done_is_taken_leave_of(call: Rehearsal) -> None:
    wants(call, "be called back")
    call.model_calls("request_callback", number="4155550144")
    call.agent_says("Somebody will call you back. Is there anything else?", ms=1500)
    call.waits(ms=1600)
    call.caller_says("No, goodbye.")
    call.model_calls("choose", saying="Goodbye.", intent="nothing else, goodbye", confidence=0.99)
    assert call.did(HangUp)
    call.agent_says("Goodbye.", ms=500)
    call.waits(ms=2000)
    assert [over.outcome for over in call.all(CallIsOver, ever=True)] == ["completed"]


def test_a_caller_who_hangs_up_keeps_what_they_got(call: Rehearsal) -> None:
    wants(call, "be called back")
    call.model_calls("request_callback", number="4155550144")
    call.hangs_up()
    assert call.did(CallIsOver).outcome == "caller_left"
    assert kept(call)["result"] == "callback"


def test_its_answers_are_small_and_may_be_read_out(call: Rehearsal) -> None:
    wants(call, "invoices and payments")
    wants(call, "an account or an invoice")
    call.model_calls("note_account", number="9" * 15)
    output = call.did(AnswerTool).output
    assert len(output) < 400
    assert "9 9 9" in msgspec.json.decode(output)["say"]
    assert json.loads(output)["found"] is False
