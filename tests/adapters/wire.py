"""A wire in memory for one link, and frames made and read by code that shares nothing with it."""

import asyncio
from collections.abc import Iterator
from typing import Any, NamedTuple

from websockets.protocol import Protocol, Side, State

from app.adapters.link import WireLink

TEXT, BINARY, CONT, CLOSE, PING, PONG = 1, 2, 0, 8, 9, 10
MASK = b"\x11\x82\x00\xff"


class F(NamedTuple):
    """One frame. bits: FIN and the reserved ones, as in the first octet."""

    opcode: int
    data: bytes = b""
    bits: int = 0x80


def first(opcode: int, data: bytes = b"") -> F:
    """A frame that is not its message's last."""
    return F(opcode, data, 0)


def close(code: int, reason: bytes = b"") -> F:
    return F(CLOSE, code.to_bytes(2, "big") + reason)


def encode(frame: F, *, mask: bool) -> bytes:
    """A frame as a peer sends it: masked by clients."""
    size, bit = len(frame.data), 0x80 if mask else 0
    head = bytes([frame.bits | frame.opcode])
    if size < 126:
        head += bytes([bit | size])
    elif size < 65_536:
        head += bytes([bit | 126]) + size.to_bytes(2, "big")
    else:
        head += bytes([bit | 127]) + size.to_bytes(8, "big")
    return head + (MASK + _xor(frame.data, MASK) if mask else frame.data)


def decode(data: bytes, *, masked: bool) -> Iterator[F]:
    """The frames that a link has written."""
    while data:
        size, at = data[1] & 0x7F, 2
        assert bool(data[1] & 0x80) is masked, "a client masks, a server does not"
        if size >= 126:
            at += 2 if size == 126 else 8
            size = int.from_bytes(data[2:at], "big")
        mask, at = (data[at : at + 4], at + 4) if masked else (b"", at)
        payload, data, head = data[at : at + size], data[at + size :], data[0]
        assert len(payload) == size, "a frame was cut short"
        yield F(head & 0x0F, _xor(payload, mask) if masked else payload, head & 0xF0)


def _xor(data: bytes, mask: bytes) -> bytes:
    long = (mask * (len(data) // 4 + 1))[: len(data)]
    return (int.from_bytes(data, "big") ^ int.from_bytes(long, "big")).to_bytes(len(data), "big")


class Wire(asyncio.Transport):
    """A transport that keeps what is written. `reading` off: nothing is taken any more."""

    def __init__(self, link: WireLink) -> None:
        super().__init__()
        self.link = link
        self.written = b""
        self.eof = False
        self.reading = True
        self.gone = asyncio.Event()
        self._closing = False
        self._waiting = 0
        self._high = 65_536

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        self._high = high or 65_536

    def write(self, data: Any) -> None:
        if self._closing:
            return
        if self.reading:
            self.written += bytes(data)
            return
        self._waiting += len(data)
        if self._waiting > self._high:
            self.link.pause_writing()

    def write_eof(self) -> None:
        self.eof = True

    def can_write_eof(self) -> bool:
        return True

    def is_closing(self) -> bool:
        return self._closing

    def close(self) -> None:
        if not self._closing:
            self._closing = True
            asyncio.get_running_loop().call_soon(self._lost)

    abort = close

    def _lost(self) -> None:
        self.link.connection_lost(None)
        self.gone.set()


class End:
    """One link on a wire in memory, and what its listener heard. It echoes, if it is told to."""

    def __init__(
        self, side: Side, *, echo: bool = False, max_size: int = 256 * 1024, max_unsent: int = 1 << 20
    ) -> None:
        self.link = WireLink(Protocol(side, state=State.OPEN, max_size=max_size), max_unsent=max_unsent)
        self.link.listener = self
        self.masks = side is Side.CLIENT
        self.echo = echo
        self.texts: list[bytes] = []
        self.ends: list[tuple[int, str]] = []
        self.wire = Wire(self.link)
        self.link.connection_made(self.wire)

    def heard(self, text: bytes) -> None:
        self.texts.append(text)
        if self.echo:
            self.link.send(text)

    def closed(self, code: int, reason: str) -> None:
        self.ends.append((code, reason))

    def comes(self, *frames: F, chop: int = 0) -> None:
        """The peer sends frames. chop: in pieces of so many octets."""
        data = b"".join(encode(frame, mask=not self.masks) for frame in frames)
        for at in range(0, len(data), chop or len(data) or 1):
            self.link.data_received(data[at : at + (chop or len(data))])

    @property
    def sent(self) -> list[F]:
        """The frames written so far."""
        return list(decode(self.wire.written, masked=self.masks))

    async def hangs_up(self) -> None:
        """The peer closes its end of the socket."""
        if not self.wire.is_closing():
            self.link.eof_received()
            self.wire.close()
        await self.wire.gone.wait()
