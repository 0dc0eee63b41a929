"""`./offhook show MODE`: what a mode is made of, as the model will get it."""

from datetime import UTC, datetime

import msgspec

from app import prompts, registry
from app import settings as all_settings
from app.errors import SetupError


def show(name: str) -> str:
    """Prompt, tools with their schemas, and about how many tokens each costs. Raises SetupError for an unknown mode."""
    settings = all_settings.load()
    modes = registry.find(settings).modes
    mode = modes.get(name)
    if mode is None:
        raise SetupError(f"expected a mode, one of {', '.join(modes)}, got {name!r}")
    now = settings.office.now(datetime.now(UTC))
    prompt = prompts.render(
        mode, settings.office, prompts.Situation(caller="+14155550100", dialled="+14155550199", now=now)
    )
    first = {tool.name for tool in mode.first_turn or mode.tools}
    lines = [
        f"mode {mode.name}: model {mode.model or settings.realtime_model}, voice {mode.voice}",
        f"turn detection: first {_plain(mode.first_turn_detection)}, then {_plain(mode.turn_detection)}",
        f"opening: {mode.opening or '(the caller speaks first)'}",
        f"outcome: {', '.join(mode.outcome.__struct_fields__) if mode.outcome else 'any fields'}",
        "",
        f"prompt, about {prompts.tokens(prompt)} of at most {mode.max_prompt_tokens} tokens:",
        *("  " + line for line in prompt.splitlines()),
    ]
    for tool in mode.tools:
        wire = tool.wire()
        schema = msgspec.json.encode(wire["parameters"]).decode()
        when = "first turn" if tool.name in first else "after the first answer"
        lines += [
            "",
            f"tool {tool.name} ({when}, deadline {tool.deadline_seconds:g} s, about {prompts.tokens(schema)} tokens)",
        ]
        lines += ["  " + line for line in wire["description"].splitlines()] + ["  " + schema]
    return "\n".join(lines)


def _plain(value: object) -> str:
    fields = msgspec.to_builtins(value)
    return f"{type(value).__name__}({', '.join(f'{k}={v}' for k, v in fields.items())})"
