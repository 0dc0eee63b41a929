"""Which calls a voice of another house speaks in: those of modes that want one, while it can be had."""

import re
from collections.abc import Mapping

import structlog

from app.adapters.engine_session import EngineSession
from app.adapters.model_link import ModelSession
from app.adapters.spoken_session import SpokenSession
from app.adapters.tts_health import TtsHealth
from app.adapters.tts_link import TtsServer
from app.mode import Mode
from app.rules.elevenlabs import ElevenLabs
from app.rules.engines import Engine
from app.settings import Settings

log = structlog.get_logger()

ELEVENLABS = "wss://api.elevenlabs.io"


class SpokenCalls:
    """The voices of one process."""

    def __init__(self, settings: Settings, modes: Mapping[str, Mode]) -> None:
        """modes: by name, as they are at the start."""
        self.wanted = sorted(name for name, mode in modes.items() if isinstance(mode.voice, ElevenLabs))
        """The modes that want one."""
        self.answering = {settings.default_mode, *settings.numbers.values()}
        """The modes that a number leads to."""
        self.health: TtsHealth | None = None
        if settings.elevenlabs_api_key or settings.elevenlabs_url:
            url = re.sub("^http", "ws", settings.elevenlabs_url or ELEVENLABS)
            self.health = TtsHealth(TtsServer(url, settings.elevenlabs_api_key))

    @property
    def has_none(self) -> bool:
        """Whether a voice is wanted and there is none."""
        return bool(self.wanted) and self.health is None

    def speak_by(self, url: str) -> None:
        """Use a stand-in. url: its origin."""
        self.health = TtsHealth(TtsServer(url))

    def warn(self, engine: Engine) -> None:
        """Say at the start which modes do not get the voice that they want, and why. engine: the one that answers."""
        why = "no ELEVENLABS_API_KEY" if self.health is None else ""
        if not engine.text_answers:
            why = f"the engine {engine.name} cannot answer in text alone"
        for name in self.wanted if why else ():
            tell = log.warning if name in self.answering else log.info
            tell("NO VOICE OF ELEVENLABS: this mode speaks in the model's own", mode=name, why=why)

    def voice_of(self, mode: Mode, call_sid: str, engine: Engine) -> ElevenLabs | None:
        """The voice that a new session of a call is spoken by; None: the model's own."""
        if not isinstance(mode.voice, ElevenLabs) or self.health is None or not engine.text_answers:
            return None
        return mode.voice if self.health.speaks(call_sid) else None

    def session(self, inner: ModelSession, voice: ElevenLabs | None, call_sid: str) -> EngineSession:
        """The session as it is to be driven. inner: configured to answer in text, if there is a voice."""
        health = self.health
        if voice is None or health is None:
            return inner
        return SpokenSession(inner, health.server, voice, lambda cause: health.failed(call_sid, cause))
