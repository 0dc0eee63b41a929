"""How a call comes to its end: transfer, goodbye, hang-up. One door, once, and nothing after it."""

# `did` fails by itself; its assert is for the reader.
# mypy: disable-error-code="truthy-bool"

from collections.abc import Callable

import pytest

from app.core import effects as do
from app.core import events as ev
from app.core.phases import Phase
from app.core.rows import CallEnded, Milestone
from tests.core.story import Story, greeted, returned, started


def put_through(call: Story, *, ms: float = 2000) -> None:
    """The agent says that it puts the caller through, and calls the tool."""
    call.says("r1", ("a1", ms), done=False)
    call.act(
        ev.ToolCalled("r1", "t1", "put_through", "{}"), ev.ResponseDone("r1", "completed"), returned("t1", to="sales")
    )


def says_goodbye(call: Story, *, ms: float = 2000) -> None:
    """The agent says goodbye and calls the tool that ends the call."""
    call.says("r1", ("a1", ms), done=False)
    call.act(ev.ToolCalled("r1", "t1", "end_call", "{}"), ev.ResponseDone("r1", "completed"), returned("t1", ends=True))


# --- transfer and goodbye ---------------------------------------------------------------------------------------------


def test_a_transfer_waits_until_what_is_said_was_heard() -> None:
    call = greeted()
    put_through(call)
    assert call.did(do.PutThrough) == do.PutThrough("sales", "asked")
    assert call.did_not(do.CloseStream, do.RequestResponse)
    call.waits(1999)
    assert not call.over
    call.waits(1)
    assert call.did(do.CloseStream).code == 1000
    assert call.did(do.CallIsOver).outcome == "transferred"
    assert "transfer_started" in [row.name for row in call.rows(Milestone)]


def test_a_transfer_without_a_word_lets_the_agent_say_one_first() -> None:
    call = greeted()
    call.act(ev.ResponseStarted("r1"), ev.ToolCalled("r1", "t1", "put_through", "{}"), returned("t1", to="sales"))
    call.act(ev.ResponseDone("r1", "completed"))
    assert call.did(do.RequestResponse)
    call.says("r2", ("a2", 1500))
    assert not call.over
    call.waits(1500)
    assert call.did(do.CallIsOver).outcome == "transferred"


@pytest.mark.parametrize("leave", [put_through, says_goodbye])
def test_leaving_takes_ten_seconds_at_most(leave: Callable[..., None]) -> None:
    call = greeted()
    leave(call, ms=60_000)
    call.waits(9999)
    assert not call.over
    call.waits(1)
    assert call.did(do.CloseStream)
    assert call.did(do.CallIsOver)


def test_leaving_waits_for_the_last_mark_even_if_the_clock_says_that_all_was_heard() -> None:
    call = greeted()
    put_through(call)
    (mark,) = call.line.marks
    call.line.marks.clear()
    call.waits(2500)
    call.act(ev.TimePassed())
    assert not call.over
    call.act(ev.MarkReached(mark[1]))
    assert call.did(do.CloseStream)


def test_a_goodbye_is_heard_and_the_call_is_completed() -> None:
    call = greeted()
    says_goodbye(call)
    assert call.did(do.HangUp)
    call.waits(2000)
    assert call.did(do.CallIsOver).outcome == "completed"
    assert call.rows(CallEnded)[-1].outcome == "completed"


def test_a_caller_who_speaks_takes_a_goodbye_back() -> None:
    call = greeted()
    says_goodbye(call)
    call.waits(700)
    call.act(ev.CallerSpoke("c1"))
    assert call.did(do.Truncate).heard_ms == 700
    assert call.did(do.Resume)
    assert call.machine.phase is Phase.TALKING
    call.waits(1500)
    call.act(ev.CallerStopped("c1"))
    call.says("r2", ("a2", 1000))
    call.waits(20_000)
    assert not call.over
    says_goodbye_again = [ev.ToolCalled("r3", "t3", "end_call", "{}"), returned("t3", ends=True)]
    call.says("r3", ("a3", 1000), done=False)
    call.act(*says_goodbye_again, ev.ResponseDone("r3", "completed"))
    call.waits(1000)
    assert call.did(do.CallIsOver).outcome == "completed"


@pytest.mark.parametrize("lost", ["before the goodbye is decided", "while it is heard"])
def test_a_goodbye_whose_session_is_gone_is_heard_out_whatever_is_pressed(lost: str) -> None:
    call = greeted()
    call.says("r1", ("a1", 2000), done=False)
    gone, ends = ev.ModelLost("closed"), [ev.ToolCalled("r1", "t1", "end_call", "{}"), returned("t1", ends=True)]
    call.act(*([ends[0], gone, ends[1]] if lost == "before the goodbye is decided" else [*ends, gone]))
    call.waits(500)
    call.act(ev.KeyPressed("5"))
    call.waits(1500)
    assert call.did(do.CallIsOver).outcome == "completed"


def test_a_caller_who_speaks_does_not_take_a_transfer_back() -> None:
    call = greeted()
    put_through(call)
    call.waits(500)
    call.act(ev.CallerSpoke("c1"))
    assert call.did_not(do.Resume)
    call.waits(10_000)
    assert call.all(do.CallIsOver, ever=True)[0].outcome == "transferred"


def test_a_person_is_still_put_through_to_after_a_goodbye() -> None:
    call = greeted()
    says_goodbye(call)
    call.act(ev.ToolCalled("r2", "t2", "put_through", "{}"), returned("t2", to="sales"))
    assert call.did(do.PutThrough).to == "sales"
    call.waits(10_000)
    assert call.all(do.CallIsOver, ever=True)[0].outcome == "transferred"


def test_a_goodbye_does_not_undo_a_transfer() -> None:
    call = greeted()
    put_through(call)
    call.act(ev.ToolCalled("r2", "t2", "end_call", "{}"), returned("t2", ends=True))
    assert call.did_not(do.HangUp)


def test_leaving_waits_for_a_tool_that_still_runs() -> None:
    call = greeted()
    call.says("r1", ("a1", 200), done=False)
    call.act(ev.ToolCalled("r1", "t1", "end_call", "{}"), ev.ToolCalled("r1", "t2", "take_message", "{}"))
    call.act(returned("t1", ends=True), ev.ResponseDone("r1", "completed"))
    call.waits(3000)
    assert not call.over
    call.act(returned("t2"))
    assert call.did(do.CallIsOver).outcome == "completed"


# --- hang-up and closing ----------------------------------------------------------------------------------------------


def waiting() -> Story:
    return Story()


def opening() -> Story:
    call = Story()
    call.act(started())
    return call


def leaving() -> Story:
    call = greeted()
    says_goodbye(call)
    return call


@pytest.mark.parametrize(
    ("begin", "outcome"),
    [(waiting, "caller_left"), (opening, "caller_left"), (greeted, "caller_left"), (leaving, "completed")],
)
def test_a_caller_may_hang_up_in_every_phase(begin: Callable[[], Story], outcome: str) -> None:
    call = begin()
    call.act(ev.CallerLeft("stop"))
    assert call.did(do.CallIsOver) == do.CallIsOver(outcome, "stop")
    assert call.did(do.CloseModel)
    assert call.did_not(do.CloseStream, do.Apologise)
    assert isinstance(call.scene[-1], do.CallIsOver)
    assert len(call.rows(CallEnded)) == (0 if begin is waiting else 1)


@pytest.mark.parametrize("begin", [waiting, opening, greeted])
def test_a_house_that_closes_leads_the_call_on(begin: Callable[[], Story]) -> None:
    call = begin()
    call.act(ev.HouseCloses())
    assert call.did(do.Resume)
    assert call.did(do.CloseStream).code == 1001
    assert call.did(do.CallIsOver).outcome == "interrupted"


@pytest.mark.parametrize("leave", [put_through, says_goodbye])
def test_a_house_that_closes_keeps_what_was_promised(leave: Callable[..., None]) -> None:
    """Resume would be remembered over the person, or the goodbye, that the caller was told of."""
    call = greeted()
    leave(call)
    call.act(ev.HouseCloses())
    assert call.did_not(do.Resume)
    assert call.over


def test_nothing_follows_the_end() -> None:
    call = greeted()
    call.act(ev.CallerLeft("stop"))
    assert (call.machine.deadline, call.machine.listening, call.machine.speaking("r9")) == (None, False, False)
    call.act(
        *[ev.CallerLeft("closed"), ev.HouseCloses(), ev.ModelLost("gone"), ev.TimePassed(), started(), ev.ModelReady()],
        *[ev.CallerSpoke("c1"), ev.CallerStopped("c1"), ev.KeyPressed("#"), ev.ResponseDone("r1", "completed")],
        *[ev.ToolCalled("r1", "t1", "f", "{}"), returned("t1", to="sales"), ev.MarkReached("m1")],
    )
    assert call.scene == []
