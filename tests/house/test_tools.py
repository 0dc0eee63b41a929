"""Tools: a function's signature is the schema that the model reads and the check of what it sends."""

import json
from datetime import date
from typing import Annotated, Any, Literal

import msgspec
import pytest

from app.errors import ToolError
from app.mode import CallContext, Tool, about, tool


class Address(msgspec.Struct):
    street: str


@tool(deadline_seconds=5, filler="One moment.")
async def book(
    call: CallContext,
    name: Annotated[str, about("last name", min_length=1)],
    day: date,
    part: Literal["morning", "afternoon", "any"] = "any",
    people: int | None = None,
) -> str:
    """Book a table.

    Ask for the name first.
    """
    return f"{call!r} {name} {day} {part} {people}"


@tool
async def nothing() -> str:
    """Do nothing."""
    return "done"


@tool
async def deliver(to: Address) -> str:
    """Deliver."""
    return to.street


def test_the_signature_is_the_schema() -> None:
    assert book.parameters == {
        "type": "object",
        "properties": {
            "name": {"type": "string", "minLength": 1, "description": "last name"},
            "day": {"type": "string", "format": "date"},
            "part": {"enum": ["afternoon", "any", "morning"], "default": "any"},
            "people": {"anyOf": [{"type": "integer"}, {"type": "null"}], "default": None},
        },
        "required": ["name", "day"],
        "additionalProperties": False,
    }


def test_a_tool_is_listed_flat_with_its_docstring() -> None:
    assert book.wire() == {
        "type": "function",
        "name": "book",
        "description": "Book a table.\n\nAsk for the name first.",
        "parameters": book.parameters,
    }
    assert nothing.wire() == {
        "type": "function",
        "name": "nothing",
        "description": "Do nothing.",
        "parameters": {"type": "object", "properties": {}, "required": [], "additionalProperties": False},
    }
    json.dumps([book.wire(), nothing.wire(), deliver.wire()])


def test_a_struct_s_definition_stays_beside_what_refers_to_it() -> None:
    assert deliver.parameters["properties"]["to"] == {"$ref": "#/$defs/Address"}
    assert deliver.parameters["$defs"]["Address"]["properties"] == {"street": {"type": "string"}}
    assert "$defs" not in book.parameters


def test_the_context_is_hidden_from_the_model_and_cannot_be_sent_by_it() -> None:
    assert book.context_name == "call"
    assert "call" not in book.parameters["properties"]
    with pytest.raises(ToolError, match="call"):
        book.check('{"name":"Ada","day":"2026-11-23","call":{}}')


def test_arguments_come_out_as_the_function_takes_them() -> None:
    assert book.check('{"name":"Ada","day":"2026-11-23","part":"morning"}') == {
        "name": "Ada",
        "day": date(2026, 11, 23),
        "part": "morning",
        "people": None,
    }
    assert nothing.check("{}") == {}
    assert nothing.check("") == {}, "a model may send nothing at all where there is nothing to send"
    assert deliver.check('{"to":{"street":"Main"}}') == {"to": Address("Main")}


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ('{"day":"2026-11-23"}', "name"),
        ('{"name":"","day":"2026-11-23"}', "name"),
        ('{"name":7,"day":"2026-11-23"}', "name"),
        ('{"name":"Ada","day":"Monday"}', "day"),
        ('{"name":"Ada","day":"2026-02-30"}', "day"),
        ('{"name":"Ada","day":"2026-11-23","part":"night"}', "part"),
        ('{"name":"Ada","day":"2026-11-23","colour":"red"}', "colour"),
        ('{"name":"Ada","day":"2026-11-23","people":"two"}', "people"),
        ("[]", "object"),
        ("null", "object"),
        ('"name"', "object"),
        ("{", "not JSON"),
        ("name: Ada", "not JSON"),
        ("", "name"),
    ],
)
def test_wrong_arguments_are_told_to_the_model_with_what_to_do(arguments: str, says: str) -> None:
    with pytest.raises(ToolError, match="book") as refused:
        book.check(arguments)
    assert says in str(refused.value)
    assert "call it again" in str(refused.value).lower()


def test_arguments_nested_without_end_are_the_model_s_fault() -> None:
    with pytest.raises(ToolError):
        book.check('{"x":' + "[" * 20_000 + "]" * 20_000 + "}")


def test_arguments_that_cannot_be_utf_8_are_the_model_s_fault() -> None:
    with pytest.raises(ToolError):
        book.check('{"name":"\ud800"}')


async def test_the_function_gets_its_context_by_type() -> None:
    values = book.check('{"name":"Ada","day":"2026-11-23"}')
    assert await book.call(values, "the call") == "'the call' Ada 2026-11-23 any None"
    assert await nothing.call({}, "the call") == "done"
    assert "call" not in values


def test_deadline_and_filler_have_defaults() -> None:
    assert (book.deadline_seconds, book.filler) == (5, "One moment.")
    assert (nothing.deadline_seconds, nothing.filler) == (3.0, "")


def test_what_cannot_be_a_tool_is_refused_with_the_reason() -> None:
    def blocking() -> str:
        """Block."""
        return ""

    async def silent() -> str:
        return ""

    async def blank() -> str:
        """ """
        return ""

    async def untyped(name) -> str:  # type: ignore[no-untyped-def]
        """Take anything."""
        return ""

    async def spread(*names: str) -> str:
        """Take many."""
        return ""

    async def named(**names: str) -> str:
        """Take many by name."""
        return ""

    async def positional(name: str, /) -> str:
        """Take it by place."""
        return ""

    for function, says in (
        (blocking, "async"),
        (silent, "docstring"),
        (blank, "docstring"),
        (untyped, "'name' has no type"),
        (spread, "'names' must have a name of its own"),
        (named, "'names' must have a name of its own"),
        (positional, "'name' must have a name of its own"),
    ):
        with pytest.raises(TypeError, match=says) as refused:
            tool(function)
        assert f"tool {function.__name__!r}" in str(refused.value)


def test_a_type_that_no_json_can_hold_is_refused_by_the_tool_s_name() -> None:
    async def odd(function: type[Any]) -> str:
        """Take a type."""
        return ""

    with pytest.raises(TypeError, match="tool 'odd'"):
        tool(odd)


def test_a_tool_is_a_frozen_tool() -> None:
    assert isinstance(nothing, Tool)
    with pytest.raises(AttributeError):
        nothing.name = "other"  # type: ignore[misc]
