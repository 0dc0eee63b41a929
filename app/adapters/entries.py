"""What the journal writes for each row of a call: the statement by type of row, and the values by column.

Every statement is keyed so that the same row may be written again. All but one suit `executemany`, which runs them row by row in
order. Debug events are four rows of five: they go as one parameter, a JSON text that Postgres takes apart.
"""

import random
import time
from typing import Any, NamedTuple

import msgspec
from sqlalchemy import Executable, Table, bindparam, text
from sqlalchemy.dialects.postgresql import JSONB, Insert, insert

from app.adapters.tables import (
    call_outcomes,
    calls,
    captures,
    consents,
    milestones,
    responses,
    spans,
    tool_calls,
    transfers,
    turns,
)
from app.core.record import (
    CallEnded,
    CallStarted,
    Capture,
    Consent,
    DebugEvent,
    Milestone,
    Outcome,
    Response,
    Row,
    Span,
    ToolCall,
    TransferAttempt,
    Turn,
)


class Entry(NamedTuple):
    """A row on its way to a table."""

    kind: type[Row]
    values: dict[str, Any]


class Entries:
    """Makes entries. Debug events have no key of their own: each gets one here, in the order they come."""

    def __init__(self) -> None:
        self._writer = random.SystemRandom().getrandbits(64)
        self._next = time.time_ns()

    def of(self, row: Row) -> Entry:
        """The entry of a row. TypeError: not a row of app/core/record.py."""
        kind = type(row)
        if kind not in WRITING_ORDER:
            raise TypeError(f"expected a row of a call, got {kind.__name__}")
        values = msgspec.structs.asdict(row)
        if kind is DebugEvent:
            self._next += 1
            values["id"] = f"{self._next << 64 | self._writer:032x}"
        elif kind is CallEnded:
            values |= UNKNOWN_CALL | {"started_at": values["ended_at"]}
        return Entry(kind, values)


UNKNOWN_CALL = {"mode": "", "direction": "", "from_number": "", "to_number": "", "version": ""}
"""For an end whose start was lost: the call is still in the books, and its start fills this in if it comes after all."""

STARTED = ("mode", "direction", "from_number", "to_number", "started_at", "version")
ENDED = (
    "ended_at", "outcome", "cost_usd", "greeting_path", "greeting_ms",
    "input_tokens", "cached_tokens", "input_audio_tokens", "cached_audio_tokens",
    "model", "slowest_turn_ms", "cuts", "failed_tools", "turn_ms",
)  # fmt: skip


def _put(table: Table, *columns: str) -> Insert:
    """Insert, or set these columns of the row that is there; all but the key if none are named."""
    statement = insert(table)
    keys = [column.name for column in table.primary_key]
    names = columns or [column.name for column in table.columns if column.name not in keys]
    return statement.on_conflict_do_update(index_elements=keys, set_={name: statement.excluded[name] for name in names})


def _start() -> Insert:
    statement = insert(calls)
    return statement.on_conflict_do_update(
        index_elements=["call_sid"], set_={name: statement.excluded[name] for name in STARTED}, where=calls.c.mode == ""
    )


PUT_DEBUG_EVENTS = text(
    "INSERT INTO debug_events (id, call_sid, at, source, event) "
    "SELECT id, call_sid, at, source, event FROM jsonb_to_recordset(:rows) "
    "AS event_row (id uuid, call_sid text, at timestamptz, source text, event jsonb) ON CONFLICT DO NOTHING"
).bindparams(bindparam("rows", type_=JSONB))
"""A row by `executemany` takes our side 10 us, one of these 4: they are bound and encoded in one go."""


def bound(kind: type[Row], values: list[dict[str, Any]]) -> Any:
    """What a kind's statement takes for these rows."""
    return {"rows": values} if kind is DebugEvent else values


WRITING_ORDER: dict[type[Row], Executable] = {
    CallStarted: _start(),
    Milestone: insert(milestones).on_conflict_do_nothing(),
    Turn: _put(turns),
    ToolCall: _put(tool_calls),
    Capture: _put(captures),
    TransferAttempt: _put(transfers),
    Consent: _put(consents),
    Outcome: _put(call_outcomes),
    Span: _put(spans),
    Response: _put(responses),
    CallEnded: _put(calls, *ENDED),
    DebugEvent: PUT_DEBUG_EVENTS,
}
"""The statement for each type of row, in the order in which a batch is written: a call starts before it ends."""
