"""The arithmetic of one call's page: waits split without a rest, bars where the books have them, nothing guessed."""

from datetime import timedelta

import pytest

from app.core.rows import Milestone, Response, Span, SpanKind, ToolCall, Turn
from app.web.console.export import cell
from app.web.console.lanes import latencies, picture, shares, ticks
from tests.adapters.rows import NOON


def turn(seq: int, who: str, start: int, end: int, text: str = "Hello.", heard: str | None = None) -> Turn:
    said = text if heard is None else heard
    return Turn(call_sid="CA1", seq=seq, who=who, generated_text=text, heard_text=said, start_ms=start, end_ms=end)  # type: ignore[arg-type]


def span(
    kind: SpanKind, start: int, end: int, *, turn: int | None = None, name: str = "x", note: str = "", us: int = 0
) -> Span:
    return Span(
        call_sid="CA1",
        seq=0,
        kind=kind,
        name=name,
        turn=turn,
        start_ms=start,
        end_ms=end,
        audio_ms=500,
        relay_us=us,
        note=note,
    )


def tool(start: int | None, ms: int) -> ToolCall:
    return ToolCall(call_sid="CA1", seq=0, name="slots", arguments="{}", result="", status="ok", ms=ms, start_ms=start)


def response(start: int, end: int, *, text_in: int = 0, audio_out: int = 0) -> Response:
    return Response(
        call_sid="CA1", seq=0, response_id="r", model="gpt-realtime", status="completed", start_ms=start, end_ms=end,
        text_in=text_in, audio_out=audio_out,
    )  # fmt: skip


def test_a_wait_is_turn_detection_model_tools_and_relay_and_they_add_up() -> None:
    turns = [turn(0, "caller", 1000, 2000), turn(1, "agent", 3200, 4000)]
    spans = [span("spoken", 900, 1500, turn=0), span("sent", 3200, 3400, turn=1, us=2400)]
    (wait,) = latencies(turns, [tool(2300, 400), tool(2400, 100)], spans)
    assert (wait.detection_ms, wait.tools_ms, wait.relay_us, wait.model_ms) == (500, 400, 2400, 798)
    assert wait.total_ms == 3200 - 1500


def test_what_turn_detection_does_not_tell_is_left_open() -> None:
    (wait,) = latencies([turn(0, "caller", 1000, 2000)], [], [span("sent", 2600, 2700)])
    assert (wait.detection_ms, wait.total_ms) == (None, 600)


def test_a_turn_that_was_not_answered_before_the_next_has_no_wait() -> None:
    turns = [turn(0, "caller", 1000, 2000), turn(1, "caller", 2200, 3000)]
    assert [wait.turn for wait in latencies(turns, [], [span("sent", 3500, 3600)])] == [1]


def test_every_lane_has_its_bars() -> None:
    turns = [
        turn(0, "agent", 100, 900, "Hello there.", "Hello"),
        turn(1, "caller", 1000, 2000, "Hi."),
        turn(2, "house", 2100, 2100, "An operator hung up."),
    ]
    spans = [
        span("sent", 100, 250, turn=0),
        span("spoken", 950, 1900, turn=1),
        span("key", 1950, 1950, name="5"),
        span("mark", 250, 900, name="m1", note="flushed"),
        span("clear", 900, 900),
        span("stream", 0, 2500, name="MZ1", note="stop"),
        span("clip", 50, 50, name="one_moment"),
    ]
    milestones = [
        Milestone(call_sid="CA1", name="webhook_accepted", at=NOON - timedelta(seconds=1)),
        Milestone(call_sid="CA1", name="stream_started", at=NOON),
        Milestone(call_sid="CA1", name="tool_called", at=NOON + timedelta(milliseconds=1200)),
    ]
    drawn = picture(turns, [tool(1200, 30), tool(None, 5)], spans, [response(90, 300)], milestones)
    assert (drawn.total_ms, drawn.untimed_tools) == (2500, 1)
    assert [(bar.start_ms, bar.end_ms, bar.text) for bar in drawn.lane("generated")] == [(90, 300, "Hello there.")]
    assert [(bar.start_ms, bar.end_ms) for bar in drawn.lane("sent")] == [(50, 50), (100, 250)]
    assert [(bar.start_ms, bar.text, bar.tone) for bar in drawn.lane("heard")] == [(100, "Hello", "cut")]
    assert [(bar.start_ms, bar.end_ms, bar.text) for bar in drawn.lane("said")] == [
        (950, 1900, "Hi."),
        (1950, 1950, ""),
    ]
    assert [(bar.start_ms, bar.end_ms) for bar in drawn.lane("tools")] == [(1200, 1230)]
    carrier = {(bar.start_ms, bar.what.split(" ")[0]) for bar in drawn.lane("carrier")}
    assert {(0, "stream"), (250, "mark"), (900, "clear:"), (1200, "tool"), (2100, "An")} <= carrier


def test_what_a_session_was_about_ends_where_it_died() -> None:
    stones = [
        Milestone(call_sid="CA1", name="stream_started", at=NOON),
        Milestone(call_sid="CA1", name="model_lost", at=NOON + timedelta(seconds=4)),
    ]
    spans = [span("sent", 3500, 18_000), span("sent", 5000, 6000)]
    drawn = picture([], [], spans, [response(3000, 18_000), response(4500, 6000)], stones)
    for lane, places in {"generated": [(3000, 4000), (4500, 6000)], "sent": [(3500, 4000), (5000, 6000)]}.items():
        assert [(bar.start_ms, bar.end_ms) for bar in drawn.lane(lane)] == places
    assert [bar.tone for bar in drawn.lane("carrier")] == ["milestone", "trouble"]


def test_a_call_without_a_single_row_is_an_empty_axis() -> None:
    drawn = picture([], [], [], [], [])
    assert (drawn.bars, drawn.total_ms, drawn.latencies, drawn.shares) == ([], 1000, [], [])


@pytest.mark.parametrize("total", [1000, 39_550, 600_000, 1_800_000, 14_400_000])
def test_an_axis_has_few_round_ticks(total: int) -> None:
    found = ticks(total)
    assert found[0] == 0
    assert found[-1] <= total
    assert 2 <= len(found) <= 13


def test_the_cost_is_split_by_the_price_of_each_response_s_own_model() -> None:
    found = {
        share.what: share for share in shares([response(0, 1, audio_out=1_000_000), response(1, 2, text_in=500_000)])
    }
    assert found["Audio spoken"].usd == 64
    assert (found["Text read"].tokens, found["Text read"].usd) == (500_000, 2)


@pytest.mark.parametrize("text", ["=1+1", "+14155550133", "-1", "@SUM(A1)", "\t=1", " =1", "\r=1"])
def test_no_cell_is_a_formula(text: str) -> None:
    assert cell(text) == "'" + text


def test_other_cells_stay_as_they_are() -> None:
    assert [cell(value) for value in (None, "receptionist", "a=b", 0.04, 3, NOON)] == [
        "", "receptionist", "a=b", "0.04", "3", "2026-11-24T12:00:00.123456+00:00",
    ]  # fmt: skip
