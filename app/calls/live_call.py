"""One call over all its streams: who it is of, what is promised for it, what it will have come to."""

import asyncio
import time
from datetime import UTC, datetime
from typing import Any, Literal, Protocol

import msgspec
import structlog

from app import metrics
from app.adapters.journal import Journal
from app.calls.recording import Tape
from app.calls.spending import Cap
from app.calls.toolbox import Toolbox
from app.calls.transfers import Attempt, Transfers, note, whisper
from app.consent import NO_NOTICE
from app.core import effects as do
from app.core import events as ev
from app.core.memory import Memory
from app.core.record import CallRecord
from app.core.rows import CallInfo, Capture, Milestone, Outcome, Row
from app.core.standing import Owned, Standing
from app.mode import Mode
from app.others_words import misfit
from app.relay import Relay
from app.rules.office import E164, Office

log = structlog.get_logger()

Step = Literal["resume", "dial", "apologise", "hang_up", "message", "repeat"]


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
    say: str = ""
    """What the carrier says before it hangs up."""


UNSAID = {
    "dormant": "I cannot hear you, so I am ending this call. Goodbye.",
    "capped": "I am sorry, I have to end this call here. Goodbye.",
}
"""What the carrier says where the agent should have taken leave and could not, by why the call ends."""


class Board(Protocol):
    """Who keeps the calls."""

    journal: Journal

    def stream_over(self, call: "LiveCall", over: do.CallIsOver) -> None:
        """A stream of a call has ended."""
        ...

    def keep(self, call: "LiveCall") -> None:
        """Have the books know how a call stands."""
        ...


class LiveCall:
    """One call, over all its streams. The relay's `Household`."""

    def __init__(self, board: Board, info: CallInfo, mode: Mode) -> None:
        self.board = board
        self.info = info
        self.mode = mode
        self.record = CallRecord(call_sid=info.call_sid, mode=mode.name)
        self.notice = NO_NOTICE
        """What is announced to the caller, and whether it was heard."""
        self.tape: Tape | None = None
        """Of the newest stream, if that is recorded."""
        self.ticket = ""
        self.ticket_until = 0.0
        self.relay: Relay | None = None
        self.toolbox: Toolbox | None = None
        self.next = Next("resume")
        self.transfers = Transfers(info.call_sid, self.write)
        self.streams = 0
        self.tickets = 0
        self.apologised = False
        self.by_keys = False
        """The call goes on by the keypad menu: no model answers it."""
        self.menu_dials = 0
        """How often the caller was put through from there."""
        self.led_to_person = False
        """A person was dialled because no agent could talk to the caller."""
        self.leaves_message = False
        """The caller was asked to leave a message, for the same reason."""
        self.unopened = 0
        """How often the carrier asked what is next without having come by the ticket that it had."""
        self.fallbacks = 0
        """How often the carrier could not fetch, or not use, what we gave it."""
        self.handed_over = False
        """Another process has the call, or is to have it: here it is not resumed, nor written of."""
        self.kept: Standing | None = None
        """How the books have it, as far as this process wrote it."""
        self.captured: list[Capture] = []
        """What the caller gave in another process."""
        self.briefing = ""
        """What the model is told of that process's part of the call."""
        self.turned_away: Cap | None = None
        """The cap that it was over when it came: no model answers it."""
        self.asked_next = 0
        """How often the carrier has asked what is next since a stream of the call began."""
        self.how = "abandoned"
        self.door = "none"
        self.document = ""
        """The last TwiML that the call was given: what a repeated request gets again."""
        self.finished = False
        self.rings_seconds = 0.0
        """Of a call that we placed: how long it may ring."""
        self.picked_up: ev.PickedUp | None = None
        """... and who picked up, once the carrier has said so."""
        self.waits: list[asyncio.TimerHandle] = []
        """What looks later whether it is over; a timer of hours would keep all of it in memory."""
        self.came_at = time.monotonic()
        """When this process began to know of it."""

    def turns_away(self, cap: Cap) -> None:
        """A new call is over a cap: it goes on by the keypad menu, or to a person. Its row is whole, whatever becomes of it."""
        self.turned_away, self.how, self.next = cap, "turned_away", Next("apologise")
        now = datetime.now(UTC)
        self.board.journal.put(Milestone(call_sid=self.info.call_sid, name=f"turned_away_{cap}", at=now))
        self.board.journal.put(self.record.ended(now, self.how))

    def write(self, row: Row) -> None:
        """Put a row: where each owner of the call may write it again, as this one's."""
        if isinstance(row, Owned):
            row = msgspec.structs.replace(row, epoch=self.record.epoch)
        self.board.journal.put(row)

    @property
    def streaming(self) -> bool:
        """Whether a stream of this call runs now."""
        return self.relay is not None

    def hangs(self, stream: int) -> bool:
        """Whether the carrier has not asked what follows the n-th stream, though that has ended."""
        return not (self.asked_next or self.finished or self.streaming or self.streams != stream)

    def remember(self, effect: do.PutThrough | do.HangUp | do.Apologise | do.Resume | do.LeaveMessage) -> None:
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
            case do.HangUp(reason=reason, cap=cap, unsaid=unsaid):
                self.next = Next("hang_up", say=UNSAID.get(reason, "Goodbye.") if unsaid else "")
                if cap:
                    metrics.capped_total.labels(cap, "live").inc()
                    log.warning("a cap ends a call", call_sid=self.info.call_sid, cap=cap)
            case do.LeaveMessage():
                self.next = Next("message")
            case do.Apologise(reason=reason):
                log.warning("call falls back", call_sid=self.info.call_sid, why=reason)
                self.next = Next("apologise")
            case do.Resume():
                self.next = Next("resume")
        self.board.keep(self)

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

    def dialled(self, status: str, *, joined: bool, over: bool, seq: int | None = None) -> bool:
        """The carrier says how the dial ended; what follows is in `next`. Told again, it changes nothing.

        status: the carrier's word; joined: not so if it says that the two never talked; over: the caller is gone. seq: of the
        attempt that is meant, None if it was none of the agent's. Returns whether it is news of where the call stands: not so if
        it is of an earlier attempt, and late.
        """
        attempts = self.transfers.attempts
        if seq is not None and attempts and seq < attempts[-1].seq:
            return False
        self._dialled(status, joined=joined, over=over)
        return True

    def _dialled(self, status: str, *, joined: bool, over: bool) -> None:
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

    def sheds(self) -> None:
        """It is over, and its last row is put: what no callback asks for, however late, is let go of.

        That is nearly all: the talk, the tools, and with them the stream's machine, session and sound. Kept are who it was of, what
        comes next, the transfers, the last document, and the figures of a row that may be written again.
        """
        record = self.record
        if self.toolbox is not None:
            record.done_before = self.toolbox.done
        record.first_seq += len(record.spoken)  # a row that may still come is written behind those
        record.spoken, record.turn_of, record.earlier, record.attempts, record.consents = [], {}, [], [], []
        record.working, record.untold = {}, []
        record.memory = Memory(reconnects=record.memory.reconnects, longest_gap_ms=record.memory.longest_gap_ms)
        self.toolbox = self.tape = None
        self.captured, self.briefing = [], ""

    def stream_over(self, over: do.CallIsOver) -> None:
        """The stream has ended; the call goes on by the one door, or is over."""
        self.relay = None
        self.how = over.outcome
        self.board.stream_over(self, over)


def outcome_row(record: CallRecord, mode: Mode) -> Outcome:
    """What came of a call as its mode's type has it; what does not fit is kept raw, and marked."""
    row = Outcome(call_sid=record.call_sid, epoch=record.epoch, kind=mode.name, fields=dict(record.outcome), valid=True)
    if mode.outcome is None:
        return row
    try:
        typed = msgspec.convert(record.outcome, mode.outcome)
        return msgspec.structs.replace(row, fields=msgspec.to_builtins(typed))
    except msgspec.ValidationError as wrong:
        log.warning("outcome not valid", call_sid=record.call_sid, why=misfit(wrong))
        raw = msgspec.json.decode(msgspec.json.encode(record.outcome, enc_hook=str))
        return msgspec.structs.replace(row, fields=raw, valid=False)
