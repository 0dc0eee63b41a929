"""One call over all its streams: who it is of, what is promised for it, what it will have come to."""

from typing import Any, Literal, Protocol

import msgspec
import structlog

from app.core import effects as do
from app.core.record import CallInfo, CallRecord, Outcome
from app.mode import Mode
from app.relay import Relay

log = structlog.get_logger()

Step = Literal["resume", "dial", "apologise", "hang_up", "repeat"]


class Next(msgspec.Struct, frozen=True):
    """What follows the stream. `note` is for the agent that takes the call up again."""

    step: Step
    desk: str = ""
    note: str = ""
    outcome: dict[str, Any] = {}
    """What the call came to, once the person at the desk has answered."""


class Board(Protocol):
    """Who keeps the calls."""

    def stream_over(self, call: "LiveCall", over: do.CallIsOver) -> None:
        """A stream of a call has ended."""
        ...


class LiveCall:
    """One call, over all its streams. The relay's `Household`."""

    def __init__(self, board: Board, info: CallInfo, mode: Mode) -> None:
        self.board = board
        self.info = info
        self.mode = mode
        self.record = CallRecord(call_sid=info.call_sid, mode=mode.name, spoken=[], outcome={})
        self.ticket = ""
        self.ticket_until = 0.0
        self.relay: Relay | None = None
        self.next = Next("resume")
        self.streams = 0
        self.tickets = 0
        self.apologised = False
        self.asked_next = False
        self.how = "abandoned"
        self.door = "none"
        self.document = ""
        """The last TwiML that the call was given: what a repeated request gets again."""
        self.finished = False

    @property
    def streaming(self) -> bool:
        """Whether a stream of this call runs now."""
        return self.relay is not None

    def remember(self, effect: do.PutThrough | do.HangUp | do.Apologise | do.Resume) -> None:
        """What `/twilio/next` shall answer."""
        match effect:
            case do.PutThrough(to=desk, outcome=outcome):
                self.next = Next("dial", desk, outcome=outcome)
            case do.HangUp():
                self.next = Next("hang_up")
            case do.Apologise(reason=reason):
                log.warning("call falls back", call_sid=self.info.call_sid, why=reason)
                self.next = Next("apologise")
            case do.Resume():
                self.next = Next("resume")

    def stream_over(self, over: do.CallIsOver) -> None:
        """The stream has ended; the call goes on by the one door, or is over."""
        self.relay = None
        self.how = over.outcome
        self.board.stream_over(self, over)


def outcome_row(record: CallRecord, mode: Mode) -> Outcome:
    """What came of a call as its mode's type has it; what does not fit is kept raw, and marked."""
    if mode.outcome is None:
        return Outcome(call_sid=record.call_sid, kind=mode.name, fields=dict(record.outcome), valid=True)
    try:
        typed = msgspec.convert(record.outcome, mode.outcome)
        return Outcome(call_sid=record.call_sid, kind=mode.name, fields=msgspec.to_builtins(typed), valid=True)
    except msgspec.ValidationError as wrong:
        log.warning("outcome not valid", call_sid=record.call_sid, why=str(wrong))
        raw = msgspec.json.decode(msgspec.json.encode(record.outcome, enc_hook=str))
        return Outcome(call_sid=record.call_sid, kind=mode.name, fields=raw, valid=False)
