"""The framer: whatever the model sends, the carrier gets the same bytes in order, in whole 20 ms frames."""

from base64 import b64decode

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.errors import PeerError
from app.wire.audio import FRAME, SILENCE, Framer, decoded_size, encoded

DELTAS = st.lists(st.binary(max_size=700) | st.integers(0, 4).map(lambda n: bytes(range(160)) * n), max_size=12)


@settings(deadline=None)
@given(DELTAS)
def test_the_same_bytes_come_out_in_order_in_whole_frames_with_the_tail_padded(deltas: list[bytes]) -> None:
    framer, heard = Framer(), b""
    for delta in deltas:
        payload, size = framer.push(encoded(delta))
        piece = b64decode(payload.strip(b'"'), validate=True)
        assert len(piece) == size
        assert size % FRAME == 0
        heard += piece
    payload, size, padding = framer.flush()
    tail = b64decode(payload.strip(b'"'), validate=True)
    assert len(tail) in (0, FRAME)
    assert len(tail) == size + padding
    assert heard + tail == b"".join(deltas) + SILENCE * padding
    assert padding < FRAME
    assert framer.flush() == (b'""', 0, 0)


@settings(deadline=None)
@given(st.integers(0, 50), st.integers(0, 255))
def test_a_delta_of_whole_frames_passes_as_the_very_same_text(frames: int, byte: int) -> None:
    framer = Framer()
    payload = encoded(bytes([byte]) * FRAME * frames)
    for _ in range(2):
        passed, size = framer.push(payload)
        assert passed is payload
        assert size == FRAME * frames


def test_a_ragged_delta_is_carried_into_the_next_one() -> None:
    framer = Framer()
    assert framer.push(encoded(b"a" * 100)) == (b'""', 0)
    assert framer.push(encoded(b"b" * 100)) == (encoded(b"a" * 100 + b"b" * 60), 160)
    assert framer.push(encoded(b"c" * 160)) == (encoded(b"b" * 40 + b"c" * 120), 160)
    assert framer.flush() == (encoded(b"c" * 40 + SILENCE * 120), 40, 120)


def test_once_the_carried_bytes_are_flushed_or_dropped_text_passes_again() -> None:
    framer = Framer()
    whole = encoded(b"w" * FRAME)
    framer.push(encoded(b"a"))
    framer.drop()
    assert framer.flush() == (b'""', 0, 0)
    assert framer.push(whole)[0] is whole
    framer.push(encoded(b"a"))
    framer.flush()
    assert framer.push(whole)[0] is whole


@settings(deadline=None)
@given(st.binary(max_size=400))
def test_the_size_of_audio_is_known_without_decoding_it(audio: bytes) -> None:
    assert decoded_size(encoded(audio)) == len(audio)


@pytest.mark.parametrize("payload", ["=", "====", "!!!!", "AAAA AAA", "AA==AA==", "AA==" + "A" * 640])
def test_a_ragged_delta_that_is_no_base64_is_the_model_s_fault_and_changes_nothing(payload: str) -> None:
    framer = Framer()
    framer.push(encoded(b"kept"))
    with pytest.raises(PeerError, match="base64"):
        framer.push(b'"%b"' % payload.encode())
    assert framer.flush()[:2] == (encoded(b"kept" + SILENCE * 156), 4)


@settings(deadline=None)
@given(st.lists(st.binary(max_size=900).map(lambda text: b'"%b"' % text), max_size=5))
def test_no_text_at_all_raises_anything_but_peer_error(payloads: list[bytes]) -> None:
    framer = Framer()
    for payload in payloads:
        try:
            _, size = framer.push(payload)
        except PeerError:
            continue
        assert size % FRAME == 0
    assert framer.flush()[1] < FRAME
