"""How a mode begins a call: a line of the user's, instructions of the first response, or not at all."""

import json
from typing import Any

import msgspec
import pytest

from app.main import first_words
from app.mode import Mode
from app.wire.dialects import FLAT, GA, Dialect
from modes.receptionist import mode as receptionist

PROMPT = "You answer the phone. Never guess."


def sent(mode: Mode, dialect: Dialect) -> list[dict[str, Any]]:
    return [json.loads(command) for command in first_words(mode, PROMPT).commands(dialect)]


@pytest.mark.parametrize("dialect", [GA, FLAT], ids=lambda dialect: dialect.name)
def test_a_mode_opens_with_a_user_line_and_a_bare_request_for_a_response(dialect: Dialect) -> None:
    line, request = sent(receptionist, dialect)
    assert line["item"]["role"] == "user"
    assert line["item"]["content"] == [{"type": "input_text", "text": receptionist.opening}]
    assert request == {"type": "response.create", "event_id": "opening"}


@pytest.mark.parametrize("dialect", [GA, FLAT], ids=lambda dialect: dialect.name)
def test_instructions_of_the_first_response_carry_the_whole_prompt(dialect: Dialect) -> None:
    mode = msgspec.structs.replace(receptionist, opening="Say hello.", opening_instructions=True)
    (request,) = sent(mode, dialect)
    assert request["type"] == "response.create"
    assert request["response"]["instructions"] == PROMPT + "\n\nSay hello."


def test_a_mode_without_an_opening_lets_the_caller_speak_first() -> None:
    mode = msgspec.structs.replace(receptionist, opening="", opening_instructions=True)
    assert sent(mode, GA) == []
    assert not first_words(mode, PROMPT).speaks
