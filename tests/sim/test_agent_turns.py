"""How long the agent's turns are, by the ear of a scripted caller, and what a script may want of them."""

from collections.abc import Sequence
from typing import Any

import pytest

from app.clips import clip
from app.errors import SetupError
from app.sim.agent_turns import TimingCaller, house_frames
from app.sim.caller import FRAME, FRAME_MS
from app.sim.judgement import pace_faults
from app.sim.report import Report
from app.sim.script import Turn, parse

AGENT = bytes(range(160))
CALLER = bytes(range(159, -1, -1))
SILENCE = b"\xff" * FRAME


class Line:
    """A phone line in no time: both ends frame by frame."""

    def __init__(self, *turns: Turn, words_ms: int = 1000) -> None:
        self.hung_up = False
        self.caller = TimingCaller(
            turns,
            lambda text: CALLER * (words_ms // FRAME_MS),
            press=lambda keys: None,
            hang_up=lambda: setattr(self, "hung_up", True),
        )
        self.caller.stream_started("MZ1")

    def agent(self, audio: bytes, ms: int) -> None:
        for _ in range(ms // FRAME_MS):
            self.caller.next_frame()
            self.caller.heard(audio, self.caller.now_ms)

    def says(self, ms: int) -> None:
        self.agent(AGENT, ms)

    def quiet(self, ms: int) -> None:
        self.agent(SILENCE, ms)

    @property
    def lengths(self) -> Sequence[int]:
        return self.caller.agent_turns_ms


OPENING = Turn(agent="Hello.")


def test_a_greeting_is_a_turn_and_so_is_each_answer() -> None:
    line = Line(OPENING, Turn(caller="Hi."), Turn(caller="Bye."))
    line.says(3000)
    line.quiet(3000)
    line.says(2000)
    line.quiet(3000)
    line.says(4000)
    assert line.lengths == [3000, 2000, 4000]


def test_a_pause_inside_a_turn_counts_and_a_wait_for_a_tool_does_not() -> None:
    line = Line(OPENING, Turn(caller="Hi."))
    line.says(1000)
    line.quiet(300)
    line.says(1000)
    line.quiet(2500)
    line.says(800)
    line.quiet(900)
    line.says(1200)
    assert line.lengths == [2300, 2000]


def test_what_still_sounds_while_the_caller_cuts_in_belongs_to_the_old_turn() -> None:
    line = Line(OPENING, Turn(caller="Hi.", cuts_in_after_ms=1000))
    line.says(1100)
    line.quiet(1500)
    line.says(2400)
    assert line.lengths == [1100, 2400]


def test_a_second_stream_opens_with_a_turn_of_its_own() -> None:
    line = Line(OPENING, OPENING)
    line.says(2000)
    line.caller.stream_started("MZ2")
    line.says(3000)
    assert line.lengths == [2000, 3000]


@pytest.mark.parametrize("name", ["one_moment", "interrupted"])
def test_the_house_s_own_clips_are_nobody_s_turn(name: Any) -> None:
    line = Line(OPENING, OPENING)
    audio = clip(name)
    assert house_frames()

    def plays_the_clip() -> None:
        for at in range(0, len(audio), FRAME):
            line.agent(audio[at : at + FRAME], FRAME_MS)

    plays_the_clip()
    assert line.lengths == []
    line.quiet(800)
    line.says(2000)
    line.caller.stream_started("MZ2")
    plays_the_clip()
    line.says(3000)
    assert line.lengths == [2000, 3000]


def script(**expect: Any) -> Any:
    return {
        "title": "A call",
        "mode": "receptionist",
        "caller": {"number": "+14155550133"},
        "turn": [{"agent": "Hello."}],
        "expect": expect,
    }


def report(median: int | None) -> Report:
    return Report(script="x", agent_turns_ms=[] if median is None else [median], agent_turn_median_ms=median)


@pytest.mark.parametrize("median", [None, 2000, 3500, 5000])
def test_turns_of_two_to_five_seconds_are_good(median: int | None) -> None:
    assert pace_faults(report(median), parse(script(), "x")) == []


@pytest.mark.parametrize("median", [1980, 5020])
def test_shorter_or_longer_ones_are_a_fault_that_says_how_long_they_were(median: int) -> None:
    (fault,) = pace_faults(report(median), parse(script(), "x"))
    assert "2000-5000 ms in the median" in fault
    assert f"got {median} ms" in fault


def test_a_script_may_want_others_for_a_reason() -> None:
    brief = parse(script(agent_turns={"from_ms": 500, "to_ms": 1500, "reason": "a menu of keys"}), "x")
    assert pace_faults(report(1500), brief) == []
    (fault,) = pace_faults(report(1520), brief)
    assert "(a menu of keys)" in fault


@pytest.mark.parametrize(
    "pace",
    [
        {"from_ms": 500, "to_ms": 1500},
        {"from_ms": 500, "to_ms": 1500, "reason": " "},
        {"from_ms": 1500, "to_ms": 500, "reason": "a menu"},
        {"from_ms": -1, "to_ms": 500, "reason": "a menu"},
        {"seconds": 3},
    ],
)
def test_a_pace_without_a_reason_or_turned_round_is_refused(pace: dict[str, Any]) -> None:
    with pytest.raises(SetupError, match=r"x: .*(agent_turns|reason)"):
        parse(script(agent_turns=pace), "x")
