"""What the person at a desk hears before the caller is joined, and the key that they press: the documents of `/twilio/whisper`.

The carrier asks this door from the person's own leg, so that the CallSid in the form is not the caller's: which call and which of
its transfers is meant stands in the URL, which is signed with the form. The same request always gets the same answer.
"""

import re
from collections.abc import Callable
from urllib.parse import parse_qsl, urlencode

import msgspec

from app.calls.transfers import INSTRUCTION, Transfers
from app.web.guard import Form
from app.wire import twiml

PATH = "/twilio/whisper"
KEY_SECONDS = 8
"""After the last word: a phone that nobody holds by then is a machine, or lies on a table."""


class Asked(msgspec.Struct, frozen=True):
    """Which transfer is meant, and whether the key has been waited for."""

    call_sid: str
    seq: int
    key: bool


def url(public: Callable[[str], str], transfers: Transfers) -> str:
    """Where the whisper of the transfer under way is; empty if nobody is to hear one."""
    attempt = transfers.current
    return public(_path(transfers.call_sid, attempt.seq)) if attempt is not None and attempt.warm else ""


def asked(query: str) -> Asked | None:
    """The query of a URL of ours; None if it is none."""
    fields = dict(parse_qsl(query)[:8])
    call_sid, seq = fields.get("call", ""), fields.get("transfer", "")
    if not re.fullmatch(r"CA[0-9a-fA-F]{32}", call_sid) or not re.fullmatch(r"[0-9]{1,6}", seq):
        return None
    return Asked(call_sid, int(seq), fields.get("key") == "1")


def answer(
    asked: Asked, form: Form, transfers: Transfers, accepts: Callable[[int, str], bool], public: Callable[[str], str]
) -> str:
    """The whisper; or, after a key: nothing, by which the carrier joins the two, or the end of the person's leg.

    accepts: writes the key down ("" for none) and says whether the caller may be joined.
    """
    if asked.key:
        return twiml.nothing() if accepts(asked.seq, form.get("Digits", "")) else twiml.hang_up()
    attempt = transfers.picked_up(asked.seq)
    if attempt is None:  # nobody waits any more
        return twiml.hang_up()
    return twiml.gather(
        say=[attempt.whisper, INSTRUCTION],
        action_url=public(_path(asked.call_sid, asked.seq, key="1")),
        timeout=KEY_SECONDS,
    )


def _path(call_sid: str, seq: int, **more: str) -> str:
    return f"{PATH}?{urlencode({'call': call_sid, 'transfer': seq, **more})}"
