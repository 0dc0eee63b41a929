import math

import pytest

from app.errors import SetupError
from app.sim.loudness import VOICED, VoiceActivity, loudness

SILENCE = b"\xff" * 160
LOUD = b"\x90\x10" * 80
ANY_FRAME = bytes(range(160))


def changes(activity: VoiceActivity, frames: list[bytes]) -> list[tuple[int, str]]:
    """The frames (counted from 1) that changed something, and how."""
    fed = ((number, activity.feed(frame)) for number, frame in enumerate(frames, 1))
    return [(number, change) for number, change in fed if change]


@pytest.mark.parametrize(
    ("byte", "amplitude"),
    [(0xFF, 0), (0x7F, 0), (0xFE, 8), (0x7E, 8), (0xF0, 120), (0xEF, 132), (0x80, 32124), (0, 32124)],
)
def test_loudness_of_a_steady_byte_is_its_amplitude_in_g711(byte: int, amplitude: int) -> None:
    assert loudness(bytes([byte]) * 160) == amplitude


def test_loudness_rises_with_the_amplitude_over_all_codes_of_either_sign() -> None:
    for codes in (range(0xFF, 0x7F, -1), range(0x7F, -1, -1)):
        levels = [loudness(bytes([code])) for code in codes]
        assert levels == sorted(set(levels))


def test_loudness_is_the_mean_and_of_no_audio_zero() -> None:
    assert math.isclose(loudness(b"\x80\xff\xff\xff"), 32124 / 4)
    assert loudness(ANY_FRAME) == sum(loudness(bytes([byte])) for byte in ANY_FRAME) / 160
    assert loudness(b"") == 0.0


def test_speech_starts_with_the_frame_that_completes_its_least_length() -> None:
    assert changes(VoiceActivity(), [SILENCE, LOUD, LOUD, LOUD, LOUD]) == [(4, "started")]
    assert changes(VoiceActivity(min_speech_ms=20), [SILENCE, LOUD, LOUD]) == [(2, "started")]


def test_a_click_shorter_than_speech_is_not_speech_however_often_it_comes() -> None:
    assert changes(VoiceActivity(), [LOUD, LOUD, SILENCE] * 50) == []


def test_speech_stops_only_after_the_whole_silence() -> None:
    frames = [LOUD] * 5 + [SILENCE] * 24 + [LOUD] + [SILENCE] * 25 + [LOUD] * 2
    assert changes(VoiceActivity(), frames) == [(3, "started"), (55, "stopped")]
    assert changes(VoiceActivity(silence_ms=200), frames)[1] == (15, "stopped")


def test_the_next_speech_is_told_again() -> None:
    activity = VoiceActivity()
    turn = [LOUD] * 10 + [SILENCE] * 30
    assert [change for _, change in changes(activity, turn * 3)] == ["started", "stopped"] * 3
    assert not activity.speaking


@pytest.mark.parametrize("silence", [b"\xff", b"\x7f"])
def test_silence_of_either_sign_is_never_speech(silence: bytes) -> None:
    assert changes(VoiceActivity(threshold=1, min_speech_ms=20), [silence * 160] * 500) == []


def test_a_frame_at_the_threshold_is_speech_and_one_under_it_is_not() -> None:
    frame = b"\xee" * 160
    assert loudness(frame) < VOICED
    assert changes(VoiceActivity(threshold=loudness(frame)), [frame] * 3) == [(3, "started")]
    assert changes(VoiceActivity(), [frame] * 50) == []


def test_other_frame_lengths_count_by_their_bytes() -> None:
    assert changes(VoiceActivity(), [LOUD * 4, SILENCE * 30]) == [(1, "started"), (2, "stopped")]


@pytest.mark.parametrize("wrong", [{"threshold": 0}, {"silence_ms": 0}, {"min_speech_ms": -20}])
def test_settings_that_detect_nothing_or_all_are_refused(wrong: dict[str, int]) -> None:
    with pytest.raises(SetupError, match="above 0"):
        VoiceActivity(**wrong)
