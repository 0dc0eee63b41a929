"""TwiML of the keypad menu: a question that takes keys, and a sentence before a document."""

import xml.etree.ElementTree as ET

import pytest

from app.wire import twiml
from tests.wire.test_twiml import HOSTILE, parsed

MENU = "https://agent.example.com/twilio/menu?mode=ivr&state=main&failures=0&step=1"


def asked(*say: str, **more: int | str) -> ET.Element:
    return parsed(twiml.gather(say=say, action_url=MENU, **more))  # type: ignore[arg-type]


def test_a_question_takes_one_key_whichever_it_is_and_goes_on_without_one() -> None:
    gather, redirect = list(asked("We are open.", "Press 1."))
    assert gather.attrib == {
        "input": "dtmf",
        "action": MENU,
        "method": "POST",
        "numDigits": "1",
        "finishOnKey": "",
        "timeout": "6",
        "actionOnEmptyResult": "true",
    }
    assert [(said.tag, said.text) for said in gather] == [("Say", "We are open."), ("Say", "Press 1.")]
    assert (redirect.tag, redirect.text, redirect.attrib) == ("Redirect", MENU, {"method": "POST"})


def test_digits_have_their_number_and_their_end() -> None:
    gather = asked("Your number.", num_digits=15, finish_on_key="#", timeout=8)[0]
    assert (gather.get("numDigits"), gather.get("finishOnKey"), gather.get("timeout")) == ("15", "#", "8")


@pytest.mark.parametrize("text", HOSTILE)
def test_whatever_a_tool_says_stays_words(text: str) -> None:
    gather = asked("First.", text)[0]
    assert {said.tag for said in gather} == {"Say"}
    assert all(0 < len(said.text or "") <= twiml.SAY_LIMIT for said in gather)


def test_a_sentence_of_any_length_fits_and_an_empty_one_is_left_out() -> None:
    gather = asked("", "a" * 70_000)[0]
    assert [len(said.text or "") for said in gather] == [twiml.SAY_LIMIT]


@pytest.mark.parametrize("text", HOSTILE)
def test_a_sentence_goes_before_everything_in_a_document_and_changes_nothing_else(text: str) -> None:
    document = twiml.dial(number="+14155550170", caller_id="", dialed_url=MENU)
    root = parsed(twiml.said_before(text, document))
    assert root[0].tag == "Say"
    assert ET.tostring(root[1]) == ET.tostring(parsed(document)[0])
