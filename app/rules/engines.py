"""Engines: what each family of servers is like, as a table. Whatever differs between them, but for the words, is a column here.

An engine is chosen by REALTIME_ENGINE, or by the address (`engine_at`); one that nobody knows is `other`, asked for what every
server of the protocol has, and believed when it refuses. What an engine lacks is neither sent nor relied upon. How a dialect
writes a thing is app/wire/dialects.py. Source: docs/engines.md, which a test holds against this table.
"""

from typing import Literal
from urllib.parse import urlsplit

import msgspec

DialectName = Literal["ga", "flat", "hybrid"]
Codec = Literal["pcmu", "pcm16_24k", "pcm16_16k"]
"""Speech on the model's wire: g711 u-law at 8 kHz, or PCM16 (mono, little-endian) at 24 or 16 kHz."""
CODECS: tuple[Codec, ...] = ("pcmu", "pcm16_24k", "pcm16_16k")
Auth = Literal["bearer", "api-key"]
EngineName = Literal["openai", "azure", "azure-preview", "xai", "qwen", "other"]

OPENAI_VOICES = ("alloy", "ash", "ballad", "cedar", "coral", "echo", "marin", "sage", "shimmer", "verse")
AZURE_HOSTS = (".openai.azure.com", ".cognitiveservices.azure.com", ".services.ai.azure.com")


class Engine(msgspec.Struct, frozen=True, kw_only=True):
    """One family of servers."""

    name: EngineName
    hosts: tuple[str, ...] = ()
    """It is there when the URL's host is one of these, or ends in one that begins with a dot."""
    path: str = ""
    """... and the URL's path begins with this."""
    auth: Auth = "bearer"
    """Unless REALTIME_AUTH says otherwise."""
    dialect: DialectName | None = None
    """What is spoken to it if its first word does not tell; None: `ga`."""
    hears: Codec = "pcmu"
    """How the caller's speech is sent."""
    speaks: Codec = "pcmu"
    """How the agent's speech comes."""
    any_codec: bool = True
    """Where it refuses g711 it is asked for PCM16 at 24 kHz."""
    truncates: bool = True
    """Takes `conversation.item.truncate`. Without it, the model is told in words what the caller heard."""
    interrupts: bool = True
    """Stops its response by itself when the caller speaks. Without it, each one is cancelled."""
    semantic_vad: bool = True
    """Has turn detection by meaning. Without it, that becomes one by silence (app/wire/dialects.py)."""
    out_of_band: bool = True
    """Answers outside of the conversation. Without it nothing is primed."""
    response_tools: bool = True
    """Takes `input` and `tool_choice` for one response."""
    text_answers: bool = True
    """Can answer in text alone. Without it, a mode's voice of another house is not used."""
    noise_reduction: bool = True
    reasoning: bool = True
    """Takes `reasoning`, from models that do."""
    transcribers: tuple[str, ...] = ()
    """Its names for models of transcription: TRANSCRIPTION_MODEL, if it is one of them, else the first. Empty: any name goes."""
    lacks_voices: tuple[str, ...] = ()
    """Voices of others, which it need not be asked for."""
    voice: str = "alloy"
    """For a mode whose voice it lacks or refuses."""
    nested_tools: bool = False
    """Wants a tool's name, description and parameters within `function`."""
    session_minutes: int = 60
    """A session ends after so long, whatever it is used for."""

    def voice_for(self, wanted: str) -> str:
        """The voice to ask for where a mode wants this one."""
        return self.voice if wanted in self.lacks_voices else wanted

    def transcriber_for(self, wanted: str) -> str:
        """The model of transcription to ask for; empty stays empty."""
        if not wanted or not self.transcribers or wanted in self.transcribers:
            return wanted
        return self.transcribers[0]


ENGINES: dict[EngineName, Engine] = {
    engine.name: engine
    for engine in (
        Engine(name="openai", hosts=("api.openai.com", ".api.openai.com"), dialect="ga", voice="marin"),
        Engine(
            name="azure",
            hosts=AZURE_HOSTS,
            path="/openai/v1/",
            auth="api-key",
            dialect="ga",
        ),
        Engine(
            name="azure-preview",
            hosts=AZURE_HOSTS,
            auth="api-key",
            dialect="flat",
            reasoning=False,
            transcribers=("whisper-1", "gpt-4o-transcribe", "gpt-4o-mini-transcribe"),
            session_minutes=30,
        ),
        Engine(
            name="xai",
            hosts=("api.x.ai", ".api.x.ai"),
            dialect="hybrid",
            truncates=False,
            interrupts=False,
            semantic_vad=False,
            out_of_band=False,
            response_tools=False,
            text_answers=False,
            noise_reduction=False,
            reasoning=False,
            transcribers=("grok-transcribe",),
            lacks_voices=OPENAI_VOICES,
            voice="eve",
            session_minutes=30,
        ),
        Engine(
            name="qwen",
            hosts=(".aliyuncs.com",),
            dialect="flat",
            hears="pcm16_16k",
            speaks="pcm16_24k",
            any_codec=False,
            truncates=False,
            interrupts=False,
            semantic_vad=False,
            out_of_band=False,
            response_tools=False,
            noise_reduction=False,
            reasoning=False,
            transcribers=("gummy-realtime-v1",),
            lacks_voices=OPENAI_VOICES,
            voice="Cherry",
            nested_tools=True,
            session_minutes=120,
        ),
        Engine(name="other"),
    )
}
"""Where two could be meant, the first that fits."""


LACKS: dict[str, str] = {
    "truncates": "truncate",
    "interrupts": "stopping by itself",
    "semantic_vad": "turn detection by meaning",
    "out_of_band": "answers out of band",
    "response_tools": "tools for one response",
    "text_answers": "answers in text alone",
    "noise_reduction": "noise reduction",
    "reasoning": "reasoning",
}
"""What an engine may lack, by the column that says so."""


def lacks(engine: Engine) -> list[str]:
    """What an engine lacks, in words."""
    return [words for column, words in LACKS.items() if not getattr(engine, column)]


def profile(url: str, engine: Engine | None = None, *, auth: Auth | None = None, codec: Codec | None = None) -> Engine:
    """The engine at a URL, or the one given, with what the operator says otherwise.

    codec: of the caller's speech, and no other then; the agent's comes as u-law with `pcmu`, else as PCM16 at 24 kHz.
    """
    engine = engine or engine_at(url)
    if codec is not None:
        speaks: Codec = "pcmu" if codec == "pcmu" else "pcm16_24k"
        engine = msgspec.structs.replace(engine, hears=codec, speaks=speaks, any_codec=False)
    return msgspec.structs.replace(engine, auth=auth or engine.auth)


def engine_at(url: str) -> Engine:
    """The engine at a realtime URL."""
    parts = urlsplit(url)
    host = (parts.hostname or "").lower()
    for engine in ENGINES.values():
        there = any(host.endswith(name) if name.startswith(".") else host == name for name in engine.hosts)
        if there and parts.path.startswith(engine.path):
            return engine
    return ENGINES["other"]
