"""Traces: rows of a call become a tree, a tree becomes spans, and a collector that is no good costs nothing but a line."""

import asyncio
import subprocess
import sys
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

import msgspec
import pytest
from structlog.testing import capture_logs

from app import metrics, trace_ids
from app.adapters.otlp import Collector
from app.core.finished import CallFinished
from app.core.rows import (
    CallEnded,
    CallStarted,
    Milestone,
    Row,
    Span,
    SpanKind,
    ToolCall,
    TransferAttempt,
    TransferResult,
    Turn,
)
from app.core.trace_tree import CallNotes, Node
from app.jobs.traces import Traces
from tests.house.collector import collector, values

ROOT = Path(__file__).parent.parent.parent
SID = "CA" + "0a1b2c3d" * 4
NOON = datetime(2026, 11, 24, 12, tzinfo=UTC)
TOOLS = frozenset({"free_slots", "put_through"})
CALLER, WORDS = "+14155550133", "my tooth hurts"


def at(ms: int) -> datetime:
    return NOON + timedelta(milliseconds=ms)


def place(seq: int, kind: SpanKind, name: str, start: int, end: int, note: str = "") -> Span:
    return msgspec.convert(
        {"call_sid": SID, "seq": seq, "kind": kind, "name": name, "turn": None, "start_ms": start, "end_ms": end}
        | {"audio_ms": None, "relay_us": None, "note": note},
        Span,
    )


def moment(name: str, ms: int) -> Milestone:
    return Milestone(call_sid=SID, name=name, at=at(ms))


def started() -> CallStarted:
    return CallStarted(
        call_sid=SID, mode="receptionist", direction="inbound", from_number=CALLER, to_number="+14155550199",
        started_at=at(0), version="v7",
    )  # fmt: skip


def tool(seq: int, name: str, status: str, start: int, ms: int) -> ToolCall:
    said = {"arguments": f'{{"name":"{WORDS}"}}', "result": f'"{WORDS}"'}
    about = {"call_sid": SID, "seq": seq, "name": name, "status": status, "ms": ms, "start_ms": start}
    return msgspec.convert(about | said, ToolCall)


def transfer(result: TransferResult, ended: datetime | None) -> TransferAttempt:
    return TransferAttempt(
        call_sid=SID,
        seq=0,
        desk="billing",
        reason=WORDS,
        result=result,
        whisper=WORDS,
        started_at=at(9_000),
        ended_at=ended,
    )


ENDED = CallEnded(
    call_sid=SID, ended_at=at(9_000), outcome="transferred", cost_usd=0.0123, greeting_path="prepared", greeting_ms=180,
    model="gpt-realtime-1.5", reconnects=1, cuts=0, failed_tools=1,
)  # fmt: skip
FINISHED = CallFinished(call_sid=SID, at=at(20_000))
CALL: list[Row] = [
    started(),
    moment("webhook_accepted", 0),
    moment("stream_started", 1_000),
    moment("first_audio_sent", 1_180),
    Turn(call_sid=SID, seq=0, who="caller", generated_text=WORDS, heard_text=WORDS, start_ms=2_000, end_ms=3_000),
    place(0, "sent", "i0", 180, 900),
    place(1, "spoken", "i1", 2_000, 3_000),
    tool(0, "free_slots", "working", 3_100, 0),
    tool(0, "free_slots", "ok", 3_100, 250),
    tool(1, "john_smith_said", "refused", 3_200, 1),
    place(2, "sent", "i2", 3_800, 4_500),
    moment("model_lost", 6_000),
    moment("model_reconnected", 6_700),
    place(3, "stream", "MZ1", 0, 8_000, "completed"),
    ENDED,
    transfer("", None),
    transfer("busy", at(15_000)),
    FINISHED,
]


def tree(rows: Sequence[Row]) -> list[Node]:
    notes = CallNotes(SID)
    for row in rows:
        notes.add(row)
    return notes.tree(TOOLS, at(21_000).timestamp())


def ms(moment: float) -> int:
    return round((moment - NOON.timestamp()) * 1000)


def test_a_call_is_one_tree_in_the_order_in_which_it_happened() -> None:
    nodes = tree(CALL)
    by = {node.what: node for node in nodes}
    assert len(by) == len(nodes)
    shown = [
        (node.name, by[node.parent].name if node.parent else "", ms(node.start), ms(node.end))
        for node in sorted(nodes, key=lambda node: (node.start, -node.end))
    ]
    assert shown == [
        ("call", "", 0, 20_000),
        ("stream", "call", 1_000, 9_000),
        ("greeting", "stream", 1_000, 1_180),
        ("turn", "stream", 3_000, 5_500),
        ("tool free_slots", "stream", 4_100, 4_350),
        ("tool unknown", "stream", 4_200, 4_201),
        ("reconnect", "stream", 6_000, 6_700),
        ("transfer", "call", 9_000, 15_000),
    ]


def test_spans_say_what_an_operator_asks_and_nothing_of_who_called_or_what_was_said() -> None:
    nodes = {node.name: node for node in tree(CALL)}
    assert nodes["call"].attributes == {
        "offhook.call_sid": SID, "offhook.mode": "receptionist", "offhook.direction": "inbound", "offhook.version": "v7",
        "offhook.outcome": "transferred", "offhook.greeting_path": "prepared", "offhook.greeting_ms": 180,
        "offhook.model": "gpt-realtime-1.5", "offhook.cost_usd": 0.0123, "offhook.cuts": 0, "offhook.failed_tools": 1,
        "offhook.reconnects": 1,
    }  # fmt: skip
    assert nodes["turn"].attributes == {"offhook.answered": True, "offhook.latency_ms": 800}
    assert nodes["transfer"].attributes == {"offhook.desk": "billing", "offhook.result": "busy"}
    assert nodes["transfer"].failed
    assert nodes["reconnect"].attributes == {"offhook.rung": "again"}
    assert [name for name, _ in nodes["call"].events][:2] == ["webhook_accepted", "stream_started"]
    told = repr(list(nodes.values()))
    assert [canary for canary in (CALLER, CALLER[1:], WORDS, "john_smith", "+1415") if canary in told] == []


def test_a_caller_who_goes_on_before_the_answer_was_not_answered() -> None:
    said = [place(0, "spoken", "a", 1_000, 2_000), place(1, "spoken", "b", 2_500, 3_000)]
    sent = [place(2, "sent", "c", 3_400, 4_000), place(3, "stream", "MZ1", 0, 8_000)]
    rows = [*(row for row in CALL[:-1] if not isinstance(row, Span)), *said, *sent, FINISHED]
    turns = [node.attributes for node in tree(rows) if node.name == "turn"]
    assert turns == [{"offhook.answered": False}, {"offhook.answered": True, "offhook.latency_ms": 400}]


def test_a_second_stream_has_its_own_turns_and_a_model_that_never_came_back_is_a_failed_span() -> None:
    moments = [moment("stream_started", 11_000), moment("model_lost", 13_500), moment("call_closed", 14_000)]
    places = [place(8, "spoken", "x", 11_000, 12_000), place(9, "stream", "MZ2", 10_000, 13_000)]
    nodes = tree([*CALL[:-1], *moments, *places, FINISHED])
    streams = [node.what for node in nodes if node.name == "stream"]
    assert [node.parent for node in nodes if node.name == "turn"] == streams
    assert [(node.failed, node.parent) for node in nodes if node.name == "reconnect"] == [
        (False, streams[0]),
        (True, streams[1]),
    ]


def test_a_call_that_another_process_goes_on_with_has_no_root_here_and_a_flood_of_rows_is_only_counted() -> None:
    assert [node.name for node in tree([*CALL[:-1], moment("handed_over", 8_000)]) if not node.parent] == []
    flood = [moment("tool_called", 1_000)] * 5_000
    (root, *_) = tree([CALL[0], *flood, FINISHED])
    assert len(root.events) == 2_000
    assert root.attributes["offhook.dropped"] == 3_000


def test_a_call_without_a_stream_has_no_places_in_time() -> None:
    rows: list[Row] = [started(), tool(0, "free_slots", "ok", 100, 20), place(0, "spoken", "x", 1, 2), FINISHED]
    assert [(node.name, ms(node.start)) for node in tree(rows)] == [("call", 0)]


class Kept:
    """A teller that keeps what it is told."""

    def __init__(self) -> None:
        self.told: list[tuple[str, list[Node]]] = []
        self.news = asyncio.Event()

    def tell(self, call_sid: str, tree: Callable[[], Sequence[Node]]) -> None:
        self.told.append((call_sid, list(tree())))
        self.news.set()

    async def close(self, seconds: float = 0.0) -> None:
        return


async def test_what_ends_a_call_is_still_part_of_its_trace_and_a_later_row_begins_no_second_one() -> None:
    kept = Kept()
    traces = Traces(
        kept,
        lambda mode: TOOLS if mode == "receptionist" else frozenset(),
        now=lambda: at(20_050).timestamp(),
        linger=0.0,
    )
    traces.answered(SID, "/twilio/incoming", 0.003)
    for row in CALL:
        traces.follow(row)
    traces.prepared(SID, "prepared", "first", "ready", 0.4)
    traces.answered(SID, "/twilio/status", 0.05)
    await kept.news.wait()
    traces.follow(moment("recorded", 30_000))
    ((sid, nodes),) = kept.told
    assert (sid, traces.calls) == (SID, {})
    webhook, prepare = (next(node for node in nodes if node.name == name) for name in ("webhook", "prepare"))
    assert webhook.attributes == {"offhook.door": "/twilio/status"}
    assert prepare.attributes == {"offhook.path": "prepared", "offhook.server": "first", "offhook.state": "ready"}
    assert (ms(webhook.start), ms(webhook.end), ms(nodes[0].end)) == (20_000, 20_050, 20_050)


async def test_calls_that_are_left_at_the_end_are_told_as_they_stand() -> None:
    kept = Kept()
    traces = Traces(kept, lambda mode: TOOLS, now=lambda: at(5_000).timestamp())
    for row in CALL[:4]:
        traces.follow(row)
    await traces.close()
    ((_, nodes),) = kept.told
    assert [(node.name, ms(node.start), ms(node.end)) for node in nodes] == [("stream", 1_000, 5_000)]


def test_a_call_whose_end_nobody_told_is_told_a_day_later() -> None:
    kept = Kept()
    traces = Traces(kept, lambda mode: TOOLS, now=lambda: at(0).timestamp())
    for row in CALL[:4]:
        traces.follow(row)
    for days, told in ((1, 0), (2, 1)):
        later = msgspec.structs.replace(started(), call_sid=f"CA{days}", started_at=NOON + timedelta(days=days))
        traces.follow(later)
        assert len(kept.told) == told
    assert list(traces.calls) == ["CA1", "CA2"]


async def test_a_fault_of_ours_takes_one_call_s_trace_and_no_more() -> None:
    async with collector() as it:
        ours = Collector(it.url)
        with capture_logs() as logs:
            ours.tell(SID, lambda: [1 / 0])  # type: ignore[list-item]
            ours.tell(SID, lambda: tree(CALL))
            await ours.close()
        assert [line["log_level"] for line in logs] == ["error"]
        assert len(it.named("call")) == 1


def test_ids_follow_from_the_call_so_that_a_backend_is_asked_by_its_sid() -> None:
    assert trace_ids.trace_id(SID) == SID[2:]
    assert trace_ids.trace_id("CA" + "0" * 32) != "0" * 32, "not a valid one"
    assert len(trace_ids.trace_id("something else")) == 32
    assert trace_ids.span_id(SID, "tool 0") != trace_ids.span_id(SID, "tool 1")


# --- to the collector -----------------------------------------------------------------------------------------------


async def test_the_spans_arrive_as_a_tree_with_their_headers_and_the_service_s_name() -> None:
    sent = metrics.trace_spans_total.labels("sent")._value.get()
    async with collector() as it:
        ours = Collector(it.url, headers="authorization=Bearer%20abc,x-team=phones", service="front-desk", version="9")
        nodes = tree(CALL)
        ours.tell(SID, lambda: nodes)
        await ours.close()
        assert len(it.spans) == len(nodes)
        assert metrics.trace_spans_total.labels("sent")._value.get() == sent + len(nodes)
        head = it.heads[0].lower()
        assert head.startswith(b"post /v1/traces ")
        assert b"authorization: bearer abc" in head
        assert b"x-team: phones" in head
        assert it.resources[0]["service.name"] == "front-desk"
        ids = {span.span_id: span for span in it.spans}
        assert {span.trace_id.hex() for span in it.spans} == {SID[2:]}
        (root,) = it.named("call")
        assert root.parent_span_id == b""
        assert all(span.parent_span_id in ids for span in it.spans if span is not root)
        (turn,) = it.named("turn")
        assert values(turn)["offhook.latency_ms"] == 800
        assert ids[turn.parent_span_id].name == "stream"
        (slots,) = it.named("tool free_slots")
        assert slots.span_id.hex() == trace_ids.span_id(SID, "tool 0"), "as a tool's own requests name it"
        assert it.named("transfer")[0].status.code == 2


@pytest.mark.parametrize("manner", ["hangs", "refuses", "gone"])
async def test_a_collector_that_is_no_good_costs_a_line_and_keeps_nobody_waiting(
    manner: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("app.adapters.otlp.TIMEOUT_SECONDS", 0.2)
    dropped = metrics.trace_spans_total.labels("dropped")._value.get()
    nodes = tree(CALL)
    async with collector("hangs" if manner == "hangs" else "refuses") as it:
        with capture_logs() as logs:
            ours = Collector(it.url if manner != "gone" else "http://127.0.0.1:9", every_seconds=0.01)
            for _ in range(40):
                ours.tell(SID, lambda: nodes)
            async with asyncio.timeout(10):
                await ours.close(0.5)
        told = [line["event"] for line in logs]
        assert told.count("traces.collector_away") <= 1
        assert set(told) <= {"traces.collector_away", "traces.given_up"}
        assert told, "it was noticed"
    assert metrics.trace_spans_total.labels("dropped")._value.get() == dropped + 40 * len(nodes)


async def test_more_than_may_wait_is_given_up_by_whole_calls(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("app.adapters.otlp.WAITING", 20)
    dropped = metrics.trace_spans_total.labels("dropped")._value.get()
    async with collector("hangs") as it:
        ours = Collector(it.url, every_seconds=60)
        nodes = tree(CALL)
        for _ in range(5):
            ours.tell(SID, lambda: nodes)
        await asyncio.to_thread(ours._calls.join)
        assert metrics.trace_spans_total.labels("dropped")._value.get() == dropped + 2 * len(nodes)
        with capture_logs():
            await ours.close(0.1)


def test_without_an_endpoint_nothing_of_opentelemetry_is_loaded() -> None:
    code = """
import sys
import app.commands.answering, app.main
from app.jobs.traces import traces_of
from tests.house.samples import make_settings
assert traces_of(make_settings(), dict, "1") is None
loaded = [name for name in sys.modules if name.startswith(("opentelemetry", "google.protobuf", "requests"))]
assert not loaded, loaded
"""
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
