"""How a call stands is kept for another process: the latest wins, but not of one that lost the call. A ticket is used once."""

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any, cast

import msgspec
from sqlalchemy.ext.asyncio import AsyncEngine

from app.adapters.claims import Claims
from app.adapters.database import make_engine
from app.adapters.store import CallStore
from app.calls.live_call import LiveCall
from app.calls.standing import restore, standing
from app.calls.takeover import briefing
from app.core import effects as do
from app.core.rows import Capture
from app.core.standing import MissedCall, Standing, Voicemail
from tests.adapters.rows import started, writing
from tests.house.test_live_call import INFO, Board, a_call, warm

NOW = datetime(2026, 11, 23, 16, 0, tzinfo=UTC)


def row(streams: int, at: int, owner: str) -> Standing:
    return Standing(
        call_sid="CA1", at=NOW + timedelta(seconds=at), owner=owner, streams=streams, tickets=streams, state={}
    )


async def test_a_process_that_has_lost_a_call_does_not_write_over_the_one_that_has_it(engine: AsyncEngine) -> None:
    async with writing(engine) as journal:
        for one in (row(1, 0, "a"), row(2, 1, "b"), row(1, 2, "a"), row(2, 3, "b"), row(2, 2, "a")):
            journal.put(one)
        await journal.flush()
    assert await CallStore(engine).standing("CA1") == row(2, 3, "b")
    assert await CallStore(engine).owners(["CA1", "CA2"]) == {"CA1": "b"}


async def test_a_call_is_put_back_to_where_another_process_had_it(engine: AsyncEngine) -> None:
    call, _ = a_call(warm())
    call.streams, call.tickets, call.apologised, call.menu_dials = 2, 3, True, 1
    call.record.cost_usd, call.record.outcome, call.record.turn_ms = 0.25, {"day": NOW, "name": "Baker"}, [900, 700]
    call.record.caller_turns, call.record.flow_failures = 4, 1
    call.info = msgspec.structs.replace(call.info, fields={"invoice": 7})
    async with writing(engine) as journal:
        journal.put(standing(call, "a", NOW))
        await journal.flush()
    kept = await CallStore(engine).standing(INFO.call_sid)
    assert kept is not None
    other = LiveCall(cast(Any, Board()), INFO, call.mode)
    restore(other, kept)
    assert (other.streams, other.tickets, other.apologised, other.menu_dials) == (2, 3, True, 1)
    assert other.next == call.next, "who is to be dialled, and what they are told"
    assert other.next.step == "dial"
    assert other.record.outcome == {"day": "2026-11-23T16:00:00Z", "name": "Baker"}
    assert (other.record.cost_usd, other.record.turn_ms, other.record.caller_turns) == (0.25, [900, 700], 4)
    assert other.info.fields == {"invoice": 7}


def test_what_another_version_wrote_is_read_as_far_as_it_can_be() -> None:
    call, _ = a_call(do.PutThrough("billing", "x"))
    later = {"next": {"step": "resume", "more": 1}, "new": True, "record": {"cost_usd": 1, "turn_ms": "?", "other": 2}}
    restore(call, Standing(call_sid="CA1", at=NOW, owner="b", streams=1, tickets=2, state=later))
    assert (call.next.step, call.tickets, call.record.cost_usd, call.record.turn_ms) == ("resume", 2, 1.0, [])
    restore(call, Standing(call_sid="CA1", at=NOW, owner="b", streams=1, tickets=2, state={"next": 5}))
    assert call.next.step == "resume"


async def test_a_ticket_is_used_once_by_whoever_comes_first(engine: AsyncEngine) -> None:
    claims = Claims(engine)
    answers = await asyncio.gather(*(claims.first("t1", by) for by in "abcd"))
    assert sorted(map(str, answers)) == ["False", "False", "False", "True"]
    winner = "abcd"[answers.index(True)]
    assert await claims.first("t1", winner) is True, "asked again, as after an answer that was lost"
    assert await claims.first("t2", "z") is True
    assert await claims.forget(datetime.now(UTC) + timedelta(minutes=1)) == 2


async def test_books_that_do_not_answer_say_nothing_of_a_ticket() -> None:
    engine = make_engine("postgresql://127.0.0.1:1/nowhere")
    try:
        assert await Claims(engine).first("t1", "a", 0.3) is None
    finally:
        await engine.dispose()


async def test_the_model_is_told_what_was_given_and_done_in_another_process(engine: AsyncEngine) -> None:
    given = Capture(
        call_sid="CA1",
        seq=0,
        kind="name",
        argument="full_name",
        heard="b",
        value="Anna Baker",
        confirmed=True,
        failures=0,
    )
    async with writing(engine) as journal:
        journal.put(started)
        journal.put(given)
        await journal.flush()
    recalled = await CallStore(engine).recalled("CA1")
    assert recalled is not None
    assert briefing(recalled) == "The caller has given: full name: Anna Baker."


async def test_a_missed_call_and_its_message_are_one_row_each(engine: AsyncEngine) -> None:
    message = Voicemail(recording_sid="RE1", call_sid="CA1", at=NOW, url="https://x/RE1", seconds=3)
    async with writing(engine) as journal:
        for why in ("first", "second"):
            journal.put(MissedCall(call_sid="CA1", at=NOW, why=why))
        for seconds in (3, 4):
            journal.put(msgspec.structs.replace(message, seconds=seconds))
        await journal.flush()
    store = CallStore(engine)
    missed = await store.missed("CA1")
    assert missed is not None
    assert missed.why == "first"
    assert [kept.seconds for kept in await store.voicemails("CA1")] == [4]


async def test_who_has_a_call_is_asked_before_it_is_led_on_or_counted_as_over(engine: AsyncEngine) -> None:
    claims = Claims(engine)
    async with writing(engine) as journal:
        journal.put(row(1, 0, "b"))
        await journal.flush()
    assert (await claims.owner("CA1"), await claims.owner("CA2")) == ("b", "")
    away = make_engine("postgresql://127.0.0.1:1/nowhere")
    try:
        assert await Claims(away).owner("CA1") == ""
    finally:
        await away.dispose()
