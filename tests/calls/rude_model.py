"""A realtime server that misbehaves in a way of each test's choosing, on a bare socket."""

import base64
import json
from collections.abc import Awaitable, Callable
from typing import Any

from websockets.asyncio.server import Server, ServerConnection, serve
from websockets.exceptions import ConnectionClosed

Manners = Callable[["RudeSession"], Awaitable[None]]


class RudeSession:
    """One session: configured, and then in the hands of the manners that stand in its prompt."""

    def __init__(self, socket: ServerConnection) -> None:
        self.socket = socket
        self.received: list[dict[str, Any]] = []

    async def send(self, event: dict[str, Any] | str | bytes) -> None:
        await self.socket.send(json.dumps(event) if isinstance(event, dict) else event)

    async def until(self, kind: str) -> dict[str, Any]:
        """The next event of this type."""
        while True:
            event: dict[str, Any] = json.loads(await self.socket.recv())
            self.received.append(event)
            if event["type"] == kind:
                return event

    async def speak(self, audio: bytes, name: str) -> None:
        """A whole response with this sound."""
        place = {"response_id": f"resp_{name}", "item_id": f"item_{name}", "output_index": 0, "content_index": 0}
        response = {"id": f"resp_{name}", "status": "in_progress", "conversation_id": "conv"}
        await self.send({"type": "response.created", "response": response})
        delta = base64.b64encode(audio).decode()
        await self.send({"type": "response.output_audio.delta", **place, "delta": delta})
        await self.send({"type": "response.output_audio.done", **place})
        await self.send({"type": "response.done", "response": {**response, "status": "completed", "output": []}})


class RudeModel:
    """`manners` maps a caller's number to what its session does after `session.updated`."""

    def __init__(self) -> None:
        self.manners: dict[str, Manners] = {}
        self._server: Server | None = None

    async def start(self) -> str:
        self._server = await serve(self._session, "127.0.0.1", 0, compression=None, max_size=None, ping_interval=None)
        return f"ws://127.0.0.1:{next(iter(self._server.sockets)).getsockname()[1]}/v1/realtime"

    async def close(self) -> None:
        if self._server is not None:
            self._server.close()
            await self._server.wait_closed()

    async def _session(self, socket: ServerConnection) -> None:
        session = RudeSession(socket)
        created = {"type": "realtime", "object": "realtime.session", "audio": {"input": {}, "output": {}}}
        try:
            await session.send({"type": "session.created", "event_id": "e", "session": created})
            update = await session.until("session.update")
            await session.send({"type": "session.updated", "session": update["session"]})
            await session.until("response.create")
            prompt = update["session"]["instructions"]
            for number, manners in self.manners.items():
                if number in prompt:
                    await manners(session)
            async for _ in socket:
                pass
        except ConnectionClosed:
            return
