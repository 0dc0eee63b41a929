"""A call from its first ring to its last callback: signed webhooks, failures, fallbacks, status."""

import asyncio
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio
from starlette.responses import RedirectResponse, Response

from app.errors import SetupError
from app.sim.carrier import Carrier
from app.sim.carrier_numbers import PhoneNumber
from app.sim.carrier_quirks import Quirks, Signature
from tests.sim.carrier_stage import CALLER, OURS, TOKEN, Line, Stage, stage


@pytest_asyncio.fixture
async def it() -> AsyncIterator[Stage]:
    async with stage() as made:
        yield made


async def test_the_webhook_is_signed_over_the_public_form_with_the_full_field_set(it: Stage) -> None:
    call = await it.carrier.dial(from_number=CALLER, to_number=OURS, line=Line())
    await call.finished()
    asked = it.asked[0]
    assert (asked.path, asked.method, asked.signed) == ("/twilio/incoming", "POST", True)
    assert asked.headers["host"] == "agent.example.com"
    assert asked.headers["i-twilio-idempotency-token"]
    who = ("From", "To", "Caller", "Called")
    places = {f"{name}{part}" for name in who for part in ("City", "State", "Zip", "Country")}
    rest = {"AccountSid", "ApiVersion", "CallSid", "CallStatus", "CallToken", "Direction", "StirVerstat"}
    assert set(asked.fields) == {*who, *places, *rest}
    assert asked.fields["FromCity"] == ""
    assert asked.fields["CallStatus"] == "ringing"
    assert asked.fields["CallSid"] == call.call_sid


async def test_a_get_webhook_carries_its_fields_in_the_signed_query(it: Stage) -> None:
    call = await it.carrier.dial(
        from_number=CALLER, to_number=OURS, line=Line(), webhook="/twiml?mode=x", webhook_method="GET"
    )
    await call.finished()
    asked = it.to("/twiml")[0]
    assert (asked.method, asked.signed) == ("GET", True)
    assert (asked.fields["mode"], asked.fields["From"]) == ("x", CALLER)


async def test_the_call_ends_with_one_signed_status_callback(it: Stage) -> None:
    call = await it.carrier.dial(from_number=CALLER, to_number=OURS, line=Line())
    await call.finished()
    assert it.paths() == ["/twilio/incoming", "/twilio/status"]
    told = it.asked[1]
    assert told.signed
    assert told.fields["CallStatus"] == "completed"
    assert told.fields["CallbackSource"] == "call-progress-events"
    assert told.fields["SequenceNumber"] == "0"
    assert told.fields["CallDuration"].isdigit()
    assert told.fields["Timestamp"].endswith("+0000")
    assert (call.status, call.ended_by) == ("completed", "server")


async def test_a_wrong_and_a_missing_signature_can_be_sent(it: Stage) -> None:
    forgeries: tuple[Signature, ...] = ("wrong", "missing")
    for how in forgeries:
        quirks = Quirks(webhook_signature=how)
        call = await it.carrier.dial(from_number=CALLER, to_number=OURS, line=Line(), quirks=quirks)
        await call.finished()
    wrong, missing = (asked for asked in it.asked if asked.path == "/twilio/incoming")
    assert not wrong.signed
    assert len(wrong.headers["x-twilio-signature"]) == 28
    assert "x-twilio-signature" not in missing.headers


async def test_a_repeated_webhook_is_the_same_call_twice_and_only_the_second_answer_counts(it: Stage) -> None:
    it.answers["/twilio/incoming"] = ["<Response><Say>lost</Say></Response>", "<Response><Say>kept</Say></Response>"]
    quirks = Quirks(repeated_webhook=True)
    call = await it.carrier.dial(from_number=CALLER, to_number=OURS, line=Line(), quirks=quirks)
    await call.finished()
    first, second = it.to("/twilio/incoming")
    assert first.fields == second.fields
    assert first.headers["i-twilio-idempotency-token"] == second.headers["i-twilio-idempotency-token"]
    assert [entry.detail["text"] for entry in call.log.of("verb")] == ["kept"]


@pytest.mark.parametrize(
    ("answer", "code"),
    [
        (Response(status_code=403), 11200),
        (Response(status_code=500), 11200),
        (Response("{}", media_type="application/json"), 12300),
        (Response("\n<Response/>", media_type="text/xml"), 12100),
        (Response("<Response>" + " " * 65536 + "</Response>", media_type="text/xml"), 11750),
        (Response("<Response><Redirect>ftp://x/y</Redirect></Response>", media_type="text/xml"), 11100),
    ],
)
async def test_a_bad_answer_asks_the_fallback_with_its_code(it: Stage, answer: Response, code: int) -> None:
    it.answers["/twilio/incoming"] = answer
    it.answers["/twilio/fallback"] = "<Response><Say>sorry</Say></Response>"
    call = await it.carrier.dial(from_number=CALLER, to_number=OURS, line=Line(), fallback="/twilio/fallback")
    await call.finished()
    asked = it.to("/twilio/fallback")[0]
    assert asked.signed
    assert asked.fields["ErrorCode"] == str(code)
    assert asked.fields["ErrorUrl"] == "https://agent.example.com/twilio/incoming"
    assert call.log.codes() == [code]
    assert [entry.detail["text"] for entry in call.log.of("verb")][-1] == "sorry"


async def test_without_a_fallback_the_caller_hears_an_apology_and_the_call_is_completed(it: Stage) -> None:
    it.answers["/twilio/incoming"] = Response(status_code=500)
    call = await it.carrier.dial(from_number=CALLER, to_number=OURS, line=Line())
    await call.finished()
    assert (call.status, call.ended_by) == ("completed", "error")


async def test_a_server_that_is_not_there_is_11205() -> None:
    carrier = Carrier(auth_token=TOKEN, public_url="http://127.0.0.1:1")
    call = await carrier.dial(from_number=CALLER, to_number=OURS, line=Line(), status_callback="")
    await call.finished()
    assert call.log.codes() == [11205]
    await carrier.close()


async def test_a_server_that_does_not_answer_in_its_time_is_11205(it: Stage) -> None:
    async with asyncio.timeout(10), await asyncio.start_server(_mute, "127.0.0.1", 0) as mute:
        url = f"http://127.0.0.1:{mute.sockets[0].getsockname()[1]}/x#tt=200"
        call = await it.carrier.dial(from_number=CALLER, to_number=OURS, line=Line(), webhook=url)
        await call.finished()
    assert call.log.codes() == [11205]


async def _mute(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.read()  # to the end, which is the carrier's
    writer.close()


async def test_a_5xx_is_tried_again_only_where_the_url_says_so_and_the_fragment_is_not_signed(it: Stage) -> None:
    it.answers["/twilio/incoming"] = [Response(status_code=500), "<Response><Hangup/></Response>"]
    url = "/twilio/incoming#rc=1&rp=5xx"
    call = await it.carrier.dial(from_number=CALLER, to_number=OURS, line=Line(), webhook=url)
    await call.finished()
    assert [asked.signed for asked in it.to("/twilio/incoming")] == [True, True]
    assert call.log.codes() == []


async def test_a_redirect_is_followed_with_a_signature_over_the_new_url(it: Stage) -> None:
    it.answers["/twilio/incoming"] = RedirectResponse("https://agent.example.com/moved", 307)
    call = await it.carrier.dial(from_number=CALLER, to_number=OURS, line=Line())
    await call.finished()
    assert it.to("/moved")[0].signed
    it.answers["/twilio/incoming"] = RedirectResponse("https://agent.example.com/twilio/incoming", 307)
    call = await it.carrier.dial(from_number=CALLER, to_number=OURS, line=Line())
    await call.finished()
    assert call.log.codes() == [11215]


async def test_the_dialled_numbers_settings_say_whom_to_ask() -> None:
    number = PhoneNumber(OURS, voice_url="/mine", voice_fallback_url="/plan-b", status_callback="/done")
    async with stage(numbers=[number]) as it:
        it.answers["/mine"] = Response(status_code=500)
        call = await it.carrier.dial(from_number=CALLER, to_number=OURS, line=Line())
        await call.finished()
        assert it.paths() == ["/mine", "/plan-b", "/done"]


async def test_a_caller_who_hangs_up_while_it_rings_is_no_answer_and_the_webhooks_answer_is_ignored(it: Stage) -> None:
    it.answers["/twilio/incoming"] = "<Response><Say>hello</Say></Response>"
    call = await it.carrier.dial(from_number=CALLER, to_number=OURS, line=Line())
    await call.hang_up()
    assert (call.status, call.ended_by) == ("no-answer", "caller")
    assert call.log.of("verb") == []
    assert it.to("/twilio/status")[0].fields["CallStatus"] == "no-answer"


async def test_two_documents_that_redirect_to_each_other_end_the_call(it: Stage) -> None:
    it.answers["/twilio/incoming"] = "<Response><Redirect>/twilio/incoming</Redirect></Response>"
    call = await it.carrier.dial(from_number=CALLER, to_number=OURS, line=Line())
    await call.finished()
    assert call.log.codes() == [12400]


async def test_closing_the_carrier_ends_its_calls_and_waits_for_their_callbacks(it: Stage) -> None:
    it.answers["/twilio/incoming"] = '<Response><Pause length="60000"/></Response>'
    ringing = asyncio.Event()
    line = Line()
    line.verb = lambda name, attributes, text: ringing.set()  # type: ignore[method-assign]
    call = await it.carrier.dial(from_number=CALLER, to_number=OURS, line=line)
    await ringing.wait()
    await it.carrier.close()
    assert (call.status, call.ended_by) == ("completed", "carrier")
    assert len(it.to("/twilio/status")) == 1


def test_a_carrier_without_a_token_is_refused() -> None:
    with pytest.raises(SetupError, match="auth token"):
        Carrier(auth_token="", public_url="http://127.0.0.1:1")
