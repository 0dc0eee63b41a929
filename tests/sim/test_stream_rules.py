"""What the carrier takes from the server, and what it drops with which warning."""

import json
from base64 import b64encode
from typing import Any

import pytest

from app.sim.stream_rules import Audio, Broken, Clear, Mark, read

SID = "MZ" + "1" * 32


def test_the_three_documented_messages_are_read() -> None:
    audio = b64encode(b"\x00" * 160).decode()
    assert read(json.dumps({"event": "media", "streamSid": SID, "media": {"payload": audio}}), SID) == Audio(
        b"\x00" * 160, has_header=False
    )
    assert read(json.dumps({"streamSid": SID, "mark": {"name": "x"}, "event": "mark"}), SID) == Mark("x")
    assert read(json.dumps({"event": "clear", "streamSid": SID}), SID) == Clear()


@pytest.mark.parametrize(
    "message",
    [
        {"event": "media", "streamSid": SID, "media": {"payload": "AAAA", "track": "outbound"}},
        {"event": "media", "streamSid": SID, "media": {"payload": "AAAA"}, "sequenceNumber": "3"},
        {"event": "media", "streamSid": SID, "media": {"payload": "not base64!"}},
        {"event": "media", "streamSid": SID, "media": {"payload": "AAA"}},
        {"event": "media", "streamSid": SID, "media": {}},
        {"event": "media", "media": {"payload": "AAAA"}},
        {"event": "media", "streamSid": "MZ" + "2" * 32, "media": {"payload": "AAAA"}},
        {"event": "mark", "streamSid": SID, "mark": {"name": 7}},
        {"event": "mark", "streamSid": SID},
        {"event": "clear", "streamSid": SID, "clear": {}},
        {"event": "clear", "streamSid": None},
        {"event": "stop", "streamSid": SID},
        {"streamSid": SID},
        ["clear"],
    ],
)
def test_a_message_with_a_key_too_many_or_too_few_or_wrong_is_dropped_with_31951(message: Any) -> None:
    answer = read(json.dumps(message), SID)
    assert isinstance(answer, Broken)
    assert answer.code == 31951


def test_what_is_not_json_is_31951_and_a_binary_frame_is_31950() -> None:
    broken = read("{", SID)
    assert isinstance(broken, Broken)
    assert broken.code == 31951
    binary = read(json.dumps({"event": "clear", "streamSid": SID}).encode(), SID)
    assert isinstance(binary, Broken)
    assert binary.code == 31950


def test_a_wav_header_in_the_audio_is_seen() -> None:
    payload = b64encode(b"RIFF" + b"\x00" * 156).decode()
    answer = read(json.dumps({"event": "media", "streamSid": SID, "media": {"payload": payload}}), SID)
    assert isinstance(answer, Audio)
    assert answer.has_header
