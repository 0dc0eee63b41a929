"""The verbs: prompts, keys, recordings, dialled people, and where each leads."""

import asyncio
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio
from starlette.responses import Response

from app.sim.carrier_call import CarrierCall
from app.sim.leg_script import DialResult
from tests.sim.carrier_stage import CALLER, OURS, Line, Stage, Twiml, stage


@pytest_asyncio.fixture
async def it() -> AsyncIterator[Stage]:
    async with stage() as made:
        yield made


async def called(
    it: Stage, twiml: Twiml, *, dials: tuple[str | DialResult, ...] = (), gathers: tuple[str, ...] = ()
) -> CarrierCall:
    it.answers["/twilio/incoming"] = twiml
    call = await it.carrier.dial(from_number=CALLER, to_number=OURS, line=Line(), dial_results=dials, gathers=gathers)
    await call.finished()
    return call


def verbs(call: CarrierCall) -> list[str]:
    return [entry.detail["name"] for entry in call.log.of("verb")]


async def test_verbs_run_in_order_and_what_follows_a_hangup_does_not(it: Stage) -> None:
    call = await called(it, '<Response><Say>a</Say><Pause length="2"/><Hangup/><Say>b</Say></Response>')
    assert verbs(call) == ["Say", "Pause", "Hangup"]
    assert [entry.detail["status"] for entry in call.log.of("status")] == ["in-progress", "completed"]


async def test_a_play_fetches_its_audio_with_a_signature_and_says_if_it_is_not_there(it: Stage) -> None:
    it.answers["/clip"] = Response(b"\xff" * 800, media_type="audio/basic")
    it.answers["/gone"] = Response(status_code=404)
    call = await called(it, "<Response><Play>/clip</Play><Play>/gone</Play><Say>on</Say></Response>")
    assert it.to("/clip")[0].method == "GET"
    assert it.to("/clip")[0].signed
    assert call.log.codes() == [11200]
    assert verbs(call) == ["Play", "Play", "Say"]


@pytest.mark.parametrize(("reason", "status"), [("", "no-answer"), (' reason="busy"', "busy")])
async def test_a_rejected_call_is_never_answered(it: Stage, reason: str, status: str) -> None:
    call = await called(it, f"<Response><Reject{reason}/></Response>")
    assert call.status == status
    assert [entry.detail["status"] for entry in call.log.of("status")] == [status]


async def test_unknown_words_are_warned_of_as_12200_and_the_call_goes_on(it: Stage) -> None:
    call = await called(it, '<Response><Speak>x</Speak><Say tone="low">y</Say></Response>')
    assert call.log.codes() == [12200, 12200]
    assert verbs(call) == ["Say"]


async def test_a_redirect_posts_the_running_call_to_its_url(it: Stage) -> None:
    await called(it, "<Response><Redirect>/next?a=1&amp;b=2</Redirect></Response>")
    asked = it.to("/next")[0]
    assert asked.signed
    assert asked.fields["CallStatus"] == "in-progress"


async def test_scripted_keys_go_to_the_gathers_action(it: Stage) -> None:
    twiml = '<Response><Gather numDigits="1" action="/pressed"><Say>Press one</Say></Gather><Say>none</Say></Response>'
    call = await called(it, twiml, gathers=("12",))
    asked = it.to("/pressed")[0]
    assert asked.signed
    assert asked.fields["Digits"] == "1"
    assert "none" not in [entry.detail["text"] for entry in call.log.of("verb")]


async def test_the_finishing_key_ends_a_gather_and_is_not_a_digit(it: Stage) -> None:
    await called(it, '<Response><Gather action="/pressed"/></Response>', gathers=("123#4",))
    assert it.to("/pressed")[0].fields["Digits"] == "123"


async def test_speech_goes_to_the_action_where_the_gather_takes_it(it: Stage) -> None:
    await called(it, '<Response><Gather input="dtmf speech" action="/said"/></Response>', gathers=("billing please",))
    fields = it.to("/said")[0].fields
    assert fields["SpeechResult"] == "billing please"
    assert "Digits" not in fields


async def test_an_empty_gather_falls_to_the_next_verb_unless_it_wants_to_know(it: Stage) -> None:
    call = await called(it, '<Response><Gather action="/pressed"/><Say>still there?</Say></Response>')
    assert verbs(call) == ["Gather", "Say"]
    assert it.to("/pressed") == []
    await called(it, '<Response><Gather action="/pressed" actionOnEmptyResult="true"/></Response>')
    assert it.to("/pressed")[0].fields["Digits"] == ""


async def test_keys_pressed_in_the_call_feed_a_gather_that_runs(it: Stage) -> None:
    it.answers["/twilio/incoming"] = '<Response><Gather timeout="9000" action="/pressed" numDigits="2"/></Response>'
    line, gathering = Line(), asyncio.Event()
    line.verb = lambda name, attributes, text: gathering.set()  # type: ignore[method-assign]
    call = await it.carrier.dial(from_number=CALLER, to_number=OURS, line=line)
    await gathering.wait()
    call.press("4")
    call.press("2")
    await call.finished()
    assert it.to("/pressed")[0].fields["Digits"] == "42"
    with pytest.raises(ValueError, match="keys"):
        call.press("x")


DIAL = '<Response><Dial action="/dialed" timeout="20"><Number{}>+14155550177</Number></Dial><Say>x</Say></Response>'


async def test_dials_meet_their_scripted_outcomes_in_order(it: Stage) -> None:
    again = DIAL.format("")
    it.answers["/dialed"] = [again, again, again, "<Response><Hangup/></Response>"]
    call = await called(it, again, dials=("busy", "no-answer", "failed", "completed"))
    told = [asked.fields for asked in it.to("/dialed")]
    assert [fields["DialCallStatus"] for fields in told] == ["busy", "no-answer", "failed", "completed"]
    assert [fields["DialBridged"] for fields in told] == ["false", "false", "false", "true"]
    assert ["DialCallDuration" in fields for fields in told] == [False, False, False, True]
    assert len({fields["DialCallSid"] for fields in told}) == 4
    assert all(asked.signed for asked in it.to("/dialed"))
    assert "Say" not in verbs(call)


async def test_without_an_action_the_verbs_after_a_dial_run(it: Stage) -> None:
    call = await called(it, "<Response><Dial>+14155550177</Dial><Say>nobody</Say></Response>", dials=("busy",))
    assert verbs(call) == ["Dial", "Say"]


@pytest.mark.parametrize("noun", ["<Sip>sip:desk@example.com</Sip>", "<Client>desk</Client>"])
async def test_sip_and_client_can_be_dialled(it: Stage, noun: str) -> None:
    call = await called(it, f"<Response><Dial>{noun}</Dial></Response>")
    assert call.log.of("dialed")[0].detail["status"] == "completed"


@pytest.mark.parametrize(
    ("dial", "code"),
    [("<Dial>555</Dial>", 13224), ('<Dial callerId="+15005550006"><Number>+14155550177</Number></Dial>', 13248)],
)
async def test_a_number_or_caller_id_that_cannot_be_used_fails_the_dial(it: Stage, dial: str, code: int) -> None:
    call = await called(it, f"<Response>{dial}</Response>")
    assert call.log.codes() == [code]
    assert call.log.of("dialed")[0].detail["status"] == "failed"


async def test_the_called_person_hears_the_whisper_before_being_bridged(it: Stage) -> None:
    it.answers["/whisper"] = '<Response><Gather numDigits="1" action="/accepted"/><Hangup/></Response>'
    it.answers["/accepted"] = "<Response/>"
    await called(it, DIAL.format(' url="/whisper"'), dials=(DialResult(digits="1"),))
    whisper = it.to("/whisper")[0]
    assert whisper.signed
    assert whisper.fields["Direction"] == "outbound-dial"
    assert whisper.fields["ParentCallSid"] == it.asked[0].fields["CallSid"]
    assert it.to("/accepted")[0].fields["Digits"] == "1"
    assert it.to("/dialed")[0].fields["DialCallSid"] == whisper.fields["CallSid"]
    assert it.to("/dialed")[0].fields["DialCallStatus"] == "completed"


async def test_a_called_person_who_declines_in_the_whisper_was_not_put_through(it: Stage) -> None:
    it.answers["/whisper"] = '<Response><Gather numDigits="1" action="/accepted"/><Hangup/></Response>'
    await called(it, DIAL.format(' url="/whisper"'), dials=(DialResult(digits=""),))
    assert it.to("/dialed")[0].fields["DialCallStatus"] == "no-answer"


async def test_a_dialled_number_reports_the_progress_that_it_is_asked_for(it: Stage) -> None:
    noun = ' statusCallback="/leg" statusCallbackEvent="initiated ringing answered completed"'
    await called(it, DIAL.format(noun))
    told = sorted((asked.fields["SequenceNumber"], asked.fields["CallStatus"]) for asked in it.to("/leg"))
    assert told == [("0", "initiated"), ("1", "ringing"), ("2", "in-progress"), ("3", "completed")]


async def test_a_caller_who_hangs_up_while_somebody_is_called_ends_the_call(it: Stage) -> None:
    it.answers["/twilio/incoming"] = '<Response><Dial timeout="90000" action="/dialed">+14155550177</Dial></Response>'
    line, dialling = Line(), asyncio.Event()
    line.verb = lambda name, attributes, text: dialling.set()  # type: ignore[method-assign]
    call = await it.carrier.dial(from_number=CALLER, to_number=OURS, line=line, dial_results=["no-answer"])
    await dialling.wait()
    await call.hang_up()
    assert (call.status, call.ended_by) == ("completed", "caller")
    assert it.to("/dialed") == []
