"""How a mode begins a call: a line of the user's, instructions of the first response, or not at all."""

import json
from typing import Any

import msgspec
import pytest

from app.adapters.opening import Opening
from app.calls.first_words import first_words
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


@pytest.mark.parametrize("instructions", [True, False])
def test_a_flows_first_state_is_told_before_the_mode_opens_in_it(instructions: bool) -> None:
    mode = msgspec.structs.replace(receptionist, opening_instructions=instructions)
    opening = first_words(mode, PROMPT, Opening(state="We are closed."))
    state, *rest = [json.loads(command) for command in opening.commands(GA)]
    assert (state["item"]["role"], state["item"]["content"][0]["text"]) == ("system", "We are closed.")
    assert rest == sent(mode, GA)
    assert opening.speaks
    silent = first_words(msgspec.structs.replace(mode, opening=""), PROMPT, Opening(state="We are closed."))
    assert len(silent.commands(GA)) == 1
    assert not silent.speaks


def test_a_mode_without_an_opening_lets_the_caller_speak_first() -> None:
    mode = msgspec.structs.replace(receptionist, opening="", opening_instructions=True)
    assert sent(mode, GA) == []
    assert not first_words(mode, PROMPT).speaks


@pytest.mark.parametrize("dialect", [GA, FLAT], ids=lambda dialect: dialect.name)
@pytest.mark.parametrize("instructions", [True, False])
@pytest.mark.parametrize("opening", ["Greet the caller.", ""])
def test_an_announcement_is_asked_for_before_the_mode_s_own_opening(
    opening: str, instructions: bool, dialect: Dialect
) -> None:
    mode = msgspec.structs.replace(receptionist, opening=opening, opening_instructions=instructions)
    words = first_words(mode, PROMPT, Opening(sentence="This call is recorded."))
    assert words.speaks
    last = [json.loads(command) for command in words.commands(dialect)][-2:]
    asked = last[-1]["response"]["instructions"] if instructions else last[0]["item"]["content"][0]["text"]
    assert "word for word" in asked
    assert '"This call is recorded."' in asked
    assert asked.endswith(opening)
    if instructions:
        assert asked.startswith(PROMPT), "instructions of a response replace the prompt"
