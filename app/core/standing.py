"""Rows by which a call outlives its process, and by which a caller whom nobody could talk to is not forgotten."""

from datetime import datetime
from typing import Any

import msgspec

NOBODY = 0
"""An epoch of none of a call's owners: such a row replaces nothing. It closes a call whose end is not on record."""


class Owned(msgspec.Struct, frozen=True, kw_only=True):
    """A row that each process which has the call may write again: the latest wins, but never one of an earlier owner.

    epoch: a call's owners are counted, 1 for the process that it began in. Whoever takes it up has a higher one than the process
    before, so that what that one still has on its disk, or says late, does not undo what is known by then. No clock takes part.
    """

    epoch: int = 1


class Standing(Owned, frozen=True, kw_only=True):
    """How a call stands, beyond what its other rows tell: what another process needs to go on with it.

    owner: the process that has the call. streams: those that began, and tickets: those that were offered, over all processes.
    state: as `app/calls/standing.py` has it.
    """

    call_sid: str
    at: datetime
    owner: str
    streams: int
    tickets: int
    state: dict[str, Any]


class MissedCall(msgspec.Struct, frozen=True, kw_only=True):
    """A caller whom nobody could talk to: neither the agent, nor a person. Written once a call; the first wins."""

    call_sid: str
    at: datetime
    why: str


class Voicemail(msgspec.Struct, frozen=True, kw_only=True):
    """What such a caller left: a recording that the carrier keeps. Written again as the carrier tells of it again."""

    recording_sid: str
    call_sid: str
    at: datetime
    url: str
    """Of the carrier's; with .wav or .mp3 behind it, the sound itself, by the account's login."""
    seconds: int


Kept = Standing | MissedCall | Voicemail
