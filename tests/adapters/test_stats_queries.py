"""Known rows give known figures: by bucket, mode and model, and only what the books have is counted."""

from datetime import datetime, timedelta
from typing import Any

import pytest
from msgspec.structs import replace
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from app.adapters.stats_queries import Counted, Group, Tool, Transfers, Waits, Wish, stats
from app.adapters.store import CallStore
from app.core.rows import CallEnded, CallStarted, Row, ToolCall, TransferAttempt
from tests.adapters.rows import NOON, ended, started, writing

DAY = timedelta(days=1)
MIDNIGHT = NOON.replace(hour=0, minute=0, second=0, microsecond=0)
TWO_DAYS = Wish((MIDNIGHT - DAY, MIDNIGHT, MIDNIGHT + DAY))


def call(sid: str, at: datetime = NOON, **changes: Any) -> list[Row]:
    """A call of two minutes that waited 600 ms and 1000 ms for answers. Changes go to the row that has such a field."""
    end = replace(
        ended, call_sid=sid, ended_at=at + timedelta(minutes=2), model="big", cuts=1, cost_usd=0.5, turn_ms=(600, 1000)
    )
    rows: list[CallStarted | CallEnded] = [replace(started, call_sid=sid, started_at=at), end]
    return [replace(row, **{k: v for k, v in changes.items() if k in row.__struct_fields__}) for row in rows]


def tool(sid: str, seq: int, name: str = "book", status: Any = "ok", ms: int = 100) -> ToolCall:
    return ToolCall(call_sid=sid, seq=seq, name=name, arguments="{}", result="", status=status, ms=ms)


def transfer(sid: str, seq: int, desk: str, result: Any, at: datetime = NOON) -> TransferAttempt:
    return TransferAttempt(
        call_sid=sid, seq=seq, desk=desk, reason="", result=result, whisper="", started_at=at, ended_at=at
    )


async def keep(engine: AsyncEngine, *rows: Row) -> None:
    async with writing(engine) as journal:
        for row in rows:
            journal.put(row)
        await journal.flush()


async def date_tools(engine: AsyncEngine) -> None:
    """Have the tool calls written when the period is, not when the test runs."""
    async with engine.begin() as connection:
        await connection.execute(text("UPDATE tool_calls SET at = :at"), {"at": NOON})


async def test_no_calls_are_no_figures_and_still_a_bucket_for_each_day(engine: AsyncEngine) -> None:
    found = await stats(engine, TWO_DAYS)
    assert found.total == Group()
    assert found.buckets == [Group(), Group()]
    assert not any((found.modes, found.models, found.outcomes, found.greetings, found.tools, found.transfers))


async def test_one_call_is_all_there_is_to_say(engine: AsyncEngine) -> None:
    await keep(engine, *call("CA1"))
    found = await stats(engine, TWO_DAYS)
    assert found.total == Group(
        calls=1,
        talked=1,
        cuts=1,
        cost_usd=0.5,
        seconds=120.0,
        greeting=Waits(1, 180.0, 180.0),
        turn=Waits(2, 800.0, 980.0),
    )
    assert found.buckets == [Group(), found.total]
    assert [(row.name, row.figures) for row in found.modes] == [("receptionist", found.total)]
    assert [(row.name, row.figures) for row in found.models] == [("big", found.total)]
    assert found.outcomes == [Counted("agent_ended", 1)]
    assert found.greetings == [("prepared", Waits(1, 180.0, 180.0))]


async def test_a_call_is_of_the_bucket_in_which_it_started(engine: AsyncEngine) -> None:
    moment = timedelta(microseconds=1)
    edges = TWO_DAYS.edges
    for number, at in enumerate(
        (edges[0] - moment, edges[0], edges[1] - moment, edges[1], edges[2] - moment, edges[2])
    ):
        await keep(engine, *call(f"CA{number}", at, cost_usd=2.0**number))
    found = await stats(engine, TWO_DAYS)
    assert [(group.calls, group.cost_usd) for group in found.buckets] == [(2, 6.0), (2, 24.0)]
    assert (found.total.calls, found.total.cost_usd) == (4, 30.0)


async def test_modes_and_models_have_their_own_figures_the_most_used_first(engine: AsyncEngine) -> None:
    await keep(
        engine,
        *call("CA1", mode="ivr", model="big", turn_ms=(100, 300), greeting_ms=100),
        *call("CA2", mode="ivr", model="small", turn_ms=(500,), greeting_ms=300, cuts=4),
        *call("CA3", mode="csr", model="small", turn_ms=(), outcome="failed", greeting_ms=None, greeting_path=None),
    )
    found = await stats(engine, TWO_DAYS)
    modes = {row.name: row.figures for row in found.modes}
    assert list(modes) == ["ivr", "csr"]
    assert (modes["ivr"].greeting, modes["ivr"].turn) == (Waits(2, 200.0, 290.0), Waits(3, 300.0, 480.0))
    assert (modes["csr"].failed, modes["csr"].turn, modes["csr"].greeting) == (1, Waits(), Waits())
    assert [(row.name, row.figures.calls, row.figures.cuts) for row in found.models] == [("small", 2, 5), ("big", 1, 1)]


async def test_a_wish_for_a_mode_or_a_model_leaves_the_others_out_everywhere(engine: AsyncEngine) -> None:
    await keep(
        engine,
        *call("CA1", mode="ivr", model="big"),
        *call("CA2", mode="csr", model="big"),
        *call("CA3", mode="csr", model="small"),
        *(tool(f"CA{n}", 0, f"tool{n}") for n in (1, 2, 3)),
        *(transfer(f"CA{n}", 0, f"desk{n}", "busy") for n in (1, 2, 3)),
    )
    await date_tools(engine)
    found = await stats(engine, Wish(TWO_DAYS.edges, mode="csr", model="big"))
    assert (found.total.calls, found.buckets[1].calls) == (1, 1)
    assert [row.name for row in found.modes] == ["csr"]
    assert [row.name for row in found.models] == ["big"]
    assert [row.name for row in found.tools] == ["tool2"]
    assert found.transfers == [Transfers("desk2", {"busy": 1})]


async def test_what_the_books_do_not_have_is_counted_in_no_average(engine: AsyncEngine) -> None:
    await keep(engine, *call("CA1", turn_ms=None, cuts=None, model=None), *call("CA2"), call("CA3")[0])
    found = await stats(engine, TWO_DAYS)
    assert (found.total.calls, found.total.talked, found.total.cuts, found.total.turn.count) == (3, 1, 1, 2)
    assert {(row.name, row.figures.calls) for row in found.models} == {("", 2), ("big", 1)}
    assert found.outcomes == [Counted("agent_ended", 2), Counted("", 1)]


async def test_tools_are_counted_by_how_they_ended(engine: AsyncEngine) -> None:
    how = ("ok", "ok", "refused", "error", "late", "working")
    await keep(
        engine,
        *call("CA1"),
        *(tool("CA1", seq, status=status, ms=100 * seq) for seq, status in enumerate(how)),
        tool("CA1", 9, "look"),
        tool("CA0", 0, "of a call that is not in the period"),
        *(transfer("CA1", seq, "sales", result) for seq, result in enumerate(("busy", "busy", "accepted", ""))),
    )
    await date_tools(engine)
    found = await stats(engine, TWO_DAYS)
    assert found.tools == [
        Tool("book", Waits(5, 200.0, 380.0), refused=1, failed=2, working=1),
        Tool("look", Waits(1, 100.0, 100.0), refused=0, failed=0, working=0),
    ]
    assert found.transfers == [Transfers("sales", {"busy": 2, "": 1, "accepted": 1})]


async def test_a_tool_call_is_dated_as_it_is_written_and_belongs_to_its_calls_day(engine: AsyncEngine) -> None:
    async with engine.connect() as connection:
        now: datetime = (await connection.execute(text("SELECT now()"))).scalar_one()
    await keep(
        engine, *call("CA1", now - timedelta(minutes=3)), tool("CA1", 0), transfer("CA1", 0, "sales", "busy", now)
    )
    before = Wish((now - timedelta(minutes=9), now - timedelta(minutes=1)))
    after = Wish((now - timedelta(minutes=1), now + timedelta(minutes=9)))
    assert [row.name for row in (await stats(engine, before)).tools] == ["book"]
    assert [row.desk for row in (await stats(engine, before)).transfers] == ["sales"]
    assert (await stats(engine, after)).tools == []
    assert (await stats(engine, after)).transfers == []


async def test_waits_are_kept_and_go_on_in_another_process(engine: AsyncEngine) -> None:
    await keep(engine, *call("CA1", turn_ms=(700, 20)))
    row, record = await CallStore(engine).call("CA1"), await CallStore(engine).recall("CA1")
    assert row is not None
    assert record is not None
    assert (row.turn_ms, record.turn_ms) == ((700, 20), [700, 20])


@pytest.mark.parametrize("name", ["'; DROP TABLE calls; --", "%", "ü" * 200])
async def test_whatever_is_wished_for_is_only_a_name(engine: AsyncEngine, name: str) -> None:
    await keep(engine, *call("CA1", mode=name), *call("CA2"))
    assert (await stats(engine, Wish(TWO_DAYS.edges, mode=name))).total.calls == 1
    assert (await stats(engine, Wish(TWO_DAYS.edges, model=name))).total.calls == 0
