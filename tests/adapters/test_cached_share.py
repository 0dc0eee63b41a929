"""Revision 0003 and the code on either side of it: deploys overlap."""

from alembic import command
from alembic.config import Config
from msgspec.structs import replace
from sqlalchemy import Connection, text
from sqlalchemy.ext.asyncio import AsyncEngine

from app.adapters.database import make_engine
from app.adapters.migrate import MIGRATIONS, migrate
from app.adapters.store import CallStore
from tests.adapters.rows import ended, started, writing

READ = replace(ended, input_tokens=900, cached_tokens=600, input_audio_tokens=300, cached_audio_tokens=100)


async def test_what_a_call_read_is_kept_and_goes_on_in_another_process(engine: AsyncEngine) -> None:
    async with writing(engine) as journal:
        journal.put(started)
        journal.put(READ)
        await journal.flush()
    store = CallStore(engine)
    call, record = await store.call("CA1"), await store.recall("CA1")
    assert call is not None
    assert record is not None
    for row in (call, record):
        figures = (row.input_tokens, row.cached_tokens, row.input_audio_tokens, row.cached_audio_tokens)
        assert figures == (900, 600, 300, 100)


async def test_older_code_writes_its_ends_as_it_always_did(engine: AsyncEngine) -> None:
    async with writing(engine) as journal:
        journal.put(started)
        await journal.flush()
    async with engine.begin() as connection:  # the columns that revision 0002 knew
        await connection.execute(
            text("UPDATE calls SET ended_at = now(), outcome = 'x', cost_usd = 0.1 WHERE call_sid = 'CA1'")
        )
    call, record = await CallStore(engine).call("CA1"), await CallStore(engine).recall("CA1")
    assert call is not None
    assert record is not None
    assert (call.outcome, call.input_tokens, call.cached_tokens) == ("x", None, None)
    assert (record.input_tokens, record.cached_tokens) == (0, 0)


async def test_newer_code_holds_its_ends_back_until_the_schema_has_come(empty_database: str) -> None:
    def upgraded(connection: Connection) -> None:
        config = Config(MIGRATIONS.parent / "alembic.ini")
        config.attributes["connection"] = connection
        command.upgrade(config, "0002")

    engine = make_engine(empty_database)
    async with engine.begin() as connection:
        await connection.run_sync(upgraded)
    async with writing(engine) as journal:
        journal.put(started)
        await journal.flush()
        journal.put(READ)
        assert journal.pending
        await migrate(empty_database)
        await journal.flush()
        assert not journal.pending
    call = await CallStore(engine).call("CA1")
    assert call is not None
    assert (call.outcome, call.cached_tokens) == (ended.outcome, 600)
    await engine.dispose()
