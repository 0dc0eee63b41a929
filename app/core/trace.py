"""Trace: where on the call's time axis things happened, for whoever looks at the call afterwards.

It watches one stream's machine from outside: each event with its time, and what the machine answered. It decides nothing, and
sees no audio: what was sent is read from the machine's own ledger when an item is over. The relay takes the rows as they become
known and gives them to the journal; what is still open when the stream ends is closed then.
"""

import msgspec

from app.core import effects as do
from app.core import events as ev
from app.core.cost import cost_usd, used
from app.core.playback import BYTES_A_MS, Part, Playback
from app.core.record import CallRecord
from app.core.rows import Response, Span, SpanKind
from app.rules.prices import OURS, Prices


class _Sent(msgspec.Struct):
    """An item's audio on its way to the carrier."""

    item: str
    part: Part
    start_ms: int
    end_ms: int
    relay_us: int


class Trace:
    """One stream's. `silence_ms`: how long the model's turn detection waits for the caller to go on, where that is known."""

    def __init__(self, record: CallRecord, model: str, silence_ms: int, prices: Prices = OURS) -> None:
        self.record = record
        self.prices = prices
        self.model = model
        self.silence_ms = silence_ms
        self.rows: list[Span | Response] = []
        self._stream = ""
        self._stream_ms = 0
        self._responses: dict[str, int] = {}
        self._sent: dict[str, _Sent] = {}
        self._ended: list[_Sent] = []
        self._marks: dict[str, int] = {}
        self._flushed: set[str] = set()
        self._speaks: dict[str, int] = {}

    def take(self) -> list[Span | Response]:
        """The rows that were added since the last time."""
        rows, self.rows = self.rows, []
        return rows

    def follow(self, event: ev.Event, effects: list[do.Effect], now: float, playback: Playback) -> None:
        """Note an event and the effects that it had."""
        at, rows = self.record.at_ms(now), self.rows
        rows += [self._sent_row(sent) for sent in self._ended]
        self._ended.clear()
        match event:
            case ev.StreamStarted(stream_sid=stream):
                self._stream, self._stream_ms = stream, at
            case ev.AgentSpoke(item_id=item) if playback.parts:
                self._end_sent(item, at)
                part = playback.parts[-1]
                self._sent[item] = _Sent(item, part, at, at, max(0, round((now - part.started_at) * 1e6)))
            case ev.AgentAudioEnded(item_id=item):
                self._end_sent(item, at)
            case ev.ResponseStarted(response_id=response):
                self._responses.setdefault(response, at)
            case ev.ResponseDone():
                rows.append(self._response(event, at))
            case ev.CallerSpoke(item_id=item, audio_start_ms=start):
                self._speaks[item] = min(at, self._stream_ms + start) if start else at
            case ev.CallerStopped(item_id=item, audio_end_ms=end):
                rows.append(self._spoken(item, end, at))
            case ev.MarkReached(name=name) if name in self._marks:
                note = "flushed" if name in self._flushed else ""
                rows.append(self._span("mark", name, self._marks.pop(name), at, note=note))
            case ev.KeyPressed(digit=digit):
                rows.append(self._span("key", digit, at, at))
            case ev.CallerLeft(how=how):
                rows += self._over(how, at)
        for effect in effects:
            rows += self._answered(effect, at)

    def _answered(self, effect: do.Effect, at: int) -> list[Span | Response]:
        """What the machine wanted done, as far as it belongs on the axis or in the call's figures."""
        match effect:
            case do.MarkPlayback(name=name):
                self._marks[name] = at
            case do.ClearPlayback():
                self.record.cuts += 1
                self._flushed.update(self._marks)
                self._end_all_sent(at)
                return [self._span("clear", "", at, at)]
            case do.Truncate(item_id=item, heard_ms=heard):
                return [self._span("truncate", item, at, at, audio_ms=heard)]
            case do.PlayClip(name=name):
                return [self._span("clip", name, at, at)]
            case do.Measure(what="turn", seconds=seconds):
                self.record.turn_ms.append(round(seconds * 1000))
                self.record.slowest_turn_ms = max(self.record.slowest_turn_ms, self.record.turn_ms[-1])
            case do.CallIsOver(how=how):
                return self._over(how, at)
        return []

    def _response(self, event: ev.ResponseDone, at: int) -> Response:
        start, tokens = self._responses.pop(event.response_id, at), used(event.usage)
        status = f"{event.status}: {event.reason or event.error_code}".removesuffix(": ")
        dollars = round(cost_usd(self.model, event.usage, self.prices), 6)
        return self._responded(event.response_id, status, start, at, cost_usd=dollars, **msgspec.structs.asdict(tokens))

    def _responded(self, response: str, status: str, start: int, at: int, **figures: float) -> Response:
        seq, self.record.responses = self.record.responses, self.record.responses + 1
        values = {"response_id": response, "model": self.model, "status": status, "start_ms": start, "end_ms": at}
        return msgspec.convert({"call_sid": self.record.call_sid, "seq": seq, **values, **figures}, Response)

    def _spoken(self, item: str, end: int, at: int) -> Span:
        """The caller's sound by the model's count of what it was sent; the clock where it does not say."""
        to = min(at, self._stream_ms + end) - self.silence_ms if end else at
        start = self._speaks.pop(item, to)
        return self._span("spoken", item, min(start, to), max(start, to))

    def _end_sent(self, item: str, at: int) -> None:
        """No more of it comes. Its row waits for the next event: the rest of a last frame is sent after this one."""
        if sent := self._sent.pop(item, None):
            sent.end_ms = at
            self._ended.append(sent)

    def _end_all_sent(self, at: int) -> None:
        for item in list(self._sent):
            self._end_sent(item, at)

    def _sent_row(self, sent: _Sent) -> Span:
        audio_ms = sent.part.sent // BYTES_A_MS
        return self._span("sent", sent.item, sent.start_ms, sent.end_ms, audio_ms=audio_ms, relay_us=sent.relay_us)

    def _over(self, how: str, at: int) -> list[Span | Response]:
        """The stream is over: what is open ends here. Twice is once."""
        if not self._stream:
            return []
        self._end_all_sent(at)
        rows: list[Span | Response] = [self._sent_row(sent) for sent in self._ended]
        self._ended.clear()
        rows += [self._span("mark", name, sent, at, note="never came back") for name, sent in self._marks.items()]
        rows += [self._responded(response, "", start, at) for response, start in self._responses.items()]
        speaks = self._speaks.items()
        rows += [self._span("spoken", item, start, max(start, at), note="cut off") for item, start in speaks]
        rows.append(self._span("stream", self._stream, self._stream_ms, at, note=how))
        self._stream = ""
        for ledger in (self._marks, self._responses, self._speaks):
            ledger.clear()
        return rows

    def _span(
        self, kind: SpanKind, name: str, start: int, end: int, *, note: str = "", audio_ms: int | None = None,
        relay_us: int | None = None,
    ) -> Span:  # fmt: skip
        seq, self.record.spans = self.record.spans, self.record.spans + 1
        turn = self.record.find(name) if kind in ("sent", "spoken", "truncate") else None
        return Span(
            call_sid=self.record.call_sid,
            seq=seq,
            kind=kind,
            name=name,
            turn=None if turn is None else turn.seq,
            start_ms=start,
            end_ms=end,
            audio_ms=audio_ms,
            relay_us=relay_us,
            note=note,
        )
