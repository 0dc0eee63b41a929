"""Where a stream's audio lies on the two tracks of its recording."""

import base64

import msgspec
import pytest

from app.core.recording_tracks import AGENT, CALLER, SETTLED_SECONDS, Channel, Piece, Tracks
from app.wire import twilio
from app.wire.audio import FRAME, encoded

SECOND = 8000
BEGAN = 1000.0


def frame(number: int) -> bytes:
    return bytes([number % 127 + 1]) * FRAME


def from_carrier(audio: bytes, timestamp: object, track: str = "inbound") -> bytes:
    media = {"track": track, "chunk": "1", "timestamp": timestamp, "payload": base64.b64encode(audio).decode()}
    return msgspec.json.encode({"event": "media", "sequenceNumber": "2", "streamSid": "MZ1", "media": media})


def to_carrier(audio: bytes) -> bytes:
    return twilio.media("MZ1", encoded(audio))


def mark_back(name: str) -> bytes:
    return msgspec.json.encode({"event": "mark", "streamSid": "MZ1", "mark": {"name": name}})


def laid(pieces: list[Piece], channel: Channel) -> bytes:
    """A track as it would be on disk: what nobody laid is 0xFF."""
    track = bytearray()
    for piece in pieces:
        if piece.channel == channel:
            track += b"\xff" * (piece.at + len(piece.audio) - len(track))
            track[piece.at : piece.at + len(piece.audio)] = piece.audio
    return bytes(track)


def sound(track: bytes) -> bytes:
    return track.replace(b"\xff", b"")


def test_the_caller_s_frames_follow_each_other_however_unevenly_they_come() -> None:
    tracks = Tracks(BEGAN)
    late = [0.0, 0.031, 0.032, 0.09, 0.091, 0.5]
    for n, lag in enumerate(late):
        tracks.heard(from_carrier(frame(n), str(n * 20)), BEGAN + 0.1 + lag)
    track = laid(tracks.end(BEGAN + 1), CALLER)
    assert track == b"\xff" * (SECOND // 10) + b"".join(frame(n) for n in range(6))


def test_a_gap_in_the_carrier_s_timestamps_is_silence() -> None:
    tracks = Tracks(BEGAN)
    for n in (0, 1, 50, 51):
        tracks.heard(from_carrier(frame(n), str(n * 20)), BEGAN + n * 0.02)
    track = laid(tracks.end(BEGAN + 2), CALLER)
    assert (track[: 2 * FRAME], track[50 * FRAME :]) == (frame(0) + frame(1), frame(50) + frame(51))
    assert set(track[2 * FRAME : 50 * FRAME]) == {0xFF}


def test_timestamps_that_round_leave_no_holes() -> None:
    tracks = Tracks(BEGAN)
    for n, stamp in enumerate((0, 19, 41, 60, 79, 101)):
        tracks.heard(from_carrier(frame(n), stamp), BEGAN + n * 0.02)
    assert laid(tracks.end(BEGAN + 1), CALLER) == b"".join(frame(n) for n in range(6))


@pytest.mark.parametrize("stamp", ["", "soon", "-5", "99999999", "9" * 40, "٣"])
def test_a_timestamp_that_is_none_moves_nothing(stamp: str) -> None:
    tracks = Tracks(BEGAN)
    tracks.heard(from_carrier(frame(0), "0"), BEGAN)
    for n in range(1, 5):
        tracks.heard(from_carrier(frame(n), stamp), BEGAN + n * 0.02)
    assert laid(tracks.end(BEGAN + 1), CALLER) == b"".join(frame(n) for n in range(5))


def test_what_is_not_the_caller_s_audio_is_passed_over() -> None:
    tracks = Tracks(BEGAN)
    wrong = (b"", b"\xff", b"[" * 5000, b'{"event":"media"}', b'{"event":"stop"}')
    for text in (*wrong, from_carrier(frame(1), "0", track="outbound"), from_carrier(b"", "0")):
        tracks.heard(text, BEGAN)
    tracks.heard(b'{"event":"media","media":{"payload":"no base64"}}', BEGAN)
    assert tracks.end(BEGAN + 1) == []


def test_the_agent_s_audio_lies_where_it_is_heard_not_where_it_was_sent() -> None:
    tracks = Tracks(BEGAN)
    answer = b"".join(frame(n) for n in range(100))
    for n in range(4):  # two seconds of it within 40 ms
        tracks.sent(to_carrier(answer[n * 25 * FRAME : (n + 1) * 25 * FRAME]), BEGAN + 1 + n * 0.01)
    tracks.sent(to_carrier(frame(7)), BEGAN + 5)
    track = laid(tracks.end(BEGAN + 6), AGENT)
    assert track[SECOND : 3 * SECOND] == answer
    assert set(track[:SECOND] + track[3 * SECOND : 5 * SECOND]) == {0xFF}
    assert track[5 * SECOND :] == frame(7)


def test_cleared_audio_is_not_on_the_track() -> None:
    tracks = Tracks(BEGAN)
    answer = b"".join(frame(n) for n in range(100))
    tracks.sent(to_carrier(answer), BEGAN)
    tracks.sent(twilio.mark("MZ1", "end"), BEGAN)
    tracks.sent(twilio.clear("MZ1"), BEGAN + 0.5)
    tracks.heard(mark_back("end"), BEGAN + 0.55)  # flushed: it says nothing of what was heard
    tracks.sent(to_carrier(frame(120)), BEGAN + 0.6)
    track = laid(tracks.end(BEGAN + 3), AGENT)
    assert track[: SECOND // 2] == answer[: SECOND // 2]
    assert sound(track[SECOND // 2 :]) == frame(120)
    assert len(track) == round(0.6 * SECOND) + FRAME


def test_a_late_mark_moves_what_comes_after_a_pause_and_tears_no_sentence() -> None:
    tracks = Tracks(BEGAN)
    tracks.sent(to_carrier(frame(1) * 50), BEGAN)
    tracks.sent(twilio.mark("MZ1", "one"), BEGAN)
    tracks.sent(to_carrier(frame(2) * 50), BEGAN + 0.5)
    tracks.heard(
        mark_back("one"), BEGAN + 1.2
    )  # the first second took till here to be played: the second one is late, too
    tracks.sent(to_carrier(frame(3) * 50), BEGAN + 2.1)
    tracks.sent(twilio.clear("MZ1"), BEGAN + 2.7)
    track = laid(tracks.end(BEGAN + 9), AGENT)
    assert track == frame(1) * 50 + frame(2) * 50 + (frame(3) * 50)[: SECOND // 2]


def test_what_was_not_played_when_the_stream_ended_is_not_on_the_track() -> None:
    tracks = Tracks(BEGAN)
    tracks.sent(to_carrier(frame(1) * 100), BEGAN)
    assert laid(tracks.end(BEGAN + 0.25), AGENT) == (frame(1) * 100)[: SECOND // 4]


def test_only_what_cannot_be_cleared_any_more_is_handed_out_and_all_of_it_once() -> None:
    tracks = Tracks(BEGAN)
    answer = bytes(n % 127 + 1 for n in range(4 * SECOND))
    tracks.sent(to_carrier(answer), BEGAN)
    assert tracks.take(BEGAN + SETTLED_SECONDS) == []
    first = tracks.take(BEGAN + SETTLED_SECONDS + 1.5)
    assert laid(first, AGENT) == answer[: round(1.5 * SECOND)]
    tracks.sent(twilio.clear("MZ1"), BEGAN + 2)
    rest = tracks.end(BEGAN + 9)
    assert laid([*first, *rest], AGENT) == answer[: 2 * SECOND]
    assert sum(len(piece.audio) for piece in (*first, *rest)) == 2 * SECOND
