"""Revision 0006 and the code on either side of it; a proof in the books."""

from alembic import command
from alembic.config import Config
from msgspec.structs import replace
from sqlalchemy import Connection
from sqlalchemy.ext.asyncio import AsyncEngine

from app.adapters.database import make_engine
from app.adapters.migrate import MIGRATIONS, migrate
from app.adapters.store import CallStore
from app.core.rows import Consent
from tests.adapters.rows import NOON, started, writing

PROOF = Consent(
    call_sid="CA1", at=NOON, what="ai", text="You are speaking with an AI.", why="always", how="greeting", heard=False
)


async def test_a_proof_is_kept_once_and_tells_what_was_known_last(engine: AsyncEngine) -> None:
    async with writing(engine) as journal:
        for row in (started, PROOF, replace(PROOF, heard=True), replace(PROOF, call_sid="CA2")):
            journal.put(row)
        await journal.flush()
    store = CallStore(engine)
    assert await store.consents("CA1") == [replace(PROOF, heard=True)]
    assert await store.consents("CA2") == [replace(PROOF, call_sid="CA2")]
    assert await store.consents("CA3") == []


async def test_another_process_that_takes_a_call_up_knows_what_was_announced(engine: AsyncEngine) -> None:
    async with writing(engine) as journal:
        journal.put(started)
        journal.put(replace(PROOF, heard=True))
        await journal.flush()
    record = await CallStore(engine).recall("CA1")
    assert record is not None
    assert record.consents == [replace(PROOF, heard=True)]


async def test_newer_code_holds_its_proofs_back_until_the_schema_has_come(empty_database: str) -> None:
    def upgraded(connection: Connection) -> None:
        config = Config(MIGRATIONS.parent / "alembic.ini")
        config.attributes["connection"] = connection
        command.upgrade(config, "0005")

    engine = make_engine(empty_database)
    async with engine.begin() as connection:
        await connection.run_sync(upgraded)
    async with writing(engine) as journal:
        journal.put(started)
        journal.put(PROOF)
        assert not await journal.flush(0.3)
        await migrate(empty_database)
        await journal.flush()
        assert not journal.pending
    assert await CallStore(engine).consents("CA1") == [PROOF]
    await engine.dispose()
