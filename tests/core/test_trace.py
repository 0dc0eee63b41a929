"""What the trace of a call tells: spans on its time axis, responses with their tokens, and the figures that calls are found by."""

import msgspec

from app.core import events as ev
from app.core.record import CallRecord
from app.core.rows import CallEnded, Response, Span, ToolCall
from tests.core.story import Story, returned, started

USAGE = {
    "input_tokens": 120,
    "output_tokens": 60,
    "input_token_details": {
        "text_tokens": 100,
        "audio_tokens": 20,
        "cached_tokens": 64,
        "cached_tokens_details": {"text_tokens": 64, "audio_tokens": 0},
    },
    "output_token_details": {"text_tokens": 10, "audio_tokens": 50},
}


def spans(call: Story, kind: str) -> list[Span]:
    """Those of one kind, so far."""
    return [row for row in call.machine.trace.rows if isinstance(row, Span) and row.kind == kind]


def responses(call: Story) -> list[Response]:
    return [row for row in call.machine.trace.rows if isinstance(row, Response)]


def test_an_item_is_sent_quicker_than_it_is_heard_and_its_mark_comes_back_when_it_was() -> None:
    call = Story()
    call.rings()
    call.act(ev.ResponseStarted("r1"))
    call.waits(100)
    call.voice("r1", "a1", 1000)
    call.clock += 0.2
    call.voice("r1", "a1", 1000)
    call.tell(ev.AgentAudioEnded("r1", "a1"))
    call.tell(ev.ResponseDone("r1", "completed", usage=USAGE))
    call.waits(3000)
    (sent,), (mark,), (made,) = spans(call, "sent"), spans(call, "mark"), responses(call)
    assert (sent.name, sent.turn, sent.start_ms, sent.end_ms, sent.audio_ms, sent.relay_us) == (
        "a1",
        0,
        100,
        300,
        2000,
        0,
    )
    assert (mark.name, mark.start_ms, mark.end_ms, mark.note) == ("m1", 300, 2100, "")
    assert (made.response_id, made.status, made.start_ms, made.end_ms) == ("r1", "completed", 0, 300)
    assert (made.text_in, made.text_cached, made.audio_in, made.text_out, made.audio_out) == (36, 64, 20, 10, 50)
    assert made.cost_usd == round(call.record.cost_usd, 6) > 0


def test_a_barge_in_is_a_clear_a_truncate_and_a_mark_that_was_flushed() -> None:
    call = Story()
    call.rings()
    call.says("r1", ("a1", 3000))
    call.waits(1000)
    call.act(ev.CallerSpoke("c1", audio_start_ms=900))
    call.tell(ev.MarkReached("m1"))
    call.waits(700)
    call.tell(ev.CallerStopped("c1", audio_end_ms=1650))
    (clear,), (cut,), (mark,), (spoken,) = (spans(call, kind) for kind in ("clear", "truncate", "mark", "spoken"))
    assert clear.start_ms == cut.start_ms == 1000
    assert (cut.name, cut.turn, cut.audio_ms) == ("a1", 0, 1000)
    assert (mark.end_ms, mark.note) == (1000, "flushed")
    assert (spoken.start_ms, spoken.end_ms, spoken.turn) == (900, 1650, 1)
    assert call.record.cuts == 1


def test_the_silence_that_turn_detection_waited_is_not_the_caller_s_speech() -> None:
    call = Story(silence_ms=500)
    call.rings()
    call.waits(300)
    call.act(ev.CallerSpoke("c1", audio_start_ms=100))
    call.waits(1200)
    call.tell(ev.CallerStopped("c1", audio_end_ms=1450))
    (spoken,) = spans(call, "spoken")
    assert (spoken.start_ms, spoken.end_ms) == (100, 950)


def test_a_server_that_does_not_count_is_gone_by_the_clock() -> None:
    call = Story()
    call.rings()
    call.waits(400)
    call.caller_talks("c1", ms=800)
    (spoken,) = spans(call, "spoken")
    assert (spoken.start_ms, spoken.end_ms) == (400, 1200)


def test_a_tool_has_its_place_and_one_that_failed_counts() -> None:
    call = Story()
    call.rings()
    call.waits(250)
    call.act(ev.ResponseStarted("r1"), ev.ToolCalled("r1", "t1", "free_slots", "{}"))
    call.tell(msgspec.structs.replace(returned("t1"), status="error"))
    call.act(ev.ToolCalled("r1", "t2", "free_slots", "{}"), ev.CallerLeft("stop"))
    assert [(row.start_ms, row.status) for row in call.rows(ToolCall)] == [
        (250, "working"),
        (250, "error"),
        (250, "working"),
        (250, "late"),
    ]
    (over,) = call.rows(CallEnded)
    assert over.failed_tools == 2


def test_a_tool_that_was_cut_off_counts_once_and_not_at_all_if_it_was_done_after_all() -> None:
    call = Story()
    call.rings()
    call.act(ev.ResponseStarted("r1"), ev.ToolCalled("r1", "t1", "book", "{}"), ev.ToolCalled("r1", "t2", "book", "{}"))
    call.act(ev.CallerLeft("stop"))
    again = Story(record=call.record, starts_at=call.now + 2)
    again.rings()
    again.act(ev.ToolFinished(call_id="t2", output="{}", status="ok", ms=900))
    again.act(ev.CallerLeft("stop"))
    assert [call.rows(CallEnded)[0].failed_tools, again.rows(CallEnded)[0].failed_tools] == [2, 1]


def test_the_end_closes_what_is_open_and_the_call_keeps_its_figures() -> None:
    call = Story(model="gpt-realtime-mini")
    call.rings()
    call.says("r1", ("a1", 400))
    call.waits(500)
    call.caller_talks("c1")
    call.waits(650)
    call.act(ev.ResponseStarted("r2"))
    call.voice("r2", "a2", 400)
    call.tell(ev.KeyPressed("5"))
    call.act(ev.CallerLeft("stop"))
    assert [(span.name, span.audio_ms) for span in spans(call, "sent")] == [("a1", 400), ("a2", 400)]
    assert [(row.response_id, row.status) for row in responses(call)] == [("r1", "completed"), ("r2", "")]
    assert [(span.name, span.note) for span in spans(call, "stream")] == [("MZ1", "stop")]
    assert [span.name for span in spans(call, "key")] == ["5"]
    (over,) = call.rows(CallEnded)
    assert (over.model, over.slowest_turn_ms, over.cuts, over.failed_tools) == ("gpt-realtime-mini", 650, 0, 0)
    rows = call.machine.trace.take()
    call.tell(ev.CallerLeft("again"))
    assert call.machine.trace.take() == []
    numbered = [row.seq for row in rows if isinstance(row, Span)]
    assert numbered == list(range(len(numbered)))


def test_another_stream_goes_on_behind_the_rows_of_the_first() -> None:
    call = Story()
    call.rings()
    call.waits(1000)
    call.act(ev.CallerLeft("stop"))
    again = Story(record=call.record, starts_at=call.now + 2)
    again.act(started())
    again.waits(500)
    again.act(ev.CallerLeft("stop"))
    (first,), (second,) = spans(call, "stream"), spans(again, "stream")
    assert (first.seq, first.start_ms, first.end_ms) == (0, 0, 1000)
    assert (second.seq, second.start_ms, second.end_ms) == (1, 3000, 3500)


def test_what_the_agent_says_costs_the_trace_nothing() -> None:
    call = Story(record=CallRecord(call_sid="CA1", mode="receptionist"))
    call.rings()
    before = list(call.machine.trace.rows)
    call.tell(ev.AgentSaid("r1", "a1", "Hello"))
    assert call.machine.trace.rows == before
