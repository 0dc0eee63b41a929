"""At the model stand-in's doors: who is turned away, and what goes wrong on request."""

import asyncio
import json
from typing import Any

import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed, ConnectionClosedError, InvalidStatus

from app.sim.model_faults import Faults
from app.sim.script import parse
from tests.sim.realtime_client import function, ga, kinds, serving, session

CALL = parse(
    {"title": "A call", "mode": "m", "caller": {"number": "+14155550133"}, "turn": [
        {"agent": "Hello there, this is a long greeting."},
        {"caller": "Who is it?", "tools": [{"name": "look", "arguments": {"who": "me"}}], "agent": "It is me."},
    ]}, "test",
)  # fmt: skip
SECRET = "k-123"


async def test_the_beta_header_is_turned_away_by_ga_and_by_nobody_else() -> None:
    headers = {"OpenAI-Beta": "realtime=v1"}
    async with serving(scripts=[CALL]) as (_, url), session(url, headers=headers) as client:
        assert (await client.next())["error"]["code"] == "beta_api_shape_disabled"
        with pytest.raises(ConnectionClosedError) as closed:
            await client.next()
        assert closed.value.rcvd is not None
        assert (closed.value.rcvd.code, closed.value.rcvd.reason) == (
            4000,
            "invalid_request_error.beta_api_shape_disabled",
        )
    async with serving(scripts=[CALL], dialect="flat") as (_, url), session(url, headers=headers) as client:
        assert (await client.next())["type"] == "session.created"


async def test_the_doors_are_where_the_real_ones_are() -> None:
    async with serving(scripts=[CALL], dialect="flat") as (_, url):
        origin = url.removesuffix("/v1/realtime")
        async with connect(f"{origin}/openai/realtime?api-version=2025-04-01-preview&deployment=desk") as socket:
            assert json.loads(await socket.recv())["session"]["model"] == "desk"
        with pytest.raises(InvalidStatus) as refused:
            await connect(f"{origin}/v2/realtime?model=m")
        assert refused.value.response.status_code == 404
        async with connect(url) as socket:
            assert json.loads(await socket.recv())["error"]["code"] == "missing_model"
            with pytest.raises(ConnectionClosed):
                await socket.recv()


@pytest.mark.parametrize(
    ("path", "header"),
    [("/v1/realtime", {"Authorization": f"Bearer {SECRET}"}), ("/openai/v1/realtime", {"api-key": SECRET})],
)
async def test_the_key_is_asked_for(path: str, header: dict[str, str]) -> None:
    other = {"api-key": SECRET} if "Authorization" in header else {"Authorization": f"Bearer {SECRET}"}
    async with serving(scripts=[CALL], api_key=SECRET) as (_, url):
        url = url.removesuffix("/v1/realtime") + path
        for wrong in ({}, {"Authorization": "Bearer other"}, other):
            with pytest.raises(InvalidStatus) as refused:
                await connect(f"{url}?model=m", additional_headers=wrong)
            assert refused.value.response.status_code == 401
            assert refused.value.response.body is not None
            assert json.loads(refused.value.response.body)["error"]["code"] == "invalid_api_key"
        async with session(url, headers=header) as client:
            assert (await client.next())["type"] == "session.created"


async def test_faults_of_the_whole_server() -> None:
    async with serving(scripts=[CALL], faults=Faults(refuse_key=True)) as (server, url):
        with pytest.raises(InvalidStatus):
            await connect(f"{url}?model=m")
        server.faults = Faults(refuse_config=True)
        async with session(url) as client:
            assert (await client.answer("session.update", session=ga()))["param"] == "session"
        server.faults = Faults(fails_with="insufficient_quota")
        async with session(url) as client:
            await client.configure(ga())
            done = (await client.ask())[-1]["response"]
            assert (done["status"], done["status_details"]["error"]["code"]) == ("failed", "insufficient_quota")
        server.faults = Faults(no_tools=True)
        async with session(url) as client:
            await client.configure(ga(tools=[function("look")]))
            await client.speak("Who is it?")
            assert [item["type"] for item in (await client.until("response.done"))["response"]["output"]] == ["message"]


async def test_a_silent_server_says_nothing_more_and_a_hanging_one_nothing_at_all() -> None:
    async with serving(scripts=[CALL], faults=Faults(silent=True)) as (server, url):
        async with session(url) as client:
            await client.configure(ga())
            await client.send("response.create")
            await client.until("rate_limits.updated")
            await client.answer("response.create")
            assert not [name for name in kinds(client.seen) if name.startswith("response.output")]
        server.faults = Faults(hang=True)
        async with session(url) as client:
            await client.send("session.update", session=ga())
            await (await client.socket.ping())
            await client.socket.close()
            with pytest.raises(ConnectionClosed):
                await client.socket.recv()


async def test_a_connection_can_be_torn_and_a_session_expire() -> None:
    async with serving(scripts=[CALL]) as (server, url):
        server.register(CALL, faults=Faults(die_after_ms=0, sessions=1))
        async with session(url) as client:
            await client.configure(ga())
            with pytest.raises(ConnectionClosedError) as closed:
                await client.next()
            assert closed.value.rcvd is None
        async with session(url) as client:
            await client.configure(ga())
            assert (await client.ask())[-1]["response"]["status"] == "completed"
        server.register(CALL, faults=Faults(expire_after_ms=0))
        async with session(url) as client:
            await client.configure(ga())
            assert (await client.until("error"))["error"]["code"] == "session_expired"
            with pytest.raises(ConnectionClosed) as ended:
                await client.next()
            assert ended.value.rcvd is not None
            assert ended.value.rcvd.code == 1001


async def test_a_transcription_can_fail_and_the_answer_comes_all_the_same() -> None:
    async with serving(scripts=[CALL], transcription_ms=0) as (server, url):
        server.register(CALL, faults=Faults(transcription_fails=True))
        async with session(url) as client:
            await client.configure(ga(tools=[function("look")]))
            await client.speak("Who is it?")
            failed = await client.until("conversation.item.input_audio_transcription.failed")
            assert failed["error"]["code"]
            if "response.done" not in kinds(client.seen):
                await client.until("response.done")
            done = next(event for event in client.seen if event["type"] == "response.done")
            assert done["response"]["output"][0]["name"] == "look"


@pytest.mark.parametrize(
    ("by", "ends"),
    [
        ("torn", 1006),
        ("1001", 1001),
        ("1011", 1011),
        ("4000", 4000),
        ("stall", 0),
        ("deaf", 0),
        ("insufficient_quota", 0),
    ],
)
async def test_a_session_breaks_in_the_midst_of_a_word(by: Any, ends: int) -> None:
    async with serving(scripts=[CALL], delta_ms=20) as (server, url):
        server.register(CALL, faults=Faults(breaks_in="word", breaks_by=by, sessions=1))
        async with session(url) as client:
            await client.configure(ga())
            await client.send("response.create")
            await client.until("response.output_audio.delta")
            if ends:
                with pytest.raises(ConnectionClosed) as closed:
                    await client.until("response.done")
                assert (closed.value.rcvd.code if closed.value.rcvd else 1006) == ends
            elif by == "insufficient_quota":
                assert (await client.until("error"))["error"]["code"] == by
            else:
                await asyncio.wait_for(server.sessions[-1].broke.wait(), 5)
                await client.send("response.create")
                with pytest.raises(TimeoutError):
                    await asyncio.wait_for(client.socket.recv(), 0.1)


@pytest.mark.parametrize("status", [401, 429, 503])
async def test_the_upgrade_can_be_refused_with_a_status(status: Any) -> None:
    async with serving(scripts=[CALL], faults=Faults(refuse_status=status)) as (_, url):
        with pytest.raises(InvalidStatus) as refused:
            await connect(f"{url}?model=m")
        assert refused.value.response.status_code == status


async def test_a_session_that_takes_over_goes_on_where_the_history_ends() -> None:
    """Every kind of item is taken as the real server takes it, and what was said is not said again."""
    told = {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "Who is it?"}]}
    call = {"type": "function_call", "call_id": "c1", "name": "look", "arguments": '{"who":"me"}'}
    came = {"type": "function_call_output", "call_id": "c1", "output": "{}"}
    said = {"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": "It is"}]}
    note = "Continue without a greeting."
    go_on = {"type": "message", "role": "system", "content": [{"type": "input_text", "text": note}]}
    for items, answer in (
        ([told, go_on], "look"),
        ([told, call, came, go_on], "It is me."),
        ([told, call, came, said, go_on], "me."),
    ):
        async with serving(scripts=[CALL]) as (server, url):
            server.register(CALL, faults=Faults())
            async with session(url) as client:
                await client.configure(ga(tools=[function("look")]))
                for item in items:
                    await client.send("conversation.item.create", item=item)
                output = (await client.ask())[-1]["response"]["output"][-1]
                assert (output.get("name") or output["content"][0]["transcript"]) == answer
