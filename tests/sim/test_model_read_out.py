"""The model stand-in reads a sentence out when it is told to, between a tool's call and its answer, and loses no thread."""

from typing import Any

import pytest

from app.errors import SetupError
from app.sim.model_mind import ONE_MOMENT
from app.wire.realtime import read_out
from tests.sim.booking_script import BOOKING, GREETING, SLOTS, TOOLS
from tests.sim.realtime_client import Client, FakeVoices, flat, function, ga, serving, session

TOOL_NAMES = [tool["name"] for tool in TOOLS]


async def said(client: Client) -> str:
    """The words of the next response."""
    done = await client.until("response.done")
    assert done["response"]["status"] == "completed", done["response"]["status_details"]
    return " ".join(
        item["content"][0]["transcript"] for item in done["response"]["output"] if item["type"] == "message"
    )


@pytest.mark.parametrize("dialect", ["ga", "flat"])
async def test_a_sentence_is_read_while_a_tool_is_out_and_the_answer_is_as_it_would_have_been(dialect: str) -> None:
    config = (ga if dialect == "ga" else flat)(tools=[function(name) for name in TOOL_NAMES])
    async with serving(scripts=[BOOKING], dialect=dialect) as (_, url), session(url) as client:
        await client.configure(config)
        await client.tell("Greet the caller.")
        await client.send("response.create")
        assert await said(client) == GREETING
        await client.speak("Anything on Tuesday?")
        assert await said(client) == "Let me look."
        done = client.seen[-1]
        calls: list[dict[str, Any]] = [item for item in done["response"]["output"] if item["type"] == "function_call"]
        await client.socket.send(read_out("filler-1", "I am still looking.").decode())
        assert await said(client) == "I am still looking."
        for call in calls:
            await client.give(call, SLOTS if call["name"] == "free_slots" else {"open": "always"})
        await client.send("response.create")
        assert await said(client) == "I have ten thirty."


async def test_a_sentence_that_nobody_recorded_becomes_one_that_everybody_has() -> None:
    class Few(FakeVoices):
        def say(self, text: str, speaker: str = "agent") -> bytes:
            if text == "Abracadabra.":
                raise SetupError(f"nobody recorded {text!r}")
            return super().say(text, speaker)

    async with serving(scripts=[BOOKING], voices=Few()) as (_, url), session(url) as client:
        await client.configure(ga())
        await client.socket.send(read_out("filler-1", "Abracadabra.").decode())
        assert await said(client) == ONE_MOMENT
