"""Raw protocol events for the debug log, apart from the record: audio is left out, and so are deltas."""

from datetime import UTC, datetime
from typing import Any, Literal

import msgspec

from app.core.record import DebugEvent


def debug_event(call_sid: str, source: Literal["carrier", "model"], text: bytes | str) -> DebugEvent | None:
    """A raw event for the debug log, apart from the record; audio is left out, and so are deltas."""
    if b'.delta"' in text[:120] if isinstance(text, bytes) else '.delta"' in text[:120]:
        return None
    try:
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
            if key in ("audio", "payload", "delta") and isinstance(item, str)
            else without_audio(item)
            for key, item in value.items()
        }
    return [without_audio(item) for item in value] if isinstance(value, list) else value
