"""Calls that we place, as the switchboard leads them: prepared while they ring, and led by who picks up."""

from abc import abstractmethod
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime

import structlog

from app import prompts
from app.calls.live_call import LiveCall, Next
from app.calls.roster import Roster
from app.core import events as ev
from app.core.rows import CallInfo
from app.errors import ToolError
from app.mode import Mode
from app.rules.office import E164, Office

log = structlog.get_logger()

REFUSED_SECONDS = 30.0
"""The carrier asks what is next as soon as its stream is refused; a call that nobody hears of for so long after that is over."""


class Outgoing(Roster):
    """The switchboard's part of a call that rings somewhere else. Everything after it is as with any call."""

    office: Office
    max_calls: int
    no_calls: Callable[[str, str], Awaitable[None]] | None
    """Puts a number on the do-not-call list, with why."""

    @property
    def full(self) -> bool:
        """Whether as many calls are in progress here as may be."""
        return self.live >= self.max_calls

    def office_of(self, call: LiveCall) -> Office:
        """The business as it was described when the call's version of its mode was loaded."""
        return call.mode.edition.office or self.office

    @abstractmethod
    def prepare(self, call: LiveCall) -> str:
        """A ticket for the call's next stream, its session being prepared."""

    @abstractmethod
    def _announce(self, call: LiveCall, *, bare: bool = False) -> None:
        """Decide what the callee is told."""

    def outgoing(self, info: CallInfo, mode: Mode, *, rings_seconds: float = 0.0) -> LiveCall | None:
        """The carrier rings somebody for us: the session is prepared meanwhile; None if this process ends.

        Whoever is rung gets an agent, though the house be full or draining by now: it is before dialling that room is looked for.
        rings_seconds: how long it may ring from now on. A call that is known already (it was answered at once) stays as it is.
        """
        known = self.calls.get(info.call_sid)
        if known is not None and not known.finished:
            return known
        if self.closing or info.call_sid in self.departed:
            log.warning("nobody is there for a call that rings", call_sid=info.call_sid, over=not self.closing)
            return None
        call = self._begin(info, mode)
        call.rings_seconds = rings_seconds
        self._announce(call)
        self.prepare(call)
        return call

    def picked_up(self, call_sid: str, who: ev.PickedUp) -> None:
        """The carrier says who picked up. A machine gets its message, now or as soon as the carrier asks what to do."""
        call = self.calls.get(call_sid)
        if call is None or call.finished or call.picked_up is not None:
            return
        call.picked_up = who
        if call.relay is not None:
            call.relay.apply(who)
        elif who.who != "person" and call.streams == 0:  # its stream is being opened: it is refused
            call.how, call.ticket = who.who, ""
            call.next = Next("message" if who.who == "machine" else "hang_up")
            self._retire(call)
            self._finish_later(REFUSED_SECONDS, call)

    def voicemail(self, call: LiveCall) -> str:
        """What a machine that picked up is told."""
        info, office = call.info, self.office_of(call)
        situation = prompts.Situation(
            caller=info.caller,
            dialled=info.dialled,
            now=office.now(datetime.now(UTC)),
            placed=True,
            fields=info.fields,
        )
        return prompts.voicemail(call.mode, office, situation)

    async def never_call(self, info: CallInfo) -> None:
        """Put whoever is at the other end on the do-not-call list. Raises ToolError where that cannot be done."""
        if self.no_calls is None or not E164.fullmatch(info.caller):
            raise ToolError("Their number is withheld, or the list cannot be written. Say so, and offer a person.")
        await self.no_calls(info.caller, f"asked for it in call {info.call_sid}")
