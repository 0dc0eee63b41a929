"""What callers gave is in the books: written again as it grows, and counted on in another process."""

from typing import Literal

from sqlalchemy.ext.asyncio import AsyncEngine

from app.adapters.store import CallStore
from app.core.rows import Capture, ToolCall
from tests.adapters.rows import started, writing

HEARD = Capture(
    call_sid="CA1",
    seq=0,
    kind="phone",
    argument="phone",
    heard="four one five",
    value="",
    confirmed=False,
    failures=1,
)


async def test_a_capture_is_one_row_however_often_it_changes(engine: AsyncEngine) -> None:
    confirmed = Capture(
        call_sid="CA1",
        seq=0,
        kind="phone",
        argument="phone",
        heard="+14155550100",
        value="+14155550100",
        confirmed=True,
        failures=1,
    )
    async with writing(engine) as journal:
        journal.put(HEARD)
        journal.put(confirmed)
        await journal.flush()
    assert await CallStore(engine).captures("CA1") == [confirmed]


async def test_whatever_was_heard_can_be_stored(engine: AsyncEngine) -> None:
    odd = Capture(
        call_sid="CA1", seq=1, kind="name", argument="name", heard="A\x00\ud800", value="", confirmed=False, failures=1
    )
    async with writing(engine) as journal:
        journal.put(odd)
        await journal.flush()
    assert [row.heard for row in await CallStore(engine).captures("CA1")] == ["A?"]


async def test_a_call_goes_on_behind_its_captures_in_another_process(engine: AsyncEngine) -> None:
    async with writing(engine) as journal:
        journal.put(started)
        await journal.flush()
    first = await CallStore(engine).recall("CA1")
    async with writing(engine) as journal:
        journal.put(HEARD)
        await journal.flush()
    second = await CallStore(engine).recall("CA1")
    assert first is not None
    assert second is not None
    assert (first.captures, second.captures) == (0, 1)


async def test_what_was_done_in_another_process_is_counted_by_tool(engine: AsyncEngine) -> None:
    calls: list[tuple[str, Literal["ok", "late"]]] = [
        ("book", "ok"),
        ("book", "late"),
        ("cancel", "ok"),
        ("book", "ok"),
    ]
    async with writing(engine) as journal:
        journal.put(started)
        for seq, (name, status) in enumerate(calls):
            journal.put(
                ToolCall(call_sid="CA1", seq=seq, name=name, arguments="{}", result="", status=status, ms=1, start_ms=0)
            )
        await journal.flush()
    record = await CallStore(engine).recall("CA1")
    assert record is not None
    assert record.done_before == {"book": 2, "cancel": 1}
