"""<Gather> as the carrier stand-in plays it: what ends it, what it warns of, and where it leads."""

import asyncio
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio
from starlette.responses import Response

from app.sim.carrier_call import CarrierCall
from tests.sim.carrier_stage import CALLER, OURS, Line, Stage, stage


@pytest_asyncio.fixture
async def it() -> AsyncIterator[Stage]:
    async with stage() as made:
        yield made


async def called(it: Stage, twiml: str, *keys: str) -> CarrierCall:
    it.answers["/twilio/incoming"] = f"<Response>{twiml}</Response>"
    call = await it.carrier.dial(from_number=CALLER, to_number=OURS, line=Line(), gathers=keys)
    await call.finished()
    return call


def digits(it: Stage) -> list[str]:
    return [asked.fields["Digits"] for asked in it.to("/pressed")]


def verbs(call: CarrierCall) -> list[str]:
    return [entry.detail["name"] for entry in call.log.of("verb")]


@pytest.mark.parametrize(
    ("attributes", "pressed", "gathered"),
    [
        ('numDigits="1" finishOnKey=""', "#", "#"),
        ('numDigits="1" finishOnKey=""', "*", "*"),
        ('numDigits="3"', "12345", "123"),
        ('numDigits="9"', "12#45", "12"),
        ('finishOnKey="*"', "12#3*4", "12#3"),
        ("", "4711", "4711"),
    ],
)
async def test_keys_are_gathered_up_to_their_number_their_end_or_a_pause(
    it: Stage, attributes: str, pressed: str, gathered: str
) -> None:
    it.answers["/pressed"] = "<Response/>"
    call = await called(it, f'<Gather action="/pressed" {attributes}><Say>Your number.</Say></Gather>', pressed)
    assert digits(it) == [gathered]
    assert call.log.codes() == []


@pytest.mark.parametrize("pressed", ["", "#"])
async def test_nothing_gathered_leads_on_to_the_next_verb_or_to_the_action_that_wants_to_know(
    it: Stage, pressed: str
) -> None:
    it.answers |= {"/pressed": "<Response/>", "/on": "<Response/>"}
    call = await called(it, '<Gather action="/pressed"/><Redirect>/on</Redirect>', pressed)
    assert verbs(call) == ["Gather", "Redirect"]
    assert digits(it) == []
    await called(it, '<Gather action="/pressed" actionOnEmptyResult="true"/><Redirect>/on</Redirect>', pressed)
    assert digits(it) == [""]
    assert len(it.to("/on")) == 1


async def test_a_key_cuts_the_prompt_short(it: Stage) -> None:
    """A prompt of nine hours, which the test does not wait for."""
    it.answers |= {"/pressed": "<Response/>", "/clip": Response(b"\xff" * 800, media_type="audio/basic")}
    prompt = '<Say loop="20">Press one.</Say><Play>/clip</Play><Pause length="32400"/>'
    async with asyncio.timeout(10):
        call = await called(it, f'<Gather numDigits="1" action="/pressed">{prompt}</Gather>', "1")
    assert digits(it) == ["1"]
    assert verbs(call)[:4] == ["Gather", "Say", "Play", "Pause"]


@pytest.mark.parametrize(
    ("gather", "code"),
    [
        ('finishOnKey="##"', 13310),
        ('finishOnKey="x"', 13310),
        ('timeout="0"', 13313),
        ('timeout="-1"', 13313),
        ('timeout="1.5"', 13313),
        ('numDigits="0"', 13314),
        ('numDigits="many"', 13314),
        ('input="dtmf video"', 12200),
    ],
)
async def test_values_that_cannot_be_are_warned_of_and_the_default_is_taken(it: Stage, gather: str, code: int) -> None:
    it.answers["/pressed"] = "<Response/>"
    call = await called(it, f'<Gather action="/pressed" {gather}/>', "12#")
    assert call.log.codes() == [code]
    assert digits(it) == ["12"]


async def test_a_verb_that_may_not_be_in_a_gather_is_skipped(it: Stage) -> None:
    call = await called(it, "<Gather><Say>Press.</Say><Hangup/></Gather><Say>on</Say>")
    assert call.log.codes() == [12200]
    assert verbs(call) == ["Gather", "Say", "Say"]


async def test_what_cannot_be_said_is_warned_of(it: Stage) -> None:
    call = await called(it, f"<Say></Say><Say>{'a' * 4097}</Say><Say>on</Say>")
    assert call.log.codes() == [13520, 13521]
    assert verbs(call) == ["Say", "Say", "Say"]
