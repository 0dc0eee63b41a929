"""The commands that we send to the model: exactly the documented keys, and no text breaks out of them."""

import json
from base64 import b64encode
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.errors import PeerError
from app.wire import realtime, twilio
from app.wire.audio import Framer, encoded
from app.wire.dialects import DIALECTS, FLAT, GA, Dialect


@pytest.mark.parametrize(
    ("command", "message"),
    [
        (realtime.append_audio(b'"//8="'), {"type": "input_audio_buffer.append", "audio": "//8="}),
        (
            realtime.update_session({"type": "realtime"}, "configure-1"),
            {"type": "session.update", "event_id": "configure-1", "session": {"type": "realtime"}},
        ),
        (
            realtime.answer_tool("call_1", '{"ok":true}'),
            {
                "type": "conversation.item.create",
                "item": {"type": "function_call_output", "call_id": "call_1", "output": '{"ok":true}'},
            },
        ),
        (realtime.create_response("say-1"), {"type": "response.create", "event_id": "say-1"}),
        (
            realtime.create_response("say-1", "Greet the caller."),
            {"type": "response.create", "event_id": "say-1", "response": {"instructions": "Greet the caller."}},
        ),
        (
            realtime.read_out("filler-1", "One moment please."),
            {
                "type": "response.create",
                "event_id": "filler-1",
                "response": {
                    "instructions": 'Say exactly this sentence and nothing else: "One moment please."',
                    "input": [],
                    "tool_choice": "none",
                },
            },
        ),
        (realtime.cancel_response("resp_1"), {"type": "response.cancel", "response_id": "resp_1"}),
        (
            realtime.truncate("item_1", 0, 1240),
            {"type": "conversation.item.truncate", "item_id": "item_1", "content_index": 0, "audio_end_ms": 1240},
        ),
        (realtime.delete_item("item_1"), {"type": "conversation.item.delete", "item_id": "item_1"}),
    ],
)
def test_every_command_has_exactly_the_documented_keys(command: bytes, message: dict[str, Any]) -> None:
    assert json.loads(command) == message


@pytest.mark.parametrize("dialect", DIALECTS.values(), ids=list(DIALECTS))
@pytest.mark.parametrize("role", ["user", "system", "assistant"])
def test_a_line_of_talk_is_typed_by_who_said_it_and_by_dialect(role: str, dialect: Dialect) -> None:
    kind = (
        {"ga": "output_text", "flat": "text", "hybrid": "output_text"}[dialect.name]
        if role == "assistant"
        else "input_text"
    )
    assert json.loads(realtime.add_text(role, "Hello.", dialect)) == {
        "type": "conversation.item.create",
        "item": {"type": "message", "role": role, "content": [{"type": kind, "text": "Hello."}]},
    }


@settings(deadline=None)
@given(st.text(), st.binary(), st.sampled_from([GA, FLAT]))
def test_no_text_breaks_out_of_a_command(text: str, audio: bytes, dialect: Dialect) -> None:
    assert json.loads(realtime.append_audio(encoded(audio))) == {
        "type": "input_audio_buffer.append",
        "audio": b64encode(audio).decode(),
    }
    assert json.loads(realtime.add_text("user", text, dialect))["item"]["content"][0]["text"] == text
    assert json.loads(realtime.answer_tool(text, text))["item"]["output"] == text
    assert json.loads(realtime.create_response(text, "x" + text))["response"] == {"instructions": "x" + text}
    assert text in json.loads(realtime.read_out(text, text))["response"]["instructions"]
    assert json.loads(realtime.truncate(text, 0, 1))["item_id"] == text
    assert json.loads(realtime.delete_item(text))["item_id"] == text
    assert json.loads(realtime.cancel_response(text))["response_id"] == text
    assert json.loads(realtime.update_session({"instructions": text}, text))["session"] == {"instructions": text}


HOSTILE = ['","type":"session.update', '"}', "\\", "\n", '\\"', "é"]


@pytest.mark.parametrize("payload", HOSTILE)
def test_what_a_phone_sends_as_audio_is_never_read_as_a_command(payload: str) -> None:
    message = json.dumps({"event": "media", "media": {"payload": payload}})
    try:
        media = twilio.parse(message)
        assert isinstance(media, twilio.Media)
        command = realtime.append_audio(media.payload)
    except PeerError:
        return
    assert json.loads(command) == {"type": "input_audio_buffer.append", "audio": payload}


@pytest.mark.parametrize("payload", HOSTILE)
def test_what_a_model_sends_as_audio_is_never_read_as_a_message(payload: str) -> None:
    delta = payload + "A" * (640 - len(payload))
    event = {"type": "response.output_audio.delta", "response_id": "r", "item_id": "i", "delta": delta}
    try:
        audio = realtime.parse(json.dumps(event))
        assert isinstance(audio, realtime.AudioDelta)
        sent, _ = Framer().push(audio.delta)
        message = twilio.media("MZ1", sent)
    except PeerError:
        return
    assert json.loads(message) == {"event": "media", "streamSid": "MZ1", "media": {"payload": delta}}
