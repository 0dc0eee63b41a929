"""The model's end of a stream: what one session is told, and the caller's sound that another one still has to hear.

Sound that comes while there is no session waits, the newest ten seconds of it, and goes out in order once there is one. What was
sent is remembered, too: if its session is gone before it understood the caller's last words, the next one hears them first. Ten
seconds of it while there are such words, else one: ten would be most of what a call takes of memory.
"""

from collections import deque
from collections.abc import Callable

from app.adapters.engine_session import EngineSession
from app.core import effects as do
from app.core.phases import OFFER_ID
from app.core.recovery import PREFIX_MS
from app.mode import Mode
from app.wire.audio import decoded_size

KEPT_MS = 10_000
"""Caller audio that is kept while the model is not ready: the newest ten seconds."""
FRAMES = KEPT_MS // 20
QUIET_FRAMES = (PREFIX_MS + 200) // 20
"""Words are told again from PREFIX_MS before the server said that they began; the rest is for frames that come in a heap."""

Reopen = Callable[[do.Reconnect], EngineSession | None]
"""Begins another session for a call; None: no server is left that could be asked."""


class CallerSound:
    """Frames of the caller's, each as JSON text: those that wait, and the newest that were sent."""

    def __init__(self) -> None:
        self.sent: deque[bytes] = deque(maxlen=QUIET_FRAMES)
        """Without its quotes: a copy of just its size, where an encoder's own takes half as much again."""
        self._kept: deque[bytes] = deque()
        self._kept_bytes = 0

    def speech(self, *, untold: bool) -> None:
        """Whether there are words of the caller's that no session has understood."""
        frames = FRAMES if untold else QUIET_FRAMES
        if self.sent.maxlen != frames:
            self.sent = deque(self.sent, frames)

    def keep(self, payload: bytes) -> None:
        """There is nobody to send it to."""
        self._kept.append(payload)
        self._kept_bytes += decoded_size(payload)
        while self._kept_bytes > KEPT_MS * 8:
            self._kept_bytes -= decoded_size(self._kept.popleft())

    def retell(self, ms: int) -> None:
        """What was sent last, so much of it, is to be sent again, before what waits."""
        waits, self._kept, self._kept_bytes = self._kept, deque(), 0
        count = min(len(self.sent), ms // 20)
        for sound in list(self.sent)[len(self.sent) - count :]:
            self.keep(b'"%b"' % sound)
        for payload in waits:
            self.keep(payload)
        self.sent.clear()
        self.speech(untold=True)

    def release(self, send: Callable[[bytes], None]) -> None:
        """There is a session: what waits goes out in order. Raises what `send` raises; the rest waits on."""
        while self._kept:
            send(self._kept[0])
            payload = self._kept.popleft()
            self._kept_bytes -= decoded_size(payload)
            self.sent.append(payload[1:-1])

    def forget(self) -> None:
        """The call is over."""
        self._kept.clear()
        self.sent.clear()
        self._kept_bytes = 0


def tell(session: EngineSession, mode: Mode, effect: do.Effect) -> None:
    """Effects that are commands to the model. Raises LinkClosed, LinkClogged."""
    match effect:
        case do.CloseModel():
            session.close()
        case do.OfferTools(detection=detection, tools=offered):
            tools = [tool.wire() for tool in mode.tools] if offered is None else list(offered)
            for text in session.wire.offer(tools, mode.turn_detection if detection else None, OFFER_ID):
                session.send(text)
        case _:
            for text in session.wire.commands(effect):
                session.send(text)
