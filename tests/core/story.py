"""Story: a CallMachine between a made-up model and a made-up carrier, under a clock that is moved by hand."""

from datetime import UTC, datetime
from typing import Any, TypeVar

import msgspec

from app.clips import clip
from app.core import effects as do
from app.core import events as ev
from app.core.flow import FlowLedger
from app.core.machine import CallMachine
from app.core.phases import Phase, Terms
from app.core.record import CallRecord
from app.core.rows import Milestone, Row
from app.mode import Mode
from tests.core.line import Line

START = 100.0
"""Where the clock stands as a call's story begins."""

EffectT = TypeVar("EffectT", bound=do.Effect)
RowT = TypeVar("RowT", bound=msgspec.Struct)


def utc(at: float) -> datetime:
    """The machine's clock as UTC."""
    return datetime.fromtimestamp(at, UTC)


class Story:
    """Tells the machine events, carries out its effects as the relay does, and remembers all of them."""

    def __init__(
        self,
        *,
        record: CallRecord | None = None,
        mode: Mode | None = None,
        open_now: bool = True,
        starts_at: float = START,
        **terms: Any,
    ) -> None:
        """mode: one with a flow, if the call shall follow it."""
        self.record = record if record is not None else CallRecord(call_sid="CA1", mode="receptionist")
        flow = None if mode is None else FlowLedger.of(mode, self.record, open_now=open_now)
        self.machine = CallMachine(self.record, Terms(**terms), utc, flow)
        self.line = Line()
        self.clock = starts_at
        self.done: list[do.Effect] = []
        self.scene: list[do.Effect] = []
        """What was done since the last act."""

    @property
    def now(self) -> float:
        """Seconds on the machine's clock."""
        return self.clock

    # --- driving ------------------------------------------------------------------------------------------------------

    def tell(self, event: ev.Event) -> list[do.Effect]:
        """One event, and its effects carried out. Returns them."""
        effects = self.machine.receive(event, self.now)
        self.done += effects
        self.scene += effects
        for effect in effects:
            self.perform(effect)
        return effects

    def act(self, *events: ev.Event) -> None:
        """A new act: what is asked with `did` happened from here on."""
        self.scene = []
        for event in events:
            self.tell(event)

    def perform(self, effect: do.Effect) -> None:
        """What the relay does on the phone's end."""
        match effect:
            case do.ClearPlayback():
                self.line.clear(self.now)
            case do.MarkPlayback(name=name):
                self.line.mark(name, self.now)
            case do.PlayClip(name=name):
                size = len(clip(name))
                self.machine.playback.add(f"clip:{name}", 0, size, self.now)
                self.line.media(f"clip:{name}", size, self.now)

    def waits(self, ms: float) -> None:
        """Time passes: marks come back and deadlines come, each at its moment."""
        self.scene = []
        until = self.clock + ms / 1000
        while True:
            deadline = self.machine.deadline
            mark_at = self.line.marks[0][0] if self.line.marks else None
            nearest = min((at for at in (deadline, mark_at) if at is not None), default=None)
            if nearest is None or nearest > until + 1e-6:  # sums of floats
                break
            self.clock = max(self.clock, nearest)
            if nearest == mark_at:
                self.tell(ev.MarkReached(self.line.marks.pop(0)[1]))
            else:
                self.tell(ev.TimePassed())
        self.clock = max(self.clock, until)

    # --- the model's part ---------------------------------------------------------------------------------------------

    def rings(self, *, opening: bool = True) -> None:
        """The stream starts and the session is ready at once."""
        self.act(started(), ev.ModelReady(opening))

    def voice(self, response: str, item: str, ms: float, index: int = 0) -> bool:
        """One delta on the audio lane. False if it was refused."""
        if not self.machine.speaking(response):
            return False
        first = self.machine.playback.add(item, index, round(ms * 8), self.now)
        self.line.media(item, round(ms * 8), self.now)
        if first:
            self.tell(ev.AgentSpoke(response, item))
        return True

    def says(self, response: str, *items: tuple[str, float], text: str = "", done: bool = True) -> None:
        """A whole response, made faster than it is heard: each item with its ms of audio."""
        self.act(ev.ResponseStarted(response))
        for item, ms in items:
            self.voice(response, item, ms)
            if text:
                self.tell(ev.AgentSaid(response, item, text, whole=True))
            self.tell(ev.AgentAudioEnded(response, item))
        if done:
            self.tell(ev.ResponseDone(response, "completed"))

    def caller_talks(self, item: str, text: str = "Hello.", *, ms: float = 800) -> None:
        """The caller speaks for a while, is understood, and the server's own response is left to the test."""
        self.act(ev.CallerSpoke(item))
        scene = self.scene
        self.waits(ms)
        self.scene = [*scene, *self.scene]
        for event in (ev.CallerStopped(item), ev.CallerTurnTaken(item), ev.CallerTranscribed(item, text)):
            self.tell(event)

    # --- asking -------------------------------------------------------------------------------------------------------

    def all(self, kind: type[EffectT], *, ever: bool = False) -> list[EffectT]:
        """Every effect of a kind in this act, or in the whole call."""
        return [effect for effect in (self.done if ever else self.scene) if isinstance(effect, kind)]

    def did(self, kind: type[EffectT]) -> EffectT:
        """The one effect of a kind in this act. Fails if there is none, or more."""
        found = self.all(kind)
        assert len(found) == 1, f"expected one {kind.__name__}, got {len(found)} in {self.scene}"
        return found[0]

    def did_not(self, *kinds: type[do.Effect]) -> bool:
        """Nothing of these kinds happened in this act."""
        found = [effect for effect in self.scene if isinstance(effect, kinds)]
        assert not found, f"expected none of {[kind.__name__ for kind in kinds]}, got {found}"
        return True

    def rows(self, kind: type[RowT]) -> list[RowT]:
        """Rows of one kind, as they were handed to the journal."""
        written: list[Row] = [write.row for write in self.all(do.Write, ever=True)]
        return [row for row in written if isinstance(row, kind)]

    def measured(self) -> tuple[str, int, str]:
        """The one measure of this act: what, milliseconds, path."""
        measure = self.did(do.Measure)
        return measure.what, round(measure.seconds * 1000), measure.path

    @property
    def over(self) -> bool:
        """Whether the stream has ended."""
        return self.machine.phase is Phase.OVER


def started() -> ev.StreamStarted:
    """The carrier's start."""
    return ev.StreamStarted(
        stream_sid="MZ1", call_sid="CA1", account_sid="AC1", encoding="audio/x-mulaw", parameters={}
    )


def returned(call_id: str, output: str = "{}", *, to: str = "", ends: bool = False) -> ev.ToolReturned:
    """A tool's answer; with `to` a transfer, with `ends` a goodbye."""
    return ev.ToolReturned(
        call_id=call_id, output=output, status="ok", ms=5, transfer_to=to, ends_call=ends, reason="asked"
    )


def greeted(**terms: Any) -> Story:
    """A call whose greeting was made and heard."""
    call = Story(**terms)
    call.rings()
    call.says("r0", ("a0", 500))
    call.waits(600)
    return call


def milestones(call: Story) -> list[str]:
    """Names of the milestones so far, in order."""
    return [row.name for row in call.rows(Milestone)]
