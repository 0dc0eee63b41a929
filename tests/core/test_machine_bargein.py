"""The caller cuts in: what is cleared, what the model is told, and what is never heard."""

# `did` fails by itself; its assert is for the reader.
# mypy: disable-error-code="truthy-bool"

import pytest

from app.core import effects as do
from app.core import events as ev
from app.core.rows import Turn
from app.core.talk import HEARD_NOTHING, HEARD_PART
from tests.core.story import Story


@pytest.mark.parametrize("done", [True, False])
@pytest.mark.parametrize("heard_ms", [1, 20, 1200, 2999])
def test_a_caller_who_cuts_in_truncates_to_the_millisecond(heard_ms: int, done: bool) -> None:
    call = Story()
    call.rings()
    call.says("r1", ("a1", 3000), done=done)
    call.waits(heard_ms)
    call.act(ev.CallerSpoke("c1"))
    assert call.did(do.ClearPlayback)
    assert call.did(do.Truncate) == do.Truncate("a1", 0, heard_ms)
    assert call.did_not(do.DeleteItem, do.CancelResponse)
    assert round(call.line.played_ms("a1", call.now)) == heard_ms
    assert not call.voice("r1", "a1", 20)


def test_nothing_heard_is_an_item_deleted() -> None:
    call = Story()
    call.rings()
    call.says("r1", ("a1", 3000))
    call.act(ev.CallerSpoke("c1"))
    assert call.did(do.DeleteItem).item_id == "a1"
    assert call.did_not(do.Truncate)


def test_an_agent_who_was_heard_to_the_end_is_not_truncated() -> None:
    call = Story()
    call.rings()
    call.says("r1", ("a1", 3000))
    call.waits(3001)
    call.act(ev.CallerSpoke("c1"))
    assert call.did_not(do.ClearPlayback, do.Truncate, do.DeleteItem)


def test_a_mark_that_is_late_is_cleared_but_the_whole_item_counts_as_heard() -> None:
    call = Story()
    call.rings()
    call.says("r1", ("a1", 3000))
    call.line.marks.clear()
    call.waits(3001)
    call.act(ev.CallerSpoke("c1"))
    assert call.did(do.ClearPlayback)
    assert call.did_not(do.Truncate, do.DeleteItem)


def test_several_items_are_cut_each_by_what_was_heard_of_it() -> None:
    call = Story()
    call.rings()
    call.says("r1", ("a1", 1000), ("a2", 1000), ("a3", 500))
    call.says("r2", ("a4", 500))
    call.waits(1700)
    call.act(ev.CallerSpoke("c1"))
    assert call.did(do.Truncate) == do.Truncate("a2", 0, 700)
    assert [gone.item_id for gone in call.all(do.DeleteItem)] == ["a3", "a4"]
    assert not call.voice("r1", "a9", 20)
    assert not call.voice("r2", "a9", 20)
    assert call.voice("r3", "a9", 20)


def test_a_clip_in_front_of_the_greeting_counts_in_time_but_not_for_the_model() -> None:
    call = Story()
    call.rings()
    call.waits(2000)
    clip_ms = call.machine.playback.sent_ms("clip:one_moment")
    assert clip_ms > 500
    call.says("r1", ("a1", 3000))
    call.waits(clip_ms + 400)
    call.act(ev.CallerSpoke("c1"))
    assert call.did(do.Truncate) == do.Truncate("a1", 0, 400)
    assert call.did_not(do.DeleteItem)


def test_late_audio_and_a_late_first_item_of_a_cut_response_are_refused() -> None:
    call = Story()
    call.rings()
    call.act(ev.ResponseStarted("r1"))
    call.act(ev.CallerSpoke("c1"))
    assert call.did_not(do.ClearPlayback)
    assert not call.machine.speaking("r1")
    assert call.machine.speaking("r2")


def test_a_server_that_does_not_interrupt_by_itself_is_told_to_cancel() -> None:
    call = Story(server_interrupts=False)
    call.rings()
    call.says("r1", ("a1", 3000), done=False)
    call.waits(500)
    call.act(ev.CallerSpoke("c1"))
    assert call.did(do.CancelResponse).response_id == "r1"
    call.act(ev.ResponseDone("r1", "cancelled"), ev.CallerSpoke("c2"))
    assert call.did_not(do.CancelResponse)


def test_a_model_that_cannot_forget_is_told_in_words_what_was_heard() -> None:
    call = Story(server_truncates=False)
    call.rings()
    call.says("r1", ("a1", 3000), text="Good morning, how can I help you?")
    call.waits(1500)
    call.act(ev.CallerSpoke("c1"))
    assert call.did_not(do.Truncate)
    note = call.did(do.AddText)
    assert (note.role, note.text) == ("system", HEARD_PART.format(heard="Good morning,"))
    assert call.did(do.ClearPlayback)


def test_a_model_that_cannot_forget_is_told_of_each_item_that_was_not_heard_at_all() -> None:
    call = Story()
    call.machine.served_by(interrupts=True, truncates=False)
    call.rings()
    call.says("r1", ("a1", 1000), ("a2", 500))
    call.waits(1000)
    call.act(ev.CallerSpoke("c1"))
    assert call.did_not(do.DeleteItem)
    assert [note.text for note in call.all(do.AddText)] == [HEARD_NOTHING]


def test_an_engine_that_does_not_stop_by_itself_is_known_once_it_answers() -> None:
    call = Story()
    call.machine.served_by(interrupts=False, truncates=True)
    call.rings()
    call.says("r1", ("a1", 3000), done=False)
    call.waits(500)
    call.act(ev.CallerSpoke("c1"))
    assert call.did(do.CancelResponse).response_id == "r1"
    assert call.did(do.Truncate) == do.Truncate("a1", 0, 500)


def test_flushed_marks_do_not_count_as_heard() -> None:
    call = Story()
    call.rings()
    call.says("r1", ("a1", 3000), text="Good morning, how can I help you?")
    call.waits(1500)
    call.act(ev.CallerSpoke("c1"))
    call.waits(500)
    turn = next(row for row in reversed(call.rows(Turn)) if row.who == "agent")
    assert (turn.heard_text, turn.end_ms - turn.start_ms) == ("Good morning,", 1500)
    assert call.machine.playback.heard_ms("a1", call.now) == 1500


def test_an_unknown_mark_changes_nothing() -> None:
    call = Story()
    call.rings()
    call.says("r1", ("a1", 3000))
    before = call.machine.deadline
    call.act(ev.MarkReached("nobody's"))
    assert call.scene == []
    assert call.machine.deadline == before


def test_out_of_band_audio_is_never_heard_nor_counted_as_a_turn() -> None:
    call = Story()
    call.rings()
    call.says("r1", ("a1", 100))
    call.act(ev.ResponseStarted("x1", out_of_band=True))
    assert not call.voice("x1", "s1", 100)
    call.act(ev.AgentSaid("x1", "s1", "A summary.", whole=True), ev.ResponseDone("x1", "completed", out_of_band=True))
    assert call.scene == []
    assert call.record.find("s1") is None
