"""A twin of the common phone sample: FastAPI, uvicorn and `websockets`, two tasks a call, json both ways, a mark per delta."""

import asyncio
import base64
import json
import sys
from collections import deque
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[2]))
from bench.peers.face import GREETING, INSTRUCTIONS, arguments, listen, packages, phone

with packages("web", __doc__):
    from fastapi import FastAPI, WebSocket
    from websockets.asyncio.client import ClientConnection, connect

SESSION = {
    "type": "realtime",
    "instructions": INSTRUCTIONS,
    "output_modalities": ["audio"],
    "audio": {
        "input": {"format": {"type": "audio/pcmu"}, "turn_detection": {"type": "server_vad"}},
        "output": {"format": {"type": "audio/pcmu"}, "voice": "alloy"},
    },
}
OPENING = {"type": "message", "role": "user", "content": [{"type": "input_text", "text": GREETING}]}


class Call:
    """One call: what the two tasks of it have to tell each other."""

    def __init__(self, caller: WebSocket, model: ClientConnection) -> None:
        self.caller, self.model = caller, model
        self.stream_sid: str | None = None
        self.caller_ms = 0
        """The newest timestamp that came with the caller's audio."""
        self.reply_began_ms: int | None = None
        self.item: str | None = None
        self.marks: deque[str] = deque()
        """Those that are not back: while there are any, the agent is heard."""

    async def run(self) -> None:
        """Configure, greet, and carry audio until the caller or the model leaves."""
        await self._tell_model({"type": "session.update", "session": SESSION})
        await self._tell_model({"type": "conversation.item.create", "item": OPENING})
        await self._tell_model({"type": "response.create"})
        await asyncio.gather(self._from_caller(), self._from_model())

    async def _from_caller(self) -> None:
        async for text in self.caller.iter_text():
            message = json.loads(text)
            match message["event"]:
                case "media":
                    self.caller_ms = int(message["media"]["timestamp"])
                    await self._tell_model({"type": "input_audio_buffer.append", "audio": message["media"]["payload"]})
                case "start":
                    self.stream_sid = message["start"]["streamSid"]
                    self.caller_ms, self.reply_began_ms, self.item = 0, None, None
                case "mark" if self.marks:
                    self.marks.popleft()
        await self.model.close()

    async def _from_model(self) -> None:
        async for text in self.model:
            event = json.loads(text)
            match event["type"]:
                case "response.output_audio.delta":
                    # Decoded and encoded again, as the sample does it.
                    payload = base64.b64encode(base64.b64decode(event["delta"])).decode()
                    await self._tell_caller({"event": "media", "media": {"payload": payload}})
                    if event["item_id"] != self.item:
                        self.item, self.reply_began_ms = event["item_id"], self.caller_ms
                    await self._tell_caller({"event": "mark", "mark": {"name": "responsePart"}})
                    self.marks.append("responsePart")
                case "input_audio_buffer.speech_started":
                    await self._interrupt()

    async def _interrupt(self) -> None:
        if not self.marks or self.item is None or self.reply_began_ms is None:
            return
        heard_ms = self.caller_ms - self.reply_began_ms
        truncate = {"item_id": self.item, "content_index": 0, "audio_end_ms": heard_ms}
        await self._tell_model({"type": "conversation.item.truncate", **truncate})
        await self._tell_caller({"event": "clear"})
        self.marks.clear()
        self.item, self.reply_began_ms = None, None

    async def _tell_model(self, event: dict[str, Any]) -> None:
        await self.model.send(json.dumps(event))

    async def _tell_caller(self, message: dict[str, Any]) -> None:
        await self.caller.send_json({**message, "streamSid": self.stream_sid})


def answering(model_url: str) -> FastAPI:
    """The app, whose calls go to that model."""
    app = phone()

    async def media_stream(caller: WebSocket) -> None:
        await caller.accept()
        async with connect(model_url, additional_headers={"Authorization": "Bearer none"}) as model:
            await Call(caller, model).run()

    app.add_api_websocket_route("/media-stream", media_stream)
    return app


if __name__ == "__main__":
    chosen = arguments(__doc__)
    listen(answering(chosen.model_url), chosen.port)
