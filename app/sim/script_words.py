"""What the strings of a rehearsal script may hold: templates, days in words, and how things are said aloud."""

import re
from datetime import date, datetime, time, timedelta
from typing import Any

from jinja2 import StrictUndefined, TemplateError, meta
from jinja2.sandbox import SandboxedEnvironment

from app.errors import SetupError
from app.rules.office import WEEKDAYS

HOURS = ("twelve", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven")
ONES = ("", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
TEENS = ("ten", "eleven", "twelve", "thirteen", "fourteen", "fifteen", "sixteen", "seventeen", "eighteen", "nineteen")
TENS = ("", "", "twenty", "thirty", "forty", "fifty")


def render(text: str, variables: dict[str, Any]) -> str:
    """Fill in a template. Raises SetupError if it needs what is not known (yet) or a filter cannot take its value."""
    try:
        return ENVIRONMENT.from_string(text).render(variables)
    except (TemplateError, ValueError, TypeError) as error:
        raise SetupError(
            f"cannot fill in {text!r}: {error}; known: {', '.join(sorted(variables)) or 'nothing'}"
        ) from error


def render_all(value: Any, variables: dict[str, Any]) -> Any:
    """Fill in every string within a value from TOML or JSON; the rest is kept."""
    match value:
        case str():
            return render(value, variables)
        case dict():
            return {key: render_all(part, variables) for key, part in value.items()}
        case list():
            return [render_all(part, variables) for part in value]
    return value


def resolve_day(text: str, today: date) -> str:
    """ISO date of "today", "tomorrow", "next friday" (the first after today) or "in 3 days"; other text as it is."""
    words = text.lower().split()
    match words:
        case ["today"]:
            return today.isoformat()
        case ["tomorrow"]:
            return (today + timedelta(days=1)).isoformat()
        case ["next", day] if day in WEEKDAYS:
            return (today + timedelta(days=(WEEKDAYS.index(day) - today.weekday() - 1) % 7 + 1)).isoformat()
        case ["in", count, "day" | "days"] if count.isdecimal():
            return (today + timedelta(days=int(count))).isoformat()
    return text


def spoken_weekday(value: str | date) -> str:
    """Filter `weekday`: the name of the day of an ISO date or time."""
    day = datetime.fromisoformat(value) if isinstance(value, str) else value
    return WEEKDAYS[day.weekday()].capitalize()


def spoken_time(value: str | time | datetime) -> str:
    """Filter `time`: how one says the time of day of an ISO time or date with time: "ten thirty", "nine o'clock"."""
    if isinstance(value, str):
        value = (
            time.fromisoformat(value) if re.fullmatch(r"\d\d:\d\d(:\d\d)?", value) else datetime.fromisoformat(value)
        )
    hour, minute = HOURS[value.hour % 12], value.minute
    if minute == 0:
        return f"{hour} o'clock"
    if minute < 10:
        return f"{hour} oh {ONES[minute]}"
    if minute < 20:
        return f"{hour} {TEENS[minute - 10]}"
    return f"{hour} {TENS[minute // 10]}" + (f"-{ONES[minute % 10]}" if minute % 10 else "")


def spell(value: str) -> str:
    """Filter `spell`: letter by letter."""
    return ", ".join(letter.upper() for letter in value if letter.isalnum())


def check_names(value: Any, known: set[str], source: str) -> None:
    """Refuse templates anywhere within a value that are none, or need what nobody sets. Raises SetupError."""
    match value:
        case str():
            try:
                wanted = meta.find_undeclared_variables(ENVIRONMENT.parse(value))
            except TemplateError as error:
                raise SetupError(f"{source}: {value!r} is no template: {error}") from error
            if missing := wanted - known:
                raise SetupError(
                    f"{source}: {value!r} needs {', '.join(sorted(missing))}, which neither [vars] nor an earlier `save` sets"
                )
        case dict():
            check_names(list(value.values()), known, source)
        case list():
            for part in value:
                check_names(part, known, source)


ENVIRONMENT = SandboxedEnvironment(undefined=StrictUndefined)
ENVIRONMENT.filters.update(weekday=spoken_weekday, time=spoken_time, spell=spell)
