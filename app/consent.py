"""Consent: what a caller is told before anything else, why, and whether they really heard it.

Decided once for a call, from the mode's Disclosure and the rules of offhook.toml (app/rules/consent.py). `auto` asks for the
caller's state: the one that the carrier names, else that of the area code. A caller without a US number, or whose state nobody
knows, counts as one from a state in which all parties must agree.

    how            who says it                                         heard
    before_stream  the carrier's <Say>, before it opens the stream     once the stream has started: it comes after the sentence
    greeting       the agent, as its first words                       once its turn has the sentence, and that much was played

How much sound holds the sentence is known where the voice marks its words, and estimated once all the sound of the turn has come.
If it never came (the model stalled, with its words ahead of its sound), only what the slowest voice needs counts as heard.
"""

import re
import unicodedata
from collections.abc import Callable, Iterable
from datetime import datetime
from typing import Literal

import msgspec
from msgspec.structs import replace

from app.core.record import Spoken
from app.core.rows import CallInfo, Consent, Row
from app.mode import Disclosure
from app.rules.area_codes import AREA_CODES, STATE_OF
from app.rules.consent import Rules, What

How = Literal["before_stream", "greeting"]

US_NUMBER = re.compile(r"\+1([2-9]\d\d)[2-9]\d{6}")
SLOW_CHARACTERS_A_SECOND = 10.0
"""Voices say some 15; a sentence never takes longer than by this and LEAD_SECONDS, which are the carrier's."""
LEAD_SECONDS = 2.0
FAST_LETTERS_A_SECOND = 24.0
"""Nobody speaks faster, spaces not counted: words come from the model ahead of their sound, and may seem heard by that."""
MARGIN_MS = 300
"""Words are spread over a turn's sound evenly, which life does not do."""


class Announcement(msgspec.Struct, frozen=True, kw_only=True):
    """What is announced in a call. An empty `text`: nothing; `why` says so then, too."""

    what: What = "ai"
    text: str = ""
    language: str = ""
    why: str = ""
    how: How = "greeting"

    @property
    def seconds(self) -> float:
        """How long the carrier takes at most, before it opens the stream."""
        if not self.text or self.how != "before_stream":
            return 0.0
        return LEAD_SECONDS + len(self.text) / SLOW_CHARACTERS_A_SECOND


def decide(disclosure: Disclosure, caller: str, from_state: str, dialled: str, rules: Rules) -> Announcement:
    """What is announced to a caller.

    caller, dialled: numbers as the carrier gave them; empty or free text where it did. from_state: the carrier's, may be empty.
    """
    rule = rules.numbers.get(dialled)
    language, of_whom = rules.language, "the mode"
    if rule is not None:
        own = ("when", "ai", "recording", "before_stream")
        disclosure = replace(disclosure, **{key: value for key in own if (value := getattr(rule, key)) is not None})
        language, of_whom = rule.language or language, f"the rule of {dialled}"
    if not (disclosure.ai or disclosure.recording):
        return Announcement(why=f"{of_whom} has nothing to announce")
    announced, why = _for_whom(disclosure, caller, from_state, rules)
    if not announced:
        return Announcement(why=f"{why}, by {of_whom}")
    what: What = "both" if disclosure.ai and disclosure.recording else "ai" if disclosure.ai else "recording"
    how: How = "before_stream" if disclosure.before_stream else "greeting"
    text = rules.texts[language].of(what)
    return Announcement(what=what, text=text, language=language, why=f"{why}, by {of_whom}", how=how)


def _for_whom(disclosure: Disclosure, caller: str, from_state: str, rules: Rules) -> tuple[bool, str]:
    """Whether this caller is told, and why."""
    if disclosure.when != "auto":
        return disclosure.when == "always", disclosure.when
    state, source = state_of(caller, from_state)
    if not state:
        return True, "auto: the caller's state is unknown"
    if state in rules.states:
        return True, f"auto: all parties must agree in {state} ({source})"
    return False, f"auto: {state} ({source}) is not among the states"


def state_of(caller: str, from_state: str) -> tuple[str, str]:
    """The two-letter code of a caller's US state, and how it is known; both empty if it is not.

    from_state: the carrier's FromState, which names provinces of other countries as well: it counts only for a US number.
    """
    number = US_NUMBER.fullmatch(caller)
    if number is None:
        return "", ""
    named = from_state.strip().upper()
    if named in AREA_CODES:
        return named, "named by the carrier"
    code = number[1]
    return (STATE_OF[code], f"area code {code}") if code in STATE_OF else ("", "")


def begin_with(sentence: str, opening: str) -> str:
    """A line for the model that has the sentence said first; `opening` as it is if there is none."""
    if not sentence:
        return opening
    if not opening:
        return f'Say exactly this sentence, word for word, and nothing else: "{sentence}"'
    return f'Say exactly this sentence first, word for word, before anything else: "{sentence}" Then go on: {opening}'


def heard_at(sentence: str, spoken: Iterable[Spoken]) -> int | None:
    """When a turn of the agent's that has the sentence was played to the end of it, in ms on the call's time axis; None: never.

    Case, marks and spaces do not count.
    """
    times = (_heard_in(turn, sentence) for turn in spoken if turn.who == "agent")
    return next((at for at in times if at is not None), None)


def _heard_in(turn: Spoken, sentence: str) -> int | None:
    wanted = "".join(letter for letter, _ in _letters(sentence))
    said = _letters(turn.text)
    begins = "".join(letter for letter, _ in said).find(wanted)
    if begins < 0 or not wanted or turn.heard_ms < 1000 * len(wanted) / FAST_LETTERS_A_SECOND:
        return None
    ends = said[begins + len(wanted) - 1][1] + 1
    needed = _needed_ms(turn, ends)
    return turn.start_ms + needed if turn.heard_ms >= needed else None


def _needed_ms(turn: Spoken, characters: int) -> int:
    """How much of a turn's sound holds so many characters of its text; never too little."""
    marked = next((at_ms for ends, at_ms in turn.marks if ends >= characters), None)
    if marked is not None:
        return marked
    if turn.whole:
        return round(min(turn.sent_ms, turn.sent_ms * characters / len(turn.text) + MARGIN_MS))
    return round(1000 * characters / SLOW_CHARACTERS_A_SECOND)


def _letters(text: str) -> list[tuple[str, int]]:
    """Letters and digits of a text in lower case, each with its place in it."""
    return [
        (letter, place)
        for place, sign in enumerate(text)
        for letter in unicodedata.normalize("NFKD", sign).casefold()
        if letter.isalnum()
    ]


class Notice:
    """One call's announcement and its proof: what is still owed to the caller, and the row that says what was heard."""

    def __init__(self, announcement: Announcement, proof: Consent | None, put: Callable[[Row], None]) -> None:
        """proof: None where nothing is announced. put: takes it whenever more is known."""
        self.announcement = announcement
        self.proof = proof
        self.told_ms: int | None = 0 if proof is not None and proof.heard else None
        """From when the caller knows, in ms on the call's time axis; None while that is not proven."""
        self._put = put

    @classmethod
    def of(
        cls,
        info: CallInfo,
        disclosure: Disclosure,
        rules: Rules,
        at: datetime,
        put: Callable[[Row], None],
        *,
        bare: bool = False,
        earlier: Iterable[Consent] = (),
    ) -> "Notice":
        """A call begins, and its proof is written.

        bare: by a stream that other TwiML has opened, so that the agent must say what there is to say. earlier: what another
        process announced in this call: it holds, and what was not heard there is still owed.
        """
        announcement = decide(disclosure, info.caller, info.from_state, info.dialled, rules)
        if bare:
            announcement = replace(announcement, how="greeting")
        if not announcement.text:
            return cls(announcement, None, put)
        for known in earlier:
            if known.what == announcement.what:
                return cls(replace(announcement, text=known.text, how=known.how), known, put)
        proof = Consent(
            call_sid=info.call_sid,
            at=at,
            what=announcement.what,
            text=announcement.text,
            why=announcement.why,
            how=announcement.how,
            heard=False,
        )
        put(proof)
        return cls(announcement, proof, put)

    @property
    def owed(self) -> str:
        """The sentence, while it is not known to have been heard; empty if there is none, or no more."""
        return "" if self.proof is None or self.proof.heard else self.proof.text

    @property
    def before(self) -> str:
        """What the carrier still has to say before the stream."""
        return self.owed if self.announcement.how == "before_stream" else ""

    @property
    def first_words(self) -> str:
        """What the agent still has to say first."""
        return self.owed if self.announcement.how == "greeting" else ""

    def stream_started(self) -> None:
        """The carrier opened the stream, which it does after its sentence."""
        if self.before:
            self._heard(0)

    def stream_over(self, spoken: Iterable[Spoken]) -> None:
        """The talk is over, or was cut off: what was heard of it is known. spoken: all turns of the call."""
        if self.first_words and (at := heard_at(self.first_words, spoken)) is not None:
            self._heard(at)

    def _heard(self, at_ms: int) -> None:
        assert self.proof is not None
        self.told_ms = at_ms
        self.proof = replace(self.proof, heard=True)
        self._put(self.proof)


def _nowhere(row: Row) -> None:
    """Nothing is announced, so nothing is written."""


NO_NOTICE = Notice(Announcement(why="nothing is known of the call's beginning"), None, _nowhere)
"""Of a call that began in another process, while the books do not answer: what was to be announced was announced there."""
