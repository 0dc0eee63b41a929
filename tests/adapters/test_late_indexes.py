"""Revision 0007 on a big table holds nobody up: its indexes come afterwards, one by one, and a broken one is built again."""

import asyncio

import pytest
from alembic import command
from alembic.config import Config
from sqlalchemy import Connection, text
from sqlalchemy.ext.asyncio import AsyncEngine

from app.adapters.database import make_engine
from app.adapters.late_indexes import LATE, build_missing
from app.adapters.migrate import MIGRATIONS, migrate

NAMES = {index.name for index in LATE}


async def there(engine: AsyncEngine) -> set[str]:
    """Which of them there are, and of use."""
    sql = "SELECT c.relname FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid WHERE i.indisvalid"
    async with engine.connect() as connection:
        return NAMES & set((await connection.execute(text(sql))).scalars())


async def test_tables_with_many_rows_get_their_indexes_after_the_migration(empty_database: str) -> None:
    def before(connection: Connection) -> None:
        config = Config(MIGRATIONS.parent / "alembic.ini")
        config.attributes["connection"] = connection
        command.upgrade(config, "0006")

    engine = make_engine(empty_database)
    async with engine.begin() as connection:
        await connection.run_sync(before)
        await connection.execute(
            text(
                "INSERT INTO turns SELECT 'CA' || n, 0, 'agent', 'hello', 'hello', 0, 1 FROM generate_series(1, 20000) AS n"
            )
        )
    await migrate(empty_database)
    assert await there(engine) == NAMES - {"ix_turns_words"}
    assert await build_missing(empty_database) == ["ix_turns_words"]
    assert await there(engine) == NAMES
    assert await build_missing(empty_database) == []
    await engine.dispose()


async def test_an_index_whose_building_was_broken_off_is_built_again(engine: AsyncEngine, database: str) -> None:
    async with engine.begin() as connection:
        await connection.execute(
            text("UPDATE pg_index SET indisvalid = false WHERE indexrelid = 'ix_calls_cut'::regclass")
        )
    assert await there(engine) == NAMES - {"ix_calls_cut"}
    assert await build_missing(database) == ["ix_calls_cut"]
    assert await there(engine) == NAMES


async def test_two_builders_at_once_do_not_undo_each_other(engine: AsyncEngine, database: str) -> None:
    async with engine.begin() as connection:
        await connection.execute(text("DROP INDEX ix_turns_words"))
    await asyncio.gather(build_missing(database), build_missing(database))
    await build_missing(database)
    assert await there(engine) == NAMES


async def test_a_database_that_is_away_is_no_fault(capsys: pytest.CaptureFixture[str]) -> None:
    assert await build_missing("postgresql://nobody@127.0.0.1:1/none") == []
