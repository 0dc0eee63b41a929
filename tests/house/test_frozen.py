"""A process that stands still hears no frame, and takes no live stream for a dead one because of that."""

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any, cast

import pytest

from app.calls.toolbox import Toolbox
from app.core.machine import CallMachine
from app.core.phases import Phase
from app.relay import ALIVE_SECONDS, DEAD_STREAM_SECONDS, Relay
from modes.receptionist import mode
from tests.house.test_toolbox import context

FRAME = b'{"event":"media","media":{"track":"inbound","payload":"//8="}}'


class Loop:
    """Time that is moved by hand: what is due while nobody runs is run afterwards, late."""

    def __init__(self) -> None:
        self.at = 100.0
        self.due: list[tuple[float, Callable[[], object]]] = []

    def call_later(self, seconds: float, call: Callable[..., object], *arguments: Any) -> Any:
        self.due.append((self.at + seconds, lambda: call(*arguments)))
        return SimpleNamespace(cancel=lambda: None)

    def stands_still(self, seconds: float) -> None:
        self.at += seconds

    def runs_timers(self) -> None:
        ready = [call for at, call in self.due if at <= self.at]
        self.due = [(at, call) for at, call in self.due if at > self.at]
        for call in ready:
            call()

    def runs(self, seconds: float) -> None:
        until = self.at + seconds
        while self.at < until:
            self.at += 0.5
            self.runs_timers()


class Line:
    """The phone's end, as far as it was closed."""

    def __init__(self) -> None:
        self.closed: list[str] = []

    def send(self, text: bytes) -> None:
        raise AssertionError("nothing is said here")

    def close(self, code: int = 1000, reason: str = "") -> None:
        self.closed.append(reason)


@pytest.fixture
async def stage() -> tuple[Loop, Line, Relay]:
    loop, line = Loop(), Line()
    machine = SimpleNamespace(
        phase=Phase.TALKING,
        listening=False,
        receive=lambda event, now: [],
        trace=SimpleNamespace(rows=[]),
        deadline=None,
        untold=None,
    )
    none = cast(Any, None)
    relay = Relay("CA1", cast(CallMachine, machine), mode, line, none, Toolbox(mode, context), none)
    relay.loop, relay.now = cast(Any, loop), lambda: loop.at
    relay.watch()
    return loop, line, relay


@pytest.mark.parametrize("seconds", [5.0, 12.0, 600.0])
async def test_a_stream_whose_frames_wait_in_the_socket_of_a_frozen_process_is_not_dead(
    stage: tuple[Loop, Line, Relay], seconds: float
) -> None:
    """Timers run before the sockets are read."""
    loop, line, relay = stage
    loop.runs(4.0)
    relay.heard(FRAME)
    loop.stands_still(seconds)
    loop.runs_timers()
    assert line.closed == []
    relay.heard(FRAME)
    loop.runs(DEAD_STREAM_SECONDS - 1)
    assert line.closed == []


async def test_nor_does_it_seem_alive_for_as_long_as_the_process_stood_still(stage: tuple[Loop, Line, Relay]) -> None:
    loop, _, relay = stage
    loop.stands_still(12.0)
    relay.heard(FRAME)
    loop.runs_timers()
    assert relay.alive
    loop.runs(2 * ALIVE_SECONDS)
    assert not relay.alive


@pytest.mark.parametrize("frozen", [0.0, 12.0])
async def test_a_carrier_that_has_fallen_silent_is_noticed_ten_seconds_later(
    stage: tuple[Loop, Line, Relay], frozen: float
) -> None:
    loop, line, _ = stage
    loop.stands_still(frozen)
    loop.runs_timers()
    loop.runs(DEAD_STREAM_SECONDS - 3)
    assert line.closed == []
    loop.runs(6.0)
    assert line.closed == ["no audio"]
