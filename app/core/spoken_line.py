"""One answer that a voice speaks: what the model wrote, what was handed to the voice, and what of it sounded.

Positions are characters of the text. The voice says how far it is in characters that are no white space, as it may set those
otherwise; milliseconds count from the answer's first sound.
"""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from app.core.heard import Mark, words_heard

WORD_ENDS = re.compile(r"[.,;:!?…)\]}\"”’']*(?:\s+|$)")
CHARACTERS_A_SECOND = 15
"""How fast a voice speaks that does not say how far it is."""


@dataclass(slots=True, eq=False)
class Line:
    """An item of text in a response. `cut`: cuts it into pieces to be spoken, `rest` gives what is left at its end."""

    response_id: str
    item_id: str
    cut: Callable[[str], list[str]]
    rest: Callable[[], list[str]]
    text: str = ""
    written: bool = False
    """The model has written all of it."""
    due: list[str] = field(default_factory=list)
    """Pieces that can be spoken and were not handed over."""
    handed: int = 0
    closed: bool = False
    """The voice was told that no more comes."""
    uttered: int = 0
    aligned: bool = False
    """The voice says how far it is."""
    sent_ms: float = 0.0
    marks: list[Mark] = field(default_factory=list)
    _starts: list[int] = field(default_factory=list)

    def write(self, words: str) -> None:
        """The model wrote more."""
        self.text += words
        self.due += self.cut(words)

    def end(self, whole: str = "") -> None:
        """The model has written all of it. whole: all of the text, if it says so."""
        if self.written:
            return
        if len(whole) > len(self.text) and whole.startswith(self.text):
            self.write(whole[len(self.text) :])
        self.due += self.rest()
        self.written = True

    def hand_over(self) -> list[str]:
        """The pieces to be spoken now."""
        due, self.due = self.due, []
        for piece in due:
            self._starts.append(self.handed)
            self.handed += len(piece)
        return due

    @property
    def owes(self) -> bool:
        """Whether the voice has something to say, or to end."""
        behind = bool(self.text[self.uttered : self.handed].strip())
        return self.closed or behind or (self.handed > 0 and not self.aligned)

    @property
    def sounded(self) -> bool:
        """Whether any of it was passed on."""
        return self.sent_ms > 0

    def sounds(self, size_ms: float, words: Sequence[tuple[int, int]]) -> list[Mark]:
        """A piece of its sound comes: positions up to which words are in it, with the millisecond at which they end.

        words: (characters that are no white space, ms), both within the piece; empty: the voice does not say.
        """
        began, self.sent_ms = self.sent_ms, self.sent_ms + size_ms
        if not words:
            if self.aligned or self.uttered == self.handed:
                return []
            self.uttered = self.handed
            return [(self.handed, 0)]
        self.aligned = True
        passed: list[Mark] = []
        counted = 0
        for characters, ms in words:
            while counted < characters and self.uttered < self.handed:
                counted += not self.text[self.uttered].isspace()
                self.uttered += 1
            passed.append((self.uttered, round(began + ms)))
        self.marks += passed
        return passed

    def spoken(self) -> Mark:
        """The voice said all of it."""
        self.uttered = len(self.text)
        self.marks.append((self.uttered, round(self.sent_ms)))
        return self.marks[-1]

    def unsaid(self) -> str:
        """What the voice did not say, from a word's beginning on; if it does not say how far it is, from the piece's on."""
        at = self.uttered
        if self.sounded and not self.aligned:
            reached = self.sent_ms / 1000 * CHARACTERS_A_SECOND
            at = max((start for start in self._starts if start <= reached), default=0)
        elif tail := WORD_ENDS.match(self.text, at):
            at = tail.end()
        elif at and not self.text[at - 1].isspace():  # in the middle of a word
            at = max(self.text.rfind(space, 0, at) for space in " \n\t") + 1
        left = self.text[at:].strip()
        return left if any(character.isalnum() for character in left) else ""

    def heard(self, heard_ms: int) -> str:
        """The words that were heard, if so much of its sound was."""
        return words_heard(self.text[: self.uttered], heard_ms, round(self.sent_ms), self.marks)
