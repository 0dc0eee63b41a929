"""A model that answers in text, and a voice that speaks it: what is read of the one, and written as if it had spoken itself.

Whoever drives the call is told of the voice in the realtime protocol's own words, so that to it an answer is an answer. What is
written here begins with `{"spoken":1,`: it is u-law, whatever the codec of the session.
"""

from collections.abc import Callable
from typing import Any

import msgspec

from app.core import events as ev
from app.errors import PeerError
from app.rules.engines import Engine
from app.wire import realtime
from app.wire.audio import decoded_size
from app.wire.dialects import Dialect
from app.wire.realtime import BROKEN, READ_OUT, Message

OURS = b'{"spoken":1,'
TEXT = ("response.output_text.delta", "response.text.delta")
WHOLE_TEXT = ("response.output_text.done", "response.text.done")
READ_OUT_KIND = {"offhook": "voice"}
"""Metadata of a response that reads out what the voice could not say any more."""
_LOST = "voice.lost"
_encode = msgspec.json.Encoder().encode


class Told(msgspec.Struct):
    """An event of the model's, as far as it matters here."""

    type: str
    response_id: str = ""
    item_id: str = ""
    delta: str | None = None
    text: str | None = None
    response: dict[str, Any] | None = None
    error: dict[str, Any] | None = None

    @property
    def response_named(self) -> str:
        """The id in `response`."""
        named = (self.response or {}).get("id")
        return named if isinstance(named, str) else ""

    @property
    def refused(self) -> str:
        """The id of the request that an `error` refuses."""
        named = (self.error or {}).get("event_id")
        return named if isinstance(named, str) else ""

    @property
    def reads_out(self) -> bool:
        """Whether it is of a response that we asked to read something out."""
        return (self.response or {}).get("metadata") == READ_OUT_KIND


class _Lost(msgspec.Struct):
    type: str
    why: str = ""


_TOLD = msgspec.json.Decoder(Told)
_LOSS = msgspec.json.Decoder(_Lost)


def read(text: bytes) -> Told | None:
    """An event of the model's; None for what is none, which is for somebody else to say."""
    try:
        return _TOLD.decode(text)
    except BROKEN:
        return None


def reader(parse: Callable[[bytes], Message | None]) -> Callable[[bytes], Message | None]:
    """`parse` of a session whose answers are spoken by a voice. parse: the session's own."""

    def read_either(text: bytes) -> Message | None:
        if not text.startswith(OURS):
            return parse(text)
        if _LOST.encode() in text[:40]:
            return ev.VoiceLost(_LOSS.decode(text).why)
        return realtime.parse(text)

    return read_either


def sound(response_id: str, item_id: str, audio: bytes) -> bytes:
    """A piece of an answer's speech. audio: JSON text, base64 of u-law."""
    return b'%b"type":"response.output_audio.delta","response_id":%b,"item_id":%b,"content_index":0,"delta":%b}' % (
        OURS,
        _encode(response_id),
        _encode(item_id),
        audio,
    )


def words(response_id: str, item_id: str, said: str, ends_ms: int) -> bytes:
    """Words whose sound was passed on; ends_ms: where in the item's sound they end, 0 if nobody knows."""
    return _ours("response.output_audio_transcript.delta", response_id, item_id, delta=said, audio_end_ms=ends_ms)


def ended(response_id: str, item_id: str, said: str) -> list[bytes]:
    """All of an item was passed on."""
    return [
        _ours("response.output_audio.done", response_id, item_id),
        _ours("response.output_audio_transcript.done", response_id, item_id, transcript=said),
    ]


def lost(why: str) -> bytes:
    """The voice is gone."""
    return OURS + _encode({"type": _LOST, "why": why})[1:]


def moved(text: bytes, response_id: str, item_id: str) -> tuple[bytes, int]:
    """Sound of one response as if it were another's, and its bytes of audio in the session's codec. Raises PeerError."""
    event = realtime.parse(text)
    if not isinstance(event, realtime.AudioDelta):
        raise PeerError("expected a piece of the model's speech")
    body = {"type": "response.output_audio.delta", "response_id": response_id, "item_id": item_id, "content_index": 0}
    return _encode({**body, "delta": msgspec.Raw(event.delta)}), decoded_size(event.delta)


def with_speech(text: bytes, model: str, characters: int) -> bytes:
    """The end of a response, with what its speech is paid by."""
    event = msgspec.json.decode(text)
    usage = event["response"].get("usage")
    event["response"]["usage"] = (usage if isinstance(usage, dict) else {}) | {
        "speech": {"model": model, "characters": characters}
    }
    return _encode(event)


def to_own_voice(dialect: Dialect, event_id: str) -> bytes:
    """From now on the model speaks itself."""
    kind = {"type": "realtime"} if dialect.name == "ga" else {}
    return realtime.update_session(kind | dialect.modality(False), event_id)


def read_out(event_id: str, words_left: str, dialect: Dialect, engine: Engine, *, aside: bool) -> bytes:
    """Ask the model to say what the voice could not. Its text is in the conversation already, so it leaves no trace there.

    aside: outside of the conversation, where the server has that.
    """
    response: dict[str, Any] = {"instructions": READ_OUT.format(sentence=words_left), **dialect.modality(False)}
    if aside:
        response |= {"conversation": "none", "metadata": READ_OUT_KIND}
    if engine.response_tools:
        response |= {"input": [], "tool_choice": "none"}
    return _encode({"type": "response.create", "event_id": event_id, "response": response})


def _ours(kind: str, response_id: str, item_id: str, **fields: Any) -> bytes:
    body = {"type": kind, "response_id": response_id, "item_id": item_id, "content_index": 0, **fields}
    return OURS + _encode(body)[1:]
