"""How the text of a setting becomes its value. Each raises ValueError, with what was expected, for any other text."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import SplitResult, urlsplit

from app.rules.dialable import dear
from app.rules.office import E164

LOOPBACK = ("127.0.0.1", "localhost", "::1")
INSTANCE = re.compile(r"[A-Za-z0-9_-]{1,64}")
"""A process of ours, as tickets name it (app/calls/tickets.py)."""


def between(low: float, high: float, kind: type = float) -> Callable[[str], Any]:
    """A number of this kind within these limits, both included."""

    def read(text: str) -> Any:
        try:
            value = kind(text)
        except ValueError:
            value = None
        if value is None or not low <= value <= high:
            noun = "a whole number" if kind is int else "a number"
            raise ValueError(f"{noun} from {low:g} to {high:g}") from None
        return value

    return read


def one_of(*names: str) -> Callable[[str], str]:
    """One of these words."""

    def read(text: str) -> str:
        if text not in names:
            raise ValueError("one of " + ", ".join(names))
        return text

    return read


def named(text: str) -> str:
    """The name of a process of ours."""
    if not INSTANCE.fullmatch(text):
        raise ValueError("a name of 1 to 64 letters, digits, - or _")
    return text


def switch(text: str) -> bool:
    """On or off."""
    return one_of("on", "off")(text) == "on"


def folder(text: str) -> Path:
    """A folder; `~` is looked up here, as no shell reads `.env`."""
    try:
        return Path(text).expanduser()
    except RuntimeError:
        raise ValueError("a folder whose ~ is the home of an account") from None


def number(text: str) -> str:
    """A phone number, E.164."""
    if not E164.fullmatch(text):
        raise ValueError("a phone number as +14155550100")
    return text


def person(text: str) -> str:
    """The number of a person to put callers through to."""
    if why := dear(number(text)):
        raise ValueError(f"a number that costs no more than a call, not {why} (a desk may have one: docs/guards.md)")
    return text


def url(*schemes: str) -> Callable[[str], str]:
    """An address with one of these schemes, without a slash at its end."""

    def read(text: str) -> str:
        parts = _split(text)
        if parts.scheme not in schemes or not parts.hostname:
            raise ValueError(f"a URL that starts with {' or '.join(s + '://' for s in schemes)}")
        return text.rstrip("/")

    return read


def _split(text: str) -> SplitResult:
    """A URL's parts, of which host and port can be asked."""
    try:
        parts = urlsplit(text)
    except ValueError:
        raise ValueError("a URL whose host is a name or an address (a [ in a password is written %5B)") from None
    try:
        _ = parts.port
    except ValueError:
        raise ValueError("a URL with a port from 1 to 65535, or none") from None
    return parts


def address(text: str) -> str:
    """A URL that can be taken apart; what it has to be else is for its user to say."""
    _split(text)
    return text


def public_url(text: str) -> str:
    """The origin that the carrier sees."""
    parts = _split(text)
    loopback = parts.hostname in LOOPBACK
    if not parts.hostname or parts.scheme not in ("https", *(("http",) if loopback else ())):
        raise ValueError("https://HOST (http only for a loopback host)")
    if parts.path.strip("/") or parts.query or parts.fragment or parts.username:
        raise ValueError("an origin, without path, query or user")
    return f"{parts.scheme}://{parts.netloc}"


def sid(text: str) -> str:
    """Twilio's name for an account."""
    if not re.fullmatch(r"AC[0-9a-fA-F]{32}", text):
        raise ValueError("AC and 32 hex digits")
    return text


def pairs(text: str) -> str:
    """As it came; the exporter's library takes it apart."""
    parts = [part.partition("=") for part in text.split(",")]
    if not all(name.strip() and equals and value.strip() for name, equals, value in parts):
        raise ValueError("NAME=VALUE, several separated by commas")
    return text


def tokens(text: str) -> tuple[str, ...]:
    """Tokens with commas between them."""
    tokens = tuple(token.strip() for token in text.split(",") if token.strip())
    if not tokens:
        raise ValueError("one or more tokens, separated by commas")
    return tokens
