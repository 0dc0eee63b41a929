"""The model stand-in as xAI: what it takes, what it refuses, and what it does otherwise; and stand-ins with some codecs alone."""

from typing import Any

import pytest

from app.errors import SetupError
from app.sim.model_shapes import SHAPES, speaking
from tests.sim.booking_script import BOOKING, GREETING
from tests.sim.realtime_client import Event, audio_of, flat, ga, kinds, serving, session

SERVER = {"type": "server_vad", "threshold": 0.6, "silence_duration_ms": 500}


def hybrid(**more: Any) -> Event:
    """A configuration as the product sends it."""
    mulaw = {"format": {"type": "audio/pcmu"}}
    return {
        "instructions": "The caller is +14155550133.",
        "voice": "eve",
        "turn_detection": SERVER,
        "audio": {"input": mulaw, "output": mulaw},
        "tools": [],
        **more,
    }


async def test_a_hybrid_greets_under_ga_s_names_and_shows_its_shape() -> None:
    async with serving(scripts=[BOOKING], dialect="hybrid") as (_, url), session(url) as client:
        created = (await client.next())["session"]
        assert {"voice", "turn_detection", "audio"} <= created.keys()
        assert not {"type", "output_modalities", "modalities"} & created.keys()
        updated = (await client.configure(hybrid()))["session"]
        assert updated["turn_detection"] == {**SERVER, "prefix_padding_ms": 333}
        await client.tell("Greet the caller.")
        events = await client.ask()
        assert "response.output_audio.delta" in kinds(events)
        assert events[-1]["response"]["output"][0]["content"] == [{"type": "output_audio", "transcript": GREETING}]


@pytest.mark.parametrize(
    ("change", "code", "param"),
    [
        ({"type": "realtime"}, "unknown_parameter", "session.type"),
        ({"output_modalities": ["audio"]}, "unknown_parameter", "session.output_modalities"),
        ({"tool_choice": "auto"}, "unknown_parameter", "session.tool_choice"),
        ({"voice": "marin"}, "invalid_value", "session.voice"),
        ({"turn_detection": {"type": "semantic_vad"}}, "invalid_value", "session.turn_detection.type"),
        (
            {"turn_detection": {**SERVER, "create_response": True}},
            "unknown_parameter",
            "session.turn_detection.create_response",
        ),
        ({"turn_detection": {**SERVER, "threshold": 0.95}}, "invalid_value", "session.turn_detection.threshold"),
        ({"audio": {"output": {"voice": "eve"}}}, "unknown_parameter", "session.audio.output.voice"),
        ({"audio": {"input": {"noise_reduction": None}}}, "unknown_parameter", "session.audio.input.noise_reduction"),
        (
            {"audio": {"input": {"transcription": {"model": "whisper-1"}}}},
            "invalid_value",
            "session.audio.input.transcription.model",
        ),
        ({"reasoning": {"effort": "low"}}, "invalid_value", "session.reasoning.effort"),
    ],
)
async def test_a_hybrid_refuses_what_is_not_documented(change: Event, code: str, param: str) -> None:
    async with serving(scripts=[BOOKING], dialect="hybrid") as (_, url), session(url) as client:
        error = await client.answer("session.update", session=hybrid(**change))
        assert (error["code"], error["param"]) == (code, param)


async def test_a_hybrid_takes_a_voice_in_any_case() -> None:
    async with serving(scripts=[BOOKING], dialect="hybrid") as (_, url), session(url) as client:
        assert (await client.configure(hybrid(voice="LEO")))["session"]["voice"] == "LEO"


async def test_a_hybrid_knows_neither_truncate_nor_answers_of_another_kind() -> None:
    async with serving(scripts=[BOOKING], dialect="hybrid") as (_, url), session(url) as client:
        await client.configure(hybrid())
        for kind in ("conversation.item.truncate", "conversation.item.delete"):
            assert (await client.answer(kind, item_id="item_1"))["code"] == "invalid_event"
        bodies: list[Event] = [{"conversation": "none"}, {"tool_choice": "none"}, {"input": []}]
        for body in bodies:
            assert (await client.answer("response.create", response=body))["code"] == "unknown_parameter"


async def test_a_hybrid_talks_on_until_it_is_told_to_stop_and_answers_by_itself() -> None:
    async with serving(scripts=[BOOKING], dialect="hybrid", pace=1.0) as (server, url), session(url) as client:
        await client.configure(hybrid())
        await client.tell("Greet the caller.")
        await client.send("response.create")
        await client.until("response.output_audio.delta")
        (talk,) = server.sessions
        talk.speech_started(0)
        assert talk.active is not None, "nobody stops it"
        await client.send("response.cancel")
        done = await client.until("response.done")
        assert done["response"]["status_details"] == {"type": "cancelled", "reason": "client_cancelled"}
        await client.speak("Yes please.")
        await client.until("response.created")


@pytest.mark.parametrize(
    ("dialect", "audio", "asked", "param"),
    [
        ("ga", "pcm16", ga(), "session.audio.input.format.type"),
        ("flat", "pcm16", flat(), "session.input_audio_format"),
        ("hybrid", "pcm16_16k", hybrid(), "session.audio.input.format.type"),
        (
            "ga",
            "pcmu",
            ga(audio={"output": {"format": {"type": "audio/pcm", "rate": 24000}}}),
            "session.audio.output.format.type",
        ),
    ],
)
async def test_a_stand_in_refuses_codecs_that_it_was_told_not_to_have(
    dialect: Any, audio: Any, asked: Event, param: str
) -> None:
    async with serving(scripts=[BOOKING], dialect=dialect, audio=audio) as (_, url), session(url) as client:
        error = await client.answer("session.update", session=asked)
        assert (error["code"], error["param"]) == ("invalid_value", param)


async def test_a_flat_stand_in_with_16_khz_hears_it_and_speaks_at_24() -> None:
    async with serving(scripts=[BOOKING], dialect="flat", audio="pcm16_16k") as (server, url), session(url) as client:
        await client.configure(flat(input_audio_format="pcm16", output_audio_format="pcm16"))
        (talk,) = server.sessions
        assert (talk.settings.input_format, talk.settings.output_format) == ("pcm16k", "pcm")
        await client.hear(bytes(640 * 10))
        await client.tell("Greet the caller.")
        events = await client.ask()
        assert len(audio_of(events)) == 6 * len(server.repertoire.say(GREETING, "agent"))
        assert talk.ears.appended_ms == 200


def test_ga_has_no_16_khz() -> None:
    with pytest.raises(SetupError, match="24 kHz"):
        speaking(SHAPES["ga"], "pcm16_16k")
