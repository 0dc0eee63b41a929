"""E-mail addresses as people say them: "J as in John, smith, at gmail dot com". Checked by email-validator, without DNS."""

import re
import unicodedata

from email_validator import EmailNotValidError, validate_email

from app.captures.captured import Reading, Scene
from app.captures.heard import fit_to_read, listed, shown
from app.captures.numerals import number_at
from app.captures.spelling import Piece, pieces
from app.errors import ToolError

SIGNS = {
    "at": "@", "dot": ".", "period": ".", "point": ".", "underscore": "_", "plus": "+", "dash": "-", "hyphen": "-", "minus": "-",
}  # fmt: skip
ASIDE = re.compile(
    r"^(?:my |the )?(?:e-?mail )?(?:address )?(?:is|it is|it's)\b|\b(?:all|in) (?:one word|lower ?case|small letters|together)\b|"
    r"\b(?:lower ?case|no spaces?)\b|(?<=\bat) sign\b",
    re.I,
)
SAID = {"'": "apostrophe", ".": "dot", "_": "underscore", "+": "plus", "-": "hyphen"}
WELL_KNOWN = frozenset(
    listed(
        "gmail.com yahoo.com hotmail.com outlook.com icloud.com aol.com live.com msn.com comcast.net me.com proton.me"
    )
)
"""Domains that are read back as words."""


def read_email(heard: str, rule: object, scene: Scene) -> Reading:
    """An address in small letters. Read aloud letter by letter, well-known domains as words."""
    text = fit_to_read(heard)
    if "@" not in text or " " in text:
        text = _written(ASIDE.sub(" ", text).strip(" .,"))
    text = text.strip(".,").lower()
    if text.count("@") != 1:
        raise ToolError(f"expected an address with one 'at' in it, got {text.count('@')}; write that one as @")
    if any(sign.isalpha() and not unicodedata.name(sign, "").startswith("LATIN") for sign in text):
        raise ToolError("expected Latin letters alone; look-alikes of other scripts are refused")
    try:
        address = validate_email(text, check_deliverability=False, allow_smtputf8=False, strict=True).normalized.lower()
    except EmailNotValidError as wrong:
        raise ToolError(_clipped(str(wrong))) from wrong
    if strange := re.sub(r"[\w@.+'-]", "", address):
        raise ToolError(f"expected letters, digits and . _ - + ' alone, got {shown(strange)}")
    return Reading(address, _aloud(address))


def _written(text: str) -> str:
    found: list[Piece] = pieces(text)
    words = [piece.text.casefold() for piece in found]
    written = ""
    at = 0
    explicit = "@" in text
    while at < len(found):
        word = words[at]
        digits, taken = number_at(words, at) if found[at].kind == "word" else ("", 0)
        if word in SIGNS and not (word == "at" and explicit):
            written += SIGNS[word]
        elif word in ("o", "oh") and found[at].kind == "word":
            written += "0" if written[-1:].isdigit() else "o"
        elif taken:
            written += digits
        elif found[at].kind != "break":
            written += found[at].text
        at += taken or 1
    return written


def _aloud(address: str) -> str:
    local, _, domain = address.partition("@")
    if domain in WELL_KNOWN:
        host = domain.replace(".", " dot ")
    else:
        *names, ending = domain.split(".")
        host = f"{', dot, '.join(_letters(name) for name in names)}, dot {ending}"
    return f"{_letters(local)}, at, {host}"


def _letters(text: str) -> str:
    """Letter by letter, signs as words: "J-O-H-N, dot, S-M-I-T-H"."""
    runs = re.split(r"([-._+'])", text)
    return ", ".join(SAID.get(run, "-".join(run.upper())) for run in runs if run)


def _clipped(reason: str) -> str:
    return reason if len(reason) <= 160 else shown(reason)
