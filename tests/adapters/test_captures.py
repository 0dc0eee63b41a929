"""What callers gave is in the books: written again as it grows, and counted on in another process."""

from sqlalchemy.ext.asyncio import AsyncEngine

from app.adapters.store import CallStore
from app.core.record import Capture
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
