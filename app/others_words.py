"""What a log may show of a text that others wrote: errors of tools, of libraries and of servers may repeat what a caller said.

Of an exception that is where it was raised and its type; its text only where that is ours, the system's or the interpreter's, and
so cannot have a value in it. Of a server's error it is the code, one word; the sentence behind it is in the raw events, in the
books, where the rest of the talk is.
"""

import re
import traceback

from app.errors import HouseError, PeerError, SetupError

UNTOLD = "(its text may be a caller's, and is not shown)"
OUR_OWN = (HouseError, PeerError, SetupError)
INTERPRETER = (AttributeError, ImportError, NameError, RecursionError, ZeroDivisionError)
"""They name attributes, modules and variables, and no values."""
DEEPEST = 5
"""Causes of causes, and groups within groups."""

_WORD = re.compile(r"[\w.:/\[\]-]{1,80}", re.ASCII)
_VALUE = re.compile(r"^(Invalid (?:enum )?value) .*?(?= - at `[^`]*`$|$)", re.DOTALL)


def one_word(text: str) -> str:
    """A code, a parameter's name, a reason of one word; empty for a sentence."""
    return text if _WORD.fullmatch(text) else ""


def misfit(wrong: Exception) -> str:
    """What does not fit its type, and where, as msgspec says it, without the value."""
    return _VALUE.sub(r"\1", str(wrong))


def untold(wrong: BaseException, depth: int = 0) -> list[str]:
    """The texts of an exception, of its causes and of its group that are not shown."""
    shown = _text(wrong)
    found = [text for text in (str(wrong), *map(str, wrong.args[:1])) if text and text != shown]
    for other in (wrong.__cause__, wrong.__context__, *_members(wrong)):
        if other is not None and depth < DEEPEST:
            found += untold(other, depth + 1)
    return found


def traceback_of(wrong: BaseException, depth: int = 0) -> str:
    """As Python prints it, without texts that may be a caller's."""
    above, joint = _above(wrong)
    lines = [traceback_of(above, depth + 1), "", joint, ""] if above is not None and depth < DEEPEST else []
    lines += ["Traceback (most recent call last):", "".join(traceback.format_tb(wrong.__traceback__)).rstrip("\n")]
    kind = type(wrong)
    name = (
        kind.__qualname__ if kind.__module__ in ("builtins", "__main__") else f"{kind.__module__}.{kind.__qualname__}"
    )
    lines.append(f"{name}: {text}" if (text := _text(wrong)) else name)
    for member in _members(wrong) if depth < DEEPEST else ():
        lines += ["  | " + line for line in traceback_of(member, depth + 1).splitlines()]
    return "\n".join(lines)


def _text(wrong: BaseException) -> str:
    """What is shown behind the type."""
    if isinstance(wrong, OSError) and wrong.errno is not None:
        return f"[Errno {wrong.errno}] {wrong.strerror}"
    if not str(wrong) or isinstance(wrong, OUR_OWN + INTERPRETER):
        return str(wrong)
    return f"{len(wrong.exceptions)} of them" if isinstance(wrong, BaseExceptionGroup) else UNTOLD


def _members(wrong: BaseException) -> tuple[BaseException, ...]:
    return wrong.exceptions if isinstance(wrong, BaseExceptionGroup) else ()


def _above(wrong: BaseException) -> tuple[BaseException | None, str]:
    """What it came of, and Python's sentence for that."""
    if wrong.__cause__ is not None:
        return wrong.__cause__, "The above exception was the direct cause of the following exception:"
    context = None if wrong.__suppress_context__ else wrong.__context__
    return context, "During handling of the above exception, another exception occurred:"
