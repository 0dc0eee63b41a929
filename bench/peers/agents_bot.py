"""The openai-agents SDK on the phone: a RealtimeSession a call, g711 both ways in buffers of 50 ms, a mark per audio event."""

import asyncio
import base64
import json
import sys
import time
from pathlib import Path
from typing import Any, NamedTuple

sys.path.insert(0, str(Path(__file__).parents[2]))
from bench.peers.face import GREETING, INSTRUCTIONS, MODEL, arguments, listen, packages, phone

with packages("agents", __doc__):
    from agents import set_tracing_disabled
    from agents.realtime import (
        RealtimeAgent,
        RealtimeModelConfig,
        RealtimePlaybackTracker,
        RealtimeRunner,
        RealtimeSession,
    )
    from fastapi import FastAPI, WebSocket, WebSocketDisconnect

BUFFER_S = 0.05
BUFFER_BYTES = int(8000 * BUFFER_S)
"""g711 at 8 kHz, a byte a sample."""
STALE_S = 2 * BUFFER_S
AGENT = RealtimeAgent(name="Receptionist", instructions=INSTRUCTIONS)


class Played(NamedTuple):
    """What a mark's return says was played."""

    item_id: str
    content_index: int
    size: int


class Call:
    """One call: a buffer each way, the marks that are out, and the session behind it."""

    def __init__(self, caller: WebSocket, session: RealtimeSession, tracker: RealtimePlaybackTracker) -> None:
        self.caller, self.session, self.tracker = caller, session, tracker
        self.stream_sid: str | None = None
        self._up, self._down = bytearray(), bytearray()
        self._up_at = self._down_at = time.monotonic()
        self._marks: dict[str, Played] = {}
        self._unsent_marks: list[str] = []
        self._marks_made = 0

    async def run(self) -> None:
        """Carry audio until the caller leaves."""
        beside = [asyncio.create_task(self._from_model()), asyncio.create_task(self._flush_stale())]
        try:
            while True:
                await self._from_caller(json.loads(await self.caller.receive_text()))
        except WebSocketDisconnect:
            pass
        finally:
            for task in beside:
                task.cancel()
            await asyncio.gather(*beside, return_exceptions=True)

    async def _from_caller(self, message: dict[str, Any]) -> None:
        match message["event"]:
            case "start":
                self.stream_sid = message["start"]["streamSid"]
                await self.session.send_message(GREETING)
            case "media":
                self._up += base64.b64decode(message["media"]["payload"])
                if len(self._up) >= BUFFER_BYTES:
                    await self._flush_up()
            case "mark":
                if played := self._marks.pop(message["mark"]["name"], None):
                    self.tracker.on_play_bytes(played.item_id, played.content_index, bytes(played.size))

    async def _from_model(self) -> None:
        async for event in self.session:
            match event.type:
                case "audio":
                    audio = event.audio
                    self._down += audio.data
                    self._marks_made += 1
                    name = str(self._marks_made)
                    self._marks[name] = Played(audio.item_id, audio.content_index, len(audio.data))
                    self._unsent_marks.append(name)
                    if len(self._down) >= BUFFER_BYTES:
                        await self._flush_down()
                case "audio_end":
                    await self._flush_down()
                case "audio_interrupted":
                    await self._flush_down()
                    await self._tell_caller({"event": "clear"})

    async def _flush_up(self) -> None:
        audio = bytes(self._up)
        self._up.clear()
        self._up_at = time.monotonic()
        await self.session.send_audio(audio)

    async def _flush_down(self) -> None:
        if not self._down:
            return
        payload = base64.b64encode(self._down).decode()
        marks, self._unsent_marks = self._unsent_marks, []
        self._down.clear()
        self._down_at = time.monotonic()
        await self._tell_caller({"event": "media", "media": {"payload": payload}})
        for name in marks:
            await self._tell_caller({"event": "mark", "mark": {"name": name}})

    async def _flush_stale(self) -> None:
        while True:
            await asyncio.sleep(BUFFER_S)
            stale = time.monotonic() - STALE_S
            if self._up and self._up_at < stale:
                await self._flush_up()
            if self._down and self._down_at < stale:
                await self._flush_down()

    async def _tell_caller(self, message: dict[str, Any]) -> None:
        await self.caller.send_text(json.dumps({**message, "streamSid": self.stream_sid}))


def answering(model_url: str) -> FastAPI:
    """The app, whose calls go to that model."""
    app = phone()

    async def media_stream(caller: WebSocket) -> None:
        tracker = RealtimePlaybackTracker()
        model: RealtimeModelConfig = {
            "api_key": "none",
            "url": model_url,
            "initial_model_settings": {
                "audio": {
                    "input": {
                        "format": "g711_ulaw",
                        "turn_detection": {
                            "type": "server_vad",
                            "interrupt_response": True,
                            "create_response": True,
                        },
                    },
                    "output": {"format": "g711_ulaw"},
                },
                "model_name": MODEL,
                "tracing": None,
            },
            "playback_tracker": tracker,
        }
        # As its example does: the caller is let in once the model's session is open.
        async with await RealtimeRunner(AGENT).run(model_config=model) as session:
            await caller.accept()
            await Call(caller, session, tracker).run()

    app.add_api_websocket_route("/media-stream", media_stream)
    return app


if __name__ == "__main__":
    chosen = arguments(__doc__)
    set_tracing_disabled(True)  # its traces would go out over the network
    listen(answering(chosen.model_url), chosen.port)
