"""Prices: the table that comes with the house, what offhook.toml puts over it, and models that nobody knows."""

from pathlib import Path

import pytest
from structlog.testing import capture_logs

from app.calls.spending import warn_of_guesses
from app.core.cost import cost_usd, speech_seconds
from app.errors import SetupError
from app.rules.prices import FLAGSHIP, MINI, OURS, TRANSCRIPTION, Price, Prices
from app.settings import load

FILE = """
[prices]
telephone_minute = 0.0085

[prices.transcription]
house-whisper = 0.002

[prices.models.house-model]
text_in = 1
text_cached = 0.1
text_out = 2
audio_in = 3
audio_cached = 0.3
audio_out = 100
"""


def prices(tmp_path: Path, text: str) -> Prices:
    (tmp_path / "offhook.toml").write_text(text)
    return load({}, root=tmp_path).prices


def test_the_file_s_prices_go_before_ours(tmp_path: Path) -> None:
    table = prices(tmp_path, FILE)
    assert table.of("house-model") == table.of("house-model-2026-01-01") == Price(1, 0.1, 2, 3, 0.3, 100)
    assert table.of("gpt-realtime-mini") == MINI
    assert (table.telephone_minute, table.minute_of("house-whisper")) == (0.0085, 0.002)
    assert cost_usd("house-model", {"output_token_details": {"audio_tokens": 1000}}, table) == pytest.approx(0.1)


def test_an_unknown_model_counts_as_the_dearest_of_all_and_is_said_at_the_start(tmp_path: Path) -> None:
    table = prices(tmp_path, FILE)
    assert OURS.of("whose-is-this") == FLAGSHIP
    assert table.of("whose-is-this") == Price(4, 0.40, 24, 32, 0.40, 100)
    assert OURS.minute_of("whose-is-this") == max(TRANSCRIPTION.values())
    assert OURS.minute_of("") == 0.0
    with capture_logs() as logs:
        warn_of_guesses(table, ["gpt-realtime-1.5", "house-model", "whose-is-this"])
    assert [line["model"] for line in logs] == ["whose-is-this"]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[prices]\ntelephone_minute = -1", "prices.telephone_minute: expected dollars from 0 to 10,000, got -1"),
        ("[prices]\ntelephone_minute = nan", "prices.telephone_minute: expected dollars"),
        ('[prices.transcription]\nx = "free"', "prices"),
        ("[prices.models.x]\ntext_in = 1", "prices"),
        (FILE + "image_in = 5", "image_in"),
    ],
)
def test_what_is_no_price_is_refused(tmp_path: Path, text: str, said: str) -> None:
    with pytest.raises(SetupError, match=said):
        prices(tmp_path, text)


@pytest.mark.parametrize(
    ("usage", "seconds"),
    [
        (None, 0.0),
        ({}, 0.0),
        ({"type": "duration", "seconds": 2.5}, 2.5),
        ({"type": "tokens", "input_token_details": {"audio_tokens": 30}}, 3.0),
        ({"seconds": "9"}, 0.0),
        ({"seconds": True}, 0.0),
        ({"seconds": -4}, 0.0),
        ({"seconds": 10**400}, 3600.0),
        ({"seconds": 1e308}, 3600.0),
    ],
)
def test_how_much_speech_was_written_down_is_in_its_usage(usage: dict[str, object] | None, seconds: float) -> None:
    assert speech_seconds(usage) == seconds
