"""Six lanes on one time axis: a call's rows as bars, and what follows from them (latency by turn, cost by kind of token).

Pure: rows in, figures out. The page draws the bars, and says the same in a table. The axis begins where the call's first stream
did; all its figures are milliseconds from there, as in the books. What the books do not know is missing here too, not guessed.
"""

from collections.abc import Sequence
from datetime import datetime

import msgspec

from app.adapters.store import Call
from app.core.rows import Milestone, Response, Span, ToolCall, Turn
from app.rules.prices import OURS, Prices

LANES = (
    ("generated", "Model made", "what the model generated, from the response's start to its end"),
    ("sent", "Sent", "what went to the carrier; it is sent faster than it is heard"),
    ("heard", "Caller heard", "what reached the caller's ear, until they cut in"),
    ("said", "Caller said", "the caller's words and keys"),
    ("tools", "Tools", "tool calls, from the model's wish to the answer"),
    ("carrier", "Carrier", "streams, marks and clears on the line"),
)
KINDS = (
    ("text_in", "Text read", "text_in"),
    ("text_cached", "... from its cache", "text_cached"),
    ("audio_in", "Audio heard", "audio_in"),
    ("audio_cached", "... from its cache", "audio_cached"),
    ("text_out", "Text written", "text_out"),
    ("audio_out", "Audio spoken", "audio_out"),
)
TROUBLE = (
    "model_lost",
    "voice_lost",
    "menu_started",
    "led_to_person",
    "voicemail_offered",
    "text_refused",
    "text_unknown",
)
"""How milestones begin that tell of something that went wrong."""
LEAST_AXIS_MS = 1000
TICKS_MS = (250, 500, 1000, 2000, 5000, 10_000, 30_000, 60_000, 120_000, 300_000, 600_000, 1_800_000)
MOST_TICKS = 12


class Bar(msgspec.Struct, frozen=True, kw_only=True):
    """Something on a lane. `end_ms` is `start_ms` for what only has a moment. tone: a class of the style sheet."""

    lane: str
    start_ms: int
    end_ms: int
    what: str
    text: str = ""
    tone: str = ""


class Latency(msgspec.Struct, frozen=True, kw_only=True):
    """What a caller's wait was made of; `total_ms` is the sum. detection_ms is None where turn detection does not tell it.

    detection: from the caller's last sound to the model's word that they stopped. model: until its first audio was here, tools
    apart. relay: until that was at the carrier. What the carrier and the phone add is on nobody's books.
    """

    turn: int
    at_ms: int
    detection_ms: int | None
    model_ms: int
    tools_ms: int
    relay_us: int

    @property
    def total_ms(self) -> int:
        """From the caller's last sound, or from the model's word, to the first audio sent."""
        return (self.detection_ms or 0) + self.model_ms + self.tools_ms + round(self.relay_us / 1000)


class Share(msgspec.Struct, frozen=True):
    """Tokens of a kind, and their dollars."""

    what: str
    tokens: int
    usd: float


class Picture(msgspec.Struct, frozen=True, kw_only=True):
    """All of it."""

    total_ms: int
    bars: list[Bar]
    ticks: list[int]
    latencies: list[Latency]
    shares: list[Share]
    untimed_tools: int
    """Tool calls of before their start was kept: in the table, but on no lane."""

    def lane(self, name: str) -> list[Bar]:
        """One lane's bars, in order."""
        return [bar for bar in self.bars if bar.lane == name]


def picture(
    turns: Sequence[Turn],
    tools: Sequence[ToolCall],
    spans: Sequence[Span],
    responses: Sequence[Response],
    milestones: Sequence[Milestone],
    prices: Prices = OURS,
) -> Picture:
    """The call as the page shows it."""
    lost = _lost(milestones)
    bars = [
        *_generated(responses, turns, spans, lost),
        *_sent(turns, spans, lost),
        *_heard(turns),
        *_said(turns, spans),
        *_tools(tools),
        *_carrier(spans, milestones),
        *_house(turns),
    ]
    bars.sort(key=lambda bar: (bar.start_ms, bar.end_ms))
    total = max([LEAST_AXIS_MS, *(bar.end_ms for bar in bars)])
    return Picture(
        total_ms=total,
        bars=bars,
        ticks=ticks(total),
        latencies=latencies(turns, tools, spans),
        shares=shares(responses, prices),
        untimed_tools=sum(tool.start_ms is None for tool in tools),
    )


def ticks(total_ms: int) -> list[int]:
    """Round moments, a dozen at most."""
    step = next((step for step in TICKS_MS if total_ms / step <= MOST_TICKS), TICKS_MS[-1])
    return list(range(0, total_ms + 1, step))


def latencies(turns: Sequence[Turn], tools: Sequence[ToolCall], spans: Sequence[Span]) -> list[Latency]:
    """One for each of the caller's turns that was answered before they spoke again."""
    sent = sorted((span for span in spans if span.kind == "sent"), key=lambda span: span.start_ms)
    spoken = {span.turn: span for span in spans if span.kind == "spoken" and span.note == ""}
    asked = [turn for turn in turns if turn.who == "caller"]
    found = []
    for turn, later in zip(asked, [*asked[1:], None], strict=False):
        stop = turn.end_ms
        answer = next((span for span in sent if span.start_ms >= stop), None)
        if answer is None or (later is not None and later.start_ms < answer.start_ms):
            continue
        waited = answer.start_ms - stop
        relay_us = min(answer.relay_us or 0, waited * 1000)
        worked = min(_covered(tools, stop, answer.start_ms), waited - relay_us // 1000)
        span = spoken.get(turn.seq)
        found.append(
            Latency(
                turn=turn.seq,
                at_ms=stop,
                detection_ms=None if span is None else max(0, stop - span.end_ms),
                model_ms=waited - worked - round(relay_us / 1000),
                tools_ms=worked,
                relay_us=relay_us,
            )
        )
    return found


def _covered(tools: Sequence[ToolCall], start: int, end: int) -> int:
    """Milliseconds within [start, end] in which a tool ran; two at once count once."""
    covered, until = 0, start
    for tool in sorted((tool for tool in tools if tool.start_ms is not None), key=lambda tool: tool.start_ms or 0):
        low, high = max(until, tool.start_ms or 0), min(end, (tool.start_ms or 0) + tool.ms)
        if high > low:
            covered, until = covered + high - low, high
    return covered


def shares(responses: Sequence[Response], prices: Prices = OURS) -> list[Share]:
    """What the model was paid for, by kind of token; none for a call of before responses were kept."""
    if not responses:
        return []
    found = []
    for field, what, price in KINDS:
        counts = [(getattr(row, field), getattr(prices.of(row.model), price)) for row in responses]
        dollars = sum(count * each for count, each in counts) / 1_000_000
        found.append(Share(what, sum(count for count, _ in counts), dollars))
    return found


def _began(milestones: Sequence[Milestone]) -> datetime | None:
    return next((row.at for row in milestones if row.name == "stream_started"), None)


def _lost(milestones: Sequence[Milestone]) -> list[int]:
    """When sessions died: what a session was about was over then, though the books may have its end only with the call's."""
    began = _began(milestones)
    rows = [row.at for row in milestones if row.name == "model_lost"]
    return [] if began is None else [round((at - began).total_seconds() * 1000) for at in rows]


def _until(start_ms: int, end_ms: int, lost: Sequence[int]) -> int:
    return min((at for at in lost if start_ms <= at < end_ms), default=end_ms)


def _generated(
    responses: Sequence[Response], turns: Sequence[Turn], spans: Sequence[Span], lost: Sequence[int]
) -> list[Bar]:
    words = {turn.seq: turn.generated_text for turn in turns}
    bars = []
    for row in responses:
        end = _until(row.start_ms, row.end_ms, lost)
        own = [span for span in spans if span.kind == "sent" and row.start_ms <= span.start_ms <= end]
        said = " ".join(words.get(span.turn, "") for span in own if span.turn is not None)
        what = f"response {row.seq}, {row.status or 'not finished'}"
        tone = "" if row.status == "completed" else "cut"
        bars.append(Bar(lane="generated", start_ms=row.start_ms, end_ms=end, what=what, text=said, tone=tone))
    return bars


def _sent(turns: Sequence[Turn], spans: Sequence[Span], lost: Sequence[int]) -> list[Bar]:
    words = {turn.seq: turn.generated_text for turn in turns}
    bars = []
    for span in spans:
        if span.kind == "sent":
            what = f"{span.audio_ms} ms of audio sent"
            text = words.get(span.turn, "") if span.turn is not None else ""
            end = _until(span.start_ms, span.end_ms, lost)
            bars.append(Bar(lane="sent", start_ms=span.start_ms, end_ms=end, what=what, text=text))
        elif span.kind == "clip":
            at = span.start_ms
            bars.append(
                Bar(lane="sent", start_ms=at, end_ms=at, what=f"the house's own clip: {span.name}", tone="house")
            )
    return bars


def _heard(turns: Sequence[Turn]) -> list[Bar]:
    bars = []
    for turn in turns:
        if turn.who != "agent" or turn.end_ms <= turn.start_ms:
            continue
        cut = turn.heard_text != turn.generated_text
        what = f"{turn.end_ms - turn.start_ms} ms heard" + (", cut short" if cut else "")
        bars.append(
            Bar(
                lane="heard",
                start_ms=turn.start_ms,
                end_ms=turn.end_ms,
                what=what,
                text=turn.heard_text,
                tone="cut" if cut else "",
            )
        )
    return bars


def _said(turns: Sequence[Turn], spans: Sequence[Span]) -> list[Bar]:
    spoken = {span.turn: span for span in spans if span.kind == "spoken"}
    bars = []
    for turn in turns:
        if turn.who == "caller":
            place = spoken.get(turn.seq)
            start, end = (place.start_ms, place.end_ms) if place else (turn.start_ms, turn.end_ms)
            text = turn.generated_text
            what = "caller" if text else "caller, not transcribed"
            bars.append(Bar(lane="said", start_ms=start, end_ms=end, what=what, text=text))
    for span in spans:
        if span.kind == "key":
            bars.append(
                Bar(lane="said", start_ms=span.start_ms, end_ms=span.end_ms, what=f"key {span.name}", tone="key")
            )
    return bars


def _tools(tools: Sequence[ToolCall]) -> list[Bar]:
    return [
        Bar(
            lane="tools",
            start_ms=tool.start_ms,
            end_ms=tool.start_ms + tool.ms,
            what=f"{tool.name}: {tool.status} in {tool.ms} ms",
            text=tool.arguments[:300],
            tone="" if tool.status == "ok" else "cut",
        )
        for tool in tools
        if tool.start_ms is not None
    ]


def _carrier(spans: Sequence[Span], milestones: Sequence[Milestone]) -> list[Bar]:
    bars = []
    for span in spans:
        match span.kind:
            case "mark":
                what = f"mark {span.name} sent and {span.note or 'back: all before it was played'}"
            case "clear":
                what = "clear: what was unheard was thrown away"
            case "truncate":
                what = f"the model was told that {span.audio_ms} ms were heard"
            case "stream":
                what = f"stream {span.name}, ended: {span.note}"
            case _:
                continue
        bars.append(Bar(lane="carrier", start_ms=span.start_ms, end_ms=span.end_ms, what=what, tone=span.kind))
    began = _began(milestones)
    for row in milestones:
        if began is not None and row.at >= began:
            at = round((row.at - began).total_seconds() * 1000)
            tone = "trouble" if row.name.startswith(TROUBLE) else "milestone"
            bars.append(Bar(lane="carrier", start_ms=at, end_ms=at, what=row.name.replace("_", " "), tone=tone))
    return bars


def _house(turns: Sequence[Turn]) -> list[Bar]:
    """What an operator did to the call while it lasted."""
    return [
        Bar(lane="carrier", start_ms=turn.start_ms, end_ms=turn.start_ms, what=turn.generated_text, tone="house")
        for turn in turns
        if turn.who == "house"
    ]


def seconds_of(call: Call) -> float | None:
    """How long a call took, from its webhook; None while it lasts."""
    return None if call.ended_at is None else (call.ended_at - call.started_at).total_seconds()
