"""The seam between a call and its engine: what a call must be able to say to any engine, and to hear from it.

A call knows u-law, events and effects; it does not know the engine's words. `EngineWire` is that much of a protocol, without
sockets, and `RealtimeWire` the realtime protocol's. Another protocol is a second class of this shape and a second session
(app/adapters/engine_session.py): docs/decisions/0011-engines-as-profiles.md.

`append` and `parse` are on the audio lane. They are attributes, settled when a session is, so that an engine that takes u-law is
spoken to by the very functions that do it, and one that does not by those that convert: nobody else pays for that.
"""

import base64
import binascii
from collections.abc import Callable
from typing import Any, Protocol

from app.core import effects as do
from app.errors import PeerError
from app.mode import TurnDetection
from app.rules.engines import ENGINES, Codec, Engine
from app.wire import realtime
from app.wire.audio import encoded
from app.wire.dialects import Dialect, tools_for, vad_for
from app.wire.g711 import FromPcm, ToPcm
from app.wire.realtime import AudioDelta, Message


class EngineWire(Protocol):
    """One session's protocol. Messages are whole texts of its socket."""

    @property
    def append(self) -> Callable[[bytes], bytes]:
        """The caller's speech (JSON text, base64 of u-law) as a message. Frames are given in order, each once."""
        ...

    @property
    def parse(self) -> Callable[[bytes], Message | None]:
        """A message as an event, or as the agent's speech in u-law; None if it tells nothing. Raises PeerError.

        Messages are given in order, each once.
        """
        ...

    def offer(self, tools: list[dict[str, Any]], detection: TurnDetection | None, event_id: str) -> list[bytes]:
        """Offer these tools and, unless None, this turn detection from now on."""
        ...

    def commands(self, effect: do.Effect) -> list[bytes]:
        """What to send for an effect; nothing where the engine has no such thing. Raises HouseError if it is none for a model."""
        ...


class RealtimeWire:
    """The realtime protocol in a dialect, with an engine's codecs and without what it lacks."""

    def __init__(
        self, dialect: Dialect, engine: Engine = ENGINES["other"], *, hears: Codec = "pcmu", speaks: Codec = "pcmu"
    ) -> None:
        """hears, speaks: the codecs that the session was configured with."""
        self.dialect = dialect
        self.engine = engine
        self.speaks: Codec = speaks
        self.append: Callable[[bytes], bytes] = realtime.append_audio if hears == "pcmu" else _Appended(hears).append
        self.parse: Callable[[bytes], Message | None] = realtime.parse if speaks == "pcmu" else _Parsed().parse

    def offer(self, tools: list[dict[str, Any]], detection: TurnDetection | None, event_id: str) -> list[bytes]:
        """A `session.update` in the dialect."""
        vad = vad_for(self.engine, detection) if detection is not None else None
        session = self.dialect.update(tools_for(tools, nested=self.engine.nested_tools), vad)
        return [realtime.update_session(session, event_id)]

    def commands(self, effect: do.Effect) -> list[bytes]:
        """One command, or none."""
        match effect:
            case do.TellHistory(lines=lines):
                return [text for line in lines for text in realtime.replay(line, self.dialect)]
            case do.Truncate() | do.DeleteItem() if not self.engine.truncates:
                return []
            case do.RequestResponse(event_id=event_id, reads=sentence) if sentence and not self.engine.response_tools:
                return [realtime.create_response(event_id, realtime.READ_OUT.format(sentence=sentence))]
        return [realtime.command(effect, self.dialect)]


class _Appended:
    """The caller's speech as PCM16."""

    def __init__(self, codec: Codec) -> None:
        self._stream = ToPcm(16000 if codec == "pcm16_16k" else 24000)

    def append(self, payload: bytes) -> bytes:
        return realtime.append_audio(encoded(self._stream.push(_audio(payload))))


class _Parsed:
    """The agent's speech from PCM16. What is left of a response in the filter is not for the next one."""

    def __init__(self) -> None:
        self._stream = FromPcm()
        self._response = self._item = ""

    def parse(self, text: bytes) -> Message | None:
        message = realtime.parse(text)
        if type(message) is not AudioDelta:
            return message
        if message.response_id != self._response:
            self._response, self._item, self._stream = message.response_id, message.item_id, FromPcm()
        elif message.item_id != self._item:
            self._item = message.item_id
            self._stream.cut()
        speech = encoded(self._stream.push(_audio(message.delta)))
        return AudioDelta(message.response_id, message.item_id, speech, message.content_index)


def _audio(text: bytes) -> bytes:
    try:
        return base64.b64decode(text[1:-1], validate=True)
    except binascii.Error as wrong:
        raise PeerError(f"expected base64 audio, got {text[:20]!r}...: {wrong}") from wrong
