"""Structured logs on stderr: one line an event, those of a call keyed alike, never a secret, a number or a transcript.

A line of a call has its `call_sid`, given by name or by the `of_call` it was logged within, and with that the call's `stream_sid`,
`mode` and `version`, which `knows_call` was told once. Relay callbacks run in no task of their call, so the relay goes `of_call`
for each event; tasks and timers that begin within inherit it. None of this is on the audio lane: what logs nothing costs nothing.

No line has what a caller said: a test plants canaries. Tracebacks have no values of variables, and no text of an exception that may
have one (`app.others_words`). What is left to chance is masked here in the finished line: secrets that were named by `hide`, and
telephone numbers down to their last two digits.
"""

import contextlib
import json
import logging
import math
import re
import sys
from collections.abc import Iterable, Mapping, MutableMapping
from contextvars import ContextVar, Token
from datetime import UTC, datetime
from typing import Any, Literal, TextIO, cast, get_args

import structlog

from app.others_words import traceback_of, untold

SHORTEST = 6
"""A secret of fewer characters would mask parts of words."""
NUMBER = re.compile(r"(?:\+|%2B)[1-9]\d{4,12}(\d\d)(?!\d)|(?<![\w.+-])\d{8,13}(\d\d)(?!\w|\.\d)", re.IGNORECASE)
"""E.164, also inside a URL, and 10 to 15 digits alone."""
DEEPEST = 6
"""Values within values of a line, as far as JSON shows them as such."""

TICKET = re.compile(r"(/voice/ws/[\w%-]+/)[\w.%~-]+")
"""What a stream's URL proves. Errors of the carrier's name such URLs."""

Form = Literal["auto", "json", "text"]
FORMS: tuple[str, ...] = get_args(Form)

_hidden: set[str] = set()
_call: ContextVar[str] = ContextVar("call_sid", default="")
_keys: dict[str, dict[str, str]] = {}
"""What belongs on each line of a call, by its SID."""


def hide(*secrets: str) -> None:
    """Never show these in a log of this process."""
    _hidden.update(secret for secret in secrets if len(secret) >= SHORTEST)


def masked(line: str) -> str:
    """A line as it may be shown."""
    for secret in _hidden:
        line = line.replace(secret, "[secret]")
    line = TICKET.sub(r"\1[ticket]", line)
    return NUMBER.sub(lambda found: f"[number ..{found[1] or found[2]}]", line)


# --- whose line it is ---------------------------------------------------------------------------------------------------


class of_call:  # noqa: N801  it is read as a phrase: `with of_call(sid):`
    """What is logged within belongs to this call, in tasks and timers that begin within as well. Empty: to none."""

    __slots__ = ("_call_sid", "_token")

    def __init__(self, call_sid: str) -> None:
        self._call_sid = call_sid

    def __enter__(self) -> None:
        self._token: Token[str] = _call.set(self._call_sid)

    def __exit__(self, *wrong: object) -> None:
        _call.reset(self._token)


def this_call() -> str:
    """The call that is being worked for; empty: none."""
    return _call.get()


def knows_call(call_sid: str, **keys: str) -> None:
    """From now on the lines of a call have these as well: mode, version, stream_sid. Said again, it adds to what is known."""
    _keys.setdefault(call_sid, {}).update(keys)


def forgets_call(call_sid: str) -> None:
    """Nothing more is expected of a call."""
    _keys.pop(call_sid, None)


def _keyed(logger: Any, method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    call_sid = event.get("call_sid") or _call.get()
    if not call_sid:
        event.pop("call_sid", None)
        return event
    event["call_sid"] = call_sid
    for key, value in _keys.get(call_sid, {}).items():
        event.setdefault(key, value)
    return event


# --- how it is written --------------------------------------------------------------------------------------------------


def configure(level: str = "info", secrets: Iterable[str] = (), form: Form = "auto") -> None:
    """Set up logging for this process, libraries' included. level: debug, info, warning or error.

    form: json is an object a line; text is for people; auto: text on a terminal, else json. May be called again.
    """
    hide(*secrets)
    terminal = sys.stderr.isatty()
    as_json = form == "json" or (form == "auto" and not terminal)
    in_words: Any = (
        structlog.dev.ConsoleRenderer()
        if terminal
        else structlog.processors.KeyValueRenderer(key_order=["timestamp", "level", "event"])
    )

    def render(logger: Any, method: str, event: MutableMapping[str, Any]) -> str:
        return as_line(event) if as_json else masked(str(in_words(logger, method, event)))

    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            _keyed,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso"),
            structlog.processors.ExceptionRenderer(lambda told: "" if told[1] is None else traceback_of(told[1])),
            render,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(getattr(logging, level.upper())),
        logger_factory=structlog.PrintLoggerFactory(cast(TextIO, _Lossy(sys.stderr))),
        cache_logger_on_first_use=True,
    )
    root = logging.getLogger()
    for handler in [handler for handler in root.handlers if isinstance(handler.formatter, _OfLibraries)]:
        root.removeHandler(handler)
    handler = logging.StreamHandler(_Lossy(sys.stderr))
    handler.setFormatter(_OfLibraries(as_json))
    root.addHandler(handler)
    for noisy in ("httpx", "httpcore", "hypercorn.access"):
        logging.getLogger(noisy).setLevel(logging.WARNING)


def as_line(event: Mapping[str, Any]) -> str:
    """An event as one line of JSON, its values masked before it is one: a mask in the middle of a number would be no JSON."""
    first = {key: event[key] for key in ("timestamp", "level", "event") if key in event}
    return json.dumps(_shown({**first, **event}))


def _shown(value: Any, depth: int = 0) -> Any:
    """A value as JSON may have it, masked."""
    match value:
        case None | bool():
            return value
        case str():
            return masked(value)
        case int():
            return value if (text := masked(str(value))) == str(value) else text
        case float():
            return value if math.isfinite(value) else str(value)
        case Mapping() if depth < DEEPEST:
            return {masked(str(key)): _shown(one, depth + 1) for key, one in value.items()}
        case list() | tuple() | set() | frozenset() if depth < DEEPEST:
            return [_shown(one, depth + 1) for one in value]
    return masked(repr(value))


class _Lossy:
    """Where lines go. One that cannot be written (a full disk, a pipe that nobody reads) is lost, and nothing else is."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def write(self, text: str) -> int:
        with contextlib.suppress(OSError):
            self._stream.write(text)
        return len(text)

    def flush(self) -> None:
        with contextlib.suppress(OSError):
            self._stream.flush()


class _OfLibraries(logging.Formatter):
    """Lines of libraries, with their tracebacks, in the same form."""

    def __init__(self, as_json: bool) -> None:
        super().__init__("%(asctime)s %(levelname)s %(name)s: %(message)s")
        self.as_json = as_json

    def formatException(self, ei: Any) -> str:  # noqa: N802  logging's own name
        """A traceback without what may have been said."""
        return "" if ei[1] is None else traceback_of(ei[1])

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802
        """The line without its traceback; `record.message` is as it may be shown."""
        record.message = _said(record)
        return super().formatMessage(record)

    def format(self, record: logging.LogRecord) -> str:
        record.exc_text = None  # another handler's traceback, with its texts
        if not self.as_json:
            return masked(super().format(record))
        at = datetime.fromtimestamp(record.created, UTC).isoformat().replace("+00:00", "Z")
        event: dict[str, Any] = {
            "timestamp": at,
            "level": record.levelname.lower(),
            "event": _said(record),
            "logger": record.name,
        }
        if record.exc_info and record.exc_info[0] is not None:
            event["exception"] = self.formatException(record.exc_info)
        return as_line(_keyed(None, "", {**structlog.contextvars.get_contextvars(), **event}))


def _said(record: logging.LogRecord) -> str:
    """A library's line. asyncio shows a task by its exception as well, whose text is not shown in the traceback either."""
    said = record.getMessage()
    for text in untold(record.exc_info[1]) if record.exc_info and record.exc_info[1] is not None else ():
        said = said.replace(text, "...") if len(text) > 1 else said
    return said
