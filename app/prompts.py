"""Prompts: `prompts/house.md` (how we speak on the phone) and one file for each mode, as Jinja2 templates."""

from datetime import datetime
from functools import lru_cache
from pathlib import Path

import jinja2
import msgspec

from app import tokens
from app.errors import SetupError
from app.mode import Mode
from app.office import WEEKDAYS, Office

FOLDER = Path(__file__).parent.parent / "prompts"


class Situation(msgspec.Struct, frozen=True, kw_only=True):
    """What a prompt may speak of besides the business: this call."""

    caller: str
    """E.164, or empty when withheld."""
    dialled: str
    now: datetime


@lru_cache(maxsize=1)
def _environment() -> jinja2.Environment:
    loader = jinja2.FileSystemLoader(FOLDER)
    environment = jinja2.Environment(
        loader=loader,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        autoescape=False,  # noqa: S701
    )
    environment.globals["weekdays"] = WEEKDAYS
    return environment


def render(mode: Mode, office: Office, situation: Situation) -> str:
    """The whole prompt of a call: how we speak, what this mode does, what this call is. Raises SetupError."""
    values = {"office": office, "call": situation, "mode": mode}
    try:
        parts = [_environment().get_template(name).render(values).strip() for name in (mode.prompt, "house.md")]
    except jinja2.TemplateNotFound as missing:
        raise SetupError(f"mode {mode.name!r}: expected a prompt prompts/{missing.name}, found none") from missing
    except Exception as wrong:  # a template may fail in any way that code can
        raise SetupError(f"mode {mode.name!r}: its prompt cannot be rendered: {wrong}") from wrong
    return "\n\n".join(parts)


def check(mode: Mode, office: Office, now: datetime) -> list[str]:
    """Everything wrong with a mode's prompt, as sentences; empty if nothing is."""
    try:  # with and without what a call may lack: every branch of a template is a caller's
        renders = [render(mode, office, Situation(caller=who, dialled=who, now=now)) for who in ("+14155550100", "")]
    except SetupError as wrong:
        return [str(wrong)]
    if size := max(tokens.exceeds(prompt, mode.max_prompt_tokens) for prompt in renders):
        return [
            f"mode {mode.name!r}: expected a prompt of at most {mode.max_prompt_tokens} tokens, got {size}; "
            f"shorten prompts/{mode.prompt}, or raise max_prompt_tokens"
        ]
    return []
