"""The framer: whatever the model sends, the carrier gets the same bytes in order, in whole 20 ms frames."""

from base64 import b64decode, b64encode

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.errors import PeerError
from app.wire.twilio import FRAME, SILENCE, Framer, decoded_size

DELTAS = st.lists(st.binary(max_size=700) | st.integers(0, 4).map(lambda n: bytes(range(160)) * n), max_size=12)


def text(audio: bytes) -> str:
    return b64encode(audio).decode()


@settings(deadline=None)
@given(DELTAS)
def test_the_same_bytes_come_out_in_order_in_whole_frames_with_the_tail_padded(deltas: list[bytes]) -> None:
    framer, heard = Framer(), b""
    for delta in deltas:
        payload, size = framer.push(text(delta))
        piece = b64decode(payload, validate=True)
        assert len(piece) == size
        assert size % FRAME == 0
        heard += piece
    payload, size, padding = framer.flush()
    tail = b64decode(payload, validate=True)
    assert len(tail) in (0, FRAME)
    assert len(tail) == size + padding
    assert heard + tail == b"".join(deltas) + SILENCE * padding
    assert padding < FRAME
    assert framer.flush() == ("", 0, 0)


@settings(deadline=None)
@given(st.integers(0, 50), st.integers(0, 255))
def test_a_delta_of_whole_frames_passes_as_the_very_same_text(frames: int, byte: int) -> None:
    framer = Framer()
    payload = text(bytes([byte]) * FRAME * frames)
    for _ in range(2):
        passed, size = framer.push(payload)
        assert passed is payload
        assert size == FRAME * frames


def test_a_ragged_delta_is_carried_into_the_next_one() -> None:
    framer = Framer()
    assert framer.push(text(b"a" * 100)) == ("", 0)
    assert framer.push(text(b"b" * 100)) == (text(b"a" * 100 + b"b" * 60), 160)
    assert framer.push(text(b"c" * 160)) == (text(b"b" * 40 + b"c" * 120), 160)
    assert framer.flush() == (text(b"c" * 40 + SILENCE * 120), 40, 120)


def test_once_the_carried_bytes_are_flushed_or_dropped_text_passes_again() -> None:
    framer = Framer()
    whole = text(b"w" * FRAME)
    framer.push(text(b"a"))
    framer.drop()
    assert framer.flush() == ("", 0, 0)
    assert framer.push(whole)[0] is whole
    framer.push(text(b"a"))
    framer.flush()
    assert framer.push(whole)[0] is whole


@settings(deadline=None)
@given(st.binary(max_size=400))
def test_the_size_of_audio_is_known_without_decoding_it(audio: bytes) -> None:
    assert decoded_size(text(audio)) == len(audio)


@pytest.mark.parametrize(
    "payload", ["A", "AA", "AAA", "=", "==", "!!!!", "AAAA AAA", "é" * 4, "AA==AA==A", "\ud800" * 4]
)
def test_a_ragged_delta_that_is_no_base64_is_the_model_s_fault_and_changes_nothing(payload: str) -> None:
    framer = Framer()
    framer.push(text(b"kept"))
    with pytest.raises(PeerError, match="base64"):
        framer.push(payload)
    assert framer.flush()[:2] == (text(b"kept" + SILENCE * 156), 4)


@pytest.mark.parametrize("spare", ["A", "AA", "AAA"])
def test_a_delta_that_only_looks_like_whole_frames_is_the_model_s_fault(spare: str) -> None:
    with pytest.raises(PeerError, match="base64"):
        Framer().push("A" * 640 + spare)


@settings(deadline=None)
@given(st.lists(st.text(max_size=900), max_size=5))
def test_no_text_at_all_raises_anything_but_peer_error(payloads: list[str]) -> None:
    framer = Framer()
    for payload in payloads:
        try:
            _, size = framer.push(payload)
        except PeerError:
            continue
        assert size % FRAME == 0
    assert framer.flush()[1] < FRAME
