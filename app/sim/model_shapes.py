"""The shapes of the realtime protocol that the model stand-in speaks: "ga" (nested), "flat" (the old beta), "hybrid" (xAI).

A `Shape` says which keys a client may send, what the server echoes by default, where each setting lies in it, and how the
events and content parts are called. Everything else in the stand-in speaks GA words and is translated here.
Source: the defaults are those of the API's documented `session.created` examples; of the hybrid, what its documentation lists, and
what is not in there is refused.
"""

import copy
from collections.abc import Callable, Mapping
from typing import Any, Literal

import msgspec

from app.errors import SetupError
from app.sim.model_checks import Check, anything, between, boolean, keys, list_of, one_of, optional, text, wrong_value
from app.sim.model_keys import (
    DETECTION,
    DETECTION_DEFAULTS,
    FLAT_FORMAT,
    FORMAT,
    GA_AUDIO,
    HYBRID_AUDIO,
    HYBRID_DETECTION,
    HYBRID_DETECTION_DEFAULTS,
    NOISE,
    PER_RESPONSE,
    PROMPT,
    REASONING,
    REASONING_MODEL,
    SHARED,
    TOKENS,
    TRACING,
    TRANSCRIBERS,
    TRUNCATION,
    VOICE,
    check_hybrid_voice,
    check_tool,
    modalities,
    session_type,
)  # fmt: skip

Dialect = Literal["ga", "flat", "hybrid"]
Audio = Literal["any", "pcmu", "pcm16", "pcm16_16k"]
"""The codecs that a stand-in has: all; g711 u-law alone; PCM16 at 24 kHz alone, or with 16 kHz on the way in."""
FORMS: Mapping[Audio, tuple[str, str]] = {
    "pcmu": ("pcmu", "pcmu"),
    "pcm16": ("pcm", "pcm"),
    "pcm16_16k": ("pcm16k", "pcm"),
}
"""... by the name of the form that comes in and of the one that goes out."""


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """What a session's configuration means, whichever shape it came in. Formats: "pcmu", "pcma", "pcm" or "pcm16k"."""

    instructions: str
    modality: Literal["audio", "text"]
    input_format: str
    output_format: str
    transcription: dict[str, Any] | None
    turn_detection: dict[str, Any] | None
    voice: Any
    speed: float
    tools: list[dict[str, Any]]
    tool_choice: Any
    max_tokens: int | None

    @property
    def tool_names(self) -> set[str]:
        """Names of the function tools on offer."""
        return {tool["name"] for tool in self.tools if tool.get("type") == "function"}


class Shape(msgspec.Struct, frozen=True, kw_only=True):
    """One dialect. `paths`: where a setting lies; `events`: names that differ, None for those not sent; `parts`: content parts."""

    dialect: Dialect
    session: Check
    response: Check
    defaults: Mapping[str, Any]
    paths: Mapping[str, tuple[str, ...]]
    events: Mapping[str, str | None]
    parts: Mapping[str, str]
    formats: Callable[[Any], str]
    detections: Mapping[str, dict[str, Any]] = msgspec.field(default_factory=lambda: DETECTION_DEFAULTS)
    """What turn detection of each type is, where the client does not say."""
    implied: Mapping[str, Any] = {}
    """What turn detection does without there being a key for it."""
    lacks: frozenset[str] = frozenset()
    """Client events that it does not know."""
    bare_pcm: str = "pcm"
    """What PCM without a rate is on the way in."""

    def created(self, model: str, session_id: str, expires_at: int) -> dict[str, Any]:
        """The whole configuration as the server begins with it."""
        config = copy.deepcopy(dict(self.defaults))
        config.update(id=session_id, model=model, expires_at=expires_at)
        if self.dialect == "ga" and REASONING_MODEL.match(model):
            config["reasoning"] = {"effort": "low"}
        return config

    def get(self, config: Mapping[str, Any], name: str) -> Any:
        """The value of one setting; None if it is not there."""
        value: Any = config
        for key in self.paths[name]:
            value = value.get(key) if isinstance(value, Mapping) else None
        return value

    def settings(self, config: Mapping[str, Any]) -> Settings:
        """What a whole configuration means."""
        modalities, limit = self.get(config, "modalities") or ["audio"], self.get(config, "max_tokens")
        detection, comes = self.get(config, "turn_detection"), self.formats(self.get(config, "input_format"))
        return Settings(
            instructions=self.get(config, "instructions") or "",
            modality="audio" if "audio" in modalities else "text",
            input_format=self.bare_pcm if comes == "pcm" else comes,
            output_format=self.formats(self.get(config, "output_format")),
            transcription=self.get(config, "transcription"),
            turn_detection=detection and {**self.implied, **detection},
            voice=self.get(config, "voice"),
            speed=self.get(config, "speed") or 1,
            tools=self.get(config, "tools") or [],
            tool_choice=self.get(config, "tool_choice") or "auto",
            max_tokens=limit if isinstance(limit, int) else None,
        )

    def merged(self, config: Mapping[str, Any], change: Mapping[str, Any]) -> dict[str, Any]:
        """The configuration after a checked `session.update`: only what is present changes. Source: session.update."""
        after = merge(config, change, ("audio", "input", "output"))
        detection = self.get(after, "turn_detection")
        if detection is not None:
            self._put(after, "turn_detection", self.detections[detection["type"]] | detection)
        return after

    def for_response(self, config: Mapping[str, Any], body: Mapping[str, Any]) -> dict[str, Any]:
        """The configuration for one response: the session's, with what its `response.create` says instead."""
        return merge(config, body, ("audio", "output"))

    def event(self, event: dict[str, Any]) -> dict[str, Any] | None:
        """An event in this dialect's words; None if it has no such event."""
        name = self.events.get(event["type"], event["type"])
        return None if name is None else event | {"type": name}

    def item(self, item: Mapping[str, Any]) -> dict[str, Any]:
        """An item in this dialect's words."""
        if "content" not in item:
            return dict(item)
        content = [part | {"type": self.parts.get(part["type"], part["type"])} for part in item["content"]]
        return {**item, "content": content}

    def plain_part(self, kind: str) -> str:
        """GA's name of a content part that came in this dialect's words."""
        return next((ga for ga, ours in self.parts.items() if ours == kind), kind)

    def response_fields(self, settings: Settings, config: Mapping[str, Any]) -> dict[str, Any]:
        """What a response object says about its form."""
        limit = settings.max_tokens or "inf"
        if self.dialect == "ga":
            output = {"format": self.get(config, "output_format"), "voice": settings.voice}
            return {"output_modalities": [settings.modality], "audio": {"output": output}, "max_output_tokens": limit}
        if self.dialect == "hybrid":
            return {"audio": {"output": {"format": self.get(config, "output_format")}}, "voice": settings.voice}
        return {
            "modalities": self.get(config, "modalities"),
            "voice": settings.voice,
            "output_audio_format": self.get(config, "output_format"),
            "temperature": config.get("temperature"),
            "max_output_tokens": limit,
        }

    def _put(self, config: dict[str, Any], name: str, value: Any) -> None:
        *way, last = self.paths[name]
        for key in way:
            config = config[key]
        config[last] = value


def merge(before: Mapping[str, Any], change: Mapping[str, Any], deep: tuple[str, ...]) -> dict[str, Any]:
    """A copy of `before` with `change` in it; objects under the keys `deep` are merged, others replaced."""
    after = dict(before)
    for key, value in change.items():
        both = key in deep and isinstance(value, Mapping) and isinstance(before.get(key), Mapping)
        after[key] = merge(before[key], value, deep) if both else copy.deepcopy(value)
    return after


def _nested_form(value: Mapping[str, Any]) -> str:
    kind = str(value["type"].removeprefix("audio/"))
    return "pcm16k" if kind == "pcm" and value.get("rate") == 16000 else kind


_SERVER_VAD = DETECTION_DEFAULTS["server_vad"]

GA = Shape(
    dialect="ga",
    session=keys({
        "type": session_type, "model": text, "output_modalities": modalities({"audio"}, {"text"}), "audio": GA_AUDIO,
        "max_output_tokens": TOKENS, "parallel_tool_calls": boolean, "reasoning": REASONING, "prompt": PROMPT,
        "truncation": TRUNCATION, "tracing": TRACING, "include": optional(list_of(text)), **SHARED,
    }, "type"),
    response=keys({
        "output_modalities": modalities({"audio"}, {"text"}), "max_output_tokens": TOKENS, "prompt": PROMPT,
        "audio": keys({"output": keys({"format": FORMAT, "voice": VOICE})}), "parallel_tool_calls": boolean,
        "reasoning": REASONING, **PER_RESPONSE,
    }),
    defaults={
        "type": "realtime", "object": "realtime.session", "output_modalities": ["audio"], "instructions": "", "tools": [],
        "tool_choice": "auto", "max_output_tokens": "inf", "tracing": None, "truncation": "auto", "prompt": None,
        "audio": {
            "input": {"format": {"type": "audio/pcm", "rate": 24000}, "transcription": None, "noise_reduction": None,
                      "turn_detection": _SERVER_VAD},
            "output": {"format": {"type": "audio/pcm", "rate": 24000}, "voice": "marin", "speed": 1},
        },
        "include": None,
    },
    paths={
        "instructions": ("instructions",), "modalities": ("output_modalities",), "tools": ("tools",),
        "tool_choice": ("tool_choice",), "max_tokens": ("max_output_tokens",),
        "input_format": ("audio", "input", "format"), "output_format": ("audio", "output", "format"),
        "transcription": ("audio", "input", "transcription"), "turn_detection": ("audio", "input", "turn_detection"),
        "voice": ("audio", "output", "voice"), "speed": ("audio", "output", "speed"),
    },
    events={},
    parts={},
    formats=_nested_form,
)  # fmt: skip

FLAT = Shape(
    dialect="flat",
    session=keys({
        "model": text, "voice": VOICE, "modalities": modalities({"text", "audio"}, {"text"}), "speed": between(0.25, 1.5),
        "input_audio_format": FLAT_FORMAT, "output_audio_format": FLAT_FORMAT, "turn_detection": DETECTION,
        "input_audio_transcription": optional(keys({"model": one_of(*TRANSCRIBERS), "language": text, "prompt": text})),
        "input_audio_noise_reduction": optional(keys(NOISE)), "temperature": between(0.6, 1.2), "tracing": TRACING,
        "max_response_output_tokens": TOKENS, "include": optional(list_of(text)), **SHARED,
    }),
    response=keys({
        "modalities": modalities({"text", "audio"}, {"text"}), "voice": VOICE, "output_audio_format": FLAT_FORMAT,
        "temperature": between(0.6, 1.2), "max_response_output_tokens": TOKENS, **PER_RESPONSE,
    }),
    defaults={
        "object": "realtime.session", "modalities": ["audio", "text"], "instructions": "", "tools": [], "tool_choice": "auto",
        "temperature": 0.8, "max_response_output_tokens": "inf", "tracing": None, "prompt": None,
        "input_audio_format": "pcm16", "output_audio_format": "pcm16", "input_audio_transcription": None,
        "turn_detection": _SERVER_VAD, "voice": "marin", "include": None,
    },
    paths={
        "instructions": ("instructions",), "modalities": ("modalities",), "tools": ("tools",), "tool_choice": ("tool_choice",),
        "max_tokens": ("max_response_output_tokens",), "input_format": ("input_audio_format",),
        "output_format": ("output_audio_format",), "transcription": ("input_audio_transcription",),
        "turn_detection": ("turn_detection",), "voice": ("voice",), "speed": ("speed",),
    },
    events={
        "response.output_audio.delta": "response.audio.delta", "response.output_audio.done": "response.audio.done",
        "response.output_audio_transcript.delta": "response.audio_transcript.delta",
        "response.output_audio_transcript.done": "response.audio_transcript.done",
        "response.output_text.delta": "response.text.delta", "response.output_text.done": "response.text.done",
        "conversation.item.added": "conversation.item.created", "conversation.item.done": None,
    },
    parts={"output_text": "text", "output_audio": "audio"},
    formats=lambda value: {"pcm16": "pcm", "g711_ulaw": "pcmu", "g711_alaw": "pcma"}[value],
)  # fmt: skip

HYBRID = Shape(
    dialect="hybrid",
    session=keys({
        "model": text, "instructions": text, "voice": check_hybrid_voice, "turn_detection": HYBRID_DETECTION,
        "audio": HYBRID_AUDIO, "tools": list_of(check_tool), "resumption": keys({"enabled": boolean}),
        "replace": anything, "reasoning": keys({"effort": one_of("high", "none")}),
    }),
    response=keys({"instructions": text}),
    defaults={
        "object": "realtime.session", "instructions": "", "voice": "ara", "tools": [], "turn_detection": None,
        "audio": {"input": {"format": {"type": "audio/pcm", "rate": 24000}},
                  "output": {"format": {"type": "audio/pcm", "rate": 24000}}},
    },
    paths={
        "instructions": ("instructions",), "modalities": ("output_modalities",), "tools": ("tools",),
        "tool_choice": ("tool_choice",), "max_tokens": ("max_output_tokens",),
        "input_format": ("audio", "input", "format"), "output_format": ("audio", "output", "format"),
        "transcription": ("audio", "input", "transcription"), "turn_detection": ("turn_detection",),
        "voice": ("voice",), "speed": ("audio", "output", "speed"),
    },
    events={"conversation.item.input_audio_transcription.delta": None},
    parts={},
    formats=_nested_form,
    detections=HYBRID_DETECTION_DEFAULTS,
    implied={"create_response": True},
    lacks=frozenset({"conversation.item.truncate", "conversation.item.delete", "conversation.item.retrieve"}),
)  # fmt: skip

SHAPES: Mapping[Dialect, Shape] = {"ga": GA, "flat": FLAT, "hybrid": HYBRID}


def speaking(shape: Shape, audio: Audio) -> Shape:
    """A shape that has these codecs alone, and refuses the others. Raises SetupError for what the real server has not."""
    if audio == "any":
        return shape
    if audio == "pcm16_16k" and shape.dialect == "ga":
        raise SetupError("expected pcm16 for the ga dialect, whose PCM is at 24 kHz both ways; got pcm16_16k")
    comes, goes = FORMS[audio]
    bare = comes if shape.dialect == "flat" and comes != "pcmu" else "pcm"

    def session(change: Any, place: str) -> None:
        shape.session(change, place)
        for name, wanted in (("input_format", comes), ("output_format", goes)):
            value = shape.get(change, name)
            form = value and shape.formats(value)
            if form and (bare if form == "pcm" and name == "input_format" else form) != wanted:
                at = ".".join((place, *shape.paths[name], *(("type",) if isinstance(value, dict) else ())))
                raise wrong_value(at, f"what this server speaks ({audio})", value)

    return msgspec.structs.replace(shape, session=session, bare_pcm=bare)
