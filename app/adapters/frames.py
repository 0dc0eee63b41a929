"""Frames by hand: where any of them ends, and the one shape that is written and read without the core.

That shape is a whole text message of up to 65535 bytes, nearly all of a call's traffic: octet 0 is FIN and opcode 1, octet 1 the
mask bit and the length, or 126 and the length in two octets; from a client, four of mask follow. Source: RFC 6455, section 5.2.
"""

import os
from collections.abc import Iterator
from struct import Struct, iter_unpack

from websockets.frames import Opcode

try:
    from websockets.speedups import apply_mask
except ImportError:  # a platform without the package's compiled part
    from websockets.utils import apply_mask

__all__ = [
    "FIN_TEXT",
    "LENGTH_16",
    "LONGEST",
    "MASKED",
    "apply_mask",
    "client_frame",
    "extent",
    "server_frame",
]

FIN_TEXT = 0x80 | Opcode.TEXT
LENGTH_16 = 126
MASKED = 0x80
RESERVED = 0x70
LONGEST = 0xFFFF
POOL_BYTES = 4096

_head = Struct("!BBH").pack
_masked_head = Struct("!BBH4s").pack
_short_masked_head = Struct("!BB4s").pack


def _masks() -> Iterator[bytes]:
    """Unpredictable masks (section 10.3), drawn from the system in pools: a call for each would cost more than the frame."""
    while True:
        for (mask,) in iter_unpack("4s", os.urandom(POOL_BYTES)):
            yield mask


_next_mask = _masks().__next__


def server_frame(text: bytes) -> bytes:
    """The frame of a server's text message of LONGEST bytes at most."""
    if len(text) < LENGTH_16:
        return bytes((FIN_TEXT, len(text))) + text
    return _head(FIN_TEXT, LENGTH_16, len(text)) + text


def client_frame(text: bytes) -> bytes:
    """The frame of a client's text message of LONGEST bytes at most, masked."""
    mask = _next_mask()
    if len(text) < LENGTH_16:
        return _short_masked_head(FIN_TEXT, MASKED | len(text), mask) + apply_mask(text, mask)
    return _masked_head(FIN_TEXT, MASKED | LENGTH_16, len(text), mask) + apply_mask(text, mask)


def extent(data: bytes, at: int, *, masked: bool, limit: int | None) -> int | None:
    """Where the frame that begins at `at` ends; past what is there (by one at least) while that cannot be told.

    None: it is wrong by its first octets (a reserved bit, the mask bit, more than `limit` bytes), so no end need be waited for.
    """
    body = at + 2
    if len(data) < body:
        return body
    if data[at] & RESERVED or bool(data[at + 1] & MASKED) is not masked:
        return None
    length = data[at + 1] & 0x7F
    if length >= LENGTH_16:
        body += 2 if length == LENGTH_16 else 8
        if len(data) < body:
            return body
        length = int.from_bytes(data[at + 2 : body], "big")
    if limit is not None and length > limit:
        return None
    return body + (4 if masked else 0) + length
