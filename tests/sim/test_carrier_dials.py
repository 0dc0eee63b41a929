"""People who are called: what they do in a whisper, and what the caller hears meanwhile."""

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from app.sim.carrier_call import CarrierCall
from app.sim.leg_script import OUTCOMES, DialResult
from tests.sim.carrier_stage import CALLER, OURS, Line, Stage, stage

WHISPER = (
    '<Response><Gather numDigits="1" finishOnKey="" timeout="8" action="/key" actionOnEmptyResult="true">'
    "<Say>Call from Baker: an invoice. Nothing was promised.</Say></Gather></Response>"
)


@pytest_asyncio.fixture
async def it() -> AsyncIterator[Stage]:
    async with stage() as made:
        yield made


async def called(it: Stage, person: str | DialResult, attributes: str = 'answerOnBridge="true"') -> CarrierCall:
    """A caller is put through, warm; the key 1 is the one that joins them."""
    it.answers["/whisper"] = WHISPER
    joins = isinstance(person, DialResult) or person == "accepts"
    it.answers["/key"] = "<Response/>" if joins else "<Response><Hangup/></Response>"
    it.answers["/dialed"] = "<Response><Say>Goodbye.</Say></Response>"
    it.answers["/twilio/incoming"] = (
        f'<Response><Dial action="/dialed" {attributes}><Number url="/whisper">+14155550177</Number></Dial></Response>'
    )
    call = await it.carrier.dial(from_number=CALLER, to_number=OURS, line=Line(), dial_results=[person])
    await call.finished()
    return call


@pytest.mark.parametrize(
    ("person", "key", "status"),
    [
        ("accepts", "1", "completed"),
        ("declines", "2", "no-answer"),
        ("silent", "", "completed"),
        ("voicemail", "", "completed"),
        ("hangs-up", None, "no-answer"),
        ("busy", None, "busy"),
        ("no-answer", None, "no-answer"),
        ("failed", None, "failed"),
    ],
)
async def test_a_person_does_in_the_whisper_what_the_script_says(
    it: Stage, person: str, key: str | None, status: str
) -> None:
    call = await called(it, person)
    assert [asked.fields["Digits"] for asked in it.to("/key")] == ([] if key is None else [key])
    (dialed,) = it.to("/dialed")
    assert dialed.fields["DialCallStatus"] == status
    assert dialed.fields["DialBridged"] == ("true" if person == "accepts" else "false")
    assert bool(it.to("/whisper")) is (person not in ("busy", "no-answer", "failed"))
    assert (call.status, call.ended_by, call.log.codes()) == ("completed", "server", [])


def test_every_word_for_a_person_is_known_and_no_other() -> None:
    assert all(isinstance(DialResult.of(word), DialResult) for word in OUTCOMES)
    with pytest.raises(ValueError, match="expected one of completed, accepts"):
        DialResult.of("perhaps")


async def test_a_caller_hears_it_ring_until_they_are_joined(it: Stage) -> None:
    call = await called(it, "accepts")
    assert [heard.what for heard in call.hearing.stretches] == ["ringing", "person", "prompt"]
    assert call.hearing.transfer_silence_ms() < 2000


async def test_a_caller_who_is_not_taken_hears_it_ring_through_the_whole_whisper(it: Stage) -> None:
    call = await called(it, "voicemail")
    ringing, prompt = call.hearing.stretches
    assert (ringing.what, prompt.what) == ("ringing", "prompt")
    assert ringing.end_ms - ringing.start_ms > 11_000, "three seconds, the whisper, and eight of waiting for a key"
    assert call.hearing.transfer_silence_ms() < 2000


async def test_without_answer_on_bridge_the_whisper_is_silence_to_the_caller(it: Stage) -> None:
    call = await called(it, "voicemail", "")
    assert call.hearing.transfer_silence_ms() > 8000


async def test_a_ring_tone_of_no_country_is_warned_of(it: Stage) -> None:
    assert (await called(it, "accepts", 'ringTone="mars"')).log.codes() == [12200]
    assert (await called(it, "accepts", 'ringTone="us-old"')).log.codes() == []
