"""Whole calls with engines that are not OpenAI: other dialects, Azure's addresses and keys, PCM at both rates.

Each call is judged by what the caller's ear got, sample by sample, and by what the model got and refused.
"""

import asyncio
import os
from contextlib import AsyncExitStack
from typing import Any

import msgspec

from app.adapters.embedded_pg import create_database
from app.sim.carrier_call import CarrierCall
from app.sim.model import ModelServer
from app.sim.model_session import Session
from app.wire.g711 import audioop
from tests.calls.conversations import BYE, GREETING, HOURS, OPEN, TALK, spoken
from tests.calls.line import Line
from tests.calls.product import Product, new_number, product

GOODBYE = "Thank you for calling. Goodbye."
KEY = "not a real key"
SILENCE = b"\xff" * 160
FRAMES_MS = 60
"""Carrier and books count by frames of their own, and word travels between them."""
SOUGHT = 1000
"""Samples by which a sentence is found: an eighth of a second where it is loudest."""


class Case(msgspec.Struct, frozen=True, kw_only=True):
    """An engine as the stand-in plays it, and how the product is told of it."""

    dialect: Any
    audio: Any
    path: str
    settings: dict[str, Any]
    sends: str
    """The codec that the caller's speech must go out in."""
    first: dict[str, Any]
    """What must stand in the configuration."""


CASES = {
    "xai": Case(
        dialect="hybrid",
        audio="any",
        path="/v1/realtime",
        settings={"REALTIME_ENGINE": "xai"},
        sends="pcmu",
        first={"voice": "eve"},
    ),
    "azure": Case(
        dialect="ga",
        audio="pcm16",
        path="/openai/v1/realtime",
        settings={"REALTIME_ENGINE": "azure"},
        sends="pcm",
        first={"type": "realtime"},
    ),
    "azure-preview": Case(
        dialect="flat",
        audio="pcm16_16k",
        path="/openai/realtime?api-version=2025-04-01-preview&deployment=desk",
        settings={"REALTIME_ENGINE": "azure-preview", "REALTIME_AUDIO": "pcm16_16k"},
        sends="pcm16k",
        first={"input_audio_format": "pcm16", "input_audio_transcription": {"model": "whisper-1", "language": "en"}},
    ),
}


class Made(msgspec.Struct, frozen=True):
    """A call that was made: how it went, and what is in the books."""

    call: CarrierCall
    session: Session
    turns: list[Any]
    log: str
    late_ms: float
    """By how much the carrier's own clock was late at its worst, until it was told to clear."""


async def test_a_call_to_each_engine_is_heard_understood_and_written_down_as_with_any_other(house: Product) -> None:
    """Side by side: each starts a server, all on the Postgres that is there. The caller cuts in, is answered, and says goodbye."""
    there = house.running.database_url
    databases = [await create_database(there, f"engines_{os.getpid()}_{name.replace('-', '_')}") for name in CASES]
    calls = await asyncio.gather(
        *(_make(case, database) for case, database in zip(CASES.values(), databases, strict=True))
    )
    for case, it in zip(CASES.values(), calls, strict=True):
        _the_model_understood_every_line_and_was_asked_in_its_own_words(case, it)
        _the_caller_heard_what_the_agent_said_and_nothing_else(case, it)
        _the_model_knows_what_of_the_greeting_was_heard(case, it)


async def _make(case: Case, database: str) -> Made:
    async with AsyncExitStack() as stack:
        model = ModelServer(dialect=case.dialect, audio=case.audio, api_key=KEY)
        url = (await model.start()).removesuffix("/v1/realtime") + case.path
        stack.push_async_callback(model.close)
        house = await stack.enter_async_context(
            product(
                model=model, model_url=url, OPENAI_API_KEY=KEY, SPARE_LINKS="0", DATABASE_URL=database, **case.settings
            )
        )
        number = new_number()
        call, late_ms = await _cuts_in(house, number)
        sessions = house.sessions_of(number)
        again = "a session is begun anew" in house.log()  # a server that is silent for 1.5 s is dialled once more
        assert len(sessions) == 1 or again, "one call, one session"
        return Made(call, sessions[-1], list(await house.store.turns(call.call_sid)), house.log(), late_ms)


async def _cuts_in(house: Product, number: str) -> tuple[CarrierCall, float]:
    house.model.register(TALK, number=number)
    line = Line()
    call = await house.dial(line, number)
    await line.hears(900)
    line.say(spoken(HOURS))
    await line.until(lambda: bool(call.log.of("clear")), "a clear")
    late_ms = call.streams[0].tally.worst_late_ms
    await line.hears_more(1500)
    await line.hears_silence()
    line.say(spoken(BYE))
    await call.finished()
    await house.closed(call.call_sid)
    return call, late_ms


def _the_model_understood_every_line_and_was_asked_in_its_own_words(case: Case, it: Made) -> None:
    session = it.session
    assert [note["text"] for note in session.log if note["type"] == "heard"] == [HOURS, BYE]
    assert session.settings.input_format == case.sends
    update = [event for event in session.received if event["type"] == "session.update"][-2]["session"]
    assert case.first.items() <= update.items()
    assert it.call.ended_by == "server"
    assert it.call.log.codes() == []
    assert "a fault of ours" not in it.log


def _the_caller_heard_what_the_agent_said_and_nothing_else(case: Case, it: Made) -> None:
    (stream,) = it.call.streams
    heard = b"".join(played.audio for played in stream.played)
    places = []
    for text in (OPEN, GOODBYE):
        at, unlike = likeness(heard, it.session.host.repertoire.say(text, "agent"))
        assert unlike <= (0.2 if case.audio != "any" else 0.0), (text, unlike)
        places.append(at)
    assert places == sorted(places)
    assert [(turn.who, turn.generated_text) for turn in it.turns[1:]] == [
        ("caller", HOURS),
        ("agent", OPEN),
        ("caller", BYE),
        ("agent", GOODBYE),
    ]
    assert it.turns[2].heard_text == OPEN, "byte counts of another rate would have cut or stretched it"
    ms = len(it.session.host.repertoire.say(OPEN, "agent")) / 8
    assert abs(it.turns[2].end_ms - it.turns[2].start_ms - ms) <= 1


def _the_model_knows_what_of_the_greeting_was_heard(case: Case, it: Made) -> None:
    received = it.session.received
    cuts = [event for event in received if event["type"] == "conversation.item.truncate"]
    notes = [event["item"] for event in received if event.get("item", {}).get("role") == "system"]
    greeting = it.turns[0]
    assert abs(carrier_heard_ms(it.call) - (greeting.end_ms - greeting.start_ms)) <= FRAMES_MS + it.late_ms
    assert GREETING.startswith(greeting.heard_text)
    assert 0 < len(greeting.heard_text) < len(GREETING)
    if case.dialect == "hybrid":
        assert cuts == []
        assert any(greeting.heard_text in note["content"][0]["text"] for note in notes)
        return
    (cut,) = cuts
    assert cut["audio_end_ms"] == greeting.end_ms - greeting.start_ms, (
        "to the millisecond, whatever the rate on the wire"
    )
    (item,) = [item for item in it.session.conversation.items if item.id == cut["item_id"]]
    assert item.data["content"] == [{"type": "output_audio"}], "it took it: so much audio there was"


def carrier_heard_ms(call: CarrierCall) -> float:
    """Milliseconds of the greeting that the carrier had played when it was told to clear."""
    (stream,) = call.streams
    cleared = stream.playout.clears[0]
    return sum(len(played.audio) for played in stream.played if played.at_ms <= cleared.at_ms) / 8


def likeness(heard: bytes, wanted: bytes) -> tuple[int, float]:
    """Where in u-law audio other audio fits best (its first sample), and which share of its loudness is unlike it there."""
    long, short = (audioop.ulaw2lin(audio, 2) for audio in (heard + SILENCE * 10, wanted))
    loudest = audioop.findmax(short, SOUGHT)
    at = audioop.findfit(long, short[2 * loudest : 2 * (loudest + SOUGHT)])[0] - loudest
    part = long[2 * at : 2 * at + len(short)]
    factor = audioop.findfactor(part, short)
    rest = audioop.add(part, audioop.mul(short, 2, -factor), 2)
    return at, audioop.rms(rest, 2) / max(1, audioop.rms(part, 2))
