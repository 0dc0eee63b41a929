"""PCM at the engine's rates: the spectrum, the delay, the borders between frames, and that no millisecond is won or lost."""

import math
from array import array
from random import Random
from typing import get_args

import pytest

from app.wire.g711 import DELAY_MS, FromPcm, Rate, ToPcm, audioop, taps
from tools.g711_figures import gain_db, level_db, response_db, tone, worst_image_db

RATES: tuple[Rate, ...] = get_args(Rate)
RAGGED = (1, 159, 160, 2, 800, 161, 37)
SECOND = 8000


def noise(size: int, seed: int = 7) -> bytes:
    return Random(seed).randbytes(size)


def in_pieces(stream: ToPcm | FromPcm, audio: bytes, sizes: tuple[int, ...] = RAGGED) -> bytes:
    out, at, n = b"", 0, 0
    while at < len(audio):
        out += stream.push(audio[at : at + sizes[n % len(sizes)]])
        at += sizes[n % len(sizes)]
        n += 1
    return out


@pytest.mark.parametrize("rate", RATES)
def test_up_is_the_plain_convolution_of_the_stuffed_stream(rate: Rate) -> None:
    times = rate // 8000
    audio = noise(200)
    samples, low = array("h", audioop.ulaw2lin(audio, 2)), taps(times)
    stuffed = [0] * (times * len(samples))
    stuffed[::times] = samples
    wanted = [sum(low[k] * stuffed[n - k] for k in range(len(low)) if n >= k) for n in range(len(stuffed))]
    got = array("h", in_pieces(ToPcm(rate), audio))
    assert max(abs(max(-32768, min(32767, w)) - g) for w, g in zip(wanted, got, strict=True)) < 8


def test_down_is_the_plain_convolution_of_which_every_third_is_taken() -> None:
    pcm = array("h", noise(1200))
    low = taps(3)
    wanted = [sum(low[j] / 3 * pcm[n - j] for j in range(len(low)) if n >= j) for n in range(0, len(pcm), 3)]
    got = array("h", audioop.ulaw2lin(in_pieces(FromPcm(), pcm.tobytes()), 2))
    for w, g in zip(wanted, got, strict=True):
        assert abs(max(-32124, min(32124, w)) - g) <= max(10, abs(w) / 28), "u-law's own step, and no more"


@pytest.mark.parametrize("rate", RATES)
def test_up_leaves_the_samples_that_there_were_as_they_are_a_millisecond_and_a_half_later(rate: Rate) -> None:
    times, audio = rate // 8000, noise(SECOND)
    samples = array("h", audioop.ulaw2lin(audio, 2))
    out = array("h", in_pieces(ToPcm(rate), audio))
    assert out[::times][12:] == samples[:-12]
    assert DELAY_MS == 1.5


@pytest.mark.parametrize("rate", RATES)
def test_the_border_between_two_frames_leaves_no_trace_on_the_way_up(rate: Rate) -> None:
    audio = noise(SECOND)
    whole = ToPcm(rate).push(audio)
    assert in_pieces(ToPcm(rate), audio) == whole
    assert in_pieces(ToPcm(rate), audio, (160,)) == whole


@pytest.mark.parametrize("sizes", [(960,), (1,), (7, 4800, 2, 959), (9600, 3)])
def test_the_border_between_two_pieces_leaves_no_trace_on_the_way_down(sizes: tuple[int, ...]) -> None:
    pcm = noise(12_000)
    assert in_pieces(FromPcm(), pcm, sizes) == FromPcm().push(pcm)


@pytest.mark.parametrize("rate", RATES)
def test_no_byte_is_won_or_lost(rate: Rate) -> None:
    assert len(in_pieces(ToPcm(rate), noise(1001))) == 1001 * rate // 4000
    assert ToPcm(rate).push(b"") == b""
    down = FromPcm()
    assert [len(down.push(bytes(size))) for size in (5, 1, 48_000, 3, 3, 0)] == [0, 1, 8000, 0, 1, 0]


def test_an_item_that_ends_within_a_sample_does_not_shift_the_next_one() -> None:
    down = FromPcm()
    down.push(bytes(6 * 160 + 5))
    down.cut()
    assert len(down.push(bytes(6 * 160))) == 160


def test_silence_stays_silence_and_the_loudest_stays_the_loudest() -> None:
    for rate in RATES:
        assert set(ToPcm(rate).push(b"\xff" * 160)) == {0}
    assert FromPcm().push(bytes(960)) == b"\xff" * 160
    assert FromPcm().push(array("h", [32767] * 960).tobytes())[-1:] == b"\x80"
    assert FromPcm().push(array("h", [-32768] * 960).tobytes())[-1:] == b"\x00"
    square = array("h", ToPcm(24000).push((b"\x80" * 4 + b"\x00" * 4) * 40))
    assert max(square) == 32767, "what overshoots is clipped, and does not turn over"
    assert min(square) == -32768


# --- the spectrum -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("rate", RATES)
def test_the_low_pass_is_flat_to_3400_hz_and_shut_from_4600_hz(rate: Rate) -> None:
    band = [response_db(rate, hz) for hz in range(0, 3401, 50)]
    stop = [response_db(rate, hz) for hz in range(4600, rate // 2 + 1, 25)]
    assert max(abs(db) for db in band) < 0.1
    assert max(stop) < -55


@pytest.mark.parametrize("rate", RATES)
@pytest.mark.parametrize("hz", [300, 1000, 2500, 3400])
def test_a_tone_goes_up_without_its_images(rate: Rate, hz: int) -> None:
    out = array("h", in_pieces(ToPcm(rate), tone(hz, 8000), (160,)))
    assert abs(gain_db(out, hz, rate)) < 0.3
    assert worst_image_db(out, hz, rate) < -50


@pytest.mark.parametrize("hz", [4600, 5000, 6500, 7700, 9000, 11_000])
def test_a_tone_above_the_telephone_s_band_does_not_fold_back_into_it(hz: int) -> None:
    out = in_pieces(FromPcm(), tone(hz, 24_000), (960,))
    folded = hz % 8000 if hz % 8000 <= 4000 else 8000 - hz % 8000
    assert level_db(array("h", audioop.ulaw2lin(out, 2)), folded, 8000) < -50


@pytest.mark.parametrize("hz", [300, 1000, 2500, 3400])
def test_a_tone_of_the_telephone_s_band_comes_down_as_loud_as_it_was(hz: int) -> None:
    out = array("h", audioop.ulaw2lin(in_pieces(FromPcm(), tone(hz, 24_000), (960,)), 2))
    assert abs(gain_db(out, hz, 8000)) < 0.3


@pytest.mark.parametrize("rate", RATES)
def test_an_impulse_comes_less_than_two_milliseconds_later(rate: Rate) -> None:
    click = b"\xff" * 100 + b"\x80" + b"\xff" * 100
    up = array("h", in_pieces(ToPcm(rate), click, (160,)))
    loudest = max(range(len(up)), key=lambda n: abs(up[n]))
    assert 1000 * loudest / rate - 100 / 8 == DELAY_MS < 2


def test_an_impulse_comes_down_less_than_two_milliseconds_later() -> None:
    pcm = array("h", [0] * 600)
    pcm[300:303] = array("h", [30_000] * 3)
    down = array("h", audioop.ulaw2lin(FromPcm().push(pcm.tobytes()), 2))
    loudest = max(range(len(down)), key=lambda n: abs(down[n]))
    assert 0 <= loudest / 8 - 300 / 24 <= 2


def test_speech_that_went_up_and_down_fits_three_milliseconds_later_and_nowhere_better() -> None:
    speech = Random(3)
    wave = array("h", [round(6000 * math.sin(n / 5) * speech.uniform(0.5, 1)) for n in range(4000)])
    audio = audioop.lin2ulaw(wave.tobytes(), 2)
    back = audioop.ulaw2lin(FromPcm().push(ToPcm(24000).push(audio)), 2)
    at, factor = audioop.findfit(back, audioop.ulaw2lin(audio, 2)[: 2 * 3000])
    assert at / 8 == 2 * DELAY_MS
    assert 0.9 < factor < 1.1
