"""Phone numbers, postal codes and digit strings, however their digits were said."""

import phonenumbers
import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.captures.captured import DigitRule, DigitString, PhoneNumber, PostalCode
from app.captures.codes import luhn_holds, mod11_holds
from app.errors import ToolError
from tests.captures.scene import here, reading, value

WORDS = ["zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine"]


@pytest.mark.parametrize(
    ("heard", "number"),
    [
        ("four one five, five five five, oh one double oh", "+14155550100"),
        ("415-555-0100", "+14155550100"),
        ("(415) 555 0100", "+14155550100"),
        ("415.555.0100", "+14155550100"),
        ("4 1 5 5 5 5 0 1 0 0 #", "+14155550100"),
        ("(The caller pressed 4 1 5 5 5 5 0 1 0 0 # on the keypad.)", "+14155550100"),
        ("+1 415 555 0100", "+14155550100"),
        ("it's area code 415 then triple five 0100", "+14155550100"),
        ("four fifteen five fifty-five oh one hundred", "+14155550100"),
        ("one eight hundred five five five oh one nine nine", "+18005550199"),
        ("plus four four twenty seventy nine forty six double oh eighteen", "+442079460018"),
        ("011 44 20 7946 0018", "+442079460018"),
        ("٤١٥ ٥٥٥ ٠١٠٠", "+14155550100"),
        ("４１５５５５０１００", "+14155550100"),
    ],
)
def test_a_phone_number_becomes_e164(heard: str, number: str) -> None:
    assert value(PhoneNumber, heard) == number
    assert value(PhoneNumber, number) == number


@pytest.mark.parametrize(
    ("heard", "says"),
    [
        ("5550100", "area code"),
        ("415 555 010", "no phone number"),
        ("415 555 01000", "no phone number"),
        ("911", "no phone number"),
        ("011 999 12345678", "no phone number"),
        ("+" * 20, "expected digits"),
        ("plus", "no digits"),
        ("900 555 0100", "premium"),
        ("415 555 0100 extension 12", "directly"),
        ("415 555 0100 x12", "directly"),
        ("four one five flowers", "'flowers'"),
        ("my own one", "'own'"),
        ("²³", "expected digits"),
        ("4*1", "expected digits"),
        ("9" * 290, "no phone number"),
    ],
)
def test_what_is_no_phone_number_is_refused_with_the_reason(heard: str, says: str) -> None:
    with pytest.raises(ToolError, match=says) as refused:
        reading(PhoneNumber, heard)
    assert len(str(refused.value)) < 200


def test_a_number_is_read_back_in_the_groups_of_its_country() -> None:
    assert reading(PhoneNumber, "4155550100").aloud == "4 1 5, 5 5 5, 0 1 0 0"
    assert reading(PhoneNumber, "+442079460018").aloud == "plus 4 4, 2 0, 7 9 4 6, 0 0 1 8"


def test_the_office_s_country_says_what_a_number_without_a_plus_is() -> None:
    assert value(PhoneNumber, "020 7946 0018", scene=here("GB")) == "+442079460018"
    assert reading(PhoneNumber, "020 7946 0018", scene=here("GB")).aloud == "0 2 0, 7 9 4 6, 0 0 1 8"


@given(st.from_regex(r"[2-9][0-8][2-9]5550[1][0-9]{2}", fullmatch=True))
def test_a_number_of_ten_digits_is_the_same_said_typed_or_written(digits: str) -> None:
    number = phonenumbers.parse(digits, "US")
    if not phonenumbers.is_valid_number(number) or digits.startswith("9"):
        return
    said = ", ".join(WORDS[int(digit)] for digit in digits)
    for heard in (said, " ".join(digits) + " #", digits, reading(PhoneNumber, digits).aloud):
        assert value(PhoneNumber, heard) == f"+1{digits}"


@pytest.mark.parametrize(
    ("country", "heard", "code"),
    [
        ("US", "nine four one oh five", "94105"),
        ("US", "94105", "94105"),
        ("US", "my zip code is 94105", "94105"),
        ("US", "9 4 1 0 5 #", "94105"),
        ("US", "nine four one zero five dash one two three four", "94105-1234"),
        ("US", "94105-1234", "94105-1234"),
        ("CA", "K 1 A, O B 1", "K1A 0B1"),
        ("CA", "kilo one alpha zero bravo one", "K1A 0B1"),
        ("CA", "k1a0b1", "K1A 0B1"),
        ("GB", "S W one A one double A", "SW1A 1AA"),
        ("GB", "SW1A 1AA", "SW1A 1AA"),
        ("GB", "M 1 1 A E", "M1 1AE"),
        ("GB", "O X oh eight A B", "OX0 8AB"),
        ("DE", "1 0 1 1 7", "10117"),
        ("NL", "ten twelve A B", "1012 AB"),
        ("AT", "ten ten", "1010"),
        ("BR", "01310100", "01310100"),
    ],
)
def test_a_postal_code_is_written_as_in_its_country(country: str, heard: str, code: str) -> None:
    assert value(PostalCode, heard, scene=here(country)) == code
    assert value(PostalCode, code, scene=here(country)) == code


@pytest.mark.parametrize(
    ("country", "heard"),
    [
        ("US", "9410"),
        ("US", "K1A 0B1"),
        ("CA", "94105"),
        ("CA", "D1A 0B1"),
        ("GB", "123456"),
        ("US", "somewhere nice"),
        ("US", "€"),
        ("NL", "0012 AB"),
    ],
)
def test_what_is_no_postal_code_there_is_refused(country: str, heard: str) -> None:
    with pytest.raises(ToolError):
        reading(PostalCode, heard, scene=here(country))


@pytest.mark.parametrize(
    ("heard", "rule", "digits"),
    [
        ("one two three", None, "123"),
        ("twenty one, double five", None, "2155"),
        ("1 2 3 4 #", DigitRule(lengths=(4,)), "1234"),
        ("4539 1488 0343 6467", DigitRule(lengths=(16,), checksum="luhn"), "4539148803436467"),
        ("seven nine nine two seven three nine eight seven one three", DigitRule(checksum="luhn"), "79927398713"),
        ("943 476 5919", DigitRule(lengths=(10,), checksum="mod11", weights=tuple(range(2, 11))), "9434765919"),
        ("12345678903", DigitRule(lengths=(11,), checksum="mod11"), "12345678903"),
        ("१२३", None, "123"),
    ],
)
def test_digits_with_the_right_length_and_check_digit(heard: str, rule: DigitRule | None, digits: str) -> None:
    assert value(DigitString, heard, rule) == digits


@pytest.mark.parametrize(
    ("heard", "rule", "says"),
    [
        ("123", DigitRule(lengths=(4, 6)), "expected 4 or 6 digits, got 3"),
        ("1" * 33, None, "1 to 32"),
        ("4539 1488 0343 6468", DigitRule(checksum="luhn"), "check digit"),
        ("943 476 5918", DigitRule(checksum="mod11", weights=tuple(range(2, 11))), "check digit"),
        ("1", DigitRule(checksum="mod11"), "check digit"),
        ("A B C", None, "expected digits"),
        ("", None, "empty"),
    ],
)
def test_digits_that_were_misheard_are_refused(heard: str, rule: DigitRule | None, says: str) -> None:
    with pytest.raises(ToolError, match=says):
        reading(DigitString, heard, rule)


@given(st.text(alphabet="0123456789", min_size=1, max_size=15), st.integers(1, 9), st.data())
def test_both_checksums_find_every_single_misheard_digit(body: str, off: int, data: st.DataObject) -> None:
    place = data.draw(st.integers(0, len(body)))
    for holds in (luhn_holds, lambda digits: mod11_holds(digits, (2, 3, 4, 5, 6, 7))):
        right = [body + check for check in "0123456789" if holds(body + check)]
        assert len(right) <= 1
        for digits in right:
            wrong = str((int(digits[place]) + off) % 10)
            assert not holds(digits[:place] + wrong + digits[place + 1 :])


@given(st.text(alphabet="0123456789", min_size=1, max_size=32))
def test_any_digits_are_the_same_said_typed_or_read_back(digits: str) -> None:
    aloud = reading(DigitString, digits).aloud
    for heard in (" ".join(WORDS[int(digit)] for digit in digits), " ".join(digits) + "#", aloud):
        assert value(DigitString, heard) == digits


@pytest.mark.parametrize(
    "wrong", [{"lengths": (0,)}, {"lengths": (33,)}, {"checksum": "crc"}, {"weights": ()}, {"weights": (11,)}]
)
def test_a_rule_that_no_digits_can_follow_is_refused_at_start_up(wrong: dict[str, object]) -> None:
    with pytest.raises(ValueError, match="DigitRule"):
        DigitRule(**wrong)  # type: ignore[arg-type]
