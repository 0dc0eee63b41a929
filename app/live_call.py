"""One call over all its streams: who it is of, what is promised for it, what it will have come to."""

import time
from datetime import UTC, datetime
from typing import Any, Literal, Protocol

import msgspec
import structlog

from app.adapters.journal import Journal
from app.consent import NO_NOTICE
from app.core import effects as do
from app.core.record import CallInfo, CallRecord, Outcome
from app.mode import Mode
from app.office import E164, Office
from app.relay import Relay
from app.toolbox import Toolbox
from app.transfers import Attempt, Transfers, note, whisper

log = structlog.get_logger()

Step = Literal["resume", "dial", "apologise", "hang_up", "repeat"]


class Next(msgspec.Struct, frozen=True):
    """What follows the stream. `note` is for the agent that takes the call up again."""

    step: Step
    desk: str = ""
    note: str = ""
    outcome: dict[str, Any] = {}
    """What the call came to, once the person at the desk has answered."""
    reason: str = ""
    warm: bool | None = None
    """Whether that person hears a whisper and accepts by key; None: as the desk is set."""
    caller_name: str = ""
    promised: str = ""


class Board(Protocol):
    """Who keeps the calls."""

    journal: Journal

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
        self.notice = NO_NOTICE
        """What is announced to the caller, and whether it was heard."""
        self.ticket = ""
        self.ticket_until = 0.0
        self.relay: Relay | None = None
        self.toolbox: Toolbox | None = None
        self.next = Next("resume")
        self.transfers = Transfers(info.call_sid, board.journal.put)
        self.streams = 0
        self.tickets = 0
        self.apologised = False
        self.by_keys = False
        """The call goes on by the keypad menu: no model answers it."""
        self.asked_next = False
        self.how = "abandoned"
        self.door = "none"
        self.document = ""
        """The last TwiML that the call was given: what a repeated request gets again."""
        self.finished = False
        self.came_at = time.monotonic()
        """When this process began to know of it."""

    @property
    def streaming(self) -> bool:
        """Whether a stream of this call runs now."""
        return self.relay is not None

    def remember(self, effect: do.PutThrough | do.HangUp | do.Apologise | do.Resume) -> None:
        """What `/twilio/next` shall answer."""
        match effect:
            case do.PutThrough():
                self.next = Next(
                    "dial",
                    effect.to,
                    outcome=effect.outcome,
                    reason=effect.reason,
                    warm=effect.warm,
                    caller_name=effect.caller_name,
                    promised=effect.promised,
                )
            case do.HangUp():
                self.next = Next("hang_up")
            case do.Apologise(reason=reason):
                log.warning("call falls back", call_sid=self.info.call_sid, why=reason)
                self.next = Next("apologise")
            case do.Resume():
                self.next = Next("resume")

    # --- a person ---------------------------------------------------------------------------------------------------

    def dials(self, office: Office, now: datetime) -> None:
        """Begin to put the caller through, as `next` has it. A desk that has closed meanwhile is a way back to the agent.

        now: aware. A repeated request begins nothing.
        """
        if self.transfers.current is not None:
            return
        wish, desk = self.next, office.reachable(self.next.desk)
        if desk is None:
            self._comes_back(self.transfers.unreachable(wish.desk, wish.reason))
            return
        self.next = msgspec.structs.replace(wish, desk=desk.name)
        if not office.desk_open(desk, now):
            self._comes_back(self.transfers.closed(desk.name, wish.reason))
            return
        words = ""
        if desk.warm if wish.warm is None else wish.warm:
            number = self.info.caller if E164.fullmatch(self.info.caller) else ""
            words = whisper(caller_name=wish.caller_name, number=number, reason=wish.reason, promised=wish.promised)
        self.transfers.begin(desk.name, wish.reason, whisper=words, outcome=wish.outcome)

    def pressed(self, seq: int, digits: str) -> bool:
        """The person pressed a key in the whisper of the n-th transfer (empty: none in time); whether the caller may be joined."""
        attempt = self.transfers.pressed(seq, digits)
        if attempt is None or attempt.result != "accepted":
            return False
        self._came_to(attempt.outcome)
        return True

    def dialled(self, status: str, *, joined: bool, over: bool) -> None:
        """The carrier says how the dial ended; what follows is in `next`. Told again, it changes nothing.

        status: the carrier's word; joined: not so if it says that the two never talked; over: the caller is gone.
        """
        if self.next.step == "apologise":
            if self.apologised:  # not so in a keypad menu, which goes on
                self.next = Next("hang_up")
            return
        talked = status in ("completed", "answered") and joined
        attempt = self.transfers.dialled(status, joined=joined, over=over)
        if attempt is not None and attempt.result == "accepted":
            self._came_to(attempt.outcome)
        if self.next.step != "dial":
            return
        if attempt is None:  # another process began it, and the books did not say more
            attempt = Attempt(seq=0, desk="the office", reason="", warm=False, whisper="", started_at=datetime.now(UTC))
            attempt.result = "accepted" if talked else "failed"
        if attempt.result == "accepted" and talked:
            self.next = Next("hang_up")
        else:
            self._comes_back(attempt)

    def _came_to(self, outcome: dict[str, Any]) -> None:
        """A person has answered: what the transfer was to come to holds now."""
        self.record.outcome.update(outcome)
        self.board.journal.put(outcome_row(self.record, self.mode))

    def _comes_back(self, attempt: Attempt) -> None:
        self.how = "transfer_failed"
        self.next = Next("resume", note=note(attempt))

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
