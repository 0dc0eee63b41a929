"""Word to the business, over a real database and real sockets: told once, tried again by the clock, lost by no crash."""

import asyncio
from datetime import timedelta
from typing import Any

import msgspec
import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine
from structlog.testing import capture_logs

from app.adapters.deliveries import LEASE, RETRY_SECONDS, Finished
from app.adapters.finished_call import Message
from app.adapters.store import CallStore
from app.core.finished import CallFinished
from app.core.rows import Milestone
from app.core.standing import MissedCall, Voicemail
from tests.adapters.endpoints import endpoint, hangs, says, taken
from tests.adapters.rows import ended, started, writing
from tests.adapters.words import PUBLIC, Clock, courier, deliveries, does, finishes, rows

STATE = "SELECT state, attempts, status, why FROM deliveries"
BROKEN = says("500 Broken", b"no disk")


async def test_a_finished_call_is_told_once_to_each_endpoint(engine: AsyncEngine) -> None:
    clock = Clock()
    async with endpoint() as crm, endpoint() as till:
        one = courier(engine, clock, crm.webhook(), till.webhook(name="till"))
        await does(one)
        await finishes(engine, clock)
        await does(one)
        await finishes(engine, clock)  # the journal may write a row again
        await does(one)
        assert len(crm.received) == len(till.received) == 1
        assert crm.received[0].id != till.received[0].id
        told = crm.received[0].verified()
    assert await rows(engine, STATE) == [("sent", 1, 204, "")] * 2
    assert (told["type"], told["version"]) == ("call.finished", 1)
    msgspec.convert(told, Message)
    data = told["data"]
    assert data["link"] == f"{PUBLIC}/calls/CA1"
    assert (data["mode"], data["direction"], data["outcome"]) == ("receptionist", "inbound", "agent_ended")
    assert (data["from_number"], data["to_number"]) == ("+14155550133", "+14155550199")
    assert [(said["who"], said["text"]) for said in data["transcript"]] == [
        ("agent", "Hello,"),
        ("caller", "Book me in."),
    ]
    assert [(tool["arguments"], tool["result"], tool["status"]) for tool in data["tools"]] == [
        ({"day": "2026-11-25"}, {"result": "Done."}, "ok"),
        ("{nonsense", "", "refused"),
    ]
    assert data["result"] == {
        "kind": "receptionist", "fields": {"result": "booked", "name": ""}, "valid": True, "completed": [],
    }  # fmt: skip
    assert (data["figures"]["cost_usd"], data["figures"]["greeting_ms"]) == (0.0421, 180)


async def test_a_call_is_told_of_only_once_it_is_over_for_good(engine: AsyncEngine) -> None:
    """A stream that ends is not the call's end: a person may talk on, and the caller may be back."""
    clock = Clock()
    async with endpoint() as it, writing(engine) as journal:
        one = courier(engine, clock, it.webhook())
        await does(one)
        journal.put(started)
        journal.put(ended)
        assert await journal.flush()
        assert await does(one) == 0


async def test_an_endpoint_is_told_of_its_modes_alone_and_of_nothing_from_before_its_time(engine: AsyncEngine) -> None:
    clock = Clock()
    async with endpoint() as it:
        await finishes(engine, clock, "CA0")
        clock.moves(60)
        one = courier(engine, clock, it.webhook(modes=("csr",)))
        await does(one)
        await finishes(engine, clock, "CA1")
        await finishes(engine, clock, "CA2", mode="csr")
        await does(one)
        assert [received.verified()["data"]["call_sid"] for received in it.received] == ["CA2"]
    assert await rows(engine, "SELECT call_sid, told FROM finished_calls ORDER BY 1") == [
        ("CA0", True), ("CA1", True), ("CA2", True),
    ]  # fmt: skip


async def test_what_is_not_taken_is_tried_again_by_the_clock_and_is_dead_in_the_end(engine: AsyncEngine) -> None:
    clock = Clock()
    async with endpoint(BROKEN) as it:
        one = courier(engine, clock, it.webhook())
        await does(one)
        await finishes(engine, clock)
        await does(one)
        for attempt, wait in enumerate(RETRY_SECONDS, start=1):
            assert await rows(engine, STATE) == [("waiting", attempt, 500, "500: no disk")]
            clock.moves(wait - 1)
            assert await does(one) == 0, "not a moment too early"
            clock.moves(1)
            assert await does(one) == 1
        assert await rows(engine, STATE) == [("dead", len(RETRY_SECONDS) + 1, 500, "500: no disk")]
        clock.moves(86_400 * 7)
        assert await does(one) == 0
        assert len({received.id for received in it.received}) == 1, "a receiver can tell that it is the same message"
        assert len({received.body for received in it.received}) == 1
        assert all(received.verified() for received in it.received)


async def test_an_endpoint_that_comes_back_gets_what_it_missed(engine: AsyncEngine) -> None:
    clock = Clock()
    async with endpoint(BROKEN, BROKEN, taken) as it:
        one = courier(engine, clock, it.webhook())
        await does(one)
        await finishes(engine, clock)
        await does(one)
        for wait in RETRY_SECONDS[:2]:
            clock.moves(wait)
            await does(one)
    assert await rows(engine, STATE) == [("sent", 3, 204, "")]


@pytest.mark.parametrize("leaves", [True, False])
async def test_a_missed_call_is_told_of_with_the_message_that_comes_after_its_end(
    engine: AsyncEngine, leaves: bool
) -> None:
    """Whoever puts the phone down in the middle of a message has left one: its recording comes behind the final status."""
    clock = Clock()
    async with endpoint() as it, writing(engine) as journal:
        one = courier(engine, clock, it.webhook())
        await does(one)
        journal.put(MissedCall(call_sid="CA1", at=clock.now, why="nobody is there"))
        assert await journal.flush()
        await finishes(engine, clock)
        assert await does(one) == 1
        assert it.received == []
        if leaves:
            url = "https://api.twilio.com/Recordings/RE1"
            journal.put(Voicemail(recording_sid="RE1", call_sid="CA1", at=clock.now, url=url, seconds=12))
            assert await journal.flush()
        clock.moves(61)
        await does(one)
        (received,) = it.received
        data = received.verified()["data"]
        assert (data["missed"], [left["seconds"] for left in data["voicemails"]]) == (
            "nobody is there", [12] if leaves else [],
        )  # fmt: skip


async def test_calls_that_finished_while_nobody_wanted_word_are_no_news_to_an_endpoint_that_comes_back(
    engine: AsyncEngine,
) -> None:
    clock = Clock()
    async with endpoint() as it:
        await does(
            courier(engine, clock, it.webhook())
        )  # and then it is taken out of the file, and nobody looks any more
        await finishes(engine, clock, "CA1")
        clock.moves(30 * 86_400)
        await finishes(engine, clock, "CA2")
        again = courier(engine, clock, it.webhook())
        await does(again)
        assert [received.verified()["data"]["call_sid"] for received in it.received] == ["CA2"]
        clock.moves(100 * 86_400)
        await finishes(engine, clock, "CA3")
        clock.moves(100 * 86_400)
        await deliveries(engine, clock).forget()
    assert await rows(engine, "SELECT call_sid FROM finished_calls") == [], "told or not"


async def test_an_endpoint_that_is_taken_out_of_the_file_is_sent_nothing_more_and_keeps_what_waited(
    engine: AsyncEngine,
) -> None:
    clock = Clock()
    async with endpoint(BROKEN) as crm, endpoint() as till:
        both = courier(engine, clock, crm.webhook(), till.webhook(name="till"))
        await does(both)
        await finishes(engine, clock)
        await does(both)
        without = courier(engine, clock, till.webhook(name="till"))
        clock.moves(86_400)
        await does(without)
        assert len(crm.received) == 1
        crm.manners = [taken]
        await does(courier(engine, clock, crm.webhook()))
        assert len(crm.received) == 2
    assert {row.state for row in await rows(engine, STATE)} == {"sent"}


async def test_an_endpoint_that_hangs_holds_up_no_other(engine: AsyncEngine) -> None:
    clock = Clock()
    async with endpoint(hangs) as slow, endpoint() as quick:
        one = courier(engine, clock, slow.webhook(name="slow"), quick.webhook(name="quick"), seconds=30.0)
        await does(one)
        await finishes(engine, clock, *(f"CA{number}" for number in range(12)))
        try:
            async with asyncio.timeout(15):
                while len(quick.received) < 12:
                    await one.turn()
                    await asyncio.sleep(0.02)
        finally:
            assert len(slow.received) <= 4, "so many places has an endpoint"
            for task in list(one._tasks):
                task.cancel()
            await one.idle()


async def test_410_switches_an_endpoint_off_until_somebody_asks_for_it_again(engine: AsyncEngine) -> None:
    clock = Clock()
    async with endpoint(BROKEN, says("410 Gone"), taken) as it:
        one, table = courier(engine, clock, it.webhook()), deliveries(engine, clock)
        await does(one)
        await finishes(engine, clock, "CA1")
        await does(one)
        await finishes(engine, clock, "CA2")
        with capture_logs() as logs:
            await does(one)
        assert [entry["log_level"] for entry in logs if "switched off" in entry["event"]] == ["error"]
        await finishes(engine, clock, "CA3")
        clock.moves(86_400)
        await does(one)
        assert len(it.received) == 2
        assert {row.state for row in await rows(engine, STATE)} == {"off"}
        assert list(await table.switched_off()) == ["crm"]
        assert len(await table.again(endpoint="crm")) == 3
        await does(one)
        assert {row.state for row in await rows(engine, STATE)} == {"sent"}
        assert await table.switched_off() == {}


async def test_a_process_that_dies_over_an_attempt_leaves_it_to_another_under_the_same_id(engine: AsyncEngine) -> None:
    clock = Clock()
    async with endpoint(hangs, taken) as it:
        dies, other = courier(engine, clock, it.webhook(), seconds=60.0), courier(engine, clock, it.webhook())
        await does(other)
        await finishes(engine, clock)
        while not it.received:
            await dies.turn()
            await asyncio.sleep(0.02)
        for task in list(dies._tasks):
            task.cancel()
        await dies.idle()
        assert await does(other) == 0, "it may still be at work"
        clock.moves(LEASE.total_seconds())
        assert await does(other) == 1
        assert it.received[0].id == it.received[1].id
    assert await rows(engine, STATE) == [("sent", 2, 204, "")]


async def test_a_process_that_dies_between_the_call_s_end_and_its_deliveries_leaves_them_to_another(
    engine: AsyncEngine,
) -> None:
    clock = Clock()
    async with endpoint() as it:
        other = courier(engine, clock, it.webhook())
        await does(other)
        await finishes(engine, clock)
        assert len(await deliveries(engine, clock).finished(10)) == 1  # taken up, and then no more is heard of it
        assert await does(other) == 0
        clock.moves(LEASE.total_seconds())
        await does(other)
        assert len(it.received) == 1


async def test_a_late_process_neither_tells_twice_nor_overrules_what_came_of_an_attempt(engine: AsyncEngine) -> None:
    clock, table = Clock(), deliveries(engine, Clock())
    table._now = clock
    await table.introduce(["crm"])
    await finishes(engine, clock)
    (call,) = await table.finished(10)
    clock.moves(LEASE.total_seconds())
    (same,) = await table.finished(10)
    assert same.tries == 2
    assert await table.tell(same, [("crm", "call.finished")], "{}") == 1
    assert await table.tell(call, [("crm", "call.finished")], "{}") == 0
    (first,) = await table.claim("crm", 10)
    clock.moves(LEASE.total_seconds())
    (second,) = await table.claim("crm", 10)
    await table.sent(second, 200)
    await table.failed(first, 0, "no answer within 15 s")
    assert await rows(engine, STATE) == [("sent", 2, 200, "")]


async def test_many_processes_share_the_work_and_each_message_is_sent_once(engine: AsyncEngine) -> None:
    clock = Clock()
    async with endpoint() as it:
        houses = [courier(engine, clock, it.webhook()) for _ in range(4)]
        await asyncio.gather(*(does(house) for house in houses))
        calls = [f"CA{number:02d}" for number in range(30)]
        await finishes(engine, clock, *calls)
        while len(it.received) < len(calls):
            await asyncio.gather(*(does(house) for house in houses))
        assert sorted(received.verified()["data"]["call_sid"] for received in it.received) == calls
    assert await rows(engine, "SELECT DISTINCT state, attempts FROM deliveries") == [("sent", 1)]


async def test_a_call_whose_process_left_no_word_is_told_of_by_its_end_and_by_its_age(engine: AsyncEngine) -> None:
    clock = Clock()
    books = CallStore(engine)
    async with writing(engine) as journal:
        for call_sid in ("CA1", "CA2"):
            journal.put(msgspec.structs.replace(started, call_sid=call_sid, started_at=clock.now))
    await books.close_lost(call_sid="CA1")
    await books.close_lost(call_sid="CA9")
    found = await rows(engine, "SELECT call_sid, written, due_at > at FROM finished_calls")
    assert found == [("CA1", None, True)], "it waits a minute for rows that are on somebody's disk"
    hours = "UPDATE calls SET started_at = now() - interval '7 hours', ended_at = now() - interval '6 hours' WHERE call_sid = 'CA2'"
    async with engine.begin() as connection:
        await connection.execute(text(hours))
    await books.close_lost(started_before=clock.now.replace(year=2000))
    assert await rows(engine, "SELECT call_sid FROM finished_calls ORDER BY 1") == [("CA1",), ("CA2",)]
    async with endpoint() as it:
        one = courier(engine, clock, it.webhook())
        await deliveries(engine, Past(clock)).introduce(["crm"])
        await does(one)
        told: dict[str, Any] = {
            received.verified()["data"]["call_sid"]: received.verified()["data"] for received in it.received
        }
    assert {sid: call["outcome"] for sid, call in told.items()} == {"CA1": "lost", "CA2": "abandoned"}


class Past(Clock):
    """A day before another clock."""

    def __init__(self, clock: Clock) -> None:
        self.now = clock.now
        self.moves(-86_400)


async def test_dead_letters_are_sent_again_by_hand_and_old_ones_are_forgotten(engine: AsyncEngine) -> None:
    clock = Clock()
    async with endpoint(BROKEN, taken) as it:
        one, table = courier(engine, clock, it.webhook()), deliveries(engine, clock)
        await does(one)
        await finishes(engine, clock)
        await does(one)
        async with engine.begin() as connection:
            await connection.execute(text("UPDATE deliveries SET state = 'dead', attempts = 10"))
        (dead,) = await table.all(("dead",), 10)
        assert await table.again(ids=[dead.id, "msg_none"]) == [dead.id]
        assert await does(one) == 1
        assert await table.counts() == {("crm", "sent"): 1}
        clock.moves(86_400 * 29)
        assert await table.forget() == 0
        clock.moves(86_400 * 2)
        assert await table.forget() == 1


@pytest.mark.parametrize("outage", ["gone", "back"])
async def test_without_postgres_the_courier_waits_and_says_so_once(engine: AsyncEngine, outage: str) -> None:
    clock = Clock()
    async with endpoint() as it:
        one = courier(engine, clock, it.webhook())

        async def refuses(most: int) -> list[Finished]:
            raise OSError("connection refused")

        table, finished = one.deliveries, one.deliveries.finished
        table.finished = refuses  # type: ignore[method-assign]
        with capture_logs() as logs:
            running = asyncio.create_task(one.run())
            async with asyncio.timeout(5):
                while not logs:  # noqa: ASYNC110  a log is no event
                    await asyncio.sleep(0.01)
            if outage == "back":
                table.finished = finished  # type: ignore[method-assign]
                await finishes(engine, clock)
                one._wake.set()
                await it.gets(1)
            running.cancel()
            await asyncio.gather(running, return_exceptions=True)
        assert [entry["event"] for entry in logs].count("courier.waits_for_postgres") == 1


async def test_a_call_that_another_process_took_up_is_told_of_when_that_one_has_ended_it(engine: AsyncEngine) -> None:
    clock = Clock()
    async with endpoint() as it, writing(engine) as journal:
        one = courier(engine, clock, it.webhook())
        await does(one)
        await finishes(engine, clock)
        went_on = ended.ended_at + timedelta(seconds=4)
        journal.put(Milestone(call_sid="CA1", name="stream_started", at=went_on))
        assert await journal.flush()
        await one.turn()
        await one.idle()
        assert it.received == []
        journal.put(msgspec.structs.replace(ended, ended_at=went_on + timedelta(seconds=60)))
        journal.put(CallFinished(call_sid="CA1", at=clock.now, written=("result", "name")))
        assert await journal.flush()
        await does(one)
        assert len(it.received) == 1
        assert it.received[0].verified()["data"]["ended_at"] > went_on.isoformat()
    assert await rows(engine, "SELECT written, told FROM finished_calls") == [(["result", "name"], True)]
