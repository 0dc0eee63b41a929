"""`./offhook show MODE`: what a mode is made of, as the model will get it, and what it costs in tokens."""

import sys
from datetime import UTC, datetime
from typing import Any

import msgspec

from app import prompts, registry, tokens
from app import settings as all_settings
from app.errors import SetupError
from app.mode import Mode
from app.settings import Settings
from app.wire.dialects import reasons, turn_detection


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
    deadline_seconds: float
    filler: str
    tokens: int


class Costs(msgspec.Struct, kw_only=True):
    """Tokens by the vocabulary o200k_base. `first_turn` and `all_tools` are the prompt and the tools then offered, together."""

    prompt: int
    max_prompt: int
    reference_prompt: int = tokens.REFERENCE_PROMPT
    first_turn: int
    all_tools: int


class Shown(msgspec.Struct, kw_only=True):
    """All of a mode. `reasoning` is what is sent: empty where the model does not take it. `outcome` None: any fields."""

    name: str
    model: str
    reasoning: str
    voice: str
    listening: Listening
    opening: str
    outcome: list[str] | None
    tokens: Costs
    prompt: str
    tools: list[ShownTool]
    warnings: list[str]


def show(name: str, *, as_json: bool = False) -> str:
    """A mode as text or as one JSON object; its warnings are in there, and on stderr. Raises SetupError if it is unknown."""
    settings = all_settings.load()
    modes = registry.find(settings).modes
    mode = modes.get(name)
    if mode is None:
        raise SetupError(f"expected a mode, one of {', '.join(modes)}, got {name!r}")
    shown = look(mode, settings)
    for warning in shown.warnings:
        print(f"offhook show: warning: {warning}", file=sys.stderr)
    return msgspec.json.encode(shown).decode() if as_json else _text(shown)


def look(mode: Mode, settings: Settings) -> Shown:
    """What the model will get in this mode, of a caller whose number is known."""
    call = prompts.Situation(caller="+14155550100", dialled="+14155550199", now=settings.office.now(datetime.now(UTC)))
    prompt = prompts.render(mode, settings.office, call)
    model = mode.model or settings.realtime_model
    first = {tool.name for tool in mode.first_turn or mode.tools}
    shown_tools = []
    for tool in mode.tools:
        wire = tool.wire()
        shown_tools.append(
            ShownTool(
                name=tool.name,
                description=wire["description"],
                parameters=wire["parameters"],
                first_turn=tool.name in first,
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
    if mode.reasoning and not reasons(model):
        warnings.append(f"mode {mode.name!r}: reasoning={mode.reasoning!r} is not sent, for {model} does not reason")
    return Shown(
        name=mode.name,
        model=model,
        reasoning=mode.reasoning if reasons(model) else "",
        voice=mode.voice,
        listening=Listening(
            noise_reduction=mode.noise_reduction,
            first_turn=turn_detection(mode.first_turn_detection),
            later_turns=turn_detection(mode.turn_detection),
        ),
        opening=mode.opening,
        outcome=list(mode.outcome.__struct_fields__) if mode.outcome else None,
        tokens=Costs(
            prompt=size,
            max_prompt=mode.max_prompt_tokens,
            first_turn=size + sum(tool.tokens for tool in shown_tools if tool.first_turn),
            all_tools=size + sum(tool.tokens for tool in shown_tools),
        ),
        prompt=prompt,
        tools=shown_tools,
        warnings=warnings,
    )


def _text(shown: Shown) -> str:
    costs = shown.tokens
    lines = [
        f"mode {shown.name}: model {shown.model}, reasoning {shown.reasoning or '(not sent)'}, voice {shown.voice}",
        f"turn detection: first {_vad(shown.listening.first_turn)}, then {_vad(shown.listening.later_turns)}",
        f"noise reduction: {shown.listening.noise_reduction}",
        f"opening: {shown.opening or '(the caller speaks first)'}",
        f"outcome: {'any fields' if shown.outcome is None else ', '.join(shown.outcome)}",
        f"tokens ({tokens.VOCABULARY}): prompt {costs.prompt}, with the first turn's tools {costs.first_turn}, "
        f"with all tools {costs.all_tools}",
        *(f"WARNING: {warning}" for warning in shown.warnings),
        "",
        f"prompt, {costs.prompt} of at most {costs.max_prompt} tokens:",
        *("  " + line for line in shown.prompt.splitlines()),
    ]
    for tool in shown.tools:
        when = "first turn" if tool.first_turn else "after the first answer"
        lines += [
            "",
            f"tool {tool.name} ({when}, deadline {tool.deadline_seconds:g} s, {tool.tokens} tokens)",
            *("  " + line for line in tool.description.splitlines()),
            "  " + msgspec.json.encode(tool.parameters).decode(),
        ]
    return "\n".join(lines)


def _vad(configured: dict[str, Any]) -> str:
    """The turn detection's kind, and the values that a mode can choose."""
    kind, *values = [(key, value) for key, value in configured.items() if not isinstance(value, bool)]
    return f"{kind[1]} ({', '.join(f'{key} {value}' for key, value in values)})"
