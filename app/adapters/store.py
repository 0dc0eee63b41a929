"""Reads the books: one call and what happened in it, as rows that were kept. Nothing here writes but the retention."""

import time
from collections import Counter
from datetime import UTC, datetime
from typing import Any, TypeVar

import msgspec
from sqlalchemy import ColumnElement, Table, delete, select, update
from sqlalchemy.ext.asyncio import AsyncEngine

from app.adapters.tables import (
    call_outcomes,
    calls,
    captures,
    consents,
    debug_events,
    milestones,
    responses,
    spans,
    tool_calls,
    transfers,
    turns,
)
from app.core.record import (
    CallRecord,
    Capture,
    Consent,
    Milestone,
    Outcome,
    Response,
    Span,
    ToolCall,
    TransferAttempt,
    Turn,
)

T = TypeVar("T", bound=msgspec.Struct)


class Call(msgspec.Struct, frozen=True, kw_only=True):
    """A row of `calls`; all that comes with the end is None while the call lasts; tokens also for calls before revision 0003,
    and what comes after them for calls before 0007.

    mode, direction and the numbers are empty if only the call's end reached the books.
    """

    call_sid: str
    mode: str
    direction: str
    from_number: str
    to_number: str
    started_at: datetime
    ended_at: datetime | None
    outcome: str | None
    cost_usd: float | None
    greeting_path: str | None
    greeting_ms: int | None
    version: str
    input_tokens: int | None
    cached_tokens: int | None
    input_audio_tokens: int | None
    cached_audio_tokens: int | None
    model: str | None = None
    slowest_turn_ms: int | None = None
    cuts: int | None = None
    turn_ms: tuple[int, ...] | None = None
    failed_tools: int | None = None


class CallStore:
    """The read side of the books. Rows show up here a moment after they happened: `Journal.flush` waits for them."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine

    @property
    def engine(self) -> AsyncEngine:
        """The database that these books are in."""
        return self._engine

    async def call(self, call_sid: str) -> Call | None:
        """One call; None if the books do not know it."""
        return _first(await self._rows(calls, Call, calls.c.call_sid == call_sid))

    async def latest_call(self, from_number: str, since: datetime) -> Call | None:
        """The call from a number that started last, at `since` (aware) or later."""
        return _first(
            await self._rows(
                calls,
                Call,
                calls.c.from_number == from_number,
                calls.c.started_at >= since,
                order=(calls.c.started_at.desc(),),
                limit=1,
            )
        )

    async def turns(self, call_sid: str) -> list[Turn]:
        """What was said, in the order in which it began."""
        return await self._rows(turns, Turn, turns.c.call_sid == call_sid, order=(turns.c.seq,))

    async def tool_calls(self, call_sid: str) -> list[ToolCall]:
        """What the model did, in the order in which it began."""
        return await self._rows(tool_calls, ToolCall, tool_calls.c.call_sid == call_sid, order=(tool_calls.c.seq,))

    async def captures(self, call_sid: str) -> list[Capture]:
        """What the caller gave, in the order in which it was first heard."""
        return await self._rows(captures, Capture, captures.c.call_sid == call_sid, order=(captures.c.seq,))

    async def consents(self, call_sid: str) -> list[Consent]:
        """What was announced to the caller."""
        return await self._rows(
            consents, Consent, consents.c.call_sid == call_sid, order=(consents.c.at, consents.c.what)
        )

    async def milestones(self, call_sid: str) -> list[Milestone]:
        """The named moments of a call, earliest first."""
        return await self._rows(
            milestones, Milestone, milestones.c.call_sid == call_sid, order=(milestones.c.at, milestones.c.name)
        )

    async def spans(self, call_sid: str) -> list[Span]:
        """What has a place on the call's time axis, in the order in which it was known."""
        return await self._rows(spans, Span, spans.c.call_sid == call_sid, order=(spans.c.seq,))

    async def responses(self, call_sid: str) -> list[Response]:
        """The model's responses, in the order in which they were over."""
        return await self._rows(responses, Response, responses.c.call_sid == call_sid, order=(responses.c.seq,))

    async def transfers(self, call_sid: str) -> list[TransferAttempt]:
        """Attempts to put the caller through, in the order in which they began."""
        return await self._rows(transfers, TransferAttempt, transfers.c.call_sid == call_sid, order=(transfers.c.seq,))

    async def outcome(self, call_sid: str) -> Outcome | None:
        """What came of the call; None if it has no outcome, or not yet."""
        return _first(await self._rows(call_outcomes, Outcome, call_outcomes.c.call_sid == call_sid))

    async def recall(self, call_sid: str) -> CallRecord | None:
        """A call that another process began, as far as the books know it: the record to go on with; None if they do not.

        `began` is set on this process's monotonic clock, so that milliseconds go on from the call's first stream.
        """
        call = await self.call(call_sid)
        if call is None:
            return None
        turns, outcome = await self.turns(call_sid), await self.outcome(call_sid)
        tools = await self.tool_calls(call_sid)
        states = [row.name for row in await self.milestones(call_sid) if row.name.startswith("state_")]
        return CallRecord(
            call_sid=call_sid,
            mode=call.mode,
            spoken=[],
            first_seq=max((turn.seq + 1 for turn in turns), default=0),
            earlier=[(turn.who, turn.heard_text) for turn in turns if turn.heard_text],
            attempts=await self.transfers(call_sid),
            tool_calls=max((tool.seq + 1 for tool in tools), default=0),
            done_before=dict(Counter(tool.name for tool in tools if tool.status == "ok")),
            captures=max((row.seq + 1 for row in await self.captures(call_sid)), default=0),
            consents=await self.consents(call_sid),
            spans=max((span.seq + 1 for span in await self.spans(call_sid)), default=0),
            responses=max((row.seq + 1 for row in await self.responses(call_sid)), default=0),
            slowest_turn_ms=call.slowest_turn_ms or 0,
            cuts=call.cuts or 0,
            turn_ms=list(call.turn_ms or ()),
            failed_tools=call.failed_tools or 0,
            cost_usd=call.cost_usd or 0.0,
            greeting_path=call.greeting_path,
            greeting_ms=call.greeting_ms,
            input_tokens=call.input_tokens or 0,
            cached_tokens=call.cached_tokens or 0,
            input_audio_tokens=call.input_audio_tokens or 0,
            cached_audio_tokens=call.cached_audio_tokens or 0,
            outcome=dict(outcome.fields) if outcome is not None else {},
            flow_state=states[-1].removeprefix("state_") if states else "",
            began=time.monotonic() - max(0.0, (datetime.now(UTC) - call.started_at).total_seconds()),
        )

    async def close_lost(self, *, call_sid: str = "", started_before: datetime | None = None) -> int:
        """Close calls that no process will close any more, with the outcome `lost`; how many.

        call_sid: that one. started_before (aware): all that were begun before, and never ended.
        """
        open_calls = calls.c.ended_at.is_(None)
        which = calls.c.call_sid == call_sid if started_before is None else calls.c.started_at < started_before
        query = update(calls).where(open_calls, which).values(ended_at=datetime.now(UTC), outcome="lost")
        async with self._engine.begin() as connection:
            return (await connection.execute(query)).rowcount

    async def forget_debug_events(self, before: datetime) -> int:
        """Delete raw events older than `before` (aware); how many."""
        async with self._engine.begin() as connection:
            return (await connection.execute(delete(debug_events).where(debug_events.c.at < before))).rowcount

    async def _rows(
        self,
        table: Table,
        kind: type[T],
        *where: ColumnElement[bool],
        order: tuple[ColumnElement[Any], ...] = (),
        limit: int | None = None,
    ) -> list[T]:
        query = select(table).where(*where).order_by(*order).limit(limit)
        async with self._engine.connect() as connection:
            rows = (await connection.execute(query)).all()
        return [msgspec.convert(row, kind, from_attributes=True) for row in rows]


def _first(rows: list[T]) -> T | None:
    return rows[0] if rows else None
