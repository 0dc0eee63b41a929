"""The one timer of a stream: it rings at the machine's next deadline, however often that is moved before it comes."""

import asyncio
from collections.abc import Callable


class Alarm:
    """Rings when the deadline has come. Needs a running loop.

    Most deadlines are put off again and again before they come (each piece of an answer moves the next one), so a timer that
    would ring too early is left as it is, and set anew once it has rung: setting one costs as much as a frame's decoding.
    """

    def __init__(
        self, now: Callable[[], float], deadline: Callable[[], float | None], ring: Callable[[], None]
    ) -> None:
        """now: seconds on the clock that deadlines are of. deadline: the next one, None where there is none."""
        self._now, self._deadline, self._ring = now, deadline, ring
        self._loop = asyncio.get_running_loop()
        self._timer: asyncio.TimerHandle | None = None
        self._due_at = 0.0
        """When `_timer` rings; never later than the deadline."""

    def set(self) -> None:
        """The deadline may have changed."""
        deadline = self._deadline()
        if deadline is None or (self._timer is not None and self._due_at <= deadline):
            return
        self.stop()
        self._due_at = deadline
        self._timer = self._loop.call_later(max(0.0, deadline - self._now()), self._due)

    def stop(self) -> None:
        """It does not ring, unless it is set again."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _due(self) -> None:
        self._timer = None
        deadline = self._deadline()
        if deadline is not None and deadline <= self._now():
            self._ring()
        else:
            self.set()
