"""What offhook.toml says of announcements ([calls.consent]): for which states, in which words, at which numbers otherwise."""

from collections.abc import Mapping
from typing import Any, Literal

import msgspec

from app.rules.area_codes import AREA_CODES
from app.rules.office import E164

What = Literal["ai", "recording", "both"]
When = Literal["always", "auto", "never"]

ALL_PARTY = frozenset({"CA", "CT", "DE", "FL", "IL", "MA", "MD", "MT", "NH", "NV", "PA", "WA"})
"""States in which all parties of a call must agree to its recording, or may have to."""
LONGEST = 300
"""Characters of a sentence: 20 seconds of speech, which every caller has to hear out."""


class Texts(msgspec.Struct, frozen=True, kw_only=True):
    """The sentences of one language."""

    ai: str
    recording: str
    both: str

    def of(self, what: What) -> str:
        """The sentence that tells this."""
        return {"ai": self.ai, "recording": self.recording, "both": self.both}[what]


TEXTS: dict[str, Texts] = {
    "en-US": Texts(
        ai="You are speaking with an AI assistant.",
        recording="This call is recorded.",
        both="You are speaking with an AI assistant, and this call is recorded.",
    ),
    "es-US": Texts(
        ai="Está hablando con un asistente de inteligencia artificial.",
        recording="Esta llamada se graba.",
        both="Está hablando con un asistente de inteligencia artificial, y esta llamada se graba.",
    ),
}
"""By language, as <Say> takes it."""


class NumberRule(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What is otherwise for calls to one number than the mode's Disclosure says; None: as there."""

    when: When | None = None
    ai: bool | None = None
    recording: bool | None = None
    before_stream: bool | None = None
    language: str = ""
    """Empty: that of `Rules`."""


class Rules(msgspec.Struct, frozen=True, kw_only=True):
    """All of it. `texts` has every language that is named here."""

    states: frozenset[str] = ALL_PARTY
    """For whose callers `auto` announces, by two-letter code; besides those whose state is unknown."""
    language: str = "en-US"
    texts: Mapping[str, Texts] = msgspec.field(default_factory=lambda: TEXTS)
    numbers: Mapping[str, NumberRule] = {}
    """By dialled number."""


class _Texts(msgspec.Struct, forbid_unknown_fields=True):
    ai: str | None = None
    recording: str | None = None
    both: str | None = None


class Table(msgspec.Struct, forbid_unknown_fields=True):
    """[calls.consent] as it is written."""

    states: list[str] = msgspec.field(default_factory=lambda: sorted(ALL_PARTY))
    language: str = "en-US"
    texts: dict[str, _Texts] = {}
    numbers: dict[str, NumberRule] = {}


def read_rules(table: Table, where: str, faults: list[str]) -> Rules:
    """The rules of a table; what is wrong with it is added to `faults`. where: the file's name."""
    where = f"{where}: calls.consent"
    states = [state.strip().upper() for state in table.states]
    for given, state in zip(table.states, states, strict=True):
        if state not in AREA_CODES:
            faults.append(f'{where}.states: expected two-letter codes of US states as "CA", or DC, got {given!r}')
    texts = {**TEXTS}
    for language, given_texts in table.texts.items():
        whole = _texts(language, given_texts, f"{where}.texts.{language}", faults)
        if whole is not None:
            texts[language] = whole
    known = f"one of {', '.join(sorted({*texts, *table.texts}))}, or its sentences under calls.consent.texts"
    for name, language in [("language", table.language)] + [
        (f"numbers.{number}.language", rule.language) for number, rule in table.numbers.items() if rule.language
    ]:
        if language not in texts and language not in table.texts:
            faults.append(f"{where}.{name}: expected {known}, got {language!r}")
    for number, rule in table.numbers.items():
        if not E164.fullmatch(number):
            faults.append(f"{where}.numbers: expected numbers as +14155550100, got {number!r}")
        if rule.when in ("always", "auto") and rule.ai is False and rule.recording is False:
            faults.append(
                f'{where}.numbers.{number}: expected ai or recording with when = "{rule.when}", got neither; '
                'set when = "never" to have nothing announced'
            )
    return Rules(states=frozenset(states), language=table.language, texts=texts, numbers=dict(table.numbers))


def _texts(language: str, given: _Texts, where: str, faults: list[str]) -> Texts | None:
    """A language's sentences, over those that we have; None if one is missing or of no use."""
    whole: dict[str, Any] = {}
    for what in Texts.__struct_fields__:
        sentence = getattr(given, what)
        if sentence is None and language in TEXTS:
            sentence = getattr(TEXTS[language], what)
        if sentence is None:
            faults.append(f"{where}: expected sentences for ai, recording and both, got none for {what}")
        elif not sentence.strip() or not sentence.isprintable():
            faults.append(f"{where}.{what}: expected one line of words, got {sentence!r}")
        elif len(sentence) > LONGEST:
            faults.append(f"{where}.{what}: expected {LONGEST} characters at most, got {len(sentence)}")
        else:
            whole[what] = sentence.strip()
    return Texts(**whole) if len(whole) == 3 else None
