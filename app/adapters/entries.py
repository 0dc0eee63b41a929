"""What the journal writes for each row of a call: the statement by type of row, and the values by column.

Every statement is keyed so that the same row may be written again. One that a call's next owner may write as well (`Owned`) is not
replaced by an earlier owner's, however late that comes, off the disk of a process that died, or of one that stood still. All other
rows are one process's alone: their `seq` is (app/calls/takeover.py), or their path.

All but one suit `executemany`, which runs them row by row in order. Debug events are four rows of five: they go as one parameter, a
JSON text that Postgres takes apart.
"""

import random
import time
from datetime import datetime
from typing import Any, NamedTuple

import msgspec
from sqlalchemy import ColumnElement, Executable, Table, and_, bindparam, or_, text, tuple_
from sqlalchemy.dialects.postgresql import JSONB, Insert, insert

from app.adapters.database import to_json
from app.adapters.delivery_tables import finished_calls
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
from app.core.finished import CallFinished
from app.core.recorded import Recording
from app.core.rows import (
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
from app.core.standing import MissedCall, Standing, Voicemail


class Entry(NamedTuple):
    """A row on its way to a table. `row` is the same as its struct had it, by field."""

    kind: type[Row]
    values: dict[str, Any]
    row: dict[str, Any]


class Entries:
    """Makes entries. Debug events have no key of their own: each gets one here, in the order they come, and keeps it."""

    def __init__(self) -> None:
        self._writer = random.SystemRandom().getrandbits(64)
        self._next = time.time_ns()

    def of(self, row: Row) -> Entry:
        """The entry of a row. TypeError: not a row of app/core/rows.py."""
        kind = type(row)
        if kind not in WRITING_ORDER:
            raise TypeError(f"expected a row of a call, got {kind.__name__}")
        key = ""
        if kind is DebugEvent:
            self._next += 1
            key = f"{self._next << 64 | self._writer:032x}"
        return _entry(kind, msgspec.structs.asdict(row), key)


def _entry(kind: type[Row], row: dict[str, Any], key: str) -> Entry:
    if kind is DebugEvent:
        return Entry(kind, row | {"id": key}, row)
    if kind is CallEnded:
        return Entry(kind, row | UNKNOWN_CALL | {"started_at": row["ended_at"]}, row)
    return Entry(kind, row, row)


def to_spool(entry: Entry) -> bytes:
    """An entry as JSON, from which `from_spool` makes the same again. Raises TypeError, ValueError, OverflowError."""
    return to_json([entry.kind.__name__, entry.values.get("id", ""), entry.row]).encode()


class Refusal(NamedTuple):
    """A row that Postgres will not take, for people. `row`: as the spool has it, or whatever it was instead of a row."""

    kind: str
    call_sid: str
    row: Any


def refusal(row: object) -> Refusal:
    """What to tell, and to keep, of a row, an entry, a line of the spool (msgspec.Raw), or what was none of them."""
    if isinstance(row, msgspec.Raw):
        return Refusal("a row of the spool", "", row)
    name, key = type(row).__name__, ""
    if isinstance(row, Entry):
        name, key, fields = row.kind.__name__, str(row.values.get("id", "")), row.row
    else:
        fields = msgspec.structs.asdict(row) if isinstance(row, msgspec.Struct) else {"value": row}
    return Refusal(name, str(fields.get("call_sid", "")), [name, key, fields])


MOMENTS: tuple[Any, ...] = (datetime, datetime | None)


def from_spool(text: bytes) -> Entry:
    """The entry that an earlier life, perhaps of other code, has kept. Raises TypeError or ValueError: not of a kind of ours.

    Nothing is checked but what is needed to bind it: the rest is for Postgres to judge, as it is for a row that was never kept.
    """
    name, key, given = msgspec.json.decode(text, type=tuple[str, str, dict[str, Any]])
    if name not in KINDS:
        raise TypeError(f"expected a row of a call, got {name}")
    row = {}
    for field in FIELDS[name]:
        value = given.get(field.name, field.default)
        if value is msgspec.NODEFAULT:
            raise TypeError(f"expected {field.name} in a row of {name}, got none")
        moment = field.type in MOMENTS
        row[field.name] = datetime.fromisoformat(value) if moment and value is not None else value
    return _entry(KINDS[name], row, key)


UNKNOWN_CALL = {"mode": "", "direction": "", "from_number": "", "to_number": "", "version": ""}
"""For an end whose start was lost: the call is still in the books, and its start fills this in if it comes after all."""

STARTED = ("mode", "direction", "from_number", "to_number", "started_at", "version", "mode_version")
ENDED = (
    "ended_at", "outcome", "cost_usd", "greeting_path", "greeting_ms",
    "input_tokens", "cached_tokens", "input_audio_tokens", "cached_audio_tokens",
    "model", "slowest_turn_ms", "cuts", "failed_tools", "turn_ms", "reconnects", "longest_gap_ms",
)  # fmt: skip


def _put(table: Table, *columns: str, where: ColumnElement[bool] | None = None) -> Insert:
    """Insert, or set these columns of the row that is there; all but the key if none are named."""
    statement = insert(table)
    keys = [column.name for column in table.primary_key]
    names = columns or [column.name for column in table.columns if column.name not in keys]
    return statement.on_conflict_do_update(
        index_elements=keys, set_={name: statement.excluded[name] for name in names}, where=where
    )


def _put_owned(table: Table, *columns: str, also: ColumnElement[bool] | None = None) -> Insert:
    """The same, unless a later owner of the call has written the row. also: what else must be so."""
    current = insert(table).excluded.epoch >= table.c.epoch
    names = (*columns, "epoch") if columns else ()
    return _put(table, *names, where=current if also is None else current & also)


def _end() -> Insert:
    """Who closes a call that is open may be of any epoch: the owner's word, when it comes, replaces it."""
    new, old = insert(calls).excluded, calls.c
    return _put(calls, *ENDED, "epoch", where=or_(old.ended_at.is_(None), new.epoch >= old.epoch))


def _start() -> Insert:
    statement = insert(calls)
    return statement.on_conflict_do_update(
        index_elements=["call_sid"], set_={name: statement.excluded[name] for name in STARTED}, where=calls.c.mode == ""
    )


def _standing() -> Insert:
    """One process's rows come in order, whatever its clock says. Of two with one epoch, as code before revision 0017 leaves them,
    the older is older by a stream, or by its clock.
    """
    new, old = insert(call_states).excluded, call_states.c
    newer = or_(new.owner == old.owner, tuple_(new.streams, new.at) >= tuple_(old.streams, old.at))
    return _put(call_states, where=or_(new.epoch > old.epoch, and_(new.epoch == old.epoch, newer)))


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
    Capture: _put_owned(captures),
    TransferAttempt: _put_owned(transfers),
    Consent: _put_owned(consents),
    Recording: _put(recordings, "start_ms", "ms", "bytes", "complete", "consent"),
    Outcome: _put_owned(call_outcomes),
    Span: _put(spans),
    Response: _put(responses),
    CallEnded: _end(),
    Standing: _standing(),
    MissedCall: insert(missed_calls).on_conflict_do_nothing(),
    Voicemail: _put(voicemails),
    # The last owner to say so is right, as long as nobody was told: another may have thought the call over before.
    CallFinished: _put_owned(finished_calls, "at", "written", "due_at", also=~finished_calls.c.told),
    DebugEvent: PUT_DEBUG_EVENTS,
}
"""The statement for each type of row, in the order in which a batch is written: a call starts before it ends."""

KINDS = {kind.__name__: kind for kind in WRITING_ORDER}
"""By the name under which the spool has them."""
FIELDS = {name: msgspec.structs.fields(kind) for name, kind in KINDS.items()}
"""Found once: a class's annotations are evaluated each time one asks."""
