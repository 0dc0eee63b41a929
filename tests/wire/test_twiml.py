"""TwiML: every document parses whatever a caller calls themselves, and something always follows the stream."""

import xml.etree.ElementTree as ET

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from app.wire import twiml

NEXT = "https://agent.example.com/twilio/next"
STATUS = "https://agent.example.com/twilio/stream-status"
URL = "wss://agent.example.com/voice/ws/csr/t1"
DIALED = "https://agent.example.com/twilio/dialed"

HOSTILE = [
    "\x00\x01\x08\x0b\x0c\x0e\x1f",
    "\ud800",
    "\udfff and \ud83d",
    "\ufffe\uffff",
    "]]>",
    "<![CDATA[ ]]>",
    "</Parameter></Stream><Dial>+1900</Dial>",
    "\"'&<>",
    "&#0;&amp;&quot;",
    "<?xml version='1.0'?><!DOCTYPE x [<!ENTITY a 'b'>]>&a;",
    "tab\tline\nreturn\r",
    "São Paulo \U0001f600",
    "x" * 2000,
]
ANY_TEXT = st.text(alphabet=st.characters(), max_size=600)


def parsed(document: str) -> ET.Element:
    """The document as a carrier would read it: UTF-8, declaration first, nothing before it, at most 64 kB."""
    assert document.startswith("<?xml")
    data = document.encode()
    assert len(data) <= 64 * 1024
    root = ET.fromstring(data)
    assert root.tag == "Response"
    return root


def opened(**parameters: str) -> ET.Element:
    return parsed(twiml.stream(url=URL, next_url=NEXT, status_url=STATUS, parameters=parameters))


def test_a_stream_is_followed_by_the_way_on_in_both_ways() -> None:
    root = opened(caller="+14155550100", dialled="+14155550199")
    connect, redirect = list(root)
    assert (connect.tag, connect.attrib) == ("Connect", {"action": NEXT, "method": "POST"})
    assert (redirect.tag, redirect.text, redirect.attrib) == ("Redirect", NEXT, {"method": "POST"})
    (stream,) = list(connect)
    assert stream.tag == "Stream"
    assert stream.attrib == {"url": URL, "statusCallback": STATUS, "statusCallbackMethod": "POST"}
    assert [(p.tag, p.get("name"), p.get("value")) for p in stream] == [
        ("Parameter", "caller", "+14155550100"),
        ("Parameter", "dialled", "+14155550199"),
    ]


def test_an_announcement_is_said_before_the_stream() -> None:
    root = parsed(
        twiml.stream(
            url=URL, next_url=NEXT, status_url=STATUS, parameters={}, announcement="This call is recorded.\x07"
        )
    )
    assert [e.tag for e in root] == ["Say", "Connect", "Redirect"]
    assert root[0].text == "This call is recorded."


@pytest.mark.parametrize("text", HOSTILE)
def test_a_hostile_caller_cannot_break_a_document(text: str) -> None:
    root = opened(caller=text, dialled="+14155550199")
    assert [e.tag for e in root.iter()] == ["Response", "Connect", "Stream", "Parameter", "Parameter", "Redirect"]
    value = root[0][0][0].get("value") or ""
    assert value == twiml.clean(text)[: 500 - len("caller")]
    for document in (
        twiml.hang_up(text),
        twiml.dial(number="+14155550170", caller_id="+14155550199", dialed_url=DIALED, say=text),
    ):
        assert not {"Parameter", "Stream"} & {e.tag for e in parsed(document).iter()}


@pytest.mark.parametrize("text", HOSTILE[:-1])
def test_a_hostile_number_cannot_break_a_transfer(text: str) -> None:
    root = parsed(twiml.dial(number="+14155550170", caller_id="+1" + text, dialed_url=DIALED))
    assert [e.tag for e in root.iter()] == ["Response", "Dial", "Number"]


@settings(deadline=None)
@given(ANY_TEXT)
@example("\ud800")
def test_any_text_parses_and_comes_back_as_it_was_but_for_what_xml_cannot_hold(text: str) -> None:
    value = opened(caller=text)[0][0][0].get("value") or ""
    cleaned = twiml.clean(text)
    assert value == cleaned[:494]
    assert twiml.clean(cleaned) == cleaned
    said = parsed(twiml.hang_up("x" + text))[0].text or ""
    assert said == "x" + cleaned.replace("\r\n", "\n").replace("\r", "\n")


@pytest.mark.parametrize("name", ["caller", "a", "n" * 100])
def test_a_parameter_s_name_and_value_are_cut_to_500_together(name: str) -> None:
    value = opened(**{name: "v" * 2000})[0][0][0].get("value") or ""
    assert len(name) + len(value) == 500
    exact = "v" * (500 - len(name))
    assert opened(**{name: exact})[0][0][0].get("value") == exact


def test_a_person_is_dialled_and_the_carrier_tells_what_became_of_it() -> None:
    root = parsed(twiml.dial(number="+14155550170", caller_id="+14155550199", dialed_url=DIALED, say="One moment."))
    say, dial = list(root)
    assert (say.tag, say.text) == ("Say", "One moment.")
    assert dial.attrib == {
        "action": DIALED,
        "method": "POST",
        "timeout": "25",
        "answerOnBridge": "true",
        "callerId": "+14155550199",
    }
    assert [(e.tag, e.text) for e in dial] == [("Number", "+14155550170")]


def test_a_person_is_told_first_while_the_caller_goes_on_hearing_it_ring() -> None:
    root = parsed(
        twiml.dial(
            number="+14155550170",
            caller_id="",
            dialed_url=DIALED,
            whisper_url="https://agent.example.com/twilio/whisper?call=CA1&transfer=0",
            ring_tone="uk",
        )
    )
    (dial,) = root
    assert (dial.get("answerOnBridge"), dial.get("ringTone")) == ("true", "uk")
    (number,) = dial
    assert number.attrib == {"url": "https://agent.example.com/twilio/whisper?call=CA1&transfer=0", "method": "POST"}


def test_without_a_number_of_ours_no_caller_id_is_made_up() -> None:
    root = parsed(twiml.dial(number="+14155550170", caller_id="", dialed_url=DIALED))
    assert "callerId" not in root[0].attrib
    assert [e.tag for e in root] == ["Dial"]


def test_hanging_up_and_having_nothing_to_say() -> None:
    assert [e.tag for e in parsed(twiml.hang_up())] == ["Hangup"]
    assert [(e.tag, e.text) for e in parsed(twiml.hang_up("Goodbye."))] == [("Say", "Goodbye."), ("Hangup", None)]
    assert list(parsed(twiml.nothing())) == []
