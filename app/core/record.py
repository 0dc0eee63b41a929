"""The record of a call as it grows: what the machine remembers of it while it lasts, and makes its rows of."""

from datetime import datetime
from typing import Any

import msgspec

from app.core.heard import Mark, words_heard
from app.core.memory import Memory
from app.core.rows import CallEnded, Consent, ToolCall, TransferAttempt, Turn, Who


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
    epoch: int = 1
    """Of which of the call's owners its rows are, as `Owned` has it."""
    spoken: list[Spoken] = []
    turn_of: dict[str, Spoken] = {}
    """The newest of each item, without the house's own lines."""
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
        turn = self.turn_of.get(item_id)
        if turn is not None and turn.who != who:  # a server that names no items, or both sides' alike
            turn = next((t for t in reversed(self.spoken) if (t.who, t.item_id) == (who, item_id)), None)
        if turn is None:
            turn = Spoken(self.first_seq + len(self.spoken), who, item_id, start_ms, start_ms)
            self.spoken.append(turn)
            self.turn_of[item_id] = turn
        return turn

    def goes_on(self, turn: Spoken, item_id: str) -> None:
        """A turn was told again, to another session, and is this item there."""
        if self.turn_of.get(turn.item_id) is turn:
            del self.turn_of[turn.item_id]
        turn.item_id = item_id
        self.turn_of[item_id] = turn

    def notes(self, text: str, now: float) -> Turn:
        """Put a line of the house's into the transcript: its row. now: on the machine's clock."""
        at = self.at_ms(now)
        turn = Spoken(self.first_seq + len(self.spoken), "house", "", at, at, text)
        self.spoken.append(turn)
        return self.row(turn)

    def find(self, item_id: str) -> Spoken | None:
        """The turn of an item; None if it has none (yet)."""
        return self.turn_of.get(item_id)

    def ended(self, at: datetime, outcome: str) -> CallEnded:
        """The call's end as the books keep it."""
        return CallEnded(
            call_sid=self.call_sid,
            epoch=self.epoch,
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
