"""Calls that are asked for by the API: who may, what is refused with its reason, and what two processes make of one call."""

import asyncio
import os
import sys
from asyncio.subprocess import PIPE
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest

from app.adapters.api_tokens import ApiTokens
from app.adapters.outbound_book import OutboundBook
from app.settings import ROOT
from app.sim.carrier_call import Callee
from app.sim.carrier_numbers import PhoneNumber
from tests.calls.foreign import ACCOUNT, TOKEN
from tests.calls.line import Line
from tests.calls.product import OURS, Product, eventually, form, new_number, product, verbs

FIELDS = {"name": "Baker", "start": "2030-01-07T09:00"}


class Client:
    """Somebody with a token."""

    def __init__(self, house: Product, token: str) -> None:
        self.house, self.token = house, token

    async def ask(self, to: str, *, token: str | None = None, key: str = "", **more: Any) -> httpx.Response:
        headers = {"Authorization": f"Bearer {self.token if token is None else token}"}
        headers |= {"Idempotency-Key": key} if key else {}
        wish = {"to": to, "mode": "reminder", "fields": FIELDS, "max_attempts": 1, **more}
        return await self.house.http.post(self.house.url + "/calls", json=wish, headers=headers)

    async def see(self, reference: str, method: str = "GET") -> httpx.Response:
        headers = {"Authorization": f"Bearer {self.token}"}
        return await self.house.http.request(method, f"{self.house.url}/calls/outbound/{reference}", headers=headers)

    async def comes_to(self, reference: str, result: str) -> dict[str, Any]:
        async def told() -> bool:
            return bool((await self.see(reference)).json()["result"] == result)

        await eventually(told, f"{reference} to come to {result}")
        answer: dict[str, Any] = (await self.see(reference)).json()
        return answer


@pytest.fixture(scope="module")
async def house() -> AsyncIterator[Product]:
    async with product(TWILIO_PHONE_NUMBER=OURS, QUIET_HOURS="never") as it:
        it.carrier.account.numbers[OURS] = PhoneNumber(OURS)
        yield it


@pytest.fixture(scope="module")
async def client(house: Product) -> Client:
    return Client(house, await ApiTokens(house.engine).make("tests"))


def code(answer: httpx.Response) -> tuple[int, str]:
    error = answer.json()["error"]
    assert error["message"]
    return answer.status_code, error["code"]


async def rows(house: Product) -> int:
    return int((await house.rows("SELECT count(*) FROM outbound_calls"))[0][0])


async def test_who_has_no_good_token_is_refused_and_nothing_is_kept(house: Product, client: Client) -> None:
    before = await rows(house)
    revoked = await ApiTokens(house.engine).make("gone")
    await ApiTokens(house.engine).revoke(revoked.split("_")[1])
    bare = await house.http.post(house.url + "/calls", json={"to": new_number(), "mode": "reminder"})
    assert code(bare) == (401, "no_token")
    for token in ("x", revoked, client.token[:-1]):
        assert code(await client.ask(new_number(), token=token)) == (401, "wrong_token")
    assert await rows(house) == before


async def test_what_cannot_be_called_is_refused_with_its_reason_and_nothing_is_kept(
    house: Product, client: Client
) -> None:
    before, calls = await rows(house), len(house.carrier.calls)
    listed = new_number()
    await OutboundBook(house.engine).never_call(listed, "asked for it")
    assert code(await client.ask("4155550133")) == (422, "number_not_e164")
    assert code(await client.ask("+19005551234")) == (422, "number_premium")
    assert code(await client.ask("+4915112345678")) == (422, "country_not_allowed")
    assert code(await client.ask(new_number(), mode="receptionist")) == (422, "mode_unknown")
    assert code(await client.ask(new_number(), fields={})) == (422, "fields_invalid")
    assert code(await client.ask(new_number(), nobodys_key=1)) == (422, "body_invalid")
    assert code(await client.ask(new_number(), key="x" * 300)) == (422, "key_invalid")
    assert code(await client.ask(listed)) == (403, "do_not_call")
    headers = {"Authorization": f"Bearer {client.token}"}
    for moment in ("2030-01-07T09:00:00", "0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-14:00"):
        assert code(await client.ask(new_number(), not_before=moment)) == (422, "time_invalid")
        assert code(await client.ask(new_number(), not_after=moment)) == (422, "time_invalid")
    assert code(await client.ask(new_number(), fields={**FIELDS, "name": 10**40})) == (422, "fields_invalid")
    deep = b'{"to": "", "mode": "", "fields": {"name": ' + b"[" * 7000 + b"]" * 7000 + b"}}"
    for body in (b"", b"{", b'"\xff"', deep):
        answer = await house.http.post(house.url + "/calls", content=body, headers=headers)
        assert answer.status_code in (400, 422)
    large = await house.http.post(house.url + "/calls", content=b" " * 20_000, headers=headers)
    assert code(large) == (413, "too_large")
    assert (await rows(house), len(house.carrier.calls)) == (before, calls)


async def test_a_call_to_one_that_rings_already_is_refused_and_the_same_key_answers_the_same(
    house: Product, client: Client
) -> None:
    number = new_number()
    house.carrier.expects(number, Callee(result="no-answer", ring_seconds=100.0))  # two real seconds
    placed = await client.ask(number, key="once")
    assert placed.status_code == 201
    reference = placed.json()["reference"]
    again = await client.ask(number, key="once")
    assert (again.status_code, again.json()["reference"]) == (200, reference)
    assert code(await client.ask(number, key="once", max_attempts=2)) == (409, "key_reused")

    async def rings() -> bool:
        return bool((await client.see(reference)).json()["status"] == "live")

    await eventually(rings, "it to ring")
    assert code(await client.ask(number)) == (409, "already_ringing")
    assert code(await client.see(reference, "DELETE")) == (409, "not_waiting")
    told = await client.comes_to(reference, "no_answer")
    assert [attempt["result"] for attempt in told["attempts"]] == ["no_answer"]
    (call_sid,) = [attempt["call_sid"] for attempt in told["attempts"]]

    async def closed() -> bool:
        call = await house.store.call(call_sid)
        return call is not None and call.ended_at is not None

    await eventually(closed, "its end in the books")
    call = await house.store.call(call_sid)
    assert call is not None
    assert (call.direction, call.from_number, call.to_number, call.outcome) == ("outbound", OURS, number, "no_answer")
    assert call.cost_usd == 0
    assert len([one for one in house.carrier.calls.values() if one.leg.to_number == number]) == 1


async def test_a_call_for_later_waits_and_can_be_taken_back(house: Product, client: Client) -> None:
    number = new_number()
    soon = (await house.rows("SELECT now() + interval '1 hour'"))[0][0].isoformat()
    placed = (await client.ask(number, not_before=soon)).json()
    assert (placed["status"], placed["why_later"]) == ("waiting", "not before then")
    other = Client(house, await ApiTokens(house.engine).make("somebody else"))
    assert code(await other.see(placed["reference"])) == (404, "not_found")
    assert code(await other.see(placed["reference"], "DELETE")) == (404, "not_found")
    assert (await client.see(placed["reference"], "DELETE")).json()["result"] == "cancelled"
    assert not [call for call in house.carrier.calls.values() if call.leg.to_number == number]


async def test_a_call_that_the_carrier_refuses_is_over_with_its_reason(house: Product, client: Client) -> None:
    number = new_number()
    numbers = house.carrier.account.numbers
    ours = numbers.pop(OURS)
    try:
        reference = (await client.ask(number, max_attempts=3)).json()["reference"]
        told = await client.comes_to(reference, "failed")
    finally:
        numbers[OURS] = ours
    assert told["status"] == "done"
    assert "21210" in told["attempts"][0]["detail"]


async def test_a_process_that_did_not_dial_takes_the_call_by_its_reference_and_one_nobody_asked_for_ends(
    house: Product, client: Client
) -> None:
    number = new_number()
    soon = (await house.rows("SELECT now() + interval '1 hour'"))[0][0].isoformat()
    reference = (await client.ask(number, not_before=soon)).json()["reference"]
    async with house.engine.begin() as connection:  # another process has claimed it, and dialled
        await connection.exec_driver_sql(
            f"UPDATE outbound_calls SET status = 'live', attempts = 1 WHERE reference = '{reference}'"
        )
        await connection.exec_driver_sql(
            "INSERT INTO outbound_attempts (reference, seq, to_number, call_sid, started_at, answered_by, result, detail) "
            f"VALUES ('{reference}', 1, '{number}', '', now(), '', '', '')"
        )
    call_sid = "CA" + "d" * 32
    fields = form(call_sid, OURS, To=number, Direction="outbound-api", CallStatus="in-progress")
    answer = await house.ask("/twilio/answered", fields, query=f"ref={reference}")
    assert verbs(answer) == ["Connect", "Redirect"]
    await _prepared(house, number)
    stranger = await house.ask("/twilio/answered", {**fields, "CallSid": "CA" + "e" * 32}, query="ref=OBnone")
    assert verbs(stranger) == ["Hangup"]
    done = {**fields, "CallStatus": "completed"}
    assert (await house.ask("/twilio/placed", done, query=f"ref={reference}")).status_code == 200
    assert (await client.comes_to(reference, "answered"))["attempts"][0]["call_sid"] == call_sid
    for path in ("/twilio/answered", "/twilio/amd", "/twilio/placed"):
        assert (await house.ask(path, fields, query=f"ref={reference}", signature="")).status_code == 403


async def test_dial_has_the_running_server_call_and_tells_what_became_of_it_or_why_not(house: Product) -> None:
    machine, listed = new_number(), new_number()
    line = Line()
    house.carrier.expects(machine, Callee(line=line, answered_by="machine_end_beep"))
    fields = [f"--field={name}={value}" for name, value in FIELDS.items()]
    await OutboundBook(house.engine).never_call(listed, "asked for it")
    spoke, refused = await asyncio.gather(
        dial(house, machine, "--mode=reminder", "--attempts=1", *fields),
        dial(house, listed, "--mode=reminder", *fields),
    )
    assert (spoke[0], "result: message_left" in spoke[1]) == (0, True), spoke
    assert "attempt 1: message_left CA" in spoke[1]
    assert (refused[0], "do-not-call list" in refused[2]) == (1, True), refused

    async def told() -> bool:
        return any("You have an appointment on" in words for words in line.said)

    await eventually(told, "the message, which is spoken after the attempt is written down")


async def dial(house: Product, *words: str) -> tuple[int | None, str, str]:
    """`./offhook dial` on the machine of the server: its code, and what it said."""
    variables = {
        **os.environ,
        "OFFHOOK_DATA": str(house.data),
        "TWILIO_ACCOUNT_SID": ACCOUNT,
        "TWILIO_AUTH_TOKEN": TOKEN,
        "TWILIO_PHONE_NUMBER": OURS,
        "QUIET_HOURS": "never",
        "REALTIME_URL": house.target.model,
    }
    command = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "app.cli", "dial", *words, cwd=ROOT, env=variables, stdout=PIPE, stderr=PIPE
    )
    said, complained = await command.communicate()
    return command.returncode, said.decode(), complained.decode()


async def _prepared(house: Product, number: str) -> None:
    async def there() -> bool:
        return any("Baker" in session.settings.instructions for session in house.sessions_of(number))

    await eventually(there, "a prepared session that knows of the appointment")
