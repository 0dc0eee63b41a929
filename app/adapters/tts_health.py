"""Whether another house's voice is asked: not twice in a call that it failed, and by nobody for a while after it refused."""

import time
from collections.abc import Callable

from app.adapters.tts_link import Cause, TtsServer

REST_SECONDS = 60.0
"""After a refusal, or a connection in vain, new calls are answered in the model's own voice for so long."""
REMEMBERED = 1000
"""Calls that a voice failed in; the oldest is forgotten first."""


class TtsHealth:
    """What this process knows of one text-to-speech server."""

    def __init__(self, server: TtsServer, now: Callable[[], float] = time.monotonic) -> None:
        self.server = server
        self._now = now
        self._failed: dict[str, None] = {}
        self._rests_until = 0.0

    def speaks(self, call_sid: str) -> bool:
        """Whether a session of this call is to be spoken by it."""
        return call_sid not in self._failed and self._now() >= self._rests_until

    def failed(self, call_sid: str, cause: Cause) -> None:
        """It was lost in a call."""
        self._failed[call_sid] = None
        while len(self._failed) > REMEMBERED:
            del self._failed[next(iter(self._failed))]
        if cause in ("refused", "unreachable"):
            self._rests_until = self._now() + REST_SECONDS
