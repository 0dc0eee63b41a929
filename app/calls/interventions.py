"""What an operator may do to a call in progress: end it, or have the caller put through to a desk.

A call that streams is told by an event, and leaves by the one door as with any decision of its own. One that does not (it rings, a
person is dialled, it is in the keypad menu) hangs in the carrier's hands: what comes next is set, and the carrier is led to ask for
it by its REST API. Either way the transcript has a line of the house's, and the call a milestone.
"""

import time
from datetime import UTC, datetime

import structlog

from app.calls.live_call import LiveCall, Next
from app.calls.switchboard import Switchboard
from app.core import events as ev
from app.core.phases import OPERATOR_HUNG_UP, OPERATOR_PUT_THROUGH
from app.core.rows import Milestone
from app.errors import OffhookError
from app.rules.office import Desk

log = structlog.get_logger()


class NotDone(OffhookError):
    """The call is as it was; the text tells the operator why."""


class Interventions:
    """The operator's hand at the switchboard."""

    def __init__(self, board: Switchboard) -> None:
        self.board = board

    def desks(self) -> list[Desk]:
        """Where callers can be put through just now."""
        now = datetime.now(UTC)
        office = self.board.office
        return [desk for desk in office.desks.values() if desk.number and office.desk_open(desk, now)]

    async def hang_up(self, call_sid: str) -> None:
        """End a call. Raises NotDone."""
        call = self._find(call_sid)
        log.info("the operator hangs up", call_sid=call_sid)
        if call.relay is not None:
            call.relay.apply(ev.OperatorHungUp())
            return
        await self._lead(call, Next("hang_up"), OPERATOR_HUNG_UP, "operator_hung_up")

    async def put_through(self, call_sid: str, desk: str) -> None:
        """Have the caller put through to one of `desks`. Raises NotDone."""
        call = self._find(call_sid)
        open_desks = [one.name for one in self.desks()]
        if desk not in open_desks:
            there = ", ".join(open_desks) or "none; give one a number, or HUMAN_TRANSFER_NUMBER"
            raise NotDone(f"There is nobody at {desk[:60] or 'no desk'} now. Desks that can be reached: {there}.")
        if call.transfers.current is not None:
            raise NotDone(f"The caller is being put through to {call.transfers.current.desk} already.")
        log.info("the operator puts a caller through", call_sid=call_sid, desk=desk)
        if call.relay is not None:
            call.relay.apply(ev.OperatorPutThrough(desk))
            return
        step = Next("dial", desk, reason="an operator put the caller through")
        await self._lead(call, step, OPERATOR_PUT_THROUGH.format(desk=desk), "operator_put_through")

    def _find(self, call_sid: str) -> LiveCall:
        call = self.board.calls.get(call_sid)
        if call is None or call.finished:
            raise NotDone("That call is over.")
        return call

    async def _lead(self, call: LiveCall, step: Next, words: str, milestone: str) -> None:
        """Set what comes next, and have the carrier ask for it; as it was if it cannot be made to."""
        call_sid, before = call.info.call_sid, call.next
        if self.board.redirector is None:
            raise NotDone(
                "This call has no stream now, and without TWILIO_ACCOUNT_SID the carrier cannot be told anything."
            )
        call.next = step
        if not await self.board.redirector.redirect(call_sid, self.board.next_url):
            if call.next is step:
                call.next = before
            raise NotDone("The carrier would not take it; the call may be over. The server's log has its answer.")
        self.board.journal.put(call.record.notes(words, time.monotonic()))
        self.board.journal.put(Milestone(call_sid=call_sid, name=milestone, at=datetime.now(UTC)))
