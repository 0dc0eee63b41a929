"""Tools behind the talk: what comes back is told when there is room for it, on whichever stream, and is on record in any case."""

# `did` fails by itself; its assert is for the reader.
# mypy: disable-error-code="truthy-bool"

from app.core import effects as do
from app.core import events as ev
from app.core.record import CallRecord
from app.core.rows import ToolCall
from app.core.tool_calls import BEGUN, KEPT_CHARACTERS
from tests.core.story import Story, greeted, returned
from tests.core.test_machine_fillers import calls_tool


def finished(output: str = '{"found":3}', status: ev.ToolStatus = "ok") -> ev.ToolFinished:
    return ev.ToolFinished(call_id="t1", output=output, status=status, ms=8000)


def working(call_id: str = "t1") -> ev.ToolReturned:
    return ev.ToolReturned(call_id=call_id, output='{"status":"working"}', status="working", ms=0)


# --- behind the talk -------------------------------------------------------------------------------------------------


def in_background() -> Story:
    """A tool works behind the talk, and the model has said so."""
    call = calls_tool("search")
    call.act(working())
    assert call.did(do.AnswerTool).output == '{"status":"working"}'
    call.says("r2", ("a2", 500))
    call.waits(600)
    return call


def told(call: Story) -> str:
    return call.did(do.AddText).text


def test_the_model_is_answered_at_once_and_the_talk_goes_on() -> None:
    call = calls_tool("search")
    call.act(working())
    assert call.did(do.RequestResponse).reads == ""
    assert [(row.status, row.result == BEGUN) for row in call.rows(ToolCall)] == [("working", True), ("working", False)]


def test_what_comes_back_is_told_and_spoken_of_when_nobody_speaks() -> None:
    call = in_background()
    call.act(finished())
    assert '{"found":3}' in told(call)
    assert "search" in told(call)
    assert call.did(do.RequestResponse)
    last = call.rows(ToolCall)[-1]
    assert (last.seq, last.name, last.status, last.result, last.ms) == (0, "search", "ok", '{"found":3}', 8000)


def test_what_comes_back_while_the_caller_speaks_waits_for_them_and_is_in_the_answer_to_them() -> None:
    call = in_background()
    call.act(ev.CallerSpoke("c1"), finished())
    assert told(call)
    assert call.did_not(do.RequestResponse, do.ClearPlayback)
    call.act(ev.CallerStopped("c1"), ev.ResponseStarted("r3"), ev.ResponseDone("r3", "completed"))
    assert call.did_not(do.RequestResponse), "the server saw it before it answered the caller"


def test_what_comes_back_after_the_callers_words_is_spoken_of_behind_the_answer_to_them() -> None:
    call = in_background()
    call.caller_talks("c1")
    call.act(finished(), ev.ResponseStarted("r3"))
    assert call.did_not(do.RequestResponse)
    call.act(ev.ResponseDone("r3", "completed"))
    assert call.did(do.RequestResponse)


def test_a_caller_who_waits_for_it_is_not_asked_whether_they_are_still_there() -> None:
    call = in_background()
    call.waits(300_000)
    assert call.did_not(do.AddText, do.HangUp)
    call.act(finished())
    call.says("r3", ("a3", 500))
    call.waits(61_000)
    assert "silent" in told(call)


def test_it_comes_back_once_and_only_if_it_was_called() -> None:
    call = in_background()
    call.act(ev.ToolFinished(call_id="nobody's", output="{}", status="ok", ms=1))
    assert call.scene == []
    call.act(finished(), finished())
    assert told(call)


def test_what_comes_back_after_the_call_is_written_down() -> None:
    call = in_background()
    call.act(ev.CallerLeft("stop"))
    assert call.over
    call.act(finished())
    assert [type(effect) for effect in call.scene] == [do.Write]
    assert call.rows(ToolCall)[-1].status == "ok"
    call.act(finished())
    assert call.scene == []


def test_what_came_back_between_two_streams_is_told_on_the_second() -> None:
    first = in_background()
    first.act(ev.ModelLost("gone", refused=True))
    first.act(finished())
    second = Story(record=first.record, starts_at=first.clock)
    second.rings()
    assert '{"found":3}' in told(second)
    assert second.did_not(do.RequestResponse), "its opening is asked for"
    second.says("r1", ("a1", 500))
    assert second.did(do.RequestResponse)
    third = Story(record=first.record, starts_at=second.clock)
    third.rings()
    assert third.did_not(do.AddText)


def test_what_was_called_on_one_stream_comes_back_on_the_next() -> None:
    first = in_background()
    first.act(ev.ModelLost("gone", refused=True))
    second = Story(record=first.record, starts_at=first.clock)
    second.rings()
    second.says("r1", ("a1", 500))
    second.act(finished())
    assert '{"found":3}' in told(second)
    assert second.rows(ToolCall)[-1].seq == 0


def test_what_comes_back_to_a_caller_who_is_being_put_through_is_kept_for_their_return() -> None:
    call = in_background()
    call.act(ev.ToolCalled("r3", "t2", "put_through", "{}"), returned("t2", to="sales"))
    call.act(finished())
    assert told(call)
    assert call.did_not(do.RequestResponse)
    call.act(ev.CallerLeft("stop"))
    second = Story(record=call.record, starts_at=call.clock)
    second.rings()
    assert '{"found":3}' in told(second)


# --- the end ---------------------------------------------------------------------------------------------------------


def test_a_tool_that_is_out_when_the_call_ends_is_on_record_as_unknown() -> None:
    call = calls_tool("book")
    call.act(ev.CallerLeft("stop"))
    begun, row = call.rows(ToolCall)
    assert (begun.name, begun.status) == ("book", "working"), "should the process die before it comes back"
    assert (row.seq, row.name, row.status) == (begun.seq, "book", "late")
    assert "not known" in row.result


def test_one_that_was_carried_through_all_the_same_corrects_the_record() -> None:
    call = calls_tool("book")
    call.act(ev.CallerLeft("stop"), finished('{"booked":true}'))
    row = call.rows(ToolCall)[-1]
    assert (row.seq, row.status, row.result) == (0, "ok", '{"booked":true}')


def test_one_that_was_cut_off_keeps_no_later_stream_from_looking_after_the_caller() -> None:
    first = calls_tool("book")
    first.act(ev.ModelLost("gone", refused=True))
    second = Story(record=first.record, starts_at=first.clock)
    second.rings()
    second.says("r1", ("a1", 500))
    second.waits(61_000)
    assert "silent" in told(second)


def test_the_books_keep_no_megabyte_of_arguments() -> None:
    call = greeted()
    call.act(ev.ToolCalled("r1", "t1", "note", "x" * 1_000_000), returned("t1"))
    assert len(call.rows(ToolCall)[0].arguments) < KEPT_CHARACTERS + 100
    assert "1000000 characters" in call.rows(ToolCall)[0].arguments


def test_the_callers_turns_are_counted_over_all_streams_of_a_call() -> None:
    record = CallRecord(call_sid="CA1", mode="m")
    first = Story(record=record)
    first.rings()
    first.says("r0", ("a0", 500))
    first.waits(600)
    first.caller_talks("c1")
    first.act(ev.KeyPressed("1"), ev.KeyPressed("2"))
    first.waits(2000)
    assert record.caller_turns == 2
    first.act(ev.ModelLost("gone", refused=True))
    second = Story(record=record, starts_at=first.clock)
    second.rings()
    second.says("r1", ("a1", 500))
    second.waits(600)
    second.caller_talks("c1")
    assert record.caller_turns == 3


def test_going_on_with_ones_own_words_is_no_answer() -> None:
    record = CallRecord(call_sid="CA1", mode="m")
    call = Story(record=record)
    call.rings()
    call.caller_talks("c1")
    call.caller_talks("c2")
    assert record.caller_turns == 1, "nothing was heard of the agent between the two"
