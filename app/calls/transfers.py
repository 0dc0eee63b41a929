"""What became of putting a call's caller through: one attempt after another, each with one result, in whatever order it is told.

Two legs tell of an attempt, and neither is to be believed alone. The caller's leg (`/twilio/dialed`) says how the carrier's
<Dial> ended; the person's leg (`/twilio/whisper`) says which key was pressed. A machine that picks up is "completed" to the
carrier, and never presses a key. So:

    blind   accepted is what the carrier says: completed, and joined
    warm    accepted is the stored key press, whatever the carrier says

    told                                          result (the first that holds stays)
    the key 1 in the whisper                      accepted
    another key                                   declined
    no key within the time                        voicemail: a machine, or a phone that nobody holds
    the caller is gone                            caller_left
    the dial ended: busy, no-answer, failed       busy, no_answer, failed
    ... after the person had picked up (warm)     declined: hung up in the whisper
    the desk is outside its hours                 closed: nobody was dialled

Requests are repeated and overtake each other: what is settled stays, but that a blind transfer turns out to have been talked
through after all when the caller's end was told first.
"""

import re
import unicodedata
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Any

import msgspec

from app import metrics
from app.core.rows import Row, TransferAttempt, TransferResult

ACCEPT_KEY = "1"
NAME_LIMIT = 60
WORDS_LIMIT = 160
"""Characters of a reason and of a promise in a whisper: some ten seconds each when they are read out."""
INSTRUCTION = "Press 1 to take the call, or any other key to decline."

WHY: dict[TransferResult, str] = {
    "busy": "the line is busy",
    "no_answer": "nobody answered",
    "declined": "the person there cannot take the call now",
    "voicemail": "nobody came to the phone",
    "failed": "the call did not go through",
    "closed": "that desk has just closed",
    "accepted": "the connection to the person was lost",
}


class Attempt(msgspec.Struct, kw_only=True):
    """One attempt as it grows. `outcome`: fields of the mode's outcome that hold once it is accepted."""

    seq: int
    desk: str
    reason: str
    warm: bool
    whisper: str
    started_at: datetime
    outcome: dict[str, Any] = {}
    result: TransferResult = ""
    ended_at: datetime | None = None
    epoch: int = 1
    """Of the row that it was read from, as `Owned` has it."""
    picked_up: bool = False
    """The whisper was asked for: somebody, or something, answered."""

    @property
    def open(self) -> bool:
        """Whether the dial is still under way, as far as we were told."""
        return self.ended_at is None


class Transfers:
    """The attempts of one call. `put` takes each row as it is, and as it becomes."""

    def __init__(
        self,
        call_sid: str,
        put: Callable[[Row], None],
        *,
        utc: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self.call_sid = call_sid
        self.attempts: list[Attempt] = []
        self._first_seq = 0
        self._put = put
        self._utc = utc

    def recall(self, rows: Sequence[TransferAttempt], *, first_seq: int = 0) -> None:
        """Go on with what another process began. first_seq: of the next attempt, at least."""
        self._first_seq = first_seq
        self.attempts = [
            Attempt(
                seq=row.seq,
                desk=row.desk,
                reason=row.reason,
                warm=bool(row.whisper),
                whisper=row.whisper,
                started_at=row.started_at,
                result=row.result,
                ended_at=row.ended_at,
                epoch=row.epoch,
            )
            for row in sorted(rows, key=lambda row: row.seq)
        ]

    @property
    def current(self) -> Attempt | None:
        """The attempt that is under way; None if there is none."""
        return self.attempts[-1] if self.attempts and self.attempts[-1].open else None

    # --- what happens -----------------------------------------------------------------------------------------------

    def begin(self, desk: str, reason: str, *, whisper: str = "", outcome: dict[str, Any] | None = None) -> Attempt:
        """Somebody at a desk is dialled, and hears the whisper first if there is one; the attempt under way if it is so already."""
        if self.current is not None:
            return self.current
        return self._add(desk, reason, whisper=whisper, outcome=outcome or {})

    def closed(self, desk: str, reason: str) -> Attempt:
        """Nobody was dialled: the desk is outside its hours."""
        attempt = self._add(desk, reason, result="closed", ended_at=self._utc())
        metrics.transfers_total.labels("closed").inc()
        return attempt

    def unreachable(self, desk: str, reason: str) -> Attempt:
        """Nobody was dialled: no desk has a telephone."""
        attempt = self._add(desk, reason, result="failed", ended_at=self._utc())
        metrics.transfers_total.labels("failed").inc()
        return attempt

    def picked_up(self, seq: int) -> Attempt | None:
        """The carrier asks what the person shall hear; None if there is no such attempt, or nobody waits any more."""
        attempt = self._find(seq)
        if attempt is None or not attempt.open or not attempt.warm:
            return None
        attempt.picked_up = True
        return attempt

    def pressed(self, seq: int, digits: str) -> Attempt | None:
        """The person pressed a key; empty: none within the time. None as in `picked_up`. The first that is told counts."""
        attempt = self.picked_up(seq)
        if attempt is not None and not attempt.result:
            self._settle(attempt, "accepted" if digits == ACCEPT_KEY else "declined" if digits else "voicemail")
        return attempt

    def accepts(self, seq: int, digits: str) -> bool:
        """`pressed`, and whether the caller may be joined."""
        attempt = self.pressed(seq, digits)
        return attempt is not None and attempt.result == "accepted"

    def dialled(self, status: str, *, joined: bool = True, over: bool = False) -> Attempt | None:
        """The carrier says how the dial ended; the attempt, or None if there was none.

        status: the carrier's word. joined: False if it says that the two never talked. over: the caller's call has ended.
        """
        attempt = self.attempts[-1] if self.attempts else None
        if attempt is None:
            return None
        talked = not attempt.warm and status in ("completed", "answered") and joined
        if attempt.open:
            self._settle(attempt, attempt.result or _result(attempt, status, talked, over), ended=True)
        elif attempt.result == "caller_left" and talked:
            self._settle(attempt, "accepted", ended=True)
        return attempt

    def given_up(self) -> None:
        """The caller talks to the agent again, however they came back: nobody is being dialled any more."""
        if self.current is not None:
            self.dialled("")

    def caller_left(self) -> None:
        """The call is over; what was not settled never will be."""
        if self.current is not None:
            self._settle(self.current, self.current.result or "caller_left", ended=True)

    # --- the ledger -------------------------------------------------------------------------------------------------

    def _find(self, seq: int) -> Attempt | None:
        return next((attempt for attempt in self.attempts if attempt.seq == seq), None)

    def _add(self, desk: str, reason: str, *, whisper: str = "", **more: Any) -> Attempt:
        seq = max(self._first_seq, self.attempts[-1].seq + 1 if self.attempts else 0)
        attempt = Attempt(
            seq=seq, desk=desk, reason=reason, warm=bool(whisper), whisper=whisper, started_at=self._utc(), **more
        )
        self.attempts.append(attempt)
        self._write(attempt)
        return attempt

    def _settle(self, attempt: Attempt, result: TransferResult, *, ended: bool = False) -> None:
        if not attempt.result:
            metrics.transfers_total.labels(result).inc()
        attempt.result = result
        attempt.ended_at = attempt.ended_at or (self._utc() if ended else None)
        self._write(attempt)

    def _write(self, attempt: Attempt) -> None:
        self._put(
            TransferAttempt(
                call_sid=self.call_sid,
                epoch=attempt.epoch,
                seq=attempt.seq,
                desk=attempt.desk,
                reason=attempt.reason,
                result=attempt.result,
                whisper=attempt.whisper,
                started_at=attempt.started_at,
                ended_at=attempt.ended_at,
            )
        )


def _result(attempt: Attempt, status: str, talked: bool, over: bool) -> TransferResult:
    """What the end of a dial means where no key was pressed."""
    if talked:
        return "accepted"
    if over or status == "canceled":
        return "caller_left"
    if attempt.picked_up:
        return "declined"
    words: dict[str, TransferResult] = {"busy": "busy", "no-answer": "no_answer"}
    return words.get(status, "failed")


def note(attempt: Attempt) -> str:
    """What the agent is told whose caller is back."""
    return (
        f"You tried to put the caller through to {attempt.desk}, but {WHY.get(attempt.result, WHY['failed'])}. The caller is "
        "back with you: say so, apologise, and offer to take a message or to have them called back."
    )


def whisper(*, caller_name: str, number: str, reason: str, promised: str) -> str:
    """The two sentences that the person hears: who calls and why, and what was promised. At most some 400 characters.

    number: the caller's, E.164, or empty if it is withheld; read out digit by digit where no name is known.
    """
    who = plain(caller_name, NAME_LIMIT) or _spelled(number) or "somebody who withholds their number"
    why = plain(reason, WORDS_LIMIT) or "no reason was given"
    promise = plain(promised, WORDS_LIMIT)
    return f"Call from {who}: {why}. " + (f"Promised: {promise}." if promise else "Nothing was promised.")


def plain(words: str, limit: int) -> str:
    """Words of a caller's or a model's as one clause that is safe to read out: letters, digits and a little punctuation.

    Nothing of markup stays (SSML begins with `<`), no control or invisible character, and nothing that ends a sentence: what a
    person hears is two sentences, whatever was said. Cut at a word within `limit` characters.
    """
    ends = re.sub(r"(?<!\d)[.!?;:]+|[.!?;:]+(?!\d)", ",", words[: 8 * limit])
    kept = "".join(
        c if c in "'-/%$@#+,.:" or unicodedata.category(c)[0] in "LMN" else " " for c in ends.replace("&", " and ")
    )
    clause = re.sub(r"[\s,]*,[\s,]*", ", ", " ".join(kept.split())).strip(" ,-/")
    if len(clause) > limit:
        clause = clause[: limit + 1].rpartition(" ")[0] or clause[:limit]
    return clause.strip(" ,-/")


def _spelled(number: str) -> str:
    """A number as it is read out: digit by digit."""
    digits = [c for c in number if c.isascii() and c.isdigit()][:15]
    return " ".join(digits)
