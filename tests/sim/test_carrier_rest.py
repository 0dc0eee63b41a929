"""The stand-in for api.twilio.com: live calls led elsewhere, outbound calls, messages, numbers, and its refusals."""

import asyncio
from collections.abc import AsyncIterator

import httpx
import pytest
import pytest_asyncio

from app.sim.carrier import ACCOUNT_SID
from app.sim.carrier_call import Callee
from app.sim.carrier_numbers import PhoneNumber
from tests.sim.carrier_stage import CALLER, OURS, PUBLIC, TOKEN, Line, MediaEnd, Stage, stage

BASE = f"/2010-04-01/Accounts/{ACCOUNT_SID}"
BUSY, NOBODY = "+14155550111", "+14155550122"


def somebody(number: str) -> Callee:
    results = {BUSY: Callee(result="busy"), NOBODY: Callee(result="no-answer")}
    return results.get(number, Callee(line=Line()))


@pytest_asyncio.fixture
async def it() -> AsyncIterator[Stage]:
    numbers = [PhoneNumber(OURS, voice_url=f"{PUBLIC}/twilio/incoming")]
    async with stage(numbers=numbers, on_outbound=somebody, api_keys={"SK1": "secret"}) as made:
        yield made


@pytest_asyncio.fixture
async def rest(it: Stage) -> AsyncIterator[httpx.AsyncClient]:
    base = await it.carrier.start_rest()
    async with httpx.AsyncClient(base_url=base + BASE, auth=(ACCOUNT_SID, TOKEN), trust_env=False) as client:
        yield client


def error(response: httpx.Response) -> tuple[int, int]:
    body = response.json()
    assert body["status"] == response.status_code
    assert body["more_info"].endswith(str(body["code"]))
    return response.status_code, body["code"]


async def test_new_twiml_for_a_streaming_call_stops_the_stream_and_runs(it: Stage, rest: httpx.AsyncClient) -> None:
    streaming = asyncio.Event()

    async def phone(phone: MediaEnd) -> None:
        await phone.next("media")
        streaming.set()
        await phone.drained()

    it.phone = phone
    it.answers["/twilio/incoming"] = it.connect(action="/twilio/next", after="<Say>never</Say>")
    call = await it.carrier.dial(from_number=CALLER, to_number=OURS, line=Line(), dial_results=["busy"])
    await streaming.wait()
    twiml = f'<Response><Dial action="{PUBLIC}/after"><Number>+14155550177</Number></Dial></Response>'
    response = await rest.post(f"/Calls/{call.call_sid}.json", data={"Twiml": twiml})
    assert (response.status_code, response.json()["status"]) == (200, "in-progress")
    await call.finished()
    assert it.phones[0].received[-1]["event"] == "stop"
    assert it.phones[0].socket.close_code == 1000
    assert it.to("/twilio/next") == []
    assert it.to("/after")[0].fields["DialCallStatus"] == "busy"
    assert (call.status, call.ended_by) == ("completed", "server")


async def test_a_url_is_asked_with_the_calls_fields(it: Stage, rest: httpx.AsyncClient) -> None:
    call = await paused(it)
    await rest.post(f"/Calls/{call}.json", data={"Url": f"{PUBLIC}/elsewhere", "Method": "GET"})
    await it.carrier.calls[call].finished()
    (asked,) = it.to("/elsewhere")
    assert (asked.method, asked.signed, asked.fields["CallSid"]) == ("GET", True, call)


async def test_relative_urls_in_literal_twiml_are_refused(it: Stage, rest: httpx.AsyncClient) -> None:
    call = await paused(it)
    await rest.post(f"/Calls/{call}.json", data={"Twiml": "<Response><Redirect>/next</Redirect></Response>"})
    await it.carrier.calls[call].finished()
    assert it.carrier.calls[call].log.codes() == [11100]


async def paused(it: Stage) -> str:
    """A call that waits in a long <Pause>."""
    it.answers["/twilio/incoming"] = '<Response><Pause length="90000"/></Response>'
    line, pausing = Line(), asyncio.Event()
    line.verb = lambda name, attributes, text: pausing.set()  # type: ignore[method-assign]
    call = await it.carrier.dial(from_number=CALLER, to_number=OURS, line=line)
    await pausing.wait()
    return call.call_sid


async def test_status_completed_hangs_up_and_a_finished_call_is_21220(it: Stage, rest: httpx.AsyncClient) -> None:
    call = await paused(it)
    await rest.post(f"/Calls/{call}.json", data={"Status": "completed"})
    await it.carrier.calls[call].finished()
    assert it.carrier.calls[call].ended_by == "rest"
    for data in ({"Status": "completed"}, {"Twiml": "<Response/>"}):
        assert error(await rest.post(f"/Calls/{call}.json", data=data)) == (400, 21220)
    shown = (await rest.get(f"/Calls/{call}.json")).json()
    assert (shown["status"], shown["direction"], shown["from"]) == ("completed", "inbound", CALLER)
    assert shown["duration"].isdigit()
    listed = (await rest.get("/Calls.json", params={"Status": "completed"})).json()
    assert [entry["sid"] for entry in listed["calls"]] == [call]


@pytest.mark.parametrize(
    ("data", "code"),
    [
        ({"Twiml": "<Response/>", "Url": "https://a.example/b"}, 20001),
        ({"Twiml": "<Response>" + "x" * 4000}, 20001),
        ({"Url": "/relative"}, 21205),
        ({"Status": "canceled"}, 20001),
        ({"TimeLimit": "soon"}, 20001),
    ],
)
async def test_an_update_that_makes_no_sense_is_refused(
    it: Stage, rest: httpx.AsyncClient, data: dict[str, str], code: int
) -> None:
    call = await paused(it)
    assert error(await rest.post(f"/Calls/{call}.json", data=data)) == (400, code)
    await it.carrier.calls[call].hang_up()


async def test_credentials_unknown_things_and_haste_are_refused(it: Stage, rest: httpx.AsyncClient) -> None:
    for auth in ((ACCOUNT_SID, "wrong"), ("SK1", TOKEN), ("SK2", ""), ("", "")):
        assert error(await rest.get("/Calls.json", auth=auth)) == (401, 20003)
    assert (await rest.get("/Calls.json", auth=("SK1", "secret"))).status_code == 200
    assert error(await rest.get("/Calls/CA0.json")) == (404, 20404)
    assert error(await rest.post("/Faxes.json")) == (404, 20404)
    other = str(rest.base_url).replace(ACCOUNT_SID, "AC" + "9" * 32) + "Calls.json"
    assert error(await rest.get(other)) == (404, 20404)
    it.carrier.throttle(1)
    refused = await rest.get("/Calls.json")
    assert error(refused) == (429, 20429)
    assert refused.headers["retry-after"] == "1"
    assert (await rest.get("/Calls.json")).status_code == 200


EVENTS = ["initiated", "ringing", "answered", "completed"]


async def test_an_outbound_call_rings_is_answered_and_runs_its_url(it: Stage, rest: httpx.AsyncClient) -> None:
    data = {"To": CALLER, "From": OURS, "Url": f"{PUBLIC}/out", "StatusCallback": f"{PUBLIC}/progress"}
    response = await rest.post("/Calls.json", data={**data, "StatusCallbackEvent": EVENTS})
    assert (response.status_code, response.json()["status"]) == (201, "queued")
    call = it.carrier.calls[response.json()["sid"]]
    await call.finished()
    assert [entry.detail["status"] for entry in call.log.of("status")] == ["ringing", "in-progress", "completed"]
    asked = it.to("/out")[0].fields
    assert (asked["Direction"], asked["CallStatus"], asked["From"]) == ("outbound-api", "in-progress", OURS)
    told = sorted((asked.fields["SequenceNumber"], asked.fields["CallStatus"]) for asked in it.to("/progress"))
    assert told == [("0", "initiated"), ("1", "ringing"), ("2", "in-progress"), ("3", "completed")]


@pytest.mark.parametrize(("number", "status"), [(BUSY, "busy"), (NOBODY, "no-answer")])
async def test_an_outbound_call_that_is_not_taken_asks_for_no_twiml(
    it: Stage, rest: httpx.AsyncClient, number: str, status: str
) -> None:
    data = {"To": number, "From": OURS, "Url": f"{PUBLIC}/out", "StatusCallback": f"{PUBLIC}/progress"}
    call = it.carrier.calls[(await rest.post("/Calls.json", data=data)).json()["sid"]]
    await call.finished()
    assert (call.status, call.ended_by) == (status, "callee")
    assert it.paths() == ["/progress"]
    assert it.asked[0].fields["CallStatus"] == status


async def test_machine_detection_tells_at_the_first_request_or_aside(it: Stage, rest: httpx.AsyncClient) -> None:
    data = {"To": CALLER, "From": OURS, "Url": f"{PUBLIC}/out", "MachineDetection": "Enable"}
    await it.carrier.calls[(await rest.post("/Calls.json", data=data)).json()["sid"]].finished()
    assert it.to("/out")[0].fields["AnsweredBy"] == "human"
    data |= {"AsyncAmd": "true", "AsyncAmdStatusCallback": f"{PUBLIC}/amd"}
    await it.carrier.calls[(await rest.post("/Calls.json", data=data)).json()["sid"]].finished()
    assert "AnsweredBy" not in it.to("/out")[1].fields
    assert it.to("/amd")[0].fields["AnsweredBy"] == "human"


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"To": ""}, 21201),
        ({"To": "12"}, 21211),
        ({"From": "x"}, 21212),
        ({"From": BUSY}, 21210),
        ({"Url": ""}, 21205),
        ({"StatusCallbackEvent": "done"}, 21626),
    ],
)
async def test_an_outbound_call_that_cannot_be_placed_is_refused(
    it: Stage, rest: httpx.AsyncClient, change: dict[str, str], code: int
) -> None:
    data = {"To": CALLER, "From": OURS, "Url": f"{PUBLIC}/out", **change}
    assert error(await rest.post("/Calls.json", data=data)) == (400, code)
    assert it.carrier.calls == {}


async def test_a_message_is_queued_and_kept(it: Stage, rest: httpx.AsyncClient) -> None:
    response = await rest.post("/Messages.json", data={"To": CALLER, "From": OURS, "Body": "é" * 160})
    assert (response.status_code, response.json()["status"], response.json()["num_segments"]) == (201, "queued", "1")
    assert it.carrier.messages == [response.json()]
    unicode = await rest.post("/Messages.json", data={"To": CALLER, "From": OURS, "Body": "ж" * 71})
    assert unicode.json()["num_segments"] == "2"
    for change, code in (({"Body": ""}, 21602), ({"To": "x"}, 21211), ({"From": BUSY}, 21606)):
        data = {"To": CALLER, "From": OURS, "Body": "x", **change}
        assert error(await rest.post("/Messages.json", data=data)) == (400, code)


async def test_a_numbers_webhook_is_read_changed_and_then_called(it: Stage, rest: httpx.AsyncClient) -> None:
    listed = (await rest.get("/IncomingPhoneNumbers.json", params={"PhoneNumber": OURS})).json()
    (number,) = listed["incoming_phone_numbers"]
    assert number["voice_url"] == f"{PUBLIC}/twilio/incoming"
    changed = await rest.post(f"/IncomingPhoneNumbers/{number['sid']}.json", data={"VoiceUrl": f"{PUBLIC}/new"})
    assert changed.json()["voice_url"] == f"{PUBLIC}/new"
    call = await it.carrier.dial(from_number=CALLER, to_number=OURS, line=Line())
    await call.finished()
    assert it.paths()[0] == "/new"
    account = await rest.get(str(rest.base_url).rstrip("/") + ".json")
    assert (account.json()["status"], account.json()["type"]) == ("active", "Full")
