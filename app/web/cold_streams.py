"""Streams that begin in another process than their webhook: sent to the owner of the ticket, or served here, cold."""

import structlog

from app.calls.switchboard import Switchboard
from app.calls.takeover import nothing_known
from app.web.earlier import Earlier
from app.web.fly import MISDIRECTED, Fly
from app.web.streams import Verdict

log = structlog.get_logger()


class ColdStreams:
    """Decides on an upgrade whose ticket is good, as far as this process knows."""

    def __init__(self, board: Switchboard, earlier: Earlier, fly: Fly) -> None:
        self.board = board
        self.earlier = earlier
        self.fly = fly

    async def take_in(self, verdict: Verdict, *, replayed: bool) -> Verdict:
        """What becomes of the upgrade. replayed: it cannot be sent to its owner (any more).

        Without the books nobody can say that the ticket was not used: it is refused, as a forged one must be. The caller loses a
        second: the carrier asks what is next, and whoever answers that gives out a ticket of its own.
        """
        ticket = verdict.stranger
        if ticket is None:
            assert verdict.call is not None
            good = await self.board.mine(verdict.call, verdict.text)
            return Verdict(101, verdict.mode, verdict.call) if good else Verdict(403)
        if ticket.owner != self.board.instance and not replayed:
            return Verdict(MISDIRECTED, headers=self.fly.to(ticket.owner))
        if self.board.closing or not await self.board.first_use(ticket, verdict.text):
            log.warning("a ticket of another process is refused", call_sid=ticket.call_sid, owner=ticket.owner)
            return Verdict(403)
        recalled = await self.earlier.recall(ticket.call_sid) or nothing_known(ticket.call_sid)
        log.info("a stream of another process", call_sid=ticket.call_sid, owner=ticket.owner, number=ticket.number)
        return Verdict(101, verdict.mode, stranger=ticket, recalled=recalled)
