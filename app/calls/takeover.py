"""Taking calls over: streams and calls that another process of ours began, and what this one must not go on believing.

A call lives in one process, but any process may be asked about it: the carrier's requests go through a proxy. What a process
remembers of a call holds as long as nobody else has served it since; the numbers in each URL of ours tell: that of the stream, and
the epoch, which counts the call's owners. What it does not remember it reads in the books, and where those do not answer it goes on
without. Whoever takes a call up is of an epoch behind all that it hears of, and writes so (`Owned` in app/core/standing.py).
"""

import asyncio
from datetime import UTC, datetime

import msgspec
import structlog

from app import metrics
from app.adapters.claims import Claims
from app.adapters.journal import Journal
from app.adapters.store import SEQ_GAP, Recalled
from app.adapters.warm import Warm
from app.calls.live_call import LiveCall
from app.calls.outgoing import Outgoing
from app.calls.standing import restore
from app.calls.tickets import Ticket, Tickets
from app.core import events as ev
from app.core.record import CallRecord
from app.core.rows import CallInfo, Milestone
from app.mode import Mode

log = structlog.get_logger()

UNKNOWN_SEQ = 10_000
"""Where rows of a call begin whose earlier ones cannot be read, and again so much further for each stream, or owner, that the
carrier's URL counts: nothing on record may be written over."""
RETRY_SECONDS = 1.0
OWNER_SECONDS = 0.15
"""So long the books may take to say that a ticket of our own was not used elsewhere."""
TOOLS_TOLD, TOOL_CHARACTERS = 6, 300
"""Of what was done in another process, the model is told so much."""


EPOCH = "epoch"


def of_epoch(url: str, epoch: int) -> str:
    """A URL as an owner of a call gives it to the carrier; the first one's says nothing.

    So whoever is asked by it knows whether somebody has had the call since, though the books may not know it yet.
    """
    return url if epoch == 1 else f"{url}{'&' if '?' in url else '?'}{EPOCH}={epoch}"


class Takeover(Outgoing):
    """The part of the switchboard that other processes have a part in."""

    def __init__(
        self,
        *,
        journal: Journal,
        warm: Warm,
        version: str,
        modes: dict[str, Mode],
        max_calls: int,
        tickets: Tickets | None = None,
        claims: Claims | None = None,
    ) -> None:
        """tickets: None makes such as no other process can read. claims: None where there is no other."""
        self.tickets = tickets or Tickets()
        super().__init__(journal=journal, warm=warm, version=version, instance=self.tickets.instance)
        self.modes = modes
        self.max_calls = max_calls
        self.claims = claims

    # --- calls ------------------------------------------------------------------------------------------------------

    def outdated(self, call_sid: str, asked: int = 0, transfer: int | None = None, *, epoch: int = 1) -> bool:
        """Whether another process may have served a call since this one knew of it: then the books are to be read first.

        asked: the number of the stream that the carrier's URL is of, 0 if it says none. transfer: the same for a transfer. epoch:
        of who made that URL.
        """
        call = self.calls.get(call_sid)
        if call is None or call.finished or call.streaming:
            return False
        untouched = bool(call.ticket) and call.streams < call.tickets  # it has not come here, and was perhaps elsewhere
        attempts = call.transfers.attempts
        return (
            epoch > call.record.epoch
            or asked > call.tickets
            or untouched
            or (transfer is not None and transfer > (attempts[-1].seq if attempts else -1))
        )

    def take_up(
        self,
        info: CallInfo,
        mode: Mode,
        recalled: Recalled | None,
        *,
        asked: int = 0,
        transfer: int | None = None,
        epoch: int = 1,
        first: bool = False,
    ) -> LiveCall | None:
        """Go on with a call that another process began; None if there is no room.

        recalled: what the books know of it. None: they did not answer; its rows then begin far behind those it may have. asked,
        transfer, epoch: as for `outdated`. Streams are counted by it where the books lag behind, or do not answer, so that no call
        is resumed for ever; and so are its owners. first: it had no stream before this one.
        """
        known, theirs = self.calls.get(info.call_sid), recalled.standing if recalled is not None else None
        on_record = 1 if theirs is None else theirs.epoch
        if known is not None and not known.finished:
            if epoch <= known.record.epoch and self._still_ours(known, recalled):
                return known
            self._lost(known)
        if self.closing or self.full:
            return None
        if recalled is not None:
            mode = self.modes.get(recalled.record.mode, mode)
            info = msgspec.structs.replace(info, fields=recalled.fields)
        elif known is not None:  # whoever has had it since: the URL of a later document does not say the mode
            mode, info = known.mode, known.info
        call = self._begin(info, mode, milestone="taken_up")
        metrics.calls_taken_up_total.labels("books" if recalled is not None else "none").inc()
        call.record = recalled.record if recalled is not None else _unknown(info, mode, max(asked, epoch) * UNKNOWN_SEQ)
        unknown = not call.record.mode
        call.record.mode = mode.name
        call.record.epoch = 1 + max(epoch, on_record, 1 if known is None else known.record.epoch)
        first_attempt = 0 if recalled is not None else call.record.first_seq
        call.transfers.recall(
            call.record.attempts, first_seq=max(first_attempt, 0 if transfer is None else transfer + 1)
        )
        call.streams = call.tickets = max(1, asked)
        if recalled is not None:
            if recalled.standing is not None:
                call.streams, call.tickets = 0, asked
                restore(call, recalled.standing)
            unseen = max(1, asked) if unknown and not first else call.record.epoch - 1 - on_record
            _leave_room(call.record, SEQ_GAP * unseen)
            call.captured = recalled.captures
            call.briefing = briefing(recalled)
            self._announce(call)
        log.info("a call is taken up", call_sid=info.call_sid, streams=call.streams, books=recalled is not None)
        return call

    def _still_ours(self, call: LiveCall, recalled: Recalled | None) -> bool:
        """Whether nobody else has had a call since this process knew of it, as far as the books say."""
        if recalled is None:
            # a stream that did not come here was elsewhere: what was said there must not be written over from the start
            return bool(call.streams) or self.closing
        theirs, ours = recalled.standing, call.kept
        if theirs is None or theirs.owner == self.instance or theirs.epoch < call.record.epoch:
            return True
        return theirs.epoch == call.record.epoch and ours is not None and ours.at >= theirs.at

    def _lost(self, call: LiveCall) -> None:
        """Another process has a call that is remembered here: it is not over, and nothing of it is this one's to count."""
        call.handed_over = True
        self.forget(call)

    async def other_owner(self, call_sid: str) -> str:
        """Which other process has a call, as far as the books know; empty if none has."""
        owner = "" if self.claims is None else await self.claims.owner(call_sid)
        return "" if owner == self.instance else owner

    async def elsewhere(self, call: LiveCall) -> bool:
        """Whether another process has a call by now; it is remembered here no more, then."""
        if not await self.other_owner(call.info.call_sid):
            return False
        if not call.streaming and self.calls.get(call.info.call_sid) is call:
            self._lost(call)
        return not call.streaming

    def part_with(self, call: LiveCall) -> None:
        """Nothing was heard of a call for a while: it is over, unless another process has it."""
        if self.claims is None:
            self.finish(call)
        else:
            self._spawn(self._part_with(call))

    async def _part_with(self, call: LiveCall) -> None:
        stood = (call.streams, call.tickets)
        if not await self.elsewhere(call) and not call.streaming and (call.streams, call.tickets) == stood:
            self.finish(call)

    # --- tickets ----------------------------------------------------------------------------------------------------

    def foreign(self, mode_name: str, text: str) -> Ticket | None:
        """What a ticket says that this process does not have, and may be another's; None if it is not to be heeded."""
        ticket = self.tickets.read(mode_name, text)
        if ticket is None or text in self.spent:
            return None
        call = self.calls.get(ticket.call_sid)
        if call is not None and (call.finished or call.streaming or ticket.owner == self.instance):
            return None
        return ticket

    async def mine(self, call: LiveCall, text: str) -> bool:
        """Whether a ticket of this process's, which was used here just now, was used nowhere before.

        Books that do not say so at once do not keep the caller waiting: this process made the ticket, and it was not used here.
        They are told beside the call; should another process have been first after all, the stream is given up.
        """
        self._spent_here(text)
        if self.claims is None:
            return True
        first = await self.claims.first(text, self.instance, OWNER_SECONDS)
        if first is None:
            self._spawn(self._claim(call, text, self.claims))
        elif not first:
            log.warning("another process was first to use a ticket", call_sid=call.info.call_sid)
            self._lost(call)
        return first is not False

    async def first_use(self, ticket: Ticket, text: str) -> bool:
        """Whether a ticket of another process's may be used here: nobody has, and the books have it now that we did."""
        if self.claims is None or text in self.spent:
            return False
        self._spent_here(text)
        return await self.claims.first(text, self.instance) is True

    async def _claim(self, call: LiveCall, text: str, claims: Claims) -> None:
        while (first := await claims.first(text, self.instance)) is None:
            if self._loop.time() > call.ticket_until:  # it is late by itself
                return
            await asyncio.sleep(RETRY_SECONDS)
        if first is False and call.relay is not None:
            log.warning("another process was first to use a ticket", call_sid=call.info.call_sid)
            call.handed_over = True
            call.relay.caller.close(1008, "this ticket was used")
            call.relay.apply(ev.CallerLeft("another process has the call"))

    def cold(
        self, info: CallInfo, mode: Mode, ticket: Ticket, recalled: Recalled, *, epoch: int = 1
    ) -> LiveCall | None:
        """A stream started whose ticket another process gave: its call, unless that streams here, or there is no room.

        epoch: of that process, as its document said.
        """
        known = self.calls.get(info.call_sid)
        if known is not None and (known.streaming or known.finished):
            return None
        call = self.take_up(info, mode, recalled, asked=ticket.number - 1, epoch=epoch, first=ticket.number == 1)
        if call is None or call is known:
            return call
        if recalled.standing is None:
            call.streams = ticket.number - 1
        call.tickets = max(call.tickets, ticket.number)
        return call

    def note(self, call: LiveCall, name: str) -> None:
        """Write a milestone of a call down."""
        self.journal.put(Milestone(call_sid=call.info.call_sid, name=name, at=datetime.now(UTC)))


def briefing(recalled: Recalled) -> str:
    """What the model is told of a call that another process began, beside what was said: what the caller gave, what was done."""
    given = {row.argument: row for row in recalled.captures if row.value}
    lines = [
        f"{name.replace('_', ' ')}: {row.value}" + ("" if row.confirmed else " (not confirmed)")
        for name, row in given.items()
    ]
    parts = [f"The caller has given: {'; '.join(lines)}."] if lines else []
    done = [tool for tool in recalled.tools if tool.status == "ok"][-TOOLS_TOLD:]
    if done:
        told = (f"{tool.name}({tool.arguments[:TOOL_CHARACTERS]}) = {tool.result[:TOOL_CHARACTERS]}" for tool in done)
        parts.append(f"Done in this call already, and not to be done again: {'; '.join(told)}.")
    begun = [tool for tool in recalled.tools if tool.status in ("late", "working")][-TOOLS_TOLD:]
    if begun:
        told = (f"{tool.name}({tool.arguments[:TOOL_CHARACTERS]})" for tool in begun)
        parts.append(f"Begun, and it is not known whether it was done; do not say that it is: {'; '.join(told)}.")
    return " ".join(parts)


def _unknown(info: CallInfo, mode: Mode, first: int) -> CallRecord:
    """The record of a call of which the books could not be asked: its rows begin with this number."""
    return CallRecord(
        call_sid=info.call_sid,
        mode=mode.name,
        first_seq=first,
        tool_calls=first,
        captures=first,
        spans=first,
        responses=first,
    )


def _leave_room(record: CallRecord, rows: int) -> None:
    """Begin so much further on: owners whom the books do not know may have rows there, which are yet to come."""
    record.first_seq += rows
    record.tool_calls += rows
    record.captures += rows
    record.spans += rows
    record.responses += rows


def nothing_known(call_sid: str) -> Recalled:
    """Of a call that the books answer about, and do not know."""
    return Recalled(record=CallRecord(call_sid=call_sid, mode=""))
