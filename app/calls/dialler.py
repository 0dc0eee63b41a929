"""The dialler: places the calls that are due, prepares their sessions while they ring, and writes down what became of them.

What is due is in the database, so a restart loses nothing, and any number of processes may dial from one list. An attempt is
on record before the carrier is asked: one whose end nobody tells (a crash, a lost callback) is looked up at the carrier, and
called lost where that does not know it either. It is never dialled twice for that.
"""

import asyncio
import contextlib
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Protocol
from urllib.parse import urlencode

import msgspec
import structlog

from app import metrics
from app.adapters.database import DATABASE_ERRORS, reason_of
from app.adapters.dialling import Dialled, Dialling
from app.adapters.outbound_book import Claimed, Open, OutboundBook
from app.calls.live_call import LiveCall
from app.calls.spending import Cap
from app.calls.switchboard import Redirector, Switchboard
from app.core import events as ev
from app.core.rows import CallInfo
from app.errors import CallRefused
from app.mode import Mode
from app.outbound import Placed, Wish, check
from app.rules.outbound import OutboundRules, Result, allowed_from, check_number, zones_of

log = structlog.get_logger()

LOOK_SECONDS = 1.0
"""How often this process looks for calls that are due: those that another process, or `dial`, was asked for."""
SWEEP_SECONDS = 60.0
SILENT = timedelta(minutes=5)
"""An attempt of which nothing was heard for so long is looked up."""
LATER = timedelta(minutes=1)
CAPPED = timedelta(minutes=10)
"""How much later a call is tried whose callee has cost enough for today."""
UNSURE = timedelta(hours=25)
"""An attempt that the carrier says nothing of is called lost after this: no call lasts longer than a day."""

RESULTS: Mapping[str, Result] = {
    "completed": "answered", "busy": "busy", "no-answer": "no_answer", "failed": "failed", "canceled": "canceled", "gone": "lost",
}  # fmt: skip
"""By the carrier's word for how a call ended."""
ANSWERED: Mapping[str, Result] = {"person": "answered", "machine": "message_left", "fax": "fax"}
"""What an answered call came to, by who picked up."""


class Carrier(Protocol):
    """Who places calls; Twilio's REST API."""

    async def place(self, call: Dialling) -> Dialled:
        """Have one placed."""
        ...

    async def standing(self, call_sid: str) -> str:
        """How it stands."""
        ...


class Lines(Carrier, Redirector, Protocol):
    """The whole of what calls need of it."""


def utc_now() -> datetime:
    """The time, aware."""
    return datetime.now(UTC)


def who_picked_up(verdict: str) -> ev.PickedUp:
    """The carrier's verdict: whoever is no machine for certain is a person. Source: Twilio, `AnsweredBy`."""
    if verdict == "fax":
        return ev.PickedUp("fax")
    return ev.PickedUp("machine" if verdict.startswith("machine") else "person")


class Dialler:
    """One process's. `ask` may be called by any door; `run` dials."""

    def __init__(
        self,
        *,
        rules: OutboundRules,
        board: Switchboard,
        book: OutboundBook,
        carrier: Carrier | None,
        sender: str,
        account_sid: str,
        public_url: str,
        now: Callable[[], datetime] = utc_now,
    ) -> None:
        """carrier, sender: None or empty where no calls can be placed."""
        self.rules = rules
        self.board = board
        self.book = book
        self.carrier = carrier
        self.sender = sender
        self.account_sid = account_sid
        self.public_url = public_url
        self.now = now
        self._ringing: dict[str, Claimed] = {}
        """Attempts of this process that are not over, by their reference."""
        self._sids: dict[str, str] = {}
        """... and as which call they ring, as far as the carrier has said so."""
        self._waits_for: Cap | None = None
        """The cap that nothing is dialled for."""
        self._news = asyncio.Event()
        self._placing: set[asyncio.Task[None]] = set()

    # --- asking -----------------------------------------------------------------------------------------------------

    async def ask(self, wish: Wish, *, asked_by: str, key: str | None) -> tuple[Placed, str, bool]:
        """Keep a call that is to be placed: how it stands, why it is not placed at once (or empty), whether it is new.

        Raises CallRefused; then nothing was kept.
        """
        if self.carrier is None or not self.sender:
            raise CallRefused(
                "no_carrier", "expected TWILIO_ACCOUNT_SID and TWILIO_PHONE_NUMBER, without which no call can be placed"
            )
        if self.board.draining or self.board.closing:
            raise CallRefused("draining", "this server is about to stop; ask again in a moment")
        now = self.now()
        checked = check(wish, rules=self.rules, modes=self.board.modes, office=self.board.office, now=now)
        placed, new = await self.book.keep(checked, asked_by=asked_by, key=key, rules=self.rules, now=now)
        self._news.set()
        return placed, checked.why_later if new else "", new

    # --- dialling ---------------------------------------------------------------------------------------------------

    async def run(self) -> None:
        """Dial what is due, until cancelled. Does nothing where no calls can be placed."""
        if self.carrier is None or not self.sender:
            return
        swept = 0.0
        loop = asyncio.get_running_loop()
        while True:
            try:
                if loop.time() - swept >= SWEEP_SECONDS or not swept:
                    swept = loop.time()
                    await self.sweep()
                await self.dial_due()
            except DATABASE_ERRORS as wrong:
                log.warning("outbound.database", reason=reason_of(wrong))
            except Exception:  # the next call shall still be placed
                log.exception("a fault of ours while calls were placed")
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._news.wait(), LOOK_SECONDS)
            self._news.clear()

    async def dial_due(self) -> int:
        """Have everything placed that is due now and fits the caps; how many calls. Each rings by itself."""
        placed = 0
        while self._has_room():
            claimed = await self.book.claim(self.rules, self.now(), self._later)
            if claimed is None:
                break
            self._ringing[claimed.reference] = claimed
            task = asyncio.create_task(self._place(claimed), name=f"placing {claimed.reference}")
            self._placing.add(task)
            task.add_done_callback(self._placing.discard)
            placed += 1
        return placed

    def _has_room(self) -> bool:
        """Whether another call may be placed now: calls that are being placed take room, and no cap is reached but the callee's."""
        if self.board.draining or self.board.closing or self.board.live + len(self._placing) >= self.board.max_calls:
            return False
        cap = self._cap(self.sender)
        if cap is not None and cap != self._waits_for:
            log.warning("calls out wait: a cap is reached", cap=cap)
        self._waits_for = cap
        return cap is None

    def _cap(self, callee: str) -> Cap | None:
        """The cap that a call to a number would be over. To our own it is what holds for all: the loop, the line, the day."""
        spending = self.board.spending
        if spending is None:
            return None
        info = CallInfo(call_sid="", account_sid="", caller=callee, dialled=self.sender, direction="outbound")
        return "lag" if spending.lag.overloaded else spending.over(info)

    def _later(self, number: str, now: datetime) -> datetime:
        return allowed_from(now, zones_of(number, self.board.office.zone), self.rules.quiet) or now + timedelta(days=1)

    async def _place(self, claimed: Claimed) -> None:
        assert self.carrier is not None
        reference, seq = claimed.reference, claimed.seq
        try:
            mode = self.board.modes.get(claimed.mode)
            if mode is None:
                await self._ended(reference, seq, "failed", f"there is no mode {claimed.mode!r} any more", final=True)
                return
            try:  # the rules may have changed since it was asked for
                check_number(claimed.to, self.rules.countries or frozenset({self.board.office.country}))
            except CallRefused as refusal:
                await self._ended(reference, seq, "failed", str(refusal), final=True)
                return
            if self._cap(claimed.to) is not None:
                self._over(reference)
                await self.book.undone(reference, seq, self.now() + CAPPED)
                return
            dialled = await self.carrier.place(self._dialling(claimed))
            match dialled.answer:
                case "taken":
                    await self._rings(claimed, mode, dialled.call_sid)
                case "refused":
                    await self._ended(reference, seq, "failed", f"the carrier refused it: {dialled.code}", final=True)
                case "later":
                    self._over(reference)
                    await self.book.undone(reference, seq, self.now() + LATER)
                case "unknown":
                    log.warning("nobody knows whether a call was placed", reference=reference)
        except DATABASE_ERRORS as wrong:  # the attempt stays open, and the sweep looks it up
            log.warning("outbound.database", reason=reason_of(wrong), reference=reference)
        except Exception:
            log.exception("a fault of ours while a call was placed", reference=reference)

    def _dialling(self, claimed: Claimed) -> Dialling:
        of = urlencode({"ref": claimed.reference})
        return Dialling(
            to=claimed.to,
            sender=self.sender,
            answered_url=f"{self.public_url}/twilio/answered?{of}",
            progress_url=f"{self.public_url}/twilio/placed?{of}",
            verdict_url=f"{self.public_url}/twilio/amd?{of}" if self.rules.detect_machines else "",
            ring_seconds=self.rules.ring_seconds,
        )

    async def _rings(self, claimed: Claimed, mode: Mode, call_sid: str) -> None:
        """It rings, and the session is prepared, unless it was answered, or over, before we were told that it rings."""
        log.info("a call rings", reference=claimed.reference, call_sid=call_sid, attempt=claimed.seq)
        if self._ringing.get(claimed.reference) is claimed:
            self._sids[claimed.reference] = call_sid
            info = self.info(claimed, call_sid)
            self.board.outgoing(info, mode, rings_seconds=self.rules.ring_seconds)
        await self.book.dialled(claimed.reference, claimed.seq, call_sid)

    def info(self, claimed: Claimed, call_sid: str) -> CallInfo:
        """A call of ours as the switchboard has calls."""
        return CallInfo(
            call_sid=call_sid,
            account_sid=self.account_sid,
            caller=claimed.to,
            dialled=self.sender,
            direction="outbound",
            fields=claimed.fields,
            screened=self.rules.detect_machines,
        )

    # --- what the carrier tells -------------------------------------------------------------------------------------

    async def answered(self, reference: str, call_sid: str) -> LiveCall | None:
        """Somebody picked up: the call, prepared here or to be prepared now; None if it is none of ours, or there is no room."""
        known = self.board.calls.get(call_sid)
        if known is not None and not known.finished:
            return known
        if call_sid in self.board.departed:  # a repeated request: whoever it was is gone
            return None
        claimed = self._ringing.get(reference) or await self.book.claimed(reference, call_sid)
        mode = self.board.modes.get(claimed.mode) if claimed is not None else None
        if claimed is None or mode is None:
            log.warning("a call was answered that nobody asked for", reference=reference, call_sid=call_sid)
            return None
        if reference in self._ringing:
            self._sids[reference] = call_sid
        return self.board.outgoing(self.info(claimed, call_sid), mode)

    async def goes_on(self, reference: str, call_sid: str) -> None:
        """The carrier has a call of ours, though it may not have said so when it was asked for one."""
        if self._sids.get(reference) != call_sid:
            await self.book.claimed(reference, call_sid)
            if reference in self._ringing:
                self._sids[reference] = call_sid

    async def detected(self, reference: str, call_sid: str, verdict: str) -> None:
        """The carrier's verdict on who picked up."""
        log.info("picked up", reference=reference, call_sid=call_sid, by=verdict)
        self.board.picked_up(call_sid, who_picked_up(verdict))
        await self.book.answered_by(reference, call_sid, verdict)

    async def over(self, reference: str, call_sid: str, status: str) -> None:
        """The carrier says that a call has ended, and how. Told again, it changes nothing."""
        result = RESULTS.get(status, "failed")
        call = self.board.calls.get(call_sid)
        if call is not None:
            if call.picked_up is not None and result == "answered":
                result = ANSWERED[call.picked_up.who]
            if not call.streams and result not in ANSWERED.values():
                call.how = result
        self.board.ended(call_sid)
        placed = await self.book.placed(reference)
        seq = await self.book.seq_of(reference, call_sid)
        if placed is None or seq is None:
            return
        verdict = placed.attempts[seq - 1].answered_by if seq <= len(placed.attempts) else ""
        if result == "answered" and verdict:
            result = ANSWERED[who_picked_up(verdict).who]
        await self.book.dialled(reference, seq, call_sid)
        await self._ended(reference, seq, result)

    def _over(self, reference: str) -> None:
        self._ringing.pop(reference, None)
        self._sids.pop(reference, None)

    async def _ended(self, reference: str, seq: int, result: Result, detail: str = "", *, final: bool = False) -> None:
        attempt = self._ringing.get(reference)
        if attempt is not None and attempt.seq == seq:
            self._over(reference)
        told = await self.book.ended(
            reference, seq, result, rules=self.rules, now=self.now(), detail=detail, final=final
        )
        if told:
            self._news.set()  # there is room for another
            metrics.outbound_attempts_total.labels(result).inc()
            log.info("an attempt is over", reference=reference, attempt=seq, result=result, why=detail)

    # --- what nobody told -------------------------------------------------------------------------------------------

    async def sweep(self) -> None:
        """Look up attempts of which nothing was heard: callbacks get lost, and so do processes."""
        for attempt in await self.book.left_open(self.now() - SILENT):
            call_sid = attempt.call_sid or self._sids.get(attempt.reference, "")
            call = self.board.calls.get(call_sid)
            if call is None or call.finished:
                await self._look_up(msgspec.structs.replace(attempt, call_sid=call_sid))

    async def _look_up(self, attempt: Open) -> None:
        assert self.carrier is not None
        if not attempt.call_sid:
            await self._ended(attempt.reference, attempt.seq, "lost", "nobody knows whether it was placed")
            return
        status = await self.carrier.standing(attempt.call_sid)
        if status in RESULTS:
            await self.over(attempt.reference, attempt.call_sid, status)
        elif not status and attempt.started_at < self.now() - UNSURE:
            await self._ended(attempt.reference, attempt.seq, "lost", "the carrier does not say what became of it")

    async def close(self) -> None:
        """Let calls that are just being placed be written down: a few seconds at most."""
        if self._placing:
            await asyncio.wait(self._placing, timeout=5.0)
