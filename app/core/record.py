"""The record of a call as it grows: one struct for each row that the books keep (tables: docs/books.md).

`CallRecord` is what the machine remembers while the call lasts; the row structs are what it hands out to be written down.
Times in rows are aware UTC datetimes where they are points in time, and milliseconds since the stream's start
(`start_ms`, `end_ms`) inside a call. `seq` numbers turns and tool calls within a call from 0, in the order they began.
"""

from datetime import datetime
from typing import Any, Literal

import msgspec

Who = Literal["caller", "agent"]
Direction = Literal["inbound", "outbound"]


class CallInfo(msgspec.Struct, frozen=True, kw_only=True):
    """What the carrier says of a call."""

    call_sid: str
    account_sid: str
    caller: str
    dialled: str


class CallStarted(msgspec.Struct, frozen=True, kw_only=True):
    """A webhook was accepted, or a bare stream started: the row in `calls` begins."""

    call_sid: str
    mode: str
    direction: Direction
    from_number: str
    to_number: str
    started_at: datetime
    version: str = ""


class CallEnded(msgspec.Struct, frozen=True, kw_only=True):
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
    """One tool call. `arguments` and `result` are as on the wire: JSON text, or what came instead of it."""

    call_sid: str
    seq: int
    name: str
    arguments: str
    result: str
    status: Literal["ok", "refused", "error", "late"]
    ms: int


class Milestone(msgspec.Struct, frozen=True, kw_only=True):
    """A named moment of a call: webhook_accepted, stream_started, first_audio_sent, ..."""

    call_sid: str
    name: str
    at: datetime


class Outcome(msgspec.Struct, frozen=True, kw_only=True):
    """What came of the call: `fields` as the mode's outcome type has them, or raw with `valid` false."""

    call_sid: str
    kind: str
    fields: dict[str, Any]
    valid: bool


class DebugEvent(msgspec.Struct, frozen=True, kw_only=True):
    """One raw protocol event, audio taken out. `source` is the end that sent it."""

    call_sid: str
    at: datetime
    source: Literal["carrier", "model", "house"]
    event: dict[str, Any] | msgspec.Raw
    """Raw: a JSON object as it came, with nothing in it that had to be taken out."""


Row = CallStarted | CallEnded | Turn | ToolCall | Milestone | Outcome | DebugEvent


class Spoken(msgspec.Struct):
    """A turn as it grows. Times are ms since the call's first stream started."""

    seq: int
    who: Who
    item_id: str
    start_ms: int
    end_ms: int
    text: str = ""
    sent_ms: int = 0
    heard_ms: int = 0

    @property
    def heard_text(self) -> str:
        """The words that were heard: all of them, or the share of whole words that the heard milliseconds cover."""
        if self.who == "caller" or self.heard_ms >= self.sent_ms:
            return self.text if self.who == "caller" or self.sent_ms else ""
        share = int(len(self.text) * self.heard_ms / self.sent_ms)
        if share < len(self.text) and not self.text[share].isspace():
            share = self.text.rfind(" ", 0, share) + 1
        return self.text[:share].rstrip()


class CallRecord(msgspec.Struct, kw_only=True):
    """What is known of a call so far, over all its streams. The machine writes it; nobody else does."""

    call_sid: str
    mode: str
    spoken: list[Spoken] = []
    first_seq: int = 0
    """`seq` of the first of `spoken`: more than 0 for a call that another process began."""
    earlier: list[tuple[Who, str]] = []
    """What was said and heard in that other process."""
    tool_calls: int = 0
    cost_usd: float = 0.0
    greeting_path: str | None = None
    greeting_ms: int | None = None
    input_tokens: int = 0
    cached_tokens: int = 0
    input_audio_tokens: int = 0
    cached_audio_tokens: int = 0
    outcome: dict[str, Any] = {}
    began: float | None = None
    """The machine's clock when the first stream started: the zero of start_ms and end_ms."""

    def at_ms(self, now: float) -> int:
        """Milliseconds since the call's first stream started."""
        return 0 if self.began is None else max(0, round((now - self.began) * 1000))

    def speaks(self, who: Who, item_id: str, start_ms: int) -> Spoken:
        """Begin a turn, or find the one that this item began already."""
        for turn in reversed(self.spoken):
            if turn.item_id == item_id and turn.who == who:
                return turn
        turn = Spoken(self.first_seq + len(self.spoken), who, item_id, start_ms, start_ms)
        self.spoken.append(turn)
        return turn

    def find(self, item_id: str) -> Spoken | None:
        """The turn of an item; None if it has none (yet)."""
        return next((turn for turn in reversed(self.spoken) if turn.item_id == item_id), None)

    def row(self, turn: Spoken) -> Turn:
        """A turn as the books keep it."""
        return Turn(
            call_sid=self.call_sid,
            seq=turn.seq,
            who=turn.who,
            generated_text=turn.text,
            heard_text=turn.heard_text,
            start_ms=turn.start_ms,
            end_ms=max(turn.start_ms, turn.end_ms),
        )

    def history(self) -> list[tuple[Who, str]]:
        """The talk so far as both sides heard it, for a new session of the same call."""
        return [*self.earlier, *((turn.who, turn.heard_text) for turn in self.spoken if turn.heard_text)]
