"""Mu-law at 8 kHz <-> PCM16 at 16 or 24 kHz, for engines that take no g711. Nobody else comes here.

One low-pass serves every rate: a windowed sinc, 6 dB down at 4 kHz, 1.5 ms to its middle. Its zeros lie on every third (24 kHz)
or second (16 kHz) sample: on the way up the samples that there were pass as they are, and only those between them are worked
out; on the way down nothing above 4 kHz folds back into speech. A converter remembers the last 3 ms, so that the border between
two frames leaves no trace, and gives exactly as many milliseconds as it takes. Figures: docs/engines.md.

A filter without numpy: written as the digits of one long integer, samples and taps convolve in a single multiplication
(Kronecker's substitution), which CPython does in C. A digit has 32 bits, which `audioop` widens to and narrows from:

    sample    s + 32768, so that none is negative     16 bits
    tap       t * 2**14, rounded                      15 bits and a sign
    sum       of the products, and a bias             positive, below 2**32

Source of the companding: ITU-T G.711, as `audioop` has it. Bytes are little-endian, as on every platform that we run on.
"""

import math
import warnings
from array import array
from collections.abc import Iterable
from functools import lru_cache
from typing import Literal

with warnings.catch_warnings():  # from Python 3.13 on it is the package audioop-lts
    warnings.simplefilter("ignore", DeprecationWarning)
    import audioop as audioop

Rate = Literal[16000, 24000]

REACH = 12
"""Samples at 8 kHz from the filter's first tap to its middle."""
DELAY_MS = REACH / 8
BETA = 5.6
"""Of the Kaiser window."""
DIGIT = 32
ONE = 14
"""Bits behind the point of a tap."""
HALF = 1 << 15
BIAS = 1 << 30
ROUND = 1 << (ONE - 1)
EACH = (BIAS + ROUND).to_bytes(4, "little")
REMEMBERED = bytes(2 * 2 * REACH)
"""What a stream begins with: 3 ms of silence at 8 kHz."""


@lru_cache(maxsize=2)
def taps(times: int) -> tuple[float, ...]:
    """The low-pass at `times` 8 kHz: 24 * times + 1 taps, symmetric, 1.0 in the middle; their sum is about `times`."""
    middle = REACH * times
    return tuple(_sinc(n / times) * _kaiser(n / (middle + 1)) for n in range(-middle, middle + 1))


def _sinc(x: float) -> float:
    return math.sin(math.pi * x) / (math.pi * x) if x else 1.0


def _kaiser(x: float) -> float:
    return _bessel(BETA * math.sqrt(1 - x * x)) / _bessel(BETA)


def _bessel(x: float) -> float:
    """The modified Bessel function I0, by its series."""
    total = term = 1.0
    for k in range(1, 30):
        term *= (x / 2 / k) ** 2
        total += term
    return total


class _Phase:
    """Every so-manieth tap of a filter, as one integer: the tap for a sample that is `at` older is digit `at`."""

    def __init__(self, part: Iterable[tuple[int, float]], scale: float = 1.0) -> None:
        whole = [(at, round(tap * scale * (1 << ONE))) for at, tap in part]
        self.number = sum(tap << DIGIT * at for at, tap in whole)
        self.offset = HALF * sum(tap for _, tap in whole)
        """What it makes of the 32768 that each sample is too high."""


def _number(samples: bytes) -> int:
    """16-bit samples as digits of one integer, each 32768 too high."""
    return int.from_bytes(audioop.lin2lin(audioop.bias(samples, 2, HALF), 2, 4), "little") >> 16


def _samples(sums: int, count: int, offset: int) -> bytes:
    """The sums for the `count` newest samples as samples, rounded, and clipped where the filter overshoots."""
    digits = count + 4 * REACH + 1
    text = (sums + int.from_bytes(EACH * digits, "little")).to_bytes(4 * digits + 4, "little")
    new = audioop.bias(text[8 * REACH : 8 * REACH + 4 * count], 4, -BIAS - offset)
    return audioop.lin2lin(audioop.mul(new, 4, 1 << (16 - ONE)), 4, 2)


@lru_cache(maxsize=2)
def _up(times: int) -> tuple[_Phase, ...]:
    """Phases 1, 2...: out[times * m + r] = sum of tap[times * k + r] * in[m - k]. Phase 0 is the sample 12 before."""
    low = taps(times)
    return tuple(_Phase((k, low[times * k + r]) for k in range(2 * REACH)) for r in range(1, times))


@lru_cache(maxsize=1)
def _down() -> tuple[_Phase, ...]:
    """out[m] = sum over q of tap[3 * k - q] * in[3 * (m - k) + q]."""
    low = taps(3)
    straight = _Phase([(REACH, low[3 * REACH])], 1 / 3)
    return (straight, *(_Phase(((k, low[3 * k - q]) for k in range(1, 2 * REACH + 1)), 1 / 3) for q in (1, 2)))


class ToPcm:
    """One stream of mu-law to PCM16 at a rate: each byte becomes 2 or 3 samples."""

    def __init__(self, rate: Rate) -> None:
        self._times = rate // 8000
        self._phases = _up(self._times)
        self._before = REMEMBERED

    def push(self, u_law: bytes) -> bytes:
        """Any number of bytes in; 4 or 6 times as many out."""
        samples = self._before + audioop.ulaw2lin(u_law, 2)
        self._before = samples[-len(REMEMBERED) :]
        count, times = len(u_law), self._times
        number = _number(samples)
        out = array("h", bytes(2 * times * count))
        out[::times] = array("h", samples[2 * REACH : 2 * (REACH + count)])
        for r, phase in enumerate(self._phases, 1):
            out[r::times] = array("h", _samples(number * phase.number, count, phase.offset))
        return out.tobytes()


class FromPcm:
    """One stream of PCM16 at 24 kHz to mu-law: three samples become a byte."""

    def __init__(self) -> None:
        self._phases = _down()
        self._offset = sum(phase.offset for phase in self._phases)
        self._before = [REMEMBERED] * 3
        self._carried = b""

    def push(self, pcm: bytes) -> bytes:
        """Any number of bytes in; those that make no three whole samples wait for the next."""
        if self._carried:
            pcm = self._carried + pcm
        whole = len(pcm) // 6 * 6
        self._carried = pcm[whole:]
        count = whole // 6
        if not count:
            return b""
        samples = array("h", pcm[:whole])
        sums, before = 0, []
        for q, phase in enumerate(self._phases):
            part = self._before[q] + samples[q::3].tobytes()
            before.append(part[-len(REMEMBERED) :])
            sums += _number(part) * phase.number
        self._before = before
        return audioop.lin2ulaw(_samples(sums, count, self._offset), 2)

    def cut(self) -> None:
        """Another item begins: a sample that was not whole is none of its own."""
        self._carried = b""
