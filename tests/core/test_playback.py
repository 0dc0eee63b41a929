"""The ledger of what was heard, by itself: hand-made cases, then any order of moves against a carrier told forwards."""

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from app.core.playback import Playback
from tests.core.line import Line


def test_audio_is_heard_at_eight_bytes_a_millisecond() -> None:
    playback = Playback()
    assert playback.add("a", 0, 8000, 100.0) is True
    assert playback.add("a", 0, 8000, 100.0) is False
    assert playback.ends_at == 102.0
    assert [playback.heard_ms("a", 100.0 + s) for s in (0, 0.25, 1.5, 2, 60)] == [0, 250, 1500, 2000, 2000]
    assert playback.sent_ms("a") == 2000
    assert [playback.playing(at) for at in (101.999, 102.0)] == [True, False]


def test_audio_after_a_pause_starts_when_it_comes() -> None:
    playback = Playback()
    playback.add("a", 0, 800, 100.0)
    playback.add("b", 0, 800, 105.0)
    assert playback.parts[1].started_at == 105.0
    assert (playback.heard_ms("a", 105.05), playback.heard_ms("b", 105.05)) == (100, 50)


def test_items_queue_behind_each_other() -> None:
    playback = Playback()
    for item in ("a", "b", "c"):
        playback.add(item, 0, 8000, 100.0)
    assert [part.started_at for part in playback.parts] == [100.0, 101.0, 102.0]
    assert [playback.heard_ms(item, 101.25) for item in ("a", "b", "c")] == [1000, 250, 0]


def test_a_clear_settles_what_was_heard_and_the_rest_never_is() -> None:
    playback = Playback()
    for item in ("a", "b", "c"):
        playback.add(item, 0, 8000, 100.0)
    cut = playback.clear(101.25)
    assert [(part.item_id, part.heard) for part in cut] == [("b", 2000), ("c", 0)]
    assert not playback.playing(101.25)
    assert [playback.heard_ms(item, 200.0) for item in ("a", "b", "c")] == [1000, 250, 0]
    assert playback.clear(101.3) == []


def test_audio_after_a_clear_starts_at_once() -> None:
    playback = Playback()
    playback.add("a", 0, 80_000, 100.0)
    playback.clear(101.0)
    assert playback.add("b", 0, 8000, 101.5) is True
    assert playback.parts[-1].started_at == 101.5
    assert playback.heard_ms("b", 102.0) == 500
    assert playback.heard_ms("a", 102.0) == 1000


def test_a_mark_that_is_early_moves_the_clock_forward() -> None:
    playback = Playback()
    playback.add("a", 0, 8000, 100.0)
    playback.mark("m1")
    playback.add("b", 0, 8000, 100.0)
    assert playback.reached("m1", 100.8)
    assert playback.heard_ms("a", 100.8) == 1000
    assert playback.ends_at == pytest.approx(101.8)
    assert playback.heard_ms("b", 101.3) == 500


def test_a_mark_that_is_late_moves_the_clock_back() -> None:
    playback = Playback()
    playback.add("a", 0, 8000, 100.0)
    playback.mark("m1")
    playback.add("b", 0, 8000, 100.0)
    assert playback.reached("m1", 101.3)
    assert playback.ends_at == pytest.approx(102.3)
    assert playback.heard_ms("b", 101.8) == 500


def test_the_agent_is_still_heard_while_a_mark_is_out() -> None:
    playback = Playback()
    playback.add("a", 0, 8000, 100.0)
    playback.mark("m1")
    assert playback.playing(105.0)
    assert playback.reached("m1", 105.0)
    assert not playback.playing(105.0)


def test_a_mark_that_a_clear_flushed_says_nothing() -> None:
    playback = Playback()
    playback.add("a", 0, 8000, 100.0)
    playback.mark("m1")
    playback.clear(100.4)
    playback.add("b", 0, 8000, 100.5)
    assert not playback.reached("m1", 100.5)
    assert (playback.heard_ms("a", 101.0), playback.heard_ms("b", 101.0)) == (400, 500)
    assert not playback.reached("m1", 101.0)


def test_an_unknown_mark_says_nothing() -> None:
    playback = Playback()
    playback.add("a", 0, 8000, 100.0)
    assert not playback.reached("m7", 100.1)
    assert playback.heard_ms("a", 100.1) == 100


def test_a_mark_with_nothing_before_it_comes_back_as_played() -> None:
    playback = Playback()
    playback.mark("m1")
    assert playback.playing(100.0)
    assert playback.reached("m1", 100.0)
    assert not playback.playing(100.0)


def test_audio_behind_a_mark_is_not_heard_with_it() -> None:
    playback = Playback()
    playback.add("a", 0, 8000, 100.0)
    playback.mark("m1")
    playback.add("a", 0, 8000, 100.0)
    assert playback.reached("m1", 101.0)
    assert playback.heard_ms("a", 101.0) == 1000
    assert playback.ends_at == pytest.approx(102.0)


def test_silence_that_fills_a_frame_takes_time_and_belongs_to_nobody() -> None:
    playback = Playback()
    playback.add("a", 0, 80, 100.0)
    playback.fill(0, 80, 100.0)
    assert playback.ends_at == pytest.approx(100.02)
    assert playback.heard_ms("a", 100.02) == playback.sent_ms("a") == 10


def test_an_item_of_two_parts_is_one_item() -> None:
    playback = Playback()
    assert playback.add("a", 0, 8000, 100.0)
    assert playback.add("a", 1, 8000, 100.0)
    assert (playback.sent_ms("a"), playback.heard_ms("a", 101.5)) == (2000, 1500)


class AnyOrder(RuleBasedStateMachine):
    """A carrier and the ledger get the same; whenever they can be compared, they agree."""

    def __init__(self) -> None:
        super().__init__()
        self.playback = Playback()
        self.line = Line()
        self.now = 100.0
        self.names = 0
        """Marks so far. An item ends with its mark, so names of items count with them."""
        self.echoes: list[str] = []
        self.items: set[str] = set()
        self.heard: dict[str, int] = {}
        self.exact = True
        """False once a mark told a wrong time: the carrier told forwards does not know of that."""

    def pass_time(self, ms: int) -> None:
        until = self.now + ms / 1000
        while self.line.marks and self.line.marks[0][0] <= until:
            at, name = self.line.marks.pop(0)
            self.now = max(self.now, at)
            assert self.playback.reached(name, self.now)
        self.now = until

    @rule(item=st.sampled_from("abc"), index=st.integers(0, 1), frames=st.integers(0, 50))
    def agent_speaks(self, item: str, index: int, frames: int) -> None:
        self.items.add(name := f"{item}{self.names}")
        self.playback.add(name, index, frames * 160, self.now)
        self.line.media(name, frames * 160, self.now)

    @rule(ms=st.integers(0, 1500))
    def time_passes(self, ms: int) -> None:
        self.pass_time(ms)

    @rule()
    def mark(self) -> None:
        self.names += 1
        self.playback.mark(f"m{self.names}")
        self.line.mark(f"m{self.names}", self.now)
        self.pass_time(0)

    @rule()
    def clear(self) -> None:
        self.echoes += [name for _, name in self.line.marks]
        cut = self.playback.clear(self.now)
        self.line.clear(self.now)
        self.line.marks.clear()
        assert all(0 <= part.heard < part.sent for part in cut)
        assert not self.playback.playing(self.now)

    @precondition(lambda self: self.echoes)
    @rule()
    def flushed_mark_comes_back(self) -> None:
        assert not self.playback.reached(self.echoes.pop(0), self.now)

    @rule(name=st.sampled_from(["m0", "m1", "x"]))
    def mark_out_of_turn(self, name: str) -> None:
        known = name in self.playback.pending
        if known:
            self.line.marks = [(at, other) for at, other in self.line.marks if other != name]
            self.exact = False
        if name in self.echoes:
            self.echoes.remove(name)
            known = False
        assert self.playback.reached(name, self.now) is known

    @invariant()
    def never_more_heard_than_sent_and_never_less_than_before(self) -> None:
        for item in self.items:
            heard = self.playback.heard_ms(item, self.now)
            assert self.heard.get(item, 0) <= heard <= self.playback.sent_ms(item)
            self.heard[item] = heard
        assert all(0 <= part.heard <= part.sent for part in self.playback.parts)

    @invariant()
    def agrees_with_the_carrier(self) -> None:
        if not self.exact:
            return
        assert self.playback.playing(self.now) == (self.line.runs_dry > self.now + 1e-9 or bool(self.line.marks))
        for item in self.items:
            assert abs(self.playback.heard_ms(item, self.now) - self.line.played_ms(item, self.now)) <= 1.5


TestAnyOrder = AnyOrder.TestCase
TestAnyOrder.settings = settings(
    max_examples=60, stateful_step_count=40, deadline=None, database=None, derandomize=True
)
