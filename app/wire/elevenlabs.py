"""Words on ElevenLabs' wire: its text-to-speech over one WebSocket with several contexts, each the speech of one text.

    context    {text, context_id, voice_settings}   the first text makes it; five at once, those that still speak included
    more       {text, context_id, flush}            flush: speak what is there now
    its end    {context_id, close_context}          what was flushed is still spoken; only then comes `isFinal`
    sound      {audio, alignment, contextId}        times of characters count from this message's sound
    a refusal  {error, message, code}, and a close (1008)

Source: the API reference of `/v1/text-to-speech/:voice_id/multi-stream-input`. That `isFinal` comes only after `close_context`,
and the shape of a refusal, are what its users report. None of it was tried on the real server (docs/voices.md).
"""

from typing import Any

import msgspec

from app.errors import PeerError
from app.others_words import misfit
from app.rules.elevenlabs import ElevenLabs
from app.wire.audio import audio_text, decoded_size

CONTEXTS = 5
"""At once on one socket."""


class Sound(msgspec.Struct, frozen=True):
    """A piece of speech. audio: JSON text, base64 of u-law, within its quotes.

    words: (characters that are no white space, milliseconds), counted from this piece's beginning, where a word ends in it; the
    last is its end. Empty: the server does not say.
    """

    context: str
    audio: bytes
    words: tuple[tuple[int, int], ...] = ()


class Spoken(msgspec.Struct, frozen=True):
    """All of a context was spoken, and it is gone."""

    context: str


class Refused(msgspec.Struct, frozen=True):
    """The server will not, and says why."""

    code: str
    message: str


class _Alignment(msgspec.Struct):
    chars: list[str] = []
    charStartTimesMs: list[int | float] = []  # noqa: N815
    charDurationsMs: list[int | float] = []  # noqa: N815


class _Message(msgspec.Struct):
    audio: str | None = None
    alignment: _Alignment | None = None
    contextId: str = ""  # noqa: N815
    isFinal: Any = None  # noqa: N815
    error: Any = None
    message: str | None = None


_DECODER = msgspec.json.Decoder(_Message)
_encode = msgspec.json.Encoder().encode


def query(voice: ElevenLabs) -> dict[str, str]:
    """The parameters of the socket's URL."""
    asked = {
        "model_id": voice.model,
        "output_format": "ulaw_8000",
        "auto_mode": "true",
        "sync_alignment": "true",
        "inactivity_timeout": "180",
    }
    return asked | ({"language_code": voice.language} if voice.language else {})


def begin(context: str, text: str, voice: ElevenLabs) -> bytes:
    """The first text of a context."""
    settings = {
        name: value
        for name, value in (
            ("stability", voice.stability),
            ("similarity_boost", voice.similarity),
            ("speed", voice.speed if voice.speed != 1.0 else None),
        )
        if value is not None
    }
    first: dict[str, Any] = {"text": _spaced(text), "context_id": context, "flush": True}
    return _encode(first | ({"voice_settings": settings} if settings else {}))


def more(context: str, text: str) -> bytes:
    """More text, to be spoken now."""
    return _encode({"text": _spaced(text), "context_id": context, "flush": True})


def keep(context: str) -> bytes:
    """Nothing, so that a context whose text is slow does not end."""
    return _encode({"text": "", "context_id": context})


def close(context: str) -> bytes:
    """No more text comes for a context."""
    return _encode({"context_id": context, "close_context": True})


def close_socket() -> bytes:
    """Nothing more is wanted."""
    return _encode({"close_socket": True})


def parse(text: bytes) -> Sound | Spoken | Refused | None:
    """One message. None for what tells nothing. Raises PeerError for what is no message."""
    try:
        message = _DECODER.decode(text)
    except (msgspec.DecodeError, UnicodeError, RecursionError) as wrong:
        raise PeerError(f"expected a message of the speech server, got: {misfit(wrong)}") from wrong
    if message.error:
        return Refused(str(message.error)[:200], (message.message or "")[:500])
    if message.audio:
        audio = audio_text(message.audio)
        return Sound(message.contextId, audio, _words(message.alignment, decoded_size(audio) // 8))
    if message.isFinal in (True, "true"):
        return Spoken(message.contextId)
    return None


def _words(alignment: _Alignment | None, ms: int) -> tuple[tuple[int, int], ...]:
    """Where words end. Times beyond the piece's own sound are its end: some servers count over several pieces."""
    if alignment is None or not alignment.chars:
        return ()
    if not len(alignment.chars) == len(alignment.charStartTimesMs) == len(alignment.charDurationsMs):
        return ()
    ends: list[tuple[int, int]] = []
    counted = end = 0
    for char, start, lasts in zip(alignment.chars, alignment.charStartTimesMs, alignment.charDurationsMs, strict=True):
        if char.isspace():
            if counted and (not ends or ends[-1][0] != counted):
                ends.append((counted, end))
            continue
        counted += len(char)
        end = max(end, round(min(ms, max(0.0, start + lasts))))  # bounded first: the sum may be infinite
    if counted and (not ends or ends[-1][0] != counted):
        ends.append((counted, end))
    return tuple(ends)


def _spaced(text: str) -> str:
    """A text that ends in one space, as the server wants it."""
    return text.strip() + " "
