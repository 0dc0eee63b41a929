"""Measures the conversion of app/wire/g711.py: its spectrum, its delay and its cost. How docs/engines.md got its figures.

    .venv/bin/python -m tools.g711_figures                      # prints the table
    .venv/bin/python -m tools.g711_figures --plot docs/bench/g711.svg   # and draws the spectrum: needs pygal

Tones of 300 ms go through the converters in frames of 20 ms, as in a call; levels are of single frequencies, by Goertzel.
"""

import argparse
import cmath
import math
import sys
import timeit
from array import array
from collections.abc import Sequence
from pathlib import Path
from random import Random
from typing import get_args

from app.wire.g711 import DELAY_MS, FromPcm, Rate, ToPcm, audioop, taps

LOUD = 16_000.0
SETTLED_SECONDS = 0.05
SECONDS = 0.3
FRAME = {8000: 160, 24_000: 960}
ROUNDS = 400
IN_BAND = range(0, 3401, 50)


def response_db(rate: int, hz: float) -> float:
    """What the low-pass makes of a frequency, by its taps; 0 dB is unchanged."""
    times = rate // 8000
    sums = sum(tap * cmath.exp(-2j * math.pi * hz * n / rate) for n, tap in enumerate(taps(times)))
    return 20 * math.log10(max(1e-6, abs(sums) / times))


def tone(hz: float, rate: int) -> bytes:
    """A tone: u-law at 8000, else PCM16."""
    wave = array("h", [round(LOUD * math.sin(2 * math.pi * hz * n / rate)) for n in range(round(rate * SECONDS))])
    return audioop.lin2ulaw(wave.tobytes(), 2) if rate == 8000 else wave.tobytes()


def level_db(samples: Sequence[int], hz: float, rate: int) -> float:
    """How loud one frequency is in samples, against the tones above; a Hann window keeps others out."""
    part = samples[round(SETTLED_SECONDS * rate) :]
    size = len(part)
    factor = 2 * math.cos(2 * math.pi * hz / rate)
    before = last = 0.0
    for n, sample in enumerate(part):
        window = 0.5 - 0.5 * math.cos(2 * math.pi * n / size)
        before, last = last, sample * window + factor * last - before
    power = max(0.0, before * before + last * last - factor * before * last)
    return 20 * math.log10(max(1e-9, 4 * math.sqrt(power) / size / LOUD))


def gain_db(samples: Sequence[int], hz: float, rate: int) -> float:
    """What became of a tone's loudness."""
    return level_db(samples, hz, rate)


def worst_image_db(samples: Sequence[int], hz: float, rate: int) -> float:
    """The loudest mirror image of an 8 kHz tone above 4 kHz."""
    images = {abs(8000 * k + sign * hz) for k in (1, 2) for sign in (-1, 1)}
    return max(level_db(samples, image, rate) for image in images if 4000 < image <= rate / 2)


def up(rate: Rate, hz: float) -> "array[int]":
    """A tone of the caller's, as the engine gets it."""
    return _framed(ToPcm(rate), tone(hz, 8000), FRAME[8000])


def down(hz: float) -> "array[int]":
    """A tone of the engine's at 24 kHz, as the caller gets it, in linear samples."""
    return array("h", audioop.ulaw2lin(_framed(FromPcm(), tone(hz, 24_000), FRAME[24_000]).tobytes(), 2))


def _framed(stream: ToPcm | FromPcm, audio: bytes, size: int) -> "array[int]":
    out = b"".join(stream.push(audio[at : at + size]) for at in range(0, len(audio), size))
    return array("h" if isinstance(stream, ToPcm) else "B", out)


def microseconds(stream: ToPcm | FromPcm, frame: bytes) -> float:
    """What 20 ms cost: the best of seven rounds."""
    return min(timeit.repeat(lambda: stream.push(frame), number=ROUNDS, repeat=7)) / ROUNDS * 1e6


def table() -> str:
    """All figures, as docs/engines.md has them."""
    rows = ["| | caller to model, 24 kHz | caller to model, 16 kHz | model to caller, 24 kHz |", "|---|---|---|---|"]
    rates: list[int] = [24_000, 16_000, 24_000]
    ripple = [max(abs(response_db(rate, hz)) for hz in IN_BAND) for rate in rates]
    stop = [-max(response_db(rate, hz) for hz in range(4600, rate // 2 + 1, 10)) for rate in rates]
    rows.append(_row("pass-band ripple to 3.4 kHz, dB", ripple, 3))
    rows.append(_row("stop-band from 4.6 kHz, dB down", stop, 1))
    measured = [
        -max(worst_image_db(up(rate, hz), hz, rate) for hz in (300, 1000, 2500, 3400)) for rate in get_args(Rate)[::-1]
    ]
    folded = -max(
        level_db(down(hz), abs(hz - 8000 * round(hz / 8000)), 8000) for hz in (4600, 5000, 6500, 9000, 11_000)
    )
    rows.append(_row("a tone's loudest image or alias, dB down", [*measured, folded], 1))
    rows.append(_row("delay, ms", [DELAY_MS] * 3, 2))
    random = Random(1)  # noqa: S311  any bytes do
    frame, pcm = random.randbytes(160), random.randbytes(960)
    cost = [microseconds(ToPcm(24_000), frame), microseconds(ToPcm(16_000), frame), microseconds(FromPcm(), pcm)]
    rows.append(_row("CPU for 20 ms, us", cost, 0))
    return "\n".join(rows)


def _row(what: str, figures: Sequence[float], places: int) -> str:
    return f"| {what} | " + " | ".join(f"{figure:.{places}f}" for figure in figures) + " |"


def plot(path: Path) -> None:
    """The low-pass at 24 kHz, as an SVG."""
    import pygal

    from bench.plots import look

    chart = pygal.XY(
        **look(), title="The low-pass of app/wire/g711.py, dB by Hz", height=320, show_dots=False, legend_at_bottom=True
    )
    for rate in (24_000, 16_000):
        chart.add(
            f"{rate // 1000} kHz", [(hz, max(-90.0, response_db(rate, hz))) for hz in range(0, rate // 2 + 1, 40)]
        )
    path.write_text(chart.render(is_unicode=True), encoding="utf-8")


def main() -> int:
    """Print the table; draw, if asked to."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--plot", type=Path, metavar="FILE", help="draw the spectrum, too")
    chosen = parser.parse_args()
    sys.stdout.write(table() + "\n")
    if chosen.plot is not None:
        plot(chosen.plot)
    return 0


if __name__ == "__main__":
    sys.exit(main())
