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
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from datetime import UTC, datetime
from typing import Protocol

import msgspec
import structlog
from sqlalchemy.ext.asyncio import AsyncSession

from app.adapters.claims import Claims
from app.adapters.journal import Journal
from app.adapters.link import Link
from app.adapters.opening import Opening
from app.adapters.warm import Warm
from app.calls.closing_link import ClosingLink
from app.calls.equipment import Equipment
from app.calls.live_call import LiveCall, Next, outcome_row
from app.calls.recording import Recorder
from app.calls.takeover import of_epoch
from app.calls.texting import Texting
from app.calls.tickets import Tickets
from app.consent import Notice, begin_with
from app.core import effects as do
from app.core import events as ev
from app.core.flow import FlowLedger
from app.core.machine import CallMachine
from app.core.phases import Terms
from app.core.rows import CallInfo
from app.mode import Mode, Store
from app.relay import Relay
from app.rules.consent import Rules
from app.rules.office import Office

log = structlog.get_logger()

TICKET_SECONDS = 30.0
STREAMS = 4
"""One stream, and three resumed ones; then a person."""
ASKED_SECONDS = 3.0
"""The carrier asks `/twilio/next` within this after we closed the stream; else it is led there by REST."""

SCREEN_SECONDS = 1.5
"""How long a callee's first words wait for the carrier's verdict on who picked up. A person's comes about a second after them; one
who hears nothing for much longer hangs up. Source: Twilio, answering machine detection, `MachineDetectionSpeechEndThreshold`."""
BACK_SECONDS = 1.0
"""A caller who is back from a transfer that failed is asked for a moment after this, if the agent has not spoken yet."""
DIAL_SECONDS = 4 * 3600.0 + 60
"""Twilio ends a dialled leg after four hours; a call that nobody heard of since is over."""


class Redirector(Protocol):
    """Leads a live call to a URL; Twilio's REST API."""

    async def redirect(self, call_sid: str, url: str) -> bool:
        """Whether the carrier took it."""
        ...


class Switchboard(Equipment):
    """Leads the calls of this process. `door` names the way in for the count of calls."""

    def __init__(
        self,
        *,
        office: Office,
        modes: dict[str, Mode],
        journal: Journal,
        store: Store,
        texting: Texting,
        sessions: Callable[[], AbstractAsyncContextManager[AsyncSession]],
        warm: Warm,
        terms: Callable[[Mode], Terms],
        max_calls: int,
        next_url: str,
        redirector: Redirector | None,
        version: str,
        consent: Rules,
        no_calls: Callable[[str, str], Awaitable[None]] | None = None,
        recorder: Recorder | None = None,
        tickets: Tickets | None = None,
        claims: Claims | None = None,
    ) -> None:
        """recorder: None where no call is ever recorded. tickets, claims: as `Takeover` has them."""
        super().__init__(
            journal=journal,
            warm=warm,
            version=version,
            modes=modes,
            max_calls=max_calls,
            tickets=tickets,
            claims=claims,
        )
        self.office = office
        self.store = store
        self.texting = texting
        self.sessions = sessions
        self.terms = terms
        self.next_url = next_url
        self.redirector = redirector
        self.consent = consent
        self.no_calls = no_calls
        self.recorder = recorder

    # --- coming in --------------------------------------------------------------------------------------------------

    def incoming(self, info: CallInfo, mode: Mode) -> LiveCall | None:
        """A call rings: the one that is known already (a repeated webhook), or a new one; None if there is no room."""
        known = self.calls.get(info.call_sid)
        if known is not None:
            if not (known.finished or known.streaming or known.streams or known.turned_away):
                self.prepare(known)
            return known
        if self.draining or self.full:
            log.warning("no room for a call", call_sid=info.call_sid, live=self.live, draining=self.draining)
            return None
        cap = self.spending.refuses(info) if self.spending is not None else None
        call = self._begin(info, mode)
        if cap is not None:
            call.turns_away(cap)
            return call
        self._announce(call)
        self.prepare(call)
        return call

    def _announce(self, call: LiveCall, *, bare: bool = False) -> None:
        """Decide what this caller is told. bare: by a stream that we did not ask for."""
        call.notice = Notice.of(
            call.info,
            call.mode.disclosure if self.recorder is None else self.recorder.disclosure(call.mode),
            self.consent,
            datetime.now(UTC),
            call.write,
            bare=bare,
            earlier=call.record.consents,
        )

    def prepare(self, call: LiveCall) -> str:
        """A ticket for the call's next stream, its session being prepared. An unspent ticket is given out again.

        Ticket and session live longer by what the carrier has to say before it opens the stream.
        """
        now = self._loop.time()
        if not call.ticket or now > call.ticket_until:
            life = TICKET_SECONDS + (call.notice.announcement.seconds if call.notice.before else 0.0)
            life += call.rings_seconds if call.streams == 0 else 0.0
            call.ticket_until = now + life
            call.tickets += 1
            call.ticket = self.tickets.make(call.mode.name, call.info.call_sid, call.tickets, life)
            self.warm.prepare(call.info, call.mode, self._opening(call))
            self._loop.call_later(life + 1, self._expire, call, call.ticket)
            self.keep(call)
        return call.ticket

    def _opening(self, call: LiveCall) -> Opening | None:
        """None: the mode's own. A call that was talked to before is taken up where it was left."""
        flow = self._flow(call)
        says = flow.state.says if flow is not None else ""
        sentence = call.notice.first_words
        if call.streams == 0:
            return Opening(state=says, sentence=sentence) if says or sentence else None
        roles = {"caller": "user", "agent": "assistant"}
        history = [(roles[who], text) for who, text in call.record.history()]
        note = call.next.note or "The line was interrupted. Apologise in one short sentence and go on where you were."
        text = f"{call.briefing} {note}" if call.briefing else note
        return Opening(history=history, state=says, text=begin_with(sentence, text))

    def _flow(self, call: LiveCall) -> FlowLedger | None:
        """Where a call stands in its mode's flow. One that begins does so by whether the office is open at that moment."""
        return FlowLedger.of(call.mode, call.record, open_now=self.office_of(call).open_at(datetime.now(UTC)))

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
        if self.draining or self.full:
            return None
        if self.spending is not None and self.spending.refuses(info) is not None:
            return None
        call = self._begin(info, mode)
        self._announce(call, bare=True)
        return call

    def unjoined(self, call: LiveCall) -> None:
        """A socket closed before its stream started: what was prepared is dropped; the carrier asks what is next."""
        self._retire(call)
        self._finish_later(TICKET_SECONDS, call)

    # --- the stream -------------------------------------------------------------------------------------------------

    def answer(self, call: LiveCall, link: Link, started: ev.StreamStarted, door: str) -> Relay:
        """The carrier's `start` came for a call: join the phone's link, a machine and a session."""
        opening = self._opening(call)
        call.notice.stream_started()
        call.transfers.given_up()
        terms = self.terms(call.mode)
        if call.next.note:  # the caller comes from a telephone that rang: two seconds of nothing would be a third
            terms = msgspec.structs.replace(terms, moment_seconds=min(terms.moment_seconds, BACK_SECONDS))
        if call.info.screened and call.streams == 0 and call.picked_up is None:
            terms = msgspec.structs.replace(terms, screen_seconds=SCREEN_SECONDS)
        call.streams += 1
        call.next = Next("resume")
        call.asked_next = 0
        call.door = door
        machine = CallMachine(call.record, terms, self._utc, self._flow(call))
        link = ClosingLink(link, self.journal)
        call.tape = None if self.recorder is None else self.recorder.tape(call.record, call.notice)
        if call.tape is not None:
            link = call.tape.line(link)
        relay = Relay(call.info.call_sid, machine, call.mode, link, self.journal, self.toolbox(call), call)
        call.relay = relay
        relay.watcher = self.watchers.get(call.info.call_sid)
        relay.reopen = lambda order: self.warm.again(
            call.info, call.mode, opening if order.afresh else Opening(silent=True), order, relay.model
        )
        relay.apply(started)
        relay.watch()
        if call.streams == 1 and call.picked_up is not None and call.picked_up.who != "person":
            relay.apply(call.picked_up)  # told after the upgrade, and before there was anybody to tell
            return relay
        session, path = self.warm.claim(call.info, call.mode, opening)
        relay.join(session, path)
        self.keep(call)
        return relay

    def stream_over(self, call: LiveCall, over: do.CallIsOver) -> None:
        """A stream has ended: its outcome so far is kept, and the call is led to `/twilio/next` if the carrier does not ask."""
        call.notice.stream_over(call.record.spoken)
        if self.recorder is not None:
            self.recorder.over(call.tape, call.notice)
        self.journal.put(outcome_row(call.record, call.mode))
        self.keep(call)
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
        if self.redirector is None or not call.hangs(stream):
            return
        if await self.elsewhere(call) or not call.hangs(stream):
            return
        await self.redirector.redirect(call.info.call_sid, of_epoch(self.next_url, call.record.epoch))
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
        call.asked_next += 1
        if call.relay is not None:  # the stream has ended, and the carrier told us here first
            call.relay.apply(ev.CallerLeft("the carrier asks what is next"))
        if call.next.step == "dial":
            call.dials(self.office_of(call), datetime.now(UTC))
        leaves = self.closing or call.handed_over  # this process ends, and a stream with it
        if (
            call.ticket
        ):  # the upgrade was refused, perhaps on the way, and will be again: a ticket is not given for ever
            call.unopened += 1
        tried = call.tickets + call.unopened
        if call.next.step == "resume" and (tried >= STREAMS or call.apologised or call.by_keys or leaves):
            call.next = Next("apologise")
        if call.next.step == "apologise":
            call.apologised = True
        self.keep(call)
        if call.next.step in ("dial", "apologise"):
            self._finish_later(DIAL_SECONDS, call)
        return call, call.next

    def dialled(
        self, call_sid: str, status: str, *, joined: bool = True, over: bool = False, seq: int | None = None
    ) -> tuple[LiveCall | None, bool]:
        """What became of putting a caller through; after this `what_next` takes the call up again, or ends it.

        As `LiveCall.dialled` has it. Returns the call, None if it is not known here, and whether this is news of it.
        """
        call = self.calls.get(call_sid)
        if call is None:
            return None, False
        told = call.next.step not in ("dial", "apologise")
        news = call.dialled(status, joined=joined, over=over, seq=seq)
        if news and not told:
            self.note(call, f"dialled_{status or 'unknown'}")
        return call, news

    def _expire(self, call: LiveCall, ticket: str) -> None:
        """A ticket was not used: its session is dropped; a call that never had a stream is over."""
        if call.ticket == ticket:
            call.ticket = ""
            self._retire(call)
            if not call.streaming:
                self.part_with(call)
