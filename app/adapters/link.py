"""One WebSocket end, without a coroutine per frame: callback in, write out.

An `asyncio.Protocol` around the sans-I/O core of `websockets`, which does the handshake, control frames, fragments, limits and
the close handshake. The one shape that makes 99 % of the traffic (a whole text frame while no fragmented message is open) goes
past it: it is unmasked and handed on, and for sending its header is built by hand. The core is fed only whole frames, or
nothing but the core is fed any more, so the two never disagree about where a frame begins.
"""

import asyncio
import os
from typing import Protocol as TypingProtocol
from typing import cast

import structlog
from websockets.frames import Frame, Opcode
from websockets.protocol import SEND_EOF, Protocol, Side, State
from websockets.speedups import apply_mask

from app.errors import LinkClogged, LinkClosed

log = structlog.get_logger()

FIN_TEXT = 0x80 | Opcode.TEXT
PING_SECONDS = 20.0
"""A peer that has sent nothing since our last ping, this long ago, is gone."""
CLOSE_SECONDS = 1.0
"""How long a peer has to answer our close frame."""
MASKS = 4096
HEAD_BYTES = 64 * 1024


class Link(TypingProtocol):
    """The phone's or the model's end of a call."""

    def send(self, text: bytes) -> None:
        """Write one text message now. Raises LinkClogged past the write bound, LinkClosed when closed."""
        ...

    def close(self, code: int = 1000, reason: str = "") -> None:
        """Begin the close handshake; fine if it has begun."""
        ...


class Listener(TypingProtocol):
    """Who is called with what a link hears. Neither may raise."""

    def heard(self, text: bytes) -> None:
        """One whole text message."""
        ...

    def closed(self, code: int, reason: str) -> None:
        """The link is over; called once."""
        ...


class WireLink(asyncio.Protocol):
    """A link on a socket of our own. Made for one connection; `listener` may be changed at any time.

    The core is fed the handshake's head alone; what came behind it in the same read takes the same way as all frames.
    """

    def __init__(self, core: Protocol, *, max_unsent: int = 1 << 20) -> None:
        """core: a ClientProtocol that has its request to send, `max_size` set. max_unsent: bytes that may wait to be written."""
        self.core = core
        self.max_unsent = max_unsent
        self.listener: Listener | None = None
        self.opened: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.transport: asyncio.Transport | None = None
        self._client = core.side is Side.CLIENT
        self._head: bytes | None = b""
        """The handshake's head as far as it came; None once it is complete."""
        self._core_only = False
        self._held = b""
        self._fragments: list[bytes] | None = None
        self._masks = b""
        self._closing: asyncio.TimerHandle | None = None
        self._pinging: asyncio.TimerHandle | None = None
        self._alive = True
        self._binary_logged = False
        self._told = False

    # --- asyncio.Protocol -------------------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """The socket is there."""
        self.transport = cast("asyncio.Transport", transport)  # uvloop's is one by its methods only
        self._flush()

    def data_received(self, data: bytes) -> None:
        """Bytes came. Whole text frames are handed on at once; everything else goes to the core."""
        self._alive = True
        if self._head is not None:
            data = self._handshake_data(self._head + data)
        if self._core_only:
            self._feed(data)
            return
        if self._held:
            data, self._held = self._held + data, b""
        at, size = 0, len(data)
        while size - at >= 2:
            length = data[at + 1] & 0x7F
            body = at + 2
            if length >= 126:
                body += 2 if length == 126 else 8
                if size < body:
                    break
                length = int.from_bytes(data[at + 2 : body], "big")
            masked = data[at + 1] & 0x80
            start = body + 4 if masked else body
            if length > (self.core.max_message_size or length):
                self._core_only = True  # the core refuses it by its header, in the protocol's words
                break
            end = start + length
            if size < end:
                break
            if data[at] == FIN_TEXT and self._fragments is None and bool(masked) is not self._client:
                text = data[start:end]
                self._hand_on(apply_mask(text, data[body:start]) if masked else text)
            else:
                self._feed(data[at:end])
            at = end
            if self._core_only:
                break
        if at < size:
            if self._core_only:
                self._feed(data[at:])
            else:
                self._held = data[at:]

    def _handshake_data(self, data: bytes) -> bytes:
        """Feed the handshake's head to the core; returns what is behind it, or nothing while it is not complete."""
        end = data.find(b"\r\n\r\n") + 4
        if end < 4 and len(data) <= HEAD_BYTES:
            self._head = data
            return b""
        self._head = None
        end = end if end >= 4 else len(data)
        self._feed(data[:end])
        self._core_only = self.core.state is not State.OPEN
        if not self._core_only:
            self._pinging = asyncio.get_running_loop().call_later(PING_SECONDS, self._ping)
        return data[end:]

    def eof_received(self) -> None:
        """The peer will send no more."""
        if self._head:
            self._feed(self._head)
        self._head = None
        self.core.receive_eof()
        self._after_core()

    def connection_lost(self, exc: Exception | None) -> None:
        """The socket is gone."""
        for timer in (self._closing, self._pinging):
            if timer is not None:
                timer.cancel()
        if self.core.state is not State.CLOSED and not self.core.reader.eof:
            self.core.receive_eof()
        if not self.opened.done():
            self.opened.set_exception(
                LinkClosed(f"the connection was lost during the handshake: {exc or 'end of stream'}")
            )
            self.opened.exception()  # whoever waits gets it; if nobody does, it is no news
        self._tell(self.core.close_code or 1006, self.core.close_reason or (str(exc) if exc else ""))

    # --- Link -------------------------------------------------------------------------------------------------------

    def send(self, text: bytes) -> None:
        """Write one text message now."""
        transport = self.transport
        if transport is None or self.core.state is not State.OPEN or transport.is_closing():
            raise LinkClosed
        size = len(text)
        mask_bit = 0x80 if self._client else 0
        if size < 126:
            head = bytes((FIN_TEXT, mask_bit | size))
        elif size < 65536:
            head = bytes((FIN_TEXT, mask_bit | 126, size >> 8, size & 255))
        else:
            head = bytes((FIN_TEXT, mask_bit | 127)) + size.to_bytes(8, "big")
        if self._client:
            mask = self._mask()
            transport.write(head + mask + apply_mask(text, mask))
        else:
            transport.write(head + text)
        if transport.get_write_buffer_size() > self.max_unsent:
            self.abort()
            raise LinkClogged

    def close(self, code: int = 1000, reason: str = "") -> None:
        """Begin the close handshake; the socket goes when the peer has answered, or after a second."""
        if self.transport is None or self.transport.is_closing():
            return
        if self.core.state is not State.OPEN:
            if self.core.state is State.CONNECTING:
                self.transport.abort()
            return
        self._core_only = True
        held, self._held = self._held, b""
        if held:
            self._feed(held)
        if self.core.state is not State.OPEN:
            return
        self.core.send_close(code, reason.encode()[:120].decode(errors="ignore"))
        self._flush()
        self._closing = asyncio.get_running_loop().call_later(CLOSE_SECONDS, self.abort)

    def abort(self) -> None:
        """Drop the socket without a word."""
        if self.transport is not None:
            self.transport.abort()

    # --- the core ---------------------------------------------------------------------------------------------------

    def _feed(self, data: bytes) -> None:
        self.core.receive_data(data)
        self._after_core()

    def _after_core(self) -> None:
        for event in self.core.events_received():
            if isinstance(event, Frame):
                self._frame(event)
            else:
                self._handshake()
        self._flush()

    def _handshake(self) -> None:
        """The other end's request or answer came: open, or the reason why not."""
        wrong = self.core.handshake_exc
        if self.opened.done():
            return
        if wrong is None:
            self.opened.set_result(None)
        else:
            self.opened.set_exception(wrong)

    def _frame(self, frame: Frame) -> None:
        match frame.opcode:
            case Opcode.TEXT | Opcode.BINARY if frame.fin:
                self._whole(frame.opcode, bytes(frame.data))
            case Opcode.TEXT | Opcode.BINARY:
                self._fragments = [bytes(frame.data)]
                self._binary = frame.opcode is Opcode.BINARY
            case Opcode.CONT if self._fragments is not None:
                self._fragments.append(bytes(frame.data))
                if frame.fin:
                    whole, self._fragments = b"".join(self._fragments), None
                    self._whole(Opcode.BINARY if self._binary else Opcode.TEXT, whole)
            case Opcode.CLOSE:
                self._core_only = True
                received = self.core.close_rcvd
                self._tell(received.code if received else 1005, received.reason if received else "")

    def _whole(self, opcode: Opcode, data: bytes) -> None:
        if opcode is Opcode.TEXT:
            self._hand_on(data)
        elif not self._binary_logged:
            self._binary_logged = True
            log.warning("binary message passed over", expected="text", bytes=len(data))

    def _hand_on(self, text: bytes) -> None:
        if self.listener is not None and self.core.state is State.OPEN:
            self.listener.heard(text)

    def _flush(self) -> None:
        """Write what the core wants written; close where it says so."""
        assert self.transport is not None
        for data in self.core.data_to_send():
            if data != SEND_EOF:
                self.transport.write(data)
            elif self.transport.can_write_eof():
                self.transport.write_eof()
            else:
                self.transport.close()
        if self.core.close_expected() and self._closing is None:
            self._core_only = True
            self._closing = asyncio.get_running_loop().call_later(CLOSE_SECONDS, self.abort)

    def _ping(self) -> None:
        """Look whether the peer is still there; a half-open socket says nothing by itself."""
        if not self._alive:
            log.warning("the peer answers no ping", seconds=PING_SECONDS)
            self.abort()
            return
        if self.core.state is State.OPEN:
            self._alive = False
            self.core.send_ping(b"")
            self._flush()
            self._pinging = asyncio.get_running_loop().call_later(PING_SECONDS, self._ping)

    def _mask(self) -> bytes:
        """Four random bytes; drawn from the system in pools, as a system call per frame costs more than the frame."""
        if not self._masks:
            self._masks = os.urandom(MASKS)
        mask, self._masks = self._masks[:4], self._masks[4:]
        return mask

    def _tell(self, code: int, reason: str) -> None:
        if not self._told and self.listener is not None:
            self._told = True
            self.listener.closed(code, reason)
