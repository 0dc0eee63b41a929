"""The roster: every call that this process knows, from its beginning until late callbacks can no longer come.

What a call is doing is the switchboard's business; this counts the calls, ends each of them once, and empties the house.
"""

import asyncio
import time
from abc import ABC, abstractmethod
from collections import OrderedDict
from collections.abc import Callable, Coroutine
from datetime import UTC, datetime
from typing import Any

import msgspec
import structlog

from app import metrics
from app.adapters.journal import Journal
from app.adapters.warm import Warm
from app.calls.live_call import LiveCall
from app.calls.spending import Cap, Paid, Spending
from app.calls.standing import standing
from app.core import effects as do
from app.core import events as ev
from app.core.finished import CallFinished
from app.core.rows import CallInfo, CallStarted, Milestone
from app.core.standing import NOBODY
from app.log import forgets_call, knows_call
from app.mode import Mode
from app.relay import Watcher

log = structlog.get_logger()

LINGER_SECONDS = 300.0
"""How long a finished call is remembered for callbacks that come late."""
KEEP_SECONDS = 0.5
"""How far what the books know of a talk may lag behind it."""
KEEP_AT_ONCE = 10
"""Calls that are looked at in one turn of the loop, some 30 us each."""
DEPARTED = 20_000
"""So many ended calls are remembered by their SIDs, long after the calls are forgotten: some two megabytes."""
SPENT_TICKETS = 10_000
"""So many used tickets are remembered: far more than are used while one of them is good."""


class Roster(ABC):
    """All calls of this process, by their SIDs."""

    def __init__(self, *, journal: Journal, warm: Warm, version: str, instance: str = "") -> None:
        """instance: what this process is called among those that have the same books."""
        self.instance = instance
        self.journal = journal
        self.warm = warm
        self.version = version
        self.calls: dict[str, LiveCall] = {}
        self.watchers: dict[str, Watcher] = {}
        """Who is shown what happens in a call, by its SID; its streams that begin from now on."""
        self.answered: Callable[[str, str, float], None] | None = None
        """Is told of each answered request of the carrier's: its call, its door, and the seconds. None: calls are not traced."""
        self.spending: Spending | None = None
        """What calls may cost, and whether there is room in the loop; None: no cap but those of one call."""
        self.departed: OrderedDict[str, None] = OrderedDict()
        """Calls that the carrier said are over, in the order they ended: nothing that comes later revives one."""
        self.draining = False
        self.closing = False
        self.idle = asyncio.Event()
        self.idle.set()
        self.live = 0
        """Calls that are not over."""
        self._loop = asyncio.get_running_loop()
        self._utc = utc_of(time.monotonic)
        self.spent: OrderedDict[str, None] = OrderedDict()
        """Tickets that were used here, the oldest first."""
        self._tasks: set[asyncio.Task[None]] = set()
        self._settling: set[asyncio.Task[None]] = set()
        """Calls that are over and whose tools are not; not cancelled with the house."""

    @abstractmethod
    def stream_over(self, call: LiveCall, over: do.CallIsOver) -> None:
        """A stream of a call has ended."""

    @abstractmethod
    def part_with(self, call: LiveCall) -> None:
        """Nothing was heard of a call for a while."""

    @abstractmethod
    def note(self, call: LiveCall, name: str) -> None:
        """Write a milestone of a call down."""

    def knows(self, call_sid: str) -> bool:
        """Whether this process remembers what comes next for a call: one that is over, only if that is not the talk."""
        call = self.calls.get(call_sid)
        return call is not None and (not call.finished or call.next.step != "resume")

    def _begin(self, info: CallInfo, mode: Mode, *, milestone: str = "") -> LiveCall:
        call = LiveCall(self, info, mode)
        self.calls[info.call_sid] = call
        knows_call(info.call_sid, mode=mode.name, mode_version=mode.edition.stamp, version=self.version)
        if self.spending is not None:
            self.spending.begins(call)
        self.live += 1
        self.idle.clear()
        metrics.calls_live.set(self.live)
        now, out = datetime.now(UTC), info.direction == "outbound"
        self.journal.put(
            CallStarted(
                call_sid=info.call_sid,
                mode=mode.name,
                direction=info.direction,
                from_number=info.dialled if out else info.caller,
                to_number=info.caller if out else info.dialled,
                started_at=now,
                version=self.version,
                mode_version=mode.edition.stamp,
            )
        )
        name = milestone or ("call_placed" if out else "webhook_accepted")
        self.journal.put(Milestone(call_sid=info.call_sid, name=name, at=now))
        return call

    async def watch_spending(self) -> None:
        """Wind down what is over a cap, and know what the books know of the day, until cancelled."""
        if self.spending is not None:
            await self.spending.run(lambda: [call for call in self.calls.values() if call.streaming], self.wind_down)

    def wind_down(self, call: Paid, cap: Cap) -> None:
        """A call in progress may cost no more: its agent takes leave. Nothing where no agent talks, or it is ending already."""
        if isinstance(call, LiveCall) and call.relay is not None:
            call.relay.apply(ev.CapReached(cap))

    def _spent_here(self, ticket: str) -> None:
        self.spent[ticket] = None
        while len(self.spent) > SPENT_TICKETS:
            self.spent.popitem(last=False)

    # --- what the books know ----------------------------------------------------------------------------------------

    def keep(self, call: LiveCall) -> None:
        """Have the books know how a call stands, if they do not. Not once another process has it."""
        if call.handed_over:
            return
        row, known = standing(call, self.instance, datetime.now(UTC)), call.kept
        if known is None or (row.streams, row.tickets, row.state) != (known.streams, known.tickets, known.state):
            call.kept = row
            self.journal.put(row)

    async def keep_all(self) -> None:
        """Keep what talks, again and again, until cancelled: so little is lost with this process."""
        while True:
            await asyncio.sleep(KEEP_SECONDS)
            for count, call in enumerate([call for call in self.calls.values() if call.streaming]):
                if call.streaming:
                    self.keep(call)
                if count % KEEP_AT_ONCE == 0:  # others' audio goes first
                    await asyncio.sleep(0)

    # --- the end of a call ------------------------------------------------------------------------------------------

    def ended(self, call_sid: str) -> None:
        """The carrier says that a call is over, or we told it so."""
        self.departed[call_sid] = None
        while len(self.departed) > DEPARTED:
            self.departed.popitem(last=False)
        call = self.calls.get(call_sid)
        if call is None or call.finished:
            return
        if call.relay is not None:
            call.relay.apply(ev.CallerLeft("final status"))
        unused = bool(call.ticket) and call.streams < call.tickets
        if unused or call.handed_over:  # another process may have had it meanwhile, and counts it
            self.part_with(call)
        else:
            self.finish(call)

    def stream_stopped(self, call_sid: str, stream_sid: str) -> None:
        """The carrier says that a stream has ended; news only if it is the one that runs."""
        call = self.calls.get(call_sid)
        if call is not None and call.relay is not None and call.relay.stream_sid == stream_sid:
            call.relay.apply(ev.CallerLeft("stream stopped"))

    def _finish_later(self, seconds: float, call: LiveCall) -> None:
        """Unless it is heard of until then, a call is over: the caller is gone."""
        stood = (call.streams, call.tickets, call.asked_next)
        call.waits.append(self._loop.call_later(seconds, self._finish_if_left, call, stood))

    def _finish_if_left(self, call: LiveCall, stood: tuple[int, int, int]) -> None:
        if not call.streaming and (call.streams, call.tickets, call.asked_next) == stood:
            self.part_with(call)

    def finish(self, call: LiveCall) -> None:
        """The call is over: count it once, forget it later."""
        if call.finished:
            return
        self._close(call)
        call.transfers.caller_left()
        self._retire(call)
        if call.door == "none":  # no machine has written down its end; of a call that was taken up another's may have
            row, taken_up = call.record.ended(datetime.now(UTC), call.how), call.record.epoch > 1
            self.journal.put(msgspec.structs.replace(row, epoch=NOBODY) if taken_up else row)
        metrics.calls_total.labels(call.mode.name, call.how, call.door).inc()
        metrics.cost_usd_total.labels(call.mode.name).inc(call.record.cost_usd)
        metrics.input_tokens_total.labels(call.mode.name).inc(call.record.input_tokens)
        metrics.cached_tokens_total.labels(call.mode.name).inc(call.record.cached_tokens)
        self._one_less()
        self._loop.call_later(LINGER_SECONDS, self._forget, call)
        if call.toolbox is not None and call.toolbox.at_work:
            settling = self._loop.create_task(self._settled(call))
            self._settling.add(settling)
            settling.add_done_callback(self._settling.discard)
        else:
            self._tell_finished(call)

    def _close(self, call: LiveCall) -> None:
        call.finished = True
        call.ticket = ""
        for wait in call.waits:
            wait.cancel()
        call.waits.clear()

    def _retire(self, call: LiveCall) -> None:
        """Let go of the session that was prepared for the call's next stream; what that has cost, the call has."""
        call.record.cost_usd += self.warm.retire(call.info.call_sid)

    def _one_less(self) -> None:
        self.live -= 1
        metrics.calls_live.set(self.live)
        if self.live == 0:
            self.idle.set()

    async def _settled(self, call: LiveCall) -> None:
        """The call is over, but not all of its tools: what they bring is a part of it."""
        assert call.toolbox is not None
        await call.toolbox.rest()
        self._tell_finished(call)

    def _tell_finished(self, call: LiveCall) -> None:
        """The last row of a call, behind all others: whoever finds it may tell the business. Here little of it is kept."""
        sid, now, written = call.info.call_sid, datetime.now(UTC), tuple(call.record.outcome)
        self.journal.put(CallFinished(call_sid=sid, epoch=call.record.epoch, at=now, written=written))
        if not call.streaming:
            call.sheds()

    def forget(self, call: LiveCall) -> None:
        """Another process has the call: it is neither counted here nor remembered."""
        if not call.finished:
            self._close(call)
            self.warm.retire(call.info.call_sid)
            self._one_less()
        self._forget(call)

    def _forget(self, call: LiveCall) -> None:
        if self.calls.get(call.info.call_sid) is call:
            del self.calls[call.info.call_sid]
            forgets_call(call.info.call_sid)

    # --- the end of the process -------------------------------------------------------------------------------------

    def close_all(self) -> None:
        """This process stops: every call that still talks leaves by the door, and none is taken up again here."""
        self.closing = True
        for call in list(self.calls.values()):
            if call.relay is not None:
                call.relay.apply(ev.HouseCloses())
            if call.toolbox is not None:
                call.toolbox.stop()
        for task in self._tasks:
            task.cancel()

    async def carried_through(self) -> None:
        """Wait, after `close_all`, for writes that callers agreed to: to their deadlines at most."""
        boxes = [call.toolbox for call in self.calls.values() if call.toolbox is not None]
        await asyncio.gather(*(box.rest() for box in boxes))
        await asyncio.gather(*self._settling)

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = self._loop.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


def utc_of(loop_now: Callable[[], float]) -> Callable[[float], datetime]:
    """Turn the loop's clock into UTC; made once, so that milestones of a call never step back with the wall clock."""
    offset = time.time() - loop_now()
    return lambda at: datetime.fromtimestamp(at + offset, UTC)
