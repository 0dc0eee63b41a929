"""What servers of each dialect say first, after the examples of the protocol's own OpenAPI file."""

from typing import Any

from app.mode import Effort, NoiseReduction, SemanticVad, TurnDetection
from app.wire.dialects import SessionPlan

SERVER_VAD = {
    "type": "server_vad",
    "threshold": 0.5,
    "prefix_padding_ms": 300,
    "silence_duration_ms": 200,
    "idle_timeout_ms": None,
    "create_response": True,
    "interrupt_response": True,
}
PCM = {"type": "audio/pcm", "rate": 24000}

GA_CREATED: dict[str, Any] = {
    "type": "realtime",
    "object": "realtime.session",
    "id": "sess_1",
    "model": "gpt-realtime-1.5",
    "output_modalities": ["audio"],
    "instructions": "..",
    "tools": [],
    "tool_choice": "auto",
    "max_output_tokens": "inf",
    "tracing": None,
    "truncation": "auto",
    "prompt": None,
    "expires_at": 1756324625,
    "audio": {
        "input": {"format": PCM, "transcription": None, "noise_reduction": None, "turn_detection": SERVER_VAD},
        "output": {"format": PCM, "voice": "marin", "speed": 1},
    },
    "include": None,
}
FLAT_CREATED: dict[str, Any] = {
    "object": "realtime.session",
    "id": "sess_1",
    "model": "gpt-4o-realtime-preview",
    "modalities": ["audio", "text"],
    "instructions": "..",
    "tools": [],
    "tool_choice": "auto",
    "temperature": 0.8,
    "max_response_output_tokens": "inf",
    "tracing": None,
    "prompt": None,
    "expires_at": 1756324625,
    "input_audio_format": "pcm16",
    "output_audio_format": "pcm16",
    "input_audio_transcription": None,
    "turn_detection": SERVER_VAD,
    "voice": "marin",
    "include": None,
}
HYBRID_CREATED: dict[str, Any] = {
    "object": "realtime.session",
    "id": "sess_1",
    "model": "grok-voice-latest",
    "instructions": "",
    "voice": "ara",
    "tools": [],
    "turn_detection": None,
    "audio": {"input": {"format": PCM}, "output": {"format": PCM}},
}
TINY_CREATED: dict[str, Any] = {"id": "sess_1", "object": "realtime.session", "model": "local"}

TOOL: dict[str, Any] = {
    "type": "function",
    "name": "lookup",
    "description": "..",
    "parameters": {"type": "object", "properties": {}, "required": []},
}


def make_plan(
    *,
    turn_detection: TurnDetection | None = None,
    transcription_model: str = "gpt-live-transcribe",
    voice: str = "marin",
    language: str = "en",
    reasoning: Effort = "",
    noise_reduction: NoiseReduction = "none",
) -> SessionPlan:
    """What we want of a session."""
    return SessionPlan(
        instructions="Be brief.",
        tools=[TOOL],
        voice=voice,
        turn_detection=turn_detection or SemanticVad(eagerness="high"),
        transcription_model=transcription_model,
        language=language,
        reasoning=reasoning,
        noise_reduction=noise_reduction,
    )
