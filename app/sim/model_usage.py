"""What a stand-in's response would have cost: tokens by length. Source: realtime costs guide, 10 tokens a second in, 20 out."""

import json
from collections.abc import Sequence
from typing import Any

from app.sim.model_conversation import Item
from app.sim.model_shapes import Dialect, Settings

CALLER_TOKEN_MS = 100
AGENT_TOKEN_MS = 50
LETTERS_A_TOKEN = 4


def usage(dialect: Dialect, settings: Settings, context: Sequence[Item], said: Sequence[Item]) -> dict[str, Any]:
    """The `usage` of a response: `context` is all that it read, `said` what it gave. Cached tokens are a part of the input."""
    head = _text_tokens(settings.instructions + json.dumps(settings.tools))
    before = [item for item in context if all(item is not other for other in said)]
    text_in, audio_in = _tokens(before)
    text_out, audio_out = _tokens(said)
    # a second answer finds the prompt in the cache
    cached = head if any(item.data.get("role") == "assistant" for item in before) else 0
    text_in += head
    details = {"text_tokens": text_in, "audio_tokens": audio_in, "cached_tokens": cached}
    if dialect == "ga":
        cached_details = {"text_tokens": cached, "audio_tokens": 0, "image_tokens": 0}
        details |= {"image_tokens": 0, "cached_tokens_details": cached_details}  # type: ignore[dict-item]
    return {
        "total_tokens": text_in + audio_in + text_out + audio_out,
        "input_tokens": text_in + audio_in,
        "output_tokens": text_out + audio_out,
        "input_token_details": details,
        "output_token_details": {"text_tokens": text_out, "audio_tokens": audio_out},
    }


def heard_usage(ms: int, transcript: str) -> dict[str, Any]:
    """The `usage` of a transcription of that much audio."""
    audio, text = max(1, ms // CALLER_TOKEN_MS), _text_tokens(transcript)
    return {
        "type": "tokens",
        "total_tokens": audio + text,
        "input_tokens": audio,
        "input_token_details": {"text_tokens": 0, "audio_tokens": audio},
        "output_tokens": text,
    }


def _tokens(items: Sequence[Item]) -> tuple[int, int]:
    """Text and audio tokens of items."""
    text = audio = 0
    for item in items:
        agent = item.data.get("role") == "assistant"
        audio += item.audio_ms // (AGENT_TOKEN_MS if agent else CALLER_TOKEN_MS)
        text += _text_tokens(item.transcript + item.data.get("arguments", "") + item.data.get("output", ""))
    return text, audio


def _text_tokens(text: str) -> int:
    return -(-len(text) // LETTERS_A_TOKEN)
