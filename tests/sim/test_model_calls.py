"""Calls at the model stand-in: several sessions of one call, callers nobody announced, the control door, many at once."""

import asyncio
import json
from typing import Any

import pytest
from websockets.asyncio.client import connect

from app.errors import SetupError
from app.sim.model import ModelServer
from tests.sim.booking_script import BOOKING, GREETING, TOOLS, script
from tests.sim.realtime_client import (
    SILENCE,
    VOICES,
    audio_of,
    ga,
    serving,
    session,
)  # fmt: skip


async def test_a_second_stream_takes_the_second_opening_and_an_unclaimed_session_none() -> None:
    call = script({"agent": "First."}, {"caller": "Sales please.", "agent": "Yes."}, {"agent": "Second."})
    async with serving(scripts=[call]) as (_, url):
        for claimed, said in ((False, "First."), (True, "First."), (True, "Second.")):
            async with session(url) as client:
                await client.configure(ga())
                await client.tell("Greet the caller.")
                assert (await client.ask())[-1]["response"]["output"][0]["content"][0]["transcript"] == said
                if claimed:
                    await client.hear(SILENCE)
                    await client.answer("response.cancel")


async def test_a_caller_nobody_announced_is_understood_by_any_script() -> None:
    other = script({"caller": "Are you open?", "agent": "We are."}, number="+14155550177")
    async with serving(scripts=[BOOKING, other]) as (_, url), session(url) as client:
        await client.configure(ga("The caller is unknown."))
        assert (await client.ask())[-1]["response"]["output"][0]["content"][0][
            "transcript"
        ] == "Hello, how can I help you?"
        await client.speak("Are you open?")
        assert (await client.until("response.done"))["response"]["output"][0]["content"][0]["transcript"] == "We are."


async def test_the_control_door_takes_a_script_and_tells_what_happens() -> None:
    data = {"title": "Told", "mode": "m", "caller": {"number": "+14155550188"}, "vars": {"day": "tomorrow"},
            "turn": [{"agent": "It is {{ day | weekday }} tomorrow."}]}  # fmt: skip
    async with serving() as (_, url), connect(url.replace("/v1/realtime", "/control")) as control:

        async def tell(**message: Any) -> Any:
            await control.send(json.dumps(message))
            return json.loads(await control.recv())

        refused = await tell(number="+14155550199", script={**data, "tempo": 3})
        assert refused["ok"] is False
        assert "tempo" in refused["error"]
        assert (await tell(hello=1))["ok"] is False
        assert await tell(number="+14155550199", script=data, today="2026-11-25", watch="+14155550199") == {"ok": True}
        async with session(url) as client:
            await client.configure(ga("You answer +14155550000. The caller is +14155550199."))
            done = (await client.ask())[-1]["response"]
            assert done["output"][0]["content"][0]["transcript"] == "It is Thursday tomorrow."
        assert json.loads(await control.recv()) == {"type": "says", "text": "It is Thursday tomorrow."}
        assert json.loads(await control.recv()) == {"type": "closed"}
        assert await tell(forget="+14155550199") == {"ok": True}


async def test_silence_is_noticed_where_the_client_asks_for_it(monkeypatch: pytest.MonkeyPatch) -> None:
    async with serving(scripts=[BOOKING]) as (_, url), session(url) as client:
        config = ga()
        config["audio"]["input"]["turn_detection"]["idle_timeout_ms"] = 5000
        await client.configure(config)
        clock = asyncio.get_running_loop()
        later = clock.call_later
        monkeypatch.setattr(clock, "call_later", lambda s, *rest, **more: later(0 if s >= 5 else s, *rest, **more))
        await client.ask()
        await client.until("input_audio_buffer.timeout_triggered")
        monkeypatch.undo()
        done = await client.until("response.done")
        assert done["response"]["output"][0]["content"][0]["transcript"] == "Are you still there?"


async def test_a_hundred_sessions_speak_at_once() -> None:
    async with serving(scripts=[BOOKING]) as (server, url):

        async def call() -> bytes:
            async with session(url) as client:
                await client.configure(ga("Nobody.", tools=TOOLS))
                await client.ask()
                await client.speak("Anything on Tuesday?")
                await client.until("response.done")
                return audio_of(client.seen)

        said = await asyncio.gather(*(call() for _ in range(100)))
        assert set(said) == {VOICES.say(GREETING) + VOICES.say("Let me look.")}
        assert len(server.sessions) == 100


async def test_a_line_that_cannot_be_said_is_refused_before_the_call() -> None:
    class Mute:
        def say(self, text: str, speaker: str = "agent") -> bytes:
            raise SetupError(f"nobody recorded {text!r}")

        def core(self, audio: bytes) -> bytes:
            return audio

    with pytest.raises(SetupError, match="turn 2: nobody recorded 'Anything on Tuesday"):
        ModelServer(scripts=[BOOKING], voices=Mute())


async def test_a_client_that_goes_away_ends_its_session() -> None:
    async with serving(scripts=[BOOKING], pace=1) as (server, url):
        async with session(url) as client:
            await client.configure(ga())
            await client.send("response.create")
            await client.until("response.output_audio.delta")
        async with asyncio.timeout(5):
            await server.sessions[0].over.wait()
        assert server.sessions[0].log[-1] == {"type": "closed"}
