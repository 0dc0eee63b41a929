"""Brings the spans of finished calls to a collector by OTLP over HTTP; they are made in one thread, and sent from another.

Nothing waits for the collector: what it does not take in time is given up and counted, and that it is away is told once.
Loaded only where one is configured: OpenTelemetry takes a third of a second to import. Source: OTLP specification, OTLP/HTTP.
"""

import asyncio
import contextlib
import logging
import os
import queue
import threading
from collections.abc import Callable, Sequence

import structlog
from opentelemetry import trace
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult
from opentelemetry.sdk.trace.id_generator import IdGenerator
from opentelemetry.sdk.trace.sampling import ALWAYS_ON
from opentelemetry.trace import NonRecordingSpan, SpanContext, Status, StatusCode, TraceFlags
from opentelemetry.util.re import parse_env_headers

from app import metrics
from app.core.trace_tree import MOST, Node
from app.trace_ids import span_id, trace_id

log = structlog.get_logger()

TIMEOUT_SECONDS = 5.0
"""For one batch, with all that is tried again; OTEL_EXPORTER_OTLP_TIMEOUT goes before it."""
EVERY_SECONDS = 2.0
WAITING = 8_000
"""Spans that wait for a collector that is slow or away. Past it the spans of a call are given up whole. Some ten megabytes."""
BATCH = 128
"""Encoding a batch takes the interpreter from the loop for some hundredths of a second at most, a few milliseconds at a time."""
FLUSH_SECONDS = 2.0


class Collector:
    """Takes trees of spans. `tell` is called on the loop, and never waits: a long call has hundreds of spans to be made."""

    def __init__(
        self,
        endpoint: str,
        *,
        headers: str = "",
        service: str = "offhook",
        version: str = "",
        instance: str = "",
        every_seconds: float = EVERY_SECONDS,
    ) -> None:
        """endpoint: as OTEL_EXPORTER_OTLP_ENDPOINT has it, without /v1/traces. headers: as OTEL_EXPORTER_OTLP_HEADERS has them."""
        # What the library would say of each batch is told once, by _Told.
        logging.getLogger("opentelemetry").setLevel(logging.CRITICAL)
        self._exporter = _Told(
            OTLPSpanExporter(
                endpoint=os.environ.get("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT") or f"{endpoint.rstrip('/')}/v1/traces",
                headers=parse_env_headers(headers, liberal=True),
                timeout=None if os.environ.get("OTEL_EXPORTER_OTLP_TIMEOUT") else TIMEOUT_SECONDS,
            )
        )
        self._ids = _Ids()
        about = {"service.name": service, "service.version": version, "service.instance.id": instance}
        self._processor = BatchSpanProcessor(
            self._exporter,
            max_queue_size=WAITING + 2 * MOST + BATCH,
            schedule_delay_millis=every_seconds * 1000,
            max_export_batch_size=BATCH,
        )
        provider = TracerProvider(
            sampler=ALWAYS_ON,
            resource=Resource.create({key: value for key, value in about.items() if value}),
            shutdown_on_exit=False,
            id_generator=self._ids,
        )
        provider.add_span_processor(self._processor)
        self._tracer = provider.get_tracer("offhook", version or None)
        self._given = 0
        self._calls: queue.Queue[tuple[str, Callable[[], Sequence[Node]]] | None] = queue.Queue()
        self._maker = threading.Thread(target=self._make, name="traces", daemon=True)
        self._maker.start()

    def tell(self, call_sid: str, tree: Callable[[], Sequence[Node]]) -> None:
        """The spans of one call. tree: makes them, in another thread."""
        self._calls.put((call_sid, tree))

    def _make(self) -> None:
        while (call := self._calls.get()) is not None:
            call_sid, tree = call
            try:
                self._spans(call_sid, tree())
            except Exception:  # of one call, and nothing that a caller notices
                log.exception("a fault of ours took a call's trace", call_sid=call_sid)
            finally:
                self._calls.task_done()

    def _spans(self, call_sid: str, nodes: Sequence[Node]) -> None:
        if self._given - self._exporter.handled > WAITING:
            metrics.trace_spans_total.labels("dropped").inc(len(nodes))
            return
        self._given += len(nodes)
        for node in nodes:
            self._span(call_sid, node)

    def _span(self, call_sid: str, node: Node) -> None:
        self._ids.trace, self._ids.span = int(trace_id(call_sid), 16), int(span_id(call_sid, node.what), 16)
        parent = None
        if node.parent:
            above = int(span_id(call_sid, node.parent), 16)
            flags = TraceFlags(TraceFlags.SAMPLED)
            parent = NonRecordingSpan(SpanContext(self._ids.trace, above, is_remote=False, trace_flags=flags))
        span = self._tracer.start_span(
            node.name,
            context=trace.set_span_in_context(parent or trace.INVALID_SPAN),
            attributes=node.attributes,
            start_time=_nanoseconds(node.start),
        )
        for name, at in node.events:
            span.add_event(name, timestamp=_nanoseconds(at))
        if node.failed:
            span.set_status(Status(StatusCode.ERROR))
        span.end(_nanoseconds(node.end))

    async def close(self, seconds: float = FLUSH_SECONDS) -> None:
        """Bring what waits, as long as that takes no longer than this; the rest is given up."""
        loop, over = asyncio.get_running_loop(), asyncio.Event()

        def flush() -> None:
            self._calls.put(None)
            self._maker.join()
            self._processor.shutdown()  # type: ignore[no-untyped-call]
            with contextlib.suppress(RuntimeError):  # the loop has not waited, and is gone
                loop.call_soon_threadsafe(over.set)

        threading.Thread(target=flush, name="last traces", daemon=True).start()
        try:
            async with asyncio.timeout(seconds):
                await over.wait()
        except TimeoutError:
            self._exporter.given_up = True
            self._exporter.shutdown()
        if lost := self._given - self._exporter.handled:
            metrics.trace_spans_total.labels("dropped").inc(lost)
            log.warning("traces.given_up", spans=lost, why="the collector did not take them before the end")


class _Ids(IdGenerator):
    """Gives out the ids that were set: they follow from the call's SID."""

    trace = 0
    span = 0

    def generate_trace_id(self) -> int:
        """Of the span that is being made."""
        return self.trace

    def generate_span_id(self) -> int:
        """Of the span that is being made."""
        return self.span


class _Told(SpanExporter):
    """Counts what the collector takes, and tells once that it is away, or back. Runs in the exporting thread."""

    def __init__(self, exporter: OTLPSpanExporter) -> None:
        self._exporter = exporter
        self._away = False
        self.handled = 0
        """Spans that were sent, or given up."""
        self.given_up = False
        """Nobody counts on what is under way any more: it is counted as dropped."""

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        """One batch."""
        result = self._exporter.export(spans)
        taken = result is SpanExportResult.SUCCESS
        if self.given_up:
            return result
        self.handled += len(spans)
        metrics.trace_spans_total.labels("sent" if taken else "dropped").inc(len(spans))
        if self._away is taken:
            self._away = not taken
            if taken:
                log.info("traces.collector_takes_spans_again")
            else:
                log.warning("traces.collector_away", remedy="look at OTEL_EXPORTER_OTLP_ENDPOINT; calls do not notice")
        return result

    def shutdown(self) -> None:
        """No more is tried."""
        self._exporter.shutdown()  # type: ignore[no-untyped-call]


def _nanoseconds(at: float) -> int:
    return int(at * 1e9)
