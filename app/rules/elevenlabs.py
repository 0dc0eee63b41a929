"""ElevenLabs as the voice of a mode: what a mode says of it, and what is wrong with that."""

import re

import msgspec

WORDS = (
    ("voice_id", re.compile(r"[A-Za-z0-9]{8,64}"), "21m00Tcm4TlvDq8ikWAM"),
    ("model", re.compile(r"eleven_[a-z0-9_]+"), "eleven_flash_v2_5"),
    ("language", re.compile(r"([a-z]{2,3})?"), "en"),
    ("own_voice", re.compile(r"\S+"), "marin"),
)
"""Fields, the form of each, and one like it."""


class ElevenLabs(msgspec.Struct, frozen=True, kw_only=True):
    """The model answers in text, and this voice speaks it. A mode's `voice`; needs ELEVENLABS_API_KEY.

    Where it cannot be had (no key, no connection, no quota, too slow) the talk goes on in `own_voice`, one of the model's own.
    """

    voice_id: str
    """As ElevenLabs lists it: letters and digits."""
    model: str = "eleven_flash_v2_5"
    """Not `eleven_v3`, which cannot be spoken to while a call goes on."""
    own_voice: str = "marin"
    language: str = ""
    """ISO 639-1, as `en`; empty: by the text."""
    speed: float = 1.0
    """0.7 to 1.2."""
    stability: float | None = None
    """0 to 1; None: as the voice is kept. So with the next."""
    similarity: float | None = None

    def faults(self) -> list[str]:
        """What is wrong with it, as sentences for the report at start-up."""
        faults = []
        for name, form, like in WORDS:
            value: object = getattr(self, name)
            if not isinstance(value, str) or not form.fullmatch(value):
                faults.append(f"voice: expected a {name} like {like!r}, got {value!r}")
            elif name == "model" and value.startswith("eleven_v3"):
                faults.append(f"voice: expected a model with a multi-context WebSocket, as {like!r}, got {value!r}")
        for name, low, high in (("speed", 0.7, 1.2), ("stability", 0.0, 1.0), ("similarity", 0.0, 1.0)):
            value = getattr(self, name)
            number = isinstance(value, int | float) and not isinstance(value, bool) and low <= value <= high
            if not number and (value is not None or name == "speed"):
                faults.append(f"voice: expected a {name} from {low:g} to {high:g}, got {value!r}")
        return faults


def own_voice(voice: str | ElevenLabs) -> str:
    """The voice of the model's own that a mode speaks in, or falls back to."""
    return voice.own_voice if isinstance(voice, ElevenLabs) else voice


def voice_faults(voice: object) -> list[str]:
    """What is wrong with a mode's `voice`."""
    if isinstance(voice, ElevenLabs):
        return voice.faults()
    if isinstance(voice, str) and voice.strip():
        return []
    return [f"expected a voice by its name, as 'marin', or ElevenLabs(voice_id=...), got {voice!r}"]
