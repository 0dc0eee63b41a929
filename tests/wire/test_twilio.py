"""Media Streams words: what the carrier sends is understood, what we send has exactly the documented keys."""

import json
from base64 import b64encode
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from app.core import events as ev
from app.errors import PeerError
from app.wire import twilio
from app.wire.audio import encoded
from app.wire.twilio import Media

SID = "MZ" + "1" * 32
CALL = "CA" + "2" * 32
ACCOUNT = "AC" + "3" * 32

CONNECTED = '{"event":"connected","protocol":"Call","version":"1.0.0"}'
START = (
    f'{{"event":"start","sequenceNumber":"1","streamSid":"{SID}",'
    f'"start":{{"accountSid":"{ACCOUNT}","streamSid":"{SID}","callSid":"{CALL}","tracks":["inbound"],'
    '"mediaFormat":{"encoding":"audio/x-mulaw","sampleRate":8000,"channels":1},'
    '"customParameters":{"k":"v"}}}'
)
MEDIA = (
    f'{{"event":"media","sequenceNumber":"2","streamSid":"{SID}",'
    '"media":{"track":"inbound","chunk":"1","timestamp":"5","payload":"//8="}}'
)
DTMF = f'{{"event":"dtmf","streamSid":"{SID}","sequenceNumber":"5","dtmf":{{"track":"inbound_track","digit":"1"}}}}'
MARK = f'{{"event":"mark","sequenceNumber":"4","streamSid":"{SID}","mark":{{"name":"my label"}}}}'
STOP = (
    f'{{"event":"stop","sequenceNumber":"5","streamSid":"{SID}",'
    f'"stop":{{"accountSid":"{ACCOUNT}","callSid":"{CALL}"}}}}'
)
RECORDED = [CONNECTED, START, MEDIA, DTMF, MARK, STOP]
STARTED = ev.StreamStarted(
    stream_sid=SID, call_sid=CALL, account_sid=ACCOUNT, encoding="audio/x-mulaw;rate=8000", parameters={"k": "v"}
)


def edited(text: str, *path: str, **changes: Any) -> bytes:
    """A recorded message with keys of one of its objects changed; a value of `...` takes the key out."""
    message = json.loads(text)
    place = message
    for key in path:
        place = place[key]
    for key, value in changes.items():
        if value is ...:
            del place[key]
        else:
            place[key] = value
    return json.dumps(message).encode()


# --- what the carrier sends -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("form", [str, str.encode])
@pytest.mark.parametrize(
    ("text", "meaning"),
    [
        (CONNECTED, None),
        (START, STARTED),
        (MEDIA, Media(b'"//8="')),
        (DTMF, ev.KeyPressed("1")),
        (MARK, ev.MarkReached("my label")),
        (STOP, ev.CallerLeft("stop")),
    ],
)
def test_every_recorded_frame_is_understood_as_text_and_as_bytes(form: Any, text: str, meaning: object) -> None:
    assert twilio.parse(form(text)) == meaning


def test_keys_may_come_in_any_order_and_new_ones_at_any_time() -> None:
    message = json.loads(MEDIA)
    turned = json.dumps({"brandNew": {"a": [1]}, "media": message["media"], "event": "media", "sequenceNumber": 7})
    assert twilio.parse(turned) == Media(b'"//8="')


@pytest.mark.parametrize("digit", list("0123456789*#ABCD"))
def test_every_key_of_a_phone_is_a_digit(digit: str) -> None:
    assert twilio.parse(edited(DTMF, "dtmf", digit=digit)) == ev.KeyPressed(digit)


@settings(deadline=None)
@given(st.binary(max_size=400), st.permutations(["event", "media", "streamSid", "new"]), st.booleans())
def test_audio_is_the_same_however_its_message_is_written(audio: bytes, order: list[str], escaped: bool) -> None:
    payload = b64encode(audio).decode()
    fields = {"event": "media", "media": {"payload": payload}, "streamSid": SID, "new": '","payload":"AAAA"}'}
    text = json.dumps({name: fields[name] for name in order}, indent=1)
    if escaped:  # as PHP writes a slash, and as any letter may be written
        text = text.replace("/", "\\/").replace("A", "\\u0041")
    assert twilio.parse(text) == Media(encoded(audio))


def test_a_start_without_parameters_or_format_is_taken_as_documented() -> None:
    assert twilio.parse(edited(START, "start", customParameters={})) == ev.StreamStarted(
        stream_sid=SID, call_sid=CALL, account_sid=ACCOUNT, encoding="audio/x-mulaw;rate=8000", parameters={}
    )
    for key in ("customParameters", "mediaFormat", "tracks"):
        assert isinstance(twilio.parse(edited(START, "start", **{key: ...})), ev.StreamStarted)


def test_a_start_tells_of_another_format_so_that_it_can_be_refused() -> None:
    started = twilio.parse(edited(START, "start", "mediaFormat", encoding="audio/x-l16", sampleRate="16000"))
    assert isinstance(started, ev.StreamStarted)
    assert started.encoding == "audio/x-l16;rate=16000"


def test_our_own_audio_on_the_other_track_is_not_the_caller() -> None:
    assert twilio.parse(edited(MEDIA, "media", track="outbound")) is None
    assert twilio.parse(edited(MEDIA, "media", track=...)) == Media(b'"//8="')


@pytest.mark.parametrize("event", ["", "dtmf2", "Media", "response", "error"])
def test_events_that_nobody_knows_yet_are_passed_over(event: str) -> None:
    assert twilio.parse(json.dumps({"event": event, "media": 7, "start": None})) is None


@pytest.mark.parametrize(
    "text",
    [
        edited(MEDIA, media=...),
        edited(MEDIA, media=None),
        edited(MEDIA, media="//8="),
        edited(MEDIA, "media", payload=...),
        edited(MEDIA, "media", payload=7),
        edited(MEDIA, "media", payload="//8"),
        edited(MEDIA, "media", payload="/é8="),
        edited(START, start=...),
        edited(START, "start", callSid=...),
        edited(START, "start", callSid=""),
        edited(START, "start", streamSid=""),
        edited(START, "start", accountSid=...),
        edited(START, "start", customParameters={"k": 1}),
        edited(START, "start", customParameters=[]),
        edited(START, "start", mediaFormat="pcmu"),
        edited(DTMF, dtmf=...),
        edited(DTMF, "dtmf", digit="12"),
        edited(DTMF, "dtmf", digit=""),
        edited(DTMF, "dtmf", digit="x"),
        edited(DTMF, "dtmf", digit=1),
        edited(DTMF, "dtmf", digit="1\n"),
        edited(MARK, mark=...),
        edited(MARK, "mark", name=None),
    ],
)
def test_a_known_event_without_its_fields_is_the_carrier_s_fault_and_named(text: bytes) -> None:
    with pytest.raises(PeerError, match=json.loads(text)["event"]):
        twilio.parse(text)


@pytest.mark.parametrize(
    "text",
    [
        b"", b" ", b"{", b"null", b"7", b'"media"', b"[]", b"{}", b'{"event":null}', b'{"event":7}', b'{"Event":"media"}',
        b"\x00\x01\x02", b"\xff\xfe", b'{"event":"\xff"}', b'{"event":"media"} x',
        b'{"event":"media","media":{"payload":"\\ud800"}}', b'{"event":"media","media":{"payload":"' + b"A" * 70_000, b"[" * 20_000,
    ],
)  # fmt: skip
def test_what_is_no_message_at_all_is_the_carrier_s_fault(text: bytes) -> None:
    with pytest.raises(PeerError):
        twilio.parse(text)


@pytest.mark.parametrize("event", ["media", "unheard of"])
def test_bottomless_nesting_is_the_carrier_s_fault_and_not_ours(event: str) -> None:
    text = b'{"event":"%b","deep":%b%b,"media":{"payload":""}}' % (event.encode(), b"[" * 20_000, b"]" * 20_000)
    with pytest.raises(PeerError):
        twilio.parse(text)


def test_text_that_cannot_be_utf_8_is_the_carrier_s_fault() -> None:
    with pytest.raises(PeerError):
        twilio.parse('{"event":"\ud800"}')


def parses_or_blames_the_peer(text: bytes | str) -> None:
    """The whole promise: a meaning, nothing, or PeerError."""
    try:
        meaning = twilio.parse(text)
    except PeerError:
        return
    assert meaning is None or isinstance(meaning, Media | ev.Event)


@settings(deadline=None)
@given(st.binary() | st.text() | st.text().map(str.encode))
def test_no_bytes_and_no_text_raise_anything_but_peer_error(text: bytes | str) -> None:
    parses_or_blames_the_peer(text)


ANY_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


@st.composite
def mutated(draw: st.DrawFn) -> bytes:
    """A recorded message with a value somewhere in it replaced, or its text cut or spoiled."""
    message = json.loads(draw(st.sampled_from(RECORDED)))
    place = message
    for _ in range(draw(st.integers(0, 2))):
        inner = [key for key in place if isinstance(place[key], dict)]
        if not inner:
            break
        place = place[draw(st.sampled_from(inner))]
    key = draw(st.sampled_from([*place, "new"]))
    place[key] = draw(ANY_JSON)
    text = bytearray(json.dumps(message).encode())
    for _ in range(draw(st.integers(0, 2))):
        text[draw(st.integers(0, len(text) - 1))] = draw(st.integers(0, 255))
    return bytes(text[: draw(st.none() | st.integers(0, len(text)))])


@settings(deadline=None, max_examples=300)
@given(mutated())
def test_no_spoiled_message_raises_anything_but_peer_error(text: bytes) -> None:
    parses_or_blames_the_peer(text)


# --- what we send -----------------------------------------------------------------------------------------------------


def test_our_messages_have_exactly_the_documented_keys() -> None:
    assert json.loads(twilio.media(SID, b'"//8="')) == {
        "event": "media",
        "streamSid": SID,
        "media": {"payload": "//8="},
    }
    assert json.loads(twilio.mark(SID, "any string")) == {
        "event": "mark",
        "streamSid": SID,
        "mark": {"name": "any string"},
    }
    assert json.loads(twilio.clear(SID)) == {"event": "clear", "streamSid": SID}


@settings(deadline=None)
@given(st.text(), st.text(), st.binary())
@example('","x":"', '"}, "event":"stop', b"")
def test_whatever_a_stream_or_a_mark_is_called_our_messages_stay_whole(sid: str, name: str, audio: bytes) -> None:
    payload = b64encode(audio).decode()
    assert json.loads(twilio.media(sid, encoded(audio))) == {
        "event": "media",
        "streamSid": sid,
        "media": {"payload": payload},
    }
    assert json.loads(twilio.mark(sid, name)) == {"event": "mark", "streamSid": sid, "mark": {"name": name}}
    assert json.loads(twilio.clear(sid)) == {"event": "clear", "streamSid": sid}
