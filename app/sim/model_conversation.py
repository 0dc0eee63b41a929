"""The conversation of one stand-in session: its items, and the rules by which a client may add, cut and delete them."""

import base64
import binascii
from collections.abc import Callable, Mapping
from secrets import token_hex
from typing import Any

import msgspec

from app.sim.model_checks import (
    Check,
    Refused,
    anything,
    by_key,
    keys,
    list_of,
    missing,
    one_of,
    text,
    wrong_type,
    wrong_value,
)  # fmt: skip
from app.sim.model_shapes import Shape

Send = Callable[[dict[str, Any]], None]


class Item(msgspec.Struct, eq=False):
    """An item in GA's words as clients see it, and the audio (in the session's format) that belongs to it."""

    data: dict[str, Any]
    audio: bytearray = msgspec.field(default_factory=bytearray)
    bytes_per_ms: int = 8

    @property
    def id(self) -> str:
        """The item's id."""
        return str(self.data["id"])

    @property
    def audio_ms(self) -> int:
        """How much audio there is."""
        return len(self.audio) // self.bytes_per_ms

    @property
    def transcript(self) -> str:
        """The item's words, as far as they are known."""
        parts = (part.get("transcript") or part.get("text") or "" for part in self.data.get("content", []))
        return " ".join(words for words in parts if words)


def base64_audio(value: Any, place: str) -> None:
    """Audio as base64."""
    text(value, place)
    try:
        base64.b64decode(value, validate=True)
    except (binascii.Error, ValueError) as error:
        raise Refused("invalid_value", f"Invalid '{place}'. Expected base64-encoded audio bytes.", place) from error


_COMMON: Mapping[str, Check] = {"id": text, "type": text, "object": one_of("realtime.item"), "status": text}
_INPUT_TEXT = keys({"type": text, "text": text}, "text")
_INPUT_AUDIO = keys({"type": text, "audio": base64_audio, "transcript": text}, "audio")
_INPUT_IMAGE = keys({"type": text, "image_url": text, "detail": text}, "image_url")


def _parts(shape: Shape) -> Mapping[str, Check]:
    """Checks of a message's content, by role. Assistant audio cannot be created: only what the model said is audio."""
    user = {"input_text": _INPUT_TEXT, "input_audio": _INPUT_AUDIO}
    return {
        "user": by_key("type", user | ({"input_image": _INPUT_IMAGE} if shape.dialect == "ga" else {})),
        "assistant": by_key("type", {shape.parts.get("output_text", "output_text"): _INPUT_TEXT}),
        "system": by_key("type", {"input_text": _INPUT_TEXT}),
    }


class Conversation:
    """The items of the default conversation in order; tells its client (`send`) what becomes of them."""

    def __init__(self, shape: Shape, send: Send) -> None:
        self.id = f"conv_{token_hex(8)}"
        self.items: list[Item] = []
        self._shape = shape
        self._send = send
        self._parts = _parts(shape)

    def __getitem__(self, item_id: str) -> Item:
        return next(item for item in self.items if item.id == item_id)

    def __contains__(self, item_id: str) -> bool:
        return any(item.id == item_id for item in self.items)

    @property
    def last_id(self) -> str | None:
        """Id of the newest item."""
        return self.items[-1].id if self.items else None

    @property
    def history(self) -> bool:
        """Whether the agent has said anything in it."""
        return any(item.data.get("role") == "assistant" for item in self.items)

    def check(self, data: Any, place: str = "item") -> dict[str, Any]:
        """A client's item in GA's words. Raises Refused."""
        by_key(
            "type",
            dict.fromkeys(("message", "function_call", "function_call_output", "mcp_approval_response"), anything),
        )(data, place)
        match data["type"]:
            case "message":
                keys({**_COMMON, "role": one_of(*self._parts), "content": list_of(anything)}, "role", "content")(
                    data, place
                )
                list_of(self._parts[data["role"]])(data["content"], f"{place}.content")
            case "function_call":
                keys({**_COMMON, "name": text, "arguments": text, "call_id": text}, "name", "arguments")(data, place)
            case "function_call_output":
                keys({**_COMMON, "call_id": text, "output": text}, "call_id", "output")(data, place)
            case _:
                known = {**_COMMON, "approval_request_id": text, "approve": anything, "reason": anything}
                keys(known, "approval_request_id", "approve")(data, place)
        if len(data.get("id", "")) > 32:
            raise wrong_value(f"{place}.id", "a string of 32 characters at most", data["id"])
        item: dict[str, Any] = {"id": f"item_{token_hex(8)}", "object": "realtime.item", "status": "completed"} | data
        if "content" in item:
            item["content"] = [part | {"type": self._shape.plain_part(part["type"])} for part in item["content"]]
        if item["type"] == "function_call":
            item.setdefault("call_id", f"call_{token_hex(8)}")
        return item

    def create(self, event: Mapping[str, Any]) -> Item:
        """`conversation.item.create`. Raises Refused."""
        if "item" not in event:
            raise missing("item")
        data = self.check(event["item"])
        if data["id"] in self:
            raise Refused(
                "item_create_duplicate_item_id",
                f"Error adding item: the id '{data['id']}' is in use already.",
                "item.id",
            )
        before = event.get("previous_item_id")
        if before not in (None, "root") and before not in self:
            raise Refused("item_create_invalid_previous_item_id", f"Error adding item: there is no item '{before}'.",
                          "previous_item_id")  # fmt: skip
        calls = {item.data["call_id"] for item in self.items if item.data["type"] == "function_call"}
        if data["type"] == "function_call_output" and data["call_id"] not in calls:
            raise Refused(
                "invalid_tool_call_id", f"Tool call ID '{data['call_id']}' not found in conversation.", "item.call_id"
            )
        item = Item(data)
        for part in data.get("content", []):
            item.audio += base64.b64decode(part.pop("audio", ""))
        at = len(self.items)
        if before is not None:
            at = 0 if before == "root" else self.items.index(self[before]) + 1
        self.add(item, at)
        self.finish(item)
        return item

    def add(self, item: Item, at: int | None = None) -> None:
        """Take an item in, at the end unless told otherwise, and say so."""
        at = len(self.items) if at is None else at
        self.items.insert(at, item)
        self._tell("conversation.item.added", item)

    def finish(self, item: Item) -> None:
        """Say that an item is whole."""
        self._tell("conversation.item.done", item)

    def retrieve(self, event: Mapping[str, Any]) -> None:
        """`conversation.item.retrieve`: the item with its audio. Raises Refused."""
        item = self._of(event, "item_retrieve_invalid_item_id")
        data = dict(item.data)
        if "content" in data:
            audio = {"audio": base64.b64encode(item.audio).decode()}
            data["content"] = [part | (audio if part["type"].endswith("_audio") else {}) for part in data["content"]]
        self._send({"type": "conversation.item.retrieved", "item": self._shape.item(data)})

    def delete(self, event: Mapping[str, Any]) -> None:
        """`conversation.item.delete`. Raises Refused."""
        item = self._of(event, "item_delete_invalid_item_id")
        self.items.remove(item)
        self._send({"type": "conversation.item.deleted", "item_id": item.id})

    def truncate(self, event: Mapping[str, Any]) -> None:
        """`conversation.item.truncate`: cut the agent's audio, and drop its transcript. Raises Refused.

        Over WebSocket the server does not know what was played: the client says so.
        """
        for key in ("content_index", "audio_end_ms"):
            if key not in event:
                raise missing(key)
            if isinstance(event[key], bool) or not isinstance(event[key], int):
                raise wrong_type(key, "an integer", event[key])
        item, end_ms = self._of(event, "item_truncate_invalid_item_id"), event["audio_end_ms"]
        content = item.data.get("content", [])
        spoken = item.data.get("role") == "assistant" and any(part["type"] == "output_audio" for part in content)
        if not spoken or not item.audio or end_ms == 0:
            raise Refused("unsupported_content_type", "Only model output audio messages can be truncated.", "item_id")
        if event["content_index"] != 0:
            raise wrong_value("content_index", "0", event["content_index"])
        if end_ms < 0:
            raise wrong_value("audio_end_ms", "0 or more", end_ms)
        if end_ms > item.audio_ms:
            # the real server gives no code here
            raise Refused(None, f"Audio content of {item.audio_ms}ms is already shorter than {end_ms}ms", None)
        del item.audio[end_ms * item.bytes_per_ms :]
        item.data["content"] = [{"type": "output_audio"}]
        self._send(
            {"type": "conversation.item.truncated", "item_id": item.id, "content_index": 0, "audio_end_ms": end_ms}
        )

    def _of(self, event: Mapping[str, Any], code: str) -> Item:
        if "item_id" not in event:
            raise missing("item_id")
        if event["item_id"] not in self:
            raise Refused(code, f"There is no item with the id {event['item_id']!r} in this conversation.", "item_id")
        return self[event["item_id"]]

    def _tell(self, name: str, item: Item) -> None:
        if item not in self.items:
            return  # deleted while it was being said
        at = self.items.index(item)
        previous = self.items[at - 1].id if at else None
        self._send({"type": name, "previous_item_id": previous, "item": self._shape.item(item.data)})
