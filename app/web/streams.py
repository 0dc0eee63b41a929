"""A phone's stream from its upgrade to its relay, whatever door it came by.

The socket is accepted once its upgrade is signed and its ticket is good; then the carrier's `start` must come within five
seconds and be of the very call that the ticket was made for. Only then is anything joined to it.
"""

import asyncio
import re
from collections.abc import Callable

import structlog

from app import metrics
from app.adapters.link import Link
from app.adapters.store import Recalled
from app.calls.live_call import LiveCall
from app.calls.switchboard import Switchboard
from app.calls.takeover import EPOCH
from app.calls.tickets import Ticket
from app.core import events as ev
from app.core.rows import CallInfo
from app.errors import PeerError
from app.log import of_call
from app.mode import Mode
from app.relay import Relay
from app.web.call_form import whole
from app.web.guard import Guard
from app.wire import twilio

log = structlog.get_logger()

START_SECONDS = 5.0
POLICY = 1008
EXPECTED_FORMAT = f"{twilio.ENCODING};rate=8000"


class Verdict:
    """What becomes of an upgrade: refused with a status, or let in for a mode and, with a ticket, a call."""

    def __init__(
        self,
        status: int,
        mode: Mode | None = None,
        call: LiveCall | None = None,
        *,
        stranger: Ticket | None = None,
        text: str = "",
        recalled: Recalled | None = None,
        headers: dict[str, str] | None = None,
    ) -> None:
        """stranger: a good ticket of another process's, `text` as it came; it is to be looked into (`cold_streams.py`).

        With a call, `text` is its ticket, used just now, of which the books may yet have another opinion.
        recalled: what the books know of that one's call. headers: of a refusal.
        """
        self.status = status
        self.mode = mode
        self.call = call
        self.stranger = stranger
        self.text = text
        self.recalled = recalled
        self.headers = headers or {}

    @property
    def open(self) -> bool:
        """Whether the books are to be asked before this holds."""
        return bool(self.text) and self.recalled is None


def judge(board: Switchboard, guard: Guard, path: str, signature: str) -> Verdict:
    """Decide on an upgrade of `/voice/ws/<mode>[/<ticket>]` before it is accepted. A good ticket is spent by this."""
    parts = path.rstrip("/").split("/")[3:]
    mode = board.modes.get(parts[0]) if parts else None
    if mode is None or len(parts) > 2:
        return Verdict(404)
    if not guard.upgrade(path, signature):
        metrics.refused_total.labels("stream").inc()
        log.warning("stream with a wrong signature refused", mode=mode.name)
        return Verdict(403)
    if len(parts) == 1:
        return Verdict(101, mode)
    call = board.redeem(mode.name, parts[1])
    if call is None and (stranger := board.foreign(mode.name, parts[1])) is not None:
        return Verdict(403, mode, stranger=stranger, text=parts[1])
    if call is None:
        metrics.refused_total.labels("stream").inc()
        log.warning("stream with a wrong, used or late ticket refused", mode=mode.name)
        return Verdict(403)
    return Verdict(101, mode, call, text=parts[1])


class PhoneStream:
    """`Listener` of a phone's link: waits for `start`, then hands everything to the relay."""

    def __init__(self, board: Switchboard, link: Link, verdict: Verdict, *, account_sid: str, door: str) -> None:
        """account_sid: ours; empty where none is configured. door: counted with the call."""
        self.board = board
        self.link = link
        self.verdict = verdict
        self.account_sid = account_sid
        self.door = door
        self.relay: Relay | None = None
        self._over = False
        self._deadline = asyncio.get_running_loop().call_later(START_SECONDS, self._refuse, "no start came in time")
        self.heard: Callable[[bytes], None] = self._before_start

    def _before_start(self, text: bytes) -> None:
        """A message from before the stream is joined: only `start` matters."""
        if self._over:
            return
        try:
            message = twilio.parse(text)
        except PeerError as wrong:
            log.info("message before start passed over", why=str(wrong))
            return
        if isinstance(message, ev.StreamStarted):
            with of_call(message.call_sid):
                self._start(message)

    def _start(self, started: ev.StreamStarted) -> None:
        self._deadline.cancel()
        call = self.verdict.call
        if call is not None:
            if (started.call_sid, started.account_sid) != (call.info.call_sid, call.info.account_sid):
                self._refuse("the start is of another call than the ticket")
                return
            if call.finished:  # it ended while the books were asked, or the carrier connected
                self._refuse("that call is over")
                return
        elif self.account_sid and started.account_sid != self.account_sid:
            self._refuse("the start is of another account")
            return
        if self.verdict.stranger is not None and started.call_sid != self.verdict.stranger.call_sid:
            self._refuse("the start is of another call than the ticket")
            return
        if started.encoding != EXPECTED_FORMAT:
            self._refuse(f"expected {EXPECTED_FORMAT}, got {started.encoding}")
            return
        if call is None:
            call = self._bare(started)
            if call is None:
                self._refuse("that call streams already, is over, or there is no room")
                return
        self.relay = self.board.answer(call, self.link, started, self.door)
        self.heard = self.relay.heard if call.tape is None else call.tape.hears(self.relay.heard)

    def _bare(self, started: ev.StreamStarted) -> LiveCall | None:
        """The call of a stream that this process did not ask for; its numbers are known only if the TwiML told."""
        assert self.verdict.mode is not None
        if not re.fullmatch(r"CA[0-9a-fA-F]{32}", started.call_sid):
            return None
        told = started.parameters
        info = CallInfo(
            call_sid=started.call_sid,
            account_sid=started.account_sid,
            caller=told.get("caller", told.get("From", "")),
            dialled=told.get("dialled", told.get("To", "")),
        )
        ticket, recalled = self.verdict.stranger, self.verdict.recalled
        if ticket is not None and recalled is not None:
            epoch = whole(told.get(EPOCH, "")) or 1
            return self.board.cold(info, self.verdict.mode, ticket, recalled, epoch=epoch)
        return self.board.bare(info, self.verdict.mode)

    def _refuse(self, why: str) -> None:
        log.warning("stream closed", why=why)
        self._over = True
        self._deadline.cancel()
        self.link.close(POLICY, why)
        if self.verdict.call is not None:
            self.board.unjoined(self.verdict.call)

    def closed(self, code: int, reason: str) -> None:
        """The socket is gone."""
        self._deadline.cancel()
        if self.relay is not None:
            self.relay.closed(code, reason)
        elif self.verdict.call is not None and not self._over:
            self._over = True
            self.board.unjoined(self.verdict.call)
