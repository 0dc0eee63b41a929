"""The record of a call as it grows: one struct for each row that the books keep (tables: docs/books.md).

`CallRecord` is what the machine remembers while the call lasts; the row structs are what it hands out to be written down. Points
in time are aware UTC datetimes; `start_ms` and `end_ms` count from the stream's start. `seq` numbers things of a call from 0.
"""

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Literal

import msgspec

from app.core.finished import CallFinished
from app.core.heard import Mark, words_heard
from app.core.memory import Memory
from app.core.recorded import Recording
from app.core.standing import Kept

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

    status `working`: it goes on behind the talk, and the row is written again when it has come back.
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


class Capture(msgspec.Struct, frozen=True, kw_only=True):
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


class Outcome(msgspec.Struct, frozen=True, kw_only=True):
    """What came of the call: `fields` as the mode's outcome type has them, or raw with `valid` false."""

    call_sid: str
    kind: str
    fields: dict[str, Any]
    valid: bool


class Consent(msgspec.Struct, frozen=True, kw_only=True):
    """What was announced to the caller, and whether they heard it. Written again once they have."""

    call_sid: str
    at: datetime
    """When the call began for which it was decided."""
    what: Literal["ai", "recording", "both"]
    text: str
    why: str
    how: Literal["before_stream", "greeting"]
    heard: bool


class TransferAttempt(msgspec.Struct, frozen=True, kw_only=True):
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
    marks: list[Mark] = []
    """Where words end in the sound, as far as whoever spoke them said so."""
    whole: bool = False
    """Whether the model said that this is all the sound; else its words may be ahead of what was sent."""

    @property
    def heard_text(self) -> str:
        """The words that were heard: all of them, or the whole words that the heard milliseconds cover."""
        if self.who != "agent":
            return self.text
        return words_heard(self.text, self.heard_ms, self.sent_ms, self.marks)


class CallRecord(msgspec.Struct, kw_only=True):
    """What is known of a call so far, over all its streams. The machine writes it; nobody else does."""

    call_sid: str
    mode: str
    spoken: list[Spoken] = []
    first_seq: int = 0
    """`seq` of the first of `spoken`: more than 0 for a call that another process began."""
    earlier: list[tuple[Who, str]] = []
    """What was said and heard in that other process."""
    attempts: list[TransferAttempt] = []
    """Transfers that were tried in that other process."""
    tool_calls: int = 0
    captures: int = 0
    """`seq` of the next capture."""
    consents: list[Consent] = []
    """What was announced in that other process."""
    model: str = ""
    """Who talked on the last stream; empty if there was none."""
    spans: int = 0
    """`seq` of the next span, and of the next response."""
    responses: int = 0
    done_before: dict[str, int] = {}
    """How often each tool was done in another process."""
    slowest_turn_ms: int = 0
    cuts: int = 0
    failed_tools: int = 0
    turn_ms: list[int] = []
    caller_turns: int = 0
    """How often the caller began to speak after they had heard the agent, or to press keys."""
    agent_voiced: bool = True
    """Whether the agent was to be heard since the caller's last turn."""
    flow_state: str = ""
    """Where the talk stands in its mode's flow; empty without one, and until it has begun."""
    flow_failures: int = 0
    """... and how often something went wrong there."""
    cost_usd: float = 0.0
    greeting_path: str | None = None
    greeting_ms: int | None = None
    input_tokens: int = 0
    cached_tokens: int = 0
    input_audio_tokens: int = 0
    cached_audio_tokens: int = 0
    outcome: dict[str, Any] = {}
    working: dict[str, ToolCall] = {}
    """Tool calls that are not over though nobody waits for them: in the background, or cut off as a stream ended. By call_id."""
    memory: Memory = msgspec.field(default_factory=Memory)
    untold: list[str] = []
    """What came back of those while no model could be told; the next stream's is."""
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

    def notes(self, text: str, now: float) -> Turn:
        """Put a line of the house's into the transcript: its row. now: on the machine's clock."""
        at = self.at_ms(now)
        turn = Spoken(self.first_seq + len(self.spoken), "house", "", at, at, text)
        self.spoken.append(turn)
        return self.row(turn)

    def find(self, item_id: str) -> Spoken | None:
        """The turn of an item; None if it has none (yet)."""
        return next((turn for turn in reversed(self.spoken) if turn.item_id == item_id), None)

    def ended(self, at: datetime, outcome: str) -> CallEnded:
        """The call's end as the books keep it."""
        return CallEnded(
            call_sid=self.call_sid,
            ended_at=at,
            outcome=outcome,
            cost_usd=round(self.cost_usd, 6),
            greeting_path=self.greeting_path,
            greeting_ms=self.greeting_ms,
            input_tokens=self.input_tokens,
            cached_tokens=self.cached_tokens,
            input_audio_tokens=self.input_audio_tokens,
            cached_audio_tokens=self.cached_audio_tokens,
            model=self.model,
            slowest_turn_ms=self.slowest_turn_ms,
            cuts=self.cuts,
            turn_ms=tuple(self.turn_ms),
            failed_tools=self.failed_tools,
            reconnects=self.memory.reconnects,
            longest_gap_ms=self.memory.longest_gap_ms,
        )

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
        said = [*self.earlier, *((turn.who, turn.heard_text) for turn in self.spoken if turn.heard_text)]
        return [(who, text) for who, text in said if who != "house"]
