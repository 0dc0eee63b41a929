"""One socket of the text-to-speech stand-in: its contexts, what it refuses, and how it breaks."""

import asyncio
import base64
from collections.abc import Callable, Mapping
from typing import Any, Protocol

import msgspec
from websockets.asyncio.server import ServerConnection
from websockets.exceptions import ConnectionClosed

from app.sim.tts_voice import alignment
from app.wire.elevenlabs import CONTEXTS

SETTINGS = {"stability": (0, 1), "similarity_boost": (0, 1), "style": (0, 1), "speed": (0.7, 1.2)}
FIRST = frozenset({
    "text", "context_id", "flush", "voice_settings", "generation_config", "pronunciation_dictionary_locators", "xi_api_key",
    "authorization",
})  # fmt: skip
LATER = frozenset({"text", "context_id", "flush"})
CLOSES = frozenset({"context_id", "close_context"})
REFUSAL_CODE = 1008


class Refused(Exception):
    """What the server says before it closes."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code, self.message = code, message


class Faulty(Protocol):
    """What is to go wrong (app.sim.tts.Faults)."""

    code: str
    breaks: Any
    breaks_in: int
    breaks_after_ms: int
    aligned: bool
    idle_seconds: float | None


class Host(Protocol):
    """What a socket needs of its server."""

    first_audio_ms: int
    pace: float
    chunk_ms: int
    contexts: int
    say: Callable[[str], bytes]

    @property
    def faults(self) -> Faulty:
        """What is to go wrong."""
        ...


class Context:
    """One text being spoken. `heard`: all of it, as it came."""

    def __init__(self, name: str, number: int, settings: Mapping[str, Any]) -> None:
        self.name = name
        self.number = number
        self.settings = settings
        self.heard = ""
        self.buffered = ""
        self.closing = False
        self.given_ms = 0.0
        self.queue: asyncio.Queue[str | None] = asyncio.Queue()
        """Texts to be spoken; None: the end."""


class Session:
    """A socket; `received` has every message, `contexts` those that are open, `all` every one there was."""

    def __init__(self, host: Host, connection: ServerConnection, asked: Mapping[str, str]) -> None:
        self.host = host
        self.connection = connection
        self.asked = asked
        self.received: list[Any] = []
        self.contexts: dict[str, Context] = {}
        self.all: list[Context] = []
        self.over = False
        self.stalled = False
        self._tasks: set[asyncio.Task[None]] = set()

    async def run(self) -> None:
        """Until the socket is closed."""
        faults = self.host.faults
        idle = faults.idle_seconds or float(self.asked.get("inactivity_timeout", "20"))
        try:
            while True:
                try:
                    async with asyncio.timeout(idle):
                        text = await self.connection.recv()
                except TimeoutError:
                    if any(not context.queue.empty() for context in self.contexts.values()):
                        continue
                    raise Refused(
                        "input_timeout_exceeded", f"No new text within the timeout of {idle:g} seconds."
                    ) from None
                if not self._receive(text):
                    break
        except Refused as refused:
            await self._refuse(refused)
        except ConnectionClosed:
            pass
        finally:
            self.over = True
            for task in self._tasks:
                task.cancel()
        await self.connection.close()

    def _receive(self, text: str | bytes) -> bool:
        """One message; False: the client wants no more."""
        try:
            message = msgspec.json.decode(text)
        except msgspec.DecodeError as wrong:
            raise Refused("invalid_message", f"expected JSON, got: {wrong}") from wrong
        self.received.append(message)
        if not isinstance(message, dict):
            raise Refused("invalid_message", "expected an object")
        if message.get("close_socket") is True:
            return False
        name = message.get("context_id", "default")
        if not isinstance(name, str) or not name:
            raise Refused("invalid_message", "context_id: expected a string")
        if message.get("close_context") is True:
            self._known(message, CLOSES)
            if name in self.contexts:
                self._close(self.contexts[name])
            return True
        if "text" not in message and message.get("flush") is not True:
            raise Refused("invalid_message", "expected text, flush, close_context or close_socket")
        words = message.get("text", "")
        if not isinstance(words, str):
            raise Refused("invalid_message", "text: expected a string")
        if name in self.contexts:
            self._known(message, LATER)
        elif words or message.get("flush") is True:  # a flush makes a context, too
            self._known(message, FIRST)
            self._open(name, message)
        if words and not words.endswith(" "):
            raise Refused("invalid_message", "text: expected it to end with a single space")
        if name in self.contexts:
            self._speak(self.contexts[name], words, flush=message.get("flush") is True)
        return True

    def _known(self, message: Mapping[str, Any], known: frozenset[str]) -> None:
        if unknown := sorted(message.keys() - known):
            raise Refused("invalid_message", f"not here: {', '.join(unknown)}")

    def _open(self, name: str, message: Mapping[str, Any]) -> None:
        if self.host.faults.code:
            raise Refused(self.host.faults.code, "The stand-in was told to refuse.")
        if len(self.contexts) >= CONTEXTS:
            raise Refused(
                "max_active_conversations",
                f"Maximum simultaneous contexts per WebSocket connection exceeded ({CONTEXTS}). "
                "Please close an existing context before opening a new one.",
            )
        settings = message.get("voice_settings", {})
        for key, value in settings.items():
            low, high = SETTINGS.get(key, (None, None))
            if key != "use_speaker_boost" and (low is None or high is None or not low <= value <= high):
                raise Refused("invalid_voice_settings", f"voice_settings.{key}: {value!r} is not allowed")
        self.host.contexts += 1
        context = Context(name, self.host.contexts, settings)
        self.contexts[name] = context
        self.all.append(context)
        task = asyncio.get_running_loop().create_task(self._speaks(context))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def _speak(self, context: Context, words: str, *, flush: bool) -> None:
        if context.closing:
            raise Refused("invalid_message", f"the context {context.name!r} is closed")
        context.heard += words
        context.buffered += words
        if (flush or self.asked.get("auto_mode") == "true") and context.buffered.strip():
            context.queue.put_nowait(context.buffered)
            context.buffered = ""

    def _close(self, context: Context) -> None:
        """What was flushed is still spoken; what was not is lost."""
        context.closing = True
        context.queue.put_nowait(None)

    async def _speaks(self, context: Context) -> None:
        first = True
        while (text := await context.queue.get()) is not None:
            await asyncio.sleep(self.host.first_audio_ms / 1000 if first else 0)
            first = False
            if not await self._say(context, text):
                return
        self.contexts.pop(context.name, None)
        await self._send({"isFinal": True, "contextId": context.name})

    async def _say(self, context: Context, text: str) -> bool:
        """One text in pieces; False if it broke."""
        text = text.strip() + " "
        audio, faults = self.host.say(text), self.host.faults
        size = self.host.chunk_ms * 8
        for at in range(0, len(audio), size):
            if faults.breaks and context.number == faults.breaks_in and context.given_ms >= faults.breaks_after_ms:
                await self._break(faults.breaks)
            if self.stalled:
                return False
            piece = audio[at : at + size]
            aligned = alignment(text, len(audio) // 8, at / 8, (at + len(piece)) / 8) if faults.aligned else None
            await self._send({
                "audio": base64.b64encode(piece).decode(), "contextId": context.name, "alignment": aligned,
                "normalizedAlignment": aligned, "isFinal": None,
            })  # fmt: skip
            context.given_ms += len(piece) / 8
            if self.host.pace:
                await asyncio.sleep(len(piece) / 8000 / self.host.pace)
        return True

    async def _break(self, how: str) -> None:
        self.stalled = True
        if how == "torn":
            self.connection.transport.abort()
        elif how == "closed":
            await self.connection.close(1011, "the stand-in was told to close")

    async def _send(self, message: dict[str, Any]) -> None:
        try:
            await self.connection.send(msgspec.json.encode(message), text=True)
        except ConnectionClosed:
            return

    async def _refuse(self, refused: Refused) -> None:
        await self._send({"error": refused.code, "message": refused.message, "code": REFUSAL_CODE})
        await self.connection.close(REFUSAL_CODE, refused.message[:120])
