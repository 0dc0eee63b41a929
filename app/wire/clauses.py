"""Cuts a text that is still being written into pieces that can be spoken: the first clause early, then sentence by sentence.

A piece ends where a reader would take breath. The first one may end at a comma, so that the voice can begin while the model
still writes; the later ones are whole sentences, which sound better and are cut by no pause that nobody wrote. What follows a
full stop decides whether it was one: `3.50`, `www.lakeside.example`, `Dr. Lee` and `J. Smith` are not ends.
"""

import re

FIRST_CHARACTERS = 12
"""A clause shorter than this is spoken with what follows it."""
LONGEST = 240
"""A sentence that is longer is cut at its last clause, or between two words."""
ENDS = re.compile(r"(?:[.!?…]+[\"'”’)\]]*(?=\s)|[。！？]|\n)")
CLAUSES = re.compile(r"[,;:–—](?=\s)")
ABBREVIATIONS = frozenset(
    {
        "dr", "mr", "mrs", "ms", "prof", "st", "no", "nos", "vs", "e.g", "i.e", "approx", "ext", "apt", "dept", "jan", "feb",
        "mar", "apr", "jun", "jul", "aug", "sep", "sept", "oct", "nov", "dec", "mt", "ave", "blvd", "rd", "fig", "est", "tel",
    }
)  # fmt: skip
"""What a full stop belongs to, whatever follows."""
MAYBE = frozenset({"a.m", "p.m", "etc", "inc", "ltd", "co", "jr", "sr", "u.s", "corp"})
"""What may end a sentence too: it does if a capital follows."""


class Clauses:
    """One answer's text. Every character that is pushed comes out once, in order."""

    def __init__(self) -> None:
        self._rest = ""
        self._first = True

    def push(self, words: str) -> list[str]:
        """More of the text; the pieces that are whole by it, each with the white space behind it."""
        self._rest += words
        pieces = []
        while cut := self._cut():
            pieces.append(self._take(cut))
        return pieces

    def flush(self) -> list[str]:
        """The text is whole: what is left of it."""
        return [self._take(len(self._rest))] if self._rest.strip() else []

    def _take(self, size: int) -> str:
        piece, self._rest = self._rest[:size], self._rest[size:]
        self._first = self._first and not piece.strip()
        return piece

    def _cut(self) -> int:
        """Where the next piece ends; 0: it is not whole yet."""
        text = self._rest
        early = self._early() if self._first else 0
        for end in ENDS.finditer(text):
            if early and early <= end.start():
                break
            if (ends := _ends(text, end)) is None:
                return 0
            if ends and text[: end.end()].strip():
                return _behind(text, end.end())
        if early or len(text) <= LONGEST:
            return early
        clauses = [_behind(text, clause.end()) for clause in CLAUSES.finditer(text[:LONGEST])]
        return (clauses[-1] if clauses else 0) or text.rfind(" ", 1, LONGEST) + 1 or LONGEST

    def _early(self) -> int:
        """Where the first clause ends; 0: it is not whole yet."""
        text = self._rest
        for clause in CLAUSES.finditer(text):
            behind = _behind(text, clause.end())
            if behind == len(text):
                return 0  # what follows is not known yet
            if len(text[: clause.end()].strip()) >= FIRST_CHARACTERS and not _in_number(text, clause, behind):
                return behind
        return 0


def _ends(text: str, end: re.Match[str]) -> bool | None:
    """Whether a sentence ends here; None: what follows must be seen first."""
    if not end.group().startswith("."):
        return True
    words = text[: end.start()].split()
    word = words[-1].lower().lstrip("(\"'“") if words else ""
    if word in ABBREVIATIONS or (len(word) == 1 and word.isalpha() and word != "i"):
        return False
    if word.isdigit() and len(words) == 1:  # "1. First"
        return False
    if word not in MAYBE:
        return True
    follows = text[end.end() :].lstrip()
    return follows[0].isupper() if follows else None


def _in_number(text: str, clause: re.Match[str], behind: int) -> bool:
    """Whether both sides of a mark are figures: a date, or a number that is read out."""
    return text[clause.start() - 1].isdigit() and text[behind].isdigit()


def _behind(text: str, at: int) -> int:
    """Behind the white space that follows."""
    while at < len(text) and text[at].isspace():
        at += 1
    return at
