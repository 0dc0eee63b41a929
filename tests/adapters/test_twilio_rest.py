"""Twilio's REST API, from our side: what the stand-in makes of a text, and what a carrier that misbehaves makes of us."""

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Any
from urllib.parse import parse_qs

import httpx
import pytest

from app.adapters import twilio_rest
from app.adapters.dialling import Dialled, Dialling
from app.adapters.texted import Texted
from app.adapters.twilio_rest import TwilioRest
from app.sim.carrier import ACCOUNT_SID, Carrier
from app.sim.carrier_numbers import PhoneNumber
from app.sim.trial_texts import TrialTexts

TOKEN = "secret of the account"
OURS, CALLER = "+14155550199", "+14155550123"


@pytest.fixture
async def carrier() -> AsyncIterator[Carrier]:
    it = Carrier(auth_token=TOKEN, public_url="http://127.0.0.1:1", numbers=[PhoneNumber(OURS)])
    yield it
    await it.close()


@pytest.fixture
async def rest(carrier: Carrier) -> AsyncIterator[TwilioRest]:
    async with httpx.AsyncClient(trust_env=False) as client:
        yield TwilioRest(await carrier.start_rest(), ACCOUNT_SID, TOKEN, client)


async def send(
    rest: TwilioRest, to: str = CALLER, sender: str = OURS, body: str = "Tuesday at nine — see you."
) -> Texted:
    return await rest.send_text(to=to, sender=sender, body=body)


async def test_a_text_goes_out_as_the_carrier_wants_it(carrier: Carrier, rest: TwilioRest) -> None:
    assert await send(rest) == Texted("sent")
    (text,) = carrier.messages
    assert (text["to"], text["from"], text["body"]) == (CALLER, OURS, "Tuesday at nine — see you.")


@pytest.mark.parametrize(
    ("fields", "code"),
    [
        ({"to": "anonymous"}, 21211),
        ({"to": ""}, 21201),
        ({"to": "client:desk"}, 21211),
        ({"to": "+14155550111"}, 21610),
        ({"to": "+14155550112"}, 21614),
        ({"sender": "+14155550100"}, 21606),
        ({"body": ""}, 21602),
    ],
)
async def test_a_refusal_comes_with_its_code_and_nothing_is_sent(
    carrier: Carrier, rest: TwilioRest, fields: dict[str, str], code: int
) -> None:
    carrier.takes_no_texts("+14155550111")
    carrier.takes_no_texts("+14155550112", landline=True)
    assert await send(rest, **fields) == Texted("refused", code)
    assert carrier.messages == []


async def test_wrong_credentials_and_too_many_requests_are_refusals(carrier: Carrier, rest: TwilioRest) -> None:
    carrier.throttle(1)
    assert await send(rest) == Texted("refused", 20429)
    rest.auth = (ACCOUNT_SID, "wrong")
    assert await send(rest) == Texted("refused", 20003)


def answering(make: Callable[[httpx.Request], httpx.Response]) -> TwilioRest:
    client = httpx.AsyncClient(transport=httpx.MockTransport(make))
    return TwilioRest("https://api.example", ACCOUNT_SID, TOKEN, client)


@pytest.mark.parametrize(
    ("status", "body", "texted"),
    [
        (500, b"<html>", Texted("unknown")),
        (503, b"", Texted("unknown")),
        (500, b'{"code": 20500}', Texted("refused", 20500)),
        (404, b"not here", Texted("refused")),
        (400, b'{"code": "a lot"}', Texted("refused")),
        (400, b"[]", Texted("refused")),
        (302, b"", Texted("refused")),
        (201, b"no JSON at all", Texted("sent")),
    ],
)
async def test_an_odd_answer_is_never_taken_for_more_than_it_says(status: int, body: bytes, texted: Texted) -> None:
    assert await send(answering(lambda request: httpx.Response(status, content=body))) == texted


@pytest.mark.parametrize(
    ("error", "state"),
    [
        (httpx.ConnectError("refused"), "refused"),
        (httpx.ConnectTimeout("late"), "refused"),
        (httpx.ReadTimeout("late"), "unknown"),
        (httpx.RemoteProtocolError("broke"), "unknown"),
    ],
)
async def test_a_text_that_may_be_on_its_way_is_told_from_one_that_is_not(error: httpx.HTTPError, state: str) -> None:
    def fail(request: httpx.Request) -> httpx.Response:
        raise error

    assert await send(answering(fail)) == Texted(state)  # type: ignore[arg-type]


async def test_a_carrier_that_hangs_is_given_up_before_the_tool_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(twilio_rest, "TEXT_SECONDS", 0.3)
    asked: list[bytes] = []
    done = asyncio.Event()

    async def hang(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        asked.append(await reader.readuntil(b"\r\n\r\n"))
        await done.wait()
        writer.close()

    server = await asyncio.start_server(hang, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    async with httpx.AsyncClient(trust_env=False) as client:
        assert await send(TwilioRest(f"http://127.0.0.1:{port}", ACCOUNT_SID, TOKEN, client)) == Texted("unknown")
    assert len(asked) == 1
    done.set()
    server.close()
    await server.wait_closed()


# --- calls that we place ----------------------------------------------------------------------------------------------


def dialling(**changes: Any) -> Dialling:
    return Dialling(
        **{
            "to": CALLER, "sender": OURS, "answered_url": "https://us.example/answered?ref=OB1", "ring_seconds": 20,
            "progress_url": "https://us.example/placed?ref=OB1", "verdict_url": "https://us.example/amd?ref=OB1", **changes,
        }
    )  # fmt: skip


@pytest.mark.parametrize("verdict_url", ["https://us.example/amd?ref=OB1", ""])
async def test_a_call_is_asked_for_with_its_urls_and_detection_beside_the_talk_or_none(verdict_url: str) -> None:
    asked: list[dict[str, list[str]]] = []

    def take(request: httpx.Request) -> httpx.Response:
        asked.append(parse_qs(request.content.decode()))
        return httpx.Response(201, json={"sid": "CA1", "status": "queued"})

    assert await answering(take).place(dialling(verdict_url=verdict_url)) == Dialled("taken", "CA1")
    (form,) = asked
    assert (form["To"], form["From"], form["Timeout"]) == ([CALLER], [OURS], ["20"])
    assert form["Url"] == ["https://us.example/answered?ref=OB1"]
    assert form["StatusCallback"] == ["https://us.example/placed?ref=OB1"]
    assert "completed" in form["StatusCallbackEvent"]
    detection = {name for name in form if "Machine" in name or "Amd" in name}
    if not verdict_url:
        assert detection == set()
        return
    assert (form["MachineDetection"], form["AsyncAmd"]) == (["DetectMessageEnd"], ["true"])
    assert form["AsyncAmdStatusCallback"] == [verdict_url]


async def test_a_call_that_the_carrier_took_rings_and_can_be_looked_up(carrier: Carrier, rest: TwilioRest) -> None:
    dialled = await rest.place(dialling())
    assert dialled.answer == "taken"
    assert await rest.standing(dialled.call_sid) in ("queued", "ringing")
    assert await rest.standing("CA" + "0" * 32) == "gone"
    carrier.throttle(1)
    assert await rest.standing(dialled.call_sid) == "", "it is not known now"


@pytest.mark.parametrize(
    ("fields", "code"), [({"to": "nobody"}, 21211), ({"to": ""}, 21201), ({"sender": "+14155550100"}, 21210)]
)
async def test_a_number_that_the_carrier_does_not_call_is_refused_for_good(
    carrier: Carrier, rest: TwilioRest, fields: dict[str, str], code: int
) -> None:
    assert await rest.place(dialling(**fields)) == Dialled("refused", code=code)
    assert carrier.calls == {}


async def test_a_wrong_token_and_too_many_requests_are_no_fault_of_the_call_s(
    carrier: Carrier, rest: TwilioRest
) -> None:
    carrier.throttle(1)
    assert await rest.place(dialling()) == Dialled("later", code=20429)
    rest.auth = (ACCOUNT_SID, "wrong")
    assert await rest.place(dialling()) == Dialled("later", code=20003)
    assert carrier.calls == {}


@pytest.mark.parametrize(
    ("status", "body", "dialled"),
    [
        (401, b"", Dialled("later")),
        (403, b'{"code": 20005}', Dialled("later", code=20005)),
        (400, b'{"code": 21215}', Dialled("refused", code=21215)),
        (404, b"<html>", Dialled("refused")),
        (500, b"<html>", Dialled("unknown")),
        (500, b'{"code": 20500}', Dialled("unknown", code=20500)),
        (503, b'{"code": 20503}', Dialled("later", code=20503)),
        (201, b"no JSON at all", Dialled("unknown")),
        (201, b"{}", Dialled("unknown")),
    ],
)
async def test_an_odd_answer_to_a_call_never_leads_to_a_second_one(status: int, body: bytes, dialled: Dialled) -> None:
    assert await answering(lambda request: httpx.Response(status, content=body)).place(dialling()) == dialled


@pytest.mark.parametrize(
    ("error", "answer"),
    [
        (httpx.ConnectError("refused"), "later"),
        (httpx.ConnectTimeout("late"), "later"),
        (httpx.PoolTimeout("late"), "later"),
        (httpx.ReadTimeout("late"), "unknown"),
        (httpx.WriteTimeout("late"), "unknown"),
        (httpx.RemoteProtocolError("broke"), "unknown"),
    ],
)
async def test_a_call_that_may_ring_is_told_from_one_that_does_not(error: httpx.HTTPError, answer: str) -> None:
    def fail(request: httpx.Request) -> httpx.Response:
        raise error

    rest = answering(fail)
    assert await rest.place(dialling()) == Dialled(answer)  # type: ignore[arg-type]
    assert await rest.standing("CA1") == ""


@pytest.mark.parametrize(
    ("status", "body", "standing"),
    [(200, b'{"status": "busy"}', "busy"), (200, b"[]", ""), (500, b"", ""), (401, b"{}", "")],
)
async def test_how_a_call_stands_is_not_known_unless_it_is_said(status: int, body: bytes, standing: str) -> None:
    assert await answering(lambda request: httpx.Response(status, content=body)).standing("CA1") == standing


async def test_texts_of_the_keyless_trial_take_the_same_way_and_reach_nobody() -> None:
    trial = TrialTexts(OURS)
    assert await trial.send_text(to=CALLER, sender=OURS, body="Hello.") == Texted("sent")
    assert [text["body"] for text in trial.carrier.messages] == ["Hello."]
    trial.carrier.takes_no_texts(CALLER)
    assert await trial.send_text(to=CALLER, sender=OURS, body="Hello.") == Texted("refused", 21610)
