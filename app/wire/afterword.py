"""The afterword on the model's wire: one question in text about a call that is over, outside any conversation, and its answer.

Source: openai-realtime facts, "Out-of-band response": `conversation: "none"` with `input` of its own; metadata comes back.
"""

from typing import Any

import msgspec

from app.errors import ModelRefused, PeerError
from app.others_words import misfit, one_word
from app.wire.dialects import Dialect

AFTERWORD_ID = "afterword"
"""event_id of the request, and its metadata's `kind`: a refusal has the one, an answer the other."""


class Afterword(msgspec.Struct, frozen=True):
    """What the model answered, and what it was paid for it: `usage` as in response.done."""

    response_id: str
    text: str
    usage: dict[str, Any] | None


class _Done(msgspec.Struct):
    type: str
    response: dict[str, Any] = {}
    error: dict[str, Any] = {}


_DONE = msgspec.json.Decoder(_Done)


def ask(dialect: Dialect, instructions: str, talk: str, most_tokens: int) -> bytes:
    """Ask for it. talk: the transcript, which is all that the model reads besides the instructions."""
    response = {
        "conversation": "none",
        "metadata": {"kind": AFTERWORD_ID},
        "instructions": instructions,
        "input": [{"type": "message", "role": "user", "content": [{"type": "input_text", "text": talk}]}],
        "tool_choice": "none",
        **dialect.modality(True),
        dialect.answer_limit: most_tokens,
    }
    return msgspec.json.encode({"type": "response.create", "event_id": AFTERWORD_ID, "response": response})


def answer(message: bytes | str) -> Afterword | None:
    """The answer, if this message is it; None for any other. Raises ModelRefused where the request was refused."""
    try:
        done = _DONE.decode(message)
    except (msgspec.DecodeError, UnicodeError, RecursionError) as wrong:
        if isinstance(wrong, msgspec.ValidationError):
            return None  # an event of another kind, which may have such fields of other types
        raise PeerError(f"expected a realtime event, got: {misfit(wrong)}") from wrong
    if done.type == "error" and done.error.get("event_id") == AFTERWORD_ID:
        code = one_word(str(done.error.get("code") or done.error.get("type") or "")) or "no code"
        raise ModelRefused(
            f"the model's server refuses an afterword ({code})", said=str(done.error.get("message") or "")
        )
    if done.type != "response.done":
        return None
    usage = done.response.get("usage")
    return Afterword(
        str(done.response.get("id") or ""),
        _text(done.response.get("output")),
        usage if isinstance(usage, dict) else None,
    )


def _text(output: Any) -> str:
    """All text of a response's messages; parts are spelt `text` and `output_text`."""
    items = [item for item in output if isinstance(item, dict)] if isinstance(output, list) else []
    parts = [part for item in items if isinstance(item.get("content"), list) for part in item["content"]]
    return "".join(part["text"] for part in parts if isinstance(part, dict) and isinstance(part.get("text"), str))
