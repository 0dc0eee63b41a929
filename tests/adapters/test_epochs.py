"""Rows that each process which has a call may write: one that had it before never undoes what one behind it has written."""

import json
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, cast

import pytest
from msgspec.structs import replace
from sqlalchemy import text
from sqlalchemy.dialects.postgresql.base import PGDialect
from sqlalchemy.ext.asyncio import AsyncEngine

from app.adapters.database import make_engine
from app.adapters.deliveries import Deliveries
from app.adapters.entries import WRITING_ORDER
from app.adapters.finished_call import write_afterword
from app.adapters.journal import Journal
from app.adapters.journal_disk import JournalDisk
from app.adapters.spent import spent_since
from app.adapters.spool_folder import SpoolFolder
from app.adapters.stats_queries import Wish, stats
from app.adapters.store import SEQ_GAP, CallStore
from app.core.finished import CallFinished
from app.core.rows import Capture, Consent, Milestone, Outcome, Response, Row, ToolCall, TransferAttempt, Turn
from app.core.standing import NOBODY, Owned, Standing
from tests.adapters.rows import NOON, ended, started, turn, writing

FIRST: dict[str, Any] = {
    "calls": ended,
    "call_outcomes": Outcome(call_sid="CA1", kind="m", fields={"n": 1}, valid=True),
    "transfers": TransferAttempt(
        call_sid="CA1", seq=0, desk="d", reason="1", result="", whisper="", started_at=NOON, ended_at=None
    ),
    "consents": Consent(call_sid="CA1", at=NOON, what="ai", text="1", why="", how="greeting", heard=False),
    "captures": Capture(
        call_sid="CA1", seq=0, kind="name", argument="a", heard="1", value="", confirmed=False, failures=0
    ),
    "finished_calls": CallFinished(call_sid="CA1", at=NOON, written=("a",)),
    "call_states": Standing(call_sid="CA1", at=NOON, owner="one", streams=1, tickets=1, state={"n": 1}),
}
CHANGED: dict[str, dict[str, Any]] = {
    "calls": {"outcome": "other", "cost_usd": 1.5},
    "call_outcomes": {"fields": {"n": 2}},
    "transfers": {"result": "accepted", "ended_at": NOON},
    "consents": {"heard": True},
    "captures": {"value": "Anna", "confirmed": True},
    "finished_calls": {"written": ("a", "b")},
    "call_states": {"state": {"n": 2}, "at": NOON - timedelta(hours=2)},
}
"""What the same row becomes. The clock of a process may be set back meanwhile."""


async def put(engine: AsyncEngine, *rows: Row) -> None:
    """As a journal writes them."""
    async with writing(engine) as journal:
        for row in rows:
            journal.put(row)
        assert await journal.flush()


async def kept(engine: AsyncEngine, table: str) -> dict[str, Any]:
    async with engine.connect() as connection:
        rows = (await connection.execute(text(f"SELECT row_to_json(t)::text FROM {table} t"))).scalars().all()
    (row,) = rows
    return dict(json.loads(row))


async def state_of(engine: AsyncEngine) -> dict[str, Any]:
    return {table: await kept(engine, table) for table in FIRST}


async def test_a_row_of_an_earlier_owner_replaces_none_of_a_later_one_however_late_it_comes(
    engine: AsyncEngine,
) -> None:
    later = {table: replace(row, **CHANGED[table], epoch=2) for table, row in FIRST.items()}
    await put(engine, started, *FIRST.values())
    await put(engine, *later.values())
    is_so = await state_of(engine)
    assert {row["epoch"] for row in is_so.values()} == {2}
    old = {"owner": "another", "streams": 9, "at": NOON + timedelta(days=1)}
    await put(engine, *FIRST.values(), replace(FIRST["call_states"], **old))
    assert await state_of(engine) == is_so
    await put(engine, *(replace(row, epoch=3) for row in FIRST.values()))
    for table, row in (await state_of(engine)).items():
        assert row != is_so[table], "whoever comes behind decides"


async def test_one_owner_s_rows_replace_each_other_as_they_come(engine: AsyncEngine) -> None:
    first = {table: replace(row, epoch=2) for table, row in FIRST.items()}
    await put(engine, started, *first.values())
    before = await state_of(engine)
    await put(engine, *(replace(row, **CHANGED[table]) for table, row in first.items()))
    for table, row in (await state_of(engine)).items():
        assert row != before[table]
    await put(engine, *first.values())
    after = await state_of(engine)
    for row in (after["finished_calls"], before["finished_calls"]):
        del row["due_at"]
    assert after == before


def test_every_kind_of_row_that_may_be_replaced_is_an_owner_s_or_one_process_s_alone() -> None:
    """A new kind belongs into one of these lists, or is written once."""
    of_one = {"Turn", "ToolCall", "Span", "Response", "Recording"}
    """Numbered by their process, behind all that others may have; a recording by its path."""
    same_in_all = {"CallStarted", "Voicemail"}
    """A start completes a row that has none; a message is as the carrier has it, whoever is told of it."""
    replaces = {kind.__name__ for kind, statement in WRITING_ORDER.items() if "DO UPDATE" in _compiled(statement)}
    guarded = {kind.__name__ for kind, statement in WRITING_ORDER.items() if "excluded.epoch" in _compiled(statement)}
    owned = {kind.__name__ for kind in WRITING_ORDER if issubclass(kind, Owned)}
    assert guarded == owned == {type(row).__name__ for row in FIRST.values()}
    assert replaces - owned == of_one | same_in_all


def _compiled(statement: Any) -> str:
    return str(statement.compile(dialect=cast(Any, PGDialect)()))


async def test_a_call_that_nobody_has_closed_is_closed_by_whoever_knows_that_it_is_over(engine: AsyncEngine) -> None:
    """It was taken up, and led to a person: its figures are those of the process that talked, if they come."""
    closes = replace(ended, outcome="failed", cost_usd=0.0, epoch=NOBODY)
    await put(engine, started, closes)
    assert (await kept(engine, "calls"))["outcome"] == "failed"
    await put(engine, ended)
    await put(engine, closes)
    is_so = await kept(engine, "calls")
    assert (is_so["outcome"], is_so["cost_usd"]) == (ended.outcome, ended.cost_usd)


async def test_code_of_before_writes_rows_of_the_first_owner(engine: AsyncEngine) -> None:
    async with engine.begin() as connection:  # the columns that revision 0016 knew
        await connection.execute(
            text("INSERT INTO call_outcomes (call_sid, kind, fields, valid) VALUES ('CA1', 'm', '{}', true)")
        )
    assert (await kept(engine, "call_outcomes"))["epoch"] == 1


# --- a process died with rows on its disk -------------------------------------------------------------------------------

SECOND: Sequence[Row] = (
    Milestone(call_sid="CA1", name="taken_up", at=NOON + timedelta(seconds=30)),
    turn(SEQ_GAP, "Sorry. Where were we?", start_ms=31_000, end_ms=32_000),
    replace(FIRST["transfers"], result="accepted", ended_at=NOON + timedelta(minutes=1), epoch=2),
    replace(FIRST["consents"], heard=True, epoch=2),
    replace(FIRST["captures"], value="Anna", confirmed=True, epoch=2),
    Outcome(call_sid="CA1", kind="m", fields={"result": "transferred"}, valid=True, epoch=2),
    replace(ended, outcome="transferred", cost_usd=0.5, cuts=2, turn_ms=(700, 900), failed_tools=0, epoch=2),
    Standing(call_sid="CA1", at=NOON, owner="two", streams=2, tickets=2, state={"n": 2}, epoch=2),
    CallFinished(call_sid="CA1", at=NOON + timedelta(minutes=3), written=("result",), epoch=2),
)
DEAD: Sequence[Row] = (
    started,
    turn(0),
    turn(1, "It is", heard_text="It"),
    ToolCall(call_sid="CA1", seq=0, name="book", arguments="{}", result="{}", status="ok", ms=20),
    Response(call_sid="CA1", seq=0, response_id="r", model="m", status="completed", start_ms=0, end_ms=9, cost_usd=0.1),
    *FIRST.values(),
    replace(ended, outcome="lost", cost_usd=0.3, cuts=1, failed_tools=1, turn_ms=(5000,)),
)


async def dies_with(folder: Path, rows: Sequence[Row]) -> None:
    """A process whose Postgres is away writes these, and ends."""
    away = make_engine("postgresql://127.0.0.1:1/nowhere")
    journal = Journal(away, JournalDisk(SpoolFolder(folder)))
    for row in rows:
        journal.put(row)
    assert await journal.close(0.05) == 0, "all of it is on the disk"
    await away.dispose()


async def replay(engine: AsyncEngine, folder: Path) -> int:
    """It starts again."""
    async with writing(engine, disk=JournalDisk(SpoolFolder(folder))) as journal:
        rows = await journal.adopt()
        assert await journal.flush()
    return rows


async def figures(engine: AsyncEngine) -> Any:
    day = Wish(edges=(NOON - timedelta(hours=1), NOON + timedelta(hours=1)))
    return await stats(engine, day), await spent_since(engine, NOON, [])


async def test_what_a_dead_process_s_disk_brings_after_its_call_was_taken_up_completes_the_books_and_undoes_nothing(
    engine: AsyncEngine, tmp_path: Path
) -> None:
    await put(engine, started, *SECOND)
    before, counted = await state_of(engine), await figures(engine)
    deliveries = Deliveries(engine, now=lambda: datetime.now(UTC) + timedelta(minutes=1))
    (call,) = await deliveries.finished(9)
    await dies_with(tmp_path, DEAD)
    assert await replay(engine, tmp_path) == len(DEAD)
    after = await state_of(engine)
    assert {**after, "finished_calls": ""} == {**before, "finished_calls": ""}
    assert after["finished_calls"]["written"] == ["result"]
    assert [row.seq for row in await CallStore(engine).turns("CA1")] == [0, 1, SEQ_GAP], "what it said is not lost"
    assert await figures(engine) == counted, "nothing is counted twice, money least of all"
    assert await deliveries.tell(call, (), "") == 0
    await dies_with(tmp_path, DEAD)
    await replay(engine, tmp_path)
    assert (await kept(engine, "finished_calls"))["told"]
    assert await deliveries.finished(9) == [], "nobody is told again"


async def test_what_was_asked_after_a_call_is_not_undone_by_rows_that_are_written_once_more(
    engine: AsyncEngine, tmp_path: Path
) -> None:
    """Its process died between Postgres' word that it had them and its own note of that."""
    last = (FIRST["call_outcomes"], ended, FIRST["finished_calls"])
    await put(engine, started, *last)
    response = Response(
        call_sid="CA1", seq=9, response_id="r", model="m", status="completed", start_ms=0, end_ms=0, cost_usd=0.01
    )
    grown = Outcome(call_sid="CA1", kind="m", fields={"n": 1, "mood": "angry"}, valid=True)
    async with engine.begin() as connection:
        await write_afterword(connection, grown, response)
    await dies_with(tmp_path, last)
    await replay(engine, tmp_path)
    assert (await kept(engine, "call_outcomes"))["fields"] == grown.fields
    assert (await kept(engine, "calls"))["cost_usd"] == pytest.approx(ended.cost_usd + 0.01)


async def test_rows_of_a_later_stream_that_the_books_do_not_know_are_not_written_over(engine: AsyncEngine) -> None:
    """Its first stream is over, on record; its second began, and its process was cut off from Postgres."""
    store = CallStore(engine)
    await put(engine, started, Milestone(call_sid="CA1", name="stream_started", at=NOON), turn(0), ended)
    record = await store.recall("CA1")
    assert record is not None
    ours, theirs = turn(record.first_seq, "ours"), [turn(seq, "theirs") for seq in range(1, 60)]
    await put(engine, ours, *theirs)
    found: list[Turn] = await store.turns("CA1")
    assert ours in found
    assert [row for row in found if row.generated_text == "theirs"] == theirs
