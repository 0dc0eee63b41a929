"""What a call's tools are given: the business, the office and the time, texts, the caller. The switchboard's part of it."""

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from datetime import UTC, datetime

from sqlalchemy.ext.asyncio import AsyncSession

from app.calls.live_call import LiveCall, outcome_row
from app.calls.takeover import Takeover
from app.calls.texting import Texting
from app.calls.toolbox import Toolbox
from app.captures.ledger import CaptureLedger
from app.mode import CallContext, Store


class Equipment(Takeover):
    """Makes the toolbox of a call: one over all its streams, and its keypad menu."""

    store: Store
    texting: Texting
    sessions: Callable[[], AbstractAsyncContextManager[AsyncSession]]

    def toolbox(self, call: LiveCall) -> Toolbox:
        """A call's tools, for its talk or its keypad menu: the same ones over all its streams."""
        if call.toolbox is None:
            captures = CaptureLedger(call.info.call_sid, call.write, call.record.captures)
            captures.recall(call.captured)
            call.toolbox = Toolbox(call.mode, lambda key: self._context(call, key), captures)
            call.toolbox.done_before = call.record.done_before
            call.toolbox.settled = lambda: self._settled_late(call)
            call.toolbox.closed = lambda wish: call.transfers.closed(wish.to, wish.reason)
        return call.toolbox

    def _settled_late(self, call: LiveCall) -> None:
        """A tool has come back that nobody waited for: after the last stream, what came of the call is written again."""
        if not call.streaming:
            self.journal.put(outcome_row(call.record, call.mode))

    def _context(self, call: LiveCall, key: str) -> CallContext:
        office = self.office_of(call)
        now = office.now(datetime.now(UTC))
        return CallContext(
            call_sid=call.info.call_sid,
            caller=call.info.caller,
            dialled=call.info.dialled,
            office=office,
            store=self.store,
            now=now,
            key=f"{call.info.call_sid}-{key}",
            outcome=call.record.outcome,
            open_now=office.open_at(now),
            caller_turns=call.record.caller_turns,
            text=self.texting.to(call.info, taken_up=call.record.epoch > 1),
            session=self.sessions,
            fields=call.info.fields,
            never_call=lambda: self.never_call(call.info),
        )
