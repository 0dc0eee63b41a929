"""The shipped scripts, played to their end against the model stand-in with the recorded voices, in both dialects."""

from contextlib import AsyncExitStack
from typing import Any

import pytest

from app.sim import voices
from app.sim.script import Script, load, shipped
from app.sim.script_words import render
from tests.sim.realtime_client import SILENCE, Client, audio_of, flat, function, ga, serving, session

ANSWERS: dict[str, Any] = {
    "free_slots": {"slots": ["2026-12-01T10:30:00", "2026-12-01T11:00:00"]},
    "book_appointment": {"reference": "A1", "start": "2026-12-01T10:30:00"},
}


async def spoken(client: Client) -> list[str]:
    """All that the agent says until it has nothing more to do; its tools are answered."""
    said = []
    while True:
        done = await client.until("response.done")
        assert done["response"]["status"] == "completed", done["response"]["status_details"]
        calls = [item for item in done["response"]["output"] if item["type"] == "function_call"]
        said += [item["content"][0]["transcript"] for item in done["response"]["output"] if item["type"] == "message"]
        if not calls:
            return said
        for call in calls:
            await client.give(call, ANSWERS.get(call["name"], {"ok": True}))
        if calls[0]["name"] in ("put_through", "end_call"):
            return said  # the call goes elsewhere
        await client.send("response.create")


@pytest.mark.parametrize("dialect", ["ga", "flat"])
@pytest.mark.parametrize(
    "name", ["after-hours", "booking", "hangup", "human", "text"]
)  # ANSWERS fit these; tests/calls has all
async def test_a_shipped_script_plays_to_its_end(name: str, dialect: str) -> None:
    script: Script = load(shipped()[name])
    tools = [function(name) for name in sorted({use.name for turn in script.turn for use in turn.tools})]
    config = (ga if dialect == "ga" else flat)(f"The caller is {script.caller.number}.", tools=tools)
    async with serving(voices=voices, scripts=[script], dialect=dialect) as (server, url), AsyncExitStack() as stack:
        known = script.variables(server.today()) | {
            "free": ANSWERS["free_slots"],
            "booked": ANSWERS["book_appointment"],
        }
        for turn in script.turn:
            if turn.opening:
                client = await stack.enter_async_context(session(url))
                await client.configure(config)
                await client.tell("Greet the caller.")
                await client.send("response.create")
            elif turn.hangs_up_after_ms is not None:
                continue
            else:
                line = voices.say(render(turn.caller, known), script.caller.voice)
                await client.hear(SILENCE * 20 + line + SILENCE * 40)
            said = await spoken(client)
            assert said == [render(text, known) for text in (turn.preamble, turn.agent) if text]
        assert audio_of(client.seen)
        assert [note for note in server.sessions[0].log if note == {"type": "heard", "text": ""}] == []
