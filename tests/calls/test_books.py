"""The books and the caller's ear: milliseconds, milestones and rows against what the carrier really played."""

import asyncio

from app.sim.carrier_call import CarrierCall
from tests.calls.conversations import BYE, GREETING, HOURS, OPEN, TALK, spoken
from tests.calls.line import Line
from tests.calls.product import Product, new_number

ORDER = [
    "webhook_accepted",
    "stream_started",
    "model_ready",
    "first_audio_sent",
    "first_caller_speech",
    "tool_called",
    "call_closed",
]
NEAR_MS = 300


async def _cuts_in(house: Product, number: str, after_ms: int) -> CarrierCall:
    """A caller cuts into the greeting, hears the answer, and says goodbye."""
    house.model.register(TALK, number=number)
    line = Line()
    call = await house.dial(line, number)
    await line.hears(after_ms)
    line.say(spoken(HOURS))
    await line.until(lambda: bool(call.log.of("clear")), "a clear")
    await line.hears_more(1500)
    await line.hears_silence()
    line.say(spoken(BYE))
    await call.finished()
    assert call.ended_by == "server"
    assert call.log.codes() == []
    await house.closed(call.call_sid)
    return call


async def test_the_books_agree_with_the_caller_s_ear_and_with_the_model(house: Product) -> None:
    numbers = {new_number(): after_ms for after_ms in (600, 2500)}
    calls = await asyncio.gather(*(_cuts_in(house, number, ms) for number, ms in numbers.items()))
    for call, number in zip(calls, numbers, strict=True):
        await _cut_turn_is_what_was_heard(house, call, number)
        await _row_is_whole(house, call, number)


async def _cut_turn_is_what_was_heard(house: Product, call: CarrierCall, number: str) -> None:
    (stream,) = call.streams
    cleared = stream.playout.clears[0]
    greeted = [played for played in stream.played if played.at_ms <= cleared.at_ms]
    heard_ms = sum(len(played.audio) for played in greeted) / 8
    turns = await house.store.turns(call.call_sid)
    greeting, question, answer, *_ = turns
    assert GREETING.startswith(greeting.generated_text), "what the model got out before it was stopped"
    assert greeting.generated_text.startswith(greeting.heard_text)
    assert len(greeting.heard_text) < len(greeting.generated_text)
    assert abs((greeting.end_ms - greeting.start_ms) - heard_ms) < NEAR_MS
    (session,) = house.sessions_of(number)
    (cut,) = [event for event in session.received if event["type"] == "conversation.item.truncate"]
    assert abs(cut["audio_end_ms"] - heard_ms) < NEAR_MS, "the model thinks so too"
    assert (question.who, question.generated_text) == ("caller", HOURS)
    assert (answer.generated_text, answer.heard_text) == (OPEN, OPEN)
    assert [turn.who for turn in turns] == ["agent", "caller", "agent", "caller", "agent"]
    starts = [turn.start_ms for turn in turns]
    assert starts == sorted(starts)


async def test_the_milestones_of_a_call_come_back_in_the_order_in_which_they_happened(house: Product) -> None:
    calls = await asyncio.gather(*(_cuts_in(house, new_number(), 600) for _ in range(8)))
    for call in calls:
        milestones = await house.store.milestones(call.call_sid)
        names = [milestone.name for milestone in milestones]
        assert [name for name in dict.fromkeys(names) if name in ORDER] == ORDER, [
            (milestone.name, str(milestone.at)) for milestone in milestones
        ]


async def _row_is_whole(house: Product, call: CarrierCall, number: str) -> None:
    row = await house.store.call(call.call_sid)
    assert row is not None
    assert (row.mode, row.direction, row.from_number, row.to_number) == (
        "receptionist",
        "inbound",
        number,
        "+14155550199",
    )
    assert (row.outcome, row.greeting_path) == ("completed", "prepared")
    assert row.ended_at is not None
    assert row.ended_at > row.started_at
    assert row.cost_usd is not None
    assert row.cost_usd > 0
    outcome = await house.store.outcome(call.call_sid)
    assert outcome is not None
    assert (outcome.kind, outcome.valid, outcome.fields["result"]) == ("receptionist", True, "answered")
    tools = await house.store.tool_calls(call.call_sid)
    assert [(tool.name, tool.status) for tool in tools] == [("opening_hours", "ok"), ("end_call", "ok")]
    assert "08:00 to 17:00" in tools[0].result
