"""What comes from a microphone over a network, evened out: frames are kept back a little, and never for long."""

from collections import deque

from app.sim.playout import FRAME_BYTES, SILENCE

START_FRAMES = 3
"""60 ms: a browser's timers and a loop under load come no later than that, as a rule."""
MOST_FRAMES = 10
"""200 ms: what is later than that comes from a burst, and would delay everything after it."""


class MicBuffer:
    """Frames of 160 bytes in, one out for each tick. underruns: how often it ran dry; dropped: frames thrown away as too late."""

    def __init__(self) -> None:
        self.underruns = 0
        self.dropped = 0
        self._frames: deque[bytes] = deque()
        self._playing = False

    def add(self, frame: bytes) -> None:
        """Put a frame at the end. Raises ValueError if it is none."""
        if len(frame) != FRAME_BYTES:
            raise ValueError(f"expected {FRAME_BYTES} bytes of mu-law, 20 ms, got {len(frame)}")
        self._frames.append(frame)
        if len(self._frames) > MOST_FRAMES:
            self.dropped += len(self._frames) - START_FRAMES
            while len(self._frames) > START_FRAMES:
                self._frames.popleft()

    def next(self) -> bytes:
        """The frame for this tick; silence while there is nothing, or not enough to begin with."""
        if not self._playing and len(self._frames) < START_FRAMES:
            return SILENCE
        if not self._frames:
            self._playing = False
            self.underruns += 1
            return SILENCE
        self._playing = True
        return self._frames.popleft()

    def clear(self) -> None:
        """Forget what waits: it was said to nobody."""
        self._frames.clear()
        self._playing = False
