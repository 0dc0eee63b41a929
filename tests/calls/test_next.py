"""What follows a stream: the talk goes on, a person is dialled, the caller comes back, or it is over. Whole calls."""

import asyncio
import json

from app.sim.carrier_call import CarrierCall
from app.sim.model_session import Session
from tests.calls.conversations import BYE, HOURS, PERSON, TALK, spoken
from tests.calls.line import Line
from tests.calls.product import PERSON as PERSONS_NUMBER
from tests.calls.product import Product, eventually, new_number


def told(session: Session) -> str:
    """Every text that a session was given, beside its configuration."""
    return json.dumps([event for event in session.received if event["type"] == "conversation.item.create"])


async def _talk(house: Product, number: str, **options: object) -> tuple[CarrierCall, Line]:
    house.model.register(TALK, number=number)
    line = Line()
    call = await house.dial(line, number, **options)
    await line.hears(1000)
    return call, line


async def _cut(call: CarrierCall, line: Line) -> None:
    """The network loses the stream; wait until the carrier has noticed."""
    assert call.stream is not None
    call.stream.cut()
    await line.until(lambda: not line.live, "the end of a cut stream")


async def test_what_follows_a_stream_is_what_the_talk_came_to(house: Product) -> None:
    """Several calls side by side: each takes its ten to twenty seconds."""
    reasons = {"busy": "the line is busy", "no-answer": "nobody answered", "failed": "did not go through"}
    await asyncio.gather(
        _a_talk_whose_socket_broke_goes_on_where_it_was(house),
        *(_a_caller_whom_nobody_takes_is_back_with_an_agent_who_knows(house, *reason) for reason in reasons.items()),
        _a_caller_who_was_put_through_is_let_go_when_the_person_hangs_up(house),
    )


async def _a_talk_whose_socket_broke_goes_on_where_it_was(house: Product) -> None:
    number = new_number()
    call, line = await _talk(house, number)
    await line.hears_silence()
    line.say(spoken(HOURS))
    await line.hears_more(1000)
    await _cut(call, line)
    await line.hears(300, stream=2)
    await line.hears_silence()
    line.say(spoken(BYE))
    await call.finished()
    assert call.ended_by == "server"
    assert len(call.streams) == 2
    first, second = house.sessions_of(number)
    assert "interrupted" not in told(first)
    assert "The line was interrupted" in told(second)
    assert HOURS in told(second), "what was said before"
    await house.closed(call.call_sid, streams=2)
    rows = await house.rows("SELECT outcome FROM calls WHERE call_sid = :sid", sid=call.call_sid)
    assert [row.outcome for row in rows] == ["completed"]
    turns = await house.store.turns(call.call_sid)
    assert [turn.seq for turn in turns] == list(range(len(turns))), "one call, one numbering"
    assert [turn.generated_text for turn in turns if turn.who == "caller"] == [HOURS, BYE]


async def test_a_line_that_breaks_again_and_again_is_resumed_three_times_and_then_put_through(house: Product) -> None:
    number = new_number()
    call, line = await _talk(house, number)
    for stream in range(1, 5):
        await line.hears(200, stream=stream)
        await _cut(call, line)
    await call.finished()
    assert len(call.streams) == 4
    assert line.verbs == ["Connect"] * 4 + ["Say", "Dial", "Hangup"]
    assert [entry.detail["to"] for entry in call.log.of("dial")] == [PERSONS_NUMBER]
    assert "sorry" in line.said[0].lower()


async def _a_caller_whom_nobody_takes_is_back_with_an_agent_who_knows(house: Product, result: str, why: str) -> None:
    number = new_number()
    call, line = await _talk(house, number, dial_results=[result])
    await line.hears_silence()
    line.say(spoken(PERSON))
    await line.hears(1000, stream=2)
    await line.hears_silence()
    line.say(spoken(BYE))
    await call.finished()
    assert call.ended_by == "server"
    assert line.verbs[:3] == ["Connect", "Dial", "Connect"]
    first, second = house.sessions_of(number)
    assert why in told(second)
    assert "billing" in told(second)
    assert PERSON in told(second)
    assert why not in told(first)
    await house.closed(call.call_sid, streams=2)
    names = [milestone.name for milestone in await house.store.milestones(call.call_sid)]
    assert f"dialled_{result}" in names


async def _a_caller_who_was_put_through_is_let_go_when_the_person_hangs_up(house: Product) -> None:
    number = new_number()
    call, line = await _talk(house, number, dial_results=["completed"])
    await line.hears_silence()
    line.say(spoken(PERSON))
    await call.finished()
    assert line.verbs == ["Connect", "Dial", "Hangup"]
    assert [entry.detail["to"] for entry in call.log.of("dial")] == [PERSONS_NUMBER]
    assert call.log.codes() == []

    async def on_record() -> bool:
        outcome = await house.store.outcome(call.call_sid)
        return outcome is not None and outcome.fields["result"] == "transferred"

    await eventually(on_record, "a transfer on record")
    row = await house.store.call(call.call_sid)
    assert row is not None
    assert row.outcome == "transferred"


async def test_a_caller_who_hangs_up_at_any_moment_leaves_nothing_behind(house: Product) -> None:
    """While it rings, as the stream begins, in the greeting, while speaking, while a person is dialled."""

    async def leaves(moment: str) -> None:
        number = new_number()
        house.model.register(TALK, number=number)
        line = Line()
        call = await house.dial(line, number, dial_results=["no-answer"])
        if moment != "ringing":
            await line.until(lambda: bool(line.heard_on), "a stream")
        if moment in ("greeting", "speaking", "dialling"):
            await line.hears(500)
        if moment in ("speaking", "dialling"):
            await line.hears_silence()
            line.say(spoken(PERSON))
        if moment == "speaking":
            await line.until(lambda: any(s.ears.speaking for s in house.sessions_of(number)), "the caller be heard")
        if moment == "dialling":
            await line.until(lambda: "Dial" in line.verbs, "a dial")
        await call.hang_up()
        assert call.ended_by == "caller", moment
        async with asyncio.timeout(10):
            for session in house.sessions_of(number):
                await session.over.wait()

    before = (await house.figures())["offhook_calls_live"]
    await asyncio.gather(*(leaves(m) for m in ("ringing", "starting", "greeting", "speaking", "dialling")))
    assert (await house.figures())["offhook_calls_live"] == before
