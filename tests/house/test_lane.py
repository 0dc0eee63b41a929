"""The audio lane, from socket to socket: what is read at one end is written at the other before the read returns.

No clock is asked. Whatever waited in a queue, a task or the loop's next turn, anywhere between the two sockets, would not be
there yet when the test looks.
"""

import asyncio
import json
from collections.abc import Callable
from typing import get_args

import pytest

from app.wire.twilio import media
from tests.adapters.wire import CONT, TEXT, F, encode, first
from tests.house.lane_stage import Kind, LaneStage, Line, from_caller, on_stage, speech, text_of

KINDS = get_args(Kind)
OWN_VOICE = [kind for kind in KINDS if kind != "spoken"]
STREAM = "MZ" + "a" * 32


def to_model(n: int) -> bytes:
    return b'{"type":"input_audio_buffer.append","audio":"%b"}' % speech(n).encode()


def to_caller(n: int) -> bytes:
    return media(STREAM, b'"%b"' % speech(n).encode())


def from_voice(n: int) -> bytes:
    return json.dumps({"contextId": "i1", "audio": speech(n)}).encode()


@pytest.mark.parametrize("kind", KINDS)
def test_a_caller_s_frame_is_written_to_the_model_in_the_read_that_brings_it(kind: Kind) -> None:
    async def play(stage: LaneStage) -> None:
        phone = await stage.by_the_fast_door()
        for n in range(1, 4):
            phone.comes(from_caller(n))
            sent = stage.model.takes()
            if kind == "pcm":
                (command,) = [json.loads(text) for text in sent]
                assert len(command["audio"]) == len(text_of(bytes(960)))
            else:
                assert sent == [to_model(n)]

    on_stage(play, kind)


@pytest.mark.parametrize("kind", OWN_VOICE)
def test_the_agent_s_sound_is_written_to_the_caller_in_the_read_that_brings_it(kind: Kind) -> None:
    async def play(stage: LaneStage) -> None:
        phone = await stage.by_the_fast_door()
        stage.begins_an_item()
        phone.takes()
        for n in range(1, 4):
            stage.model.comes(stage.sound(n))
            sent = phone.takes()
            if kind == "pcm":
                (message,) = [json.loads(text) for text in sent]
                assert len(message["media"]["payload"]) == len(speech(n))
            else:
                assert sent == [to_caller(n)]

    on_stage(play, kind)


def test_even_the_first_sound_of_all_waits_for_nothing() -> None:
    async def play(stage: LaneStage) -> None:
        phone = await stage.by_the_fast_door()
        stage.begins_an_item()
        assert phone.takes() == [to_caller(0)]

    on_stage(play)


def _halves(line: Line, one: bytes, other: bytes) -> None:
    """Each message in two reads."""
    for data in (line.framed(one), line.framed(other)):
        line.reads(data[:50])
        line.reads(data[50:])


def _together(line: Line, one: bytes, other: bytes) -> None:
    """Both in one read."""
    line.reads(line.framed(one) + line.framed(other))


def _fragments(line: Line, one: bytes, other: bytes) -> None:
    """Each in two frames, which are the core's to put together."""
    for text in (one, other):
        for frame in (first(TEXT, text[:50]), F(CONT, text[50:])):
            line.reads(encode(frame, mask=line.server))


@pytest.mark.parametrize("come", [_halves, _together, _fragments])
def test_it_is_so_however_the_frames_come(come: Callable[[Line, bytes, bytes], None]) -> None:
    async def play(stage: LaneStage) -> None:
        phone = await stage.by_the_fast_door()
        stage.begins_an_item()
        phone.takes()
        come(phone, from_caller(1), from_caller(2))
        assert stage.model.takes() == [to_model(1), to_model(2)]
        come(stage.model, stage.sound(3), stage.sound(4))
        assert phone.takes() == [to_caller(3), to_caller(4)]

    on_stage(play)


@pytest.mark.parametrize("kind", OWN_VOICE)
def test_neither_end_s_sound_leaves_anything_to_be_done_later(kind: Kind) -> None:
    """A task, a timer or a call for the loop's next turn would be found here, one for each message."""

    async def play(stage: LaneStage) -> None:
        phone = await stage.by_the_fast_door()
        stage.begins_an_item()
        tasks, waiting = asyncio.all_tasks(), stage.waits()
        for n in range(50):
            phone.comes(from_caller(n))
            stage.model.comes(stage.sound(n))
        assert (asyncio.all_tasks(), stage.waits()) == (tasks, waiting)

    on_stage(play, kind)


# --- another house's voice --------------------------------------------------------------------------------------------


def _writes(stage: LaneStage, words: str) -> None:
    """The model writes some of an answer."""
    delta = {"type": "response.output_text.delta", "response_id": "r1", "item_id": "i1", "delta": words}
    stage.model.comes(json.dumps(delta).encode())


def test_a_sentence_is_given_to_another_house_s_voice_in_the_read_that_ends_it() -> None:
    async def play(stage: LaneStage) -> None:
        await stage.by_the_fast_door()
        _writes(stage, "Good morning. How")
        assert [json.loads(text)["text"] for text in stage.voice.takes()] == ["Good morning. "]

    on_stage(play, "spoken")


def test_what_another_house_s_voice_speaks_is_written_to_the_caller_in_the_read_that_brings_it() -> None:
    """It is watched by one timer, which each sound sets anew."""

    async def play(stage: LaneStage) -> None:
        phone = await stage.by_the_fast_door()
        _writes(stage, "Good morning. How")
        stage.voice.comes(from_voice(0))
        assert phone.takes() == [to_caller(0)]
        tasks, due = asyncio.all_tasks(), stage.due()
        for n in range(1, 51):
            stage.voice.comes(from_voice(n))
            phone.comes(from_caller(n))
            assert (phone.takes(), stage.model.takes()) == ([to_caller(n)], [to_model(n)])
        assert (asyncio.all_tasks(), stage.due()) == (tasks, due)

    on_stage(play, "spoken")


# --- by a foreign server ----------------------------------------------------------------------------------------------


def test_by_asgi_a_caller_s_frame_is_written_to_the_model_before_the_next_is_asked_for() -> None:
    """In the same step of the same task, and with nothing left behind."""

    async def play(stage: LaneStage) -> None:
        phone = await stage.by_asgi(*(from_caller(n) for n in range(1, 6)))
        assert phone.seen[2:] == [([to_model(n)], False, 0) for n in range(1, 6)]

    on_stage(play)


def test_by_asgi_the_agent_s_sound_waits_in_one_queue_for_one_turn_of_the_loop() -> None:
    """`send` of ASGI is a coroutine, so somebody has to be woken: once for all that gathers until then."""

    async def play(stage: LaneStage) -> None:
        phone = await stage.by_asgi()
        stage.begins_an_item()
        await asyncio.sleep(0)
        assert phone.sent == [to_caller(0)]
        tasks, waiting = asyncio.all_tasks(), stage.waits()
        for n in range(1, 4):
            stage.model.comes(stage.sound(n))
        assert (asyncio.all_tasks(), stage.waits()) == (tasks, waiting + 1)
        await asyncio.sleep(0)
        assert phone.sent == [to_caller(n) for n in range(4)]

    on_stage(play)
