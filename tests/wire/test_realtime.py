"""The realtime protocol's words: both spellings of every event mean the same, and no server can break the parser."""

import json
from base64 import b64encode
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.core import events as ev
from app.errors import PeerError
from app.wire import realtime
from app.wire.audio import encoded
from app.wire.realtime import AudioDelta, SessionCreated, SessionUpdated

HEAD = {"event_id": "event_1", "response_id": "resp_1", "item_id": "item_1", "output_index": 0, "content_index": 0}
USAGE = {
    "total_tokens": 253,
    "input_tokens": 132,
    "output_tokens": 121,
    "input_token_details": {
        "text_tokens": 119,
        "audio_tokens": 13,
        "image_tokens": 0,
        "cached_tokens": 64,
        "cached_tokens_details": {"text_tokens": 64, "audio_tokens": 0, "image_tokens": 0},
    },
    "output_token_details": {"text_tokens": 30, "audio_tokens": 91},
}


def parse(kind: str, **fields: Any) -> realtime.Message | None:
    return realtime.parse(json.dumps({"type": kind, "event_id": "event_1", **fields}).encode())


# --- both spellings ---------------------------------------------------------------------------------------------------

RENAMED = [
    ("response.audio.delta", "response.output_audio.delta", {"delta": "//8="}, AudioDelta("resp_1", "item_1", b'"//8="', 0)),
    ("response.audio.done", "response.output_audio.done", {}, ev.AgentAudioEnded("resp_1", "item_1")),
    (
        "response.audio_transcript.delta",
        "response.output_audio_transcript.delta",
        {"delta": "Good mor"},
        ev.AgentSaid("resp_1", "item_1", "Good mor"),
    ),
    (
        "response.audio_transcript.done",
        "response.output_audio_transcript.done",
        {"transcript": "Good morning."},
        ev.AgentSaid("resp_1", "item_1", "Good morning.", whole=True),
    ),
    ("response.text.delta", "response.output_text.delta", {"delta": "x"}, None),
    ("response.text.done", "response.output_text.done", {"text": "x"}, None),
    ("conversation.item.created", "conversation.item.added", {"item": {"id": "item_1", "type": "message"}}, None),
    ("transcription_session.updated", "conversation.item.done", {"item": {"id": "item_1"}}, None),
]  # fmt: skip


@pytest.mark.parametrize(("flat", "ga", "fields", "meaning"), RENAMED)
def test_a_renamed_event_means_the_same_in_both_spellings(
    flat: str, ga: str, fields: dict[str, Any], meaning: realtime.Message | None
) -> None:
    heard = [parse(kind, **{**HEAD, **fields}) for kind in (flat, ga)]
    if isinstance(meaning, AudioDelta):
        heard = [as_delta(message) for message in heard]
    assert heard == [meaning, meaning]


def as_delta(message: realtime.Message | None) -> AudioDelta:
    """An audio delta of either spelling, as the relay's `case` takes it apart."""
    match message:
        case AudioDelta(response_id=response, item_id=item, delta=delta, content_index=index):
            return AudioDelta(response, item, delta, index)
    raise AssertionError(f"not an audio delta: {message!r}")


@pytest.mark.parametrize("kind", ["response.audio.delta", "response.output_audio.delta"])
def test_audio_without_a_content_index_belongs_to_the_first_part(kind: str) -> None:
    assert as_delta(parse(kind, response_id="r", item_id="i", delta="")).content_index == 0
    assert as_delta(parse(kind, response_id="r", item_id="i", delta="", content_index=2)).content_index == 2


@settings(deadline=None)
@given(
    st.binary(max_size=400),
    st.sampled_from(["response.audio.delta", "response.output_audio.delta"]),
    st.permutations(["type", "event_id", "response_id", "item_id", "delta", "new"]),
    st.booleans(),
)
def test_audio_is_the_same_however_its_event_is_written(
    audio: bytes, kind: str, order: list[str], escaped: bool
) -> None:
    fields = {**HEAD, "type": kind, "delta": b64encode(audio).decode(), "new": 'audio.delta" ' + "é" * 150}
    text = json.dumps({name: fields[name] for name in order}, indent=1, ensure_ascii=escaped)
    if escaped:
        text = text.replace("/", "\\/").replace("audio.", "\\u0061udio.")
    for form in (text, text.encode()):
        assert realtime.parse(form) == AudioDelta("resp_1", "item_1", encoded(audio))


def test_an_event_that_only_mentions_audio_deltas_is_what_its_type_says() -> None:
    said = parse("response.output_audio_transcript.delta", **{**HEAD, "item_id": 'audio.delta"', "delta": "Hi"})
    assert said == ev.AgentSaid("resp_1", 'audio.delta"', "Hi")
    text = b'{"x":"response.audio.delta","type":"response.audio.done","response_id":"r","item_id":"i"}'
    assert realtime.parse(text) == ev.AgentAudioEnded("r", "i")


@pytest.mark.parametrize("delta", ["A", "AAA", "éééé", "A" * 640 + "A", "A" * 640 + "AA"])
def test_audio_that_is_no_base64_is_the_server_s_fault(delta: str) -> None:
    for kind in ("response.audio.delta", "response.output_audio.delta"):
        with pytest.raises(PeerError, match="base64"):
            parse(kind, **{**HEAD, "delta": delta})


# --- the caller's side ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("message", "meaning"),
    [
        (
            {"type": "input_audio_buffer.speech_started", "item_id": "item_1", "audio_start_ms": 1240},
            ev.CallerSpoke("item_1", 1240),
        ),
        (
            {"type": "input_audio_buffer.speech_stopped", "item_id": "item_1", "audio_end_ms": 2000.5},
            ev.CallerStopped("item_1", 2000),
        ),
        ({"type": "input_audio_buffer.speech_started", "item_id": "item_1"}, ev.CallerSpoke("item_1", 0)),
        (
            {"type": "input_audio_buffer.committed", "item_id": "item_1", "previous_item_id": None},
            ev.CallerTurnTaken("item_1"),
        ),
        (
            {
                "type": "conversation.item.input_audio_transcription.completed",
                "item_id": "item_1",
                "content_index": 0,
                "transcript": "Hello.",
                "usage": {"type": "duration", "seconds": 2},
            },
            ev.CallerTranscribed("item_1", "Hello.", usage={"type": "duration", "seconds": 2}),
        ),
        (
            {
                "type": "conversation.item.input_audio_transcription.failed",
                "item_id": "item_1",
                "error": {"type": "transcription_error", "code": None, "message": "too noisy", "param": None},
            },
            ev.CallerTranscribed("item_1", "", "too noisy"),
        ),
        (
            {"type": "conversation.item.input_audio_transcription.failed", "item_id": "item_1", "error": None},
            ev.CallerTranscribed("item_1", "", "failed"),
        ),
    ],
)
def test_what_the_server_hears_of_the_caller(message: dict[str, Any], meaning: ev.Event) -> None:
    assert realtime.parse(json.dumps(message)) == meaning


def test_a_session_is_handed_on_as_it_came() -> None:
    assert parse("session.created", session={"type": "realtime"}) == SessionCreated({"type": "realtime"})
    assert parse("session.updated", session={"voice": "x"}) == SessionUpdated({"voice": "x"})
    assert parse("session.created") == SessionCreated({})


# --- responses --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("status", "details", "expected"),
    [
        ("completed", None, ("completed", "", "", "")),
        ("cancelled", {"type": "cancelled", "reason": "turn_detected"}, ("cancelled", "turn_detected", "", "")),
        ("cancelled", {"type": "cancelled", "reason": "client_cancelled"}, ("cancelled", "client_cancelled", "", "")),
        ("incomplete", {"type": "incomplete", "reason": "max_output_tokens"}, ("incomplete", "max_output_tokens", "", "")),
        ("incomplete", {"type": "incomplete", "reason": "content_filter"}, ("incomplete", "content_filter", "", "")),
        (
            "failed",
            {"type": "failed", "error": {"type": "server_error", "code": "rate_limit_exceeded", "message": "slow down"}},
            ("failed", "", "rate_limit_exceeded", "server_error"),
        ),
        ("failed", {"type": "failed", "error": {"type": "server_error", "code": None}}, ("failed", "", "", "server_error")),
        ("failed", {"type": "failed", "error": None}, ("failed", "", "", "")),
        ("failed", "not an object", ("failed", "", "", "")),
    ],
)  # fmt: skip
def test_a_response_is_done_in_each_of_its_ways(status: str, details: Any, expected: tuple[str, ...]) -> None:
    done = parse("response.done", response={"id": "resp_1", "status": status, "status_details": details, "output": []})
    assert isinstance(done, ev.ResponseDone)
    assert (done.status, done.reason, done.error_code, done.error_type) == expected
    assert (done.response_id, done.usage, done.out_of_band) == ("resp_1", None, False)


@pytest.mark.parametrize(
    ("usage", "kept"),
    [
        (USAGE, USAGE),
        ({"total_tokens": 0}, {"total_tokens": 0}),
        ({"input_tokens_details": {"text_tokens": None}}, {"input_tokens_details": {"text_tokens": None}}),
        ({}, {}),
        (None, None),
        ([], None),
        ("none", None),
    ],
)
def test_usage_is_kept_as_it_came_or_not_at_all(usage: Any, kept: Any) -> None:
    done = parse("response.done", response={"id": "resp_1", "status": "completed", "usage": usage})
    assert isinstance(done, ev.ResponseDone)
    assert done.usage == kept


@pytest.mark.parametrize(
    ("extra", "out_of_band"),
    [
        ({}, False),
        ({"conversation_id": "conv_1", "metadata": {"kind": "summary"}}, False),
        ({"conversation_id": None, "metadata": {"kind": "summary"}}, True),
        ({"metadata": {"kind": "summary"}}, False),
        ({"conversation_id": None, "metadata": None}, False),
    ],
)
def test_a_response_outside_the_conversation_is_told_apart(extra: dict[str, Any], out_of_band: bool) -> None:
    started = parse("response.created", response={"id": "resp_1", "status": "in_progress", **extra})
    assert started == ev.ResponseStarted("resp_1", out_of_band)
    done = parse("response.done", response={"id": "resp_1", "status": "completed", **extra})
    assert isinstance(done, ev.ResponseDone)
    assert done.out_of_band is out_of_band


def test_a_response_without_a_name_never_began() -> None:
    assert parse("response.created", response={}) is None
    assert parse("response.created") is None


CALL = {
    "id": "item_9",
    "object": "realtime.item",
    "type": "function_call",
    "status": "completed",
    "call_id": "call_1",
    "name": "lookup",
    "arguments": '{"day":"2026-11-21"}',
}


def test_a_tool_is_called_once_its_item_is_complete() -> None:
    called = ev.ToolCalled("resp_1", "call_1", "lookup", '{"day":"2026-11-21"}')
    assert parse("response.output_item.done", response_id="resp_1", item=CALL) == called
    without = {key: value for key, value in CALL.items() if key != "status"}
    assert parse("response.output_item.done", response_id="resp_1", item=without) == called


@pytest.mark.parametrize(
    ("kind", "fields"),
    [
        ("response.output_item.done", {"item": {**CALL, "status": "incomplete"}}),
        ("response.output_item.done", {"item": {**CALL, "status": "in_progress"}}),
        ("response.output_item.done", {"item": {"id": "item_1", "type": "message", "status": "completed"}}),
        ("response.output_item.done", {"item": None}),
        ("response.output_item.added", {"item": CALL}),
        ("conversation.item.done", {"item": CALL}),
        ("conversation.item.added", {"item": CALL}),
        ("conversation.item.created", {"item": CALL}),
        ("response.function_call_arguments.delta", {"call_id": "call_1", "delta": "{"}),
        ("response.function_call_arguments.done", {"call_id": "call_1", "name": "lookup", "arguments": "{}"}),
    ],
)
def test_nothing_else_calls_a_tool(kind: str, fields: dict[str, Any]) -> None:
    assert parse(kind, response_id="resp_1", **fields) is None


def test_a_complaint_is_told_with_all_that_it_says() -> None:
    error = {
        "type": "invalid_request_error",
        "code": "unknown_parameter",
        "message": "Unknown parameter: 'session.type'.",
        "param": "session.type",
        "event_id": "configure-1",
    }
    assert parse("error", error=error) == ev.ModelComplained(
        code="unknown_parameter",
        type="invalid_request_error",
        message="Unknown parameter: 'session.type'.",
        param="session.type",
        event_id="configure-1",
    )
    bare = parse("error", error={"type": "server_error", "code": None, "message": None, "param": None})
    assert bare == ev.ModelComplained("", "server_error", "")
    assert parse("error") == ev.ModelComplained("", "", "")


# --- what tells us nothing, and what is no event ----------------------------------------------------------------------


@pytest.mark.parametrize(
    "kind",
    [
        "conversation.created", "conversation.item.retrieved", "conversation.item.truncated", "conversation.item.deleted",
        "conversation.item.input_audio_transcription.delta", "conversation.item.input_audio_transcription.segment",
        "conversation.item.input_audio_transcription.updated", "input_audio_buffer.cleared",
        "input_audio_buffer.timeout_triggered", "input_audio_buffer.dtmf_event_received", "output_audio_buffer.started",
        "response.content_part.added", "response.content_part.done", "response.mcp_call.completed", "mcp_list_tools.failed",
        "rate_limits.updated", "session.renamed", "", "Session.Created",
    ],
)  # fmt: skip
def test_types_that_we_do_not_need_come_out_as_nothing(kind: str) -> None:
    assert parse(kind, **HEAD) is None


@pytest.mark.parametrize(
    "fields", [{"delta": {}}, {"item_id": None}, {"response": "r1"}, {"error": "e"}, {"text": [1]}]
)
def test_an_unknown_type_may_bring_fields_of_any_kind(fields: dict[str, Any]) -> None:
    assert parse("vendor.event", **fields) is None


@pytest.mark.parametrize(
    "text",
    [b"", b"{", b"[]", b"null", b"{}", b'{"type":null}', b'{"type":7}', b"\xff", b"\x00", b'{"type":"\xff"}', b"[" * 20_000],
)  # fmt: skip
def test_what_is_no_event_is_the_server_s_fault(text: bytes) -> None:
    with pytest.raises(PeerError):
        realtime.parse(text)


def test_an_event_of_ours_with_fields_of_the_wrong_kind_is_the_server_s_fault() -> None:
    for fields in ({"item_id": 7}, {"item_id": "i", "audio_start_ms": "soon"}):
        with pytest.raises(PeerError):
            parse("input_audio_buffer.speech_started", **fields)


def test_bottomless_nesting_is_the_server_s_fault_and_not_ours() -> None:
    text = b'{"type":"error","error":' + b'{"a":' * 20_000 + b"1" + b"}" * 20_001
    with pytest.raises(PeerError):
        realtime.parse(text)


def test_text_that_cannot_be_utf_8_is_the_server_s_fault() -> None:
    with pytest.raises(PeerError):
        realtime.parse('{"type":"\ud800"}')


def parses_or_blames_the_peer(text: bytes | str) -> None:
    """The whole promise: a meaning, nothing, or PeerError."""
    try:
        meaning = realtime.parse(text)
    except PeerError:
        return
    assert meaning is None or isinstance(meaning, AudioDelta | SessionCreated | SessionUpdated | ev.Event)


@settings(deadline=None)
@given(st.binary() | st.text() | st.text().map(str.encode))
def test_no_bytes_and_no_text_raise_anything_but_peer_error(text: bytes | str) -> None:
    parses_or_blames_the_peer(text)


ANY_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["id", "type", "status", "error", "usage", "code", "x"]), inner, max_size=3)
    ),
    max_leaves=8,
)
FIELDS = [
    "item_id", "response_id", "delta", "text", "transcript", "audio_start_ms", "audio_end_ms", "content_index", "item",
    "response", "session", "error",
]  # fmt: skip
KINDS = [*realtime._READERS, "response.output_audio.delta", "response.audio.delta"]


@settings(deadline=None, max_examples=400)
@given(st.sampled_from(KINDS) | st.text(), st.dictionaries(st.sampled_from(FIELDS), ANY_JSON))
def test_no_known_event_with_any_fields_raises_anything_but_peer_error(kind: str, fields: dict[str, Any]) -> None:
    parses_or_blames_the_peer(json.dumps({"type": kind, **fields}))
