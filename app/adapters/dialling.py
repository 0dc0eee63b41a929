"""A call to be placed, as the carrier is asked for it, and what came of asking."""

from typing import Literal

import msgspec


class Dialling(msgspec.Struct, frozen=True, kw_only=True):
    """A call to be placed. URLs are ours: what to do once it is answered, how it goes, who picked up (empty: nobody looks)."""

    to: str
    sender: str
    answered_url: str
    progress_url: str
    verdict_url: str
    ring_seconds: int


class Dialled(msgspec.Struct, frozen=True):
    """What came of asking for a call. `later`: it was not taken, but would be in a while; `unknown`: perhaps it was."""

    answer: Literal["taken", "refused", "later", "unknown"]
    call_sid: str = ""
    code: int = 0
    """Twilio's error code; 0 where there is none."""
