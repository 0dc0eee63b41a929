"""Calls that we place: the callee speaks first, a machine gets the message, and the appointment is what the tools say it is."""

# `did` fails by itself; its assert is for the reader.
# mypy: disable-error-code="truthy-bool"

from collections.abc import Callable
from datetime import datetime
from typing import Any

import pytest

from app.core import effects as do
from app.core import events as ev
from app.core.phases import NOBODY_SPOKE
from app.mode import Booking
from modes.followup import mode as followup
from modes.reminder import mode
from tests.modes.ledger_store import LedgerStore
from tests.modes.rehearsal_table import CALLER, Rehearsal

Rehearse = Callable[..., Rehearsal]
START = "2026-12-01T09:00"
FIELDS = {"name": "Baker", "start": START, "reason": "check-up"}


def keeping(*kept: tuple[str, str]) -> LedgerStore:
    """Books with these names at these times."""
    store = LedgerStore()
    for name, at in kept:
        start = datetime.fromisoformat(at)
        store.bookings[start] = Booking(reference=f"R-{name}", name=name, start=start, reason="check-up")
    return store


def answered(call: Rehearsal) -> None:
    """The callee has said who they are."""
    call.rings()
    call.caller_says("Hello?")
    call.agent_says("This is Lakeside Dental. Am I speaking with Baker?")
    call.waits(ms=2500)
    call.caller_says("Yes.")


@pytest.fixture
def call(rehearse: Rehearse, store: LedgerStore) -> Rehearsal:
    return rehearse(mode, store=store, fields=dict(FIELDS))


@pytest.fixture
def store() -> LedgerStore:
    return keeping(("Baker", START))


# --- who speaks first -------------------------------------------------------------------------------------------------


def test_the_callee_speaks_first_and_nobody_greets_them_before(rehearse: Rehearse) -> None:
    call = rehearse(mode, fields=dict(FIELDS), hello_seconds=4.0)
    call.rings()
    assert call.machine.sequencer.asked == ""
    call.waits(ms=3900)
    assert call.machine.sequencer.idle
    call.caller_says("Hello?")
    call.agent_says("This is Lakeside Dental.", ms=1000)
    call.waits(ms=3000)
    assert call.machine.sequencer.idle


def test_a_callee_who_says_nothing_for_some_seconds_is_spoken_to(rehearse: Rehearse) -> None:
    call = rehearse(mode, fields=dict(FIELDS), hello_seconds=4.0)
    call.rings()
    call.waits(ms=4100)
    assert call.did(do.AddText).text == NOBODY_SPOKE
    assert call.did(do.RequestResponse)


# --- who picked up ----------------------------------------------------------------------------------------------------


def screened(rehearse: Rehearse) -> Rehearsal:
    call = rehearse(mode, fields=dict(FIELDS), screen_seconds=1.5, answer_seconds=3.0)
    call.rings()
    call.scene = []
    return call


def test_the_answer_to_a_hello_waits_for_the_verdict_and_follows_it_at_once(rehearse: Rehearse) -> None:
    call = screened(rehearse)
    call.caller_says("Hello?")
    assert call.machine.sequencer.asked == ""
    call.act(ev.PickedUp("person"))
    assert call.did(do.RequestResponse)


def test_no_verdict_is_waited_for_longer_than_a_person_would(rehearse: Rehearse) -> None:
    call = screened(rehearse)
    call.caller_says("Hello?")
    call.waits(ms=1400)
    assert call.machine.sequencer.asked == ""
    call.waits(ms=200)
    assert call.did(do.RequestResponse)


def test_a_hello_after_the_verdict_is_answered_at_once(rehearse: Rehearse) -> None:
    call = screened(rehearse)
    call.act(ev.PickedUp("person"))
    call.caller_says("Hello?")
    assert call.machine.sequencer.asked


@pytest.mark.parametrize("verdict", ["before its end", "after it", "never"])
def test_an_answer_that_a_server_begins_by_itself_is_held_back_until_the_verdict(
    rehearse: Rehearse, verdict: str
) -> None:
    """Some cannot be told to leave the first answer to us: a machine's greeting would be talked into."""
    call = screened(rehearse)
    call.caller_says("Hello?")
    call.act(ev.ResponseStarted("own"))
    assert call.did(do.CancelResponse).response_id == "own"
    assert not call.machine.speaking("own")
    if verdict == "before its end":
        call.act(ev.PickedUp("person"))
    call.act(ev.ResponseDone("own", status="cancelled"))
    if verdict != "before its end":
        assert call.machine.sequencer.asked == ""
    if verdict == "after it":
        call.act(ev.PickedUp("person"))
    if verdict == "never":
        call.waits(ms=1600)
    assert call.machine.sequencer.asked, "now it is asked for"
    assert len([done for done in call.scene if isinstance(done, do.RequestResponse)]) == 1
    call.act(ev.ResponseStarted("asked"))
    assert call.machine.speaking("asked")


def test_a_machine_that_a_server_answers_by_itself_hears_nothing_of_it_all_the_same(rehearse: Rehearse) -> None:
    call = screened(rehearse)
    call.caller_says("You have reached Baker.")
    call.act(ev.ResponseStarted("own"))
    call.act(ev.ResponseDone("own", status="cancelled"))
    call.act(ev.PickedUp("machine"))
    assert call.did(do.LeaveMessage)
    assert [who for who, _ in call.overheard()] == ["caller"]


def test_a_machine_gets_its_message_and_not_a_word_of_the_talk(rehearse: Rehearse) -> None:
    call = screened(rehearse)
    call.caller_says("You have reached Baker. Leave a message.")
    call.act(ev.PickedUp("machine"))
    assert call.did(do.LeaveMessage)
    assert call.did(do.CloseStream)
    assert call.did(do.CallIsOver).outcome == "machine"
    assert [who for who, _ in call.overheard()] == ["caller"]


def test_a_talk_that_a_late_verdict_finds_going_on_with_a_machine_is_cut_off(rehearse: Rehearse) -> None:
    call = screened(rehearse)
    call.caller_says("You have reached Baker.")
    call.waits(ms=1600)
    call.agent_says("This is Lakeside Dental, with a reminder.", ms=3000)
    call.act(ev.PickedUp("machine"))
    assert call.did(do.ClearPlayback)
    assert call.did(do.LeaveMessage)
    assert call.over


def test_a_fax_machine_is_hung_up_on(rehearse: Rehearse) -> None:
    call = screened(rehearse)
    call.act(ev.PickedUp("fax"))
    assert call.did(do.HangUp)
    assert call.did(do.CallIsOver).outcome == "fax"


# --- the appointment --------------------------------------------------------------------------------------------------


def test_who_will_come_is_noted(call: Rehearsal) -> None:
    answered(call)
    call.model_calls("confirm")
    assert call.last_tool().status == "ok"
    assert (call.outcome["result"], call.outcome["start"]) == ("confirmed", START)


def test_nothing_is_confirmed_that_the_records_do_not_have(rehearse: Rehearse) -> None:
    call = rehearse(mode, store=LedgerStore(), fields=dict(FIELDS))
    answered(call)
    call.model_calls("confirm")
    assert call.last_tool().status == "refused"
    assert "result" not in call.outcome


def test_nothing_is_done_before_anybody_has_spoken_nor_about_no_appointment(rehearse: Rehearse) -> None:
    for fields in (dict(FIELDS), {}):
        call = rehearse(mode, fields=fields)
        call.rings()
        if not fields:
            call.caller_says("Hello?")
        call.model_calls("confirm")
        assert call.last_tool().status == "refused"


def agreed(call: Rehearsal, name: str, **arguments: Any) -> None:
    """A tool that changes something: the house has them asked first."""
    call.model_calls(name, **arguments)
    assert call.last_tool().status == "refused"
    call.agent_says("Shall I do that?", ms=800)
    call.waits(ms=900)
    call.caller_says("Yes.")
    call.model_calls(name, **arguments)


def test_moving_books_the_new_time_and_gives_the_old_one_back(call: Rehearsal, store: LedgerStore) -> None:
    answered(call)
    agreed(call, "move", to="2026-12-01T10:00")
    assert call.last_tool().status == "ok"
    assert (call.outcome["result"], call.outcome["start"]) == ("moved", "2026-12-01T10:00")
    assert list(store.bookings) == [datetime(2026, 12, 1, 10)]


def test_a_time_that_is_taken_leaves_them_the_one_they_have(call: Rehearsal, store: LedgerStore) -> None:
    store.bookings |= keeping(("Carter", "2026-12-01T10:00")).bookings
    answered(call)
    agreed(call, "move", to="2026-12-01T10:00")
    assert call.last_tool().status == "refused"
    assert "result" not in call.outcome
    assert {at.hour for at in store.bookings} == {9, 10}


def test_giving_back_frees_the_time(call: Rehearsal, store: LedgerStore) -> None:
    answered(call)
    agreed(call, "cancel")
    assert (call.outcome["result"], call.outcome["start"]) == ("cancelled", "")
    assert store.bookings == {}


@pytest.mark.parametrize("which", [mode, followup], ids=["reminder", "followup"])
def test_who_wants_no_more_calls_is_listed_and_the_wrong_person_is_noted(rehearse: Rehearse, which: object) -> None:
    call = rehearse(which, fields=dict(FIELDS) | {"about": "a check-up"})
    answered(call)
    call.model_calls("wrong_person")
    assert call.outcome["result"] == "wrong_person"
    call.model_calls("never_call_again")
    assert call.never_called == [CALLER]
    assert call.outcome["do_not_call"] is True
    assert call.outcome["result"] == "wrong_person"


def test_how_it_went_is_written_down_in_their_words(rehearse: Rehearse) -> None:
    call = rehearse(followup, fields={"name": "Baker", "about": "your filling", "question": ""})
    answered(call)
    call.model_calls("note_answer", went="mixed", said="It still hurts a little.")
    assert (call.outcome["result"], call.outcome["went"], call.outcome["said"]) == (
        "answered",
        "mixed",
        "It still hurts a little.",
    )
    call.model_calls("ask_to_ring_back", message="It still hurts.")
    assert call.outcome["ring_back"] is True
