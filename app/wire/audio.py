"""Audio as both wires carry it: JSON text, base64 of g711 u-law within its quotes, 8 bytes a millisecond.

Between two messages it is these bytes, and only its envelope changes: no PCM, and base64 is decoded only where a model sends
pieces that are no whole frames. The quotes were put on by an encoder, so nothing in it can break out of its string.
"""

import base64
import binascii

import msgspec

from app.errors import PeerError

FRAME = 160
"""Bytes of 20 ms."""
SILENCE = b"\xff"
PAD = ord("=")
_quoted = msgspec.json.Encoder().encode


def audio_text(payload: str) -> bytes:
    """A decoded message's audio as JSON text again. Raises PeerError for what is no base64 by its shape."""
    if len(payload) % 4 or not payload.isascii():
        raise PeerError(f"expected audio (a media payload or a delta) in base64, got {payload[:20]!r}")
    return _quoted(payload)


def encoded(audio: bytes) -> bytes:
    """Audio as JSON text."""
    return b'"%b"' % base64.b64encode(audio)


def decoded_size(text: bytes) -> int:
    """Bytes of audio that a JSON text stands for, without decoding it."""
    padding = 0 if text[-2] != PAD else 2 if text[-3] == PAD else 1
    return len(text) // 4 * 3 - padding


class Framer:
    """Cuts model audio into whole 20 ms frames. A delta of whole frames with nothing carried passes as it is, undecoded."""

    __slots__ = ("carried",)

    def __init__(self) -> None:
        self.carried = b""

    def push(self, text: bytes) -> tuple[bytes, int]:
        """One delta, as `audio_text` gives it, to what can be sent now: (JSON text, its bytes of audio). Raises PeerError."""
        size = decoded_size(text)
        if not self.carried and size % FRAME == 0:
            return text, size
        try:
            audio = self.carried + base64.b64decode(text[1:-1], validate=True)
        except binascii.Error as wrong:
            raise PeerError(f"expected base64 audio, got {text[:20]!r}...: {wrong}") from wrong
        whole = len(audio) - len(audio) % FRAME
        self.carried = audio[whole:]
        return encoded(audio[:whole]), whole

    def flush(self) -> tuple[bytes, int, int]:
        """What is left of an item, padded with silence: (JSON text, its bytes of audio, bytes of padding); zeros if nothing."""
        if not self.carried:
            return b'""', 0, 0
        audio, self.carried = self.carried, b""
        padding = FRAME - len(audio)
        return encoded(audio + SILENCE * padding), len(audio), padding

    def drop(self) -> None:
        """Forget what is carried: it was cleared."""
        self.carried = b""
