"""Nonsense in the middle of a call, from either end: the call goes on or ends cleanly, and nobody else notices."""

import asyncio
import json
from typing import Any

from tests.calls.conversations import HOURS, OPEN, TALK, spoken
from tests.calls.line import Line
from tests.calls.phone import Phone, phone
from tests.calls.product import Product, eventually, new_call_sid, new_number, product, stream_url, verbs
from tests.calls.rude_model import RudeModel, RudeSession

TONE = bytes(range(160)) * 50
"""One second that is not silence."""
STARTS = ('{"event":"start"}', '{"event":"start","start":{}}')
"""A start that is of no call is refused: no nonsense to be passed over before there is a stream."""
DEEP = '{"event":' * 20_000
NESTED = '{"event":"media","media":' + "[" * 100_000 + "]" * 100_000 + "}"
SMALL: list[str | bytes] = [
    "",
    "{",
    "null",
    "[]",
    "42",
    '"media"',
    "\x00\x00",
    "\ufeff{}",
    "{}",
    '{"event":null}',
    '{"event":["media"]}',
    '{"event":"media"}',
    '{"event":"media","media":null}',
    '{"event":"media","media":{}}',
    '{"event":"media","media":{"payload":7}}',
    '{"event":"media","streamSid":"MZ","media":{"track":"inbound","payload":"not base64 !"}}',
    '{"event":"media","media":{"payload":""}}',
    '{"event":"start"}',
    '{"event":"start","start":{}}',
    '{"event":"connected"}',
    '{"event":"dtmf"}',
    '{"event":"dtmf","dtmf":{"digit":"<script>"}}',
    '{"event":"mark","mark":{"name":"nobody sent this"}}',
    '{"event":"mark","mark":{}}',
    '{"event":"hologram","hologram":{"depth":3}}',
    '{"event":"stop2"}',
    DEEP,
    b"",
    b"\x00\xff\xfe",
    b"\xff" * 160,
]


async def _answers(house: Product, end: Phone, number: str) -> bool:
    """Whether the agent still hears the caller and answers."""
    end.say(spoken(HOURS))

    async def understood() -> bool:
        return not end.open or any(note.get("text") == HOURS for s in house.sessions_of(number) for note in s.log)

    await eventually(understood, "the caller to be understood, or the end of the stream")
    if not end.open:
        return False
    await end.hears(8000)
    return True


async def test_nonsense_from_the_carrier_is_passed_over_and_the_talk_goes_on(house: Product) -> None:
    number, call_sid = new_number(), new_call_sid()
    house.model.register(TALK, number=number)
    async with phone(house, stream_url(await house.rings(call_sid, number))) as end:
        for message in SMALL:
            if message not in STARTS:
                await end.send(message)
        await end.start(call_sid)
        await end.hears(30_000)
        for message in SMALL:
            await end.send(message)
        assert await _answers(house, end, number)
    await house.closed(call_sid)
    tools = await house.store.tool_calls(call_sid)
    assert [tool.name for tool in tools] == ["opening_hours"]
    await house.over(call_sid)


SILENT = '{"event":"media","streamSid":"MZ","media":{"track":"inbound","payload":"' + "/" * 212 + '/w=="}}'
LARGE: dict[str, str | bytes] = {
    "300 kB of text": "x" * 300_000,
    "300 kB binary": b"\x00" * 300_000,
    "1 MiB of text": "{" * (1 << 20),
    "1 MiB binary": b"\xff" * (1 << 20),
    "deep": NESTED,
    "1 MiB of audio": json.dumps({"event": "media", "media": {"payload": "/" * (1 << 20)}}),
}


async def test_a_message_that_is_far_too_large_ends_that_socket_cleanly_or_not_at_all() -> None:
    """More frames are on their way when it comes: they may not make it worse."""
    async with product() as house:
        await asyncio.gather(*(_sends_far_too_much(house, name) for name in LARGE))
        assert (await house.http.get(house.url + "/readyz")).status_code == 200
        assert "Traceback" not in house.log()


async def _sends_far_too_much(house: Product, name: str) -> None:
    number, call_sid = new_number(), new_call_sid()
    house.model.register(TALK, number=number)
    async with phone(house, stream_url(await house.rings(call_sid, number))) as end:
        await end.start(call_sid)
        await end.hears(20_000)
        await end.send(LARGE[name])
        for _ in range(20):
            await end.send(SILENT)
        if not await _answers(house, end, number):
            assert (await end.closed())[0] in (1003, 1007, 1009), name
    await house.closed(call_sid)
    answer = await house.rings(call_sid, number, path="/twilio/next")
    assert verbs(answer) == ["Connect", "Redirect"], f"{name}: the talk is taken up on another stream"
    await house.over(call_sid)


def _junk(message: str | bytes | dict[str, Any]) -> Any:
    async def manners(session: RudeSession) -> None:
        await session.send(message)
        await session.speak(TONE, "after")

    return manners


MODEL_JUNK: dict[str, str | bytes | dict[str, Any]] = {
    "garbage": "}{ not json",
    "empty": "",
    "a list": "[1, 2, 3]",
    "a number": "7",
    "unknown": {"type": "response.hologram.delta", "delta": "AAAA"},
    "no type": {"hello": "there"},
    "type of another kind": {"type": {"a": 1}},
    "binary": b"\x00\xff\xfe\x80",
    "binary json": b'{"type":"response.created"}',
    "deep": '{"type":' * 20_000,
    "nested": '{"type":"response.done","response":' + "[" * 50_000 + "]" * 50_000 + "}",
    "audio of nobody": {"type": "response.output_audio.delta", "delta": "!!!"},
    "ragged base64": {
        "type": "response.output_audio.delta",
        "response_id": "r",
        "item_id": "i",
        "output_index": 0,
        "content_index": 0,
        "delta": "A",
    },
    "wrong types": {"type": "response.done", "response": "finished"},
    "error of nothing": {"type": "error"},
    "error with text": {"type": "error", "error": "boom"},
    "tool of nobody": {
        "type": "response.done",
        "response": {
            "id": "r0",
            "status": "completed",
            "output": [{"type": "function_call", "name": "format_disk", "call_id": "c", "arguments": "{{{"}],
        },
    },
    "one megabyte": {"type": "rate_limits.updated", "rate_limits": "x" * (1 << 20)},
}


async def test_nonsense_from_the_model_is_passed_over_and_what_it_says_next_is_heard() -> None:
    rude = RudeModel()
    url = await rude.start()
    try:
        async with product(model_url=url) as house:

            async def call(name: str) -> None:
                number = new_number()
                rude.manners[number] = _junk(MODEL_JUNK[name])
                line = Line()
                call = await house.dial(line, number)
                await line.hears(800)
                await call.hang_up()
                assert call.ended_by == "caller", name
                assert TONE[:4000] in b"".join(played.audio for played in call.played), name
                assert call.log.codes() == [], name
                await house.closed(call.call_sid)

            await asyncio.gather(*(call(name) for name in MODEL_JUNK))
    finally:
        await rude.close()


async def test_one_caller_s_nonsense_is_not_another_one_s(house: Product) -> None:
    number = new_number()
    house.model.register(TALK, number=number)
    line = Line()
    call = await house.dial(line, number)
    await line.hears(500)
    call_sid = new_call_sid()
    async with phone(house, stream_url(await house.rings(call_sid))) as end:
        await end.start(call_sid)
        for message in SMALL * 20:
            await end.send(message)
        await end.send("{" * (1 << 20))
    await line.hears_silence()
    line.say(spoken(HOURS))
    await line.hears_more(1000)
    await line.hears_silence()
    await call.hang_up()
    await house.closed(call.call_sid)
    said = [turn.heard_text for turn in await house.store.turns(call.call_sid)]
    assert OPEN in said
    await house.over(call_sid)
