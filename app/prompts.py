"""Prompts: `prompts/house.md` (how we speak on the phone) and one file for each mode, as Jinja2 templates."""

from collections.abc import Mapping
from datetime import datetime
from functools import lru_cache
from pathlib import Path
from typing import Any

import jinja2
import jinja2.meta
import msgspec

from app import tokens
from app.errors import SetupError
from app.mode import Mode
from app.rules.office import WEEKDAYS, Office

FOLDER = Path(__file__).parent.parent / "prompts"


class Situation(msgspec.Struct, frozen=True, kw_only=True):
    """What a prompt may speak of besides the business: this call."""

    caller: str
    """E.164, or empty when withheld."""
    dialled: str
    now: datetime
    placed: bool = False
    """We called: `caller` is whom, and `fields` what the call was asked for with."""
    fields: Mapping[str, Any] = {}


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
    environment.filters["digits"] = lambda number: " ".join(str(number).lstrip("+"))
    environment.filters["day"] = lambda moment: f"{_moment(moment):%A, %B} {_moment(moment).day}"
    environment.filters["clock"] = lambda moment: f"{_moment(moment):%I:%M %p}".lstrip("0")
    return environment


@lru_cache(maxsize=256)
def _of(texts: tuple[tuple[str, str], ...]) -> jinja2.Environment:
    """Templates as an edition has them."""
    return _environment().overlay(loader=jinja2.DictLoader(dict(texts)))


def texts_of(mode: Mode) -> tuple[tuple[str, str], ...]:
    """The files that a mode's prompt is made of, as they are now, with what they include. One that is missing is left out."""
    wanted, texts = [mode.prompt, "house.md"], dict[str, str]()
    while wanted:
        name = wanted.pop()
        path = FOLDER / name
        if name in texts or not path.is_file():
            continue
        try:
            texts[name] = path.read_text(encoding="utf-8")
            included = jinja2.meta.find_referenced_templates(_environment().parse(texts[name]))
            wanted += [other for other in included if other is not None]
        except jinja2.TemplateSyntaxError:
            continue  # the check says so in full
        except (UnicodeDecodeError, OSError):
            return ()  # so does that, of the folder's own files
    return tuple(sorted(texts.items()))


def _moment(value: str | datetime) -> datetime:
    return datetime.fromisoformat(value) if isinstance(value, str) else value


def render(mode: Mode, office: Office, situation: Situation) -> str:
    """The whole prompt of a call: how we speak, what this mode does, what this call is. Raises SetupError."""
    values = {"office": office, "call": situation, "mode": mode}
    try:
        templates = _of(mode.edition.prompts) if mode.edition.prompts else _environment()
        parts = [templates.get_template(name).render(values).strip() for name in (mode.prompt, "house.md")]
    except jinja2.TemplateNotFound as missing:
        raise SetupError(f"mode {mode.name!r}: expected a prompt prompts/{missing.name}, found none") from missing
    except Exception as wrong:  # a template may fail in any way that code can
        raise SetupError(f"mode {mode.name!r}: its prompt cannot be rendered: {wrong}") from wrong
    return "\n\n".join(parts)


VOICEMAIL = (
    "Hello. This is the digital assistant of {{ office.name }}. Please call us back"
    "{% if call.dialled %} at {{ call.dialled | digits }}{% endif %}. Thank you. Goodbye."
)


def voicemail(mode: Mode, office: Office, situation: Situation) -> str:
    """What an answering machine is told: the mode's words, or the house's. Raises SetupError."""
    try:
        template = _environment().from_string(mode.voicemail or VOICEMAIL)
        return " ".join(template.render(office=office, call=situation, mode=mode).split())
    except Exception as wrong:  # a template may fail in any way that code can
        raise SetupError(f"mode {mode.name!r}: its voicemail cannot be rendered: {wrong}") from wrong


def _sample(mode: Mode) -> dict[str, Any]:
    """Fields as a call may be asked for with, by their types; for a start-up check of templates."""
    return {} if mode.asks is None else dict(_sample_of(msgspec.inspect.type_info(mode.asks)))


def _sample_of(kind: msgspec.inspect.Type) -> Any:
    """A value of a type as `app.outbound` brings it into a prompt, where moments are texts."""
    match kind:
        case msgspec.inspect.StructType(fields=fields):
            return {
                field.encode_name: _sample_of(field.type) if field.required else _default(field) for field in fields
            }
        case msgspec.inspect.LiteralType(values=values):
            return values[0]
        case msgspec.inspect.IntType() | msgspec.inspect.FloatType():
            return 1
        case msgspec.inspect.BoolType():
            return True
        case msgspec.inspect.ListType() | msgspec.inspect.VarTupleType():
            return []
        case msgspec.inspect.DictType():
            return {}
        case msgspec.inspect.DateType():
            return "2030-01-07"
    return "2030-01-07T09:30"


def _default(field: msgspec.inspect.Field) -> Any:
    made = field.default_factory is not msgspec.NODEFAULT
    return msgspec.to_builtins(field.default_factory() if made else field.default)


def check(mode: Mode, office: Office, now: datetime) -> list[str]:
    """Everything wrong with a mode's prompt, as sentences; empty if nothing is."""
    number, fields = "+14155550100", _sample(mode)
    placed = Situation(caller=number, dialled=number, now=now, placed=True, fields=fields)
    try:  # with and without what a call may lack: every branch of a template is a caller's
        renders = [render(mode, office, Situation(caller=who, dialled=who, now=now)) for who in (number, "")]
        if mode.asks is not None:
            renders.append(render(mode, office, placed))
            voicemail(mode, office, placed)
    except SetupError as wrong:
        return [str(wrong)]
    if size := max(tokens.exceeds(prompt, mode.max_prompt_tokens) for prompt in renders):
        return [
            f"mode {mode.name!r}: expected a prompt of at most {mode.max_prompt_tokens} tokens, got {size}; "
            f"shorten prompts/{mode.prompt}, or raise max_prompt_tokens"
        ]
    return []
