"""Priming: a small answer in text, outside the conversation, that makes the provider read the prompt before it is needed.

Off unless PRIME_MODEL is on. It may fill the provider's prompt cache for the greeting; whether it does is the provider's secret,
so what it cost and what was cached is counted with the call (docs/03-prewarm.md).
"""

import msgspec

from app.core import events as ev
from app.wire import realtime
from app.wire.dialects import Dialect

PRIME_ID = "prime"
"""event_id of the request; it comes back if the server refuses it."""
PRIME_SECONDS = 1.0
"""How long the opening waits for it at most; it never waits once the stream has started."""
TOKENS = 16


def prime(dialect: Dialect) -> bytes:
    """Ask for it. Source: openai-realtime facts, "Out-of-band response": null conversation_id and metadata tell it apart."""
    response = {
        "conversation": "none",
        "metadata": {"kind": PRIME_ID},
        **dialect.modality(True),
        dialect.answer_limit: TOKENS,
    }
    return msgspec.json.encode({"type": "response.create", "event_id": PRIME_ID, "response": response})


def primed(message: realtime.Message | None) -> bool:
    """Whether this message is the end of it: done, failed or refused."""
    match message:
        case ev.ResponseDone():
            return True
        case ev.ModelComplained(event_id=event_id):
            return event_id == PRIME_ID
    return False
