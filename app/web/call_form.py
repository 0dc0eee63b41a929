"""What the carrier's forms and our own URLs say of a call."""

from urllib.parse import parse_qs

from starlette.requests import Request

from app.calls.takeover import EPOCH
from app.core.rows import CallInfo
from app.web.guard import Form

OVER = frozenset({"completed", "busy", "failed", "no-answer", "canceled"})
WITHHELD = frozenset({"+266696687", "+7378742833", "+2562533", "+8656696", "+86282452253", "anonymous"})
"""Keypad spellings that stand for no number at all: ANONYMOUS, RESTRICTED, BLOCKED, UNKNOWN, UNAVAILABLE."""


def asked_for(request: Request, name: str) -> str:
    """A value in a URL of ours; empty if there is none."""
    query: bytes = request.scope["query_string"]
    return parse_qs(query.decode("latin-1")).get(name, [""])[0]


def number_in(request: Request, name: str) -> int | None:
    """A small whole number in a URL of ours; None if there is none."""
    return whole(asked_for(request, name))


def whole(text: str) -> int | None:
    """Digits as a small whole number; None for anything else."""
    return int(text) if text.isascii() and text.isdecimal() and len(text) < 6 else None


def epoch_in(request: Request) -> int:
    """Which owner of a call has made a URL of ours."""
    return number_in(request, EPOCH) or 1


def info_of(form: Form) -> CallInfo:
    """What the carrier's form says of a call."""
    out = form.get("Direction") == "outbound-api"
    caller, dialled = (form.get(name, "").strip() for name in (("To", "From") if out else ("From", "To")))
    return CallInfo(
        call_sid=form.get("CallSid", ""),
        account_sid=form.get("AccountSid", ""),
        caller="" if caller.lower() in WITHHELD else caller,
        dialled=dialled,
        from_state=form.get("ToState" if out else "FromState", ""),
        direction="outbound" if out else "inbound",
    )
