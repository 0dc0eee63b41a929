"""What a response cost: the provider's `usage` against a price table by model."""

from typing import Any

import msgspec

from app.rules.prices import OURS, Prices

MOST_TOKENS = 10_000_000
"""Of one kind in one response: no model reads a hundredth of it, and a call's sum of them fits the books."""


def cost_usd(model: str, usage: dict[str, Any] | None, prices: Prices = OURS) -> float:
    """Dollars for one response. usage: as in response.done; every field may be missing, null or spelt the other way.

    Cached tokens are a part of the input tokens, and are taken out of them. Source: realtime-costs guide. Where another voice
    spoke it, `usage.speech` says so: {model, characters}.
    """
    price, tokens = prices.of(model), used(usage)
    return (
        _speech_usd(usage, prices)
        + (
            tokens.text_in * price.text_in
            + tokens.text_cached * price.text_cached
            + tokens.audio_in * price.audio_in
            + tokens.audio_cached * price.audio_cached
            + tokens.text_out * price.text_out
            + tokens.audio_out * price.audio_out
        )
        / 1_000_000
    )


def _speech_usd(usage: dict[str, Any] | None, prices: Prices) -> float:
    speech = _part(usage or {}, "speech")
    characters = _count(speech, "characters")
    return characters / 1000 * prices.speech_of(str(speech.get("model", ""))) if characters else 0.0


class Used(msgspec.Struct, frozen=True):
    """Tokens of one response, each kind by itself: cached ones are not counted in the others."""

    text_in: int = 0
    text_cached: int = 0
    audio_in: int = 0
    audio_cached: int = 0
    text_out: int = 0
    audio_out: int = 0


def used(usage: dict[str, Any] | None) -> Used:
    """The tokens that a response is paid for by; usage as above."""
    if not usage:
        return Used()
    inputs = _part(usage, "input_token_details", "input_tokens_details")
    outputs = _part(usage, "output_token_details", "output_tokens_details")
    cached = _part(inputs, "cached_tokens_details")
    text_in, audio_in = _count(inputs, "text_tokens"), _count(inputs, "audio_tokens")
    text_cached, audio_cached = _count(cached, "text_tokens"), _count(cached, "audio_tokens")
    if not cached:  # the flat dialect says only how many in all: text is the usual prefix
        text_cached = min(_count(inputs, "cached_tokens"), text_in)
    return Used(
        text_in=max(0, text_in - text_cached),
        text_cached=text_cached,
        audio_in=max(0, audio_in - audio_cached),
        audio_cached=audio_cached,
        text_out=_count(outputs, "text_tokens"),
        audio_out=_count(outputs, "audio_tokens"),
    )


class InputTokens(msgspec.Struct, frozen=True):
    """What a response read. Cached tokens are a part of all, and audio's of both."""

    total: int = 0
    cached: int = 0
    audio: int = 0
    cached_audio: int = 0


def input_tokens(usage: dict[str, Any] | None) -> InputTokens:
    """What one response read, and how much of it the provider had in its cache; usage as above.

    The flat dialect tells the cached share of audio not: it counts as text then.
    """
    if not usage:
        return InputTokens()
    inputs = _part(usage, "input_token_details", "input_tokens_details")
    parts = _part(inputs, "cached_tokens_details")
    audio = _count(inputs, "audio_tokens")
    total = _count(usage, "input_tokens") or audio + _count(inputs, "text_tokens") + _count(inputs, "image_tokens")
    cached = _count(inputs, "cached_tokens") or sum(
        _count(parts, kind) for kind in ("text_tokens", "audio_tokens", "image_tokens")
    )
    total = min(total, MOST_TOKENS)
    cached, audio = min(cached, total), min(audio, total)
    return InputTokens(total, cached, audio, min(_count(parts, "audio_tokens"), audio, cached))


MOST_SECONDS = 3600.0
"""Of speech in one turn."""
TOKENS_A_SECOND = 10


def speech_seconds(usage: dict[str, Any] | None) -> float:
    """How much speech a transcription wrote down, by its own `usage`: of type `duration`, or `tokens`. 0 where it does not say.

    Source: the OpenAPI file's TranscriptTextUsageDuration and TranscriptTextUsageTokens; ten tokens are a second of sound.
    """
    if not usage:
        return 0.0
    seconds = usage.get("seconds")
    if isinstance(seconds, int | float) and not isinstance(seconds, bool) and seconds > 0:
        return min(seconds, MOST_SECONDS)
    tokens = _count(_part(usage, "input_token_details", "input_tokens_details"), "audio_tokens")
    return min(tokens / TOKENS_A_SECOND, MOST_SECONDS)


def _part(usage: dict[str, Any], *names: str) -> dict[str, Any]:
    """The first of several spellings that is an object."""
    return next((value for name in names if isinstance(value := usage.get(name), dict)), {})


def _count(usage: dict[str, Any], name: str) -> int:
    """A number of tokens, 0 for anything that is none."""
    value = usage.get(name)
    return min(value, MOST_TOKENS) if isinstance(value, int) and not isinstance(value, bool) and value > 0 else 0
