"""A raw client of the realtime protocol, and voices that need no recordings, for the tests of the model stand-in."""

import asyncio
import base64
import json
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from websockets.asyncio.client import ClientConnection, connect

from app.sim.model import ModelServer

Event = dict[str, Any]
SPOKEN = [
    "response.created",
    "rate_limits.updated",
    "response.output_item.added",
    "conversation.item.added",
    "response.content_part.added",
    "response.output_audio_transcript.delta",
    "response.output_audio.delta",
    "response.output_audio.done",
    "response.output_audio_transcript.done",
    "response.content_part.done",
    "conversation.item.done",
    "response.output_item.done",
    "response.done",
]
"""One answer, each kind of event where it first comes."""

SILENCE = b"\xff" * 160
PATIENCE_SECONDS = 10


class FakeVoices:
    """Every text sounds like something, the same each time: loud noise, 200 ms a word."""

    def say(self, text: str, speaker: str = "agent") -> bytes:
        """Noise made from the text and the speaker."""
        return random.Random(f"{speaker}: {text}").randbytes(1600 * len(text.split()))

    def core(self, audio: bytes) -> bytes:
        """All of it is voice."""
        return audio


VOICES = FakeVoices()


class Client:
    """One session as its client sees it. `seen` is all that came, in order."""

    def __init__(self, socket: ClientConnection) -> None:
        self.socket = socket
        self.seen: list[Event] = []

    async def send(self, kind: str, **fields: Any) -> None:
        await self.socket.send(json.dumps({"type": kind, **fields}))

    async def next(self) -> Event:
        async with asyncio.timeout(PATIENCE_SECONDS):
            event: Event = json.loads(await self.socket.recv())
        assert event["event_id"]
        self.seen.append(event)
        return event

    async def until(self, *kinds: str) -> Event:
        """The next event of one of these kinds."""
        while (event := await self.next())["type"] not in kinds:
            pass
        return event

    async def answer(self, kind: str, **fields: Any) -> Event:
        """Send an event, and wait for the error it gets."""
        await self.send(kind, event_id="mine", **fields)
        error: Event = (await self.until("error"))["error"]
        assert error["event_id"] == "mine"
        return error

    async def configure(self, session: Event) -> Event:
        await self.send("session.update", session=session)
        return await self.until("session.updated", "error")

    async def hear(self, audio: bytes) -> None:
        for at in range(0, len(audio), 160):
            await self.send("input_audio_buffer.append", audio=base64.b64encode(audio[at : at + 160]).decode())

    async def speak(self, text: str, voice: str = "anna") -> None:
        """Say a line as a caller does, with silence around it."""
        await self.hear(SILENCE * 15 + VOICES.say(text, voice) + SILENCE * 30)

    async def ask(self, **response: Any) -> list[Event]:
        """Ask for a response; all that came until it was done."""
        start = len(self.seen)
        await self.send("response.create", **({"response": response} if response else {}))
        await self.until("response.done")
        return self.seen[start:]

    async def tell(self, text: str, role: str = "user") -> None:
        await self.send("conversation.item.create", item={
            "type": "message", "role": role, "content": [{"type": "input_text", "text": text}],
        })  # fmt: skip

    async def give(self, call: Event, output: Any) -> None:
        """Answer a tool call."""
        item = {"type": "function_call_output", "call_id": call["call_id"], "output": json.dumps(output)}
        await self.send("conversation.item.create", item=item)


@asynccontextmanager
async def session(url: str, *, headers: dict[str, str] | None = None) -> AsyncIterator[Client]:
    async with connect(f"{url}?model=gpt-realtime-1.5", additional_headers=headers, max_size=2**24) as socket:
        yield Client(socket)


@asynccontextmanager
async def serving(**options: Any) -> AsyncIterator[tuple[ModelServer, str]]:
    """A stand-in that speaks as fast as it can, unless told otherwise."""
    server = ModelServer(**{"scripts": [], "voices": VOICES, "pace": 0, "first_audio_ms": 0, **options})
    url = await server.start()
    try:
        yield server, url
    finally:
        await server.close()


def ga(instructions: str = "The caller is +14155550133.", **more: Any) -> Event:
    """A configuration as the product sends it."""
    detection = {"type": "server_vad", "silence_duration_ms": 500}
    transcription = {"model": "gpt-live-transcribe"}
    return {
        "type": "realtime", "instructions": instructions, "output_modalities": ["audio"],
        "audio": {
            "input": {"format": {"type": "audio/pcmu"}, "transcription": transcription, "turn_detection": detection},
            "output": {"format": {"type": "audio/pcmu"}, "voice": "marin"},
        },
        **more,
    }  # fmt: skip


def flat(instructions: str = "The caller is +14155550133.", **more: Any) -> Event:
    """The same in flat."""
    return {
        "modalities": ["audio", "text"], "instructions": instructions, "voice": "alloy", "input_audio_format": "g711_ulaw",
        "output_audio_format": "g711_ulaw", "input_audio_transcription": {"model": "whisper-1"},
        "turn_detection": {"type": "server_vad", "silence_duration_ms": 500}, **more,
    }  # fmt: skip


def function(name: str) -> Event:
    return {
        "type": "function",
        "name": name,
        "description": "A tool.",
        "parameters": {"type": "object", "properties": {}},
    }


def kinds(events: list[Event]) -> list[str]:
    """Their types, a run of deltas only once."""
    names = [event["type"] for event in events]
    return [name for n, name in enumerate(names) if not (name.endswith("delta") and name in names[:n])]


def audio_of(events: list[Event]) -> bytes:
    deltas = [e["delta"] for e in events if e["type"] in ("response.output_audio.delta", "response.audio.delta")]
    return b"".join(base64.b64decode(delta) for delta in deltas)
