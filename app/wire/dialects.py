"""The dialects of the realtime protocol, as tables: session shapes and names that differ. Events that differ only in name
are understood in every spelling (realtime.py), so a dialect decides only what *we* send.

    ga      OpenAI, Azure v1: `type` required, audio nested under `audio.input` and `audio.output`
    flat    the former beta: everything on top, `modalities`; dead at OpenAI, alive elsewhere
    hybrid  xAI: codecs nested as in ga, voice and turn detection on top as in flat; ga's names of events

Another dialect is one more function from `SessionPlan` to a dict, one for the later update, and a row in `DIALECTS`. What a
server has or lacks whatever its dialect is a column of app/rules/engines.py. Source: docs/02-session-config.md.
"""

import re
from collections.abc import Callable
from typing import Any

import msgspec

from app.mode import Effort, Mode, NoiseReduction, SemanticVad, ServerVad, TurnDetection
from app.rules.elevenlabs import own_voice
from app.rules.engines import Codec, DialectName, Engine

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
    hears: Codec = "pcmu"
    """How the caller's speech is sent."""
    speaks: Codec = "pcmu"
    """How the agent's comes."""
    nested_tools: bool = False
    texts: bool = False
    """It answers in text, and another voice speaks that; `voice` is the one that it falls back to."""
    answers: bool = True
    """The server answers the caller's first words by itself; False: it is asked to. Where a server always does, it does."""

    def fitted(self, engine: Engine) -> "SessionPlan":
        """What of it an engine can be asked for: what it lacks is left out, or is the nearest that it has."""
        return msgspec.structs.replace(
            self,
            voice=engine.voice_for(self.voice),
            turn_detection=vad_for(engine, self.turn_detection),
            transcription_model=engine.transcriber_for(self.transcription_model),
            reasoning=self.reasoning if engine.reasoning else "",
            noise_reduction=self.noise_reduction if engine.noise_reduction else "none",
            hears=engine.hears,
            speaks=engine.speaks,
            nested_tools=engine.nested_tools,
        )

    @classmethod
    def of(cls, mode: Mode, *, model: str, instructions: str, transcription_model: str) -> "SessionPlan":
        """What a mode wants as a call begins: its first turn's tools and turn detection. model: the one that will answer."""
        return cls(
            instructions=instructions,
            tools=[tool.wire() for tool in (mode.first_turn or mode.tools)],
            voice=own_voice(mode.voice),
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
    modality: Callable[[bool], dict[str, Any]]
    """What says, of a session or of one response, that it answers in text (True) or in audio; empty: there is no choice."""
    agent_text: str
    """Type of a text part in an assistant's message."""
    refuses: frozenset[str]
    """`param`s of an error that say: this server speaks another dialect."""
    voice: str = "session.voice"
    """`param` of an error that says: this server does not have that voice."""
    formats: tuple[str, ...] = ("session.audio.input.format", "session.audio.output.format")
    """How a `param` begins that says: this server does not have that codec."""
    answer_limit: str = "max_output_tokens"
    """What says, of one response, how many tokens it has at most."""


SILENCE_MS = {"high": 400, "medium": 500, "auto": 500, "low": 650}
"""By eagerness, the silence that ends a turn where a server does not know by its meaning that it is over."""
NESTED: dict[Codec, dict[str, Any]] = {
    "pcmu": {"type": "audio/pcmu"},
    "pcm16_24k": {"type": "audio/pcm", "rate": 24000},
    "pcm16_16k": {"type": "audio/pcm", "rate": 16000},
}
"""The codecs' names in `ga` and `hybrid`."""
ON_TOP: dict[Codec, str] = {"pcmu": "g711_ulaw", "pcm16_24k": "pcm16", "pcm16_16k": "pcm16"}
"""... and in `flat`, where the rate goes without saying."""


def vad_for(engine: Engine, vad: TurnDetection) -> TurnDetection:
    """The turn detection to ask for where a mode wants this one."""
    if isinstance(vad, SemanticVad) and not engine.semantic_vad:
        return ServerVad(silence_duration_ms=SILENCE_MS[vad.eagerness])
    return vad


def tools_for(tools: list[dict[str, Any]], *, nested: bool) -> list[dict[str, Any]]:
    """Tools as a configuration lists them; nested: each one's words within `function`."""
    if not nested:
        return tools
    return [{"type": tool["type"], "function": {k: v for k, v in tool.items() if k != "type"}} for tool in tools]


def turn_detection(vad: TurnDetection, *, answers: bool = True) -> dict[str, Any]:
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
    return own | {"create_response": answers, "interrupt_response": True}


def _ga(plan: SessionPlan) -> dict[str, Any]:
    listening: dict[str, Any] = {
        "format": NESTED[plan.hears],
        "turn_detection": turn_detection(plan.turn_detection, answers=plan.answers),
    }
    if plan.transcription_model:
        listening["transcription"] = {"model": plan.transcription_model, **_language(plan, many="languages")}
    if plan.noise_reduction != "none":  # left out, not null: a server that is not OpenAI may not know the key
        listening["noise_reduction"] = {"type": plan.noise_reduction}
    session: dict[str, Any] = {
        "type": "realtime",
        **_ga_modality(plan.texts),
        "instructions": plan.instructions,
        "audio": {"input": listening, "output": {"format": NESTED[plan.speaks], "voice": plan.voice}},
        "tools": tools_for(plan.tools, nested=plan.nested_tools),
        "tool_choice": "auto",
    }
    return session | ({"reasoning": {"effort": plan.reasoning}} if plan.reasoning else {})


def _ga_modality(texts: bool) -> dict[str, Any]:
    return {"output_modalities": ["text" if texts else "audio"]}


def _flat_modality(texts: bool) -> dict[str, Any]:
    return {"modalities": ["text"] if texts else ["audio", "text"]}


def _ga_update(tools: list[dict[str, Any]], vad: TurnDetection | None) -> dict[str, Any]:
    update: dict[str, Any] = {"type": "realtime", "tools": tools}
    return update | ({"audio": {"input": {"turn_detection": turn_detection(vad)}}} if vad else {})


def _flat(plan: SessionPlan) -> dict[str, Any]:
    session: dict[str, Any] = {
        **_flat_modality(plan.texts),
        "instructions": plan.instructions,
        "voice": FLAT_VOICES.get(plan.voice, plan.voice),
        "input_audio_format": ON_TOP[plan.hears],
        "output_audio_format": ON_TOP[plan.speaks],
        "turn_detection": turn_detection(plan.turn_detection, answers=plan.answers),
        "tools": tools_for(plan.tools, nested=plan.nested_tools),
        "tool_choice": "auto",
    }
    if plan.transcription_model:
        session["input_audio_transcription"] = {"model": plan.transcription_model, **_language(plan, many="language")}
    if plan.noise_reduction != "none":
        session["input_audio_noise_reduction"] = {"type": plan.noise_reduction}
    return session  # without reasoning: no flat server has it


def _flat_update(tools: list[dict[str, Any]], vad: TurnDetection | None) -> dict[str, Any]:
    return {"tools": tools} | ({"turn_detection": turn_detection(vad)} if vad else {})


def _hybrid(plan: SessionPlan) -> dict[str, Any]:
    listening: dict[str, Any] = {"format": NESTED[plan.hears]}
    if plan.transcription_model:
        hint = {"language_hint": plan.language} if plan.language else {}
        listening["transcription"] = {"model": plan.transcription_model, **hint}
    return {
        "instructions": plan.instructions,
        "voice": plan.voice,
        "turn_detection": _bare(plan.turn_detection),
        "audio": {"input": listening, "output": {"format": NESTED[plan.speaks]}},
        "tools": tools_for(plan.tools, nested=plan.nested_tools),
    }


def _hybrid_update(tools: list[dict[str, Any]], vad: TurnDetection | None) -> dict[str, Any]:
    return {"tools": tools} | ({"turn_detection": _bare(vad)} if vad else {})


def _bare(vad: TurnDetection) -> dict[str, Any]:
    """Turn detection without the keys that say who answers and who stops: the hybrid has neither."""
    return {key: value for key, value in turn_detection(vad).items() if not key.endswith("_response")}


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
    _ga_modality,
    "output_text",
    refuses=frozenset(
        {
            "session.type",
            "session.output_modalities",
            "session.audio",
            "session.audio.output.voice",
            "session.audio.input.turn_detection",
        }
    ),
    voice="session.audio.output.voice",
)
FLAT = Dialect(
    "flat",
    _flat,
    _flat_update,
    _flat_modality,
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
    formats=("session.input_audio_format", "session.output_audio_format"),
    answer_limit="max_response_output_tokens",
)
HYBRID = Dialect(
    "hybrid",
    _hybrid,
    _hybrid_update,
    lambda _: {},
    "output_text",
    refuses=frozenset({"session.type", "session.voice", "session.turn_detection", "session.audio"}),
)
DIALECTS: dict[DialectName, Dialect] = {"ga": GA, "flat": FLAT, "hybrid": HYBRID}


def other(dialect: Dialect, param: str = "") -> Dialect:
    """The dialect to try once, when a server refuses this one's shape. param: what it said is wrong."""
    if dialect is GA and param in ("session.audio.output.voice", "session.audio.input.turn_detection"):
        return HYBRID
    return GA if dialect is FLAT or (dialect is HYBRID and param != "session.audio") else FLAT


def detect(session: dict[str, Any]) -> Dialect | None:
    """The dialect of a `session.created` by its keys; None if they do not tell.

    Source: openai-realtime facts, 1.5 and 1.6.
    """
    nested = isinstance(session.get("audio"), dict)
    if nested and any(session.get(key) is not None for key in ("voice", "turn_detection")):
        return HYBRID
    if session.get("type") in ("realtime", "transcription") or "output_modalities" in session or nested:
        return GA
    if {"modalities", "input_audio_format", "max_response_output_tokens"} & session.keys():
        return FLAT
    return None
