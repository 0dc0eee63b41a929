"""`./offhook show MODE`: what a mode is made of, as the model will get it, and what it costs in tokens."""

import sys
from typing import Any

import msgspec

from app import registry, tokens
from app import settings as all_settings
from app.commands.show_flow import flow_text
from app.errors import SetupError
from app.mode_sheet import Shown, look


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


def _text(shown: Shown) -> str:
    costs = shown.tokens
    lines = [
        f"mode {shown.name}: model {shown.model}, reasoning {shown.reasoning or '(not sent)'}, voice {shown.voice}",
        f"version {shown.stamp}: its calls have this stamp in the books",
        f"engine {shown.engine.name}: dialect {shown.engine.dialect}, the caller's speech as {shown.engine.hears}, the agent's as "
        f"{shown.engine.speaks}, transcription by {shown.transcription or 'nobody'}"
        + (f"; without {', '.join(shown.engine.lacks)}" if shown.engine.lacks else ""),
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
    if shown.flow is not None:
        lines += ["", *flow_text(shown.flow)]
    for tool in shown.tools:
        when = (
            f"in {', '.join(tool.states)}"
            if tool.states
            else "first turn"
            if tool.first_turn
            else "after the first answer"
        )
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
