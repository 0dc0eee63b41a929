"""TwiML is read as strictly as Twilio reads it."""

import pytest

from app.sim.twiml_document import Refused, Verb, parse, read_answer


def refusal(body: bytes, content_type: str | None = "text/xml") -> int:
    with pytest.raises(Refused) as refused:
        read_answer(body, content_type, "https://a.example/x")
    return refused.value.code


def test_verbs_attributes_text_and_children_are_read() -> None:
    body = b'<?xml version="1.0"?><Response><Gather numDigits="1"><Say>Press &amp; hold</Say></Gather></Response>'
    assert parse(body).verbs == [Verb("Gather", {"numDigits": "1"}, "", [Verb("Say", {}, "Press & hold")])]


@pytest.mark.parametrize(
    "body",
    [
        b"\n<Response/>",
        b" <?xml version='1.0'?><Response/>",
        b"\xef\xbb\xbf<Response/>",
        b"",
        b"hello",
        b"<response/>",
        b"<Response>",
        b"<Response><Say>a & b</Say></Response>",
        b"<Response><Say>\x01</Say></Response>",
    ],
)
def test_what_is_not_a_clean_response_document_is_12100(body: bytes) -> None:
    assert refusal(body) == 12100


def test_a_body_over_64_kb_is_11750() -> None:
    assert refusal(b"<Response><Say>" + b"a" * 65536 + b"</Say></Response>") == 11750


@pytest.mark.parametrize("content_type", [None, "", "application/json", "image/png"])
def test_a_wrong_or_missing_content_type_is_12300(content_type: str | None) -> None:
    assert refusal(b"<Response/>", content_type) == 12300


@pytest.mark.parametrize("content_type", ["text/xml", "application/xml; charset=utf-8", "TEXT/HTML"])
def test_the_xml_content_types_are_taken(content_type: str) -> None:
    assert read_answer(b"<Response><Hangup/></Response>", content_type, "u").verbs == [Verb("Hangup")]


def test_plain_text_is_read_aloud_and_audio_is_played() -> None:
    assert read_answer(b"hello", "text/plain", "u").verbs == [Verb("Say", {}, "hello")]
    assert read_answer(b"\xff", "audio/basic", "https://a.example/x").verbs == [Verb("Play", {}, "https://a.example/x")]


def test_unknown_verbs_and_attributes_are_warned_of_and_left_out() -> None:
    document = parse(b'<Response><say>x</say><Say colour="red">y</Say><Gather><Dial>1</Dial></Gather></Response>')
    assert document.verbs == [Verb("Say", {}, "y"), Verb("Gather")]
    assert len(document.warnings) == 3


def test_a_reject_that_is_not_first_is_warned_of() -> None:
    assert len(parse(b"<Response><Say>x</Say><Reject/></Response>").warnings) == 1
