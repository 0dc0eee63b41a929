"""The dialects: each session's shape key by key, and which dialect a server's first word shows."""

from typing import Any

import msgspec
import pytest

from app.mode import Mode, SemanticVad, ServerVad, tool
from app.wire.dialects import DIALECTS, FLAT, GA, HYBRID, SessionPlan, detect, other, reasons, turn_detection
from tests.wire.samples import FLAT_CREATED, GA_CREATED, HYBRID_CREATED, TINY_CREATED, TOOL, make_plan

SEMANTIC = {"type": "semantic_vad", "eagerness": "high", "create_response": True, "interrupt_response": True}
BY_SILENCE = ServerVad(threshold=0.5, prefix_padding_ms=300, silence_duration_ms=500)
SILENCE = {
    "type": "server_vad",
    "threshold": 0.5,
    "prefix_padding_ms": 300,
    "silence_duration_ms": 500,
    "create_response": True,
    "interrupt_response": True,
}

READY_GA: dict[str, Any] = {
    "type": "realtime",
    "output_modalities": ["audio"],
    "instructions": "...",
    "audio": {
        "input": {
            "format": {"type": "audio/pcmu"},
            "noise_reduction": {"type": "near_field", "strength": 1.0},
            "transcription": {"model": "gpt-live-transcribe", "languages": ["en"]},
            "turn_detection": {**SILENCE, "idle_timeout_ms": None},
        },
        "output": {"format": {"type": "audio/pcmu"}, "voice": "marin", "speed": 1.0},
    },
    "tools": [TOOL],
    "tool_choice": "auto",
    "max_output_tokens": "inf",
    "reasoning": {"effort": "low"},
    "truncation": {"type": "retention_ratio", "retention_ratio": 0.8},
}
READY_FLAT: dict[str, Any] = {
    "modalities": ["audio", "text"],
    "instructions": "...",
    "voice": "alloy",
    "input_audio_format": "g711_ulaw",
    "output_audio_format": "g711_ulaw",
    "input_audio_transcription": {"model": "whisper-1", "language": "en"},
    "input_audio_noise_reduction": {"type": "near_field"},
    "turn_detection": SILENCE,
    "tools": [],
    "tool_choice": "auto",
    "temperature": 0.8,
    "max_response_output_tokens": "inf",
}


def unknown_keys(ours: dict[str, Any], ready: dict[str, Any], where: str = "session") -> list[str]:
    """Keys that we send and the ready JSON does not have, at any depth outside of lists."""
    found = [f"{where}.{key}" for key in ours.keys() - ready.keys()]
    for key in ours.keys() & ready.keys():
        if isinstance(ours[key], dict) and isinstance(ready[key], dict):
            found += unknown_keys(ours[key], ready[key], f"{where}.{key}")
    return found


def test_the_ga_session_is_exactly_this() -> None:
    assert GA.session(make_plan()) == {
        "type": "realtime",
        "output_modalities": ["audio"],
        "instructions": "Be brief.",
        "audio": {
            "input": {
                "format": {"type": "audio/pcmu"},
                "transcription": {"model": "gpt-live-transcribe", "languages": ["en"]},
                "turn_detection": SEMANTIC,
            },
            "output": {"format": {"type": "audio/pcmu"}, "voice": "marin"},
        },
        "tools": [TOOL],
        "tool_choice": "auto",
    }


def test_the_flat_session_is_exactly_this() -> None:
    assert FLAT.session(make_plan(transcription_model="whisper-1", turn_detection=BY_SILENCE)) == {
        "modalities": ["audio", "text"],
        "instructions": "Be brief.",
        "voice": "shimmer",
        "input_audio_format": "g711_ulaw",
        "output_audio_format": "g711_ulaw",
        "input_audio_transcription": {"model": "whisper-1", "language": "en"},
        "turn_detection": SILENCE,
        "tools": [TOOL],
        "tool_choice": "auto",
    }


def test_the_hybrid_session_is_exactly_this() -> None:
    plan = make_plan(transcription_model="grok-transcribe", turn_detection=BY_SILENCE)
    assert HYBRID.session(plan) == {
        "instructions": "Be brief.",
        "voice": "marin",
        "turn_detection": {key: value for key, value in SILENCE.items() if not key.endswith("_response")},
        "audio": {
            "input": {
                "format": {"type": "audio/pcmu"},
                "transcription": {"model": "grok-transcribe", "language_hint": "en"},
            },
            "output": {"format": {"type": "audio/pcmu"}},
        },
        "tools": [TOOL],
    }
    assert HYBRID.update([TOOL], None) == {"tools": [TOOL]}
    assert HYBRID.update([], BY_SILENCE)["turn_detection"]["type"] == "server_vad"


@pytest.mark.parametrize(
    ("codec", "nested", "on_top"),
    [
        ("pcmu", {"type": "audio/pcmu"}, "g711_ulaw"),
        ("pcm16_24k", {"type": "audio/pcm", "rate": 24000}, "pcm16"),
        ("pcm16_16k", {"type": "audio/pcm", "rate": 16000}, "pcm16"),
    ],
)
def test_each_way_has_its_codec(codec: Any, nested: dict[str, Any], on_top: str) -> None:
    plan = msgspec.structs.replace(make_plan(), hears=codec, speaks="pcm16_24k")
    for dialect in (GA, HYBRID):
        audio = dialect.session(plan)["audio"]
        assert (audio["input"]["format"], audio["output"]["format"]) == (nested, {"type": "audio/pcm", "rate": 24000})
    flat = FLAT.session(plan)
    assert (flat["input_audio_format"], flat["output_audio_format"]) == (on_top, "pcm16")


@pytest.mark.parametrize(("name", "ready"), [("ga", READY_GA), ("flat", READY_FLAT)])
@pytest.mark.parametrize("model", ["gpt-live-transcribe", "gpt-transcribe", ""])
def test_no_dialect_is_sent_a_key_that_it_does_not_know(name: Any, ready: dict[str, Any], model: str) -> None:
    if name == "flat" and model:
        model = "whisper-1"
    plan = make_plan(
        turn_detection=BY_SILENCE, transcription_model=model, reasoning="low", noise_reduction="near_field"
    )
    dialect = DIALECTS[name]
    assert unknown_keys(dialect.session(plan), ready) == []
    assert unknown_keys(dialect.update([TOOL], BY_SILENCE), ready) == []


@pytest.mark.parametrize("kind", ["near_field", "far_field"])
def test_noise_reduction_goes_where_each_dialect_has_it(kind: Any) -> None:
    plan = make_plan(noise_reduction=kind)
    assert GA.session(plan)["audio"]["input"]["noise_reduction"] == {"type": kind}
    assert FLAT.session(plan)["input_audio_noise_reduction"] == {"type": kind}


def test_reasoning_is_a_word_of_ga_alone() -> None:
    plan = make_plan(reasoning="minimal")
    assert GA.session(plan)["reasoning"] == {"effort": "minimal"}
    assert FLAT.session(plan) == FLAT.session(make_plan())


@pytest.mark.parametrize(
    ("model", "does"),
    [
        ("gpt-realtime-2", True),
        ("gpt-realtime-2.1", True),
        ("gpt-realtime-2.1-mini", True),
        ("gpt-realtime-2-2026-05-07", True),
        ("gpt-realtime-2.1-my-deployment", True),
        ("gpt-realtime-10", True),
        ("gpt-realtime-1.5", False),
        ("gpt-realtime", False),
        ("gpt-realtime-mini", False),
        ("gpt-realtime-mini-2025-12-15", False),
        ("gpt-realtime-2025-08-28", False),
        ("gpt-4o-realtime-preview", False),
        ("my-gpt-realtime-2", False),
        ("", False),
    ],
)
def test_which_models_reason(model: str, does: bool) -> None:
    assert reasons(model) is does


@tool
async def early() -> str:
    """Be early."""
    return "early"


@tool
async def late() -> str:
    """Be late."""
    return "late"


def plan_of(model: str, **more: Any) -> SessionPlan:
    mode = Mode(name="some", prompt="some.md", tools=[early, late], **more)
    return SessionPlan.of(mode, model=model, instructions="Be brief.", transcription_model="")


def test_a_plan_has_what_the_mode_wants_of_a_call_s_beginning() -> None:
    plan = plan_of(
        "gpt-realtime-2.1",
        first_turn=[early],
        first_turn_detection=ServerVad(threshold=0.65),
        voice="cedar",
        reasoning="low",
        noise_reduction="far_field",
    )
    assert plan == SessionPlan(
        instructions="Be brief.",
        tools=[early.wire()],
        voice="cedar",
        turn_detection=ServerVad(threshold=0.65),
        transcription_model="",
        reasoning="low",
        noise_reduction="far_field",
    )
    assert [wire["name"] for wire in plan_of("x").tools] == ["early", "late"], "no first turn of its own: all tools"


def test_reasoning_is_sent_only_to_a_model_that_takes_it() -> None:
    assert plan_of("gpt-realtime-2.1", reasoning="high").reasoning == "high"
    assert plan_of("gpt-realtime-1.5", reasoning="high").reasoning == ""
    assert plan_of("gpt-realtime-2.1").reasoning == ""


def test_a_later_update_changes_tools_and_turn_detection_and_nothing_else() -> None:
    assert GA.update([TOOL], SemanticVad(eagerness="high")) == {
        "type": "realtime",
        "tools": [TOOL],
        "audio": {"input": {"turn_detection": SEMANTIC}},
    }
    assert FLAT.update([TOOL], BY_SILENCE) == {"tools": [TOOL], "turn_detection": SILENCE}


def test_a_later_update_of_tools_alone_leaves_turn_detection_as_it_is() -> None:
    assert GA.update([TOOL], None) == {"type": "realtime", "tools": [TOOL]}
    assert FLAT.update([TOOL], None) == {"tools": [TOOL]}


@pytest.mark.parametrize("eagerness", ["low", "medium", "high", "auto"])
def test_turn_detection_by_meaning_has_no_thresholds(eagerness: Any) -> None:
    assert turn_detection(SemanticVad(eagerness=eagerness)) == {**SEMANTIC, "eagerness": eagerness}


def test_turn_detection_by_silence_names_every_figure() -> None:
    assert turn_detection(BY_SILENCE) == SILENCE


@pytest.mark.parametrize("model", ["gpt-live-transcribe", "gpt-transcribe"])
def test_the_newer_transcription_models_take_languages(model: str) -> None:
    listening = GA.session(make_plan(transcription_model=model))["audio"]["input"]
    assert listening["transcription"] == {"model": model, "languages": ["en"]}


@pytest.mark.parametrize("model", ["whisper-1", "gpt-4o-transcribe"])
def test_the_older_transcription_models_take_one_language(model: str) -> None:
    listening = GA.session(make_plan(transcription_model=model))["audio"]["input"]
    assert listening["transcription"] == {"model": model, "language": "en"}


def test_without_a_transcription_model_or_language_nothing_is_said_of_them() -> None:
    assert "transcription" not in GA.session(make_plan(transcription_model=""))["audio"]["input"]
    assert "input_audio_transcription" not in FLAT.session(make_plan(transcription_model=""))
    assert GA.session(make_plan(language=""))["audio"]["input"]["transcription"] == {"model": "gpt-live-transcribe"}


def test_a_flat_server_gets_the_nearest_voice_that_it_has() -> None:
    spoken = {voice: FLAT.session(make_plan(voice=voice))["voice"] for voice in ("marin", "cedar", "alloy")}
    assert spoken == {"marin": "shimmer", "cedar": "verse", "alloy": "alloy"}


@pytest.mark.parametrize(
    ("session", "dialect"),
    [
        (GA_CREATED, GA),
        ({**GA_CREATED, "type": "transcription"}, GA),
        ({"type": "realtime"}, GA),
        ({"output_modalities": ["audio"]}, GA),
        ({"audio": {"output": {}}}, GA),
        (HYBRID_CREATED, HYBRID),
        ({"audio": {}, "voice": "eve"}, HYBRID),
        ({"type": "realtime", "audio": {}, "turn_detection": {"type": "server_vad"}}, HYBRID),
        ({"type": "realtime", "audio": {}, "voice": None, "turn_detection": None}, GA),
        (FLAT_CREATED, FLAT),
        ({"modalities": ["text"]}, FLAT),
        ({"input_audio_format": "pcm16"}, FLAT),
        ({"max_response_output_tokens": 10}, FLAT),
        ({"modalities": ["text"], "audio": None}, FLAT),
        ({"type": "something else", "modalities": ["text"]}, FLAT),
        (TINY_CREATED, None),
        ({}, None),
        ({"type": 7, "audio": "pcm16"}, None),
    ],
)
def test_a_server_s_first_word_shows_its_dialect(session: dict[str, Any], dialect: Any) -> None:
    assert detect(session) is dialect


def test_there_is_one_other_dialect_to_try() -> None:
    assert other(GA) is FLAT
    assert other(FLAT) is GA
    assert other(HYBRID) is GA
    assert other(HYBRID, "session.audio") is FLAT, "nothing is nested there"
    assert other(GA, "session.audio.output.voice") is HYBRID, "codecs are nested, and the voice is not"
    assert other(GA, "session.audio.input.turn_detection") is HYBRID
    assert {name: dialect.name for name, dialect in DIALECTS.items()} == {
        name: name for name in ("ga", "flat", "hybrid")
    }
