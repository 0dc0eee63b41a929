"""What the books keep of a call: one struct for each row (tables: docs/books.md), handed out by the machine to be written down.

Points in time are aware UTC datetimes; `start_ms` and `end_ms` count from the stream's start. `seq` counts things of a call from 0.
"""

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Literal

import msgspec

from app.core.finished import CallFinished
from app.core.recorded import Recording
from app.core.standing import Kept, Owned

Who = Literal["caller", "agent", "house"]
"""`house`: a line about the call itself, said by nobody: what an operator did to it."""
Direction = Literal["inbound", "outbound"]
SpanKind = Literal["stream", "sent", "spoken", "mark", "clear", "truncate", "clip", "key"]
TransferResult = Literal[
    "", "accepted", "busy", "no_answer", "declined", "voicemail", "caller_left", "failed", "closed"
]


class CallInfo(msgspec.Struct, frozen=True, kw_only=True):
    """What the carrier says of a call."""

    call_sid: str
    account_sid: str
    caller: str
    dialled: str
    from_state: str = ""
    """State or province of the caller's number, as the carrier names it; empty if it does not."""
    direction: Direction = "inbound"
    """outbound: we called. `caller` is still who is at the other end, and `dialled` our own number."""
    fields: Mapping[str, Any] = {}
    """What a call that we placed was asked for with."""
    screened: bool = False
    """The carrier finds out whether a person picked up: the agent's first answer waits for that a little."""


class CallStarted(msgspec.Struct, frozen=True, kw_only=True):
    """A webhook was accepted, or a bare stream started: the row in `calls` begins."""

    call_sid: str
    mode: str
    direction: Direction
    from_number: str
    to_number: str
    started_at: datetime
    version: str = ""
    mode_version: str = ""
    """The stamp of the mode's edition that the call began with."""


class CallEnded(Owned, frozen=True, kw_only=True):
    """The call is over: completes the row in `calls`. May be written more than once; the latest wins."""

    call_sid: str
    ended_at: datetime
    outcome: str
    cost_usd: float
    greeting_path: str | None
    greeting_ms: int | None
    input_tokens: int | None = None
    """What all responses read; `cached_tokens` of it came from the provider's cache, and so much of both was audio."""
    cached_tokens: int | None = None
    input_audio_tokens: int | None = None
    cached_audio_tokens: int | None = None
    model: str | None = None
    slowest_turn_ms: int | None = None
    """Of all waits from where the caller stopped to the first sound of the answer; 0 if the caller never waited for one."""
    cuts: int | None = None
    """How often the caller cut in on what was played."""
    failed_tools: int | None = None
    reconnects: int | None = None
    """Sessions with the model that took over from another in mid-call; `longest_gap_ms`: the longest time without one."""
    longest_gap_ms: int | None = None
    turn_ms: tuple[int, ...] | None = None
    """All waits of which `slowest_turn_ms` is the longest, in order."""


class Turn(msgspec.Struct, frozen=True, kw_only=True):
    """One turn of talk, written again under the same `seq` as more of it becomes known.

    generated_text: what the model produced (agent) or what was transcribed (caller).
    heard_text: what of it reached the caller's ear; for the caller's own words the same text.
    """

    call_sid: str
    seq: int
    who: Who
    generated_text: str
    heard_text: str
    start_ms: int
    end_ms: int


class ToolCall(msgspec.Struct, frozen=True, kw_only=True):
    """One tool call. `arguments` and `result` are as on the wire: JSON text, or what came instead of it.

    status `working`: it was begun, and the row is written again when it has come back.
    """

    call_sid: str
    seq: int
    name: str
    arguments: str
    result: str
    status: Literal["ok", "refused", "error", "late", "working"]
    ms: int
    start_ms: int | None = None
    """When the model asked for it; None in calls of before this was kept."""


class Milestone(msgspec.Struct, frozen=True, kw_only=True):
    """A named moment of a call: webhook_accepted, stream_started, first_audio_sent, ..."""

    call_sid: str
    name: str
    at: datetime


class Capture(Owned, frozen=True, kw_only=True):
    """What a caller gave for an argument of a tool, written again under the same `seq` as more of it becomes known.

    kind: name, phone, email, ... as app/captures/kinds.py has them. heard: what the model sent last, 300 characters at most.
    value: as it was read; empty while it could not be. failures: corrections, and words that could not be read.
    """

    call_sid: str
    seq: int
    kind: str
    argument: str
    heard: str
    value: str
    confirmed: bool
    failures: int


class Outcome(Owned, frozen=True, kw_only=True):
    """What came of the call: `fields` as the mode's outcome type has them, or raw with `valid` false."""

    call_sid: str
    kind: str
    fields: dict[str, Any]
    valid: bool


class Consent(Owned, frozen=True, kw_only=True):
    """What was announced to the caller, and whether they heard it. Written again once they have."""

    call_sid: str
    at: datetime
    """When the call began for which it was decided."""
    what: Literal["ai", "recording", "both"]
    text: str
    why: str
    how: Literal["before_stream", "greeting"]
    heard: bool


class TransferAttempt(Owned, frozen=True, kw_only=True):
    """One attempt to put the caller through, written again under the same `seq` as more of it becomes known.

    result: empty while nothing is known. "accepted": the person pressed the key, or was joined where none was asked for.
    whisper: what the person heard before they were asked for the key; empty for a blind transfer.
    """

    call_sid: str
    seq: int
    desk: str
    reason: str
    result: TransferResult
    whisper: str
    started_at: datetime
    ended_at: datetime | None


class Span(msgspec.Struct, frozen=True, kw_only=True):
    """Something with a place on the call's time axis; `seq` counts them in the order in which they were known.

    sent: an item's audio went to the carrier, `audio_ms` of it; `relay_us` passed from the model's first piece to the carrier's.
    spoken: the caller's sound, by the model's count. mark: sent, and back; flushed by a clear, or never back, says `note`.
    truncate: the model was told that `audio_ms` of the item were heard. clear, key, clip: a moment. stream: `note` is how it ended.
    name: the item's id, the mark's, the key, the clip's, the stream's. turn: `seq` of its turn, where it belongs to one.
    """

    call_sid: str
    seq: int
    kind: SpanKind
    name: str
    turn: int | None
    start_ms: int
    end_ms: int
    audio_ms: int | None
    relay_us: int | None
    note: str


class Response(msgspec.Struct, frozen=True, kw_only=True):
    """One response of the model: when it was made, and the tokens that were paid for it. Cached tokens are not in the others.

    status: as the provider has it, with its reason; empty if the stream ended first.
    """

    call_sid: str
    seq: int
    response_id: str
    model: str
    status: str
    start_ms: int
    end_ms: int
    text_in: int = 0
    text_cached: int = 0
    audio_in: int = 0
    audio_cached: int = 0
    text_out: int = 0
    audio_out: int = 0
    cost_usd: float = 0.0


class DebugEvent(msgspec.Struct, frozen=True, kw_only=True):
    """One raw protocol event, audio taken out. `source` is the end that sent it."""

    call_sid: str
    at: datetime
    source: Literal["carrier", "model", "house"]
    event: dict[str, Any] | msgspec.Raw
    """Raw: a JSON object as it came, with nothing in it that had to be taken out."""


Row = (
    CallStarted
    | CallEnded
    | CallFinished
    | Turn
    | ToolCall
    | Milestone
    | Capture
    | Outcome
    | TransferAttempt
    | Consent
    | Recording
    | DebugEvent
    | Span
    | Response
    | Kept
)
