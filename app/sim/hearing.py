"""What the caller's ear has over a whole call: voice on a stream, prompts, ringing, a person; the rest is silence.

Measured in life's milliseconds: waits that the stand-in lets pass faster (`verb_speed`) count as long as they would last. While
it rings the caller hears ringing, the pauses of its cadence included: they belong to the tone (ITU-T E.180), and how long they
are is the country's.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

Sound = Literal["voice", "prompt", "ringing", "person", "tape"]
"""tape: it is the caller's turn, to leave a message."""

JOINS_MS = 60
"""Frames of voice that are no further apart are one stretch."""


@dataclass(slots=True)
class Stretch:
    """A sound from its beginning to its end, in ms of life since the call began."""

    what: Sound
    start_ms: int
    end_ms: int


class Hearing:
    """One call's. `now_ms` is the call's clock."""

    def __init__(self, now_ms: Callable[[], int]) -> None:
        self.stretches: list[Stretch] = []
        self._now_ms = now_ms
        self._skipped_ms = 0.0
        self._sounding = False

    def skip(self, seconds: float) -> None:
        """So much of life was left out."""
        self._skipped_ms += seconds * 1000

    def life_ms(self) -> int:
        """Since the call began, if nothing had been left out."""
        return self._now_ms() + round(self._skipped_ms)

    def voice(self) -> None:
        """20 ms of voice were heard just now."""
        now = self.life_ms()
        last = self.stretches[-1] if self.stretches else None
        if last is not None and last.what == "voice" and now - last.end_ms <= JOINS_MS:
            last.end_ms = now
        else:
            self.stretches.append(Stretch("voice", now - 20, now))

    def begins(self, what: Sound) -> None:
        """A sound begins; what sounded until now ends."""
        self.ends()
        now = self.life_ms()
        self.stretches.append(Stretch(what, now, now))
        self._sounding = True

    def ends(self) -> None:
        """It ends. A caller who hears nothing goes on hearing nothing."""
        if self._sounding:
            self.stretches[-1].end_ms = self.life_ms()
            self._sounding = False

    def said(self, since_ms: int, seconds: float) -> None:
        """A prompt began at that moment of life, and lasted for so long, or until now if that is shorter."""
        self.stretches.append(Stretch("prompt", since_ms, min(self.life_ms(), since_ms + round(seconds * 1000))))

    def transfer_silence_ms(self) -> int:
        """The longest silence beside a telephone that rings or a person: from the agent's last word, up to its next, or between."""
        pairs = zip(self.stretches, self.stretches[1:], strict=False)
        gaps = [b.start_ms - a.end_ms for a, b in pairs if {a.what, b.what} & {"ringing", "person"}]
        return max(gaps, default=0)
