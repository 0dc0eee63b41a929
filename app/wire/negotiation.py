"""Negotiation: from a fresh socket to a session that is ours, without I/O.

    connected --session.created--> session.update in the dialect it shows --session.updated--> ready
                                        | refused for its shape: once more, in the other dialect
                                        | refused for anything else: over (a model with defaults must not take a call)

Nothing is said before `session.updated`: the model would speak with its own prompt, voice and format. A server whose first word
is not `session.created` is configured at its first word, whichever that is. Source: openai-realtime facts, 1.6 and 1.7.
"""

import msgspec

from app.core import events as ev
from app.errors import ModelRefused
from app.wire import realtime
from app.wire.dialects import DIALECTS, Dialect, DialectName, SessionPlan, detect, other

SHAPE_CODES = frozenset({"missing_required_parameter", "unknown_parameter", "invalid_type", "invalid_value"})


class Negotiation:
    """One session's configuration. Feed it each message until `ready`; send what it answers."""

    def __init__(self, plan: SessionPlan, forced: DialectName | None = None) -> None:
        """forced: the operator's word for a server's dialect; then nothing is detected and nothing retried."""
        self.plan = plan
        self.forced = forced
        self.dialect: Dialect = DIALECTS[forced or "ga"]
        self.ready = False
        self._sent = 0

    def receive(self, message: realtime.Message | None) -> list[bytes]:
        """What to send in answer. Raises ModelRefused when this server will not have us."""
        match message:
            case realtime.SessionCreated(session=session) if self._sent == 0:
                self.dialect = (None if self.forced else detect(session)) or self.dialect
                return [self._configure()]
            case realtime.SessionUpdated(session=session) if self._sent:
                self._check_formats(session)
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
        ours = error.event_id in ("", f"configure-{self._sent}") and self._sent > 0
        shape = error.code in SHAPE_CODES and (error.param in self.dialect.refuses or not error.param)
        if ours and shape and self._sent == 1 and not self.forced:
            self.dialect = other(self.dialect)
            return [self._configure()]
        raise ModelRefused(
            f"the model's server refused the session ({error.code or error.type or 'no code'}"
            f"{', ' + error.param if error.param else ''}): {error.message}"
        )

    def _check_formats(self, session: dict[str, object]) -> None:
        """A server that took the configuration but not the codec would send the caller noise."""
        try:
            formats = msgspec.convert(session, _Formats)
        except msgspec.ValidationError:
            return  # an echo of its own kind proves nothing either way
        ends = (formats.audio.input.format.type, formats.audio.output.format.type)
        kinds = (formats.output_audio_format, formats.input_audio_format, *ends)
        wrong = [kind for kind in kinds if kind and kind not in ("g711_ulaw", "audio/pcmu")]
        if wrong:
            raise ModelRefused(
                f"expected speech as g711 u-law (audio/pcmu) both ways, the model's server has {wrong[0]!r}"
            )


class _Format(msgspec.Struct):
    type: str = ""


class _End(msgspec.Struct):
    format: _Format = msgspec.field(default_factory=_Format)


class _Audio(msgspec.Struct):
    input: _End = msgspec.field(default_factory=_End)
    output: _End = msgspec.field(default_factory=_End)


class _Formats(msgspec.Struct):
    input_audio_format: str = ""
    output_audio_format: str = ""
    audio: _Audio = msgspec.field(default_factory=_Audio)
