"""Letters as people say them: "J as in John, O, H, N", "double o", "Juliet Oscar Hotel November", "capital M c".

`pieces` takes what was heard apart: letters and digits that were spelled, words that were said, and breaks between words.
Words of the radio alphabet are names too (Mike, Oscar, Victor): they count as letters only three or more in a row.
"""

import re
from typing import Literal, NamedTuple

from app.captures.heard import listed, shown, without_fillers
from app.captures.numerals import TIMES, number_at
from app.errors import ToolError

RADIO = {
    word: word[0]
    for word in listed(
        "alpha alfa bravo charlie delta echo foxtrot golf hotel india juliet juliett kilo lima mike november oscar papa "
        "quebec romeo sierra tango uniform victor whiskey whisky xray x-ray yankee zulu"
    )
}
LETTER_NAMES = {"zee": "z", "zed": "z", "aitch": "h", "haitch": "h"}
"""Names of letters that are nothing else."""
MORE_LETTER_NAMES = {
    "bee": "b", "cee": "c", "see": "c", "dee": "d", "eff": "f", "gee": "g", "jay": "j", "kay": "k", "ell": "l", "em": "m",
    "en": "n", "oh": "o", "pee": "p", "cue": "q", "queue": "q", "ar": "r", "are": "r", "ess": "s", "tee": "t", "you": "u",
    "vee": "v", "ex": "x", "why": "y", "ay": "a", "eye": "i",
}  # fmt: skip
"""Those that are words too: read as letters only where nothing but letters is expected."""
MARKS = {"apostrophe": "'", "hyphen": "-", "dash": "-", "minus": "-"}
BREAKS = re.compile(
    r"\b(?:space|new word|next word|(?:and )?(?:first|last|family|middle|given) name(?: is)?|surname(?: is)?)\b", re.I
)
LIKE = re.compile(r"(?:as in|is for|for|like|as|in)\b", re.I)
BREAK = "\x00"
"""Stands for any of them; nothing that is fit to read holds it."""
CAPITAL = frozenset(("capital", "cap", "uppercase"))
SMALL = frozenset(("lowercase", "small"))
JOINED = re.compile(r"\w(?:-\w){1,}|\w(?:\.\w){3,}\.?")
"""J-O-H-N, and J.O.H.N. but not the initials J.R.R."""


class Piece(NamedTuple):
    """letter: one spelled letter, digit or mark (or several, doubled). word: one that was said. break: a new word begins."""

    kind: Literal["letter", "word", "break"]
    text: str
    capital: bool = False


def pieces(text: str, *, letters_only: bool = False) -> list[Piece]:
    """Take apart what was heard. letters_only: names of letters that are words too are letters here, and so are digits' names.

    Raises ToolError where a letter and its word do not fit: "B as in Victor".
    """
    words = _words(text)
    radio = _radio(words, letters_only)
    spelled = len(words) > 1 and (letters_only or any(len(word) == 1 for word in words))
    names = LETTER_NAMES | (MORE_LETTER_NAMES if letters_only else {}) if spelled else {}
    found: list[Piece] = []
    capital = False
    at = 0
    while at < len(words):
        word = words[at]
        low = word.casefold()
        if word == BREAK:
            found.append(Piece("break", ""))
        elif low in CAPITAL | SMALL and at + 1 < len(words) and _letter(words[at + 1], names):
            capital = low in CAPITAL
            at += 1
            continue
        elif low in ("double", "double-u") and (low == "double-u" or words[at + 1 : at + 2] in (["u"], ["U"], ["you"])):
            found.append(Piece("letter", "w", capital))
            at += low == "double"
        elif low in TIMES and at + 1 < len(words) and (one := _letter(words[at + 1], names)):
            found.append(Piece("letter", one * TIMES[low], capital))
            at += 1 + _example(words, at + 2, one)
        elif at in radio:
            found.append(Piece("letter", RADIO[low], capital))
        elif letters_only and number_at([each.casefold() for each in words], at)[1] and low not in ("o", "oh"):
            digits, taken = number_at([each.casefold() for each in words], at)
            found.append(Piece("letter", digits))
            at += taken - 1
        elif one := _letter(word, names):
            found.append(Piece("letter", one, capital))
            at += _example(words, at + 1, one)
        elif low in MARKS:
            found.append(Piece("letter", MARKS[low]))
        else:
            found.append(Piece("word", word))
        capital = False
        at += 1
    return found


def _words(text: str) -> list[str]:
    words: list[str] = []
    for part in re.split(r"[\s,;]+", BREAKS.sub(f" {BREAK} ", text)):
        if JOINED.fullmatch(part):
            words.extend(re.findall(r"\w", part))
        elif part:
            words.append(part)
    return [word for word in words if word == BREAK or without_fillers([word])]


def _letter(word: str, names: dict[str, str]) -> str:
    """The one letter or digit that a word is, or is the name of; empty if it is none."""
    low = word.casefold()
    if len(low) == 1 and (low.isalpha() or low.isdigit()):
        return low
    return names.get(low, "")


def _example(words: list[str], at: int, letter: str) -> int:
    """How many words after a letter only say which it is: "as in John" are three."""
    heard = LIKE.match(" ".join(words[at : at + 2]))
    taken = 0 if heard is None else heard[0].count(" ") + 1
    if not taken or at + taken >= len(words) or len(words[at + taken]) < 2:
        return 0
    word = words[at + taken].casefold()
    if not (word.startswith(letter) or (letter == "x" and "x" in word) or letter.isdigit()):
        raise ToolError(f"the letter {letter.upper()} and the word {shown(word)} do not fit together")
    return taken + 1


def _radio(words: list[str], letters_only: bool) -> set[int]:
    """Places of words of the radio alphabet that are letters: three in a row, single letters between them counted."""
    found: set[int] = set()
    start = 0
    while start < len(words):
        end = start
        while end < len(words) and (words[end].casefold() in RADIO or (end > start and len(words[end]) == 1)):
            end += 1
        places = [at for at in range(start, end) if words[at].casefold() in RADIO]
        if len(places) >= 3 or (letters_only and len(words) > 1):
            found.update(places)
        start = max(end, start + 1)
    return found
