"""The keypad menu at the running product: with the model gone, and the database too, a caller gets on by keys alone."""

import asyncio
from typing import Any
from xml.etree import ElementTree

import httpx
import pytest

from app import keypad
from app.adapters.embedded_pg import EmbeddedPostgres
from app.sim.carrier_call import CarrierCall
from app.sim.model import ModelServer
from app.sim.model_faults import Faults
from app.web.menu import BEGINS, DIALS, NOBODY_FREE
from app.web.rungs import LEAVE_MESSAGE, NOTHING_HEARD
from tests.calls.foreign import sign
from tests.calls.line import Line
from tests.calls.product import (
    PERSON,
    PUBLIC,
    Product,
    eventually,
    form,
    new_call_sid,
    new_number,
    product,
    verbs,
)
from tests.sim.booking_script import script

WEBHOOK = "/twilio/incoming?mode=ivr"
MENU_TALK = script(
    {
        "agent": "You are speaking with an AI assistant. Thank you for calling Lakeside Dental. How can I help you today?"
    },
    {"keys": "3", "agent": "Is it about an account, or for somebody in billing?"},
)
GONE: dict[str, Any] = {"FIRST_AUDIO_SECONDS": "3", "SPARE_LINKS": "0"}


def no_model() -> ModelServer:
    """A model that lets nobody in."""
    server = ModelServer(scripts=[])
    server.faults = Faults(refuse_key=True)
    return server


async def by_keys(house: Product, *keys: str, dials: tuple[str, ...] = ()) -> tuple[CarrierCall, Line]:
    """A call whose caller presses these, one entry for each question; then nothing more."""
    line = Line()
    call = await house.dial(line, webhook=WEBHOOK, gathers=keys, dial_results=dials)
    await call.finished()
    assert call.log.codes() == []
    return call, line


def heard(line: Line) -> str:
    return " / ".join(line.said)


async def milestones(house: Product, call: CarrierCall) -> list[str]:
    return [milestone.name for milestone in await house.store.milestones(call.call_sid)]


async def test_a_caller_gets_on_by_keys_alone_when_no_model_answers() -> None:
    """Several callers side by side, and one at a house where there is no person at all."""
    async with (
        product(model=no_model(), **GONE) as house,
        product(model=no_model(), HUMAN_TRANSFER_NUMBER="", **GONE) as lonely,
    ):
        await asyncio.gather(
            _a_nested_choice_leads_to_its_desk(house),
            _what_is_typed_goes_to_the_tool_and_its_answer_is_said(house),
            _three_failures_are_a_person(house, "7", "#", "5"),
            _three_failures_are_a_person(house, "", "", ""),
            _who_finds_nobody_is_back_in_the_menu_and_at_last_told_so(house),
            _who_hangs_up_in_the_menu_is_gone(house),
            _where_there_is_no_person_it_says_so(lonely),
        )
        figures = await house.figures()
        assert figures["offhook_calls_live"] == 0


async def _a_nested_choice_leads_to_its_desk(house: Product) -> None:
    call, line = await by_keys(house, "3", "2", dials=("completed",))
    assert call.ended_by == "server"
    assert line.verbs == ["Connect", "Gather", "Say", "Say", "Gather", "Say", "Say", "Dial", "Hangup"]
    assert line.said[0] == BEGINS
    assert "For opening hours, press 1." in line.said[1]
    assert "For somebody in billing, press 2." in line.said[2]
    assert line.said[3] == keypad.PERSON
    assert [entry.detail["to"] for entry in call.log.of("dial")] == [PERSON]

    async def on_record() -> bool:
        return {"menu_started", "state_billing", "transfer_started"} <= set(await milestones(house, call))

    await eventually(on_record, "the moves on record")
    row = await house.store.call(call.call_sid)
    assert row is not None
    assert (row.mode, row.outcome) == ("ivr", "by_keys")
    assert row.ended_at is not None


async def _what_is_typed_goes_to_the_tool_and_its_answer_is_said(house: Product) -> None:
    call, line = await by_keys(house, "2", "4155550133#", "1")
    assert line.verbs[-1] == "Hangup"
    assert "at 1 4 1 5 5 5 5 0 1 3 3." in heard(line)
    assert line.said[-1] == keypad.BYE

    async def on_record() -> bool:
        return "menu_ended" in await milestones(house, call)

    await eventually(on_record, "the end of the menu")
    (tool,) = await house.store.tool_calls(call.call_sid)
    assert (tool.name, tool.arguments, tool.status) == ("request_callback", '{"number":"4155550133"}', "ok")
    outcome = await house.store.outcome(call.call_sid)
    assert outcome is not None
    assert outcome.valid
    assert outcome.fields["result"] == "callback"
    (message,) = await house.rows("SELECT phone FROM messages WHERE reference = :r", r=outcome.fields["reference"])
    assert message.phone == "+14155550133"


async def _three_failures_are_a_person(house: Product, *keys: str) -> None:
    call, line = await by_keys(house, *keys, dials=("completed",))
    assert line.verbs.count("Gather") == 3
    assert [entry.detail["to"] for entry in call.log.of("dial")] == [PERSON]
    assert line.said.count(keypad.SILENCE if keys == ("", "", "") else keypad.WRONG_KEY) == 2
    assert keypad.PERSON in line.said[-1]


async def _who_finds_nobody_is_back_in_the_menu_and_at_last_told_so(house: Product) -> None:
    call, line = await by_keys(house, *"0000", dials=("busy", "no-answer", "failed"))
    assert len(call.log.of("dial")) == DIALS
    assert line.said.count(NOBODY_FREE) == 2
    assert line.said[-2:] == [f"{NOBODY_FREE} {LEAVE_MESSAGE}", NOTHING_HEARD]
    assert line.verbs[-1] == "Hangup"


async def test_a_talk_whose_model_dies_goes_on_by_keys_where_it_stood(house: Product) -> None:
    number = new_number()
    house.model.register(MENU_TALK, number=number, faults=Faults(die_after_ms=4000))
    line = Line()
    call = await house.dial(line, number, webhook=WEBHOOK, gathers=["2"], dial_results=["completed"])
    await line.hears(500)
    call.press("3")
    await call.finished()
    assert call.log.codes() == []
    assert BEGINS in line.said
    assert "For somebody in billing, press 2." in heard(line)
    assert "For opening hours, press 1." not in heard(line)
    assert [entry.detail["to"] for entry in call.log.of("dial")] == [PERSON]


async def _who_hangs_up_in_the_menu_is_gone(house: Product) -> None:
    line = Line()
    call = await house.dial(line, webhook=WEBHOOK, gathers=["3"])
    await line.until(lambda: line.verbs.count("Gather") == 2, "the second question")
    await call.hang_up()
    assert call.ended_by == "caller"


async def _where_there_is_no_person_it_says_so(house: Product) -> None:
    call, line = await by_keys(house, "9", "0")
    assert line.verbs.count("Gather") == 2
    assert "Dial" not in line.verbs
    assert line.said[-2:] == [f"{NOBODY_FREE} {LEAVE_MESSAGE}", NOTHING_HEARD]
    assert line.verbs[-4:] == ["Say", "Record", "Say", "Hangup"]
    assert call.ended_by == "server"


@pytest.fixture
def postgres(tmp_path_factory: pytest.TempPathFactory) -> EmbeddedPostgres:
    return EmbeddedPostgres(tmp_path_factory.mktemp("pg"), durable=True)


async def test_it_works_with_the_model_and_the_database_gone_and_does_not_say_that_something_was_done(
    postgres: EmbeddedPostgres,
) -> None:
    url = postgres.start()
    try:
        async with product(model=no_model(), DATABASE_URL=url, **GONE) as house:
            await house.engine.dispose()
            postgres.stop()
            call, line = await by_keys(house, "1", "*", "2", "4155550133#", "*", "0", dials=("completed",))
            assert "We are open Monday to Friday" in heard(line)
            assert keypad.NOT_DONE in line.said
            assert "Somebody will call you back" not in heard(line)
            assert [entry.detail["to"] for entry in call.log.of("dial")] == [PERSON]
            assert postgres.start() == url

            async def on_record() -> bool:
                return [tool.status for tool in await house.store.tool_calls(call.call_sid)] == ["refused"]

            await eventually(on_record, "what waited for the database")
            assert {"menu_started", "state_hours", "state_callback"} <= set(await milestones(house, call))
    finally:
        postgres.stop()


# --- the door itself --------------------------------------------------------------------------------------------------


def action(answer: httpx.Response) -> str:
    """Where the menu's next question is asked for, as path and query; the way on after silence is the same."""
    gather, redirect = list(ElementTree.fromstring(answer.content))
    assert gather.attrib["action"] == redirect.text
    return gather.attrib["action"].removeprefix(PUBLIC)


def asked(answer: httpx.Response) -> str:
    return " ".join(say.text or "" for say in ElementTree.fromstring(answer.content).iter("Say"))


async def press(house: Product, target: str, call_sid: str, keys: str, number: str) -> httpx.Response:
    path, _, query = target.partition("?")
    fields = form(call_sid, number, CallStatus="in-progress", Digits=keys)
    return await house.ask(path, fields, query=query)


async def test_the_door_takes_up_a_call_that_it_does_not_know_and_begins_its_menu(house: Product) -> None:
    call_sid, number = new_call_sid(), new_number()
    first = await press(house, "/twilio/menu?mode=ivr", call_sid, "", number)
    assert verbs(first) == ["Gather", "Redirect"]
    second = await press(house, action(first), call_sid, "3", number)
    assert "For an account, press 1." in asked(second)
    await house.over(call_sid)


async def test_the_door_goes_on_where_another_process_stood(house: Product) -> None:
    call_sid, number = new_call_sid(), new_number()
    answer = await press(house, "/twilio/menu?mode=ivr&state=billing&failures=2&step=9", call_sid, "7", number)
    assert verbs(answer) == ["Say", "Dial"], "the third failure"
    await house.over(call_sid)


async def test_a_mode_without_a_flow_has_a_menu_of_its_desks(house: Product) -> None:
    call_sid, number = new_call_sid(), new_number()
    first = await press(house, "/twilio/menu?mode=receptionist", call_sid, "", number)
    assert "For invoices and payments, press 2." in asked(first)
    second = await press(house, action(first), call_sid, "2", number)
    assert verbs(second) == ["Say", "Dial"]
    await house.over(call_sid)


async def test_a_request_that_is_repeated_gets_the_same_and_its_tool_runs_once(house: Product) -> None:
    call_sid, number = new_call_sid(), new_number()
    first = await press(house, "/twilio/menu?mode=ivr", call_sid, "", number)
    second = await press(house, action(first), call_sid, "2", number)
    target = action(second)
    answers = await asyncio.gather(*(press(house, target, call_sid, "4155550144", number) for _ in range(3)))
    assert len({answer.text for answer in answers}) == 1
    assert "Somebody will call you back at" in asked(answers[0])
    await house.over(call_sid)

    async def written() -> bool:
        return len(await house.store.tool_calls(call_sid)) > 0

    await eventually(written, "the tool on record")
    assert len(await house.store.tool_calls(call_sid)) == 1
    assert len(await house.rows("SELECT 1 FROM messages WHERE phone = '+14155550144'")) == 1


@pytest.mark.parametrize(
    "query",
    [
        "mode=ivr&state=moon&failures=0&step=1",
        "mode=ivr&state=main&failures=-1&step=1",
        "mode=ivr&state=main&failures=%D9%A3&step=1",
        "mode=ivr&state=main&failures=99999999999&step=1",
        "mode=ivr&state=main",
        "mode=ivr&state=%00",
        "mode=ivr&" + "&".join(f"x{n}=1" for n in range(40)),
    ],
)
async def test_a_place_that_is_none_begins_the_menu(house: Product, query: str) -> None:
    call_sid, number = new_call_sid(), new_number()
    answer = await press(house, f"/twilio/menu?{query}", call_sid, "1", number)
    assert verbs(answer) == ["Gather", "Redirect"]
    assert BEGINS in asked(answer)
    await house.over(call_sid)


@pytest.mark.parametrize("keys", ["A", "12<Dial>", "\x00", "9" * 4000])
async def test_keys_that_no_telephone_has_are_a_failure_and_nothing_else(house: Product, keys: str) -> None:
    call_sid, number = new_call_sid(), new_number()
    first = await press(house, "/twilio/menu?mode=ivr", call_sid, "", number)
    answer = await press(house, action(first), call_sid, keys, number)
    assert verbs(answer) == ["Gather", "Redirect"]
    assert "failures=1" in action(answer)
    await house.over(call_sid)


async def test_a_place_that_somebody_else_wrote_is_refused(house: Product) -> None:
    call_sid, number = new_call_sid(), new_number()
    first = await press(house, "/twilio/menu?mode=ivr", call_sid, "", number)
    path, _, query = action(first).partition("?")
    fields = form(call_sid, number, Digits="1")
    signature = sign(f"{PUBLIC}{path}?{query}", fields)
    answer = await house.ask(path, fields, query=query.replace("failures=0", "failures=2"), signature=signature)
    assert answer.status_code == 403
    await house.over(call_sid)


async def test_the_last_request_repeated_is_answered_with_the_same_goodbye(house: Product) -> None:
    call_sid, number = new_call_sid(), new_number()
    target = "/twilio/menu?mode=ivr&state=done&failures=0&step=7"
    once = await press(house, target, call_sid, "1", number)
    assert verbs(once) == ["Say", "Hangup"]
    again = await press(house, target, call_sid, "1", number)
    assert again.text == once.text
    await house.over(call_sid)


async def test_the_carriers_word_that_the_call_is_over_ends_the_menu(house: Product) -> None:
    call_sid, number = new_call_sid(), new_number()
    before = (await house.figures())["offhook_calls_live"]
    first = await press(house, "/twilio/menu?mode=ivr", call_sid, "", number)
    path, _, query = action(first).partition("?")
    answer = await house.ask(path, form(call_sid, number, CallStatus="completed", Digits=""), query=query)
    assert verbs(answer) == []
    assert (await house.figures())["offhook_calls_live"] == before
