"""A hundred calls at once, between a carrier and a model that are not ours: nothing lost, nothing out of order, nothing mixed."""

import asyncio
from functools import partial

import httpx
import pytest

from app.commands.own_server import started_server
from tests.calls.asgi_server import asgi_server
from tests.calls.foreign import REPLY_FRAMES, TOKEN, ForeignCall, ForeignModel

PUBLIC = "https://bench.example"
CALLS = 100
FRAMES = 250
ALL_COME_IN = "0"
"""The question here is what becomes of a hundred calls, however late the machine runs; whom it turns away is asked elsewhere."""


@pytest.mark.parametrize(("dialect", "door"), [("ga", "fast"), ("flat", "asgi")])
async def test_a_hundred_calls_lose_and_mix_nothing(dialect: str, door: str) -> None:
    model = ForeignModel(dialect)
    url = await model.start()
    try:
        async with (
            (asgi_server if door == "asgi" else partial(started_server, quiet=True))(
                REALTIME_URL=url, TWILIO_AUTH_TOKEN=TOKEN, PUBLIC_URL=PUBLIC, MAX_LOOP_LAG_MS=ALL_COME_IN
            ) as (running, _),
            httpx.AsyncClient(trust_env=False) as http,
        ):
            calls = [ForeignCall(http, running.url, PUBLIC, who) for who in range(1, CALLS + 1)]

            async def make(call: ForeignCall) -> None:
                await asyncio.sleep(call.who * 0.02)
                await call.talk(await call.webhook(), FRAMES)

            await asyncio.gather(*(make(call) for call in calls))
            await asyncio.sleep(0.5)
    finally:
        await model.close()
    assert model.mixed == 0
    assert model.early_responses == 0
    for call in calls:
        assert call.wrong == []
        assert model.heard[call.who] == list(range(FRAMES)), f"caller frames of call {call.who}"
        sessions = {session for session, _ in call.heard}
        assert len(sessions) == 1, f"call {call.who} heard {sessions}"
        assert [n for _, n in call.heard] == list(range(REPLY_FRAMES)), f"agent frames of call {call.who}"
        assert call.marks == 1
    owners = [next(iter(call.heard))[0] for call in calls]
    assert len(set(owners)) == CALLS
    for configs in model.configs.values():
        first, second = (len(config["tools"]) for config in configs)
        assert first < second, "lean tools first, all of them after the first answer"
