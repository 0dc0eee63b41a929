"""Phone numbers as people say them, made E.164 by libphonenumber's rules for the office's country."""

import re

import phonenumbers
from phonenumbers import NumberParseException, PhoneNumberFormat, PhoneNumberType, ValidationResult

from app.captures.captured import Reading, Scene
from app.captures.heard import fit_to_read, in_groups
from app.captures.numerals import digits_of
from app.errors import ToolError

EXTENSION = re.compile(r"\b(?:ext|extn|extension|x)\b|\bx(?=\d)|(?<=\d)x(?=\d)", re.I)
WRONG = {
    ValidationResult.TOO_SHORT: "it is too short; the area code belongs to it",
    ValidationResult.TOO_LONG: "it is too long",
    ValidationResult.INVALID_COUNTRY_CODE: "there is no such country code",
    ValidationResult.IS_POSSIBLE_LOCAL_ONLY: "the area code is missing",
    ValidationResult.INVALID_LENGTH: "it has a wrong number of digits",
}


def read_phone(heard: str, rule: object, scene: Scene) -> Reading:
    """E.164. Read aloud in the groups of its country."""
    text = fit_to_read(heard)
    if EXTENSION.search(text):
        raise ToolError("extensions cannot be kept; ask for a number that rings directly")
    digits = digits_of(text)
    country = scene.office.country
    try:
        number = phonenumbers.parse(digits, country)
    except NumberParseException as wrong:
        raise ToolError(f"{digits[:20]} is no phone number: expected one with its area code") from wrong
    if not phonenumbers.is_valid_number(number):
        why = WRONG.get(phonenumbers.is_possible_number_with_reason(number), "there is no such number")
        raise ToolError(f"{digits[:20]} is no phone number: {why}")
    if phonenumbers.number_type(number) == PhoneNumberType.PREMIUM_RATE:
        raise ToolError("it is a premium-rate number; ask for an ordinary one")
    home = phonenumbers.region_code_for_number(number) == country
    written = phonenumbers.format_number(
        number, PhoneNumberFormat.NATIONAL if home else PhoneNumberFormat.INTERNATIONAL
    )
    aloud = in_groups(written) if home else f"plus {in_groups(written)}"
    return Reading(phonenumbers.format_number(number, PhoneNumberFormat.E164), aloud)
