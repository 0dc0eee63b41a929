"""One response of a stand-in session: from `response.created` to `response.done`, which always comes.

Order of one voice turn: response.created, rate_limits.updated, output_item.added, conversation.item.added,
content_part.added, (output_audio_transcript.delta | output_audio.delta)*, output_audio.done, output_audio_transcript.done,
content_part.done, conversation.item.done, output_item.done, response.done. Audio comes faster than it plays, as the real
server's does, and stops at once when the response is cancelled: what is begun is then closed as "incomplete".
"""

import asyncio
import base64
import json
from collections.abc import Awaitable, Callable, Mapping
from secrets import token_hex
from typing import Any, Literal

import msgspec
import structlog

from app.errors import SetupError
from app.sim.model_conversation import Conversation, Item
from app.sim.model_faults import Faults, Place
from app.sim.model_mind import Plan, PlannedCall
from app.sim.model_shapes import Settings, Shape
from app.sim.model_sound import BYTES_PER_MS, Repertoire, spoken
from app.sim.model_usage import usage
from app.sim.tts_voice import speech

log = structlog.get_logger()

AGENT_TOKEN_MS = 50
RAGGED = (0.37, 1.0, 1.61, 0.11, 0.83)
RATE_LIMITS = [
    {"name": "requests", "limit": 1000, "remaining": 999, "reset_seconds": 0.06},
    {"name": "tokens", "limit": 50000, "remaining": 49950, "reset_seconds": 0.06},
]
Status = Literal["in_progress", "completed", "cancelled", "failed", "incomplete"]


class Manner(msgspec.Struct, frozen=True, kw_only=True):
    """How a stand-in speaks. pace: times real time, 0 for at once; ragged: deltas of odd sizes; transcription_ms: after commit."""

    first_audio_ms: int = 200
    pace: float = 5.0
    delta_ms: int = 200
    ragged: bool = False
    transcription_ms: int = 100


class Response:
    """Answers with a plan. `conversation` is None for an out-of-band response; `ended` is called once, after response.done.

    reaches: is told each place of the answer before it is there; True: the session broke, and nothing more is said.
    thinking: gives the plan instead, once the first audio is due; a response that is cut off before never asks for it.
    """

    def __init__(
        self, plan: Plan | SetupError, *, shape: Shape, config: Mapping[str, Any], metadata: Any, repertoire: Repertoire,
        manner: Manner, faults: Faults, conversation: Conversation | None, context: Callable[[], list[Item]],
        send: Callable[[dict[str, Any]], None], note: Callable[..., None], ended: Callable[["Response"], None],
        thinking: Callable[[], Awaitable[Plan | SetupError]] | None = None,
        reaches: Callable[[Place], bool] = lambda _: False,
    ) -> None:  # fmt: skip
        self.id = f"resp_{token_hex(8)}"
        self.plan = plan
        self.status: Status = "in_progress"
        self.calls_made: set[str] = set()
        self.said: list[Item] = []
        self.settings: Settings = shape.settings(config)
        self._shape, self._config, self._metadata = shape, config, metadata
        self._repertoire, self._manner, self._faults = repertoire, manner, faults
        self._conversation, self._context = conversation, context
        self._send, self._note, self._ended = send, note, ended
        self._reaches = reaches
        self._thinking = thinking
        self._open: Item | None = None
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Say that it began, and begin."""
        self._send({"type": "response.created", "response": self._shown(None, None)})
        self._send({"type": "rate_limits.updated", "rate_limits": RATE_LIMITS})
        self._task = asyncio.get_running_loop().create_task(self._run())

    def cancel(self, reason: str) -> None:
        """Stop at once: "turn_detected" or "client_cancelled"."""
        if self.status == "in_progress":
            self.drop()
            self._note("interrupted", reason=reason)
            self._end("cancelled", {"type": "cancelled", "reason": reason})

    def drop(self) -> None:
        """Stop without a word: the session is over."""
        if self._task is not None:
            self._task.cancel()

    @property
    def audio_ms(self) -> int:
        """How much audio it has given so far."""
        return sum(item.audio_ms for item in self.said)

    async def _run(self) -> None:
        if self._faults.silent:
            await asyncio.Event().wait()
        await asyncio.sleep((self._manner.first_audio_ms + self._faults.late_ms) / 1000)
        if self._reaches("answer"):
            return None
        try:
            if self._faults.fails_with:
                return self._fail(self._faults.fails_with, self._faults.says or "The stand-in was told to fail.")
            if self._thinking is not None:
                self.plan = await self._thinking()
            if isinstance(self.plan, SetupError):
                raise self.plan
            if self.plan.says and not await self._say(self.plan.says):
                return self._end("incomplete", {"type": "incomplete", "reason": "max_output_tokens"})
            for call in self.plan.calls:
                await self._call(call)
        except SetupError as error:
            log.warning("stand-in: the script cannot be followed", error=str(error))
            self._note("failed", error=str(error))
            return self._fail("script_error", str(error))
        return self._end("completed", None)

    async def _say(self, text: str) -> bool:
        """Say a sentence, in audio or text; False if `max_output_tokens` did not allow all of it."""
        words = text.split(" ")
        limit = self.settings.max_tokens
        if self.settings.modality == "text":
            whole = limit is None or len(words) <= limit
            self._open_message("output_text", "text", {"type": "text", "text": ""}, text)
            for n, word in enumerate(words[:limit]):
                self._delta("output_text", "text", word if n == 0 else f" {word}")
                await asyncio.sleep(0)
            self._close("completed" if whole else "incomplete")
            return whole
        form = self.settings.output_format
        aside = self._conversation is None  # what it reads out for a voice that failed may begin anywhere
        audio = spoken(speech(text) if aside else self._repertoire.say(text, "agent"), form)
        whole = limit is None or len(audio) <= limit * AGENT_TOKEN_MS * BYTES_PER_MS[form]
        allowed = len(audio) if whole or limit is None else limit * AGENT_TOKEN_MS * BYTES_PER_MS[form]
        item = self._open_message("output_audio", "transcript", {"type": "audio", "transcript": ""}, text)
        item.bytes_per_ms = BYTES_PER_MS[form]
        at = spoken_words = delta = 0
        while at < allowed:
            size = int(
                self._manner.delta_ms * (RAGGED[delta % len(RAGGED)] if self._manner.ragged else 1) * BYTES_PER_MS[form]
            )
            size = max(2, size - size % 2 if form == "pcm" else size + self._manner.ragged)
            piece = audio[at : min(at + size, allowed)]
            until = -(-len(words) * (at + len(piece)) // len(audio))
            if until > spoken_words:
                new = " ".join(words[spoken_words:until])
                self._delta("output_audio_transcript", "transcript", f" {new}" if spoken_words else new)
                spoken_words = until
            if at and self._reaches("word"):
                await asyncio.Event().wait()
            item.audio += piece
            self._event("response.output_audio.delta", item, content_index=0, delta=base64.b64encode(piece).decode())
            at, delta = at + len(piece), delta + 1
            await self._pause(len(piece) / BYTES_PER_MS[form])
        self._close("completed" if whole else "incomplete")
        return whole

    async def _call(self, call: PlannedCall) -> None:
        """Call a tool; the call is whole only with `output_item.done` and status "completed"."""
        arguments = json.dumps(call.arguments, separators=(",", ":"))
        item = self._begin({"type": "function_call", "name": call.name, "call_id": call.call_id, "arguments": ""})
        for piece in (arguments[: len(arguments) // 2], arguments[len(arguments) // 2 :]):
            if item.data["arguments"] and self._reaches("call"):
                await asyncio.Event().wait()
            item.data["arguments"] += piece
            self._event("response.function_call_arguments.delta", item, call_id=call.call_id, delta=piece)
            await asyncio.sleep(0)
        self.calls_made.add(call.call_id)
        self._note("calls", name=call.name, arguments=call.arguments)
        self._close("completed")
        if self._reaches("tool"):
            await asyncio.Event().wait()

    async def _pause(self, ms: float) -> None:
        await asyncio.sleep(ms / 1000 / self._manner.pace if self._manner.pace else 0)

    def _begin(self, data: dict[str, Any]) -> Item:
        data = {"id": f"item_{token_hex(8)}", "object": "realtime.item", "status": "in_progress", **data}
        self._open = item = Item(data)
        self.said.append(item)
        self._event("response.output_item.added", item, item=self._shape.item(data))
        if self._conversation is not None:
            self._conversation.add(item)
        return item

    def _open_message(self, kind: str, key: str, part: dict[str, Any], text: str) -> Item:
        self._note("says" if self._conversation is not None else "aside", text=text)
        item = self._begin({"type": "message", "role": "assistant", "content": []})
        item.data["content"] = [{"type": kind, key: ""}]
        self._event("response.content_part.added", item, content_index=0, part=part)
        return item

    def _delta(self, name: str, key: str, words: str) -> None:
        assert self._open is not None
        content = self._open.data["content"][0]
        content[key] = content.get(key, "") + words
        self._event(f"response.{name}.delta", self._open, content_index=0, delta=words)

    def _close(self, status: Literal["completed", "incomplete"]) -> None:
        """Say of the item that is being said that it is done."""
        item, self._open = self._open, None
        assert item is not None
        item.data["status"] = status
        if item.data["type"] == "function_call":
            # sent for a call that was cut off, too: its arguments may be half
            self._event("response.function_call_arguments.done", item, **{
                key: item.data[key] for key in ("call_id", "name", "arguments")
            })  # fmt: skip
        else:
            self._close_part(item, item.data["content"][0])
        if self._conversation is not None:
            self._conversation.finish(item)
        self._event("response.output_item.done", item, item=self._shape.item(item.data))

    def _close_part(self, item: Item, part: dict[str, Any]) -> None:
        if part["type"] == "output_text":
            self._event("response.output_text.done", item, content_index=0, text=part["text"])
            shown = {"type": "text", "text": part["text"]}
        else:
            transcript = part.get("transcript", "")
            self._event("response.output_audio.done", item, content_index=0)
            self._event("response.output_audio_transcript.done", item, content_index=0, transcript=transcript)
            shown = {"type": "audio", "transcript": transcript}
        self._event("response.content_part.done", item, content_index=0, part=shown)

    def _event(self, name: str, item: Item, /, **fields: Any) -> None:
        index = self.said.index(item)
        if "item" not in fields:
            fields["item_id"] = item.id
        self._send({"type": name, "response_id": self.id, "output_index": index, **fields})

    def _fail(self, code: str, message: str) -> None:
        kind = "server_error" if code in ("server_error", "script_error") else "invalid_request_error"
        self._end("failed", {"type": "failed", "error": {"type": kind, "code": code, "message": message}})

    def _end(self, status: Status, details: dict[str, Any] | None) -> None:
        if self._open is not None:
            self._close("incomplete")
        self.status = status
        tokens = usage(self._shape.dialect, self.settings, self._context(), self.said)
        self._send({"type": "response.done", "response": self._shown(details, tokens)})
        self._ended(self)

    def _shown(self, details: dict[str, Any] | None, tokens: dict[str, Any] | None) -> dict[str, Any]:
        return {
            "object": "realtime.response", "id": self.id, "status": self.status, "status_details": details,
            "output": [self._shape.item(item.data) for item in self.said],
            "conversation_id": self._conversation.id if self._conversation is not None else None,
            "metadata": self._metadata, "usage": tokens, **self._shape.response_fields(self.settings, self._config),
        }  # fmt: skip
