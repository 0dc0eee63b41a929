"""What the journal took reaches Postgres once and in order, and the store reads it back."""

from datetime import timedelta

import msgspec
import pytest
from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncEngine

from app.adapters.entries import Entry
from app.adapters.store import Call, CallStore
from app.adapters.tables import debug_events
from app.core.rows import Milestone, Outcome, Row, ToolCall
from tests.adapters.rows import NOON, ended, event, started, turn, writing


async def test_a_call_is_read_back_as_it_was_put(engine: AsyncEngine) -> None:
    turns = [turn(0, "Good morning."), turn(1, "A cleaning, please.", who="caller")]
    tool = ToolCall(
        call_sid="CA1", seq=0, name="book", arguments='{"day": 1', result="not JSON", status="refused", ms=12
    )
    moments = [Milestone(call_sid="CA1", name="tool_called", at=NOON + timedelta(seconds=n)) for n in (1, 2)]
    outcome = Outcome(call_sid="CA1", kind="receptionist", fields={"name": "Zoë", "slots": [1, None]}, valid=True)
    rows: list[Row] = [started, *turns, tool, *moments, outcome, event(1), ended]
    async with writing(engine) as journal:
        for row in rows:
            journal.put(row)
        assert await journal.flush()
        assert journal.pending == 0
        store = CallStore(engine)
        assert await store.call("CA1") == Call(**msgspec.structs.asdict(started) | msgspec.structs.asdict(ended))
        assert await store.turns("CA1") == turns
        assert await store.tool_calls("CA1") == [tool]
        assert await store.milestones("CA1") == moments
        assert await store.outcome("CA1") == outcome


async def test_what_nobody_put_is_not_there(engine: AsyncEngine) -> None:
    store = CallStore(engine)
    assert await store.call("CA9") is None
    assert await store.outcome("CA9") is None
    assert await store.turns("CA9") == []


async def test_the_latest_call_of_a_number_is_found(engine: AsyncEngine) -> None:
    async with writing(engine) as journal:
        for number, caller in enumerate(["+1555", "+1555", "+1666"]):
            at = NOON + timedelta(minutes=number)
            journal.put(msgspec.structs.replace(started, call_sid=f"CA{number}", from_number=caller, started_at=at))
        await journal.flush()
        store = CallStore(engine)
        found = await store.latest_call("+1555", NOON)
        assert found is not None
        assert (found.call_sid, found.ended_at, found.cost_usd) == ("CA1", None, None)
        assert await store.latest_call("+1555", NOON + timedelta(minutes=1, microseconds=1)) is None


async def test_a_turn_put_again_is_the_later_one(engine: AsyncEngine) -> None:
    async with writing(engine) as journal:
        journal.put(turn(0, "Good"))
        journal.put(turn(0, "Good morning."))
        await journal.flush()
        journal.put(turn(0, "Good morning. How", heard_text="Good morning."))
        await journal.flush()
        assert await CallStore(engine).turns("CA1") == [turn(0, "Good morning. How", heard_text="Good morning.")]


async def test_an_end_without_a_start_is_kept_and_a_late_start_completes_it(engine: AsyncEngine) -> None:
    async with writing(engine) as journal:
        store = CallStore(engine)
        journal.put(ended)
        await journal.flush()
        alone = await store.call("CA1")
        assert alone is not None
        assert (alone.mode, alone.outcome, alone.started_at) == ("", "agent_ended", ended.ended_at)
        journal.put(started)
        journal.put(msgspec.structs.replace(started, mode="another"))
        journal.put(msgspec.structs.replace(ended, outcome="caller_ended"))
        await journal.flush()
        whole = await store.call("CA1")
        assert whole is not None
        assert (whole.mode, whole.outcome, whole.started_at) == ("receptionist", "caller_ended", NOON)


async def test_a_batch_whose_answer_was_lost_is_not_written_twice(
    engine: AsyncEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with writing(engine) as journal:
        write, calls = journal._batch.write, []

        async def write_and_lose_the_answer(piece: list[Entry]) -> None:
            await write(piece)
            calls.append(len(piece))
            if len(calls) == 1:
                raise ConnectionResetError

        monkeypatch.setattr(journal._batch, "write", write_and_lose_the_answer)
        moment = Milestone(call_sid="CA1", name="call_closed", at=NOON)
        rows: list[Row] = [started, moment, moment, turn(0), event(1), event(1), ended]
        for row in rows:
            journal.put(row)
        assert await journal.flush()
        assert calls == [7, 7]
        store = CallStore(engine)
        assert (len(await store.turns("CA1")), len(await store.milestones("CA1"))) == (1, 1)
        async with engine.connect() as connection:
            assert (await connection.execute(select(func.count()).select_from(debug_events))).scalar_one() == 2


async def test_characters_that_postgres_refuses_are_left_out(engine: AsyncEngine) -> None:
    async with writing(engine) as journal:
        journal.put(turn(0, "a\x00b \ud83d"))
        journal.put(Outcome(call_sid="CA1", kind="k\x00", fields={"a\x00": "b\x00"}, valid=False))
        await journal.flush()
        store = CallStore(engine)
        assert await store.turns("CA1") == [turn(0, "ab ?")]
        assert await store.outcome("CA1") == Outcome(call_sid="CA1", kind="k", fields={"a": "b"}, valid=False)


async def test_debug_events_keep_their_order(engine: AsyncEngine) -> None:
    async with writing(engine) as journal:
        for number in range(5):
            journal.put(event(number))
        journal.put(event(5))
        await journal.flush()
        async with engine.connect() as connection:
            query = select(debug_events.c.event["number"].as_integer()).order_by(debug_events.c.id)
            assert (await connection.execute(query)).scalars().all() == [0, 1, 2, 3, 4, 5]
