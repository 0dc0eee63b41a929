"""Frames of 20 ms that tell what became of them: whose, which way, which in order, when sent. And the count of those that came."""

import base64
import struct
import time
import zlib
from typing import NamedTuple

import msgspec

from bench.arithmetic import percentile
from bench.load import Way

FRAME = 160
MAGIC = b"OFFHOOKB"
UP, DOWN = 0, 1
_BODY = struct.Struct("<8sBIIQ")
_WHOLE = _BODY.size + 4
_REST = b"\xff" * (FRAME - _WHOLE)


class Stamp(NamedTuple):
    """What a frame says of itself. `sent_ns`: CLOCK_MONOTONIC, one clock for both ends."""

    way: int
    call: int
    number: int
    sent_ns: int


def frame(way: int, call: int, number: int) -> bytes:
    """A frame that is sent now."""
    body = _BODY.pack(MAGIC, way, call, number, time.monotonic_ns())
    return body + zlib.crc32(body).to_bytes(4, "little") + _REST


def read(audio: bytes) -> list[Stamp]:
    """The stamps of whole frames; audio that has none, or a spoiled one, is passed over, and so is missed in the count."""
    found = []
    for at in range(0, len(audio) - FRAME + 1, FRAME):
        body = audio[at : at + _BODY.size]
        if body.startswith(MAGIC) and audio[at + _BODY.size : at + _WHOLE] == zlib.crc32(body).to_bytes(4, "little"):
            found.append(Stamp(*_BODY.unpack(body)[1:]))
    return found


def decode(payload: str) -> list[Stamp]:
    """The same, of base64."""
    return read(base64.b64decode(payload))


class Tally:
    """Frames of one direction, counted in a window: those sent in it, whenever they arrive."""

    def __init__(self, way: int) -> None:
        self.way = way
        self.counting = False
        self._sent: set[tuple[int, int]] = set()
        self._came: set[tuple[int, int]] = set()
        self._latest: dict[int, int] = {}
        self._took_us: list[float] = []
        self.reordered = self.duplicated = self.crosstalk = 0

    def sent(self, call: int, number: int) -> None:
        """A frame goes out."""
        if self.counting:
            self._sent.add((call, number))

    def came(self, stamp: Stamp, by: int) -> None:
        """A frame arrived at the end of call `by`."""
        now = time.monotonic_ns()
        if stamp.way != self.way or stamp.call != by:
            self.crosstalk += self.counting
            return
        latest = self._latest.get(by, -1)
        self._latest[by] = max(latest, stamp.number)
        key = (stamp.call, stamp.number)
        if key not in self._sent:
            return
        if key in self._came:
            self.duplicated += 1
            return
        self._came.add(key)
        self.reordered += stamp.number < latest
        self._took_us.append((now - stamp.sent_ns) / 1000)

    @property
    def missing(self) -> int:
        """How many have not arrived yet."""
        return len(self._sent) - len(self._came)

    def way_result(self) -> Way:
        """As the load tells it."""
        counted = Way(
            sent=len(self._sent),
            received=len(self._came),
            lost=len(self._sent - self._came),
            reordered=self.reordered,
            duplicated=self.duplicated,
            crosstalk=self.crosstalk,
        )
        if not self._took_us:
            return counted
        p50, p99, p999 = (percentile(self._took_us, share) for share in (0.5, 0.99, 0.999))
        return msgspec.structs.replace(counted, p50_us=p50, p99_us=p99, p999_us=p999, max_us=max(self._took_us))
