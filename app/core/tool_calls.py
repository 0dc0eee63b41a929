"""The tool calls of a stream: which are out, and what each came to."""

import msgspec

from app.core import events as ev
from app.core.record import CallRecord, ToolCall


class Returned(msgspec.Struct, frozen=True):
    """A tool call that came back: its row, and the response that made it."""

    row: ToolCall
    response_id: str


class ToolCalls:
    """A ledger by call_id. A call counts once, however often the server names it."""

    def __init__(self, record: CallRecord) -> None:
        self.record = record
        self.open: dict[str, tuple[int, ev.ToolCalled]] = {}
        self._seen: set[str] = set()

    def begin(self, event: ev.ToolCalled) -> bool:
        """Note a call. False if it is known already."""
        if event.call_id in self._seen:
            return False
        self._seen.add(event.call_id)
        self.open[event.call_id] = (self.record.tool_calls, event)
        self.record.tool_calls += 1
        return True

    def of(self, response_id: str) -> bool:
        """Whether a call of this response is still out."""
        return any(call.response_id == response_id for _, call in self.open.values())

    def end(self, event: ev.ToolReturned) -> Returned | None:
        """Note what a call came to. None if nobody made it, or it came back before."""
        begun = self.open.pop(event.call_id, None)
        if begun is None:
            return None
        seq, call = begun
        row = ToolCall(
            call_sid=self.record.call_sid,
            seq=seq,
            name=call.name,
            arguments=call.arguments,
            result=event.output,
            status=event.status,
            ms=event.ms,
        )
        return Returned(row, call.response_id)
