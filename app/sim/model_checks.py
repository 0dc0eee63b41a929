"""Checks of what a client sends the model stand-in, as strict as the real server: built from small ones, one per kind of value.

A check is called with a value and its place ("session.audio.input.format") and raises `Refused`. Nothing is changed by it.
"""

from collections.abc import Callable, Mapping
from typing import Any

Check = Callable[[Any, str], None]


class Refused(Exception):
    """What an `error` event says: code, message and the parameter at fault."""

    def __init__(self, code: str | None, message: str, param: str | None = None) -> None:
        super().__init__(message)
        self.code, self.message, self.param = code, message, param


def missing(place: str) -> Refused:
    """The refusal of a message that lacks a key."""
    return Refused("missing_required_parameter", f"Missing required parameter: '{place}'.", place)


def unknown(place: str) -> Refused:
    """The refusal of a key that the server does not know."""
    return Refused("unknown_parameter", f"Unknown parameter: '{place}'.", place)


def wrong_type(place: str, wanted: str, value: object) -> Refused:
    """The refusal of a value of the wrong JSON type."""
    return Refused(
        "invalid_type", f"Invalid type for '{place}': expected {wanted}, but got {_named(value)} instead.", place
    )


def wrong_value(place: str, wanted: str, value: object) -> Refused:
    """The refusal of a value out of range."""
    return Refused("invalid_value", f"Invalid value: {value!r}. Expected {wanted}.", place)


def anything(value: Any, place: str) -> None:
    """Whatever it is."""


def text(value: Any, place: str) -> None:
    """A string."""
    if not isinstance(value, str):
        raise wrong_type(place, "a string", value)


def boolean(value: Any, place: str) -> None:
    """True or false."""
    if not isinstance(value, bool):
        raise wrong_type(place, "a boolean", value)


def between(low: float, high: float = float("inf"), *, whole: bool = False) -> Check:
    """A number within bounds, both included."""

    def check(value: Any, place: str) -> None:
        if isinstance(value, bool) or not isinstance(value, int if whole else int | float):
            raise wrong_type(place, "an integer" if whole else "a number", value)
        if not low <= value <= high:
            raise wrong_value(place, f"a value between {low} and {high}", value)

    return check


def one_number(*values: int) -> Check:
    """One of these numbers."""

    def check(value: Any, place: str) -> None:
        if isinstance(value, bool) or not isinstance(value, int):
            raise wrong_type(place, "an integer", value)
        if value not in values:
            raise wrong_value(place, " or ".join(str(known) for known in values), value)

    return check


def one_of(*values: str) -> Check:
    """One of these strings."""

    def check(value: Any, place: str) -> None:
        text(value, place)
        if value not in values:
            raise wrong_value(place, "one of " + ", ".join(repr(known) for known in values), value)

    return check


def optional(check: Check) -> Check:
    """Null, or what `check` takes."""

    def either(value: Any, place: str) -> None:
        if value is not None:
            check(value, place)

    return either


def text_or(check: Check, *values: str) -> Check:
    """One of these strings (any string, if none is named), or what `check` takes."""
    of_text = one_of(*values) if values else text

    def either(value: Any, place: str) -> None:
        (of_text if isinstance(value, str) else check)(value, place)

    return either


def list_of(check: Check) -> Check:
    """A list, each of it what `check` takes."""

    def each(value: Any, place: str) -> None:
        if not isinstance(value, list):
            raise wrong_type(place, "an array", value)
        for n, part in enumerate(value):
            check(part, f"{place}[{n}]")

    return each


def keys(known: Mapping[str, Check], *required: str) -> Check:
    """An object that has the required keys and no unknown one."""

    def check(value: Any, place: str) -> None:
        if not isinstance(value, dict):
            raise wrong_type(place, "an object", value)
        for key in required:
            if key not in value:
                raise missing(f"{place}.{key}")
        for key, part in value.items():
            if key not in known:
                raise unknown(f"{place}.{key}")
            known[key](part, f"{place}.{key}")

    return check


def by_key(key: str, kinds: Mapping[str, Check]) -> Check:
    """An object whose `key` says which check the whole of it gets."""

    def check(value: Any, place: str) -> None:
        if not isinstance(value, dict):
            raise wrong_type(place, "an object", value)
        if key not in value:
            raise missing(f"{place}.{key}")
        one_of(*kinds)(value[key], f"{place}.{key}")
        kinds[value[key]](value, place)

    return check


def _named(value: object) -> str:
    match value:
        case None:
            return "null"
        case bool():
            return "a boolean"
        case int() | float():
            return "a number"
        case str():
            return "a string"
        case list():
            return "an array"
    return "an object"
