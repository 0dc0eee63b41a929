"""The loop's lag: measured on a loop that is really held up, and weighed by time, so that one long halt closes no door."""

import asyncio
import time

from app import metrics
from app.calls.lag import LoopLag


async def test_a_loop_that_is_held_up_again_and_again_closes_the_door_and_one_that_keeps_up_opens_it() -> None:
    lag = LoopLag(20.0, tick=0.005, window=0.2)
    lag.start()
    try:
        async with asyncio.timeout(10):
            while not lag.overloaded:
                time.sleep(0.05)  # noqa: ASYNC251  it is the point
                await asyncio.sleep(0)
            assert metrics.loop_overloaded._value.get() == 1
            while lag.overloaded:  # noqa: ASYNC110
                await asyncio.sleep(0.01)
        assert metrics.loop_overloaded._value.get() == 0
    finally:
        lag.stop()


def test_one_long_halt_is_no_overload() -> None:
    lag = LoopLag(250.0)
    for _ in range(60):
        lag.count(0.05, 0.0)
    lag.count(1.45, 1.4)
    assert not lag.overloaded
    lag.count(0.35, 0.3)
    assert lag.overloaded, "now it was late for most of three seconds"


def test_a_halt_at_the_very_beginning_is_no_overload() -> None:
    lag = LoopLag(250.0)
    lag.count(1.0, 0.95)
    assert not lag.overloaded


def test_the_door_stays_shut_until_the_loop_runs_well_within_the_limit() -> None:
    lag = LoopLag(100.0)
    for _ in range(20):
        lag.count(0.2, 0.15)
    assert lag.overloaded
    for _ in range(40):
        lag.count(0.13, 0.08)
    assert lag.overloaded, "no more than the limit, but more than half of it"
    for _ in range(60):
        lag.count(0.06, 0.01)
    assert not lag.overloaded
    for _ in range(40):
        lag.count(0.13, 0.08)
    assert not lag.overloaded, "what does not open it does not close it either"


def test_without_a_limit_the_lag_is_measured_and_nobody_turned_away() -> None:
    lag = LoopLag(0.0)
    for _ in range(5):
        lag.count(2.05, 2.0)
    assert not lag.overloaded
    assert metrics.loop_lag_seconds._value.get() == 2.0


def test_the_measure_shown_is_the_worst_of_the_last_seconds() -> None:
    lag = LoopLag(0.0)
    for late in (0.0, 0.4, 0.01, *([0.0] * 60)):
        lag.count(0.05 + late, late)
    assert metrics.loop_lag_seconds._value.get() == 0.4
