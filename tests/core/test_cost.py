"""What a response cost, from every shape of `usage` that servers send."""

from typing import Any

import pytest

from app.core.cost import cost_usd
from app.rules.prices import FLAGSHIP, FLAGSHIP_1, MINI, OURS

M = 1_000_000


@pytest.mark.parametrize(
    ("model", "price"),
    [
        ("gpt-realtime-2.1", FLAGSHIP),
        ("gpt-realtime-1.5", FLAGSHIP_1),
        ("gpt-realtime-2025-08-28", FLAGSHIP_1),
        ("gpt-realtime-mini-2025-12-15", MINI),
        ("gpt-realtime-2.1-mini", MINI),
        ("somebody-elses-model", FLAGSHIP),
        ("", FLAGSHIP),
    ],
)
def test_a_models_price_is_found_by_its_name_or_its_longest_prefix(model: str, price: object) -> None:
    assert OURS.of(model) == price


def test_text_and_audio_have_prices_of_their_own() -> None:
    usage = {
        "input_token_details": {"text_tokens": M, "audio_tokens": M},
        "output_token_details": {"text_tokens": M, "audio_tokens": M},
    }
    assert cost_usd("gpt-realtime-2.1", usage) == pytest.approx(4 + 32 + 24 + 64)
    assert cost_usd("gpt-realtime-1.5", usage) == pytest.approx(4 + 32 + 16 + 64)
    assert cost_usd("gpt-realtime-mini", usage) == pytest.approx(0.6 + 10 + 2.4 + 20)


def test_cached_tokens_are_taken_out_of_the_input() -> None:
    cached = {"text_tokens": M, "audio_tokens": M}
    usage = {"input_token_details": {"text_tokens": 2 * M, "audio_tokens": 2 * M, "cached_tokens_details": cached}}
    assert cost_usd("gpt-realtime-1.5", usage) == pytest.approx(4 + 0.4 + 32 + 0.4)


def test_a_server_that_only_says_how_many_were_cached_means_text() -> None:
    usage = {"input_token_details": {"text_tokens": M, "audio_tokens": M, "cached_tokens": 2 * M}}
    assert cost_usd("gpt-realtime-1.5", usage) == pytest.approx(0.4 + 32)


def test_the_other_spelling_is_understood() -> None:
    usage = {"input_tokens_details": {"audio_tokens": M}, "output_tokens_details": {"audio_tokens": M}}
    assert cost_usd("gpt-realtime-1.5", usage) == pytest.approx(32 + 64)


@pytest.mark.parametrize(
    "usage",
    [
        None,
        {},
        {"input_token_details": None, "output_token_details": None},
        {"input_token_details": [], "output_token_details": "many"},
        {"input_token_details": {"text_tokens": None, "audio_tokens": "7", "cached_tokens_details": 3}},
        {"input_token_details": {"text_tokens": -5, "audio_tokens": True, "cached_tokens": -1}},
    ],
)
def test_what_is_no_number_costs_nothing(usage: dict[str, Any] | None) -> None:
    assert cost_usd("gpt-realtime-1.5", usage) == 0.0


def test_more_cached_than_sent_is_never_a_refund() -> None:
    usage = {"input_token_details": {"text_tokens": 1, "cached_tokens_details": {"text_tokens": M, "audio_tokens": M}}}
    assert cost_usd("gpt-realtime-1.5", usage) == pytest.approx(0.8)
