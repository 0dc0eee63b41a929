"""The carrier's playback buffer: audio and marks in one line, played at 160 bytes a tick, emptied by `clear`.

Source: Media Streams, "mark" and "clear": a mark comes back when everything before it was played, or at once with an
empty buffer; a clear empties the buffer and sends all waiting marks back, in order.
"""

from collections import deque
from typing import NamedTuple

FRAME_BYTES = 160  # 20 ms of mu-law at 8000 Hz
FRAME_MS = 20
SILENCE = b"\xff" * FRAME_BYTES


class Tick(NamedTuple):
    """20 ms of the caller's ear: the frame heard, how many bytes of it are the server's, the marks that come back."""

    frame: bytes
    audio_bytes: int
    echoes: list[str]


class Underrun(NamedTuple):
    """The buffer ran dry inside an utterance (no mark had closed it) and the caller heard a hole."""

    at_ms: int
    gap_ms: int


class Cleared(NamedTuple):
    """What a `clear` threw away."""

    at_ms: int
    dropped_bytes: int
    marks: list[str]


class Playout:
    """One stream's buffer. It has no clock: each `tick` is 20 ms, so `now_ms` counts what was played or was silent."""

    def __init__(self) -> None:
        self.now_ms = 0
        self.underruns: list[Underrun] = []
        self.clears: list[Cleared] = []
        self._waiting = bytearray()
        self._received = 0
        self._consumed = 0
        self._marks: deque[tuple[int, str]] = deque()  # (bytes that must have been played first, name)
        self._mid_utterance = False
        self._dry_ms = 0

    @property
    def waiting_bytes(self) -> int:
        """Bytes received and neither played nor cleared."""
        return len(self._waiting)

    @property
    def waiting_marks(self) -> list[str]:
        """Marks that did not come back yet, in order."""
        return [name for _, name in self._marks]

    def add(self, audio: bytes) -> None:
        """Put audio (mu-law bytes, any length) at the end of the line."""
        if self._mid_utterance and self._dry_ms:
            self.underruns.append(Underrun(self.now_ms - self._dry_ms, self._dry_ms))
        self._mid_utterance, self._dry_ms = True, 0
        self._waiting += audio
        self._received += len(audio)

    def mark(self, name: str) -> list[str]:
        """Put a mark in the line; returns the names to send back now (itself, if everything before it was played)."""
        self._mid_utterance, self._dry_ms = False, 0
        self._marks.append((self._received, name))
        return self._due()

    def clear(self) -> list[str]:
        """Throw the audio away; returns the names of all waiting marks, in order."""
        names = self.waiting_marks
        self.clears.append(Cleared(self.now_ms, len(self._waiting), names))
        self._waiting.clear()
        self._marks.clear()
        self._consumed = self._received
        self._mid_utterance, self._dry_ms = False, 0
        return names

    def tick(self) -> Tick:
        """Play 20 ms: silence fills what the buffer does not have."""
        frame = bytes(self._waiting[:FRAME_BYTES])
        del self._waiting[:FRAME_BYTES]
        count = len(frame)
        self._consumed += count
        self.now_ms += FRAME_MS
        if count == 0 and self._mid_utterance:
            self._dry_ms += FRAME_MS
        if count < FRAME_BYTES:
            frame += SILENCE[count:]
        return Tick(frame, count, self._due())

    def _due(self) -> list[str]:
        names = []
        while self._marks and self._marks[0][0] <= self._consumed:
            names.append(self._marks.popleft()[1])
        return names
