"""Tokens: what a text costs a model, counted as the realtime models count, without a network.

The vocabulary is OpenAI's o200k_base, out of the tokenizer's own wheel. Loading it takes some 50 ms and the first count 100 more,
so nothing does so on the way to a call: `at_most` is enough to see that a text is well within its budget.
Why this package: docs/decisions/0008-tokenizer.md.
"""

import re
from functools import cache
from typing import Any, Protocol

import msgspec

VOCABULARY = "o200k_base"
REFERENCE_PROMPT = 478
"""Tokens of the reference prompt. A longer one costs on every turn, and the time to the first word with it."""

_COSTLY = re.compile(rb"[^A-Za-z \n]")


class _Tokenizer(Protocol):
    def encode_ordinary(self, text: str) -> list[int]: ...


def count(text: str) -> int:
    """How many tokens a text is. What looks like a special token is counted as the text it is."""
    return len(_tokenizer().encode_ordinary(text))


def count_tool(wire: dict[str, Any]) -> int:
    """How many tokens a tool is, as the JSON that `Tool.wire` puts into the session's configuration.

    A server writes tools for its model in a form of its own that nobody publishes; its count is near this one, not equal.
    """
    return count(msgspec.json.encode(wire).decode())


def at_most(text: str) -> int:
    """A ceiling of `count` that costs microseconds, some twice to three times the truth for English.

    No token is shorter than a byte; those of words have at least two on average, in anything that can be read.
    """
    size = len(raw := text.encode())
    costly = len(_COSTLY.findall(raw))
    return costly + -(-(size - costly) // 2)


def exceeds(text: str, budget: int) -> int:
    """The exact count if it is over the budget, else 0. The tokenizer is loaded only where the ceiling does not settle it."""
    if at_most(text) <= budget:
        return 0
    size = count(text)
    return size if size > budget else 0


@cache
def _tokenizer() -> _Tokenizer:
    from splintr import Tokenizer

    return Tokenizer.from_pretrained(VOCABULARY)
