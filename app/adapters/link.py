"""One WebSocket end, without a coroutine per frame: callback in, write out.

An `asyncio.Protocol` around the sans-I/O core of `websockets`, which does the handshake, control frames, fragments, limits and
the close handshake. The one shape that makes nearly all the traffic (`frames.py`), while no fragmented message is open, goes past
it: it is unmasked and handed on, and for sending it is built by hand. The core is fed only whole frames, or nothing but the
core is fed any more, so the two never disagree about where a frame begins. Source of all rules: RFC 6455.
"""

from typing import ClassVar
from typing import Protocol as TypingProtocol

from websockets.frames import Opcode
from websockets.protocol import Protocol, Side, State

from app.adapters.core_end import CoreEnd
from app.adapters.frames import (
    FIN_TEXT,
    LENGTH_16,
    LONGEST,
    MASKED,
    apply_mask,
    client_frame,
    extent,
    server_frame,
)
from app.adapters.messages import is_utf8
from app.errors import LinkClogged, LinkClosed

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
        """One whole text message, valid UTF-8."""
        ...

    def closed(self, code: int, reason: str) -> None:
        """The link is over; called once."""
        ...


class WireLink(CoreEnd):
    """A link on a socket of our own, either side. Made for one connection; `listener` may be changed at any time.

    A client's core is fed the handshake's head alone; what came behind it in the same read takes the same way as all frames.
    """

    fast: ClassVar[bool] = True
    """False: every frame goes through the core, one at a time (`link_check.py`)."""

    def __init__(self, core: Protocol, *, max_unsent: int = 1 << 20) -> None:
        """core: a ClientProtocol that has its request to send, or a ServerProtocol that has its 101 to send; `max_size` set.

        max_unsent: bytes that may wait to be written; a peer that reads more slowly is dropped.
        """
        super().__init__(core, max_unsent=max_unsent)
        self.listener: Listener | None = None
        self._client = core.side is Side.CLIENT
        self._mask_bit = 0 if self._client else MASKED
        self._second = self._mask_bit | LENGTH_16
        """The second octet of the fast shape as the peer sends it, but for short messages."""
        self._ahead = 4 if self._client else 8
        """Octets before that shape's payload; two less before a short one."""
        self._head: bytes | None = None if core.state is State.OPEN else b""
        """The handshake's head as far as it came; None once it is complete."""
        self._core_only = False
        self._lane = False
        """Open, between frames, no fragmented message begun: the fast shape may go past the core."""
        self._writable = False
        self._by_hand = -1
        """Messages up to this size are framed by hand."""
        self._held = bytearray()
        self._wanted = 0
        """So many bytes must be held before it is worth looking again."""
        self._told = False

    # --- asyncio.Protocol -------------------------------------------------------------------------------------------

    def data_received(self, data: bytes) -> None:
        """Bytes came. What has the fast shape is handed on at once; everything else goes to the core."""
        self._alive = True
        if not self._lane:
            data = self._ready_data(data)
        at, size = 0, len(data)
        while at < size:
            if self._lane and size - at > 3 and data[at] == FIN_TEXT:
                if data[at + 1] == self._second:
                    start = at + self._ahead
                    end = start + (data[at + 2] << 8 | data[at + 3])
                else:
                    start = at + self._ahead - 2
                    length = data[at + 1] - self._mask_bit
                    end = start + length if 0 <= length < LENGTH_16 else size + 1
                if end <= size:
                    text = data[start:end] if self._client else apply_mask(data[start:end], data[start - 4 : start])
                    at = end
                    if not text.isascii() and not is_utf8(text):
                        self._invalid()
                    elif self.listener is not None:
                        self.listener.heard(text)
                    continue
            at = self._other(data, at)

    def eof_received(self) -> None:
        """The peer will send no more."""
        if self._head:
            self._feed(self._head)
        self._head = None
        self.core.receive_eof()
        self._after_core()

    # --- Link -------------------------------------------------------------------------------------------------------

    def send(self, text: bytes) -> None:
        """Write one text message now."""
        if not self._writable:
            raise LinkClogged if self._clogged else LinkClosed
        if len(text) <= self._by_hand:
            self._write(client_frame(text) if self._client else server_frame(text))
        else:
            self.core.send_text(text)
            self._flush()
        if self._clogged:
            raise LinkClogged

    def close(self, code: int = 1000, reason: str = "") -> None:
        """Begin the close handshake; the socket goes when the peer has answered, or after a second."""
        if self.transport is None or self.transport.is_closing():
            return
        if self.core.state is not State.OPEN:
            if self.core.state is State.CONNECTING:
                self.transport.abort()
            return
        held = bytes(self._held)
        self._stop()
        if held:
            self._feed(held)
        if self.core.state is not State.OPEN:
            return
        self._closed_by_us = True
        self.core.send_close(code, reason.encode()[:120].decode(errors="ignore"))
        self._flush()

    # --- frames -----------------------------------------------------------------------------------------------------

    def _ready_data(self, data: bytes) -> bytes:
        """What can be looked at now: behind the handshake's head, with what was held before; nothing if more must come."""
        if self._head is not None:
            return self._handshake_data(self._head + data)
        if self._held:
            self._held += data  # amortised: a peer that sends octet by octet must not cost us their square
            if len(self._held) < self._wanted:
                return b""
            data = bytes(self._held)
            self._held.clear()
            self._between_messages()
        return data

    def _other(self, data: bytes, at: int) -> int:
        """A frame of another shape, a piece of one, or all the rest: for the core, or held. Returns where to go on."""
        size = len(data)
        end = None
        if not self._core_only:
            end = extent(data, at, masked=not self._client, limit=self.core.max_message_size)
        if end is None:
            self._core_only = True  # it refuses what is wrong, in the protocol's words
            self._lane = False
            self._feed(data[at:])
            return size
        if end > size:
            self._held += data[at:]
            self._wanted = end - at
            self._lane = False
            return size
        if self._messages.begun and data[at] & 0x0F == Opcode.CLOSE:
            self.core.current_size = None  # a close may come amid a message (5.4, 5.5); the core would call it an error
        self._feed(data[at:end])
        return end

    def _handshake_data(self, data: bytes) -> bytes:
        """Feed the handshake's head to the core; returns what is behind it, or nothing while it is not complete."""
        end = data.find(b"\r\n\r\n") + 4
        if end < 4 and len(data) <= HEAD_BYTES:
            self._head = data
            return b""
        self._head = None
        end = end if end >= 4 else len(data)
        self._feed(data[:end])
        if self.core.state is State.OPEN:
            self._open()
        else:
            self._core_only = True
        return data[end:]

    # --- CoreEnd ----------------------------------------------------------------------------------------------------

    def _open(self) -> None:
        """The handshake is done."""
        super()._open()
        assert self.transport is not None
        self._write = self.transport.write
        self._writable = True
        self._by_hand = LONGEST if self.fast else -1
        self._between_messages()

    def _hear(self, text: bytes) -> None:
        if self.listener is not None:
            self.listener.heard(text)

    def _between_messages(self) -> None:
        limit = self.core.max_message_size
        wide = limit is None or limit >= LONGEST
        self._lane = self.fast and wide and not self._core_only and not self._messages.begun

    def _stop(self) -> None:
        self._core_only = True
        self._lane = self._writable = False
        self._held.clear()

    def _tell(self, code: int, reason: str) -> None:
        if not self._told and self.listener is not None:
            self._told = True
            self.listener.closed(code, reason)
