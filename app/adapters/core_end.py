"""A WebSocket end by the sans-I/O core of `websockets`: what it wants written, what it read, its pings and its close.

What a link does without the core is `link.py`. Source of all rules: RFC 6455.
"""

import asyncio
from abc import ABC, abstractmethod
from typing import cast

import structlog
from websockets.frames import CloseCode, Frame, Opcode
from websockets.protocol import SEND_EOF, Protocol, State

from app.adapters.messages import Messages
from app.errors import LinkClosed

log = structlog.get_logger()

PING_SECONDS = 20.0
"""A peer that has sent nothing since our last ping, this long ago, is gone."""
CLOSE_SECONDS = 1.0
"""How long a peer has to answer our close frame."""


class CoreEnd(asyncio.Protocol, ABC):
    """One connection, either side. A subclass feeds the core, and says who hears what comes of it."""

    def __init__(self, core: Protocol, *, max_unsent: int) -> None:
        """core: with its part of the handshake to send, `max_size` set. max_unsent: bytes that may wait to be written."""
        self.core = core
        self.max_unsent = max_unsent
        self.opened: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        """A client's handshake: done, or why not."""
        self.transport: asyncio.Transport | None = None
        self._messages = Messages()
        self._closing: asyncio.TimerHandle | None = None
        self._pinging: asyncio.TimerHandle | None = None
        self._alive = True
        self._clogged = False
        self._closed_by_us = False
        self._why = ""
        self._binary_logged = False
        self.call_sid = ""
        """Whose link it is, once that is known; for the log."""

    # --- for the subclass -------------------------------------------------------------------------------------------

    def _open(self) -> None:
        """The handshake is done."""
        self.core = core_once_open(self.core)
        self._pinging = asyncio.get_running_loop().call_later(PING_SECONDS, self._ping)

    @abstractmethod
    def _hear(self, text: bytes) -> None:
        """One whole text message, valid UTF-8."""

    @abstractmethod
    def _between_messages(self) -> None:
        """A data frame has been read: a message may have begun or ended."""

    @abstractmethod
    def _stop(self) -> None:
        """Nothing more may be sent or handed on; what still comes is the core's."""

    @abstractmethod
    def _tell(self, code: int, reason: str) -> None:
        """The link is over. Told by every way that it can end, so perhaps more than once."""

    # --- asyncio.Protocol -------------------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """The socket is there."""
        self.transport = cast("asyncio.Transport", transport)  # uvloop's is one by its methods only
        self.transport.set_write_buffer_limits(high=self.max_unsent)
        self._flush()
        if self.core.state is State.OPEN:
            self._open()

    def pause_writing(self) -> None:
        """The peer reads more slowly than we write, and the bound is reached: it is dropped."""
        self._clogged = True
        self._why = "reads too slowly"
        log.warning("a peer reads too slowly", call_sid=self.call_sid, unsent_bytes=self.max_unsent)
        self.abort()

    def connection_lost(self, exc: Exception | None) -> None:
        """The socket is gone."""
        self._stop()
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
        close = self.core.close_rcvd or self.core.close_sent
        if close is not None:
            self._tell(close.code, close.reason)
        else:
            self._tell(1006, self._why or (str(exc) if exc else ""))

    def abort(self) -> None:
        """Drop the socket without a word."""
        self._stop()
        if self.transport is not None:
            self.transport.abort()

    # --- the core ---------------------------------------------------------------------------------------------------

    def _feed(self, data: bytes) -> None:
        if self.transport is None or self.transport.is_closing():
            return  # dropped amid what was read
        self.core.receive_data(data)
        self._after_core()

    def _after_core(self) -> None:
        for event in self.core.events_received():
            if isinstance(event, Frame):
                self._frame(event)
            else:
                self._handshake()
        self._flush()
        sent = self.core.close_sent
        if sent is not None and not self._closed_by_us:
            self._tell(sent.code, sent.reason)

    def _handshake(self) -> None:
        """The other end's answer came: open, or the reason why not."""
        wrong = self.core.handshake_exc
        if self.opened.done():
            return
        if wrong is None:
            self.opened.set_result(None)
        else:
            self.opened.set_exception(wrong)

    def _frame(self, frame: Frame) -> None:
        if frame.opcode is Opcode.CLOSE:
            self._stop()
            received = self.core.close_rcvd
            self._tell(received.code if received else 1005, received.reason if received else "")
        elif frame.opcode in (Opcode.TEXT, Opcode.BINARY, Opcode.CONT) and self.core.state is State.OPEN:
            try:
                message = self._messages.add(frame)
            except UnicodeDecodeError:
                self._invalid()
                return
            self._between_messages()
            if message is None:
                return
            opcode, data = message
            if opcode is not Opcode.TEXT:
                self._binary(data)
            else:
                self._hear(data)

    def _binary(self, data: bytes) -> None:
        """A binary message: neither carrier nor model sends any."""
        if not self._binary_logged:
            self._binary_logged = True
            log.warning("binary message passed over", call_sid=self.call_sid, expected="text", bytes=len(data))

    def _invalid(self) -> None:
        """Text that is not UTF-8: the connection fails (section 8.1)."""
        self._stop()
        self.core.fail(CloseCode.INVALID_DATA, "text that is not UTF-8")
        self._after_core()

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
        if (self.core.close_expected() or self.core.state is State.CLOSED) and self._closing is None:
            # Closed without a goodbye, too: a peer that ended its half while we had more to write may never read it.
            self._stop()
            self._closing = asyncio.get_running_loop().call_later(CLOSE_SECONDS, self.abort)

    def _ping(self) -> None:
        """Look whether the peer is still there; a half-open socket says nothing by itself."""
        if not self._alive:
            log.warning("the peer answers no ping", call_sid=self.call_sid, seconds=PING_SECONDS)
            self._why = "answers no ping"
            self.abort()
            return
        if self.core.state is State.OPEN:
            self._alive = False
            self.core.send_ping(b"")
            self._flush()
            self._pinging = asyncio.get_running_loop().call_later(PING_SECONDS, self._ping)


def core_once_open(core: Protocol) -> Protocol:
    """The core with which an open connection goes on: the one that led the handshake would keep its headers until the end."""
    return Protocol(core.side, max_size=(core.max_message_size, core.max_fragment_size), logger=core.logger)
