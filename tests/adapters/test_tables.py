"""Migrations make the tables that the code believes in; they are quick when done, safe side by side, and only go forward."""

import asyncio
import re
import subprocess
import sys
from pathlib import Path

import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from sqlalchemy import Connection, inspect
from sqlalchemy.ext.asyncio import AsyncEngine
from structlog.testing import capture_logs

from app.adapters.all_tables import METADATA
from app.adapters.database import make_engine
from app.adapters.migrate import MIGRATIONS, migrate, upgrade
from app.adapters.revisions import lines
from app.errors import SetupError

ROOT = MIGRATIONS.parent


def config(connection: Connection | None = None) -> Config:
    settings = Config(ROOT / "alembic.ini")
    settings.attributes["connection"] = connection
    return settings


async def test_the_migrated_schema_is_the_one_in_the_code(engine: AsyncEngine) -> None:
    def differences(connection: Connection) -> list[object]:
        options = {
            "compare_type": True,
            "compare_server_default": True,
            "include_name": lambda name, kind, _: kind != "table" or name in METADATA.tables,  # modes have tables, too
        }
        return list(compare_metadata(MigrationContext.configure(connection, opts=options), METADATA))

    def names(connection: Connection) -> set[str | None]:
        found = inspect(connection)
        return {
            thing["name"]
            for table in METADATA.tables
            for thing in [
                found.get_pk_constraint(table),
                *found.get_unique_constraints(table),
                *found.get_indexes(table),
            ]
        }

    async with engine.connect() as connection:
        assert await connection.run_sync(differences) == []
        migrated = await connection.run_sync(names)
    written: set[object] = set()
    for table in METADATA.tables.values():
        written |= {thing.name for thing in table.constraints} | {thing.name for thing in table.indexes}
    assert migrated == written


async def test_a_migration_says_whether_there_was_anything_to_do(empty_database: str) -> None:
    assert await migrate(empty_database) is True
    assert await migrate(empty_database) is False


async def test_a_migrated_database_is_recognised_without_loading_alembic(database: str) -> None:
    code = (
        "import asyncio, sys; from app.adapters.migrate import migrate; "
        "assert asyncio.run(migrate(sys.argv[1])) is False; assert 'alembic' not in sys.modules"
    )
    done = await asyncio.to_thread(
        subprocess.run, [sys.executable, "-c", code, database], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr


async def test_two_migrations_at_once_run_it_once(empty_database: str) -> None:
    engines = [make_engine(empty_database) for _ in range(3)]
    with capture_logs() as logs:
        ran = await asyncio.gather(*(upgrade(engine) for engine in engines))
    assert sorted(ran) == [False, False, True]
    assert [line["after"] for line in logs if line["event"] == "database.migrated"] == [[line.head for line in lines()]]
    for engine in engines:
        await engine.dispose()


async def test_a_failed_migration_leaves_nothing_behind(empty_database: str) -> None:
    engine = make_engine(empty_database)
    async with engine.begin() as connection:
        await connection.exec_driver_sql("CREATE TABLE messages (oops int)")
    with pytest.raises(SetupError, match=r"\"messages\" already exists\. Nothing was changed"):
        await upgrade(engine)
    async with engine.connect() as connection:
        assert await connection.run_sync(lambda sync: inspect(sync).get_table_names()) == ["messages"]
    await engine.dispose()


async def test_there_is_no_way_back_and_the_error_says_so(engine: AsyncEngine) -> None:
    async with engine.connect() as connection:
        with pytest.raises(SetupError, match="only go forward"):
            await connection.run_sync(lambda sync: command.downgrade(config(sync), "base"))
    async with engine.connect() as connection:
        assert set(await connection.run_sync(lambda sync: inspect(sync).get_table_names())) >= set(METADATA.tables)


async def test_alembics_own_command_works_with_database_url(database: str) -> None:
    done = await asyncio.to_thread(
        subprocess.run,
        [sys.executable, "-m", "alembic", "check"],
        cwd=ROOT,
        env={"DATABASE_URL": database, "PATH": ""},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "No new upgrade operations detected" in done.stdout + done.stderr


def test_the_page_about_the_books_names_every_table_and_column() -> None:
    page = Path(ROOT / "docs" / "books.md").read_text()
    written = set(re.findall(r"`(\w+)`", page))
    assert {name for table in METADATA.tables.values() for name in [table.name, *table.columns.keys()]} <= written
