"""What the rehearsal voices have recorded (phrases.toml), and how a text is split into words that can be looked up."""

import re
import tomllib
from itertools import product
from pathlib import Path
from typing import NamedTuple

SPEAKERS: tuple[str, ...] = ("agent", "anna", "ben", "carl")

_WORD = re.compile(r"[^\W_]+(?:'[^\W_]+)*")
# A mark counts only where a space or the end follows, so that "p.m." and "forty-five" go on without a pause.
_MARK = re.compile(r"([,;:–—-]|[.!?…]+)(?=[\s\"')])")
_STRAIGHT = str.maketrans("‘’“”", "''\"\"")
_DIGITS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
_PHRASES = Path(__file__).with_name("phrases.toml")


class Word(NamedTuple):
    """One spoken word in lower case, and the mark that follows it: "," for a breath, "." for a stop, "" for neither."""

    text: str
    mark: str


def split(text: str) -> list[Word]:
    """The words of a text in order; case and other marks are lost; a lone digit becomes its word ("1" is "one")."""
    text = text.lower().translate(_STRAIGHT)
    words: list[Word] = []
    end = len(text)
    for word in reversed(list(_WORD.finditer(text))):
        gap = text[word.end() : end] + ("" if words else " ")
        mark = _MARK.search(gap)
        spoken = word[0]
        if spoken.isdecimal() and spoken.isascii() and len(spoken) == 1:
            spoken = _DIGITS[int(spoken)]
        words.append(Word(spoken, "" if mark is None else "." if mark[1][0] in ".!?…" else ","))
        end = word.start()
    return words[::-1]


def key(text: str) -> str:
    """What a phrase is looked up by: its words, one space between."""
    return " ".join(word.text for word in split(text))


def phrases_of(speaker: str) -> dict[str, str]:
    """Every phrase of a speaker, by its key, as it is written for the recording; in the order of phrases.toml.

    A slot's word that is also in another slot, or written as a phrase too, is recorded once, as it stands first.
    """
    book = tomllib.loads(_PHRASES.read_text(encoding="utf-8"))
    slots: dict[str, list[str]] = book["slots"]
    part = book["agent" if speaker == "agent" else "callers"]
    written = [*part["phrases"], *(entry for slot in part["slots"] for entry in slots[slot])]
    phrases: dict[str, str] = {}
    for text in (full for entry in written for full in _filled(entry, slots)):
        phrases.setdefault(key(text), text)
    return phrases


def _filled(entry: str, slots: dict[str, list[str]]) -> list[str]:
    """The entry with every {slot} replaced by each of its words."""
    parts = re.split(r"\{(\w+)\}", entry)
    choices = [
        [part] if index % 2 == 0 else [full for word in slots[part] for full in _filled(word, slots)]
        for index, part in enumerate(parts)
    ]
    return ["".join(choice) for choice in product(*choices)]
