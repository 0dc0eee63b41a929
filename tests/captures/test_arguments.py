"""Captured types in a tool's signature: a plain string to the model, a captured value to the tool."""

from typing import Annotated, Any

import pytest

from app.mode import (
    Captured,
    Confirmed,
    DateRule,
    DigitRule,
    DigitString,
    EmailAddress,
    LocalDate,
    LocalMoment,
    LocalTime,
    PersonName,
    PhoneNumber,
    PostalCode,
    SpelledWord,
    ToolError,
    about,
    tool,
)


@tool
async def write_down(
    name: PersonName,
    phone: Annotated[PhoneNumber, about("to ring back on")],
    email: Confirmed[EmailAddress],
    zip_code: PostalCode,
    order: Confirmed[Annotated[DigitString, DigitRule(lengths=(8,), checksum="luhn")]],
    street: SpelledWord,
    born: Annotated[LocalDate, DateRule(past=True), about("birthday")],
    at: LocalTime,
    visit: Confirmed[LocalMoment] | None = None,
    other: Annotated[PhoneNumber | None, about("a second number")] = None,
    people: int = 1,
) -> str:
    """Write all of it down."""
    return f"{name} {phone.value} {people}"


def test_the_model_sees_strings_that_say_how_to_send_what_was_heard() -> None:
    optional = {"anyOf": [{"type": "string"}, {"type": "null"}], "default": None}
    assert write_down.parameters == {
        "type": "object",
        "properties": {
            "name": {
                "type": "string",
                "description": 'a name; if spelled, the letters as heard: "Smith, S as in Sam, M, I, double T"',
            },
            "phone": {
                "type": "string",
                "description": 'to ring back on: a phone number, all of it: digits as heard, with "+" if it is foreign',
            },
            "email": {
                "type": "string",
                "description": 'an e-mail address as heard: "J as in John, O, H, N, dot smith at gmail dot com"',
            },
            "zip_code": {"type": "string", "description": "a postal code as heard"},
            "order": {"type": "string", "description": 'digits as heard: "four one five, double two"'},
            "street": {
                "type": "string",
                "description": 'spelled letters and digits as heard: "K as in king, B, seven, double O"',
            },
            "born": {"type": "string", "description": 'birthday: a day as heard: "next Tuesday", "November 24"'},
            "at": {
                "type": "string",
                "description": 'a time of day as heard, with am or pm if it was said: "half past two"',
            },
            "visit": {"description": 'a day and time as heard: "next Tuesday at half past two"', **optional},
            "other": {
                "description": 'a second number: a phone number, all of it: digits as heard, with "+" if it is foreign',
                **optional,
            },
            "people": {"type": "integer", "default": 1},
        },
        "required": ["name", "phone", "email", "zip_code", "order", "street", "born", "at"],
        "additionalProperties": False,
    }


def test_what_is_demanded_and_what_may_be_left_out_is_read_from_the_signature() -> None:
    wanted = write_down.captures
    assert [name for name, want in wanted.items() if want.demanded] == ["email", "order", "visit"]
    assert [name for name, want in wanted.items() if want.optional] == ["visit", "other"]
    assert (wanted["order"].rule, wanted["born"].rule) == (DigitRule((8,), "luhn"), DateRule(past=True))
    assert "people" not in wanted


def test_a_value_that_is_no_string_is_told_to_the_model() -> None:
    with pytest.raises(ToolError, match="phone"):
        write_down.check('{"phone": 4155550100}')


async def _in_a_list(phones: list[PhoneNumber]) -> str:
    """Take many."""
    return ""


async def _one_or_other(who: PhoneNumber | EmailAddress) -> str:
    """Take either."""
    return ""


async def _of_any_kind(what: Captured[str]) -> str:
    """Take anything."""
    return ""


async def _of_no_kind(name: Confirmed[str]) -> str:
    """Take any text."""
    return ""


async def _with_limits(phone: Annotated[PhoneNumber, about("ten digits", pattern="^[0-9]+$")]) -> str:
    """Take one with limits."""
    return ""


async def _with_a_rule_of_another_kind(name: Annotated[PersonName, DigitRule()]) -> str:
    """Take one with a rule."""
    return ""


async def _with_a_default(phone: PhoneNumber = PhoneNumber("+14155550100")) -> str:  # noqa: B008
    """Take one, or ours."""
    return ""


@pytest.mark.parametrize(
    ("function", "says"),
    [
        (_in_a_list, "captured type alone"),
        (_one_or_other, "captured type alone"),
        (_of_any_kind, "captured type alone"),
        (_of_no_kind, "captured type alone"),
        (_with_limits, "without limits"),
        (_with_a_rule_of_another_kind, "no use for DigitRule"),
        (_with_a_default, r"PhoneNumber \| None = None"),
    ],
    ids=lambda part: getattr(part, "__name__", ""),
)
def test_what_cannot_be_captured_is_refused_at_start_up(function: Any, says: str) -> None:
    with pytest.raises(TypeError, match=says) as refused:
        tool(function)
    assert str(refused.value).startswith(f"tool {function.__name__!r}: argument ")
