"""One session of the model stand-in: takes a client's events, answers as the real server does, refuses what it refuses.

Nothing here waits: `receive` takes one message and puts answers into `outbox`; responses run as tasks of their own.
An error is an `error` event with the client's event id and changes nothing; the socket stays.
"""

import asyncio
import base64
from collections.abc import Callable, Mapping
from typing import Any

import msgspec

from app.sim.model_checks import Refused, missing, text, unknown, wrong_type
from app.sim.model_conversation import base64_audio
from app.sim.model_keys import REASONING_MODEL
from app.sim.model_past import Call
from app.sim.model_sound import BYTES_PER_MS, heard
from app.sim.model_talk import Closing, Host, Talk

LARGEST_APPEND = 15 * 1024 * 1024
# What an event may have besides `type` and `event_id`
KEYS: Mapping[str, tuple[str, ...]] = {
    "session.update": ("session",),
    "input_audio_buffer.append": ("audio",),
    "conversation.item.create": ("item", "previous_item_id"),
    "conversation.item.retrieve": ("item_id",),
    "conversation.item.truncate": ("item_id", "content_index", "audio_end_ms"),
    "conversation.item.delete": ("item_id",),
    "response.create": ("response",),
    "response.cancel": ("response_id",),
}


class Session(Talk):
    """A session; `received` has every client event in order (audio only counted), `log` what the stand-in made of them."""

    def __init__(self, host: Host, model: str, outbox: "asyncio.Queue[bytes | Closing | None]") -> None:
        super().__init__(host, model, outbox)
        self.received: list[Any] = []
        self._configured = False
        self._doors: Mapping[str, Callable[[dict[str, Any]], None]] = {
            "session.update": self._session_update,
            "input_audio_buffer.append": self._append,
            "input_audio_buffer.commit": lambda _: self.ears.commit(),
            "input_audio_buffer.clear": self._clear,
            "conversation.item.create": self._item_create,
            "conversation.item.retrieve": self.conversation.retrieve,
            "conversation.item.truncate": self.conversation.truncate,
            "conversation.item.delete": self.conversation.delete,
            "response.create": self._response_create,
            "response.cancel": self._response_cancel,
        }

    def receive(self, message: bytes | str) -> None:
        """Take one message of the client's."""
        try:
            event = msgspec.json.decode(message)
        except msgspec.DecodeError as error:
            return self.refuse(
                Refused("invalid_json", f"We could not parse the JSON body of your message: {error}"), None
            )
        kind = event.get("type") if isinstance(event, dict) else None
        event_id = event.get("event_id") if isinstance(event, dict) else None
        door = self._doors.get(kind) if isinstance(kind, str) and kind not in self.shape.lacks else None
        if kind != "input_audio_buffer.append":
            self.received.append(event)
        if door is None:
            known = ", ".join(f"'{name}'" for name in self._doors if name not in self.shape.lacks)
            why = f"Invalid value: {kind!r}. Supported values are: {known}." if kind else "The event has no type."
            return self.refuse(Refused("invalid_event", why, "type"), event_id)
        try:
            for key in event:
                if key not in ("type", "event_id", *KEYS.get(str(kind), ())):
                    raise unknown(key)
            door(event)
        except Refused as refused:
            self.refuse(refused, event_id)
        return None

    def _session_update(self, event: dict[str, Any]) -> None:
        if "session" not in event:
            raise missing("session")
        change = event["session"]
        words = change.get("instructions") if isinstance(change, dict) else None
        if isinstance(words, str) and (found := self.host.rehearsal(words)).number not in ("", self.rehearsal.number):
            self.adopt(found)
        if self.faults.refuse_config:
            raise Refused("invalid_value", "The stand-in was told to refuse every configuration.", "session")
        self.shape.session(change, "session")
        if change.get("model", self.model) != self.model:
            raise Refused("invalid_parameter", "The model of a session cannot be changed.", "session.model")
        self._check_reasoning(change, "session")
        after = self.shape.merged(self.config, change)
        settings = self.shape.settings(after)
        if self.spoke and settings.voice != self.settings.voice:
            raise Refused("cannot_update_voice", "Cannot update a conversation's voice if assistant audio is present.",
                          "session." + ".".join(self.shape.paths["voice"]))  # fmt: skip
        if self.active is not None and settings.speed != self.settings.speed:
            raise Refused("invalid_parameter", "The speed can only be changed between responses.",
                          "session." + ".".join(self.shape.paths["speed"]))  # fmt: skip
        if self.config.get("tracing") is not None and after.get("tracing") != self.config["tracing"]:
            raise Refused("invalid_parameter", "Tracing cannot be changed once it is on.", "session.tracing")
        self.config, self.settings = after, settings
        self.ears.configure(settings.input_format, settings.turn_detection)
        self.send({"type": "session.updated", "session": self.config})
        if not self._configured:
            self._configured = True
            for after_ms, end in ((self.faults.die_after_ms, self.die), (self.faults.expire_after_ms, self.expire)):
                if after_ms is not None:
                    self.later(after_ms, end)

    def _check_reasoning(self, change: Mapping[str, Any], place: str) -> None:
        for key in ("reasoning", "parallel_tool_calls"):
            if key in change and not REASONING_MODEL.match(self.model):
                raise Refused(
                    "invalid_parameter", f"'{key}' is not supported by the model '{self.model}'.", f"{place}.{key}"
                )

    def _append(self, event: dict[str, Any]) -> None:
        if "audio" not in event:
            raise missing("audio")
        if not isinstance(event["audio"], str):
            raise wrong_type("audio", "a string", event["audio"])
        try:
            audio = base64.b64decode(event["audio"], validate=True)
        except ValueError:
            base64_audio(event["audio"], "audio")
            raise
        if len(audio) > LARGEST_APPEND:
            raise Refused("invalid_value", "Invalid 'audio': 15 MiB at most in one event.", "audio")
        match self.received:
            case [*_, {"type": "input_audio_buffer.append"} as row]:
                pass
            case _:
                row = {"type": "input_audio_buffer.append", "events": 0, "bytes": 0}
                self.received.append(row)
        row["events"] += 1
        row["bytes"] += len(audio)
        if not (self.counted or self.mind.past.continues):
            self.counted = True
            self.rehearsal.heard_sessions += 1
        self.ears.append(audio)

    def _clear(self, _: dict[str, Any]) -> None:
        self.ears.clear()
        self.send({"type": "input_audio_buffer.cleared"})

    def _item_create(self, event: dict[str, Any]) -> None:
        item = self.conversation.create(event)
        match item.data:
            case {"type": "function_call", "call_id": call_id, "name": name}:
                self.mind.past.told.append(Call(call_id, name))
            case {"type": "message", "role": "assistant"}:
                self.mind.past.line(item.transcript, agent=True)
            case {"type": "function_call_output", "call_id": call_id, "output": output}:
                self.mind.take_answer(call_id, output)
            case {"type": "message", "role": "user" | "system"} if item.audio:
                item.bytes_per_ms = BYTES_PER_MS[self.settings.input_format]
                self.mind.hear(heard(bytes(item.audio), self.settings.input_format), lambda _: None)
            case {"type": "message", "role": "user" | "system"}:
                self.mind.read(item.transcript)

    def _response_create(self, event: dict[str, Any]) -> None:
        body = event.get("response") or {}
        self.shape.response(body, "response")
        self._check_reasoning(body, "response")
        for n, data in enumerate(body.get("input", [])):
            place = f"response.input[{n}]"
            if isinstance(data, dict) and data.get("type") == "item_reference":
                text(data.get("id"), f"{place}.id")
                if data["id"] not in self.conversation:
                    raise Refused("bad_response_create", f"There is no item with the id '{data['id']}'.", f"{place}.id")
            else:
                self.conversation.check(data, place)
        if body.get("conversation") == "none":
            return self.respond_aside(body)
        self.check_idle()
        if "instructions" in body:
            self.mind.read(body["instructions"].removeprefix(self.settings.instructions))
        return self.respond(body)

    def _response_cancel(self, event: dict[str, Any]) -> None:
        wanted = event.get("response_id")
        running = (
            self.active if wanted is None or (self.active and self.active.id == wanted) else self.asides.get(wanted)
        )
        if running is None:
            raise Refused("response_cancel_not_active", "Cancellation failed: no active response found", "response_id")
        running.cancel("client_cancelled")
