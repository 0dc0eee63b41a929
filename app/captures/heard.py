"""What was heard, made fit to read: bounded, without invisible characters, every digit and dash one of ours."""

import re
import unicodedata

from app.errors import ToolError

LONGEST = 300
"""Characters. Spelled with a word for each letter, an e-mail address of 20 letters has about 280."""

KEYPAD = re.compile(r"\(?the caller pressed ([0-9*# ]+) on the keypad\.?\)?", re.I)
"""As the model is told of keys; it may hand on all of it."""
ALIKE = str.maketrans(
    {**dict.fromkeys("\u2018\u2019\u02bc`\u00b4", "'"), **dict.fromkeys("\u2010\u2011\u2012\u2013\u2014\u2212", "-")}
)


def listed(words: str) -> list[str]:
    """The words of a table that is written as one line."""
    return words.split()


FILLERS = frozenset(listed("uh um er erm okay please yes yeah"))


def fit_to_read(heard: str) -> str:
    """One line of visible text, its decimal digits ASCII. Raises ToolError for the model: too long, empty or hostile."""
    if len(heard) > LONGEST:
        raise ToolError(f"expected the value alone, {LONGEST} characters at most, got {len(heard)}")
    text = " ".join(unicodedata.normalize("NFC", heard).split())
    if any(unicodedata.category(sign)[0] == "C" for sign in text):
        raise ToolError("it holds control or invisible characters; send only letters, digits and words")
    text = "".join(str(unicodedata.decimal(sign)) if sign.isdecimal() else sign for sign in text)
    text = text.translate(ALIKE)
    if keys := KEYPAD.fullmatch(text):
        text = keys[1].strip()
    if not text:
        raise ToolError("it is empty")
    return text


def without_fillers(words: list[str]) -> list[str]:
    """Words without those that only fill time."""
    return [word for word in words if word.casefold().strip(".,") not in FILLERS]


def shown(word: str) -> str:
    """A word as an error may show it to the model."""
    return repr(word if len(word) <= 24 else word[:24] + "...")


def in_groups(text: str) -> str:
    """ "415 555 0100" as it is read out: "4 1 5, 5 5 5, 0 1 0 0"."""
    return ", ".join(" ".join(group) for group in re.split(r"[^0-9A-Za-z]+", text) if group)
