"""Raw protocol events for the debug log, apart from the record: audio is left out, and so are deltas."""

import re
from datetime import UTC, datetime
from typing import Any, Literal

import msgspec

from app.core.rows import DebugEvent

AUDIO_KEYS = ("audio", "payload", "delta")
_audio = re.compile(rb'"(?:audio|payload|delta)"\s*:\s*["\[]').search
"""Where a text may have audio under a key that is spelled out: most have it nowhere, though many name its format."""


class _Plain(msgspec.Struct):
    """Any JSON object: it is checked to be one, and kept as the text that it is."""


_PLAIN = msgspec.json.Decoder(_Plain)


def debug_event(call_sid: str, source: Literal["carrier", "model"], text: bytes | str) -> DebugEvent | None:
    """A raw event for the debug log, apart from the record; audio is left out, and so are deltas."""
    if isinstance(text, str):
        text = text.encode(errors="replace")
    if text.find(b'.delta"', 0, 120) >= 0:
        return None
    try:
        if b"\\u" not in text and _audio(text) is None:  # an escape may be a letter of such a key
            _PLAIN.decode(text)
            return DebugEvent(call_sid=call_sid, at=datetime.now(UTC), source=source, event=msgspec.Raw(text))
        event = msgspec.json.decode(text)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
    if not isinstance(event, dict) or str(event.get("type", "")).endswith(".delta"):
        return None
    return DebugEvent(call_sid=call_sid, at=datetime.now(UTC), source=source, event=without_audio(event))


def without_audio(value: Any) -> Any:
    """A copy of a JSON value in which audio is replaced by its length."""
    if isinstance(value, dict):
        return {
            key: f"<{len(item)} characters of audio>"
            if key in AUDIO_KEYS and isinstance(item, str)
            else without_audio(item)
            for key, item in value.items()
        }
    return [without_audio(item) for item in value] if isinstance(value, list) else value
