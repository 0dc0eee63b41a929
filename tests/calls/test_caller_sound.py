"""The caller's sound for a session that comes later: what is remembered of it, how much, and in which shape it goes out again."""

import pytest

from app.calls.model_end import FRAMES, QUIET_FRAMES, CallerSound
from app.errors import LinkClosed
from app.wire.audio import audio_text, encoded
from tests.house.lane_stage import LaneStage, from_caller, on_stage


def frame(number: int) -> bytes:
    """20 ms as the carrier's message gives them."""
    return audio_text(encoded(number.to_bytes(2, "big") * 80)[1:-1].decode())


def told(sound: CallerSound) -> list[bytes]:
    """What a session is sent now."""
    sent: list[bytes] = []
    sound.release(sent.append)
    return sent


def heard(sound: CallerSound, numbers: range) -> None:
    """Frames that a session was sent as they came."""
    for number in numbers:
        sound.sent.append(frame(number)[1:-1])


def test_one_second_is_remembered_of_a_caller_who_says_nothing() -> None:
    sound = CallerSound()
    heard(sound, range(QUIET_FRAMES + 50))
    sound.retell(60_000)
    assert told(sound) == [frame(number) for number in range(50, QUIET_FRAMES + 50)]


def test_ten_seconds_are_remembered_of_words_that_nobody_has_understood() -> None:
    sound = CallerSound()
    heard(sound, range(QUIET_FRAMES))
    sound.speech(untold=True)
    heard(sound, range(QUIET_FRAMES, FRAMES + 7))
    sound.retell(60_000)
    assert told(sound) == [frame(number) for number in range(7, FRAMES + 7)]


def test_words_that_were_understood_are_remembered_no_longer() -> None:
    sound = CallerSound()
    sound.speech(untold=True)
    heard(sound, range(FRAMES))
    sound.speech(untold=False)
    assert len(sound.sent) == QUIET_FRAMES
    sound.retell(40)
    assert told(sound) == [frame(FRAMES - 2), frame(FRAMES - 1)]


def test_what_is_told_again_comes_before_what_waits_and_can_be_told_once_more() -> None:
    sound = CallerSound()
    heard(sound, range(10))
    sound.keep(frame(10))
    for _ in range(2):
        sound.retell(60_000)
        assert told(sound) == [frame(number) for number in range(11)]


def test_all_ten_seconds_that_were_told_again_can_be_told_once_more() -> None:
    sound = CallerSound()
    sound.speech(untold=True)
    heard(sound, range(FRAMES))
    sound.retell(60_000)
    assert len(told(sound)) == len(sound.sent) == FRAMES


def test_what_a_lost_session_did_not_take_waits_for_the_next() -> None:
    sound = CallerSound()
    for number in range(3):
        sound.keep(frame(number))
    taken: list[bytes] = []

    def take(payload: bytes) -> None:
        if taken:
            raise LinkClosed
        taken.append(payload)

    with pytest.raises(LinkClosed):
        sound.release(take)
    assert taken == [frame(0)]
    assert told(sound) == [frame(1), frame(2)]


@pytest.mark.parametrize("begins", ["speech_started", "speech_stopped", "committed"])
def test_a_stream_remembers_more_from_the_caller_s_first_word_until_it_was_understood(begins: str) -> None:
    async def play(stage: LaneStage) -> None:
        phone = await stage.by_the_fast_door()
        (call,) = stage.board.calls.values()
        assert call.relay is not None
        for number in range(QUIET_FRAMES + 20):
            phone.comes(from_caller(number % 256))
        assert len(call.relay.sound.sent) == QUIET_FRAMES
        stage.model.comes(b'{"type":"input_audio_buffer.%b","item_id":"c1"}' % begins.encode())
        for number in range(FRAMES):
            phone.comes(from_caller(number % 256))
        assert len(call.relay.sound.sent) == FRAMES
        call.relay.watch()
        assert len(call.relay.sound.sent) == FRAMES
        stage.model.comes(
            b'{"type":"conversation.item.input_audio_transcription.completed","item_id":"c1","transcript":"Tuesday?"}'
        )
        call.relay.watch()
        assert len(call.relay.sound.sent) == QUIET_FRAMES

    on_stage(play)
