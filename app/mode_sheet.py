"""A mode's sheet: what it is made of, as the model will get it, and what it costs in tokens."""

from datetime import UTC, datetime
from itertools import chain
from typing import Any

import msgspec

from app import prompts, tokens
from app.flow_sheet import ShownFlow, look_at_flow
from app.mode import Mode
from app.rules.elevenlabs import ElevenLabs, own_voice
from app.rules.engines import ENGINES, Engine, lacks, profile
from app.settings import Settings
from app.tools import Tool
from app.wire.dialects import reasons, turn_detection, vad_for


class ShownEngine(msgspec.Struct, kw_only=True):
    """What answers: its profile as far as the settings tell. The server's own word may change dialect and codecs."""

    name: str
    dialect: str
    hears: str
    speaks: str
    lacks: list[str]
    """What it has not, and so is not used."""


class Listening(msgspec.Struct, kw_only=True):
    """How the caller is heard; turn detection as the session's configuration has it."""

    noise_reduction: str
    first_turn: dict[str, Any]
    later_turns: dict[str, Any]


class ShownTool(msgspec.Struct, kw_only=True):
    """One tool. `tokens` counts its JSON as it goes into the configuration."""

    name: str
    description: str
    parameters: dict[str, Any]
    first_turn: bool
    states: list[str]
    """Where it is offered; empty: everywhere."""
    deadline_seconds: float
    filler: str
    tokens: int


class Costs(msgspec.Struct, kw_only=True):
    """Tokens by the vocabulary o200k_base. `first_turn` and `all_tools` are the prompt and the tools then offered, together.

    With a flow, `all_tools` is of the state that offers most.
    """

    prompt: int
    max_prompt: int
    reference_prompt: int = tokens.REFERENCE_PROMPT
    first_turn: int
    all_tools: int


class Shown(msgspec.Struct, kw_only=True):
    """All of a mode. `reasoning` is what is sent: empty where the model does not take it. `outcome` None: any fields."""

    name: str
    stamp: str
    """Of this version of it, as the books have it with its calls."""
    model: str
    engine: ShownEngine
    reasoning: str
    voice: str
    transcription: str
    listening: Listening
    opening: str
    outcome: list[str] | None
    tokens: Costs
    prompt: str
    tools: list[ShownTool]
    flow: ShownFlow | None
    warnings: list[str]


def look(mode: Mode, settings: Settings) -> Shown:
    """What the model will get in this mode, of a caller whose number is known."""
    call = prompts.Situation(caller="+14155550100", dialled="+14155550199", now=settings.office.now(datetime.now(UTC)))
    prompt = prompts.render(mode, settings.office, call)
    model = mode.model or settings.realtime_model
    first = {tool.name for tool in mode.first_turn or mode.tools}
    shown_tools = []
    flow = look_at_flow(mode)
    in_states = _in_states(mode)
    for tool in (*mode.tools, *(tool for tool, _ in in_states.values())):
        wire = tool.wire()
        shown_tools.append(
            ShownTool(
                name=tool.name,
                description=wire["description"],
                parameters=wire["parameters"],
                first_turn=tool.name in first,
                states=in_states[tool.name][1] if tool.name in in_states else [],
                deadline_seconds=tool.deadline_seconds,
                filler=tool.filler,
                tokens=tokens.count_tool(wire),
            )
        )
    size = tokens.count(prompt)
    warnings = []
    if size > tokens.REFERENCE_PROMPT:
        warnings.append(
            f"mode {mode.name!r}: its prompt is {size} tokens, above the {tokens.REFERENCE_PROMPT} of the reference prompt; "
            "every turn pays for it, shorten it"
        )
    engine = _engine(settings)
    own = own_voice(mode.voice)
    voice = engine.voice_for(own)
    if voice != own:
        warnings.append(f"mode {mode.name!r}: the engine {engine.name} has no voice {own!r}, and speaks as {voice!r}")
    if isinstance(mode.voice, ElevenLabs):
        why = voice_missing(settings, engine)
        warnings += [f"mode {mode.name!r}: its voice is {voice!r}: {why}"] if why else []
        voice = voice if why else f"ElevenLabs {mode.voice.voice_id} ({mode.voice.model}), else {voice}"
    reasoning = mode.reasoning if reasons(model) and engine.reasoning else ""
    if mode.reasoning and not reasons(model):
        warnings.append(f"mode {mode.name!r}: reasoning={mode.reasoning!r} is not sent, for {model} does not reason")
    return Shown(
        name=mode.name,
        stamp=mode.edition.stamp,
        model=model,
        engine=ShownEngine(
            name=engine.name,
            dialect=settings.realtime_dialect if settings.realtime_dialect != "auto" else engine.dialect or "detected",
            hears=engine.hears,
            speaks=engine.speaks,
            lacks=lacks(engine),
        ),
        reasoning=reasoning,
        voice=voice,
        transcription=engine.transcriber_for(settings.transcription_model),
        listening=Listening(
            noise_reduction=mode.noise_reduction if engine.noise_reduction else "none",
            first_turn=turn_detection(vad_for(engine, mode.first_turn_detection)),
            later_turns=turn_detection(vad_for(engine, mode.turn_detection)),
        ),
        opening=mode.opening,
        outcome=list(mode.outcome.__struct_fields__) if mode.outcome else None,
        tokens=Costs(
            prompt=size,
            max_prompt=mode.max_prompt_tokens,
            first_turn=size + sum(tool.tokens for tool in shown_tools if tool.first_turn),
            all_tools=size
            + sum(tool.tokens for tool in shown_tools if not tool.states)
            + max((state.tools_tokens for state in (flow.states if flow is not None else ())), default=0),
        ),
        prompt=prompt,
        tools=shown_tools,
        flow=flow,
        warnings=warnings,
    )


def every_tool(mode: Mode) -> dict[str, Tool]:
    """A mode's tools by their names, those of its flow's states included."""
    states = () if mode.flow is None else mode.flow.states
    tools = chain(mode.first_turn, mode.tools, *(state.tools for state in states))
    return {tool.name: tool for tool in tools}


def voice_missing(settings: Settings, engine: Engine) -> str:
    """Why voices of ElevenLabs cannot be had; empty if they can."""
    if not engine.text_answers:
        return f"the engine {engine.name} cannot answer in text alone"
    if not (settings.elevenlabs_api_key or settings.elevenlabs_url or settings.stand_in):
        return "there is no ELEVENLABS_API_KEY"
    return ""


def _engine(settings: Settings) -> Engine:
    """What the settings dial; the built-in stand-in is like any other server."""
    name = "other" if settings.stand_in else settings.realtime_engine
    return profile(
        settings.realtime_url,
        None if name == "auto" else ENGINES[name],
        codec=None if settings.realtime_audio == "auto" else settings.realtime_audio,
    )


def _in_states(mode: Mode) -> dict[str, tuple[Tool, list[str]]]:
    """Tools that only some states offer, by name, each with those states."""
    found: dict[str, tuple[Tool, list[str]]] = {}
    common = {tool.name for tool in mode.tools}
    for state in mode.flow.states if mode.flow is not None else ():
        for tool in state.tools:
            if tool.name not in common:
                found.setdefault(tool.name, (tool, []))[1].append(state.name)
    return found
