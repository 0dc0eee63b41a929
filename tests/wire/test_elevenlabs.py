"""Words on ElevenLabs' wire, both ways."""

import base64
from typing import Any

import msgspec
import pytest

from app.core import events as ev
from app.errors import PeerError
from app.rules.elevenlabs import ElevenLabs
from app.wire import elevenlabs, voiced
from app.wire.dialects import FLAT, GA
from app.wire.elevenlabs import Refused, Sound, Spoken
from app.wire.realtime import AudioDelta, parse

VOICE = ElevenLabs(voice_id="21m00Tcm4TlvDq8ikWAM", speed=1.1, stability=0.5)
SECOND = base64.b64encode(b"\xff" * 8000).decode()


def told(**fields: Any) -> Any:
    return elevenlabs.parse(msgspec.json.encode(fields))


def timed(text: str, each: int = 50) -> dict[str, Any]:
    return {
        "chars": list(text),
        "charStartTimesMs": [n * each for n in range(len(text))],
        "charDurationsMs": [each] * len(text),
    }


def test_the_first_text_makes_a_context_and_the_settings_go_with_it_alone() -> None:
    assert msgspec.json.decode(elevenlabs.begin("c", "Hello,  ", VOICE)) == {
        "text": "Hello, ",
        "context_id": "c",
        "flush": True,
        "voice_settings": {"stability": 0.5, "speed": 1.1},
    }
    assert msgspec.json.decode(elevenlabs.more("c", "again.")) == {"text": "again. ", "context_id": "c", "flush": True}
    assert "voice_settings" not in msgspec.json.decode(elevenlabs.begin("c", "Hi.", ElevenLabs(voice_id="x")))
    assert elevenlabs.query(ElevenLabs(voice_id="x", language="en"))["language_code"] == "en"
    assert "language_code" not in elevenlabs.query(VOICE)
    assert elevenlabs.query(VOICE)["output_format"] == "ulaw_8000"


def test_words_end_where_their_last_character_does_and_white_space_is_not_counted() -> None:
    sound = told(audio=SECOND, contextId="c", alignment=timed(" We are"), isFinal=None)
    assert sound == Sound("c", f'"{SECOND}"'.encode(), ((2, 150), (5, 350)))


def test_times_beyond_a_piece_s_own_sound_are_its_end() -> None:
    assert told(audio=SECOND, contextId="c", alignment=timed("We are", 400)).words == ((2, 800), (5, 1000))


@pytest.mark.parametrize(("at", "ends"), [(1e308, 1000), (-1e308, 0)])
def test_times_beyond_all_numbers_are_as_far_as_the_sound_goes(at: float, ends: int) -> None:
    alignment = {"chars": ["a"], "charStartTimesMs": [at], "charDurationsMs": [at]}
    assert told(audio=SECOND, contextId="c", alignment=alignment).words == ((1, ends),)


@pytest.mark.parametrize(
    "alignment",
    [None, {}, {"chars": []}, {"chars": ["a"], "charStartTimesMs": [], "charDurationsMs": [1]}, timed("   ")],
)
def test_sound_without_usable_times_is_sound_all_the_same(alignment: Any) -> None:
    assert told(audio=SECOND, contextId="c", alignment=alignment).words == ()


def test_the_end_of_a_context_and_a_refusal_are_told_from_what_tells_nothing() -> None:
    assert told(isFinal=True, contextId="c") == told(isFinal="true", contextId="c") == Spoken("c")
    assert told(error="quota_exceeded", message="No credits.", code=1008) == Refused("quota_exceeded", "No credits.")
    assert told(isFinal=None, contextId="c") is None
    assert told(something="new") is None


@pytest.mark.parametrize("text", [b"", b"[]", b'{"audio":5}', b'{"audio":"abc"}', b"\xff"])
def test_what_is_no_message_is_the_peer_s_fault(text: bytes) -> None:
    with pytest.raises(PeerError):
        elevenlabs.parse(text)


@pytest.mark.parametrize(
    ("voice", "said"),
    [
        ({"voice_id": ""}, "voice_id"),
        ({"voice_id": "../x"}, "voice_id"),
        ({"voice_id": 5}, "voice_id"),
        ({"model": "gpt"}, "model"),
        ({"model": "eleven_v3"}, "multi-context"),
        ({"language": "english"}, "language"),
        ({"own_voice": ""}, "own_voice"),
        ({"speed": 2.0}, "speed"),
        ({"speed": None}, "speed"),
        ({"stability": 1.5}, "stability"),
        ({"similarity": True}, "similarity"),
        ({"speed": float("nan")}, "speed"),
    ],
)
def test_a_voice_that_cannot_be_is_refused_with_what_was_expected(voice: dict[str, Any], said: str) -> None:
    (fault,) = ElevenLabs(**{"voice_id": "21m00Tcm4TlvDq8ikWAM", **voice}).faults()
    assert said in fault
    assert "expected" in fault


def test_a_voice_within_bounds_is_none_of_it() -> None:
    assert ElevenLabs(voice_id="21m00Tcm4TlvDq8ikWAM", stability=0, similarity=1.0, speed=0.7).faults() == []


def test_what_is_spoken_comes_as_the_answer_s_own_sound_and_words() -> None:
    read = voiced.reader(parse)
    assert read(voiced.sound("r", "i", f'"{SECOND}"'.encode())) == AudioDelta("r", "i", f'"{SECOND}"'.encode(), 0)
    assert read(voiced.words("r", "i", "Hello", 700)) == ev.AgentSaid("r", "i", "Hello", ends_ms=700)
    assert [read(text) for text in voiced.ended("r", "i", "Hello.")] == [
        ev.AgentAudioEnded("r", "i"),
        ev.AgentSaid("r", "i", "Hello.", whole=True),
    ]
    assert read(voiced.lost("gone")) == ev.VoiceLost("gone")


def test_a_session_s_own_sound_is_read_by_its_own_codec() -> None:
    asked: list[bytes] = []
    voiced.reader(lambda text: asked.append(text))(b'{"type":"response.output_audio.delta"}')
    assert asked == [b'{"type":"response.output_audio.delta"}']


def test_the_end_of_a_response_bears_what_its_speech_is_paid_by_whatever_its_usage_was() -> None:
    for usage in (None, {"total_tokens": 5}):
        end = msgspec.json.encode({"type": "response.done", "response": {"id": "r", "usage": usage}})
        done = parse(voiced.with_speech(end, "eleven_flash_v2_5", 40))
        assert isinstance(done, ev.ResponseDone)
        assert done.usage == {**(usage or {}), "speech": {"model": "eleven_flash_v2_5", "characters": 40}}


def test_the_model_speaks_itself_again_in_the_dialect_s_words() -> None:
    assert msgspec.json.decode(voiced.to_own_voice(GA, "e"))["session"] == {
        "type": "realtime",
        "output_modalities": ["audio"],
    }
    assert msgspec.json.decode(voiced.to_own_voice(FLAT, "e"))["session"] == {"modalities": ["audio", "text"]}
