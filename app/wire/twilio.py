"""Words on the phone's wire: Twilio Media Streams JSON, both ways.

Inbound every number inside an envelope is a string (but for `mediaFormat`), and any size of payload may come. Outbound exactly
the documented keys, because the carrier drops a message that has one more (warning 31951), and audio in whole 160-byte
multiples. Source: Twilio, Media Streams WebSocket messages; errors 31950, 31951.
"""

from typing import Annotated, final

import msgspec

from app.core import events as ev
from app.errors import PeerError
from app.others_words import misfit
from app.wire.audio import audio_text

ENCODING = "audio/x-mulaw"
BROKEN = (msgspec.DecodeError, UnicodeError, RecursionError)
"""What decoding raises for text that is not JSON, not UTF-8, not of the shape, or nested without end."""


@final
class Media(msgspec.Struct, frozen=True, gc=False):
    """Caller audio. `payload` is JSON text: base64 of u-law within its quotes, as it came."""

    payload: bytes


# gc=False: these hold text only and can be in no circle, so the collector need not count fifty of them a second per call.
class _Payload(msgspec.Struct, gc=False):
    payload: str
    track: str = "inbound"


class _Media(msgspec.Struct, tag_field="event", tag="media", gc=False):
    media: _Payload


class _Format(msgspec.Struct, rename="camel"):
    encoding: str = ENCODING
    sample_rate: int | str = 8000
    channels: int | str = 1


class _Start(msgspec.Struct, rename="camel"):
    stream_sid: Annotated[str, msgspec.Meta(min_length=1)]
    call_sid: Annotated[str, msgspec.Meta(min_length=1)]
    account_sid: str
    media_format: _Format = msgspec.field(default_factory=_Format)
    custom_parameters: dict[str, str] = {}


class _StartMessage(msgspec.Struct, tag_field="event", tag="start"):
    start: _Start


class _Mark(msgspec.Struct):
    name: str


class _MarkMessage(msgspec.Struct, tag_field="event", tag="mark"):
    mark: _Mark


class _Dtmf(msgspec.Struct):
    digit: Annotated[str, msgspec.Meta(pattern=r"^[0-9*#A-D]\Z")]


class _DtmfMessage(msgspec.Struct, tag_field="event", tag="dtmf"):
    dtmf: _Dtmf


class _Stop(msgspec.Struct, tag_field="event", tag="stop"):
    pass


class _Connected(msgspec.Struct, tag_field="event", tag="connected"):
    pass


class _Head(msgspec.Struct):
    event: str


_DECODER = msgspec.json.Decoder(_Media | _StartMessage | _MarkMessage | _DtmfMessage | _Stop | _Connected)
_quoted = msgspec.json.Encoder().encode
_HEAD = msgspec.json.Decoder(_Head)
_KNOWN = frozenset({"media", "start", "mark", "dtmf", "stop", "connected"})


def parse(text: bytes | str) -> Media | ev.Event | None:
    """One message of the carrier's. None for one that tells us nothing (`connected`, unknown events).

    Raises PeerError for what is not JSON, or is a known event without its fields.
    """
    try:
        message = _DECODER.decode(text)
    except BROKEN as wrong:
        _refuse_if_known(text, wrong)
        return None
    if type(message) is _Media:  # not `match`: its class pattern takes 0.4 us, and these are fifty a second per call
        media = message.media
        return Media(audio_text(media.payload)) if media.track in ("inbound", "inbound_track") else None
    match message:
        case _MarkMessage(mark=mark):
            return ev.MarkReached(mark.name)
        case _DtmfMessage(dtmf=dtmf):
            return ev.KeyPressed(dtmf.digit)
        case _StartMessage(start=start):
            return ev.StreamStarted(
                stream_sid=start.stream_sid,
                call_sid=start.call_sid,
                account_sid=start.account_sid,
                encoding=f"{start.media_format.encoding};rate={start.media_format.sample_rate}",
                parameters=start.custom_parameters,
            )
        case _Stop():
            return ev.CallerLeft("stop")
    return None


def _refuse_if_known(text: bytes | str, wrong: Exception) -> None:
    """New kinds of message may appear without notice and are passed over; a known kind with wrong fields is a fault."""
    try:
        event = _HEAD.decode(text).event
    except BROKEN:
        raise PeerError(
            f"expected a Media Streams message (a JSON object with an event), got: {misfit(wrong)}"
        ) from wrong
    if event in _KNOWN:
        raise PeerError(f"a Media Streams {event!r} message is not as documented: {misfit(wrong)}") from wrong


def media(stream_sid: str, payload: bytes) -> bytes:
    """Audio for the caller. payload: JSON text, base64 of a whole multiple of 160 bytes of u-law."""
    # Joined, not formatted: a second of audio is eleven thousand bytes, and `%` copies it twice.
    return b"".join((b'{"event":"media","streamSid":', _quoted(stream_sid), b',"media":{"payload":', payload, b"}}"))


def mark(stream_sid: str, name: str) -> bytes:
    """A mark, which comes back once everything before it was played or cleared."""
    return msgspec.json.encode({"event": "mark", "streamSid": stream_sid, "mark": {"name": name}})


def clear(stream_sid: str) -> bytes:
    """Throw away everything that was not played yet."""
    return msgspec.json.encode({"event": "clear", "streamSid": stream_sid})
