"""Webhooks at the running product: who is let in, what a caller hears, and that nothing is spent on anybody else."""

import asyncio
import base64
from xml.etree import ElementTree

import pytest

from tests.calls.foreign import ACCOUNT, sign
from tests.calls.phone import phone, refused
from tests.calls.product import (
    METRICS_TOKEN,
    PASSWORD,
    PERSON,
    PUBLIC,
    Product,
    eventually,
    form,
    new_call_sid,
    new_number,
    product,
    stream_url,
    verbs,
)

DOORS = [
    "/twilio/incoming",
    "/twiml",
    "/twilio/next",
    "/twilio/dialed",
    "/twilio/menu",
    "/twilio/status",
    "/twilio/stream-status",
]
NAMES = {
    "offhook_calls_live",
    "offhook_calls_total",
    "offhook_greeting_seconds",
    "offhook_turn_seconds",
    "offhook_bargein_seconds",
    "offhook_relay_seconds",
    "offhook_tool_seconds",
    "offhook_model_reconnects_total",
    "offhook_journal_spooled",
    "offhook_loop_lag_seconds",
    "offhook_cost_usd_total",
}


async def test_an_unsigned_or_wrongly_signed_webhook_is_refused_and_spends_nothing(house: Product) -> None:
    number, sids = new_number(), []
    for path in DOORS:
        for method in ("POST", "GET"):
            sids.append(new_call_sid())
            fields = form(sids[-1], number)
            for signature in ("", "bm8=", "\xe9", sign(PUBLIC + path, fields | {"From": "+14155550100"})):
                answer = await house.ask(path, fields, method=method, signature=signature)
                assert answer.status_code == 403, f"{method} {path} {signature!r}"
                assert number not in answer.text
    good = new_call_sid()
    assert verbs(await house.rings(good)) == ["Connect", "Redirect"]
    await eventually(lambda: house.known(good), "the good call's row")
    rows = await house.rows("SELECT call_sid FROM calls WHERE from_number = :n", n=number)
    assert rows == []
    assert house.sessions_of(number) == []
    await house.over(good)


async def test_get_and_post_on_both_paths_open_a_stream_and_something_follows_it(house: Product) -> None:
    sids = []
    for path in ("/twilio/incoming", "/twiml"):
        for method in ("POST", "GET"):
            sids.append(new_call_sid())
            answer = await house.rings(sids[-1], path=path, method=method)
            assert verbs(answer) == ["Connect", "Redirect"]
            root = ElementTree.fromstring(answer.content)
            assert stream_url(answer).startswith("wss://bench.example/voice/ws/receptionist/")
            connect, redirect = root.find("Connect"), root.find("Redirect")
            assert connect is not None
            assert redirect is not None
            assert connect.attrib["action"] == redirect.text == f"{PUBLIC}/twilio/next"
    await house.over(*sids)


async def test_a_repeated_webhook_gets_the_same_ticket_and_one_session(house: Product) -> None:
    call_sid, number = new_call_sid(), new_number()
    answers = await asyncio.gather(*(house.rings(call_sid, number) for _ in range(5)))
    assert len({answer.text for answer in answers}) == 1
    url = stream_url(answers[0])
    async with phone(house, url) as end:
        await end.start(call_sid)
        await end.hears()
    assert len(house.sessions_of(number)) == 1
    rows = await house.rows("SELECT 1 FROM calls WHERE call_sid = :sid", sid=call_sid)
    assert len(rows) == 1
    await house.over(call_sid)


async def test_what_is_next_is_decided_once_however_often_it_is_asked_for_while_the_stream_of_it_runs(
    house: Product,
) -> None:
    call_sid, number = new_call_sid(), new_number()
    asks = form(call_sid, number, CallStatus="in-progress")
    async with phone(house, stream_url(await house.rings(call_sid, number))) as end:
        await end.start(call_sid)
        await end.hears()
    resumed = await house.ask("/twilio/next", asks)
    async with phone(house, stream_url(resumed)) as end:
        await end.start(call_sid)
        await end.hears()
        for _ in range(5):
            assert (await house.ask("/twilio/next", asks)).text == resumed.text
        assert end.open
        assert len(house.sessions_of(number)) == 2
    milestones = [milestone.name for milestone in await house.store.milestones(call_sid)]
    assert "led_to_person" not in milestones, "repeats are not counted as breaks"
    await house.over(call_sid)


async def test_a_mode_that_nobody_knows_falls_to_the_default(house: Product) -> None:
    sids = []
    for query in ("mode=nonsense", "mode=", "mode=..%2F..", "mode=receptionist", "mode=%00", "mode=a&mode=b"):
        sids.append(new_call_sid())
        answer = await house.rings(sids[-1], query=query)
        assert "/voice/ws/receptionist/" in stream_url(answer)
    await house.over(*sids)


@pytest.mark.parametrize(
    "caller",
    [
        "\"><Hangup/>&amp;<![CDATA[ ]]>'",
        "\x00\x01\x0b\x1b[31m\x7f\ufffe\uffff",
        "+1415555\r\n0100",
        "名前 \U0001f4de \u202e",
        "x" * 20_000,
        "{{ 7 * 7 }}{% raw %}",
        "",
    ],
)
async def test_a_hostile_caller_makes_valid_xml_and_an_honest_row(house: Product, caller: str) -> None:
    call_sid = new_call_sid()
    answer = await house.ask("/twilio/incoming", form(call_sid, caller))
    url = stream_url(answer)
    root = ElementTree.fromstring(answer.content)
    assert [verb.tag for verb in root] == ["Connect", "Redirect"]
    for parameter in root.iter("Parameter"):
        assert len(parameter.attrib["name"] + parameter.attrib["value"]) <= 500
    async with phone(house, url) as end:
        await end.start(call_sid)
        await end.hears()
    await house.closed(call_sid)
    row = await house.store.call(call_sid)
    assert row is not None
    assert row.from_number == caller.strip().replace("\x00", "")
    await house.over(call_sid)


async def test_beyond_the_cap_a_caller_is_put_through_or_asked_to_call_again_and_room_comes_back() -> None:
    async with (
        product(MAX_CALLS="1") as manned,
        product(MAX_CALLS="1", HUMAN_TRANSFER_NUMBER="") as lonely,
    ):
        for house, expected in ((manned, ["Say", "Dial"]), (lonely, ["Say", "Record", "Say", "Hangup"])):
            first, second, number = new_call_sid(), new_call_sid(), new_number()
            assert verbs(await house.rings(first)) == ["Connect", "Redirect"]
            full = await house.rings(second, number)
            assert verbs(full) == expected
            assert (PERSON in full.text) is (house is manned)
            back = form(new_call_sid(), number, CallStatus="in-progress", DialCallStatus="no-answer")
            assert verbs(await house.ask("/twilio/dialed", back)) == ["Say", "Record", "Say", "Hangup"], "no silent end"
            assert house.sessions_of(number) == []
            assert (await house.figures())["offhook_calls_live"] == 1
            await house.over(first)

            async def left(house: Product = house) -> bool:
                return (await house.figures())["offhook_calls_live"] == 0

            await eventually(left, "room again")  # once the books have said that no other server has the call
            third = new_call_sid()
            assert verbs(await house.rings(third)) == ["Connect", "Redirect"]
            await house.over(third)


async def test_a_final_status_ends_a_call_once_however_often_and_whenever_it_comes(house: Product) -> None:
    call_sid, number = new_call_sid(), new_number()
    before = await house.figures()
    abandoned = 'offhook_calls_total{door="none",mode="receptionist",outcome="abandoned"}'
    url = stream_url(await house.rings(call_sid, number))
    assert (await house.figures())["offhook_calls_live"] == before["offhook_calls_live"] + 1
    for status in ("completed", "ringing", "in-progress", "completed", "failed", "busy"):
        answer = await house.ask("/twilio/status", form(call_sid, number, CallStatus=status))
        assert verbs(answer) == []
    after = await house.figures()
    assert after["offhook_calls_live"] == before["offhook_calls_live"]
    assert after[abandoned] == before.get(abandoned, 0) + 1
    assert verbs(await house.ask("/twilio/next", form(call_sid, number, CallStatus="completed"))) == []
    async with asyncio.timeout(5):
        (session,) = house.sessions_of(number)
        await session.over.wait()
    assert await refused(house, url) == 403, "the ticket went with the call"
    stranger = new_call_sid()
    await house.over(stranger)
    assert not await house.known(stranger)


async def test_a_final_status_ends_a_call_that_streams(house: Product) -> None:
    call_sid = new_call_sid()
    async with phone(house, stream_url(await house.rings(call_sid))) as end:
        await end.start(call_sid)
        await end.hears()
        await house.over(call_sid)
        code, _ = await end.closed()
    assert code == 1000
    await house.closed(call_sid)


async def test_forms_that_are_none_are_refused_before_they_are_read(house: Product) -> None:
    url = house.url + "/twilio/incoming"
    signed = {"X-Twilio-Signature": "bm8=", "Content-Type": "application/x-www-form-urlencoded"}
    huge = await house.http.post(url, content=b"a=" + b"x" * 200_000, headers=signed)
    assert huge.status_code == 413
    many = await house.http.post(url, content="&".join(f"a{n}=b" for n in range(600)), headers=signed)
    assert many.status_code == 413
    text = await house.http.post(url, content=b"{}", headers=signed | {"Content-Type": "application/json"})
    assert text.status_code == 403
    no_sid = {"From": "+14155550100", "AccountSid": ACCOUNT}
    assert verbs(await house.ask("/twilio/incoming", no_sid)) == ["Say", "Hangup"]


async def test_the_platform_s_doors_say_how_it_stands(house: Product) -> None:
    async def status(path: str, **headers: str) -> int:
        return (await house.http.get(house.url + path, headers=headers)).status_code

    assert await status("/healthz") == 200
    assert await status("/readyz") == 200
    assert await status("/") == 401
    login = "Basic " + base64.b64encode(f"operator:{PASSWORD}".encode()).decode()
    assert await status("/", Authorization=login) == 200
    assert await status("/metrics") == 403
    assert await status("/metrics", Authorization="Bearer wrong") == 403
    answer = await house.http.get(house.url + "/metrics", headers={"Authorization": f"Bearer {METRICS_TOKEN}"})
    families = {line.split()[2] for line in answer.text.splitlines() if line.startswith("# TYPE ")}
    assert families >= NAMES
    assert await status("/nowhere") == 404
