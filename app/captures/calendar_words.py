"""Words of days and times brought down to a few: numbers in figures, no fillers, part of the day taken out."""

import re
from datetime import date, time

from app.captures.heard import listed
from app.captures.numerals import DIGITS, TEENS, TENS

UNITS = {word: int(value) for word, value in DIGITS.items() if word != "o"} | {
    word: int(value) for word, value in TEENS.items()
}
ORDINALS = {
    word: value
    for value, word in enumerate(
        listed(
            "first second third fourth fifth sixth seventh eighth ninth tenth eleventh twelfth thirteenth fourteenth fifteenth "
            "sixteenth seventeenth eighteenth nineteenth twentieth"
        ),
        1,
    )
} | {"thirtieth": 30}
TENFOLD = {word: int(value) * 10 for word, value in TENS.items()}
SMALL = frozenset(listed("on the of for please maybe it it's its is uh um er about date"))
PARTS = re.compile(r"\b(?:(this)\s+|(?:in\s+the|at)\s+)?(morning|afternoon|evening|night|tonight)\b")
PART_OF = {"morning": "am", "afternoon": "pm", "evening": "pm", "night": "night", "tonight": "night"}


def plain(text: str) -> tuple[list[str], str]:
    """Words in small letters with numbers in figures, and the part of the day: am, pm, night, or none.

    "Tomorrow morning at half past nine" is ["tomorrow", "at", "half", "past", "9"] and am. "This evening" is today.
    """
    text = re.sub(r"\b([ap])\.\s?m\b\.?", r"\1m", text.casefold())
    text = re.sub(r"o'\s?clock|oclock", " oclock ", text)
    text = re.sub(r"(?<=\d)(st|nd|rd|th)\b", "", text)
    text = re.sub(r"(?<=\d)\s*([ap]m)\b", r" \1", text)
    text = re.sub(r"(?<=[a-z])-(?=[a-z])|[,!?;]|\.(?!\d)|(?<!\d)\.", " ", text)
    part = ""

    def take(found: re.Match[str]) -> str:
        nonlocal part
        part = PART_OF[found[2]]
        return " today " if found[1] or found[2] == "tonight" else " "

    text = PARTS.sub(take, text)
    return _figures([word for word in text.split() if word not in SMALL]), part


def _figures(words: list[str]) -> list[str]:
    """Number words as figures: "twenty fourth" is 24, "two thousand and twenty six" 2026; "twenty twenty six" stays 20 26."""
    found: list[str] = []
    at = 0
    while at < len(words):
        word, after = words[at], words[at + 1] if at + 1 < len(words) else ""
        if word in TENFOLD:
            unit = UNITS.get(after, ORDINALS.get(after, 99))
            found.append(str(TENFOLD[word] + (unit if 1 <= unit <= 9 else 0)))
            at += 1 <= unit <= 9
        elif word == "thousand" and found and found[-1] in ("1", "2"):
            thousands = int(found.pop()) * 1000
            rest = _figures(words[at + 1 + (after == "and") :])
            if rest and rest[0].isdigit() and len(rest[0]) <= 2:
                return [*found, str(thousands + int(rest[0])), *rest[1:]]
            return [*found, str(thousands), *rest]
        elif word in UNITS or word in ORDINALS:
            found.append(str(UNITS.get(word, ORDINALS.get(word))))
        else:
            found.append(word)
        at += 1
    return found


def day_aloud(day: date) -> str:
    """ "Tuesday, November 24, 2026"."""
    return f"{day:%A, %B} {day.day}, {day.year}"


def time_aloud(at: time) -> str:
    """ "2:30 PM"; noon and midnight by name."""
    if (at.hour, at.minute) in ((0, 0), (12, 0)):
        return "12 noon" if at.hour else "12 midnight"
    return f"{at.hour % 12 or 12}:{at.minute:02} {'PM' if at.hour >= 12 else 'AM'}"
