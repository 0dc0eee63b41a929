"""Digits as people say them: "four one five, double five oh", "eight hundred", "twenty-one thirty"."""

import re

from app.captures.heard import listed, shown, without_fillers
from app.errors import ToolError

DIGITS = {
    word: str(value)
    for value, words in enumerate(
        ("zero oh o nought naught", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine niner")
    )
    for word in words.split()
}
TEENS = dict(
    zip(
        listed("ten eleven twelve thirteen fourteen fifteen sixteen seventeen eighteen nineteen"),
        map(str, range(10, 20)),
        strict=True,
    )
)
TENS = dict(zip(listed("twenty thirty forty fifty sixty seventy eighty ninety"), "23456789", strict=True))
TIMES = {"double": 2, "triple": 3, "treble": 3, "quadruple": 4}
ROUND = {"hundred": "00", "thousand": "000"}
UNSAID = frozenset(
    listed(
        "it it's its is my the a number phone telephone mobile cell area code country and then dash hyphen minus space dot "
        "that's that digit digits group pound hash so ok well"
    )
)


def number_at(words: list[str], at: int) -> tuple[str, int]:
    """The digits that begin at a word, and how many words they take; ("", 0) if none do. `words` are in small letters."""
    word = words[at]
    after = words[at + 1] if at + 1 < len(words) else ""
    if word in DIGITS:
        return DIGITS[word], 1
    if word in TEENS:
        return TEENS[word], 1
    if word in TENS:
        unit = DIGITS.get(after, "0")
        return (TENS[word] + unit, 2) if unit != "0" else (TENS[word] + "0", 1)
    if word in TIMES and (one := DIGITS.get(after, after)) in DIGITS.values():
        return one * TIMES[word], 2
    if word.isascii() and word.isdigit():
        return word, 1
    return "", 0


def digits_of(text: str) -> str:
    """All digits of what was heard, with a leading "+" if there was one. Raises ToolError at the first word that is none.

    A "#" at the end is the key that ended them.
    """
    text = re.sub(r"#\s*$", " ", text.casefold()).replace("+", " + ")
    words = without_fillers(re.sub(r"[-().,/;:\s]+", " ", text).split())
    found = ""
    at = 0
    while at < len(words):
        word = words[at]
        digits, taken = number_at(words, at)
        if taken:
            found += digits
        elif word in ROUND and found[-1:].isdigit():
            found += ROUND[word]
        elif word in ("+", "plus") and not found:
            found = "+"
        elif word not in UNSAID:
            raise ToolError(f"expected digits, got {shown(word)}")
        at += taken or 1
    if not found.strip("+"):
        raise ToolError("there are no digits in it")
    return found
