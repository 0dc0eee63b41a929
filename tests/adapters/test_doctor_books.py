"""The database as the doctor sees it: there, behind a pooler, at an old schema, or not there."""

from pathlib import Path
from tempfile import TemporaryDirectory

from sqlalchemy import text

from app.adapters.database import database_url, make_engine
from app.adapters.tables import REVISIONS
from app.doctor import books
from tests.adapters.pooler import Pooler
from tests.doctor.stage import patient, row


async def at(address: str, sql: str) -> None:
    engine = make_engine(address, keep_connections=False)
    async with engine.begin() as connection:
        await connection.execute(text(sql))
    await engine.dispose()


async def test_a_database_that_is_ready_is_fine_and_tells_its_version(database: str) -> None:
    async with patient(database_url=database) as it:
        found, schema = await row(it, books.database), await row(it, books.migrations)
    assert (found.level, schema.level) == ("fine", "fine")
    assert "version 1" in found.what
    assert "pooler" not in found.what
    assert REVISIONS[-1] in schema.what


async def test_a_transaction_pooler_is_told(database: str) -> None:
    url = database_url(database)
    with TemporaryDirectory() as folder:
        async with Pooler(Path(folder), f"{url.query['host']}/.s.PGSQL.5432"):
            through = url.set(query={"host": folder, "port": "5432"}).render_as_string(hide_password=False)
            async with patient(database_url=through) as it:
                found = await row(it, books.database)
    assert (found.level, "transaction pooler" in found.what) == ("fine", True), found.what


async def test_an_old_schema_an_empty_one_and_a_newer_one_are_told_apart(database: str, empty_database: str) -> None:
    levels = []
    async with patient(database_url=empty_database) as it:
        levels.append(await row(it, books.migrations))
    house = f"version_num = '{REVISIONS[-1]}'"
    await at(database, f"UPDATE alembic_version SET version_num = '{REVISIONS[-2]}' WHERE {house}")
    async with patient(database_url=database) as it:
        levels.append(await row(it, books.migrations))
    await at(database, f"UPDATE alembic_version SET version_num = '9999' WHERE version_num = '{REVISIONS[-2]}'")
    async with patient(database_url=database) as it:
        levels.append(await row(it, books.migrations))
    assert [found.level for found in levels] == ["fault", "fault", "warning"]
    assert "./offhook migrate" in levels[0].remedy
    assert REVISIONS[-2] in levels[1].what
    assert "9999" in levels[2].what


async def test_a_database_that_is_not_there_is_a_fault_without_its_password(tmp_path: Path) -> None:
    address = f"postgresql://ann:pa55word!@/books?host={tmp_path}"
    async with patient(database_url=address) as it:
        found, schema = await row(it, books.database), await row(it, books.migrations)
    assert (found.level, schema.level) == ("fault", "skipped")
    assert "pa55word!" not in str(found)


async def test_the_embedded_database_is_skipped_while_no_server_runs() -> None:
    async with patient() as it:
        assert (await row(it, books.database)).level == "skipped"
        assert (await row(it, books.migrations)).level == "skipped"
