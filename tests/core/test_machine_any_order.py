"""Whatever comes, in whatever order: the machine never raises, never over-counts, never asks twice, and ends once."""

from collections.abc import Iterable

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy

from app.clips import clip
from app.core import effects as do
from app.core import events as ev
from app.core.machine import CallMachine
from app.core.phases import MOVES, Phase, Terms
from app.core.record import CallRecord
from tests.core.story import utc

RESPONSES, ITEMS = st.sampled_from(["r1", "r2", "r3"]), st.sampled_from(["a1", "a2", "a3"])
CALLER_ITEMS, TOOLS = st.sampled_from(["c1", "c2"]), st.sampled_from(["t1", "t2", "t3"])
SIDE = "x1"
"""The one id of responses out of band."""


class Delta(ev.Event, frozen=True):
    """A piece of agent audio: not an event for the machine, but what the relay does with it."""

    response_id: str
    item_id: str
    index: int
    frames: int


def events() -> SearchStrategy[ev.Event]:
    """One thing that can happen."""
    usage = st.sampled_from([None, {}, {"output_token_details": {"audio_tokens": 30_000}}])
    complaint = st.sampled_from(["conversation_already_has_active_response", "invalid_value", "session_expired"])
    ask = st.sampled_from(["", "opening", "ask-1", "ask-2", "ask-3", "filler-1", "filler-2"])
    status = st.sampled_from(["ok", "ok", "refused", "working"])
    talk: list[SearchStrategy[ev.Event]] = [
        st.builds(Delta, RESPONSES, ITEMS, st.integers(0, 1), st.integers(0, 100)),
        st.builds(Delta, st.just(SIDE), ITEMS, st.just(0), st.integers(0, 100)),
        st.builds(ev.ResponseStarted, RESPONSES),
        st.just(ev.ResponseStarted(SIDE, out_of_band=True)),
        st.builds(ev.ResponseDone, RESPONSES, st.sampled_from(["completed", "cancelled", "incomplete"]), usage=usage),
        st.builds(ev.ResponseDone, RESPONSES, st.just("failed"), error_code=st.sampled_from(["", "server_error"])),
        st.just(ev.ResponseDone(SIDE, "completed", out_of_band=True)),
        st.builds(ev.AgentAudioEnded, RESPONSES, ITEMS),
        st.builds(ev.AgentSaid, RESPONSES, ITEMS, st.text(max_size=8), st.booleans()),
        st.builds(ev.CallerSpoke, CALLER_ITEMS),
        st.builds(ev.CallerStopped, CALLER_ITEMS),
        st.builds(ev.CallerTurnTaken, CALLER_ITEMS),
        st.builds(ev.CallerTranscribed, CALLER_ITEMS, st.text(max_size=8)),
        st.builds(ev.KeyPressed, st.sampled_from("12#")),
        st.builds(ev.MarkReached, st.sampled_from(["m1", "m2", "m3", "m4", "x"])),
        st.builds(ev.ToolCalled, RESPONSES, TOOLS, st.just("f"), st.just("{}")),
        st.builds(
            ev.ToolReturned,
            call_id=TOOLS,
            output=st.just("{}"),
            status=status,
            ms=st.just(1),
            transfer_to=st.sampled_from(["", "", "sales"]),
            ends_call=st.booleans(),
        ),
        st.builds(ev.ToolSlow, call_id=TOOLS, sentence=st.just("One moment."), after_ms=st.sampled_from([0, 700])),
        st.builds(ev.ToolFinished, call_id=TOOLS, output=st.just("{}"), status=st.just("ok"), ms=st.just(1)),
        st.builds(ev.ModelComplained, complaint, st.just(""), st.just(""), event_id=ask),
        st.just(ev.TimePassed()),
    ]
    rare = st.sampled_from(
        [ev.CallerLeft("stop"), ev.HouseCloses(), ev.HouseFailed("ours"), ev.NoModelLeft("none"), STARTED]
    )
    model = st.sampled_from(
        [ev.ModelLost("gone"), ev.ModelLost("no", refused=True), ev.ModelReady(), ev.ModelReady(lasts_seconds=310.0)]
    )
    return st.one_of(*talk, *talk, rare, model)


STARTED = ev.StreamStarted(stream_sid="MZ1", call_sid="CA1", account_sid="AC1", encoding="audio/x-mulaw", parameters={})
PRELUDES: list[list[ev.Event]] = [
    [],
    [STARTED],
    [STARTED, ev.ModelReady()],
    [STARTED, ev.ModelReady(), ev.ResponseStarted("r1")],
    [STARTED, ev.ModelReady(opening=False)],
]
STEPS = st.lists(st.tuples(st.sampled_from([0.0, 0.0, 0.02, 0.3, 1.0, 4.0, 13.0, 70.0]), events()), max_size=60)


def reachable(phase: Phase) -> set[Phase]:
    """Every phase that the table allows after this one, in any number of moves."""
    found, new = {phase}, {phase}
    while new:
        new = {to for one in new for to in MOVES[one]} - found
        found |= new
    return found


NOT_FOR_MODELS = do.PlayClip | do.Write | do.Measure


class Witness:
    """Watches one machine and keeps an account of its own."""

    def __init__(self, terms: Terms) -> None:
        self.machine = CallMachine(CallRecord(call_sid="CA1", mode="m"), terms, utc)
        self.now = 100.0
        self.running: set[str] = set()
        self.asked = ""
        self.speech_ends: float | None = None
        """Until when the caller's speech holds back our requests, if nobody says that it ended."""
        self.ends = self.offers = self.reconnects = 0
        self.marks: set[str] = set()
        self.tools: dict[str, int] = {}

    def step(self, wait: float, event: ev.Event) -> None:
        until = self.now + wait
        while (deadline := self.machine.deadline) is not None and deadline <= until:
            self.now = max(self.now, deadline)
            self.tell(ev.TimePassed())
            assert self.machine.deadline is None or self.machine.deadline > self.now, "a deadline stays due"
        self.now = until
        if not isinstance(event, Delta):
            self.tell(event)
        elif self.machine.speaking(event.response_id):
            assert event.response_id != SIDE or SIDE not in self.machine.talk.silenced
            if self.machine.playback.add(event.item_id, event.index, event.frames * 160, self.now):
                self.tell(ev.AgentSpoke(event.response_id, event.item_id))

    def tell(self, event: ev.Event) -> None:
        before = self.machine.phase
        self.note(event, before)
        effects = self.machine.receive(event, self.now)
        assert self.machine.phase in reachable(before)
        after = [] if before is not Phase.OVER else effects
        assert not [effect for effect in after if not isinstance(effect, do.Write)], f"after the end: {effects}"
        assert not after or isinstance(event, ev.ToolFinished)
        for place, effect in enumerate(effects):
            self.check(effect, last=all(isinstance(later, NOT_FOR_MODELS) for later in effects[place + 1 :]))
        assert (self.ends == 1) == (self.machine.phase is Phase.OVER)
        assert self.machine.deadline is None or self.machine.phase is not Phase.OVER
        self.count()

    def note(self, event: ev.Event, phase: Phase) -> None:
        """What an outsider knows after an event."""
        if phase in (Phase.WAITING, Phase.OVER):
            return
        match event:
            case ev.ModelReady(opening=True) if phase is Phase.OPENING and (
                self.machine.afresh or not self.machine.mending
            ):
                self.asked = "opening"
            case ev.ResponseStarted(response_id=response, out_of_band=False):
                self.running.add(response)
                self.asked = ""
            case ev.ResponseDone(response_id=response, out_of_band=False):
                self.running.discard(response)
                self.asked = "" if self.asked == "opening" else self.asked
            case ev.ModelComplained(event_id=event_id) if event_id and event_id == self.asked:
                self.asked = ""
            case ev.CallerSpoke():
                self.speech_ends = self.now + self.machine.terms.speech_seconds
            case ev.CallerStopped():
                self.speech_ends = None

    def check(self, effect: do.Effect, *, last: bool) -> None:
        playback = self.machine.playback
        match effect:
            case do.Truncate(item_id=item, heard_ms=heard_ms):
                assert 1 <= heard_ms <= playback.sent_ms(item)
                assert not item.startswith("clip:")
            case do.DeleteItem(item_id=item):
                assert not item.startswith("clip:")
                assert playback.sent_ms(item) > 0
            case do.RequestResponse(event_id=event_id, reads=sentence):
                assert not (sentence and playback.playing(self.now)), "a filler over our own words"
                assert not self.asked, f"{event_id} while {self.asked} is unanswered"
                assert not self.running
                assert self.speech_ends is None or self.now >= self.speech_ends
                self.asked = event_id
            case do.OfferTools():
                self.offers += 1
                assert self.offers == 1, "twice in one session"
            case do.Reconnect():
                assert last, "told to a session that is gone"
                self.reconnects += 1
                self.running.clear()
                self.asked, self.speech_ends, self.offers = "", None, 0
            case do.TellHistory():
                assert self.machine.listening
            case do.MarkPlayback(name=name):
                assert name not in self.marks
                self.marks.add(name)
            case do.PlayClip(name=name):
                playback.add(f"clip:{name}", 0, len(clip(name)), self.now)
            case do.RunTool(call_id=call_id):
                assert call_id not in self.tools
                self.tools[call_id] = 0
            case do.AnswerTool(call_id=call_id):
                self.tools[call_id] += 1
                assert self.tools[call_id] == 1
            case do.CallIsOver():
                self.ends += 1
                assert self.ends == 1
                assert last

    def count(self) -> None:
        """Never more heard than sent, of an item or in all."""
        playback = self.machine.playback
        items = {part.item_id for part in playback.parts}
        assert all(0 <= playback.heard_ms(item, self.now) <= playback.sent_ms(item) for item in items)
        assert sum(part.heard for part in playback.parts) <= sum(part.sent for part in playback.parts)
        turns = self.machine.record.spoken
        assert [turn.seq for turn in turns] == list(range(len(turns)))
        assert all(turn.heard_ms <= turn.sent_ms and turn.text.startswith(turn.heard_text) for turn in turns)


def witness(steps: Iterable[tuple[float, ev.Event]], terms: Terms) -> Witness:
    it = Witness(terms)
    for wait, event in steps:
        it.step(wait, event)
    return it


@settings(
    max_examples=250, deadline=None, database=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow]
)
@given(st.sampled_from(PRELUDES), STEPS, st.booleans(), st.sampled_from([100.0, 1800.0]))
def test_no_order_of_events_breaks_the_call(
    prelude: list[ev.Event], steps: list[tuple[float, ev.Event]], server_interrupts: bool, max_seconds: float
) -> None:
    terms = Terms(server_interrupts=server_interrupts, max_seconds=max_seconds)
    it = witness([*((0.0, event) for event in prelude), *steps], terms)
    it.step(0.0, ev.CallerLeft("stop"))
    assert it.ends == 1
    for event in (ev.CallerSpoke("c1"), ev.ResponseStarted("r1"), ev.TimePassed(), ev.CallerLeft("again")):
        it.step(1.0, event)


@settings(max_examples=60, deadline=None, database=None, derandomize=True)
@given(st.sampled_from(PRELUDES[1:]), STEPS)
def test_a_call_that_is_left_alone_comes_to_its_end_by_itself(
    prelude: list[ev.Event], steps: list[tuple[float, ev.Event]]
) -> None:
    it = witness([*((0.0, event) for event in prelude), *steps], Terms(max_seconds=300.0))
    it.step(4000.0, ev.TimePassed())
    assert it.ends == 1


@settings(max_examples=120, deadline=None, database=None, derandomize=True)
@given(st.sampled_from(PRELUDES[1:]), STEPS)
def test_silence_on_both_sides_ends_a_call_long_before_its_time_is_up(
    prelude: list[ev.Event], steps: list[tuple[float, ev.Event]]
) -> None:
    it = witness([*((0.0, event) for event in prelude), *steps], Terms(max_seconds=100_000.0))
    for _ in range(50):
        for call_id in list(it.machine.tools.open):
            it.step(0.0, ev.ToolReturned(call_id=call_id, output="{}", status="ok", ms=1))
        for call_id in list(it.machine.record.working):
            it.step(0.0, ev.ToolFinished(call_id=call_id, output="{}", status="ok", ms=1))
        for mark in list(it.machine.playback.pending):
            it.step(0.0, ev.MarkReached(mark))
        it.step(10.0, ev.TimePassed())
    assert it.ends == 1
