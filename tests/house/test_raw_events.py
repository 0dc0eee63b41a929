"""Raw events for the debug log: what is kept as it came, what is taken out, what is left out."""

import msgspec
import pytest

from app.adapters.database import to_json
from app.calls.raw_events import debug_event
from app.core.rows import DebugEvent


def kept(text: bytes | str) -> object:
    """The event as the books get it, or None."""
    row = debug_event("CA1", "model", text)
    assert row is None or isinstance(row, DebugEvent)
    return None if row is None else msgspec.json.decode(to_json([row.event]))[0]


@pytest.mark.parametrize(
    ("text", "event"),
    [
        (b'{"type":"response.done","n":1.5}', {"type": "response.done", "n": 1.5}),
        ('{"type":"error","error":{"message":"ü"}}', {"type": "error", "error": {"message": "ü"}}),
        (b'{"type":"x","audio":"//8="}', {"type": "x", "audio": "<4 characters of audio>"}),
        (b'{"event":"media","media":{"payload":"AA=="}}', {"event": "media", "media": {"payload": "<4 characters of audio>"}}),
        (b'{"type":"x","list":[{"delta":"abc"}]}', {"type": "x", "list": [{"delta": "<3 characters of audio>"}]}),
        (b'{"type":"x","audio" :\n "//8="}', {"type": "x", "audio": "<4 characters of audio>"}),
        (b'{"audio":{"rate":8000,"delta":"//8="}}', {"audio": {"rate": 8000, "delta": "<4 characters of audio>"}}),
        (b'{"audio":{"rate":8000},"delta":null}', {"audio": {"rate": 8000}, "delta": None}),
        (b'{"type":"x","\\u0061udio":"//8="}', {"type": "x", "audio": "<4 characters of audio>"}),
        (b'{"type":"x","text":"a\\u0000b"}', {"type": "x", "text": "ab"}),
    ],
)  # fmt: skip
def test_an_event_is_kept_without_its_audio(text: bytes | str, event: object) -> None:
    assert kept(text) == event


@pytest.mark.parametrize(
    "text",
    [
        b'{"type":"response.output_audio.delta","delta":"//8="}',
        b'{"event_id":"e1","type":"response.output_audio_transcript.delta","delta":"Hello"}',
        b'{"event_id":"' + b"e" * 120 + b'","type":"response.output_audio.delta","delta":["//8="]}',
        b"[1, 2]",
        b'"a text"',
        b"{",
        b"",
        b'{"a":1} {"b":2}',
        b"[" * 100_000,
    ],
)
def test_deltas_and_what_is_no_json_object_are_left_out(text: bytes) -> None:
    assert kept(text) is None


def test_a_text_kept_as_it_came_bears_a_neighbour_that_has_to_be_cleaned() -> None:
    plain, nul = debug_event("CA1", "model", b'{"n":1}'), debug_event("CA1", "model", b'{"t":"\\u0000"}')
    assert plain is not None
    assert nul is not None
    assert msgspec.json.decode(to_json([plain.event, nul.event])) == [{"n": 1}, {"t": ""}]
