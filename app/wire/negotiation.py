"""Negotiation: from a fresh socket to a session that is ours, without I/O.

    connected --session.created--> session.update in the dialect it shows --session.updated--> ready
                                        | refused for its shape: once more, in the other dialect
                                        | refused for the voice: once more, in the engine's own
                                        | refused for g711: once more, with PCM16 at 24 kHz
                                        | refused for anything else: over (a model with defaults must not take a call)

Nothing is said before `session.updated`: the model would speak with its own prompt, voice and format. A server whose first word
is not `session.created` is configured at its first word, whichever that is. Source: openai-realtime facts, 1.6 and 1.7.
"""

from typing import Any

import msgspec

from app.core import events as ev
from app.errors import ModelRefused
from app.others_words import one_word
from app.rules.engines import Codec, DialectName, Engine
from app.wire import realtime
from app.wire.dialects import DIALECTS, NESTED, ON_TOP, Dialect, SessionPlan, detect, other

SHAPE_CODES = frozenset({"missing_required_parameter", "unknown_parameter", "invalid_type", "invalid_value"})
VALUE_CODES = frozenset({"invalid_value", "invalid_parameter"})


class Negotiation:
    """One session's configuration. Feed it each message until `ready`; send what it answers."""

    def __init__(
        self,
        plan: SessionPlan,
        forced: DialectName | None = None,
        *,
        engine: Engine | None = None,
        presumed: bool = False,
    ) -> None:
        """forced: the operator's word for a server's dialect; then no other is detected or tried.

        engine: what to fall back to; None: nothing. presumed: more was sent behind the configuration, so that nothing of it
        may be asked otherwise.
        """
        self.plan = plan
        """As it was asked for last; once `ready`, as it is in force."""
        self.forced = forced
        self.dialect: Dialect = DIALECTS[forced or (engine and engine.dialect) or "ga"]
        self.ready = False
        self._engine = None if presumed else engine
        self._shape_tried = presumed
        self._sent = 0

    def receive(self, message: realtime.Message | None) -> list[bytes]:
        """What to send in answer. Raises ModelRefused when this server will not have us."""
        match message:
            case realtime.SessionCreated(session=session) if self._sent == 0:
                self.dialect = (None if self.forced else detect(session)) or self.dialect
                return [self._configure()]
            case realtime.SessionUpdated(session=session) if self._sent:
                codec = self._other_codec(session)
                if codec and self._to_pcm():
                    return [self._configure()]
                if codec:
                    wanted = f"{self.plan.hears} from us and {self.plan.speaks} from it"
                    raise ModelRefused(f"expected speech as {wanted}, the model's server has {codec!r}")
                self.ready = True
            case ev.ModelComplained():
                return self._refused(message)
        return []

    def first_frame_unknown(self) -> list[bytes]:
        """The first word was not `session.created`: configure in the dialect that is most likely."""
        return [] if self._sent else [self._configure()]

    def _configure(self) -> bytes:
        self._sent += 1
        return realtime.update_session(self.dialect.session(self.plan), f"configure-{self._sent}")

    def _refused(self, error: ev.ModelComplained) -> list[bytes]:
        if error.event_id in ("", f"configure-{self._sent}") and self._sent > 0 and self._asks_otherwise(error):
            return [self._configure()]
        raise ModelRefused(f"the model's server refused the session ({refused_for(error)})", said=error.message)

    def _asks_otherwise(self, error: ev.ModelComplained) -> bool:
        """Whether there is something else to ask for, given what was refused: once for each thing."""
        if error.code in VALUE_CODES and error.param == self.dialect.voice:
            return self._to_own_voice()
        if error.code in VALUE_CODES and error.param.startswith(self.dialect.formats):
            return self._to_pcm()
        shape = error.code in SHAPE_CODES and (error.param in self.dialect.refuses or not error.param)
        if not shape or self.forced or self._shape_tried:
            return False
        self._shape_tried = True
        self.dialect = other(self.dialect, error.param)
        return True

    def _to_own_voice(self) -> bool:
        """The engine does not have the mode's voice."""
        if self._engine is None or self.plan.voice == self._engine.voice:
            return False
        self.plan = msgspec.structs.replace(self.plan, voice=self._engine.voice)
        return True

    def _to_pcm(self) -> bool:
        """The server does not have g711."""
        if (
            self._engine is None
            or not self._engine.any_codec
            or (self.plan.hears, self.plan.speaks) != ("pcmu", "pcmu")
        ):
            return False
        self.plan = msgspec.structs.replace(self.plan, hears="pcm16_24k", speaks="pcm16_24k")
        return True

    def _other_codec(self, session: dict[str, Any]) -> str:
        """The codec of a configuration in force that is not ours, if there is one: the caller would hear noise."""
        try:
            formats = msgspec.convert(session, Formats)
        except msgspec.ValidationError:
            return ""  # an echo of its own kind proves nothing either way
        for codec, nested, on_top in (
            (self.plan.speaks, formats.audio.output.format, formats.output_audio_format),
            (self.plan.hears, formats.audio.input.format, formats.input_audio_format),
        ):
            if wrong := _unlike(codec, nested, on_top):
                return wrong
        return ""


def refused_for(error: ev.ModelComplained) -> str:
    """Its code, or else its type, and the parameter that it is about."""
    return ", ".join(filter(None, (one_word(error.code or error.type) or "no code", one_word(error.param))))


class _Format(msgspec.Struct):
    type: str = ""
    rate: int | None = None


class _End(msgspec.Struct):
    format: _Format = msgspec.field(default_factory=_Format)


class _Audio(msgspec.Struct):
    input: _End = msgspec.field(default_factory=_End)
    output: _End = msgspec.field(default_factory=_End)


class Formats(msgspec.Struct):
    """The codecs of a configuration that a server has in force, where either shape of session has them."""

    input_audio_format: str = ""
    output_audio_format: str = ""
    audio: _Audio = msgspec.field(default_factory=_Audio)


def _unlike(codec: Codec, nested: _Format, on_top: str) -> str:
    """What an echo has instead of a codec; empty if it has it, or does not say."""
    if on_top and on_top not in (ON_TOP[codec], NESTED[codec]["type"]):
        return on_top
    if nested.type and nested.type not in (ON_TOP[codec], NESTED[codec]["type"]):
        return nested.type
    if nested.rate and codec != "pcmu" and nested.rate != NESTED[codec]["rate"]:
        return f"{nested.type} at {nested.rate}"
    return ""
