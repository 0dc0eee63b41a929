"""Postgres away, rows it refuses, memory full, time up: the journal keeps what can be kept and says what it could not."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import cast

import msgspec
import pytest
from sqlalchemy import func, select, text
from sqlalchemy.ext.asyncio import AsyncEngine
from structlog.testing import capture_logs

from app.adapters.database import make_engine
from app.adapters.entries import Entry
from app.adapters.journal import BATCH_ROWS, Journal
from app.adapters.store import CallStore
from app.adapters.tables import debug_events, turns
from app.core.rows import Outcome, Row
from tests.adapters.rows import ended, event, started, turn, writing

TOO_LONG_FOR_AN_INDEX = "".join(chr(33 + n * n * 7 % 6000) for n in range(9000))
"""Irregular, or compression would make it fit."""


@asynccontextmanager
async def postgres_away(server: str, engine: AsyncEngine) -> AsyncIterator[None]:
    """Nobody gets into the engine's database, and whoever was in is thrown out."""
    admin, name = make_engine(server, keep_connections=False), engine.url.database
    async with admin.begin() as connection:
        await connection.exec_driver_sql(f"ALTER DATABASE {name} ALLOW_CONNECTIONS false")
        out = text("SELECT count(pg_terminate_backend(pid, 5000)) FROM pg_stat_activity WHERE datname = :name")
        await connection.execute(out, {"name": name})
    yield
    async with admin.begin() as connection:
        await connection.exec_driver_sql(f"ALTER DATABASE {name} ALLOW_CONNECTIONS true")
    await admin.dispose()


async def test_rows_wait_while_postgres_is_away_and_are_written_in_order(server: str, engine: AsyncEngine) -> None:
    async with writing(engine) as journal:
        journal.put(started)
        assert await journal.flush()
        with capture_logs() as logs:
            async with postgres_away(server, engine):
                for number in range(3 * BATCH_ROWS):
                    journal.put(turn(number % 5, str(number)))
                journal.put(ended)
                assert not await journal.flush(0.2)
                assert journal.pending == 3 * BATCH_ROWS + 1
            assert await journal.flush()
        said = {line["event"] for line in logs}
        assert said == {"journal.waits_for_postgres"}
        store = CallStore(engine)
        assert [row.generated_text for row in await store.turns("CA1")] == [
            str(3 * BATCH_ROWS - 5 + n) for n in range(5)
        ]
        call = await store.call("CA1")
        assert call is not None
        assert call.outcome == "agent_ended"
        assert journal.lost == journal.set_aside == 0


@pytest.mark.parametrize(
    "bad",
    [
        turn(0, start_ms=2**40),
        msgspec.structs.replace(ended, call_sid="CA2", cost_usd=1e12),
        msgspec.structs.replace(started, call_sid="CA3", mode=cast(str, None)),
        Outcome(call_sid="CA1", kind="k", fields={"odd": object()}, valid=True),
        msgspec.structs.replace(event(0), call_sid=TOO_LONG_FOR_AN_INDEX),
        cast(Row, "no row at all"),
    ],
    ids=["driver", "range", "null", "json", "index", "type"],
)
async def test_a_row_that_postgres_refuses_is_set_aside_without_its_neighbours(engine: AsyncEngine, bad: Row) -> None:
    with capture_logs() as logs:
        async with writing(engine) as journal:
            for number in range(1, 6):
                journal.put(turn(number))
            journal.put(bad)
            for number in range(6, 11):
                journal.put(turn(number))
            journal.put(event(1))
            assert await journal.flush()
            assert journal.set_aside == 1
            assert [row.seq for row in await CallStore(engine).turns("CA1")] == list(range(1, 11))
            async with engine.connect() as connection:
                assert (await connection.execute(select(debug_events.c.event))).scalars().all() == [{"number": 1}]
    (line,) = logs
    assert (line["event"], line["row"]) == ("journal.row_refused", type(bad).__name__)
    assert line["reason"]


async def test_a_missing_table_is_no_fault_of_the_rows(engine: AsyncEngine) -> None:
    async with writing(engine) as journal:
        async with engine.begin() as connection:
            await connection.exec_driver_sql("ALTER TABLE turns RENAME TO gone")
        journal.put(turn(0))
        assert not await journal.flush(0.3)
        async with engine.begin() as connection:
            await connection.exec_driver_sql("ALTER TABLE gone RENAME TO turns")
        assert await journal.flush()
        assert journal.set_aside == 0


async def test_when_memory_is_full_debug_events_go_first_and_it_is_said_once(engine: AsyncEngine) -> None:
    journal = Journal(engine, capacity=6)
    with capture_logs() as logs:
        for number in range(4):
            journal.put(event(number))
        for number in range(4):
            journal.put(turn(number))
        journal.put(event(4))
        assert (journal.pending, journal.lost) == (6, 3)
        for number in range(4, 8):
            journal.put(turn(number))
        assert (journal.pending, journal.lost) == (6, 7)
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(journal.run())
            assert await journal.flush()
            journal.put(turn(8))
            assert await journal.close(5) == 0
    assert [(line["event"], line.get("lost")) for line in logs] == [("journal.full", None), ("journal.writes_again", 7)]
    assert [row.seq for row in await CallStore(engine).turns("CA1")] == [0, 1, 2, 3, 4, 5, 8]
    async with engine.connect() as connection:
        assert (await connection.execute(select(func.count()).select_from(debug_events))).scalar_one() == 0


async def test_closing_tells_how_many_rows_were_lost(server: str, engine: AsyncEngine) -> None:
    journal = Journal(engine)
    async with asyncio.TaskGroup() as tasks, postgres_away(server, engine):
        running = tasks.create_task(journal.run())
        for number in range(BATCH_ROWS + 7):
            journal.put(turn(number))
        assert not await journal.flush(0.1)
        with capture_logs() as logs:
            assert await journal.close(0.1) == BATCH_ROWS + 7
            journal.put(turn(0))
        await running
    lines = [line for line in logs if line["event"] == "journal.rows_lost"]
    assert [line["rows"] for line in lines] == [BATCH_ROWS + 7, 1]
    assert (journal.pending, journal.lost) == (0, BATCH_ROWS + 8)


async def test_closing_writes_what_a_cancelled_writer_left(engine: AsyncEngine) -> None:
    journal = Journal(engine)
    entered = asyncio.Event()
    async with engine.begin() as blocker:
        await blocker.execute(turns.insert(), msgspec.structs.asdict(turn(3)))  # the batch waits for this to commit
        running = asyncio.create_task(journal.run())
        for number in range(BATCH_ROWS + 7):
            journal.put(turn(number, "journal"))
        write = journal._batch.write

        async def write_and_tell(piece: list[Entry]) -> None:
            entered.set()
            await write(piece)

        journal._batch.write = write_and_tell  # type: ignore[method-assign]
        await entered.wait()
        running.cancel()
        await asyncio.wait([running])
        assert running.cancelled()
        assert journal.pending == BATCH_ROWS + 7
    assert await journal.close(5) == 0
    kept = await CallStore(engine).turns("CA1")
    assert [row.seq for row in kept] == list(range(BATCH_ROWS + 7))
    assert {row.generated_text for row in kept} == {"journal"}


async def test_a_journal_that_never_ran_writes_when_closed(engine: AsyncEngine) -> None:
    journal = Journal(engine)
    journal.put(turn(0))
    assert await journal.close(5) == 0
    assert await CallStore(engine).turns("CA1") == [turn(0)]
