"""What models and telephones cost, as data: the table that comes with the house, and what offhook.toml puts over it."""

from collections.abc import Mapping

import msgspec


class Price(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """US dollars for a million tokens. Source: the models' documentation pages, November 2026."""

    text_in: float
    text_cached: float
    text_out: float
    audio_in: float
    audio_cached: float
    audio_out: float


FLAGSHIP = Price(4, 0.40, 24, 32, 0.40, 64)
FLAGSHIP_1 = Price(4, 0.40, 16, 32, 0.40, 64)
MINI = Price(0.60, 0.06, 2.40, 10, 0.30, 20)

PRICES: Mapping[str, Price] = {
    "gpt-realtime-2.1-mini": MINI,
    "gpt-realtime-mini": MINI,
    "gpt-realtime-2.1": FLAGSHIP,
    "gpt-realtime-2": FLAGSHIP,
    "gpt-realtime-1.5": FLAGSHIP_1,
    "gpt-realtime": FLAGSHIP_1,
}
"""By the model's name or, for dated versions, the longest prefix of it."""

TRANSCRIPTION: Mapping[str, float] = {
    "gpt-live-transcribe": 0.017,
    "gpt-transcribe": 0.0045,
    "gpt-4o-mini-transcribe": 0.003,
    "gpt-4o-transcribe": 0.006,
    "gpt-realtime-whisper": 0.017,
    "whisper-1": 0.006,
}
"""US dollars for a minute of the caller's speech; a model that is not here counts as the dearest."""


SPEECH: Mapping[str, float] = {
    "eleven_flash_v2": 0.06,
    "eleven_flash_v2_5": 0.06,
    "eleven_turbo_v2": 0.06,
    "eleven_turbo_v2_5": 0.06,
    "eleven_multilingual_v2": 0.12,
}
"""US dollars for a thousand characters that another house's voice speaks; a model that is not here counts as the dearest.

Pages of 2026 say 0.05 and 0.10, or 0.06 and 0.12: the higher, so that a cap errs on the safe side. Plans differ.
"""


class Prices(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """All prices that calls are counted by. In offhook.toml it is the table `prices`; what is named there goes before ours."""

    models: Mapping[str, Price] = {}
    transcription: Mapping[str, float] = {}
    """Dollars a minute, by the transcription model's name."""
    speech: Mapping[str, float] = {}
    """Dollars for a thousand characters, by the text-to-speech model's name."""
    telephone_minute: float = 0.0
    """What the carrier takes for a minute of a call; 0 leaves it out."""

    def knows(self, model: str) -> bool:
        """Whether the price of a model is known, and not guessed."""
        return _of(model, self.models) is not None or _of(model, PRICES) is not None

    def of(self, model: str) -> Price:
        """The price of a model; an unknown one counts as the dearest of all, so that a cap errs on the safe side."""
        return _of(model, self.models) or _of(model, PRICES) or self.dearest

    @property
    def dearest(self) -> Price:
        """For each kind of token the highest price that is known."""
        known = [msgspec.structs.astuple(price) for price in (*PRICES.values(), *self.models.values())]
        return Price(*map(max, zip(*known, strict=True)))

    def minute_of(self, transcriber: str) -> float:
        """Dollars for a minute of speech that a model writes down; none for none."""
        if not transcriber:
            return 0.0
        known = {**TRANSCRIPTION, **self.transcription}
        return known.get(transcriber, max(known.values()))

    def speech_of(self, model: str) -> float:
        """Dollars for a thousand characters that a text-to-speech model speaks."""
        known = {**SPEECH, **self.speech}
        return known.get(model, max(known.values()))

    def faults(self, where: str) -> list[str]:
        """What cannot be a price, for the report at start-up."""
        asked = {"telephone_minute": self.telephone_minute}
        asked |= {f"transcription.{name}": dollars for name, dollars in self.transcription.items()}
        asked |= {f"speech.{name}": dollars for name, dollars in self.speech.items()}
        for name, price in self.models.items():
            asked |= {f"models.{name}.{kind}": dollars for kind, dollars in msgspec.structs.asdict(price).items()}
        return [
            f"{where}: prices.{name}: expected dollars from 0 to 10,000, got {dollars!r}"
            for name, dollars in asked.items()
            if not 0 <= dollars <= 10_000  # and no NaN
        ]


OURS = Prices()
"""The table as it comes."""


def _of(model: str, prices: Mapping[str, Price]) -> Price | None:
    known = [name for name in prices if model == name or model.startswith(name + "-20")]
    return prices[max(known, key=len)] if known else None
