"""What may come over both wires, and what must hold whatever comes: nothing but PeerError leaves a codec.

An input is bytes. They are arbitrary, or JSON of any shape, or a real message that was changed in its fields or in its octets.
"""

import copy
import json
from collections.abc import Callable
from typing import Any

import msgspec
from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy

from app.core import events as ev
from app.core.cost import cost_usd, input_tokens, used
from app.errors import PeerError
from app.mode import ServerVad
from app.rules.engines import DialectName
from app.wire import realtime, twilio
from app.wire.audio import FRAME, Framer, decoded_size
from app.wire.dialects import DIALECTS, SessionPlan, detect
from app.wire.negotiation import Negotiation
from tests.wire import samples

MOST_TOKENS = 2**31 - 1
"""What a column of the books holds."""
PLAN = SessionPlan(
    instructions="Be brief.",
    voice="marin",
    tools=[],
    turn_detection=ServerVad(),
    transcription_model="gpt-live-transcribe",
    noise_reduction="none",
    reasoning="",
    language="en",
)

CARRIER: list[Any] = [
    {"event": "connected", "protocol": "Call", "version": "1.0.0"},
    {
        "event": "start",
        "sequenceNumber": "1",
        "streamSid": "MZ" + "a" * 32,
        "start": {
            "accountSid": "AC" + "0" * 32,
            "callSid": "CA" + "0" * 32,
            "streamSid": "MZ" + "a" * 32,
            "tracks": ["inbound"],
            "customParameters": {"caller": "+14155550100"},
            "mediaFormat": {"encoding": "audio/x-mulaw", "sampleRate": 8000, "channels": 1},
        },
    },
    {
        "event": "media",
        "sequenceNumber": "2",
        "streamSid": "MZ" + "a" * 32,
        "media": {"track": "inbound", "chunk": "1", "timestamp": "20", "payload": "//////7+/v7+fn5+"},
    },
    {"event": "dtmf", "streamSid": "MZ" + "a" * 32, "dtmf": {"track": "inbound_track", "digit": "1"}},
    {"event": "mark", "streamSid": "MZ" + "a" * 32, "sequenceNumber": "4", "mark": {"name": "m1"}},
    {"event": "stop", "streamSid": "MZ" + "a" * 32, "stop": {"accountSid": "AC", "callSid": "CA"}},
]

_USAGE = {
    "total_tokens": 300,
    "input_tokens": 200,
    "output_tokens": 100,
    "input_token_details": {
        "text_tokens": 120,
        "audio_tokens": 80,
        "cached_tokens": 64,
        "cached_tokens_details": {"text_tokens": 64, "audio_tokens": 0},
    },
    "output_token_details": {"text_tokens": 20, "audio_tokens": 80},
}
_ITEM = {"id": "i1", "type": "function_call", "status": "completed", "call_id": "t1", "name": "f", "arguments": "{}"}
_FAILED = {"type": "failed", "error": {"code": "rate_limit_exceeded", "type": "tokens"}, "reason": "max_output_tokens"}

MODEL: list[Any] = [
    *(
        {"type": "session.created", "event_id": "e", "session": one}
        for one in (samples.GA_CREATED, samples.FLAT_CREATED)
    ),
    {"type": "session.created", "session": samples.TINY_CREATED},
    {
        "type": "session.updated",
        "session": {"type": "realtime", "audio": {"output": {"format": {"type": "audio/pcmu"}}}},
    },
    {"type": "session.updated", "session": {"input_audio_format": "g711_ulaw", "output_audio_format": "g711_ulaw"}},
    {"type": "session.updated", "session": {"voice": "ara", "audio": {"input": {"format": {"type": "audio/pcmu"}}}}},
    {"type": "input_audio_buffer.speech_started", "item_id": "c1", "audio_start_ms": 1200},
    {"type": "input_audio_buffer.speech_stopped", "item_id": "c1", "audio_end_ms": 1800.5},
    {"type": "input_audio_buffer.committed", "item_id": "c1", "previous_item_id": None},
    {"type": "conversation.item.input_audio_transcription.completed", "item_id": "c1", "transcript": "Hello."},
    {"type": "conversation.item.input_audio_transcription.failed", "item_id": "c1", "error": {"message": "no"}},
    {"type": "response.created", "response": {"id": "r1", "conversation_id": None, "metadata": {"a": "b"}}},
    *(
        {
            "type": "response.done",
            "response": {"id": "r1", "status": status, "status_details": _FAILED, "usage": _USAGE, "output": [_ITEM]},
        }
        for status in ("completed", "failed", "cancelled")
    ),
    {"type": "response.output_item.done", "response_id": "r1", "output_index": 0, "item": _ITEM},
    *(
        {"type": kind, "response_id": "r1", "item_id": "a1", "content_index": 0, "delta": "/////w=="}
        for kind in (*realtime.AUDIO_TYPES, "response.output_audio_transcript.delta", "response.audio_transcript.delta")
    ),
    *(
        {"type": kind, "response_id": "r1", "item_id": "a1", "transcript": "Good morning."}
        for kind in ("response.output_audio_transcript.done", "response.audio_transcript.done")
    ),
    {"type": "response.output_audio.done", "response_id": "r1", "item_id": "a1"},
    {"type": "error", "error": {"type": "invalid_request_error", "code": "x", "message": "m", "param": None}},
    {"type": "rate_limits.updated", "rate_limits": [{"name": "tokens", "limit": 1}]},
]

scalars = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.sampled_from([2**63, -(2**64), 10**40, 10**400, 1e308, -0.0]),
    st.floats(allow_nan=False, allow_infinity=False),
    st.text(max_size=12),
    st.sampled_from(
        ["", "media", "inbound", "====", "A===", "//8=", "\x00", "\ud7ff", "response.audio.delta", "audio.delta"]
    ),
)
values = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=6,
)
RAW = (b"1e999", b"-1e999", b"NaN", b"[" * 3000, b'{"a":' * 1500, b'"\\ud800"', b'"\\u0000"', b"0" * 40, b'"\xff"')
"""What an encoder would not write."""


def written(value: Any) -> bytes:
    """JSON text. By the standard library: it writes numbers of any size."""
    return json.dumps(value, ensure_ascii=False).encode("utf-8", "surrogatepass")


def places(value: Any) -> list[tuple[Any, Any]]:
    """Every (container, key) in a message."""
    found: list[tuple[Any, Any]] = []
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, part in inner:
        found.append((value, key))
        found += places(part)
    return found


@st.composite
def changed_fields(draw: st.DrawFn, real: list[Any]) -> bytes:
    """A real message some of whose fields are gone, of another kind, doubled, or nothing that an encoder writes."""
    message = copy.deepcopy(draw(st.sampled_from(real)))
    raw = b""
    for _ in range(draw(st.integers(1, 3))):
        there = places(message)
        if not there:
            break
        holder, key = there[draw(st.integers(0, len(there) - 1))]
        match draw(st.integers(0, 5)):
            case 0 if isinstance(holder, dict):
                del holder[key]
            case 1 if isinstance(holder, dict):
                holder[draw(st.sampled_from(["type", "event", "id", "item", "delta", "", "x"]))] = holder.pop(key)
            case 2:
                raw = draw(st.sampled_from(RAW))
                holder[key] = "@raw@"
            case _:
                holder[key] = draw(values)
    return written(message).replace(b'"@raw@"', raw or b'"@raw@"')


@st.composite
def changed_octets(draw: st.DrawFn, real: list[Any]) -> bytes:
    """A real message with octets that were flipped, cut out, or put in."""
    text = bytearray(written(draw(st.sampled_from(real))))
    for _ in range(draw(st.integers(1, 4))):
        at = draw(st.integers(0, max(0, len(text) - 1)))
        match draw(st.integers(0, 3)):
            case 0:
                text[at : at + 1] = bytes((draw(st.integers(0, 255)),))
            case 1:
                del text[at : at + draw(st.integers(1, 40))]
            case 2:
                text[at:at] = draw(st.binary(max_size=6))
            case _:
                text = text[:at]
    return bytes(text)


def inputs(real: list[Any]) -> SearchStrategy[bytes]:
    """One message of one end."""
    arbitrary = st.binary(max_size=200) | values.map(written)
    return st.one_of(changed_fields(real), changed_fields(real), changed_octets(real), arbitrary)


# --- what must hold ---------------------------------------------------------------------------------------------------


def carrier(data: bytes) -> str:
    """One message to the carrier's codec, and on to the model as the relay does. Returns what it was taken for."""
    try:
        message = twilio.parse(data)
    except PeerError:
        return "refused"
    if isinstance(message, twilio.Media):
        command = msgspec.json.decode(realtime.append_audio(message.payload))
        assert command.keys() == {"type", "audio"}
        assert isinstance(command["audio"], str)
        assert decoded_size(message.payload) >= 0
        return "Media"
    if isinstance(message, ev.KeyPressed):
        assert len(message.digit) == 1
    assert message is None or isinstance(message, ev.Event)
    return type(message).__name__


def model(data: bytes) -> str:
    """One message to the model's codec, and on to the carrier, the negotiation of each dialect, and the count of costs."""
    try:
        message = realtime.parse(data)
    except PeerError:
        return "refused"
    match message:
        case realtime.AudioDelta():
            _heard(message)
        case ev.ResponseDone(usage=usage):
            _paid(usage)
        case realtime.SessionCreated(session=session):
            detect(session)
    for forced in (None, *DIALECTS):
        _negotiated(message, forced)
    assert message is None or isinstance(message, realtime.Message)
    return type(message).__name__


def _heard(delta: realtime.AudioDelta) -> None:
    """Audio of the agent's goes to the caller in whole frames, in a message that the carrier takes."""
    framer = Framer()
    try:
        frames, size = framer.push(delta.delta)
    except PeerError:
        return
    sent = msgspec.json.decode(twilio.media("MZ1", frames))
    assert sent.keys() == {"event", "streamSid", "media"}
    assert sent["media"].keys() == {"payload"}
    assert size % FRAME == 0
    framer.flush()


def _paid(usage: dict[str, Any] | None) -> None:
    """Whatever a server counts, what it costs is a number, never a refund, and fits the books."""
    dollars = cost_usd("gpt-realtime-1.5", usage)
    assert 0 <= dollars < float("inf")
    read, tokens = input_tokens(usage), used(usage)
    assert all(0 <= count <= MOST_TOKENS for count in msgspec.structs.astuple(read)), "more tokens than the books hold"
    assert all(0 <= count <= MOST_TOKENS for count in msgspec.structs.astuple(tokens))
    assert read.cached <= read.total
    assert read.cached_audio <= min(read.audio, read.cached)


def _negotiated(message: realtime.Message | None, forced: DialectName | None) -> None:
    """It may be the answer to anything that was sent before."""
    talks = Negotiation(PLAN, forced), Negotiation(PLAN, forced)
    talks[1].first_frame_unknown()
    for talk in talks:
        try:
            for command in talk.receive(message):
                msgspec.json.decode(command)
        except PeerError:
            pass


CODECS: dict[str, tuple[Callable[[bytes], str], SearchStrategy[bytes]]] = {
    "carrier": (carrier, inputs(CARRIER)),
    "model": (model, inputs(MODEL)),
}
"""By the end that sends: what its messages are told to, and what they may be."""
