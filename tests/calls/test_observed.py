"""One whole call as an operator sees it from outside: its trace at a collector, its lines in the log, its figures."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from app.sim.carrier_call import CarrierCall
from app.sim.model_faults import Faults
from app.trace_ids import span_id
from tests.calls.conversations import GREETING, HOURS, OPEN, PERSON, spoken
from tests.calls.line import Line
from tests.calls.product import METRICS_TOKEN, Product, new_number, product
from tests.house.collector import Collected, collector, values
from tests.sim.booking_script import script

DAY = "2026-12-01"
CANARY = "zebra"
COLLECTOR_KEY = "c0llector-key"
TALK = script(
    {"agent": GREETING},
    {"caller": HOURS, "tools": [{"name": "free_slots", "arguments": {"day": DAY}}], "agent": OPEN},
    {
        "caller": PERSON,
        "preamble": "I will put you through now.",
        "tools": [{"name": "put_through", "arguments": {"desk": "manager", "reason": f"asked for the {CANARY}"}}],
    },
)


@asynccontextmanager
async def backend() -> AsyncIterator[tuple[str, list[str]]]:
    """A business that has one slot a day, and the heads of what it is asked."""
    heads: list[str] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        heads.append((await reader.readuntil(b"\r\n\r\n")).decode())
        body = json.dumps({"slots": [f"{DAY}T09:00:00"]} if "/slots" in heads[-1] else {"names": []}).encode()
        writer.write(b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: %d\r\n\r\n" % len(body) + body)
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}", heads
    server.close()


class Observed:
    """The call, and what was seen of it."""

    def __init__(self, call: CarrierCall, number: str, house: Product, it: Collected, asked: list[str]) -> None:
        self.call_sid, self.number = call.call_sid, number
        self.collected = it
        self.asked = asked
        self.lines: list[dict[str, Any]] = []
        self.raw = house.log()
        self.figures: dict[str, float] = {}


@pytest.fixture(scope="module")
async def observed() -> AsyncIterator[Observed]:
    """A caller hears of a slot, the model breaks off in mid-word and another takes over, and a person takes the call."""
    async with (
        collector() as it,
        backend() as (business, asked),
        product(
            OTEL_EXPORTER_OTLP_ENDPOINT=it.url,
            OTEL_EXPORTER_OTLP_HEADERS=f"x-key={COLLECTOR_KEY}",
            OTEL_SERVICE_NAME="front-desk",
            BUSINESS_API_BASE=business,
            NO_PROXY="127.0.0.1",
        ) as house,
    ):
        number = new_number()
        house.model.register(TALK, number=number, faults=Faults(breaks_in="word", breaks_at=2, sessions=1))
        line = Line()
        call = await house.dial(line, number, dial_results=["accepts"])
        await line.hears(300)
        line.say(spoken(HOURS))
        await line.hears_silence()
        await line.hears_more(1200)
        line.say(spoken(PERSON))
        await call.finished()
        await it.until(lambda: bool(it.named("call")), "the root of the trace")
        one = Observed(call, number, house, it, asked)
        one.figures = await house.figures()
        one.lines = [json.loads(text) for text in one.raw.splitlines()]
        yield one


async def test_a_call_is_one_trace_whose_spans_lie_within_each_other_in_order(observed: Observed) -> None:
    spans = observed.collected.spans
    assert {span.trace_id.hex() for span in spans} == {observed.call_sid[2:].lower()}, "found by the CallSid"
    by = {span.span_id: span for span in spans}
    assert len(by) == len(spans)
    (root,) = observed.collected.named("call")
    names = {span.name for span in spans}
    assert {
        "webhook",
        "prepare",
        "stream",
        "greeting",
        "turn",
        "tool free_slots",
        "tool put_through",
        "reconnect",
        "transfer",
    } <= names
    for span in spans:
        assert span.start_time_unix_nano <= span.end_time_unix_nano, span.name
        if span is not root:
            above = by[span.parent_span_id]
            assert above.start_time_unix_nano - 50e6 <= span.start_time_unix_nano, (span.name, above.name)
            assert span.end_time_unix_nano <= above.end_time_unix_nano + 50e6, (span.name, above.name)
    first = {name: observed.collected.named(name)[0].start_time_unix_nano for name in names}
    told = ["webhook", "prepare", "stream", "turn", "tool free_slots", "reconnect", "tool put_through", "transfer"]
    assert sorted(told, key=lambda name: first[name]) == told
    assert len(spans) < 60, "none per frame"


async def test_its_spans_say_what_the_books_say(observed: Observed) -> None:
    it = observed.collected
    (root,) = it.named("call")
    told = values(root)
    assert told["offhook.call_sid"] == observed.call_sid
    assert (told["offhook.mode"], told["offhook.direction"]) == ("receptionist", "inbound")
    assert (told["offhook.outcome"], told["offhook.greeting_path"]) == ("transferred", "prepared")
    assert told["offhook.reconnects"] == 1
    assert "webhook_accepted" in {event.name for event in root.events}
    turns = [values(turn) for turn in it.named("turn")]
    assert any(0 <= turn.get("offhook.latency_ms", -1) < 5000 for turn in turns), turns
    doors = [values(span)["offhook.door"] for span in it.named("webhook")]
    assert doors[0] == "/twilio/incoming"
    assert {"/twilio/next", "/twilio/dialed"} <= set(doors)
    assert [values(span)["offhook.path"] for span in it.named("prepare")] == ["prepared", "again"]
    assert [values(span)["offhook.result"] for span in it.named("transfer")] == ["accepted"]
    assert values(it.named("tool free_slots")[0])["offhook.status"] == "ok"
    assert it.resources[0]["service.name"] == "front-desk"


async def test_a_tool_s_own_request_names_its_span(observed: Observed) -> None:
    (slots,) = [head for head in observed.asked if head.startswith("GET /slots")]
    parent = f"00-{observed.call_sid[2:].lower()}-{span_id(observed.call_sid, 'tool 0')}-01"
    assert f"traceparent: {parent}" in slots
    assert observed.collected.named("tool free_slots")[0].span_id.hex() == parent.split("-")[2]


async def test_neither_spans_nor_lines_have_a_number_a_word_or_a_secret(observed: Observed) -> None:
    canaries = [
        observed.number[1:],
        CANARY,
        COLLECTOR_KEY,
        METRICS_TOKEN,
        DAY,
        "opening hours",
        "o'clock",
        GREETING,
        HOURS,
        OPEN,
    ]
    bodies = b"".join(observed.collected.bodies).decode("utf-8", "replace")
    assert [canary for canary in canaries if canary in bodies] == []
    assert [canary for canary in canaries if canary in observed.raw] == []


async def test_every_line_is_json_and_those_of_the_call_have_its_keys(observed: Observed) -> None:
    assert all({"timestamp", "level", "event"} <= line.keys() for line in observed.lines)
    own = [line for line in observed.lines if line.get("call_sid") == observed.call_sid]
    events = [line["event"] for line in own]
    assert {"another session with the model", "model lost", "stream over"} <= set(events)
    told = {(line["mode"], bool(line["mode_version"]), bool(line["version"])) for line in own}
    assert told == {("receptionist", True, True)}
    streams = {line["stream_sid"] for line in own if "stream_sid" in line}
    assert streams
    assert all(sid.startswith("MZ") for sid in streams)
    assert len(observed.lines) < 100, "none per frame"


async def test_its_figures_are_counted(observed: Observed) -> None:
    figures = observed.figures
    assert figures['offhook_webhook_seconds_count{door="/twilio/incoming"}'] >= 1
    assert figures["offhook_calls_limit"] == 200
    assert figures["offhook_postgres_away"] == 0
    assert figures['offhook_trace_spans_total{result="sent"}'] >= len(observed.collected.named("call"))
    assert not [name for name in figures if observed.call_sid in name or observed.number[1:] in name]
