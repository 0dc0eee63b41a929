"""Names of persons, said, spelled, or said and then spelled: "Smith, S M I T H"."""

import re
import unicodedata
from difflib import SequenceMatcher
from itertools import groupby

from app.captures.captured import Reading, Scene
from app.captures.heard import fit_to_read, shown, without_fillers
from app.captures.spelling import Piece, pieces
from app.errors import ToolError

LONGEST = 80
LEAD_IN = re.compile(
    r"^(?:(?:yes|hi|hello)\b[ ,]*)?(?:my name is|my name's|the name is|name is|this is|it is|it's|i am|i'm)\b[ ,:]*",
    re.I,
)
WITH = re.compile(r"[ ,]+with(out)? an? (\w)\b", re.I)
ASIDE = re.compile(r"\b(?:that is|that's|which is|spelled|spelt|i spell|i'll spell)\b[ ,:]*", re.I)
ALIKE = 0.6
"""How much alike a said word and the letters after it must be to be the same name (difflib's ratio)."""


def read_name(heard: str, rule: object, scene: Scene) -> Reading:
    """A name with its capitals. Read aloud as it is, then letter by letter."""
    name = _name(fit_to_read(heard))
    others = " ".join(without_fillers(name.split()))  # a name like a filler (Um) is here only if it was spelled
    if others and _name(others) != others:
        raise ToolError("it can be read in two ways; ask the caller to spell it, letter by letter")
    return Reading(name, f"{name}, spelled {' '.join(_spelled(name))}")


def _name(text: str) -> str:
    """What is written of what was heard. Raises ToolError for what is no name."""
    text = LEAD_IN.sub("", " ".join(without_fillers(text.split())))
    for aside in WITH.finditer(text):
        if (aside[2].casefold() in text[: aside.start()].casefold()) is bool(aside[1]):
            raise ToolError(f"it is said {shown(aside[0].strip())}; ask the caller to spell all of it")
    text = ASIDE.sub(" ", WITH.sub("", text)).strip(" ,")
    words: list[str] = []
    joined = False
    parts = [list(run) for _, run in groupby(_initials_apart(pieces(text)), key=lambda piece: piece.kind)]
    for run in parts:
        if run[0].kind == "word":
            words += [
                piece.text.rstrip(".") if "." not in piece.text[:-1] and len(piece.text) > 3 else piece.text
                for piece in run
            ]
            joined = False
        elif run[0].kind == "letter":
            _take_spelled(words, run, fresh=joined)
            joined = True
        else:
            joined = True
    said = "".join(piece.text for run in parts for piece in run if piece.kind == "word" and len(piece.text) > 1)
    if said in (said.lower(), said.upper()):
        words = [_capitalised(word) if word in (word.lower(), word.upper()) else word for word in words]
    name = " ".join(words)
    _check(name)
    return name


def _initials_apart(found: list[Piece]) -> list[Piece]:
    """A letter that stands alone, or a few without a vowel before a word, are initials: "John F Kennedy", "J R R Tolkien"."""
    result: list[Piece] = []
    runs = [list(run) for _, run in groupby(found, key=lambda piece: piece.kind)]
    for at, run in enumerate(runs):
        letters = "".join(piece.text for piece in run).casefold()
        word_next = at + 1 < len(runs) and runs[at + 1][0].kind == "word"
        mute = word_next and len(letters) <= 3 and not set(letters) & set("aeiouy")
        if run[0].kind == "letter" and letters.isalpha() and (len(letters) == 1 or mute):
            result += [Piece("word", piece.text.upper()) for piece in run]
        else:
            result += run
    return result


def _take_spelled(words: list[str], run: list[Piece], *, fresh: bool) -> None:
    """Letters make a word of their own, or say how the word before them is written."""
    letters = "".join(piece.text for piece in run)
    if any(piece.capital for piece in run[1:]):
        word = "".join(p.text.upper() if p.capital or not at else p.text for at, p in enumerate(run))
    else:
        word = _capitalised(letters)
    for count in range(1, min(4, len(words)) + 1):
        if "".join(words[-count:]).casefold() == letters:
            return
    if words and not fresh and SequenceMatcher(None, words[-1].casefold(), letters).ratio() >= ALIKE:
        words.pop()
    words.append(word)


def _capitalised(word: str) -> str:
    return "".join(part[:1].upper() + part[1:].lower() for part in re.split(r"([-'])", word))


def _check(name: str) -> None:
    if not any(sign.isalpha() for sign in name):
        raise ToolError("there are no letters in it")
    if not all(any(sign.isalpha() for sign in word) for word in name.split()):
        raise ToolError("there are signs in it that belong to no name")
    if len(name) > LONGEST:
        raise ToolError(f"expected a name of {LONGEST} characters at most, got {len(name)}")
    for sign in name:
        if not (sign.isalpha() or sign in " '-." or unicodedata.category(sign)[0] == "M"):
            raise ToolError(f"expected letters, got {shown(sign)}")


def _spelled(name: str) -> list[str]:
    """The letters in groups, one for each word."""
    said = {"'": "apostrophe", "-": "hyphen", ".": "dot"}
    groups = ["-".join(said.get(sign, sign.upper()) for sign in word) for word in name.split()]
    return [group + ("," if at < len(groups) - 1 else "") for at, group in enumerate(groups)]
