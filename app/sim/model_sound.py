"""Sound in the model stand-in: it thinks in g711 u-law, and speaks and hears PCM16 only where a client asks for it.

The conversion is the simplest that is fit to be heard: three samples for one (at 24 kHz), on a straight line. A client that sends
PCM in which every third sample (every second at 16 kHz) is one of the u-law original is understood; anything else is gibberish,
as u-law taken for PCM is. A-law is taken in configurations, but nobody here speaks it: it is passed as u-law.
"""

from array import array
from functools import lru_cache
from typing import Protocol

from app.wire.g711 import audioop

BYTES_PER_MS = {"pcmu": 8, "pcma": 8, "pcm": 48, "pcm16k": 32}
"""By form: "pcm" is PCM16 at 24 kHz."""
_EVERY = {"pcm": 3, "pcm16k": 2}
"""Of so many samples, one is there at 8 kHz."""
_ONE_ZERO = bytes(0xFF if code == 0x7F else code for code in range(256))


def samples(u_law: bytes) -> list[int]:
    """The 16-bit samples of u-law audio."""
    return array("h", audioop.ulaw2lin(u_law, 2)).tolist()


@lru_cache(maxsize=64)
def spoken(u_law: bytes, form: str) -> bytes:
    """What the agent says, in the session's output format. `form`: "pcmu" or "pcm".

    In C: a sentence sample by sample stood in the way of everything else on the loop, carriers included, for a quarter of a second.
    """
    if form != "pcm":
        return u_law
    here_on = array("h", audioop.ulaw2lin(u_law, 2))
    here, after = here_on.tobytes(), (here_on[1:] + array("h", [0])).tobytes()
    out = array("h", bytes(6 * len(here_on)))
    out[::3] = here_on
    for n in (1, 2):
        out[n::3] = array("h", audioop.add(audioop.mul(here, 2, 1 - n / 3), audioop.mul(after, 2, n / 3), 2))
    return out.tobytes()


def heard(audio: bytes, form: str) -> bytes:
    """What a client sent, as u-law. Of PCM, whole groups of three samples (6 bytes; at 16 kHz two, 4 bytes) are taken."""
    if form not in _EVERY:
        return audio
    every = _EVERY[form]
    numbers = array("h", audio[: len(audio) // (2 * every) * 2 * every])
    return audioop.lin2ulaw(numbers[::every].tobytes(), 2)


def from_pcm(u_law: bytes) -> bytes:
    """How u-law comes out of PCM: its two zeros (0x7F and 0xFF) are one there."""
    return u_law.translate(_ONE_ZERO)


class Voices(Protocol):
    """What is used of app.sim.voices."""

    def say(self, text: str, speaker: str = "agent") -> bytes:
        """The text as u-law audio. Raises UnknownPhrase."""
        ...

    def core(self, audio: bytes) -> bytes:
        """The audio from its first to its last voiced frame."""
        ...


class Repertoire:
    """What the voices have said already is kept: the same sentences come in every call."""

    def __init__(self, voices: Voices) -> None:
        self.say = lru_cache(maxsize=512)(voices.say)
        self._core = voices.core
        self.core = lru_cache(maxsize=512)(self._core_of)

    def _core_of(self, text: str, speaker: str) -> bytes:
        """What to look for where somebody may have said this text."""
        return self._core(self.say(text, speaker))
