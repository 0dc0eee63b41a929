"""Handing calls over: what still talks as this process ends goes on in another, by the one door.

A call is handed over at a pause, where neither side is speaking, no answer is due and no tool runs; at the end of the time,
wherever it stands. Everything that is known of it is in the books before its stream is closed. The carrier then asks
`/twilio/next`, of whatever process the proxy leads it to, and the call is resumed there with its context. Whether it was is
looked up.
"""

import asyncio

import structlog

from app import metrics
from app.adapters.database import DATABASE_ERRORS, reason_of
from app.adapters.store import CallStore
from app.calls.live_call import LiveCall
from app.calls.roster import Roster
from app.core import events as ev
from app.core.phases import Phase
from app.relay import Relay

log = structlog.get_logger()

LOOK_SECONDS = 0.05
PAUSE_SECONDS = 0.6
"""Both sides are silent for this long: between a question and its answer it is mostly shorter."""
FLUSH_SECONDS = 1.0
ASK_SECONDS = 0.25
"""The books are asked so often who has the calls."""


def pausing(relay: Relay) -> bool:
    """Whether nothing would be lost or cut by a stream's end at this moment."""
    machine = relay.machine
    turns = machine.sequencer
    busy = turns.caller_speaking or turns.awaits_server or not turns.idle or bool(machine.tools.open)
    return machine.phase is Phase.TALKING and not busy and not machine.playback.playing(relay.now())


class Handover:
    """The last of a process's calls, from the first that is handed over until it is known where they are."""

    def __init__(self, board: Roster, books: CallStore) -> None:
        self.board = board
        self.books = books
        self.given: list[LiveCall] = []
        self._quiet_since: dict[str, float] = {}
        self._loop = asyncio.get_running_loop()

    async def give(self, seconds: float) -> None:
        """Hand over every call that talks, each at a pause; after so many seconds wherever it stands. New streams as well."""
        until = self._loop.time() + seconds
        while talking := [call for call in self.board.calls.values() if call.relay is not None]:
            late = self._loop.time() >= until
            ready = [call for call in talking if late or self._paused(call)]
            if ready and (await self.board.journal.flush(FLUSH_SECONDS) or late):
                for call in ready:  # meanwhile somebody may have begun to speak, or a tool to write
                    if late or self._paused(call):
                        self._give(call)
            if self._loop.time() >= until + FLUSH_SECONDS:
                return
            await asyncio.sleep(LOOK_SECONDS)

    def _give(self, call: LiveCall) -> None:
        if call.relay is None:  # it ended meanwhile
            return
        log.info("a call is handed over", call_sid=call.info.call_sid, streams=call.streams)
        self.given.append(call)
        self.board.note(call, "handed_over")
        call.relay.apply(ev.HouseCloses())
        call.handed_over = True

    def _paused(self, call: LiveCall) -> bool:
        sid, now = call.info.call_sid, self._loop.time()
        if call.relay is None or not pausing(call.relay):
            self._quiet_since.pop(sid, None)
            return False
        return now - self._quiet_since.setdefault(sid, now) >= PAUSE_SECONDS

    async def settled(self, seconds: float) -> None:
        """Wait until it is known of every call that was handed over where it is, and count it."""
        open_calls = {call.info.call_sid: call for call in self.given}
        until = self._loop.time() + seconds
        while open_calls:
            owners = await self._owners(list(open_calls))
            for sid, call in list(open_calls.items()):
                if owners.get(sid, self.board.instance) != self.board.instance:
                    self._count(open_calls.pop(sid), "process")
                elif call.asked_next:
                    self._count(open_calls.pop(sid), "ladder")
                elif call.finished:
                    self._count(open_calls.pop(sid), "gone")
            if self._loop.time() >= until:
                break
            await asyncio.sleep(ASK_SECONDS)
        for sid in open_calls:
            metrics.calls_cut_total.inc()
            log.error("a call was closed, and is not known to go on anywhere", call_sid=sid)

    async def _owners(self, call_sids: list[str]) -> dict[str, str]:
        try:
            async with asyncio.timeout(ASK_SECONDS * 2):
                return await self.books.owners(call_sids)
        except DATABASE_ERRORS as error:
            log.warning("the books do not say who has the calls", reason=reason_of(error))
            return {}

    def _count(self, call: LiveCall, to: str) -> None:
        metrics.calls_handed_over_total.labels(to).inc()
        log.info("a call goes on", call_sid=call.info.call_sid, to=to)
