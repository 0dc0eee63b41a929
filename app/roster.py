"""The roster: every call that this process knows, from its beginning until late callbacks can no longer come.

What a call is doing is the switchboard's business; this counts the calls, ends each of them once, and empties the house.
"""

import asyncio
import time
from collections.abc import Callable, Coroutine
from datetime import UTC, datetime
from typing import Any

import structlog

from app import metrics
from app.adapters.journal import Journal
from app.adapters.warm import Warm
from app.core import effects as do
from app.core import events as ev
from app.core.record import CallInfo, CallStarted, Milestone
from app.live_call import LiveCall
from app.mode import Mode
from app.relay import Watcher

log = structlog.get_logger()

LINGER_SECONDS = 300.0
"""How long a finished call is remembered for callbacks that come late."""
LOOK_SECONDS = 0.05


class Roster:
    """All calls of this process, by their SIDs."""

    def __init__(self, *, journal: Journal, warm: Warm, version: str) -> None:
        self.journal = journal
        self.warm = warm
        self.version = version
        self.calls: dict[str, LiveCall] = {}
        self.watchers: dict[str, Watcher] = {}
        """Who is shown what happens in a call, by its SID; its streams that begin from now on."""
        self.draining = False
        self.closing = False
        self.idle = asyncio.Event()
        self.idle.set()
        self.live = 0
        """Calls that are not over."""
        self._loop = asyncio.get_running_loop()
        self._utc = utc_of(time.monotonic)
        self._cut: list[LiveCall] = []
        """Calls whose streams were closed because this process stops."""
        self._tasks: set[asyncio.Task[None]] = set()

    def stream_over(self, call: LiveCall, over: do.CallIsOver) -> None:
        """A stream of a call has ended."""
        raise NotImplementedError

    def knows(self, call_sid: str) -> bool:
        """Whether a call is in this process's memory, and not over."""
        call = self.calls.get(call_sid)
        return call is not None and (not call.finished or call.next.step != "resume")

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

    # --- the end of a call ------------------------------------------------------------------------------------------

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

    def finish(self, call: LiveCall) -> None:
        """The call is over: count it once, forget it later."""
        if call.finished:
            return
        call.finished = True
        call.ticket = ""
        call.transfers.caller_left()
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

    # --- the end of the process -------------------------------------------------------------------------------------

    def close_all(self) -> None:
        """This process stops: every call that still talks leaves by the door, and none is taken up again here."""
        self.closing = True
        for call in list(self.calls.values()):
            if call.relay is not None:
                self._cut.append(call)
                call.relay.apply(ev.HouseCloses())
            if call.toolbox is not None:
                call.toolbox.stop()
        for task in self._tasks:
            task.cancel()

    async def carried_through(self) -> None:
        """Wait, after `close_all`, for writes that callers agreed to: to their deadlines at most."""
        boxes = [call.toolbox for call in self.calls.values() if call.toolbox is not None]
        await asyncio.gather(*(box.rest() for box in boxes))

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
