"""The dialects of the realtime protocol, as tables: session shapes and names that differ. Events that differ only in name
are understood in every spelling (realtime.py), so a dialect decides only what *we* send.

    ga      OpenAI, Azure v1: `type` required, audio nested under `audio.input` and `audio.output`
    flat    the former beta: everything on top, `modalities`; dead at OpenAI, alive elsewhere

A third dialect is one more function from `SessionPlan` to a dict, and one more row in `DIALECTS`.
Source: docs/02-session-config.md.
"""

import re
from collections.abc import Callable
from typing import Any, Literal

import msgspec

from app.mode import Effort, Mode, NoiseReduction, SemanticVad, ServerVad, TurnDetection

DialectName = Literal["ga", "flat"]

REASONS = re.compile(r"gpt-realtime-([2-9]|\d\d)(\.\d+)?(-.*)?")
"""The second generation and later; `gpt-realtime-2025-08-28` is a date of the first."""


def reasons(model: str) -> bool:
    """Whether a model takes `reasoning`, by its name: to any other it is an unknown parameter, and the session is refused.

    A deployment (Azure) is known by its own name: call it as the model, with what you like behind it.
    """
    return REASONS.fullmatch(model) is not None


class SessionPlan(msgspec.Struct, frozen=True, kw_only=True):
    """What we want of a session, in no dialect."""

    instructions: str
    tools: list[dict[str, Any]]
    voice: str
    turn_detection: TurnDetection
    transcription_model: str
    """Empty: no transcription of the caller."""
    language: str = "en"
    reasoning: Effort = ""
    """Empty: nothing is said of it."""
    noise_reduction: NoiseReduction = "none"

    @classmethod
    def of(cls, mode: Mode, *, model: str, instructions: str, transcription_model: str) -> "SessionPlan":
        """What a mode wants as a call begins: its first turn's tools and turn detection. model: the one that will answer."""
        return cls(
            instructions=instructions,
            tools=[tool.wire() for tool in (mode.first_turn or mode.tools)],
            voice=mode.voice,
            turn_detection=mode.first_turn_detection,
            transcription_model=transcription_model,
            reasoning=mode.reasoning if reasons(model) else "",
            noise_reduction=mode.noise_reduction,
        )


class Dialect(msgspec.Struct, frozen=True):
    """How one family of servers wants to be spoken to."""

    name: DialectName
    session: Callable[[SessionPlan], dict[str, Any]]
    """The whole configuration."""
    update: Callable[[list[dict[str, Any]], TurnDetection | None], dict[str, Any]]
    """A later change of tools and, unless None, turn detection; nothing else changes."""
    agent_text: str
    """Type of a text part in an assistant's message."""
    refuses: frozenset[str]
    """`param`s of an error that say: this server speaks another dialect."""


def turn_detection(vad: TurnDetection) -> dict[str, Any]:
    """Turn detection as every dialect writes it. We rely on the server to answer and to stop at a barge-in by itself."""
    match vad:
        case SemanticVad(eagerness=eagerness):
            own: dict[str, Any] = {"type": "semantic_vad", "eagerness": eagerness}
        case ServerVad():
            own = {
                "type": "server_vad",
                "threshold": vad.threshold,
                "prefix_padding_ms": vad.prefix_padding_ms,
                "silence_duration_ms": vad.silence_duration_ms,
            }
    return own | {"create_response": True, "interrupt_response": True}


def _ga(plan: SessionPlan) -> dict[str, Any]:
    listening: dict[str, Any] = {
        "format": {"type": "audio/pcmu"},
        "turn_detection": turn_detection(plan.turn_detection),
    }
    if plan.transcription_model:
        listening["transcription"] = {"model": plan.transcription_model, **_language(plan, many="languages")}
    if plan.noise_reduction != "none":  # left out, not null: a server that is not OpenAI may not know the key
        listening["noise_reduction"] = {"type": plan.noise_reduction}
    session: dict[str, Any] = {
        "type": "realtime",
        "output_modalities": ["audio"],
        "instructions": plan.instructions,
        "audio": {"input": listening, "output": {"format": {"type": "audio/pcmu"}, "voice": plan.voice}},
        "tools": plan.tools,
        "tool_choice": "auto",
    }
    return session | ({"reasoning": {"effort": plan.reasoning}} if plan.reasoning else {})


def _ga_update(tools: list[dict[str, Any]], vad: TurnDetection | None) -> dict[str, Any]:
    update: dict[str, Any] = {"type": "realtime", "tools": tools}
    return update | ({"audio": {"input": {"turn_detection": turn_detection(vad)}}} if vad else {})


def _flat(plan: SessionPlan) -> dict[str, Any]:
    session: dict[str, Any] = {
        "modalities": ["audio", "text"],
        "instructions": plan.instructions,
        "voice": FLAT_VOICES.get(plan.voice, plan.voice),
        "input_audio_format": "g711_ulaw",
        "output_audio_format": "g711_ulaw",
        "turn_detection": turn_detection(plan.turn_detection),
        "tools": plan.tools,
        "tool_choice": "auto",
    }
    if plan.transcription_model:
        session["input_audio_transcription"] = {"model": plan.transcription_model, **_language(plan, many="language")}
    if plan.noise_reduction != "none":
        session["input_audio_noise_reduction"] = {"type": plan.noise_reduction}
    return session  # without reasoning: no flat server has it


def _flat_update(tools: list[dict[str, Any]], vad: TurnDetection | None) -> dict[str, Any]:
    return {"tools": tools} | ({"turn_detection": turn_detection(vad)} if vad else {})


def _language(plan: SessionPlan, *, many: str) -> dict[str, Any]:
    """`languages` is for the newer transcription models only; the older ones take one `language`."""
    if not plan.language:
        return {}
    if many == "languages" and plan.transcription_model in ("gpt-transcribe", "gpt-live-transcribe"):
        return {"languages": [plan.language]}
    return {"language": plan.language}


FLAT_VOICES = {"marin": "shimmer", "cedar": "verse"}
"""The newer voices came with the GA dialect; a flat server gets the nearest older one."""

GA = Dialect(
    "ga",
    _ga,
    _ga_update,
    "output_text",
    refuses=frozenset({"session.type", "session.output_modalities", "session.audio"}),
)
FLAT = Dialect(
    "flat",
    _flat,
    _flat_update,
    "text",
    refuses=frozenset(
        {
            "session.type",
            "session.modalities",
            "session.voice",
            "session.input_audio_format",
            "session.output_audio_format",
            "session.turn_detection",
            "session.input_audio_transcription",
            "session.input_audio_noise_reduction",
        }
    ),
)
DIALECTS: dict[DialectName, Dialect] = {"ga": GA, "flat": FLAT}


def other(dialect: Dialect) -> Dialect:
    """The dialect to try once, when a server refuses this one's shape."""
    return FLAT if dialect is GA else GA


def detect(session: dict[str, Any]) -> Dialect | None:
    """The dialect of a `session.created` by its keys; None if they do not tell.

    Source: openai-realtime facts, 1.5 and 1.6. A hybrid (nested audio beside a top-level voice) takes GA's event names and
    is not told apart here yet.
    """
    nested = isinstance(session.get("audio"), dict)
    if session.get("type") in ("realtime", "transcription") or "output_modalities" in session or nested:
        return GA
    if {"modalities", "input_audio_format", "max_response_output_tokens"} & session.keys():
        return FLAT
    return None
