"""Modes with tables of their own: a line of revisions each, beside the house's, that comes, goes and may be missing."""

import asyncio
import re
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, inspect, text
from sqlalchemy.ext.asyncio import AsyncEngine
from structlog.testing import capture_logs

from app.adapters.all_tables import METADATA
from app.adapters.database import behind, check, make_engine, revisions_of
from app.adapters.migrate import MIGRATIONS, migrate
from app.adapters.revisions import MODES, lines
from app.adapters.tables import REVISIONS
from app.errors import SetupError
from modes.csr.tables import metadata

ROOT = MIGRATIONS.parent
CSR = set(metadata.tables)
REVISION = '''"""A table."""

from alembic import op
import sqlalchemy as sa

revision = "{revision}"
down_revision = {down!r}


def upgrade() -> None:
    op.create_table("{revision}_table", sa.Column("id", sa.Integer(), primary_key=True))
'''


def config(connection: Connection) -> Config:
    settings = Config(ROOT / "alembic.ini")
    settings.attributes["connection"] = connection
    return settings


async def on(address: str, work: Callable[[Connection], object]) -> object:
    """Do something with a connection to a database, and commit it."""
    engine = make_engine(address, keep_connections=False)
    async with engine.begin() as connection:
        done = await connection.run_sync(work)
    await engine.dispose()
    return done


async def tables(address: str) -> set[str]:
    found = await on(address, lambda connection: inspect(connection).get_table_names())
    assert isinstance(found, list)
    return set(found)


async def at(address: str) -> set[str]:
    engine = make_engine(address, keep_connections=False)
    async with engine.connect() as connection:
        found = await revisions_of(connection)
    await engine.dispose()
    return found


@pytest.fixture
def modes(tmp_path: Path) -> Path:
    """A folder of modes with one that has a table of its own: `front_desk`."""
    folder = tmp_path / "front_desk" / "migrations"
    folder.mkdir(parents=True)
    (folder / "front_desk_0001.py").write_text(REVISION.format(revision="front_desk_0001", down=None))
    return tmp_path


def test_the_code_knows_every_line_and_its_order() -> None:
    script = ScriptDirectory.from_config(Config(ROOT / "alembic.ini"))
    assert set(script.get_heads()) == {line.head for line in lines()}
    for line in lines():
        walked = script.iterate_revisions(line.head, "base")
        assert tuple(reversed([revision.revision for revision in walked])) == line.revisions
    labels = {name for line in lines() if line.name for name in script.get_revision(line.revisions[0]).branch_labels}
    assert labels == {line.name for line in lines() if line.name}, "so that `alembic downgrade NAME@base` names it"


def test_alembic_s_own_command_is_told_of_every_line() -> None:
    locations = ScriptDirectory.from_config(Config(ROOT / "alembic.ini")).version_locations
    assert {Path(location).resolve() for location in locations or ()} == {line.folder for line in lines()}


async def test_an_empty_database_gets_the_house_s_tables_and_the_modes(empty_database: str) -> None:
    assert await migrate(empty_database) is True
    assert await tables(empty_database) >= CSR | set(METADATA.tables)
    assert await at(empty_database) == {line.head for line in lines()}
    assert await migrate(empty_database) is False


async def test_a_house_from_before_the_mode_gets_its_tables_and_keeps_its_own(
    empty_database: str, tmp_path: Path
) -> None:
    await migrate(empty_database, tmp_path)
    assert not await tables(empty_database) & CSR
    assert await at(empty_database) == {REVISIONS[-1]}
    await on(empty_database, lambda connection: connection.execute(text(BOOKED)))
    assert behind(await at(empty_database))
    assert await migrate(empty_database) is True
    assert await tables(empty_database) >= CSR
    rows = await on(
        empty_database, lambda connection: connection.execute(text("SELECT name FROM bookings")).scalars().all()
    )
    assert rows == ["Baker"]


BOOKED = "INSERT INTO bookings (reference, key, name, start, reason, phone) VALUES ('R', 'k', 'Baker', now(), '', '')"


async def test_the_migrated_tables_are_the_ones_in_the_mode_s_code(engine: AsyncEngine) -> None:
    def differences(connection: Connection) -> list[object]:
        options = {
            "compare_type": True,
            "compare_server_default": True,
            "include_name": lambda name, kind, _: kind != "table" or name in CSR,
        }
        return list(compare_metadata(MigrationContext.configure(connection, opts=options), metadata))

    def names(connection: Connection) -> set[str | None]:
        found = inspect(connection)
        return {
            thing["name"]
            for table in CSR
            for thing in [
                found.get_pk_constraint(table),
                *found.get_unique_constraints(table),
                *found.get_foreign_keys(table),
                *found.get_check_constraints(table),
                *(index for index in found.get_indexes(table) if "duplicates_constraint" not in index),
            ]
        }

    async with engine.connect() as connection:
        assert await connection.run_sync(differences) == []
        migrated = await connection.run_sync(names)
    written: set[object] = set()
    for table in metadata.tables.values():
        written |= {thing.name for thing in table.constraints} | {thing.name for thing in table.indexes}
    assert migrated == written


async def test_a_mode_s_tables_can_be_taken_away_and_come_back(database: str) -> None:
    await on(database, lambda connection: command.downgrade(config(connection), "csr@base"))
    assert not await tables(database) & CSR
    assert await tables(database) >= set(METADATA.tables)
    assert await at(database) == {REVISIONS[-1]}
    assert await migrate(database) is True
    assert await tables(database) >= CSR


async def test_a_house_without_the_mode_works_on_a_database_that_has_had_it(database: str, tmp_path: Path) -> None:
    assert await migrate(database, tmp_path) is False
    engine = make_engine(database)
    with capture_logs() as logs:
        await check(engine, tmp_path)
    await engine.dispose()
    assert logs == []


async def test_and_still_gets_the_next_revision_of_another(database: str, modes: Path) -> None:
    """`csr` is not in that folder: Alembic knows nothing of a revision that the database has."""
    assert await migrate(database, modes) is True
    assert await at(database) == {REVISIONS[-1], "csr_0001", "front_desk_0001"}
    (modes / "front_desk" / "migrations" / "front_desk_0002.py").write_text(
        REVISION.format(revision="front_desk_0002", down="front_desk_0001")
    )
    assert await migrate(database, modes) is True
    assert await at(database) == {REVISIONS[-1], "csr_0001", "front_desk_0002"}
    assert await tables(database) >= {"front_desk_0001_table", "front_desk_0002_table"} | CSR


async def test_two_at_once_make_the_mode_s_tables_once(empty_database: str, modes: Path) -> None:
    await migrate(empty_database, modes.parent / "nothing")
    assert sorted(await asyncio.gather(*(migrate(empty_database, modes) for _ in range(3)))) == [False, False, True]


async def test_a_newer_mode_s_schema_is_used_and_mentioned(engine: AsyncEngine) -> None:
    async with engine.begin() as connection:
        await connection.exec_driver_sql(
            "UPDATE alembic_version SET version_num = 'csr_9999' WHERE version_num = 'csr_0001'"
        )
    with capture_logs() as logs:
        await check(engine)
    assert [(line["event"], line["found"]) for line in logs] == [("database.schema_is_newer", ["csr_9999"])]


async def test_a_mode_s_missing_tables_are_named(empty_database: str, modes: Path, tmp_path: Path) -> None:
    await migrate(empty_database, tmp_path / "nothing")
    engine = make_engine(empty_database)
    with pytest.raises(
        SetupError, match=rf"expected schema {REVISIONS[-1]}, front_desk_0001, got {REVISIONS[-1]}\. Run"
    ):
        await check(engine, modes)
    await engine.dispose()


@pytest.mark.parametrize(
    ("name", "source", "words"),
    [
        ("x.py", REVISION.format(revision="0009", down=None), 'revision = "front_desk_0001"'),
        ("x.py", REVISION.format(revision="desk_0002", down="front_desk_0001"), "got revision 'desk_0002'"),
        ("x.py", '"""Nothing."""\n', "got revision ''"),
        ("x.py", REVISION.format(revision="front_desk_0002", down=None), "got a second"),
        ("x.py", REVISION.format(revision="front_desk_0003", down="front_desk_0002"), "front_desk_0003 does not"),
    ],
)
def test_files_that_make_no_line_are_refused_by_name(modes: Path, name: str, source: str, words: str) -> None:
    (modes / "front_desk" / "migrations" / name).write_text(source)
    with pytest.raises(SetupError) as refused:
        lines(modes)
    assert words in str(refused.value)
    assert "front_desk" in str(refused.value)


def test_a_mode_without_tables_has_no_line(modes: Path) -> None:
    shutil.rmtree(modes / "front_desk")
    (modes / "plain").mkdir()
    assert [line.name for line in lines(modes)] == [""]
    assert "csr" in [line.name for line in lines(MODES)]


def test_the_page_about_the_books_names_the_mode_s_tables_and_columns() -> None:
    written = set(re.findall(r"`(\w+)`", (ROOT / "docs" / "books.md").read_text()))
    assert {name for table in metadata.tables.values() for name in [table.name, *table.columns.keys()]} <= written
