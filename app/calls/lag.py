"""How late the event loop runs, and whether it runs so late that new calls would spoil those in progress.

A timer of a twentieth of a second is looked at each time it rings: what it is late by is what a frame of audio waited. One long
halt is no overload, and a mean would drown in it, so time is weighed: the door closes once the loop ran later than the limit for
most of the last three seconds, and opens again once it ran on half the limit for nearly all of them. A tick costs some
microseconds, twenty times a second.
"""

import asyncio
import time
from collections import deque

import structlog

from app import metrics

log = structlog.get_logger()

TICK_SECONDS = 0.05
WINDOW_SECONDS = 3.0
CLOSES_AT = 0.5
"""Share of the window that was later than the limit."""
OPENS_AT = 0.1
"""... than half the limit, at most, for the door to open again."""


class Tick:
    """One look: how long it stands for, and what was late in it. Seconds."""

    __slots__ = ("late", "over", "seconds", "uneasy")

    def __init__(self, seconds: float, late: float, limit: float) -> None:
        self.seconds = seconds
        self.late = late
        self.over = seconds if limit and late > limit else 0.0
        self.uneasy = seconds if limit and late > limit / 2 else 0.0


class LoopLag:
    """Measures its loop from `start` to `stop`. `overloaded` may be asked at any time, and costs nothing."""

    def __init__(self, limit_ms: float = 0.0, *, tick: float = TICK_SECONDS, window: float = WINDOW_SECONDS) -> None:
        """limit_ms: 0 measures, and never closes the door."""
        self.limit = limit_ms / 1000
        self.overloaded = False
        self.tick, self.window = tick, window
        self._ticks: deque[Tick] = deque()
        self._seconds = self._over = self._uneasy = 0.0
        self._worst = 0.0
        self._shown = 0.0
        self._due = 0.0
        self._timer: asyncio.TimerHandle | None = None

    def start(self) -> None:
        """Begin. Needs a running loop."""
        self._set()

    def stop(self) -> None:
        """Measure no more; calls are welcome as far as this knows."""
        if self._timer is not None:
            self._timer.cancel()
        self._timer, self.overloaded = None, False

    def _set(self) -> None:
        self._due = time.monotonic() + self.tick  # not the loop's clock: uvloop's stands still within a turn
        self._timer = asyncio.get_running_loop().call_later(self.tick, self._look)

    def _look(self) -> None:
        late = max(0.0, time.monotonic() - self._due)
        self.count(self.tick + late, late)
        self._set()

    def count(self, seconds: float, late: float) -> None:
        """One look at the clock. seconds: since the look before; late: of those, what it came too late by."""
        new = Tick(seconds, late, self.limit)
        self._ticks.append(new)
        self._seconds += new.seconds
        self._over += new.over
        self._uneasy += new.uneasy
        while self._seconds - self._ticks[0].seconds >= self.window:
            old = self._ticks.popleft()
            self._seconds -= old.seconds
            self._over -= old.over
            self._uneasy -= old.uneasy
        self._worst = max(self._worst, late)
        self._shown += seconds
        if self._shown >= self.window:
            metrics.loop_lag_seconds.set(self._worst)
            self._worst = self._shown = 0.0
        if self.limit:
            self._judge()

    def _judge(self) -> None:
        whole = max(self._seconds, self.window)  # a loop that has just begun has not been late for most of it
        if not self.overloaded and self._over > CLOSES_AT * whole:
            self.overloaded = True
            metrics.loop_overloaded.set(1)
            log.warning("the loop runs late: new calls go to the keys or a person", limit_ms=round(self.limit * 1000))
        elif self.overloaded and self._uneasy < OPENS_AT * whole:
            self.overloaded = False
            metrics.loop_overloaded.set(0)
            log.info("the loop keeps up again: new calls are answered")
