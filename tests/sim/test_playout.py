"""The playback buffer: marks come back by what was played, never by the clock."""

from hypothesis import given
from hypothesis import strategies as st

from app.sim.playout import SILENCE, Playout, Underrun


def test_a_mark_comes_back_with_the_tick_that_plays_the_last_byte_before_it() -> None:
    playout = Playout()
    playout.add(b"a" * 320)
    assert playout.mark("end") == []
    assert playout.tick().echoes == []
    assert playout.tick().echoes == ["end"]


def test_a_mark_on_an_empty_buffer_comes_back_at_once() -> None:
    assert Playout().mark("now") == ["now"]


def test_a_mark_waits_for_an_unfinished_frame() -> None:
    playout = Playout()
    playout.add(b"a" * 161)
    playout.mark("end")
    assert playout.tick().echoes == []
    tick = playout.tick()
    assert (tick.frame, tick.audio_bytes, tick.echoes) == (b"a" + SILENCE[1:], 1, ["end"])


def test_marks_between_audio_come_back_one_by_one_and_in_order() -> None:
    playout = Playout()
    playout.add(b"a" * 160)
    playout.mark("1")
    playout.mark("2")
    playout.add(b"b" * 160)
    playout.mark("3")
    assert [playout.tick().echoes, playout.tick().echoes] == [["1", "2"], ["3"]]


def test_clear_drops_the_audio_and_sends_all_marks_back_in_order() -> None:
    playout = Playout()
    playout.add(b"a" * 480)
    playout.mark("1")
    playout.add(b"b" * 160)
    playout.mark("2")
    playout.tick()
    assert playout.clear() == ["1", "2"]
    assert playout.clears[0].dropped_bytes == 480
    assert playout.tick() == (SILENCE, 0, [])


def test_audio_after_a_clear_plays_normally_with_its_mark() -> None:
    playout = Playout()
    playout.add(b"a" * 480)
    playout.clear()
    playout.add(b"b" * 160)
    assert playout.mark("new") == []
    assert playout.tick() == (b"b" * 160, 160, ["new"])


def test_a_hole_inside_an_utterance_is_an_underrun_and_a_pause_after_its_mark_is_not() -> None:
    playout = Playout()
    playout.add(b"a" * 160)
    for _ in range(3):
        playout.tick()
    playout.add(b"a" * 160)
    assert playout.underruns == [Underrun(20, 40)]
    playout.mark("end")
    for _ in range(3):
        playout.tick()
    playout.add(b"b" * 160)
    assert playout.underruns == [Underrun(20, 40)]


@given(st.lists(st.one_of(st.integers(0, 500), st.just("mark"), st.just("tick"), st.just("clear"))))
def test_every_mark_comes_back_exactly_once_in_order_and_never_before_its_audio(steps: list[int | str]) -> None:
    playout, sent, echoed = Playout(), 0, list[str]()
    played = dropped = 0
    needs: dict[str, int] = {}
    for number, step in enumerate([*steps, *["tick"] * 2000]):
        match step:
            case int():
                playout.add(b"x" * step)
                sent += step
                came: list[str] = []
            case "mark":
                needs[str(number)] = sent
                came = playout.mark(str(number))
            case "clear":
                dropped += playout.waiting_bytes
                came = playout.clear()
            case _:
                tick = playout.tick()
                played += tick.audio_bytes
                came = tick.echoes
        assert all(needs[name] <= played + dropped for name in came)
        echoed += came
        if number >= len(steps) and not playout.waiting_bytes:
            break
    assert echoed == list(needs)
    assert played + dropped == sent
