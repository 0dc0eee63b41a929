"""Sound in the model stand-in: it thinks in g711 u-law, and speaks and hears PCM16 only where a client asks for it.

The conversion is the simplest that is fit to be heard: three samples for one (at 24 kHz), on a straight line. A client that sends
PCM in which every third sample (every second at 16 kHz) is one of the u-law original is understood; anything else is gibberish,
as u-law taken for PCM is. A-law is taken in configurations, but nobody here speaks it: it is passed as u-law.
"""

from array import array
from functools import lru_cache
from typing import Protocol

BYTES_PER_MS = {"pcmu": 8, "pcma": 8, "pcm": 48, "pcm16k": 32}
"""By form: "pcm" is PCM16 at 24 kHz."""
_EVERY = {"pcm": 3, "pcm16k": 2}
"""Of so many samples, one is there at 8 kHz."""
_ONE_ZERO = bytes(0xFF if code == 0x7F else code for code in range(256))


def _linear(code: int) -> int:
    """The 16-bit sample of a u-law byte. Source: ITU-T G.711."""
    code = ~code & 0xFF
    size = (((code & 0x0F) << 3) + 0x84 << ((code & 0x70) >> 4)) - 0x84
    return -size if code & 0x80 else size


def _u_law(sample: int) -> int:
    """The u-law byte of a 16-bit sample, the exact inverse of `_linear` on what that gives."""
    sign = 0x80 if sample < 0 else 0
    size = min(abs(sample), 32635) + 0x84
    exponent = size.bit_length() - 8
    return ~(sign | exponent << 4 | size >> exponent + 3 & 0x0F) & 0xFF


_SAMPLES = [_linear(code) for code in range(256)]


def samples(u_law: bytes) -> list[int]:
    """The 16-bit samples of u-law audio."""
    return [_SAMPLES[code] for code in u_law]


@lru_cache(maxsize=1)
def _codes() -> bytes:
    """The u-law byte of every 16-bit sample; made when a client first sends PCM, as it takes a while."""
    return bytes(_u_law(sample if sample < 0x8000 else sample - 0x10000) for sample in range(0x10000))


@lru_cache(maxsize=64)
def spoken(u_law: bytes, form: str) -> bytes:
    """What the agent says, in the session's output format. `form`: "pcmu" or "pcm"."""
    if form != "pcm":
        return u_law
    here_on = samples(u_law)
    out = array("h", bytes(6 * len(here_on)))
    for n, (here, after) in enumerate(zip(here_on, [*here_on[1:], 0], strict=True)):
        step = (after - here) / 3
        out[3 * n], out[3 * n + 1], out[3 * n + 2] = here, int(here + step), int(here + 2 * step)
    return out.tobytes()


def heard(audio: bytes, form: str) -> bytes:
    """What a client sent, as u-law. Of PCM, whole groups of three samples (6 bytes; at 16 kHz two, 4 bytes) are taken."""
    if form not in _EVERY:
        return audio
    every = _EVERY[form]
    numbers = array("H", audio[: len(audio) // (2 * every) * 2 * every])
    return bytes(map(_codes().__getitem__, numbers[::every]))


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
