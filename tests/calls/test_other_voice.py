"""Whole calls whose agent speaks in another house's voice: cut in on, answered, and lost in mid-sentence."""

import asyncio
from contextlib import AsyncExitStack
from typing import Any

from app.sim.carrier_call import CarrierCall
from app.sim.tts import Faults, TtsStandIn
from app.sim.tts_voice import speech
from tests.calls.conversations import BYE, GREETING, HOURS, OPEN, spoken
from tests.calls.line import Line
from tests.calls.product import Product, new_number, product
from tests.sim.booking_script import script

GOODBYE = "Thank you for calling. Goodbye."
KEY = "not a real key"
TALK = script(
    {"agent": GREETING},
    {"caller": HOURS, "tools": [{"name": "opening_hours"}], "agent": OPEN},
    {"caller": BYE, "preamble": GOODBYE, "tools": [{"name": "end_call"}]},
)
BREAKS_MS = 1600


async def test_a_call_in_another_house_s_voice_and_one_that_loses_it_in_mid_sentence() -> None:
    """Side by side, on one server: the voice is lost in the first call alone."""
    async with AsyncExitStack() as stack:
        tts = TtsStandIn(api_key=KEY, faults=Faults(breaks="torn", breaks_in=1, breaks_after_ms=BREAKS_MS))
        url = await tts.start()
        stack.push_async_callback(tts.close)
        house = await stack.enter_async_context(product(ELEVENLABS_URL=url, ELEVENLABS_API_KEY=KEY))
        losing, keeping = new_number(), new_number()
        lost_line, kept_line = Line(), Line()
        lost = await _dials(house, lost_line, losing)
        await lost_line.until(lambda: tts.contexts == 1, "the first call's greeting")
        kept = await _dials(house, kept_line, keeping)
        await asyncio.gather(_listens_and_asks(lost, lost_line), _cuts_in(kept, kept_line))
        for call in (lost, kept):
            await call.finished()
            await house.closed(call.call_sid)
        assert await _until_none_is_open(tts)
        figures = await house.figures()
        await _the_voice_was_cut_in_on_and_heard_to_the_end(house, kept, keeping)
        await _the_model_went_on_itself_and_nothing_was_lost_or_said_twice(house, lost, losing, figures)


async def _dials(house: Product, line: Line, number: str) -> CarrierCall:
    house.model.register(TALK, number=number)
    return await house.dial(line, number, webhook="/twilio/incoming?mode=welcome")


async def _cuts_in(call: CarrierCall, line: Line) -> None:
    await line.hears(900)
    line.say(spoken(HOURS))
    await line.until(lambda: bool(call.log.of("clear")), "a clear")
    await line.hears_more(1500)
    await line.hears_silence()
    line.say(spoken(BYE))


async def _listens_and_asks(call: CarrierCall, line: Line) -> None:
    await line.hears(3000)
    await line.hears_silence()
    line.say(spoken(HOURS))
    await line.hears_more(500)
    await call.hang_up()


async def _until_none_is_open(tts: TtsStandIn) -> bool:
    """The voice's sockets go with their calls."""
    async with asyncio.timeout(5):
        while tts.live:  # noqa: ASYNC110
            await asyncio.sleep(0.01)
    return True


async def _the_voice_was_cut_in_on_and_heard_to_the_end(house: Product, call: CarrierCall, number: str) -> None:
    assert (call.ended_by, call.log.codes()) == ("server", [])
    turns = list(await house.store.turns(call.call_sid))
    assert [(turn.who, turn.heard_text) for turn in turns[1:]] == [
        ("caller", HOURS),
        ("agent", OPEN),
        ("caller", BYE),
        ("agent", GOODBYE),
    ]
    said = _heard(call)
    assert _sound(OPEN) in said
    assert said.rstrip(b"\xff").endswith(_sound(GOODBYE).rstrip(b"\xff"))
    heard = turns[0].heard_text
    assert 0 < len(heard) < len(GREETING)
    assert GREETING.startswith(heard)
    (session,) = house.sessions_of(number)
    kept = [item for item in session.conversation.items if item.data.get("role") == "assistant"]
    assert kept[0].data["content"] == [{"type": "output_text", "text": heard}]
    assert [event for event in session.received if event["type"] == "conversation.item.truncate"] == []
    assert _update(session)["output_modalities"] == ["text"]
    assert "the voice is lost" not in "".join(line for line in house.log().splitlines() if call.call_sid in line)


async def _the_model_went_on_itself_and_nothing_was_lost_or_said_twice(
    house: Product, call: CarrierCall, number: str, figures: dict[str, float]
) -> None:
    assert call.log.codes() == []
    turns = list(await house.store.turns(call.call_sid))
    assert [(turn.who, turn.heard_text) for turn in turns[:2]] == [("agent", GREETING), ("caller", HOURS)]
    assert OPEN.startswith(turns[2].generated_text[:10]), "and it is answered"
    (session,) = house.sessions_of(number)
    asked = [
        event["response"] for event in session.received if event["type"] == "response.create" and "response" in event
    ]
    (left,) = [response["instructions"].split('"')[1] for response in asked if response.get("conversation") == "none"]
    assert GREETING.endswith(left)
    assert 0 < len(left) < len(GREETING)
    said = _heard(call)
    assert speech(left) in said, "in the model's own voice"
    assert said.index(speech(left)) <= (BREAKS_MS + 2500) * 8, "and not long after the other's broke off"
    assert _update(session)["output_modalities"] == ["audio"]
    names = [milestone.name for milestone in await house.store.milestones(call.call_sid)]
    assert names.count("voice_lost") == 1
    assert figures['offhook_voice_lost_total{why="broken"}'] == 1


def _update(session: Any) -> Any:
    """The newest configuration that says how it answers."""
    return [
        event["session"]
        for event in session.received
        if event["type"] == "session.update" and "output_modalities" in event["session"]
    ][-1]


def _heard(call: CarrierCall) -> bytes:
    (stream,) = call.streams
    return b"".join(played.audio for played in stream.played)


def _sound(text: str) -> bytes:
    """A text as the voice speaks it, clause by clause."""
    from app.wire.clauses import Clauses

    it = Clauses()
    return b"".join(speech(piece) for piece in [*it.push(text), *it.flush()])
