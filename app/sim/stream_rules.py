"""What the carrier accepts on a bidirectional stream, as strictly as the real one: exact keys, right SID, text only.

Source: Media Streams, "messages to Twilio"; warnings 31950 (undecodable) and 31951 (does not follow the protocol).
"""

import base64
import binascii
from typing import NamedTuple

import msgspec


class Audio(NamedTuple):
    """Audio to play. A RIFF header in it would be heard as noise; `has_header` says so."""

    payload: bytes
    has_header: bool


class Mark(NamedTuple):
    """A mark to send back once the audio before it was played."""

    name: str


class Clear(NamedTuple):
    """The buffer is to be emptied."""


class Broken(NamedTuple):
    """A message that the carrier drops, and the code of its warning."""

    code: int
    why: str


class _Strict(msgspec.Struct, forbid_unknown_fields=True, tag_field="event"):
    streamSid: str  # noqa: N815 - the protocol's word


class _Payload(msgspec.Struct, forbid_unknown_fields=True):
    payload: str


class _Name(msgspec.Struct, forbid_unknown_fields=True):
    name: str


class _Media(_Strict, tag="media"):
    media: _Payload


class _Mark(_Strict, tag="mark"):
    mark: _Name


class _Clear(_Strict, tag="clear"):
    pass


_decoder: msgspec.json.Decoder[_Media | _Mark | _Clear] = msgspec.json.Decoder(_Media | _Mark | _Clear)


def read(message: str | bytes, stream_sid: str) -> Audio | Mark | Clear | Broken:
    """Read one WebSocket message of the server (str: a text frame, bytes: a binary one)."""
    if isinstance(message, bytes):
        return Broken(31950, f"expected a text frame, came a binary one of {len(message)} bytes; send JSON as text")
    try:
        decoded = _decoder.decode(message)
    except (msgspec.DecodeError, UnicodeEncodeError) as error:
        return Broken(
            31951, f"{error}; expected media, mark or clear with exactly its documented keys: {message[:200]}"
        )
    if decoded.streamSid != stream_sid:
        return Broken(31951, f"expected streamSid {stream_sid}, came {decoded.streamSid!r}")
    match decoded:
        case _Media(media=media):
            try:
                audio = base64.b64decode(media.payload, validate=True)
            except (binascii.Error, ValueError) as error:
                return Broken(31951, f"media.payload is not base64: {error}")
            return Audio(audio, has_header=audio.startswith(b"RIFF"))
        case _Mark(mark=mark):
            return Mark(mark.name)
        case _Clear():
            return Clear()
