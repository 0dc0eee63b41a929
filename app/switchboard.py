"""The switchboard: every call that this process knows, from its webhook to its final status.

It admits calls, prepares their sessions, hands out one-time tickets for their streams, and remembers what comes next. The talk
itself is the relay's; what is decided in it is the machine's. Nothing here waits for anything.

    incoming   -> LiveCall: a ticket for the stream; the model's session is being prepared
    redeem     -> the ticket is spent, the stream is being opened
    joined     -> the relay has its session and runs
    what_next  -> the carrier asks what follows the stream: a person, a goodbye, or another stream
    finish     -> the call is over; kept for a while for late callbacks, then forgotten
"""

import asyncio
import secrets
import time
from collections.abc import Callable, Coroutine
from datetime import UTC, datetime
from typing import Any, Protocol

import structlog

from app import metrics
from app.adapters.journal import Journal
from app.adapters.link import Link
from app.adapters.opening import Opening
from app.adapters.warm import Warm
from app.core import effects as do
from app.core import events as ev
from app.core.machine import CallMachine
from app.core.phases import Terms
from app.core.record import CallInfo, CallRecord, CallStarted, Milestone
from app.live_call import LiveCall, Next, outcome_row
from app.mode import CallContext, Mode, Store
from app.office import Office
from app.relay import Relay
from app.toolbox import Toolbox

log = structlog.get_logger()

TICKET_SECONDS = 30.0
STREAMS = 4
"""One stream, and three resumed ones; then a person."""
UNKNOWN_SEQ = 10_000
"""Where rows of a call begin whose earlier ones cannot be read: nothing on record may be written over."""
LINGER_SECONDS = 300.0
"""How long a finished call is remembered for callbacks that come late."""
ASKED_SECONDS = 3.0
"""The carrier asks `/twilio/next` within this after we closed the stream; else it is led there by REST."""

LOOK_SECONDS = 0.05
DIAL_SECONDS = 4 * 3600.0 + 60
"""Twilio ends a dialled leg after four hours; a call that nobody heard of since is over."""


class Redirector(Protocol):
    """Leads a live call to a URL; Twilio's REST API."""

    async def redirect(self, call_sid: str, url: str) -> bool:
        """Whether the carrier took it."""
        ...


class Switchboard:
    """All calls of this process. `door` names the way in for the count of calls."""

    def __init__(
        self,
        *,
        office: Office,
        modes: dict[str, Mode],
        journal: Journal,
        store: Store,
        warm: Warm,
        terms: Callable[[Mode], Terms],
        max_calls: int,
        next_url: str,
        redirector: Redirector | None,
        version: str,
    ) -> None:
        self.office = office
        self.modes = modes
        self.journal = journal
        self.store = store
        self.warm = warm
        self.terms = terms
        self.max_calls = max_calls
        self.next_url = next_url
        self.redirector = redirector
        self.version = version
        self.calls: dict[str, LiveCall] = {}
        self.draining = False
        self.closing = False
        self.idle = asyncio.Event()
        self.idle.set()
        self._loop = asyncio.get_running_loop()
        self._utc = utc_of(time.monotonic)
        self.live = 0
        """Calls that are not over."""
        self._cut: list[LiveCall] = []
        """Calls whose streams were closed because this process stops."""
        self._tasks: set[asyncio.Task[None]] = set()

    # --- coming in --------------------------------------------------------------------------------------------------

    def incoming(self, info: CallInfo, mode: Mode) -> LiveCall | None:
        """A call rings: the one that is known already (a repeated webhook), or a new one; None if there is no room."""
        known = self.calls.get(info.call_sid)
        if known is not None and not known.finished:
            if not known.streaming and not known.streams:
                self.prepare(known)
            return known
        if self.draining or self.live >= self.max_calls:
            log.warning("no room for a call", call_sid=info.call_sid, live=self.live, draining=self.draining)
            return None
        call = self._begin(info, mode)
        self.prepare(call)
        return call

    def _begin(self, info: CallInfo, mode: Mode) -> LiveCall:
        call = LiveCall(self, info, mode)
        self.calls[info.call_sid] = call
        self.live += 1
        self.idle.clear()
        metrics.calls_live.set(self.live)
        now = datetime.now(UTC)
        self.journal.put(
            CallStarted(
                call_sid=info.call_sid,
                mode=mode.name,
                direction="inbound",
                from_number=info.caller,
                to_number=info.dialled,
                started_at=now,
                version=self.version,
            )
        )
        self.journal.put(Milestone(call_sid=info.call_sid, name="webhook_accepted", at=now))
        return call

    def prepare(self, call: LiveCall) -> str:
        """A ticket for the call's next stream, its session being prepared. An unspent ticket is given out again."""
        now = self._loop.time()
        if not call.ticket or now > call.ticket_until:
            call.ticket = secrets.token_urlsafe(24)
            call.ticket_until = now + TICKET_SECONDS
            call.tickets += 1
            call.asked_next = False
            self.warm.prepare(call.info, call.mode, self._opening(call))
            self._loop.call_later(TICKET_SECONDS + 1, self._expire, call, call.ticket)
        return call.ticket

    def _opening(self, call: LiveCall) -> Opening | None:
        """None: the mode's own. A call that was talked to before is taken up where it was left."""
        if call.streams == 0:
            return None
        roles = {"caller": "user", "agent": "assistant"}
        history = [(roles[who], text) for who, text in call.record.history()]
        note = call.next.note or "The line was interrupted. Apologise in one short sentence and go on where you were."
        return Opening(history=history, text=note)

    def redeem(self, mode_name: str, ticket: str) -> LiveCall | None:
        """Spend a ticket: the call it was made for, or None if it is wrong, late, used, or for another mode."""
        for call in self.calls.values():
            if call.ticket and secrets.compare_digest(call.ticket, ticket):
                if (
                    call.finished
                    or call.streaming
                    or self._loop.time() > call.ticket_until
                    or call.mode.name != mode_name
                ):
                    return None
                call.ticket = ""
                return call
        return None

    def bare(self, info: CallInfo, mode: Mode) -> LiveCall | None:
        """A stream without a ticket started: its call, unless that one streams already, is over, or there is no room."""
        known = self.calls.get(info.call_sid)
        if known is not None:
            return None if known.streaming or known.finished else known
        if self.draining or self.live >= self.max_calls:
            return None
        return self._begin(info, mode)

    def unjoined(self, call: LiveCall) -> None:
        """A socket closed before its stream started: what was prepared is dropped; the carrier asks what is next."""
        self.warm.retire(call.info.call_sid)
        self._finish_later(TICKET_SECONDS, call)

    # --- the stream -------------------------------------------------------------------------------------------------

    def answer(self, call: LiveCall, link: Link, started: ev.StreamStarted, door: str) -> Relay:
        """The carrier's `start` came for a call: join the phone's link, a machine and a session."""
        opening = self._opening(call)
        call.streams += 1
        call.next = Next("resume")
        call.asked_next = False
        call.door = door
        machine = CallMachine(call.record, self.terms(call.mode), self._utc)
        toolbox = Toolbox(call.mode, lambda key: self._context(call, key))
        relay = Relay(call.info.call_sid, machine, call.mode, link, self.journal, toolbox, call)
        call.relay = relay
        relay.apply(started)
        relay.watch()
        session, path = self.warm.claim(call.info, call.mode, opening)
        relay.join(session, path)
        return relay

    def _context(self, call: LiveCall, key: str) -> CallContext:
        return CallContext(
            call_sid=call.info.call_sid,
            caller=call.info.caller,
            dialled=call.info.dialled,
            office=self.office,
            store=self.store,
            now=self.office.now(datetime.now(UTC)),
            key=f"{call.info.call_sid}-{key}",
            outcome=call.record.outcome,
        )

    def stream_over(self, call: LiveCall, over: do.CallIsOver) -> None:
        """A stream has ended: its outcome so far is kept, and the call is led to `/twilio/next` if the carrier does not ask."""
        self.journal.put(outcome_row(call.record, call.mode))
        log.info("stream over", call_sid=call.info.call_sid, outcome=over.outcome, how=over.how, streams=call.streams)
        if over.how in ("stop", "final status"):
            self._finish_later(ASKED_SECONDS, call)
        elif self.redirector is not None:
            self._spawn(self._lead(call, call.streams))
        else:
            self._finish_later(TICKET_SECONDS, call)

    async def _lead(self, call: LiveCall, stream: int) -> None:
        """The carrier asks what is next within a moment; a call that hangs in the air is led there by REST."""
        await asyncio.sleep(ASKED_SECONDS)
        if call.asked_next or call.finished or call.streaming or call.streams != stream or self.redirector is None:
            return
        await self.redirector.redirect(call.info.call_sid, self.next_url)
        self._finish_later(TICKET_SECONDS, call)

    # --- what comes next --------------------------------------------------------------------------------------------

    def what_next(self, info: CallInfo, mode: Mode) -> tuple[LiveCall | None, Next]:
        """What follows the stream of a call; `take_up` comes before it for one that is not known here.

        A request that comes while frames of the stream still come is a repeated one, and gets what it got before.
        """
        call = self.calls.get(info.call_sid) or self.take_up(info, mode, None)
        if call is None:
            return None, Next("apologise")
        if call.relay is not None and call.relay.alive and call.document:
            return call, Next("repeat")
        call.asked_next = True
        if call.relay is not None:  # the stream has ended, and the carrier told us here first
            call.relay.apply(ev.CallerLeft("the carrier asks what is next"))
        if call.next.step == "resume" and (call.tickets >= STREAMS or call.apologised or self.closing):
            call.next = Next("apologise")
        if call.next.step == "apologise":
            call.apologised = True
        if call.next.step in ("dial", "apologise"):
            self._finish_later(DIAL_SECONDS, call, asked=True)
        return call, call.next

    def knows(self, call_sid: str) -> bool:
        """Whether a call is in this process's memory, and not over."""
        call = self.calls.get(call_sid)
        return call is not None and (not call.finished or call.next.step != "resume")

    def take_up(self, info: CallInfo, mode: Mode, record: CallRecord | None) -> LiveCall | None:
        """Go on with a call that another process began; None if there is no room.

        record: what the books know of it. None: they did not answer; its rows then begin far behind those it may have.
        """
        if self.draining or self.live >= self.max_calls:
            return None
        if record is not None:
            mode = self.modes.get(record.mode, mode)
        call = self._begin(info, mode)
        call.record = record or CallRecord(
            call_sid=info.call_sid, mode=mode.name, first_seq=UNKNOWN_SEQ, tool_calls=UNKNOWN_SEQ
        )
        call.record.mode = mode.name
        call.streams = 1
        return call

    def dialled(self, call_sid: str, status: str) -> LiveCall | None:
        """What became of putting a caller through; after this `what_next` takes the call up again, or ends it."""
        call = self.calls.get(call_sid)
        if call is None:
            return None
        if call.next.step not in ("dial", "apologise"):
            return call  # told before
        self.journal.put(Milestone(call_sid=call_sid, name=f"dialled_{status or 'unknown'}", at=datetime.now(UTC)))
        if status in ("completed", "answered"):
            call.record.outcome.update(call.next.outcome)
            self.journal.put(outcome_row(call.record, call.mode))
            call.next = Next("hang_up")
        elif call.apologised:
            call.next = Next("hang_up")
        else:
            why = {"busy": "the line is busy", "no-answer": "nobody answered"}.get(
                status, "the call did not go through"
            )
            desk = call.next.desk or "the office"
            call.how = "transfer_failed"
            call.next = Next(
                "resume",
                note=f"You tried to put the caller through to {desk}, but {why}. The caller is back with you: say so, "
                "apologise, and offer to take a message.",
            )
        return call

    # --- the end ----------------------------------------------------------------------------------------------------

    def ended(self, call_sid: str) -> None:
        """The carrier says that a call is over, or we told it so."""
        call = self.calls.get(call_sid)
        if call is None or call.finished:
            return
        if call.relay is not None:
            call.relay.apply(ev.CallerLeft("final status"))
        self.finish(call)

    def stream_stopped(self, call_sid: str, stream_sid: str) -> None:
        """The carrier says that a stream has ended; news only if it is the one that runs."""
        call = self.calls.get(call_sid)
        if call is not None and call.relay is not None and call.relay.stream_sid == stream_sid:
            call.relay.apply(ev.CallerLeft("stream stopped"))

    def _finish_later(self, seconds: float, call: LiveCall, *, asked: bool = False) -> None:
        """Unless it is heard of until then, a call is over: the caller is gone. asked: it was told what is next already."""
        self._loop.call_later(seconds, self._finish_if_left, call, asked, (call.streams, call.tickets))

    def _finish_if_left(self, call: LiveCall, asked: bool, stood: tuple[int, int]) -> None:
        if not call.streaming and call.asked_next is asked and (call.streams, call.tickets) == stood:
            self.finish(call)

    def _expire(self, call: LiveCall, ticket: str) -> None:
        """A ticket was not used: its session is dropped; a call that never had a stream is over."""
        if call.ticket == ticket:
            call.ticket = ""
            self.warm.retire(call.info.call_sid)
            if not call.streaming:
                self.finish(call)

    def finish(self, call: LiveCall) -> None:
        """The call is over: count it once, forget it later."""
        if call.finished:
            return
        call.finished = True
        call.ticket = ""
        self.warm.retire(call.info.call_sid)
        metrics.calls_total.labels(call.mode.name, call.how, call.door).inc()
        metrics.cost_usd_total.labels(call.mode.name).inc(call.record.cost_usd)
        metrics.input_tokens_total.labels(call.mode.name).inc(call.record.input_tokens)
        metrics.cached_tokens_total.labels(call.mode.name).inc(call.record.cached_tokens)
        self.live -= 1
        metrics.calls_live.set(self.live)
        if self.live == 0:
            self.idle.set()
        self._loop.call_later(LINGER_SECONDS, self._forget, call)

    def _forget(self, call: LiveCall) -> None:
        if self.calls.get(call.info.call_sid) is call:
            del self.calls[call.info.call_sid]

    def close_all(self) -> None:
        """This process stops: every call that still talks leaves by the door, and none is taken up again here."""
        self.closing = True
        for call in list(self.calls.values()):
            if call.relay is not None:
                self._cut.append(call)
                call.relay.apply(ev.HouseCloses())
        for task in self._tasks:
            task.cancel()

    async def led_on(self) -> None:
        """Wait until every call that was closed has asked what is next, or is over."""
        while any(not (call.finished or call.asked_next) for call in self._cut):  # noqa: ASYNC110  once in a life
            await asyncio.sleep(LOOK_SECONDS)

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = self._loop.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


def utc_of(loop_now: Callable[[], float]) -> Callable[[float], datetime]:
    """Turn the loop's clock into UTC; made once, so that milestones of a call never step back with the wall clock."""
    offset = time.time() - loop_now()
    return lambda at: datetime.fromtimestamp(at + offset, UTC)
