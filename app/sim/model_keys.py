"""What each setting of the realtime protocol may be, as checks for the model stand-in: formats, turn detection, tools, voices.

Source: the server's published schema, and the errors that it answers with. Bounds are the documented ones.
"""

import re
from collections.abc import Mapping
from typing import Any

from app.sim.model_checks import (
    Check,
    Refused,
    anything,
    between,
    boolean,
    by_key,
    keys,
    list_of,
    one_number,
    one_of,
    optional,
    text,
    text_or,
    wrong_type,
    wrong_value,
)  # fmt: skip

VOICES = ("alloy", "ash", "ballad", "cedar", "coral", "echo", "marin", "sage", "shimmer", "verse")
TRANSCRIBERS = (
    "whisper-1", "gpt-transcribe", "gpt-live-transcribe", "gpt-4o-transcribe", "gpt-4o-mini-transcribe",
    "gpt-4o-mini-transcribe-2025-12-15", "gpt-4o-transcribe-diarize", "gpt-realtime-whisper",
)  # fmt: skip
# `gpt-realtime-2025-08-28` is a date, not a second generation
REASONING_MODEL = re.compile(r"gpt-realtime-[2-9](\.\d+)?(-mini)?$")
TOOL_NAME = re.compile(r"[a-zA-Z0-9_-]{1,64}")


def check_tool(value: Any, place: str) -> None:
    """A function tool: flat, not nested under "function", in both dialects."""
    by_key("type", {"function": anything, "mcp": anything})(value, place)
    if value["type"] == "mcp":
        return keys(dict.fromkeys(MCP_KEYS, anything), "server_label")(value, place)
    keys({"type": text, "name": text, "description": text, "parameters": anything}, "name")(value, place)
    if not TOOL_NAME.fullmatch(value["name"]):
        raise wrong_value(f"{place}.name", "letters, digits, underscores and dashes, 64 at most", value["name"])
    schema = value.get("parameters", {"type": "object"})
    if not isinstance(schema, dict):
        raise wrong_type(f"{place}.parameters", "an object", schema)
    if schema.get("type") != "object" or not isinstance(schema.get("properties", {}), dict):
        raise Refused("invalid_function_parameters", f"Invalid schema for function '{value['name']}': "
                      'schema must be a JSON Schema of \'type: "object"\'.', f"{place}.parameters")  # fmt: skip
    return None


def check_metadata(value: Any, place: str) -> None:
    """At most 16 pairs, keys of 64 and values of 512 characters."""
    if not isinstance(value, dict):
        raise wrong_type(place, "an object", value)
    if len(value) > 16:
        raise wrong_value(place, "at most 16 pairs", len(value))
    for key, part in value.items():
        text(part, f"{place}.{key}")
        if len(key) > 64 or len(part) > 512:
            raise wrong_value(f"{place}.{key}", "a key of 64 and a value of 512 characters at most", key)


def check_transcription(value: Any, place: str) -> None:
    """GA's transcription settings, some of which only some models take."""
    known: dict[str, Check] = {"model": one_of(*TRANSCRIBERS), "language": text, "prompt": text, "delay": text}
    keys(known | {"languages": list_of(text), "keywords": list_of(text)})(value, place)
    for key, models in {
        "keywords": ("gpt-transcribe", "gpt-live-transcribe"),
        "languages": ("gpt-transcribe", "gpt-live-transcribe"),
        "delay": ("gpt-realtime-whisper",),
    }.items():
        if key in value and value.get("model") not in models:
            raise Refused(
                "invalid_parameter", f"'{key}' is only supported by {' and '.join(models)}.", f"{place}.{key}"
            )


def _format(kind: str, **more: Check) -> Check:
    return keys({"type": one_of(kind), **more}, "type")


def modalities(*allowed: set[str]) -> Check:
    """One of these sets of output modalities, in any order."""

    def check(value: Any, place: str) -> None:
        list_of(one_of("text", "audio"))(value, place)
        if len(set(value)) != len(value) or set(value) not in allowed:
            raise wrong_value(place, " or ".join(str(sorted(one)) for one in allowed), value)

    return check


def session_type(value: Any, place: str) -> None:
    """GA's `session.type`: a realtime session cannot become one of transcription."""
    one_of("realtime", "transcription")(value, place)
    if value != "realtime":
        raise Refused(
            "invalid_parameter", "Passing a transcription session update to a realtime session is not allowed.", place
        )


MCP_KEYS = (
    "type", "server_label", "server_url", "connector_id", "tunnel_id", "authorization", "headers", "allowed_tools",
    "require_approval", "server_description", "defer_loading", "allowed_callers",
)  # fmt: skip
EITHER = {"create_response": boolean, "interrupt_response": boolean}
DETECTION_DEFAULTS: Mapping[str, dict[str, Any]] = {
    # silence_duration_ms: documented as 500, but this is what the server echoes
    "server_vad": {"type": "server_vad", "threshold": 0.5, "prefix_padding_ms": 300, "silence_duration_ms": 200,
                   "idle_timeout_ms": None, "create_response": True, "interrupt_response": True},
    "semantic_vad": {"type": "semantic_vad", "eagerness": "auto", "create_response": True, "interrupt_response": True},
}  # fmt: skip
DETECTION = optional(by_key("type", {
    "server_vad": keys({
        "type": text, "threshold": between(0, 1), "prefix_padding_ms": between(0, whole=True), **EITHER,
        "silence_duration_ms": between(0, whole=True), "idle_timeout_ms": optional(between(5000, 30000, whole=True)),
    }),
    "semantic_vad": keys({"type": text, "eagerness": one_of("low", "medium", "high", "auto"), **EITHER}),
}))  # fmt: skip
FORMAT = by_key("type", {
    "audio/pcm": _format("audio/pcm", rate=between(24000, 24000, whole=True)),
    "audio/pcmu": _format("audio/pcmu"), "audio/pcma": _format("audio/pcma"),
})  # fmt: skip
FLAT_FORMAT = one_of("pcm16", "g711_ulaw", "g711_alaw")
TOKENS = text_or(between(1, 4096, whole=True), "inf")
VOICE = text_or(keys({"id": text}, "id"), *VOICES)
CHOICE = text_or(by_key("type", {
    "function": keys({"type": text, "name": text}, "name"),
    "mcp": keys({"type": text, "server_label": text, "name": text}, "server_label"),
}), "auto", "none", "required")  # fmt: skip
REASONING = keys({"effort": one_of("minimal", "low", "medium", "high", "xhigh")})
HYBRID_VOICES = ("ara", "eve", "leo", "rex", "sal")
"""Of the real one's, those that are always there; by any case."""


def check_hybrid_voice(value: Any, place: str) -> None:
    """A voice of the hybrid's."""
    text(value, place)
    one_of(*HYBRID_VOICES)(value.lower(), place)


HYBRID_DETECTION = optional(keys({
    "type": one_of("server_vad"), "threshold": between(0.1, 0.9), "prefix_padding_ms": between(0, 10_000, whole=True),
    "silence_duration_ms": between(0, 10_000, whole=True), "idle_timeout_ms": optional(between(5000, 30000, whole=True)),
}, "type"))  # fmt: skip
HYBRID_DETECTION_DEFAULTS: Mapping[str, dict[str, Any]] = {
    "server_vad": {"type": "server_vad", "threshold": 0.85, "prefix_padding_ms": 333, "silence_duration_ms": 500},
}  # fmt: skip
HYBRID_FORMAT = by_key("type", {
    # the real one has rates from 8000 to 48000; nobody here speaks others
    "audio/pcm": _format("audio/pcm", rate=one_number(16000, 24000)), "audio/pcmu": _format("audio/pcmu"),
    "audio/pcma": _format("audio/pcma"),
})  # fmt: skip
HYBRID_AUDIO = keys({
    "input": keys({"format": HYBRID_FORMAT, "transcription": optional(keys({
        "model": one_of("grok-transcribe"), "language_hint": text, "keyterms": list_of(text),
    }))}),
    "output": keys({"format": HYBRID_FORMAT, "speed": between(0.7, 1.5)}),
})  # fmt: skip
PROMPT = optional(keys({"id": text, "version": text, "variables": anything}, "id"))
TRUNCATION = text_or(keys({"type": one_of("retention_ratio"), "retention_ratio": between(0, 1), "token_limits": anything},
                           "type", "retention_ratio"), "auto", "disabled")  # fmt: skip
TRACING = optional(text_or(keys({"workflow_name": text, "group_id": text, "metadata": anything}), "auto"))
NOISE = {"type": one_of("near_field", "far_field")}
SHARED: dict[str, Check] = {"instructions": text, "tools": list_of(check_tool), "tool_choice": CHOICE}
PER_RESPONSE: dict[str, Check] = {
    **SHARED, "conversation": one_of("auto", "none"), "metadata": optional(check_metadata), "input": list_of(anything),
}  # fmt: skip
GA_AUDIO = keys({
    "input": keys({
        "format": FORMAT, "transcription": optional(check_transcription), "turn_detection": DETECTION,
        "noise_reduction": optional(keys({**NOISE, "strength": between(0, 1)})),
    }),
    "output": keys({"format": FORMAT, "voice": VOICE, "speed": between(0.25, 1.5)}),
})  # fmt: skip
