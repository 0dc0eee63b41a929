"""What a response read, and how much of it was cached, from every shape of `usage` that servers send."""

from typing import Any

import pytest

from app.core.cost import InputTokens, input_tokens

GA = {
    "input_tokens": 1000,
    "input_token_details": {
        "text_tokens": 600,
        "audio_tokens": 400,
        "cached_tokens": 700,
        "cached_tokens_details": {"text_tokens": 500, "audio_tokens": 200},
    },
}


@pytest.mark.parametrize(
    ("usage", "read"),
    [
        (GA, InputTokens(1000, 700, 400, 200)),
        ({"input_tokens": 9, "input_tokens_details": {"text_tokens": 9, "cached_tokens": 4}}, InputTokens(9, 4)),
        (
            {"input_token_details": {"text_tokens": 6, "audio_tokens": 4, "cached_tokens": 5}},
            InputTokens(10, 5, 4, 0),
        ),
        ({"input_token_details": {"text_tokens": 6, "cached_tokens_details": {"text_tokens": 3}}}, InputTokens(6, 3)),
        ({"input_tokens": 7}, InputTokens(7)),
        ({"input_tokens": 5, "input_token_details": {"cached_tokens": 50, "audio_tokens": 50}}, InputTokens(5, 5, 5)),
        ({"input_tokens": "many", "input_token_details": None}, InputTokens()),
        ({}, InputTokens()),
        (None, InputTokens()),
    ],
)
def test_cached_tokens_are_a_part_of_what_was_read_in_every_spelling(
    usage: dict[str, Any] | None, read: object
) -> None:
    assert input_tokens(usage) == read
