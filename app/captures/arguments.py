"""From a tool's signature to what is captured in it.

`Confirmed[PhoneNumber]` is a string to the model, a demand to the house, and a `PhoneNumber` to the tool.
"""

from inspect import Parameter
from types import NoneType, UnionType
from typing import Annotated, Any, Union, get_args, get_origin

import msgspec

from app.captures.captured import Captured, Demand
from app.captures.kinds import KINDS, Kind


class Wanted(msgspec.Struct, frozen=True):
    """What a tool wants of one argument."""

    captured: type[Captured[Any]]
    kind: Kind
    demanded: bool
    """It is in `Confirmed[...]`: the tool does not run before the caller agreed."""
    optional: bool
    wire: Any
    """The type of the argument as the model sends it: a string with a description, or null where it is optional."""
    rule: Any = None


def wanted(hint: Any, where: str, default: Any) -> Wanted | None:
    """Read one argument's type; None if nothing is captured by it. default: as `inspect` has it.

    Raises TypeError, which begins with `where`: a captured type within another type, a rule or limits that its kind does not
    have, a default besides None.
    """
    captured, notes, optional = _opened(hint)
    if captured not in KINDS:
        if Demand in notes or _holds_captured(hint):
            raise TypeError(f"{where}: expected a captured type alone, in Confirmed[...] or with None, got {hint}")
        return None
    if default is not Parameter.empty and not (optional and default is None):
        raise TypeError(f"{where}: expected `{captured.__name__} | None = None` or no default, got {default!r}")
    kind = KINDS[captured]
    words, rule, demanded = "", None, False
    for note in notes:
        if note is Demand:
            demanded = True
        elif isinstance(note, msgspec.Meta):
            if note != msgspec.Meta(description=note.description):
                raise TypeError(f"{where}: expected about(...) without limits, {captured.__name__} has its own")
            words = note.description or ""
        elif kind.rule is not None and isinstance(note, kind.rule):
            rule = note
        else:
            raise TypeError(f"{where}: {captured.__name__} has no use for {note!r}")
    text = f"{words}: {kind.about}" if words else kind.about
    sent: Any = (str | None) if optional else str
    wire = Annotated[sent, msgspec.Meta(description=text)]
    return Wanted(captured, kind, demanded, optional, wire, rule)


def _opened(hint: Any) -> tuple[Any, list[Any], bool]:
    """The type within Annotated and Optional, all notes on it, and whether None may come instead."""
    if get_origin(hint) is Annotated:
        inner, *notes = get_args(hint)
        captured, more, optional = _opened(inner)
        return captured, [*more, *notes], optional
    if get_origin(hint) in (Union, UnionType):
        others = [each for each in get_args(hint) if each is not NoneType]
        if len(others) == 1:
            captured, notes, _ = _opened(others[0])
            return captured, notes, True
    return (hint if isinstance(hint, type) else None), [], False


def _holds_captured(hint: Any) -> bool:
    if any(isinstance(each, type) and issubclass(each, Captured) for each in (hint, get_origin(hint))):
        return True
    return any(_holds_captured(each) for each in get_args(hint))
