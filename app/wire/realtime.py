"""Words on the model's wire: the realtime protocol's events in one vocabulary, and the commands that we send.

Every renamed event is understood in both spellings, whatever the dialect; the fields are the same. Types that we do not need
come out as None. Source: the OpenAPI file's Realtime* and RealtimeBeta* schemas.
"""

from collections.abc import Callable
from typing import Any, final

import msgspec

from app.core import effects as do
from app.core import events as ev
from app.errors import HouseError, PeerError
from app.others_words import misfit
from app.wire.audio import audio_text
from app.wire.dialects import Dialect


@final
class AudioDelta(msgspec.Struct, frozen=True, gc=False):
    """A piece of the agent's speech. `delta` is JSON text: base64 in the session's output format, within its quotes."""

    response_id: str
    item_id: str
    delta: bytes
    content_index: int = 0


class _AudioDelta(msgspec.Struct, tag_field="type", tag="response.output_audio.delta", gc=False):
    response_id: str
    item_id: str
    delta: str
    content_index: int = 0


class _FlatAudioDelta(_AudioDelta, tag_field="type", tag="response.audio.delta", gc=False):
    pass


class SessionCreated(msgspec.Struct, frozen=True):
    """The server's first word: its own defaults, by which its dialect is known."""

    session: dict[str, Any]


class SessionUpdated(msgspec.Struct, frozen=True):
    """Our configuration is in force."""

    session: dict[str, Any]


class _Head(msgspec.Struct):
    type: str


class _Event(msgspec.Struct):
    """Every other event, with all fields that any of them may bring."""

    type: str
    item_id: str = ""
    response_id: str = ""
    delta: str | None = None
    text: str | None = None
    transcript: str | None = None
    audio_start_ms: int | float | None = None
    audio_end_ms: int | float | None = None
    item: dict[str, Any] | None = None
    response: dict[str, Any] | None = None
    session: dict[str, Any] | None = None
    error: dict[str, Any] | None = None
    usage: Any = None


BROKEN = (msgspec.DecodeError, UnicodeError, RecursionError)
AUDIO_MARK = b'audio.delta"'
TYPE_WITHIN = 128
"""Every server known writes an event's type first, or right behind its event_id."""
AUDIO_TYPES = ("response.output_audio.delta", "response.audio.delta")
_AUDIO = msgspec.json.Decoder(_AudioDelta | _FlatAudioDelta)
_HEAD = msgspec.json.Decoder(_Head)
_EVENT = msgspec.json.Decoder(_Event)

Message = AudioDelta | SessionCreated | SessionUpdated | ev.Event


def parse(text: bytes | str) -> Message | None:
    """One event of the model's server. None for a type that tells us nothing. Raises PeerError for what is no event."""
    try:
        if isinstance(text, str):
            text = text.encode()
        # A guess that saves a second decoding, and never decides: a wrong one is put right below.
        if text.find(AUDIO_MARK, 0, TYPE_WITHIN) >= 0:
            return _audio(text)
    except BROKEN:
        pass
    try:
        message = _EVENT.decode(text)
        if message.type in AUDIO_TYPES:
            return _audio(text)
    except BROKEN as wrong:
        if _unneeded(text):
            return None
        raise PeerError(f"expected a realtime event (a JSON object with a type), got: {misfit(wrong)}") from wrong
    read = _READERS.get(message.type)
    return None if read is None else read(message)


def _audio(text: bytes | str) -> AudioDelta:
    """An event as audio. Raises what decoding raises for any other, PeerError for audio that is none."""
    delta = _AUDIO.decode(text)
    return AudioDelta(delta.response_id, delta.item_id, audio_text(delta.delta), delta.content_index)


def _unneeded(text: bytes | str) -> bool:
    """Whether it is an event of a type that we do not read: its fields may be of any kind."""
    try:
        return _HEAD.decode(text).type not in _READERS
    except BROKEN:
        return False


def _response_started(message: _Event) -> ev.Event | None:
    response = message.response or {}
    return ev.ResponseStarted(_text(response, "id"), _out_of_band(response)) if _text(response, "id") else None


def _response_done(message: _Event) -> ev.Event:
    response = message.response or {}
    details = _object(response, "status_details")
    error = _object(details, "error")
    usage = response.get("usage")
    return ev.ResponseDone(
        response_id=_text(response, "id"),
        status=_text(response, "status"),
        reason=_text(details, "reason"),
        error_code=_text(error, "code"),
        error_type=_text(error, "type"),
        usage=usage if isinstance(usage, dict) else None,
        out_of_band=_out_of_band(response),
    )


def _item_done(message: _Event) -> ev.Event | None:
    """A function call counts only when its item is complete: arguments may be cut short before."""
    item = message.item or {}
    if item.get("type") != "function_call" or item.get("status", "completed") != "completed":
        return None
    call_id, name = _text(item, "call_id"), _text(item, "name")
    if not call_id or not name:
        raise PeerError("expected a function call with call_id and name, got one without")
    return ev.ToolCalled(message.response_id, call_id, name, _text(item, "arguments"))


def _complaint(message: _Event) -> ev.Event:
    error = message.error or {}
    return ev.ModelComplained(
        code=_text(error, "code"),
        type=_text(error, "type"),
        message=_text(error, "message"),
        param=_text(error, "param"),
        event_id=_text(error, "event_id"),
    )


def _transcription_failed(message: _Event) -> ev.Event:
    return ev.CallerTranscribed(message.item_id, "", _text(message.error or {}, "message") or "failed")


def _said(message: _Event) -> ev.Event:
    return ev.AgentSaid(
        message.response_id, message.item_id, message.delta or "", ends_ms=int(message.audio_end_ms or 0)
    )


def _said_all(message: _Event) -> ev.Event:
    return ev.AgentSaid(message.response_id, message.item_id, message.transcript or message.text or "", whole=True)


_READERS: dict[str, Callable[[_Event], Message | None]] = {
    "session.created": lambda m: SessionCreated(m.session or {}),
    "session.updated": lambda m: SessionUpdated(m.session or {}),
    "input_audio_buffer.speech_started": lambda m: ev.CallerSpoke(m.item_id, int(m.audio_start_ms or 0)),
    "input_audio_buffer.speech_stopped": lambda m: ev.CallerStopped(m.item_id, int(m.audio_end_ms or 0)),
    "input_audio_buffer.committed": lambda m: ev.CallerTurnTaken(m.item_id),
    "conversation.item.input_audio_transcription.completed": lambda m: ev.CallerTranscribed(
        m.item_id, m.transcript or "", usage=m.usage if isinstance(m.usage, dict) else None
    ),
    "conversation.item.input_audio_transcription.failed": _transcription_failed,
    "response.created": _response_started,
    "response.done": _response_done,
    "response.output_item.done": _item_done,
    "response.output_audio_transcript.delta": _said,
    "response.audio_transcript.delta": _said,
    "response.output_audio_transcript.done": _said_all,
    "response.audio_transcript.done": _said_all,
    "response.output_audio.done": lambda m: ev.AgentAudioEnded(m.response_id, m.item_id),
    "response.audio.done": lambda m: ev.AgentAudioEnded(m.response_id, m.item_id),
    "error": _complaint,
}


def _text(source: dict[str, Any], name: str) -> str:
    value = source.get(name)
    return value if isinstance(value, str) else ""


def _object(source: dict[str, Any], name: str) -> dict[str, Any]:
    value = source.get(name)
    return value if isinstance(value, dict) else {}


def _out_of_band(response: dict[str, Any]) -> bool:
    """A response outside the conversation says so by a null `conversation_id`; servers that leave the key out mean inside."""
    return "conversation_id" in response and response["conversation_id"] is None and bool(response.get("metadata"))


# --- commands ---------------------------------------------------------------------------------------------------------


def append_audio(payload: bytes) -> bytes:
    """Caller audio as it came from the carrier. payload: JSON text, base64 of u-law."""
    return b'{"type":"input_audio_buffer.append","audio":%b}' % payload


def update_session(session: dict[str, Any], event_id: str) -> bytes:
    """Configure the session; `event_id` comes back in an error that refuses it."""
    return msgspec.json.encode({"type": "session.update", "event_id": event_id, "session": session})


def add_text(role: str, text: str, dialect: Dialect, *, behind: str = "") -> bytes:
    """A line of talk that was not spoken here: the user's, the system's, or the assistant's from earlier in the call.

    behind: the item that it follows; empty: the newest.
    """
    kind = dialect.agent_text if role == "assistant" else "input_text"
    item = {"type": "message", "role": role, "content": [{"type": kind, "text": text}]}
    place = {"previous_item_id": behind} if behind else {}
    return msgspec.json.encode({"type": "conversation.item.create", **place, "item": item})


def answer_tool(call_id: str, output: str) -> bytes:
    """A tool's output. The model says nothing of it until a response is asked for."""
    item = {"type": "function_call_output", "call_id": call_id, "output": output}
    return msgspec.json.encode({"type": "conversation.item.create", "item": item})


def replay(line: do.Said | do.Called, dialect: Dialect) -> list[bytes]:
    """A line of the talk for a session that was not there; a tool call with its output, if that is known."""
    if isinstance(line, do.Said):
        return [add_text(line.role, line.text, dialect)]
    item = {"type": "function_call", "call_id": line.call_id, "name": line.name, "arguments": line.arguments}
    call = msgspec.json.encode({"type": "conversation.item.create", "item": item})
    return [call] if line.output is None else [call, answer_tool(line.call_id, line.output)]


def create_response(event_id: str, instructions: str = "") -> bytes:
    """Ask for a response. instructions replace the session's for this one response."""
    command: dict[str, Any] = {"type": "response.create", "event_id": event_id}
    if instructions:
        command["response"] = {"instructions": instructions}
    return msgspec.json.encode(command)


READ_OUT = 'Say exactly this sentence and nothing else: "{sentence}"'


def read_out(event_id: str, sentence: str) -> bytes:
    """Ask for a response that reads one sentence, in the conversation, so that the model knows it was said.

    Without input: instructions of its own break the cached prefix, and the whole talk would be read again at full price. Without
    tools: while a function call is open the model has nothing to decide. Source: openai-realtime facts, 5.
    """
    response = {"instructions": READ_OUT.format(sentence=sentence), "input": [], "tool_choice": "none"}
    return msgspec.json.encode({"type": "response.create", "event_id": event_id, "response": response})


def cancel_response(response_id: str) -> bytes:
    """Stop a response."""
    return msgspec.json.encode({"type": "response.cancel", "response_id": response_id})


def truncate(item_id: str, content_index: int, heard_ms: int) -> bytes:
    """Make the model forget what the caller did not hear of an item."""
    return msgspec.json.encode(
        {
            "type": "conversation.item.truncate",
            "item_id": item_id,
            "content_index": content_index,
            "audio_end_ms": heard_ms,
        }
    )


def delete_item(item_id: str) -> bytes:
    """Make the model forget an item of which nothing was heard."""
    return msgspec.json.encode({"type": "conversation.item.delete", "item_id": item_id})


def command(effect: do.Effect, dialect: Dialect) -> bytes:
    """An effect that is one command to the model. Raises HouseError for any other."""
    match effect:
        case do.Truncate(item_id=item, content_index=index, heard_ms=heard_ms):
            return truncate(item, index, heard_ms)
        case do.DeleteItem(item_id=item):
            return delete_item(item)
        case do.CancelResponse(response_id=response):
            return cancel_response(response)
        case do.AddText(role=role, text=text):
            return add_text(role, text, dialect)
        case do.AnswerTool(call_id=call_id, output=output):
            return answer_tool(call_id, output)
        case do.RequestResponse(event_id=event_id, reads=sentence):
            return read_out(event_id, sentence) if sentence else create_response(event_id)
    raise HouseError(f"expected an effect for the model, got {type(effect).__name__}")
