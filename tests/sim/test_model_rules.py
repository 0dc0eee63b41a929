"""What the model stand-in refuses, as the real server does: shapes, items, truncation, responses."""

import base64
import json
from typing import Any

import pytest
from websockets.asyncio.client import connect

from app.sim.script import parse
from tests.sim.realtime_client import SILENCE, Event, flat, function, ga, serving, session

CALL = parse(
    {"title": "A call", "mode": "m", "caller": {"number": "+14155550133"}, "turn": [
        {"agent": "Hello there, this is a long greeting."},
        {"caller": "Who is it?", "tools": [{"name": "look", "arguments": {"who": "me"}}], "agent": "It is me."},
    ]}, "test",
)  # fmt: skip


def within(place: str, value: Any, base: Event) -> Event:
    """A configuration with one thing changed: "audio.output.voice"."""
    copy: Event = json.loads(json.dumps(base))
    *way, last = place.split(".")
    here = copy
    for key in way:
        here = here.setdefault(key, {})
    here[last] = value
    return copy


@pytest.mark.parametrize(
    ("place", "value", "code", "param"),
    [
        ("voice", "marin", "unknown_parameter", "voice"),
        ("modalities", ["audio"], "unknown_parameter", "modalities"),
        ("input_audio_format", "g711_ulaw", "unknown_parameter", "input_audio_format"),
        ("turn_detection", None, "unknown_parameter", "turn_detection"),
        ("temperature", 0.8, "unknown_parameter", "temperature"),
        ("audio.input.codec", "x", "unknown_parameter", "audio.input.codec"),
        ("type", "transcription", "invalid_parameter", "type"),
        ("model", "gpt-realtime-2.1", "invalid_parameter", "model"),
        ("reasoning", {"effort": "low"}, "invalid_parameter", "reasoning"),
        ("parallel_tool_calls", True, "invalid_parameter", "parallel_tool_calls"),
        ("output_modalities", ["audio", "text"], "invalid_value", "output_modalities"),
        ("audio.output.voice", "robot", "invalid_value", "audio.output.voice"),
        ("audio.output.speed", 2, "invalid_value", "audio.output.speed"),
        ("audio.input.format", {"type": "audio/pcm", "rate": 8000}, "invalid_value", "audio.input.format.rate"),
        ("audio.input.format", {"type": "audio/pcmu", "rate": 8000}, "unknown_parameter", "audio.input.format.rate"),
        (
            "audio.input.turn_detection",
            {"threshold": 0.5},
            "missing_required_parameter",
            "audio.input.turn_detection.type",
        ),
        (
            "audio.input.turn_detection",
            {"type": "server_vad", "threshold": 1.5},
            "invalid_value",
            "audio.input.turn_detection.threshold",
        ),
        (
            "audio.input.turn_detection",
            {"type": "server_vad", "idle_timeout_ms": 100},
            "invalid_value",
            "audio.input.turn_detection.idle_timeout_ms",
        ),
        (
            "audio.input.turn_detection",
            {"type": "semantic_vad", "threshold": 0.5},
            "unknown_parameter",
            "audio.input.turn_detection.threshold",
        ),
        (
            "audio.input.transcription",
            {"model": "whisper-1", "languages": ["en"]},
            "invalid_parameter",
            "audio.input.transcription.languages",
        ),
        ("max_output_tokens", 5000, "invalid_value", "max_output_tokens"),
        ("tool_choice", "always", "invalid_value", "tool_choice"),
        ("tools", [{"type": "function", "function": {"name": "a"}}], "missing_required_parameter", "tools[0].name"),
        ("tools", [function("a b")], "invalid_value", "tools[0].name"),
        (
            "tools",
            [function("a"), {**function("b"), "parameters": {"type": "array"}}],
            "invalid_function_parameters",
            "tools[1].parameters",
        ),
        ("instructions", 5, "invalid_type", "instructions"),
    ],
)
async def test_ga_refuses_a_configuration_as_a_whole(place: str, value: Any, code: str, param: str) -> None:
    async with serving(scripts=[CALL]) as (server, url), session(url) as client:
        before = (await client.next())["session"]
        error = await client.answer("session.update", session=within(place, value, ga()))
        assert (error["type"], error["code"], error["param"]) == ("invalid_request_error", code, f"session.{param}")
        assert server.sessions[0].config == before


async def test_ga_wants_the_type() -> None:
    async with serving(scripts=[CALL]) as (_, url), session(url) as client:
        error = await client.answer("session.update", session=flat())
        assert (error["code"], error["param"]) == ("missing_required_parameter", "session.type")
        assert (await client.configure(ga()))["type"] == "session.updated"


@pytest.mark.parametrize(
    ("place", "value", "code"),
    [
        ("type", "realtime", "unknown_parameter"),
        ("output_modalities", ["audio"], "unknown_parameter"),
        ("audio", {"output": {"voice": "marin"}}, "unknown_parameter"),
        ("modalities", ["audio"], "invalid_value"),
        ("temperature", 0.2, "invalid_value"),
        ("input_audio_format", "mulaw", "invalid_value"),
        ("max_response_output_tokens", 0, "invalid_value"),
    ],
)
async def test_flat_refuses_what_is_ga_s(place: str, value: Any, code: str) -> None:
    async with serving(scripts=[CALL], dialect="flat") as (_, url), session(url) as client:
        error = await client.answer("session.update", session=within(place, value, flat()))
        assert (error["code"], error["param"]) == (code, f"session.{place}")


async def test_a_reasoning_model_takes_what_only_it_takes() -> None:
    async with serving(scripts=[CALL]) as (_, url), connect(f"{url}?model=gpt-realtime-2.1") as socket:
        assert json.loads(await socket.recv())["session"]["reasoning"] == {"effort": "low"}
        await socket.send(json.dumps({"type": "session.update", "session": ga(reasoning={"effort": "high"})}))
        assert json.loads(await socket.recv())["session"]["reasoning"] == {"effort": "high"}


async def test_only_what_is_present_changes() -> None:
    async with serving(scripts=[CALL]) as (_, url), session(url) as client:
        before = (await client.configure(ga(tools=[function("look")])))["session"]
        after = (await client.configure({"type": "realtime", "audio": {"output": {"speed": 1.2}}, "tools": []}))[
            "session"
        ]
        assert after == {**before, "tools": [], "audio": {**before["audio"], "output": after["audio"]["output"]}}
        assert after["audio"]["output"] == {**before["audio"]["output"], "speed": 1.2}


async def test_the_voice_is_settled_once_it_was_heard() -> None:
    async with serving(scripts=[CALL]) as (_, url), session(url) as client:
        await client.configure(ga())
        assert (await client.configure(within("audio.output.voice", "cedar", ga())))["type"] == "session.updated"
        await client.ask()
        error = await client.answer("session.update", session=ga())
        assert (error["code"], error["param"]) == ("cannot_update_voice", "session.audio.output.voice")


async def test_what_is_no_event_is_answered_and_the_socket_stays() -> None:
    async with serving(scripts=[CALL]) as (server, url), session(url) as client:
        await client.socket.send("{nope")
        assert (await client.until("error"))["error"]["code"] == "invalid_json"
        assert (await client.answer("session.upgrade"))["code"] == "invalid_event"
        assert (await client.answer("response.create", respond={}))["param"] == "respond"
        assert (await client.answer("input_audio_buffer.append", audio="!"))["code"] == "invalid_value"
        assert (await client.answer("input_audio_buffer.append"))["code"] == "missing_required_parameter"
        assert (await client.answer("session.update"))["param"] == "session"
        assert (await client.configure(ga()))["type"] == "session.updated"
        await client.socket.send(b"[1]", text=True)
        assert (await client.until("error"))["error"]["code"] == "invalid_event"
        await client.hear(SILENCE * 3)
        await client.answer("response.cancel")
        assert server.sessions[0].received[-2] == {"type": "input_audio_buffer.append", "events": 3, "bytes": 480}


async def test_one_response_at_a_time() -> None:
    async with serving(scripts=[CALL], pace=1) as (_, url), session(url) as client:
        await client.configure(ga())
        assert (await client.answer("response.cancel"))["code"] == "response_cancel_not_active"
        await client.send("response.create")
        running = (await client.until("response.created"))["response"]["id"]
        error = await client.answer("response.create")
        assert error["code"] == "conversation_already_has_active_response"
        assert running in error["message"]
        assert (await client.answer("response.cancel", response_id="resp_other"))[
            "code"
        ] == "response_cancel_not_active"
        await client.send("response.cancel", response_id=running)
        done = await client.until("response.done")
        assert done["response"]["status_details"] == {"type": "cancelled", "reason": "client_cancelled"}


@pytest.mark.parametrize(
    ("body", "code", "param"),
    [
        ({"modalities": ["text"]}, "unknown_parameter", "response.modalities"),
        ({"voice": "marin"}, "unknown_parameter", "response.voice"),
        ({"audio": {"output": {"speed": 1}}}, "unknown_parameter", "response.audio.output.speed"),
        ({"conversation": "other"}, "invalid_value", "response.conversation"),
        ({"input": [{"type": "item_reference", "id": "item_0"}]}, "bad_response_create", "response.input[0].id"),
        ({"metadata": {str(n): "x" for n in range(17)}}, "invalid_value", "response.metadata"),
    ],
)
async def test_a_wrong_response_is_refused(body: Event, code: str, param: str) -> None:
    async with serving(scripts=[CALL]) as (_, url), session(url) as client:
        error = await client.answer("response.create", response=body)
        assert (error["code"], error["param"]) == (code, param)


async def test_truncation_has_rules() -> None:
    async with serving(scripts=[CALL]) as (server, url), session(url) as client:
        await client.configure(ga())
        item = (await client.ask())[-1]["response"]["output"][0]["id"]
        await client.tell("Hello.")
        mine = (await client.until("conversation.item.done"))["item"]["id"]

        async def refused(item_id: str, end_ms: Any, index: int = 0) -> Event:
            return await client.answer(
                "conversation.item.truncate", item_id=item_id, content_index=index, audio_end_ms=end_ms
            )

        error = await refused(item, 1401)
        assert (error["code"], error["message"]) == (None, "Audio content of 1400ms is already shorter than 1401ms")
        assert (await refused(item, 0))["code"] == "unsupported_content_type"
        assert (await refused(mine, 10))["code"] == "unsupported_content_type"
        assert (await refused("item_0", 10))["code"] == "item_truncate_invalid_item_id"
        assert (await refused(item, 10, 1))["code"] == "invalid_value"
        assert (await refused(item, 1.5))["code"] == "invalid_type"
        await client.send("conversation.item.truncate", item_id=item, content_index=0, audio_end_ms=400)
        done = await client.until("conversation.item.truncated")
        assert (done["item_id"], done["content_index"], done["audio_end_ms"]) == (item, 0, 400)
        await client.send("conversation.item.retrieve", item_id=item)
        (part,) = (await client.until("conversation.item.retrieved"))["item"]["content"]
        assert "transcript" not in part
        assert len(base64.b64decode(part["audio"])) == 400 * 8
        assert (await refused(item, 401))["code"] is None
        await client.send("conversation.item.delete", item_id=item)
        assert (await client.until("conversation.item.deleted"))["item_id"] == item
        assert (await client.answer("conversation.item.delete", item_id=item))["code"] == "item_delete_invalid_item_id"
        assert [kept.id for kept in server.sessions[0].conversation.items] == [mine]


def message(kind: str, role: str = "user", **more: Any) -> Event:
    return {"type": "message", "role": role, "content": [{"type": kind, "text": "Hi."}], **more}


@pytest.mark.parametrize(
    ("item", "code", "param"),
    [
        (message("text"), "invalid_value", "item.content[0].type"),
        (message("text", "assistant"), "invalid_value", "item.content[0].type"),
        (message("output_audio", "assistant"), "invalid_value", "item.content[0].type"),
        (message("input_text", "robot"), "invalid_value", "item.role"),
        (message("input_text", id="x" * 33), "invalid_value", "item.id"),
        (message("input_text", text="Hi."), "unknown_parameter", "item.text"),
        ({"type": "note"}, "invalid_value", "item.type"),
        ({"type": "function_call_output", "call_id": "c"}, "missing_required_parameter", "item.output"),
        ({"type": "function_call_output", "call_id": "c", "output": {}}, "invalid_type", "item.output"),
        ({"type": "function_call_output", "call_id": "c", "output": ""}, "invalid_tool_call_id", "item.call_id"),
    ],
)
async def test_a_wrong_item_is_refused(item: Event, code: str, param: str) -> None:
    async with serving(scripts=[CALL]) as (_, url), session(url) as client:
        error = await client.answer("conversation.item.create", item=item)
        assert (error["code"], error["param"]) == (code, param)


async def test_items_keep_the_order_that_the_client_asks_for() -> None:
    async with serving(scripts=[CALL]) as (server, url), session(url) as client:
        for name, before in (("b", None), ("a", "root"), ("c", "b")):
            item = message("input_text", id=name)
            await client.send("conversation.item.create", item=item, **({"previous_item_id": before} if before else {}))
            added = await client.until("conversation.item.added")
            assert added["previous_item_id"] == (None if name == "a" or before is None else before)
            assert (await client.until("conversation.item.done"))["item"] == added["item"]
        assert [item.id for item in server.sessions[0].conversation.items] == ["a", "b", "c"]
        error = await client.answer("conversation.item.create", item=message("input_text", id="b"))
        assert error["code"] == "item_create_duplicate_item_id"
        error = await client.answer("conversation.item.create", item=message("input_text"), previous_item_id="z")
        assert error["param"] == "previous_item_id"


async def test_history_can_be_replayed_in_flat_words() -> None:
    async with serving(scripts=[CALL], dialect="flat") as (_, url), session(url) as client:
        for item in (
            message("input_text"),
            message("text", "assistant"),
            {"type": "function_call", "name": "look", "arguments": "{}", "call_id": "call_1"},
            {"type": "function_call_output", "call_id": "call_1", "output": "{}"},
        ):
            await client.send("conversation.item.create", item=item)
            created = (await client.until("conversation.item.created", "error"))["item"]
            assert created == created | item
        error = await client.answer("conversation.item.create", item=message("output_text", "assistant"))
        assert error["code"] == "invalid_value"


async def test_an_answer_ends_where_the_tokens_do() -> None:
    async with serving(scripts=[CALL]) as (_, url), session(url) as client:
        await client.configure(ga(max_output_tokens=10))
        done = (await client.ask())[-1]["response"]
        assert (done["status"], done["status_details"]["reason"]) == ("incomplete", "max_output_tokens")
        assert done["usage"]["output_token_details"]["audio_tokens"] == 10
