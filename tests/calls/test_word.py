"""Word to the business, from a whole call: what the endpoint gets, and that no death of a process loses it."""

import asyncio
import itertools
import os
import signal
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text

from app.adapters.embedded_pg import create_database
from app.settings import ROOT
from app.sim.carrier_call import CarrierCall
from tests.adapters.endpoints import SECRET, Endpoint, Received, endpoint, hangs, says, taken
from tests.calls.asgi_server import asgi_server
from tests.calls.conversations import BYE, GREETING, HOURS, OPEN, spoken, talks
from tests.calls.foreign import ACCOUNT, TOKEN
from tests.calls.line import Line
from tests.calls.product import OURS, PUBLIC, Product, eventually, form, new_call_sid, new_number, product
from tests.sim.booking_script import script

BUSINESS = '\n[[webhook]]\nname = "crm"\nurl = "{url}"\nsecret = "CRM_SECRET"\n'

ASKED = script(
    {"agent": "Hello."},
    {
        "caller": BYE,
        "preamble": "Thank you for calling. Goodbye.",
        "tools": [{"name": "end_call", "arguments": {"reason": "the caller has said it"}}],
    },
)

_names = itertools.count()


def folder(tmp_path: Path, it: Endpoint) -> str:
    """A business with this endpoint."""
    business = (ROOT / "offhook.toml").read_text(encoding="utf-8")
    (tmp_path / "offhook.toml").write_text(business + BUSINESS.format(url=it.url), encoding="utf-8")
    return str(tmp_path)


@pytest.fixture
async def own_database(house: Product) -> str:
    """A database that outlives the servers of one test."""
    return await create_database(house.running.database_url, f"word_{os.getpid()}_{next(_names)}")


async def _is_asked(house: Product, number: str) -> CarrierCall:
    """Somebody answers a question, and no tool writes it down."""
    house.model.register(ASKED, number=number)
    line = Line()
    call = await house.dial(line, number, webhook="/twilio/incoming?mode=followup")
    await line.until(lambda: bool(call.streams), "a stream")
    line.say(spoken(BYE))
    await call.finished()
    return call


async def test_calls_are_told_whole_and_neither_a_broken_endpoint_nor_a_death_over_a_delivery_loses_one(
    own_database: str, tmp_path: Path
) -> None:
    """On one server, one after the other: starting another takes longer than all of it."""
    async with endpoint(taken, taken, says("500 Broken"), hangs) as it:
        there: dict[str, Any] = {
            "BUSINESS_FOLDER": folder(tmp_path, it),
            "DATABASE_URL": own_database,
            "CRM_SECRET": SECRET,
        }
        async with product(door="asgi", **there) as house:
            number, asked = new_number(), new_number()
            (call, _), told = await asyncio.gather(talks(house, number), _is_asked(house, asked))
            words = {received.verified()["data"]["call_sid"]: received for received in await it.gets(2)}
            await _is_whole(house, call, number, words[call.call_sid])
            _is_completed(words[told.call_sid].verified()["data"])
            await _is_kept(house, it)

            cut = new_call_sid()  # rings, and is over before its stream: the shortest call there is
            await house.rings(cut)
            await house.over(cut)
            received = (await it.gets(4))[3]
            assert received.verified()["data"]["outcome"] == "abandoned"
            os.kill(house.running.pid, signal.SIGKILL)
            async with house.engine.begin() as connection:
                lease = "UPDATE deliveries SET next_at = now() WHERE next_at < now() + interval '2 minutes' AND state = 'waiting' "
                lease += "RETURNING call_sid, attempts"
                assert (await connection.execute(text(lease))).all() == [(cut, 1)], "a minute passes"
        it.manners = [taken]
        variables = {
            "PUBLIC_URL": PUBLIC,
            "TWILIO_AUTH_TOKEN": TOKEN,
            "TWILIO_ACCOUNT_SID": ACCOUNT,
            "REALTIME_URL": house.target.model,
        }
        async with asgi_server(**variables, **there):
            again = (await it.gets(5))[4]
        assert (again.id, again.body) == (received.id, received.body), "the receiver can tell that it knows it"
        assert again.verified()["data"]["call_sid"] == cut


async def _is_whole(house: Product, call: CarrierCall, number: str, received: Received) -> None:
    told = received.verified()
    data = told["data"]
    assert (told["type"], data["call_sid"], data["mode"]) == ("call.finished", call.call_sid, "receptionist")
    assert (data["from_number"], data["to_number"], data["direction"]) == (number, OURS, "inbound")
    assert data["link"] == f"{PUBLIC}/calls/{call.call_sid}"
    assert data["outcome"] == "completed"
    assert data["result"]["fields"]["result"] == "answered"
    said = [(turn["who"], turn["text"]) for turn in data["transcript"]]
    assert said[:3] == [("agent", GREETING), ("caller", HOURS), ("agent", OPEN)]
    assert [(tool["name"], tool["status"]) for tool in data["tools"]] == [("opening_hours", "ok"), ("end_call", "ok")]
    assert "08:00 to 17:00" in str(data["tools"][0]["result"])
    assert data["figures"]["greeting_path"] == "prepared"
    assert data["figures"]["cost_usd"] > 0
    assert len(data["figures"]["turn_ms"]) >= 1

    async def noted() -> bool:
        mine = "SELECT state, attempts FROM deliveries WHERE call_sid = :sid"
        return await house.rows(mine, sid=call.call_sid) == [("sent", 1)]

    await eventually(noted, "the delivery noted as taken")


def _is_completed(data: dict[str, Any]) -> None:
    """What the caller said is in the outcome, though no tool wrote it down; what nobody said is not."""
    assert data["result"]["completed"] == ["said"]
    fields = data["result"]["fields"]
    assert (fields["went"], fields["said"], fields["result"]) == ("", BYE, "none")


async def _is_kept(house: Product, it: Endpoint) -> None:
    """What an endpoint would not take is kept for later, and its call has ended all the same."""
    broken = new_call_sid()
    await house.rings(broken)
    await house.over(broken)
    await it.gets(3)

    async def kept() -> bool:
        mine = "SELECT state, attempts, status FROM deliveries WHERE call_sid = :sid"
        return await house.rows(mine, sid=broken) == [("waiting", 1, 500)]

    await eventually(kept, "the delivery kept for later")
    assert (await house.figures())['offhook_deliveries_total{endpoint="crm",result="failed"}'] == 1
    async with house.engine.begin() as connection:  # much later, so that it is not what comes next
        much_later = "UPDATE deliveries SET next_at = now() + interval '1 day' WHERE call_sid = :sid"
        await connection.execute(text(much_later), {"sid": broken})


async def test_a_call_whose_process_is_gone_is_told_of_once_the_carrier_says_that_it_is_over(house: Product) -> None:
    lost = new_call_sid()
    async with house.engine.begin() as connection:
        row = "INSERT INTO calls (call_sid, mode, direction, from_number, to_number, started_at, version) VALUES"
        await connection.execute(text(f"{row} (:sid, 'receptionist', 'inbound', '', '', now(), '')"), {"sid": lost})
    answer = await house.ask("/twilio/status", form(lost, "+14155550100", CallStatus="completed"))
    assert answer.status_code == 200
    found = await house.rows("SELECT told, written FROM finished_calls WHERE call_sid = :sid", sid=lost)
    assert found == [(False, None)]
