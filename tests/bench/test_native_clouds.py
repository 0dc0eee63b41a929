"""The native load's two clouds, each against a partner of the test's own: the model's protocol, the carrier's webhooks."""

import asyncio
import base64
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any
from urllib.parse import parse_qsl

import pytest
from twilio.request_validator import RequestValidator
from websockets.asyncio.client import ClientConnection, connect
from websockets.asyncio.server import ServerConnection, serve
from websockets.exceptions import ConnectionClosed

from app.sim.model_sound import heard, spoken
from tests.bench.native import Load, floor, load, perfect
from tests.sim.realtime_client import SPOKEN

NESTED = {
    "type": "realtime",
    "audio": {"input": {"format": {"type": "audio/pcmu"}}, "output": {"format": {"type": "audio/pcmu"}}},
}
FLAT = {
    "modalities": ["audio", "text"],
    "input_audio_format": "g711_ulaw",
    "output_audio_format": "g711_ulaw",
    "voice": "alloy",
}


class Client:
    """A client of the model's."""

    def __init__(self, socket: ClientConnection) -> None:
        self.socket = socket

    async def sends(self, **event: object) -> None:
        await self.socket.send(json.dumps(event))

    async def hears(self) -> dict[str, Any]:
        async with asyncio.timeout(10):
            event: dict[str, Any] = json.loads(await self.socket.recv())
        return event

    async def hears_until(self, kind: str) -> list[dict[str, Any]]:
        events = [await self.hears()]
        while events[-1]["type"] != kind:
            events.append(await self.hears())
        return events


@asynccontextmanager
async def client(it: Load, **headers: str) -> AsyncIterator[Client]:
    url = f"ws://127.0.0.1:{it.port}/v1/realtime?model=gpt-realtime-1.5"
    async with connect(url, additional_headers=headers, proxy=None) as socket:
        yield Client(socket)


@pytest.fixture
async def model() -> AsyncIterator[Client]:
    """A session that was greeted."""
    async with load() as it, client(it) as one:
        created = await one.hears()
        assert created["type"] == "session.created"
        assert (created["session"]["type"], created["session"]["model"]) == ("realtime", "gpt-realtime-1.5")
        yield one


def sound(events: list[dict[str, Any]], kind: str = "response.output_audio.delta") -> bytes:
    return b"".join(base64.b64decode(event["delta"], validate=True) for event in events if event["type"] == kind)


def kinds(events: list[dict[str, Any]]) -> list[str]:
    """Each kind of event once, where it first came."""
    return list(dict.fromkeys(event["type"] for event in events))


async def test_the_model_answers_as_the_protocol_says(model: Client) -> None:
    await model.sends(type="session.update", session=NESTED)
    updated = await model.hears()
    assert updated["type"] == "session.updated"
    assert updated["session"].items() >= NESTED.items()
    assert updated["session"]["object"] == "realtime.session"
    await model.sends(type="response.create")
    await model.sends(type="response.create", event_id="mine")
    events = await model.hears_until("response.done")
    busy = [event["error"] for event in events if event["type"] == "error"]
    assert [(error["code"], error["event_id"]) for error in busy] == [
        ("conversation_already_has_active_response", "mine")
    ]
    events = [event for event in events if event["type"] != "error"]
    assert kinds(events) == SPOKEN
    assert len(sound(events)) == 4000 * 8
    done = events[-1]["response"]
    assert (done["status"], done["conversation_id"], done["usage"]["total_tokens"]) == ("completed", "conv_1", 120)
    assert len({event["event_id"] for event in events}) == len(events)


async def test_the_model_cancels_truncates_deletes_and_complains(model: Client) -> None:
    await model.sends(type="session.update", session=NESTED)
    await model.hears_until("session.updated")
    await model.sends(type="response.cancel", event_id="early")
    assert (await model.hears())["error"]["code"] == "response_cancel_not_active"
    await model.sends(type="response.create")
    await model.hears_until("response.output_audio.delta")
    await model.sends(type="response.cancel")
    done = (await model.hears_until("response.done"))[-1]["response"]
    assert (done["status"], done["status_details"]["reason"]) == ("cancelled", "client_cancelled")
    await model.sends(type="conversation.item.truncate", item_id="i", content_index=0, audio_end_ms=120)
    assert (await model.hears()).items() >= {"type": "conversation.item.truncated", "audio_end_ms": 120}.items()
    await model.sends(type="conversation.item.delete", item_id="i")
    assert (await model.hears()).items() >= {"type": "conversation.item.deleted", "item_id": "i"}.items()
    await model.sends(type="conversation.item.create", item={"type": "message", "role": "user", "content": []})
    added, item_done = await model.hears(), await model.hears()
    assert (added["type"], item_done["type"]) == ("conversation.item.added", "conversation.item.done")
    assert added["item"]["id"] == item_done["item"]["id"]
    aside = {"conversation": "none", "output_modalities": ["text"], "metadata": {"kind": "priming"}}
    await model.sends(type="response.create", response=aside)
    done = (await model.hears_until("response.done"))[-1]["response"]
    assert (done["conversation_id"], done["metadata"]) == (None, {"kind": "priming"})
    await model.socket.send(b"bytes")
    with pytest.raises(ConnectionClosed):
        await model.hears()
    assert model.socket.close_code == 1003


async def test_the_model_speaks_the_older_dialect_to_who_asks_in_it() -> None:
    async with load() as it, client(it, **{"OpenAI-Beta": "realtime=v1"}) as model:
        await model.hears_until("session.created")
        await model.sends(type="session.update", session=FLAT)
        await model.hears_until("session.updated")
        await model.sends(type="response.create")
        events = await model.hears_until("response.done")
    assert len(sound(events, "response.audio.delta")) == 4000 * 8
    assert "conversation.item.created" in kinds(events)
    assert not [kind for kind in kinds(events) if "output_audio" in kind]


async def test_a_message_in_fragments_and_pings_between_are_understood(model: Client) -> None:
    text = json.dumps({"type": "session.update", "session": NESTED})

    async def pieces() -> AsyncIterator[str]:
        yield text[:9]
        await (await model.socket.ping(b"there?"))
        yield text[9:]

    await model.socket.send(pieces())
    assert (await model.hears())["type"] == "session.updated"


# --- the carrier, before a web server that the test holds in its hands ---

Asked = tuple[str, dict[str, str], str]
"""Path, form and signature of a webhook."""


@asynccontextmanager
async def web(answer: Callable[[str], bytes]) -> AsyncIterator[tuple[str, list[Asked], list[int]]]:
    """A raw HTTP server: its origin, what it was asked, and how many requests each connection brought."""
    asked: list[Asked] = []
    requests: list[int] = []

    async def serve_one(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        mine = len(requests)
        requests.append(0)
        while True:
            try:
                head = (await reader.readuntil(b"\r\n\r\n")).decode()
            except asyncio.IncompleteReadError:
                break
            lines = dict(line.split(": ", 1) for line in head.split("\r\n")[1:] if line)
            body = (await reader.readexactly(int(lines["Content-Length"]))).decode()
            requests[mine] += 1
            path = head.split(" ")[1]
            asked.append((path, dict(parse_qsl(body, keep_blank_values=True)), lines.get("X-Twilio-Signature", "")))
            document = answer(path)
            for at in range(0, len(document), 97):
                writer.write(document[at : at + 97])
                await writer.drain()
            if b"Connection: close" in document:
                break
        writer.close()

    server = await asyncio.start_server(serve_one, "127.0.0.1", 0)
    try:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}", asked, requests
    finally:
        server.close()


def _length(body: bytes) -> bytes:
    return b"HTTP/1.1 200 OK\r\nContent-Type: text/xml\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body)


def _chunked(body: bytes) -> bytes:
    pieces = b"".join(b"%x\r\n%b\r\n" % (len(body[at : at + 50]), body[at : at + 50]) for at in range(0, len(body), 50))
    return b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n%b0\r\n\r\n" % pieces


def _until_closed(body: bytes) -> bytes:
    return b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n%b" % body


async def _calls_by_webhook(framed: Callable[[bytes], bytes]) -> tuple[dict[str, Any], list[Asked], list[int]]:
    """Two calls at a web server that frames its answers like this: result, what was asked, requests by connection."""
    async with load() as it, floor(it.port) as stream:
        twiml = f'<?xml version="1.0"?><Response><Connect action="https://pub.example/next?a=1&amp;b=2"><Stream url="{stream}">'
        twiml += '<Parameter name="who" value="&lt;x&gt;"/></Stream></Connect></Response>'

        def answer(path: str) -> bytes:
            return framed(twiml.encode() if path == "/in?mode=x" else b"<Response/>")

        async with web(answer) as (origin, asked, requests):
            short = {"calls": 2, "warmup_s": 0, "window_s": 0.3, "open_after_ms": 10}
            return (
                await it.run(webhook=f"{origin}/in?mode=x", public="https://pub.example", token="t0", **short),
                asked,
                requests,
            )


async def test_the_carrier_reads_twiml_in_any_framing_and_signs_all_it_sends() -> None:
    framings = (_length, _chunked, _until_closed)
    validator = RequestValidator("t0")
    for framed, done in zip(framings, await asyncio.gather(*map(_calls_by_webhook, framings)), strict=True):
        result, asked, requests = done
        assert (result["connected"], result["protocol_errors"]) == (2, [])
        assert perfect(result["up"])
        paths = ["/in?mode=x"] * 2 + ["/next?a=1&b=2"] * 2 + ["/twilio/status"] * 2
        assert sorted(path for path, _, _ in asked) == paths
        assert all(validator.validate("https://pub.example" + path, form, signature) for path, form, signature in asked)
        calls = [{form["CallSid"] for path, form, _ in asked if path == one} for one in set(paths)]
        assert len(calls[0]) == 2
        assert calls == [calls[0]] * 3
        assert {form["CallStatus"] for path, form, _ in asked if path == "/in?mode=x"} == {"ringing"}
        assert {form["CallDuration"] for path, form, _ in asked if path == "/twilio/status"} <= {"0", "1", "2", "3"}
        assert sorted(requests) == ([1] * 6 if framed is _until_closed else [3, 3])


async def test_a_stream_that_is_refused_fails_the_call_with_the_answer() -> None:
    refusal = b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n"

    async def refuse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(refusal)
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(refuse, "127.0.0.1", 0)
    async with server, load() as it:
        port = server.sockets[0].getsockname()[1]
        said = await it.run(stream=f"ws://127.0.0.1:{port}/media", signed=0, calls=3)
    assert said == {
        "event": "failed",
        "why": "the stream was not opened: the upgrade was answered with: HTTP/1.1 403 Forbidden",
    }


# --- both, with a relay between that transcodes ---


@asynccontextmanager
async def transcoder(model_port: int) -> AsyncIterator[str]:
    """A relay that speaks PCM16 24 kHz to the model; where it takes streams."""
    pcm = {"type": "audio/pcm", "rate": 24000}
    session = {"type": "realtime", "audio": {"input": {"format": pcm}, "output": {"format": pcm}}}

    async def relay(phone: ServerConnection) -> None:
        async with connect(f"ws://127.0.0.1:{model_port}/v1/realtime", proxy=None) as model:
            await model.send(json.dumps({"type": "session.update", "session": session}))
            await model.send(json.dumps({"type": "response.create"}))
            start = json.loads([await phone.recv(), await phone.recv()][1])
            down = asyncio.create_task(_down(model, phone, start["streamSid"]))
            async for text in phone:
                event = json.loads(text)
                if event["event"] == "media":
                    audio = base64.b64encode(spoken(base64.b64decode(event["media"]["payload"]), "pcm")).decode()
                    await model.send(json.dumps({"type": "input_audio_buffer.append", "audio": audio}))
            down.cancel()

    async with serve(relay, "127.0.0.1", 0) as server:
        yield f"ws://127.0.0.1:{next(iter(server.sockets)).getsockname()[1]}/"


async def _down(model: ClientConnection, phone: ServerConnection, stream_sid: str) -> None:
    async for text in model:
        event = json.loads(text)
        if event["type"] == "response.output_audio.delta":
            payload = base64.b64encode(heard(base64.b64decode(event["delta"]), "pcm")).decode()
            await phone.send(json.dumps({"event": "media", "streamSid": stream_sid, "media": {"payload": payload}}))


async def test_tones_are_found_again_behind_a_relay_that_transcodes() -> None:
    async with load() as it, transcoder(it.port) as stream:
        speech = {"reply_ms": 400, "every_ms": 700, "delta_ms": 100, "delta_gap_ms": 5, "first_audio_ms": 20}
        result = await it.run(stream=stream, signed=0, probe="tone", calls=2, warmup_s=0.2, window_s=2, **speech)
    assert result["protocol_errors"] == []
    assert perfect(result["up"])
    assert perfect(result["down"])
    assert (result["up"]["sent"], result["first_of_reply"]["n"]) >= (4, 2)
