"""Calls are found by each filter, page by page both ways, whatever comes meanwhile and whatever is typed."""

from collections.abc import Sequence
from contextlib import suppress
from datetime import UTC, datetime, timedelta

import pytest
from msgspec.structs import replace
from sqlalchemy.ext.asyncio import AsyncEngine

from app.adapters import ledger_queries
from app.adapters.ledger_queries import Edge, Ledger, Wanted
from app.adapters.store import Call
from app.core.rows import CallEnded, CallStarted, DebugEvent, Row, Turn
from app.core.standing import MissedCall
from app.errors import AskedWrongly
from tests.adapters.rows import NOON, ended, started, turn, writing

CallRow = CallStarted | CallEnded | Turn


def call(number: int, words: str = "Hello.", **changes: object) -> list[CallRow]:
    """The n-th call, n minutes after noon. Changes go to whichever of its rows has such a field."""
    sid = f"CA{number:03d}"
    at = NOON + timedelta(minutes=number)

    def changed(row: CallRow) -> CallRow:
        return replace(row, **{name: value for name, value in changes.items() if name in row.__struct_fields__})

    over = replace(ended, call_sid=sid, ended_at=at, slowest_turn_ms=600, cuts=0, failed_tools=0)
    begun = replace(started, call_sid=sid, started_at=at)
    return [changed(begun), changed(over), changed(turn(0, words, call_sid=sid))]


async def keep(engine: AsyncEngine, *rows: Sequence[Row]) -> Ledger:
    async with writing(engine) as journal:
        for each in rows:
            for row in each:
                journal.put(row)
        await journal.flush()
    return Ledger(engine)


def sids(calls: list[Call]) -> list[str]:
    return [call.call_sid for call in calls]


async def found(ledger: Ledger, **wanted: object) -> list[str]:
    return sids((await ledger.page(Wanted(**wanted))).calls)  # type: ignore[arg-type]


async def test_each_filter_finds_its_calls_newest_first(engine: AsyncEngine) -> None:
    ledger = await keep(
        engine,
        call(1, mode="ivr"),
        call(2, outcome="failed"),
        call(3, slowest_turn_ms=2000, from_number="+442079460123"),
        call(4, cuts=2),
        call(5, failed_tools=1),
        [MissedCall(call_sid="CA003", at=NOON, why="no model, and no person was free")],
        call(6, direction="outbound", from_number="+14155550199", to_number="+14155559876"),
    )
    assert await found(ledger) == ["CA006", "CA005", "CA004", "CA003", "CA002", "CA001"]
    assert await found(ledger, mode="ivr") == ["CA001"]
    assert await found(ledger, outcome="failed") == ["CA002"]
    assert await found(ledger, slow=True) == ["CA003"]
    assert await found(ledger, cut=True) == ["CA004"]
    assert await found(ledger, failed=True) == ["CA005", "CA002"]
    assert await found(ledger, failed=True, outcome="failed") == ["CA002"]
    assert await found(ledger, missed=True) == ["CA003"]
    assert await found(ledger, missed=True, cut=True) == []
    assert await found(ledger, number="+44 20 7946 0123") == ["CA003"]
    assert await found(ledger, number="0123") == ["CA003"]
    assert await found(ledger, number="9876") == ["CA006"], "who was rung is the other end of an outbound call"
    assert await found(ledger, number="0199") == [], "our own number is the other end of none"
    assert await found(ledger, since=NOON + timedelta(minutes=3), until=NOON + timedelta(minutes=5)) == [
        "CA004",
        "CA003",
    ]
    assert await ledger.known("mode") == ["ivr", "receptionist"]
    assert await ledger.known("outcome") == ["agent_ended", "failed"]


async def test_a_call_that_goes_on_and_one_of_before_the_figures_are_found_and_break_no_filter(
    engine: AsyncEngine,
) -> None:
    old = replace(ended, call_sid="CA002")
    async with writing(engine) as journal:
        journal.put(replace(started, call_sid="CA001"))
        journal.put(replace(started, call_sid="CA002", started_at=NOON + timedelta(seconds=1)))
        journal.put(old)
        await journal.flush()
    ledger = Ledger(engine)
    assert await found(ledger) == ["CA002", "CA001"]
    assert await found(ledger, slow=True) == await found(ledger, cut=True) == await found(ledger, failed=True) == []


@pytest.mark.parametrize("few", [ledger_queries.FEW_HITS, -1], ids=["few hits", "many hits"])
async def test_words_are_found_whole_together_as_a_phrase_and_left_out(
    engine: AsyncEngine, few: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ledger_queries, "FEW_HITS", few)
    ledger = await keep(
        engine,
        call(1, "I want to cancel my order, number 4711."),
        call(2, "My order is late. Please do not cancel."),
        call(3, "Grüß Gott, ich möchte bestellen.", mode="ivr"),
    )
    assert await found(ledger, words="cancel") == ["CA002", "CA001"]
    assert await found(ledger, words='"cancel my order"') == ["CA001"]
    assert await found(ledger, words="order cancel 4711") == ["CA001"]
    assert await found(ledger, words="order -late") == ["CA001"]
    assert await found(ledger, words="late or BESTELLEN") == ["CA003", "CA002"]
    assert await found(ledger, words="möchte", mode="ivr") == ["CA003"]
    assert await found(ledger, words="can") == [], "a part of a word is another word"


@pytest.mark.parametrize(
    "hostile", ["'; DROP TABLE calls; --", "<->", "a & | !b:*", "\\", "%%_", "x\x00y", "\ud800", "💥" * 100]
)
async def test_hostile_words_are_looked_for_or_refused_and_break_nothing(engine: AsyncEngine, hostile: str) -> None:
    ledger = await keep(engine, call(1, f"{hostile.encode('utf-8', 'replace').decode()} there"))
    with suppress(AskedWrongly):
        assert set(await found(ledger, words=hostile)) <= {"CA001"}
    assert await found(ledger, words="there") == ["CA001"]


@pytest.mark.parametrize(
    ("wanted", "complaint"),
    [
        ({"words": "-late"}, "expected a word"),
        ({"words": "..."}, "expected a word"),
        ({"words": "a " * 101}, "at most 200 characters"),
        ({"number": "123"}, "last 4 digits or more"),
        ({"number": "1%23_4"}, "expected a number"),
        ({"number": "1" * 16}, "expected a number"),
    ],
)
async def test_what_cannot_be_looked_for_is_refused_with_what_is_expected(
    engine: AsyncEngine, wanted: dict[str, str], complaint: str
) -> None:
    with pytest.raises(AskedWrongly, match=complaint):
        await Ledger(engine).page(Wanted(**wanted))  # type: ignore[arg-type]


async def test_a_turn_of_a_megabyte_is_kept_all_the_same_and_found_by_its_beginning(engine: AsyncEngine) -> None:
    words = " ".join(f"word{n}" for n in range(150_000))
    ledger = await keep(engine, call(1, words))
    assert await found(ledger, words="word7") == ["CA001"]
    assert await found(ledger, words="word149999") == []


async def test_pages_go_both_ways_and_rows_that_come_meanwhile_move_nothing(engine: AsyncEngine) -> None:
    ledger = await keep(engine, *(call(number) for number in range(10, 17)))
    first = await ledger.page(Wanted(), size=3)
    assert (sids(first.calls), first.newer, first.older) == (["CA016", "CA015", "CA014"], False, True)
    await keep(engine, call(20), call(12 + 100), call(1))
    second = await ledger.page(Wanted(), Edge(first.calls[-1].started_at, "CA014"), 3)
    assert (sids(second.calls), second.newer, second.older) == (["CA013", "CA012", "CA011"], True, True)
    last = await ledger.page(Wanted(), Edge(second.calls[-1].started_at, "CA011"), 3)
    assert (sids(last.calls), last.newer, last.older) == (["CA010", "CA001"], True, False)
    back = await ledger.page(Wanted(), Edge(second.calls[0].started_at, "CA013", newer=True), 3)
    assert (sids(back.calls), back.newer, back.older) == (["CA016", "CA015", "CA014"], True, True)
    top = await ledger.page(Wanted(), Edge(back.calls[0].started_at, "CA016", newer=True), 3)
    assert (sids(top.calls), top.newer, top.older) == (["CA112", "CA020"], False, True)


async def test_calls_of_one_moment_are_neither_lost_nor_shown_twice(engine: AsyncEngine) -> None:
    ledger = await keep(engine, *(call(number, started_at=NOON) for number in range(1, 8)))
    seen: list[str] = []
    edge = None
    while True:
        page = await ledger.page(Wanted(), edge, 2)
        seen += sids(page.calls)
        if not page.older:
            break
        edge = Edge(page.calls[-1].started_at, page.calls[-1].call_sid)
    assert seen == [f"CA{number:03d}" for number in range(7, 0, -1)]


async def test_an_export_has_every_call_once_whatever_the_size_of_its_pieces(
    engine: AsyncEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    ledger = await keep(engine, *(call(number, mode="ivr" if number % 2 else "csr") for number in range(1, 10)))
    monkeypatch.setattr(ledger_queries, "AT_ONCE", 2)
    assert [one.call_sid async for one in ledger.each(Wanted(mode="ivr"))] == [
        "CA009",
        "CA007",
        "CA005",
        "CA003",
        "CA001",
    ]


async def test_raw_events_come_in_order_piece_by_piece(engine: AsyncEngine) -> None:
    base = datetime(2026, 11, 1, tzinfo=UTC)
    async with writing(engine) as journal:
        for number in range(5):
            at = base + timedelta(seconds=number)
            journal.put(DebugEvent(call_sid="CA1", at=at, source="model", event={"number": number}))
        journal.put(DebugEvent(call_sid="CA2", at=base, source="model", event={"number": 99}))
        await journal.flush()
    ledger = Ledger(engine)
    assert [row.event["number"] for row in await ledger.raw_events("CA1", limit=3)] == [0, 1, 2]
    assert [row.event["number"] for row in await ledger.raw_events("CA1", skip=3, limit=3)] == [3, 4]
