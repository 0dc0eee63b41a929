"""What a call's trace is made of: its rows, as they go to the books, become a tree of spans once it is over.

    call                    from the first webhook to the call's end; its moments (milestones) are events of it
      webhook               each request of the carrier's that was answered
      prepare               each session with the model that was begun for it, until it was ready, or lost
      stream                each media stream
        greeting            from the stream's start to the first sound
        turn                the caller's words and the answer to them
        tool
        reconnect           from where the model was lost to where another session had taken over
      transfer              each attempt to put the caller through

Nothing here says who called or what was said: no number, no transcript, no argument of a tool, and a tool's name only where it is
one of the mode's.
"""

from collections.abc import Iterator, Set
from datetime import datetime

import msgspec

from app.core.finished import CallFinished
from app.core.rows import CallEnded, CallStarted, Milestone, Row, Span, ToolCall, TransferAttempt

MOST = 2_000
"""Things of one call that are remembered; the rest is only counted."""
FAILED = frozenset({"failed", "missed"})
"""How a call ended that should not have."""
MENDED = {"model_reconnected": "again", "engine_switched": "next", "rolled_over": "rollover"}
"""The milestone that ends a time without a model, and the rung of the ladder that it is."""
NOT_TRANSFERRED = frozenset({"failed", "busy", "no_answer", "declined", "voicemail", "closed"})

Value = str | int | float | bool
TRACED: frozenset[type] = frozenset({CallStarted, CallEnded, CallFinished, ToolCall, Milestone, TransferAttempt, Span})
"""The rows that matter here."""
KINDS = frozenset({"stream", "sent", "spoken"})
"""Of the rows of places on the time axis, those that become spans."""


class Node(msgspec.Struct, kw_only=True):
    """One span. what: names it among those of its call; parent: that of the one it is in, empty for the root. Unix seconds."""

    name: str
    what: str
    parent: str = "call"
    start: float
    end: float
    attributes: dict[str, Value] = {}
    failed: bool = False
    events: list[tuple[str, float]] = []


class CallNotes:
    """What is known of one call, of which only `add` and the like are on anybody's way: they keep, and look at nothing."""

    def __init__(self, call_sid: str) -> None:
        self.call_sid = call_sid
        self.over = False
        self.dropped = 0
        self._started: CallStarted | None = None
        self._ended: CallEnded | None = None
        self._finished_at: datetime | None = None
        self._tools: dict[int, tuple[str, str, int, int]] = {}
        """By seq: name, status, start_ms, ms."""
        self._moments: list[tuple[str, float]] = []
        self._transfers: dict[int, TransferAttempt] = {}
        self._places: list[Span] = []
        self._nodes: list[Node] = []

    def add(self, row: Row) -> None:
        """One row, as it is put into the journal; a later one goes before an earlier one of the same thing."""
        match row:
            case CallStarted():
                self._started = self._started or row
            case CallEnded():
                self._ended = row
            case CallFinished(at=at):
                self.over, self._finished_at = True, at
            case _ if len(self._tools) + len(self._moments) + len(self._places) + len(self._nodes) >= MOST:
                self.dropped += 1
            case ToolCall(seq=seq, name=name, status=status, start_ms=start, ms=ms):
                if start is not None:
                    self._tools[seq] = (name, status, start, ms)
            case Milestone(name=name, at=at):
                self._moments.append((name, at.timestamp()))
            case TransferAttempt(seq=seq):
                self._transfers[seq] = row
            case Span(kind=kind) if kind in KINDS:
                self._places.append(row)

    def answered(self, door: str, seconds: float, now: float) -> None:
        """A request of the carrier's was answered just now."""
        self._node("webhook", now - seconds, now, {"offhook.door": door})

    def prepared(self, how: str, server: str, state: str, seconds: float, now: float) -> None:
        """A session that was begun for the call is ready, or lost. how: prepared, cold, or the rung of a reconnect."""
        values: dict[str, Value] = {"offhook.path": how, "offhook.server": server, "offhook.state": state}
        self._node("prepare", now - seconds, now, values, failed=state == "lost")

    def _node(self, name: str, start: float, end: float, attributes: dict[str, Value], *, failed: bool = False) -> None:
        if len(self._nodes) >= MOST:
            self.dropped += 1
            return
        what = f"{name} {len(self._nodes)} {start:.6f}"
        self._nodes.append(Node(name=name, what=what, start=start, end=end, attributes=attributes, failed=failed))

    def began_before(self, moment: datetime) -> bool:
        """Whether this process knows of the call since before then."""
        return self._started is not None and self._started.started_at < moment

    # --- the tree ---------------------------------------------------------------------------------------------------

    def tree(self, tools: Set[str], now: float) -> list[Node]:
        """All spans, the root first. tools: of the call's mode; another name is one that a model made up.

        Without the root for a call that is not over here: the process that ends it has that.
        """
        streams = list(self._streams(now))
        inner: list[Node] = []
        if streams:  # without one the places on its time axis have no time
            inner = [*self._greeting(streams), *self._turns(), *self._tool_calls(tools), *self._reconnects(now)]
        for node in inner:
            node.parent = next((s.what for s in reversed(streams) if s.start <= node.start <= s.end + 0.001), "call")
        nodes = [*self._nodes, *streams, *inner, *self._transferred(now)]
        if not self.over:
            return nodes
        times = [(node.start, node.end) for node in nodes]
        times += [(at.timestamp(),) * 2 for at in (self._finished_at, self._started and self._started.started_at) if at]
        start, end = min(low for low, _ in times), max(high for _, high in times)
        root = Node(name="call", what="call", parent="", start=start, end=end, attributes=self._attributes())
        root.failed = root.attributes.get("offhook.outcome") in FAILED
        root.events = sorted(self._moments, key=lambda moment: moment[1])
        return [root, *nodes]

    def _attributes(self) -> dict[str, Value]:
        values: dict[str, Value | None] = {"offhook.call_sid": self.call_sid}
        if (row := self._started) is not None:
            values |= {"offhook.mode": row.mode, "offhook.direction": row.direction}
            values |= {"offhook.version": row.version, "offhook.mode_version": row.mode_version}
        values["offhook.outcome"] = "abandoned" if self._ended is None else self._ended.outcome
        if (end := self._ended) is not None:
            for name in FIGURES:
                values[f"offhook.{name}"] = getattr(end, name)
        values["offhook.dropped"] = self.dropped or None
        return {name: value for name, value in values.items() if value is not None and value != ""}

    def _zero(self) -> float:
        """The moment from which the places on the time axis count, in unix seconds."""
        began = next((at for name, at in self._moments if name == "stream_started"), 0.0)
        first = min((place.start_ms for place in self._places if place.kind == "stream"), default=0)
        return began - first / 1000

    def _streams(self, now: float) -> Iterator[Node]:
        """Those that have ended by their rows; one that has not, from its milestone until now."""
        zero, rows = self._zero(), [place for place in self._places if place.kind == "stream"]
        for row in rows:
            start, end = zero + row.start_ms / 1000, zero + row.end_ms / 1000
            values: dict[str, Value] = {"offhook.stream_sid": row.name, "offhook.ended_by": row.note}
            yield Node(name="stream", what=f"stream {row.seq}", start=start, end=end, attributes=values)
        began = [at for name, at in self._moments if name == "stream_started"]
        for number, at in enumerate(began[len(rows) :]):
            yield Node(name="stream", what=f"stream open {number}", start=at, end=max(at, now))

    def _greeting(self, streams: list[Node]) -> Iterator[Node]:
        first = next((at for name, at in self._moments if name == "first_audio_sent"), None)
        if first is None or not streams or self._ended is None or self._ended.greeting_path is None:
            return
        values: dict[str, Value] = {"offhook.greeting_path": self._ended.greeting_path}
        start = streams[0].start
        yield Node(name="greeting", what="greeting", start=start, end=max(start, first), attributes=values)

    def _turns(self) -> Iterator[Node]:
        zero = self._zero()
        sent = sorted((place for place in self._places if place.kind == "sent"), key=lambda place: place.start_ms)
        spoken = sorted((place for place in self._places if place.kind == "spoken"), key=lambda place: place.start_ms)
        for place, later in zip(spoken, [*spoken[1:], None], strict=False):
            answer = next((one for one in sent if one.start_ms >= place.end_ms), None)
            if answer is not None and later is not None and later.start_ms < answer.start_ms:
                answer = None
            values: dict[str, Value] = {"offhook.answered": answer is not None}
            if answer is not None:
                values["offhook.latency_ms"] = answer.start_ms - place.end_ms
            end = max(place.end_ms, answer.end_ms if answer is not None else 0)
            start = zero + place.start_ms / 1000
            yield Node(name="turn", what=f"turn {place.seq}", start=start, end=zero + end / 1000, attributes=values)

    def _tool_calls(self, known: Set[str]) -> Iterator[Node]:
        zero = self._zero()
        for seq, (name, status, start_ms, ms) in self._tools.items():
            shown = name if name in known else "unknown"
            start = zero + start_ms / 1000
            values: dict[str, Value] = {"offhook.tool": shown, "offhook.status": status}
            yield Node(
                name=f"tool {shown}",
                what=tool(seq),
                start=start,
                end=start + ms / 1000,
                attributes=values,
                failed=status in ("error", "late"),
            )

    def _reconnects(self, now: float) -> Iterator[Node]:
        lost: float | None = None
        for number, (name, at) in enumerate(self._moments):
            if name == "model_lost":
                lost = at if lost is None else lost
            elif lost is not None and (name in MENDED or name == "call_closed"):
                values: dict[str, Value] = {"offhook.rung": MENDED.get(name, "none")}
                what = f"reconnect {number}"
                yield Node(
                    name="reconnect", what=what, start=lost, end=at, attributes=values, failed=name == "call_closed"
                )
                lost = None
        if lost is not None:
            yield Node(name="reconnect", what="reconnect open", start=lost, end=max(lost, now), failed=True)

    def _transferred(self, now: float) -> Iterator[Node]:
        for seq, row in self._transfers.items():
            start = row.started_at.timestamp()
            end = row.ended_at.timestamp() if row.ended_at is not None else now
            values: dict[str, Value] = {"offhook.desk": row.desk, "offhook.result": row.result or "open"}
            yield Node(
                name="transfer",
                what=f"transfer {seq}",
                start=start,
                end=max(start, end),
                attributes=values,
                failed=row.result in NOT_TRANSFERRED,
            )


FIGURES = (
    "greeting_path", "greeting_ms", "model", "cost_usd", "input_tokens", "cached_tokens", "slowest_turn_ms", "cuts", "failed_tools",
    "reconnects", "longest_gap_ms",
)  # fmt: skip
"""What of a call's end is shown on the root, by the names of the books."""


def tool(seq: int) -> str:
    """What the span of a call's n-th tool is called among those of the call."""
    return f"tool {seq}"
