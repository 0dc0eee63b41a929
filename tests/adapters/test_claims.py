"""Claims of processes that keep their names over restarts."""

from sqlalchemy import event, text
from sqlalchemy.ext.asyncio import AsyncEngine

from app.adapters.claims import Claims, open_claims
from app.adapters.database import make_engine
from app.adapters.store import CallStore
from app.core.rows import Milestone
from tests.adapters.rows import NOON, started, turn, writing


async def test_a_process_that_starts_again_under_its_name_does_not_take_a_ticket_that_it_used_before(
    engine: AsyncEngine,
) -> None:
    assert await Claims(engine).first("t1", "process-1") is True
    assert await Claims(engine).first("t1", "process-1") is False


async def test_a_claim_is_one_statement_without_a_transaction_as_a_greeting_waits_for_it(engine: AsyncEngine) -> None:
    asked: list[str] = []
    event.listen(engine.sync_engine, "before_cursor_execute", lambda *told: asked.append(told[2]))
    claims = Claims(engine)
    assert [await claims.first("t1", by) for by in ("a", "b")] == [True, False]
    assert len(asked) == 2
    async with engine.connect() as connection:
        assert (await connection.execute(text("SELECT count(*) FROM used_tickets"))).scalar_one() == 1, "it is written"


async def test_a_connection_that_was_kept_and_has_gone_costs_no_answer(database: str) -> None:
    """Connections of claims are not looked at before each use."""
    async with open_claims(database) as claims:
        other = make_engine(database)
        async with other.begin() as connection:
            await connection.execute(
                text(
                    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() "
                    "AND pid <> pg_backend_pid()"
                )
            )
        await other.dispose()
        assert await claims.first("t1", "a") is True


async def test_rows_that_a_dead_process_left_on_its_disk_do_not_write_over_those_of_who_took_its_call_up(
    engine: AsyncEngine,
) -> None:
    """It had begun to talk, and Postgres was away from it for a minute."""
    store = CallStore(engine)
    async with writing(engine) as journal:
        journal.put(started)
        journal.put(Milestone(call_sid="CA1", name="stream_started", at=NOON))
        await journal.flush()
        taken = await store.recall("CA1")
        assert taken is not None
        ours = turn(taken.first_seq, "ours")
        journal.put(ours)
        for seq in range(60):
            journal.put(turn(seq, "from the disk of the dead one"))
        await journal.flush()
        later = await store.recall("CA1")
    assert later is not None
    assert ours in await store.turns("CA1")
    assert later.first_seq > ours.seq
    assert min(taken.tool_calls, taken.spans, taken.captures, taken.responses) > 60
