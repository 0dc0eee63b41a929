"""A collector of traces: takes OTLP over HTTP on a free port, and keeps the spans. It can hang, or refuse, or go away."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any, Literal

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span

ANSWER = b"HTTP/1.1 %s\r\nContent-Type: application/x-protobuf\r\nContent-Length: 0\r\n\r\n"


class Collected:
    """What came."""

    def __init__(self, manner: Literal["takes", "hangs", "refuses"]) -> None:
        self.manner = manner
        self.url = ""
        self.spans: list[Span] = []
        self.resources: list[dict[str, str]] = []
        self.heads: list[bytes] = []
        self.bodies: list[bytes] = []
        self._news = asyncio.Event()
        self._end = asyncio.Event()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection, kept open as the exporter keeps it."""
        try:
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                fields = [line.partition(b":") for line in head.lower().splitlines()]
                size = next(int(value) for name, _, value in fields if name == b"content-length")
                body = await reader.readexactly(size)
                self._keep(head, body)
                if self.manner == "hangs":
                    await self._end.wait()
                    return
                writer.write(ANSWER % (b"200 OK" if self.manner == "takes" else b"400 Bad Request"))
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            return
        finally:
            writer.close()

    def _keep(self, head: bytes, body: bytes) -> None:
        self.heads.append(head)
        self.bodies.append(body)
        request = ExportTraceServiceRequest.FromString(body)
        for resource in request.resource_spans:
            self.resources.append({pair.key: pair.value.string_value for pair in resource.resource.attributes})
            self.spans += [span for scope in resource.scope_spans for span in scope.spans]
        self._news.set()

    async def until(self, check: Callable[[], bool], what: str, seconds: float = 15.0) -> None:
        """Wait until something is so; it is looked at with each batch."""
        try:
            async with asyncio.timeout(seconds):
                while not check():
                    self._news.clear()
                    await self._news.wait()
        except TimeoutError:
            names = sorted(span.name for span in self.spans)
            raise AssertionError(f"expected {what} within {seconds:g} s, got {names}") from None

    def named(self, name: str) -> list[Span]:
        """Spans of a name, in the order in which they began."""
        return sorted((span for span in self.spans if span.name == name), key=lambda span: span.start_time_unix_nano)

    def end(self) -> None:
        """Let go of who hangs."""
        self._end.set()


def values(span: Span) -> dict[str, Any]:
    """The attributes of a span."""
    return {pair.key: getattr(pair.value, pair.value.WhichOneof("value") or "") for pair in span.attributes}


@asynccontextmanager
async def collector(manner: Literal["takes", "hangs", "refuses"] = "takes") -> AsyncIterator[Collected]:
    """One on a free port of this machine."""
    collected = Collected(manner)
    server = await asyncio.start_server(collected.serve, "127.0.0.1", 0)
    collected.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    try:
        yield collected
    finally:
        collected.end()
        server.close()
