"""Postal codes, digit strings with a checksum, and spelled words."""

import re

from app.captures.captured import DigitRule, Reading, Scene
from app.captures.heard import fit_to_read, in_groups, listed, shown
from app.captures.numerals import UNSAID, digits_of
from app.captures.spelling import pieces
from app.errors import ToolError

POSTAL = {
    **dict.fromkeys(("US", "PR", "GU", "VI"), r"\d{5}(\d{4})?"),
    **dict.fromkeys(listed("DE FR ES IT FI SE MX TR UA MY EE HR LT GR CZ SK"), r"\d{5}"),
    **dict.fromkeys(listed("AT CH BE AU NZ DK NO LU HU PT ZA"), r"\d{4}"),
    **dict.fromkeys(listed("CN IN SG RO RU"), r"\d{6}"),
    "PT": r"\d{4}(\d{3})?",
    "JP": r"\d{7}",
    "IL": r"\d{7}",
    "PL": r"\d{5}",
    "NL": r"[1-9]\d{3}[A-Z]{2}",
    "CA": r"[ABCEGHJ-NPRSTVXY]\d[ABCEGHJ-NPRSTV-Z]\d[ABCEGHJ-NPRSTV-Z]\d",
    "GB": r"[A-Z]{1,2}\d[A-Z\d]?\d[A-Z]{2}",
    "IE": r"[A-Z]\d[\dW][A-Z\d]{4}",
}
"""By country, without spaces and hyphens. Source: each post's published format. Other countries: 3 to 10 letters and digits."""
ANYWHERE = r"[A-Z\d]{3,10}"
SPLIT = {
    "US": (5, "-"), "CA": (3, " "), "GB": (-3, " "), "NL": (4, " "), "IE": (3, " "), "JP": (3, "-"), "PL": (2, "-"),
    "PT": (4, "-"), "SE": (3, " "),
}  # fmt: skip
"""Where the code is divided, and by what."""
SAID_BEFORE = re.compile(r"\b(?:my|the|it's|it is|is|zip|postal|post|code|postcode)\b", re.I)


def read_postal(heard: str, rule: object, scene: Scene) -> Reading:
    """As it is written in the office's country."""
    country = scene.office.country
    shape = POSTAL.get(country, ANYWHERE)
    signs = _signs(SAID_BEFORE.sub(" ", fit_to_read(heard)).rstrip("# ")).replace("-", "")
    if not re.search(r"[A-Z]", shape):
        signs = signs.replace("O", "0")
    for code in (signs, *_zeros(signs)):
        if re.fullmatch(shape, code):
            at, between = SPLIT.get(country, (0, ""))
            parts = [part for part in (code[:at], code[at:]) if part] if at else [code]
            return Reading(between.join(parts), ", ".join(" ".join(part) for part in parts))
    raise ToolError(f"{shown(signs)} is no postal code of {country}")


def _zeros(signs: str) -> list[str]:
    """The same with some letters O read as zeros: "oh" may be either."""
    places = [at for at, sign in enumerate(signs) if sign == "O"][:4]
    found = []
    for chosen in range(1, 2 ** len(places)):
        zeros = {place for bit, place in enumerate(places) if chosen >> bit & 1}
        found.append("".join("0" if at in zeros else sign for at, sign in enumerate(signs)))
    return found


def read_digits(heard: str, rule: object, scene: Scene) -> Reading:
    """Digits of the rule's length whose checksum is right."""
    rule = rule if isinstance(rule, DigitRule) else DigitRule()
    digits = digits_of(fit_to_read(heard)).lstrip("+")
    lengths = rule.lengths or range(1, 33)
    if len(digits) not in lengths:
        expected = " or ".join(map(str, rule.lengths)) if rule.lengths else "1 to 32"
        raise ToolError(f"expected {expected} digits, got {len(digits)}")
    if rule.checksum == "luhn" and not luhn_holds(digits):
        raise ToolError("the check digit is wrong, so at least one digit was misheard")
    if rule.checksum == "mod11" and not mod11_holds(digits, rule.weights):
        raise ToolError("the check digit is wrong, so at least one digit was misheard")
    size = 4 if len(digits) % 4 == 0 else 3
    return Reading(digits, in_groups(" ".join(digits[at : at + size] for at in range(0, len(digits), size))))


def luhn_holds(digits: str) -> bool:
    """Source: ISO/IEC 7812-1, annex B."""
    doubled = (int(digit) * (1 + at % 2) for at, digit in enumerate(reversed(digits)))
    return sum(value // 10 + value % 10 for value in doubled) % 10 == 0


def mod11_holds(digits: str, weights: tuple[int, ...]) -> bool:
    """The weights begin beside the check digit and go to the left. Source: `DigitRule`."""
    total = sum(int(digit) * weights[at % len(weights)] for at, digit in enumerate(reversed(digits[:-1])))
    return len(digits) > 1 and -total % 11 == int(digits[-1])


def read_word(heard: str, rule: object, scene: Scene) -> Reading:
    """Capital letters, digits and hyphens, as they were spelled; one word may be said before it is spelled."""
    text = fit_to_read(heard)
    found = pieces(text, letters_only=True)
    said = [piece.text for piece in found if piece.kind == "word"]
    word = "".join(piece.text for piece in found if piece.kind == "letter").upper()
    if len(said) == 1 and (not word or said[0].upper() == word):
        word = said[0].upper()
    elif said:
        raise ToolError(f"expected letters and digits one by one, got {shown(said[0])}")
    if not re.fullmatch(r"[^\W_]+(?:-[^\W_]+)*", word) or len(word) > 40:
        raise ToolError("expected a word of 1 to 40 letters and digits")
    return Reading(word, "-".join(sign if sign != "-" else "hyphen" for sign in word))


def _signs(text: str) -> str:
    """Letters and digits of a short code, however they were said."""
    found = pieces(re.sub(r"(?<=\w)-(?=\w{2})", " ", text), letters_only=True)
    signs = ""
    for piece in found:
        if piece.kind == "word" and piece.text.casefold() in UNSAID:
            continue
        if piece.kind == "word" and not re.fullmatch(r"[A-Za-z\d-]{1,10}", piece.text):
            raise ToolError(f"expected letters and digits, got {shown(piece.text)}")
        signs += piece.text.upper()
    if not signs:
        raise ToolError("there are no letters or digits in it")
    return signs
