"""Reads the books: one call and what happened in it, as rows that were kept. Closes calls whose process is gone, too."""

import time
from collections import Counter
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar

import msgspec
from sqlalchemy import ColumnElement, Table, delete, func, literal, select, text, update
from sqlalchemy.dialects.postgresql import Insert, insert
from sqlalchemy.ext.asyncio import AsyncEngine

from app.adapters.delivery_tables import finished_calls
from app.adapters.outbound_tables import outbound_attempts, outbound_calls
from app.adapters.tables import (
    call_outcomes,
    call_states,
    calls,
    captures,
    consents,
    milestones,
    missed_calls,
    recordings,
    responses,
    spans,
    tool_calls,
    transfers,
    turns,
    voicemails,
)
from app.core.record import CallRecord
from app.core.recorded import Recording
from app.core.rows import Capture, Consent, Milestone, Outcome, Response, Span, ToolCall, TransferAttempt, Turn
from app.core.standing import MissedCall, Standing, Voicemail

T = TypeVar("T", bound=msgspec.Struct)

OVER = timedelta(hours=5)
"""After the end of its stream a call is over at the latest then: a person may have talked on, for four hours at most."""
RECENT = timedelta(hours=50)
SPOOLED = timedelta(minutes=1)

SEQ_GAP = 1000
"""Left free behind the last row that is on record of a call that has talked: its process may be alive, or have died with rows on
its disk, of that stream or of a later one, which are written when it starts again and must not be written over ours. An hour of
talk has fewer turns."""


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
    reconnects: int | None = None
    """Model sessions that took over in mid-call, and the longest time without one; None also for calls of before they were kept."""
    longest_gap_ms: int | None = None
    epoch: int = 1
    """Of which of the call's owners the end is, as `Owned` has it; one more once a call was completed after its end."""
    mode_version: str | None = None
    """The stamp of the mode's edition; None for calls of before revision 0015, empty where it was not known."""


class Recalled(msgspec.Struct, kw_only=True):
    """A call of another process's: the record to go on with, and what is not part of it."""

    record: CallRecord
    standing: Standing | None = None
    captures: list[Capture] = []
    tools: list[ToolCall] = []
    fields: dict[str, Any] = {}
    """What a call that we placed was asked for with."""


class _Kept(msgspec.Struct):
    """What `RECALL` answers."""

    call: Call | None
    outcome: Outcome | None
    standing: Standing | None
    turns: list[Turn]
    tools: list[ToolCall]
    captures: list[Capture]
    attempts: list[TransferAttempt]
    consents: list[Consent]
    spans: list[Span]
    responses: list[Response]
    milestones: list[str]


_KEPT = msgspec.json.Decoder(_Kept)


def _one(name: str, table: Table) -> str:
    return f"'{name}', (SELECT row_to_json(t) FROM {table.name} t WHERE t.call_sid = :sid)"  # noqa: S608 - our tables


def _all(name: str, table: Table, order: str = "t.seq", what: str = "t") -> str:
    rows = f"coalesce(json_agg({what} ORDER BY {order}), '[]')"
    return f"'{name}', (SELECT {rows} FROM {table.name} t WHERE t.call_sid = :sid)"  # noqa: S608 - our tables


RECALL = text(
    "SELECT json_build_object("
    + ", ".join(
        (
            _one("call", calls),
            _one("outcome", call_outcomes),
            _one("standing", call_states),
            _all("turns", turns),
            _all("tools", tool_calls),
            _all("captures", captures),
            _all("attempts", transfers),
            _all("consents", consents, "t.at, t.what"),
            _all("spans", spans),
            _all("responses", responses),
            _all("milestones", milestones, "t.at, t.name", "t.name"),
        )
    )
    + ")::text"
)
"""All of a call in one question: when a process dies, all of its calls are asked for in the same second."""


class CallStore:
    """The read side of the books. Rows show up here a moment after they happened: `Journal.flush` waits for them."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine
        self._at_once = engine.execution_options(isolation_level="AUTOCOMMIT")

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

    async def recordings(self, call_sid: str) -> list[Recording]:
        """The recordings of the call's streams, in order; deleted ones too."""
        order = (recordings.c.start_ms, recordings.c.path)
        return await self._rows(recordings, Recording, recordings.c.call_sid == call_sid, order=order)

    async def transfers(self, call_sid: str) -> list[TransferAttempt]:
        """Attempts to put the caller through, in the order in which they began."""
        return await self._rows(transfers, TransferAttempt, transfers.c.call_sid == call_sid, order=(transfers.c.seq,))

    async def outcome(self, call_sid: str) -> Outcome | None:
        """What came of the call; None if it has no outcome, or not yet."""
        return _first(await self._rows(call_outcomes, Outcome, call_outcomes.c.call_sid == call_sid))

    async def recall(self, call_sid: str) -> CallRecord | None:
        """The record of a call that another process began, as far as the books know it; None if they do not."""
        recalled = await self.recalled(call_sid)
        return None if recalled is None else recalled.record

    async def recalled(self, call_sid: str) -> "Recalled | None":
        """All that it takes to go on with a call that another process began; None if the books do not know it.

        `began` is set on this process's monotonic clock, so that milliseconds go on from the call's first stream.
        """
        async with self._at_once.connect() as connection:
            kept = _KEPT.decode((await connection.execute(RECALL, {"sid": call_sid})).scalar_one())
        if kept.call is None:
            return None
        call, turns, tools, captures = kept.call, kept.turns, kept.tools, kept.captures
        spans, responses, standing, outcome = kept.spans, kept.responses, kept.standing, kept.outcome
        states = [name for name in kept.milestones if name.startswith("state_")]
        streamed = turns or (standing and standing.streams) or "stream_started" in kept.milestones
        gap = SEQ_GAP if streamed else 0
        record = CallRecord(
            call_sid=call_sid,
            mode=call.mode,
            spoken=[],
            first_seq=max((turn.seq + 1 + gap for turn in turns), default=gap),
            earlier=[(turn.who, turn.heard_text) for turn in turns if turn.heard_text],
            attempts=kept.attempts,
            tool_calls=max((tool.seq + 1 + gap for tool in tools), default=gap),
            done_before=dict(Counter(tool.name for tool in tools if tool.status == "ok")),
            captures=max((row.seq + 1 + gap for row in captures), default=gap),
            consents=kept.consents,
            spans=max((span.seq + 1 + gap for span in spans), default=gap),
            responses=max((row.seq + 1 + gap for row in responses), default=gap),
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
        fields = await self.asked_with(call_sid) if call.direction == "outbound" else {}
        return Recalled(record=record, standing=standing, captures=captures, tools=tools, fields=fields)

    async def standing(self, call_sid: str) -> Standing | None:
        """How a call stands; None if no process has said so."""
        return _first(await self._rows(call_states, Standing, call_states.c.call_sid == call_sid))

    async def owners(self, call_sids: Iterable[str]) -> dict[str, str]:
        """Which process has each of these calls, as far as the books know."""
        query = select(call_states.c.call_sid, call_states.c.owner).where(call_states.c.call_sid.in_(list(call_sids)))
        async with self._engine.connect() as connection:
            return {str(sid): str(owner) for sid, owner in (await connection.execute(query)).all()}

    async def missed(self, call_sid: str) -> MissedCall | None:
        """That nobody could talk to this caller; None if somebody did."""
        return _first(await self._rows(missed_calls, MissedCall, missed_calls.c.call_sid == call_sid))

    async def voicemails(self, call_sid: str) -> list[Voicemail]:
        """What the caller left, earliest first."""
        return await self._rows(
            voicemails,
            Voicemail,
            voicemails.c.call_sid == call_sid,
            order=(voicemails.c.at, voicemails.c.recording_sid),
        )

    async def forget_standings(self, before: datetime) -> int:
        """Delete how calls stood that nobody has written of since `before` (aware); how many."""
        async with self._engine.begin() as connection:
            return (await connection.execute(delete(call_states).where(call_states.c.at < before))).rowcount

    async def asked_with(self, call_sid: str) -> dict[str, Any]:
        """The fields that a call was asked for with; none for one that we did not place."""
        query = (
            select(outbound_calls.c.fields)
            .join(outbound_attempts, outbound_attempts.c.reference == outbound_calls.c.reference)
            .where(outbound_attempts.c.call_sid == call_sid)
        )
        async with self._engine.connect() as connection:
            return dict((await connection.execute(query)).scalars().first() or {})

    async def close_lost(
        self, *, call_sid: str = "", started_before: datetime | None = None, outcome: str = "lost"
    ) -> int:
        """Close calls that no process will close any more; how many.

        call_sid: that one. started_before (aware): all that were begun before, and never ended.
        """
        open_calls = calls.c.ended_at.is_(None)
        which = calls.c.call_sid == call_sid if started_before is None else calls.c.started_at < started_before
        now = datetime.now(UTC)
        query = update(calls).where(open_calls, which).values(ended_at=now, outcome=outcome)
        async with self._engine.begin() as connection:
            closed = (await connection.execute(query)).rowcount
            await connection.execute(_finished(call_sid, now))
        return closed

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


def _finished(call_sid: str, now: datetime) -> Insert:
    """Calls that are over and of which their process has left no word: that one, or all whose end is hours ago.

    The one waits for rows that another process may have kept on its disk.
    """
    at = func.coalesce(calls.c.ended_at, now)
    if call_sid:
        found = select(calls.c.call_sid, literal(now), literal(now + SPOOLED)).where(calls.c.call_sid == call_sid)
    else:
        over = (calls.c.ended_at < now - OVER, calls.c.started_at > now - RECENT)
        found = select(calls.c.call_sid, at, literal(now)).where(*over)
    return insert(finished_calls).from_select(["call_sid", "at", "due_at"], found).on_conflict_do_nothing()


def _first(rows: list[T]) -> T | None:
    return rows[0] if rows else None
