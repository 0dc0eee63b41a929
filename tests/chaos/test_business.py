"""The matrix's backend, and how its ledger is held against what the caller was told."""

import asyncio
from types import SimpleNamespace
from typing import Any

import httpx
import pytest

from app.chaos.books import bookings
from app.chaos.business import Business
from app.chaos.caller import Caller
from app.chaos.fault import of
from app.chaos.talks import BOOKED, BOOKS
from app.sim.playout import FRAME_BYTES
from app.sim.voices import say

FAULT = of("process", "x", "nothing", talk=BOOKS)
WISH = {"name": "Baker", "start": "2026-12-01T09:00:00", "reason": "check-up", "phone": "+14155550133"}


async def ask(url: str, key: str) -> dict[str, Any]:
    async with httpx.AsyncClient(trust_env=False) as http:
        answer = await http.post(url + "/bookings", json=WISH, headers={"Idempotency-Key": key})
    return dict(answer.json())


async def test_a_key_books_once_and_is_answered_alike_however_often_it_comes() -> None:
    business = Business()
    url = await business.start()
    try:
        first, again = await ask(url, "k1"), await ask(url, "k1")
        assert first == again == {"reference": "R1", "name": "Baker", "start": WISH["start"], "reason": "check-up"}
        assert (await ask(url, "k2"))["reference"] == "R2"
        assert list(business.acts) == ["k1", "k2"]
        assert [asked.key for asked in business.asked] == ["k1", "k1", "k2"]
    finally:
        await business.close()


@pytest.mark.parametrize("acts", [True, False])
async def test_the_first_answer_may_never_come_whether_it_was_booked_or_not(acts: bool) -> None:
    business = Business()
    business.first_acts, business.holds_seconds = acts, None
    url = await business.start()
    try:
        waits = asyncio.create_task(ask(url, "k1"))
        await business.is_asked()
        assert list(business.acts) == ["k1"] * acts
        assert not waits.done()
        assert (await ask(url, "k1"))["reference"] == "R1"
        assert list(business.acts) == ["k1"]
        waits.cancel()
        await asyncio.gather(waits, return_exceptions=True)
    finally:
        await business.close()


async def _judged(acts: list[str], *, told: bool, result: str = "booked") -> list[str]:
    caller, business = Caller(BOOKS), Business()
    business.acts = dict.fromkeys(acts, WISH)
    caller.stream_started("MZ1")
    audio = say(BOOKED) if told else b""
    for at in range(0, len(audio), FRAME_BYTES):
        caller.heard(audio[at : at + FRAME_BYTES], 0)

    async def rows(sql: str) -> list[tuple[object, ...]]:
        return [(result,)]

    scene: Any = SimpleNamespace(caller=caller, business=business, rows=rows)
    return await bookings(FAULT, scene)


async def test_what_was_booked_twice_or_told_and_not_booked_is_a_fault() -> None:
    assert await _judged(["k1"], told=True) == []
    assert "got 2" in (await _judged(["k1", "k2"], told=True))[0]
    assert "got 0" in (await _judged([], told=True))[0]
    assert "told: False" in (await _judged(["k1"], told=False))[0]
    assert "result 'booked', got 'none'" in (await _judged(["k1"], told=True, result="none"))[0]
