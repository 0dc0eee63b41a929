"""The shell that drives one call's stream: two links call it with what they hear; it asks the machine and does what it says.

Audio takes the straight lane: read, one flag, write. Nothing on it is awaited, queued, locked, decoded or logged. Everything
else becomes an event for the machine, and its effects are carried out at once; slow work (tools) runs in a task of the call
and comes back as an event. No exception leaves a link's callback: a fault of ours ends this call by the one door, and no other.
"""

import asyncio
import time
from collections.abc import Callable, Coroutine, Sequence
from typing import Any, Literal, Protocol

import structlog

from app import metrics
from app.adapters.engine_session import EngineSession
from app.adapters.journal import Journal
from app.adapters.link import Link
from app.calls.alarm import Alarm
from app.calls.model_end import CallerSound, Reopen, tell
from app.calls.raw_events import debug_event
from app.calls.toolbox import Toolbox
from app.clips import ClipName, clip
from app.core import effects as do
from app.core import events as ev
from app.core.machine import CallMachine
from app.core.phases import Phase
from app.core.trace_tree import tool
from app.errors import LinkClogged, LinkClosed, PeerError
from app.log import knows_call, of_call
from app.mode import Mode
from app.others_words import one_word
from app.trace_ids import enter
from app.wire import realtime, twilio
from app.wire.audio import Framer, encoded
from app.wire.realtime import AudioDelta
from app.wire.twilio import Media

log = structlog.get_logger()

DEAD_STREAM_SECONDS = 10.0
"""Of these a stream without a frame is dead. Time in which this process itself stood still is none: nobody listened then."""
ALIVE_SECONDS = 0.5
BEGIN_WORDS = (ev.CallerSpoke, ev.CallerStopped, ev.CallerTurnTaken)
"""Any of these may be the first that is known of the caller's next words."""
SAMPLE = 64
"""One message in so many is timed."""

Watcher = Callable[[ev.Event, Sequence[do.Effect]], None]
"""Is shown each event of a call and what came of it, once that is done; never its audio. It must not wait."""


class Household(Protocol):
    """Who the relay reports to: the switchboard's side of this call."""

    def remember(self, effect: do.PutThrough | do.HangUp | do.Apologise | do.Resume | do.LeaveMessage) -> None:
        """What `/twilio/next` shall answer."""
        ...

    def stream_over(self, over: do.CallIsOver) -> None:
        """The stream has ended, and nothing of it runs any more."""
        ...


class Relay:
    """One stream of one call, from its first frame to its last."""

    def __init__(
        self,
        call_sid: str,
        machine: CallMachine,
        mode: Mode,
        caller: Link,
        journal: Journal,
        toolbox: Toolbox,
        house: Household,
    ) -> None:
        self.call_sid = call_sid
        self.machine = machine
        self.mode = mode
        self.caller = caller
        self.journal = journal
        self.toolbox = toolbox
        toolbox.report = self.apply
        self.house = house
        self.stream_sid = ""
        self.model: EngineSession | None = None
        self._append: Callable[[bytes], bytes] = realtime.append_audio
        self._parse: Callable[[bytes], realtime.Message | None] = realtime.parse
        """How this session is spoken to on the lane; settled when it is ready."""
        self.watcher: Watcher | None = None
        self.framer = Framer()
        self.tasks: set[asyncio.Task[None]] = set()
        self.loop = asyncio.get_running_loop()
        self.now = time.monotonic
        """Not the loop's clock: uvloop's stands still within a turn, and counts whole milliseconds."""
        self._carries_for = ""
        """The response whose last, ragged bytes the framer holds."""
        self.sound = CallerSound()
        self.reopen: Reopen | None = None
        """Who opens another session where this one is no good any more."""
        self._alarm = Alarm(self.now, lambda: self.machine.deadline, lambda: self.apply(ev.TimePassed()))
        self._watch: asyncio.TimerHandle | None = None
        self._last_frame = self.now()
        self._counted = 0
        self._noted: set[tuple[str, str]] = set()
        self._complained: set[str] = set()
        self._log = log.bind(call_sid=call_sid)

    # --- the audio lane ---------------------------------------------------------------------------------------------

    def heard(self, text: bytes) -> None:
        """`Listener` of the phone's link: one message of the carrier's; 50 a second."""
        self._last_frame = began = self.now()
        try:
            message = twilio.parse(text)
            if type(message) is Media:  # not `match`, here and below: a class pattern takes 0.4 us
                if self.machine.listening and self.model is not None:
                    self.sound.sent.append(message.payload[1:-1])
                    self.model.send(self._append(message.payload))
                elif self.machine.phase is not Phase.OVER:
                    self.sound.keep(message.payload)
            elif message is not None:
                self._debug("carrier", text)
                self.apply(message)
        except PeerError as wrong:
            self._peer_failed(wrong, "carrier")
        except Exception:
            self._house_failed()
        self._counted += 1
        if self._counted % SAMPLE == 0:
            self._sampled("in", began)

    def from_model(self, text: bytes) -> None:
        """One message of the model's."""
        began = self.now()
        try:
            message = self._parse(text)
            if type(message) is AudioDelta:
                if self.machine.speaking(message.response_id):
                    self._speak(message, began)
            elif isinstance(message, ev.Event):
                cut_in = type(message) is ev.CallerSpoke and self.machine.playback.playing(began)
                self.apply(message)
                if cut_in:
                    metrics.bargein_seconds.observe(self.now() - began)
                self._debug("model", text)  # after what is done about it: nobody waits for the log
            else:
                self.machine.sign_at = began
                self._debug("model", text)
        except PeerError as wrong:
            self._peer_failed(wrong, "model")
        except Exception:
            self._house_failed()
        self._counted += 1
        if self._counted % SAMPLE == 0:
            self._sampled("out", began)

    def _speak(self, audio: AudioDelta, now: float) -> None:
        """Agent audio to the caller: whole frames now, the rest with the next delta. A new item's first piece is an event."""
        item, index = audio.item_id, audio.content_index
        playback = self.machine.playback
        if self.framer.carried:
            last = playback.parts[-1]
            if not self.machine.speaking(self._carries_for):
                self.framer.drop()
            elif (last.item_id, last.content_index) != (item, index):
                self._flush_frame()
        self._carries_for = audio.response_id
        frames, size = self.framer.push(audio.delta)
        began = playback.add(item, index, size, now)
        if size:
            self.caller.send(twilio.media(self.stream_sid, frames))
        if began:
            self.apply(ev.AgentSpoke(audio.response_id, item))

    # --- joining and leaving ----------------------------------------------------------------------------------------

    def join(self, session: EngineSession, path: str) -> None:
        """Give this stream its model, prepared or cold."""
        self.machine.greeting_path = path
        self._take(session)

    def _take(self, session: EngineSession) -> None:
        self.machine.served_by(interrupts=session.engine.interrupts, truncates=session.engine.truncates)
        self.model = session
        session.attach(self)

    def _reconnect(self, order: do.Reconnect) -> None:
        """Let go of this session, and begin another in its place."""
        self._log.warning("another session with the model", why=order.why, rung=order.rung)
        if self.model is not None:
            self.model.close()
        if order.retell_ms:
            self.sound.retell(order.retell_ms)
        session = None if self.reopen is None else self.reopen(order)
        if session is None:
            self.loop.call_soon(self.apply, ev.NoModelLeft(order.why))
        else:
            self._take(session)

    def model_ready(self, *, opening: bool) -> None:
        """The session is ours: what the caller said meanwhile goes first, in order."""
        assert self.model is not None
        self._append, self._parse = self.model.wire.append, self.model.wire.parse
        model = self.model
        self.apply(ev.ModelReady(opening, model.model, model.lasts_seconds))
        try:
            self.sound.release(lambda payload: model.send(self._append(payload)))
        except PeerError as wrong:
            self._peer_failed(wrong, "model")

    def model_lost(self, why: str) -> None:
        """The model's end is over."""
        self._log.warning("model lost", why=why)
        self.apply(ev.ModelLost(why, self.model is not None and self.model.refused))

    def closed(self, code: int, reason: str) -> None:
        """`Listener` of the phone's link: the socket is gone."""
        self.apply(ev.CallerLeft(f"socket closed ({code})"))

    @property
    def alive(self) -> bool:
        """Whether the carrier's frames come: fifty a second, so half a second without one is a sign."""
        return self.now() - self._last_frame < ALIVE_SECONDS

    def watch(self) -> None:
        """Begin to look for a carrier that has fallen silent: 50 frames a second come, silence included."""
        self._last_frame = self.now()
        self._check_alive(self._last_frame)

    def _check_alive(self, due: float) -> None:
        now, wait = self.now(), DEAD_STREAM_SECONDS / 4
        self._last_frame = min(now, self._last_frame + max(0.0, now - due))  # late: what came meanwhile is not read yet
        if now - self._last_frame >= DEAD_STREAM_SECONDS:
            self._log.warning("no frame from the carrier", seconds=DEAD_STREAM_SECONDS)
            self.caller.close(1001, "no audio")
            self.apply(ev.CallerLeft("the carrier fell silent"))
        elif self.machine.phase is not Phase.OVER:
            self.sound.speech(untold=self.machine.untold is not None)
            self._watch = self.loop.call_later(wait, self._check_alive, now + wait)

    # --- events and effects -----------------------------------------------------------------------------------------

    def apply(self, event: ev.Event) -> None:
        """Tell the machine, do what it says, and come back when it wants. Never raises."""
        with of_call(self.call_sid):
            try:
                self._apply(event)
            except Exception:
                self._house_failed()

    def _apply(self, event: ev.Event) -> None:
        if type(event) is ev.StreamStarted and self.machine.phase is Phase.WAITING:
            self.stream_sid = event.stream_sid
            knows_call(self.call_sid, stream_sid=event.stream_sid)
        elif type(event) in BEGIN_WORDS:
            self.sound.speech(untold=True)
        elif type(event) is ev.ModelComplained:
            self._complaint(event)
        effects = self.machine.receive(event, self.now())
        for effect in effects:
            try:
                self.perform(effect)
            except PeerError as wrong:  # a dead end is reported by its own link
                self._log.info("could not be sent", effect=type(effect).__name__, why=str(wrong))
            except Exception:
                self._log.exception("an effect failed", effect=type(effect).__name__)
        if self.machine.trace.rows:
            for row in self.machine.trace.take():
                self.journal.put(row)
        self._alarm.set()
        if self.watcher is not None:
            self._show(self.watcher, event, effects)

    def _show(self, watcher: Watcher, event: ev.Event, effects: Sequence[do.Effect]) -> None:
        try:
            watcher(event, effects)
        except Exception:  # who looks on must not be what ends a call
            self._log.exception("a watcher failed, and is not shown more")
            self.watcher = None

    def perform(self, effect: do.Effect) -> None:
        """Carry out one effect now; what takes time is a task that comes back as an event."""
        match effect:
            case do.Write(row=row):
                self.journal.put(row)
            case do.ClearPlayback():
                self.framer.drop()
                self.caller.send(twilio.clear(self.stream_sid))
            case do.MarkPlayback(name=name):
                self._flush_frame()
                self.caller.send(twilio.mark(self.stream_sid, name))
            case do.PlayClip(name=name):
                self._play(name)
            case do.CloseStream(code=code, reason=reason):
                self.caller.close(code, reason)
            case do.RunTool():
                self.spawn(self._tool(effect))
            case do.PutThrough() | do.HangUp() | do.Apologise() | do.Resume() | do.LeaveMessage():
                self.house.remember(effect)
            case do.Measure(what="turn", seconds=seconds):
                metrics.turn_seconds.observe(seconds)
            case do.Measure(what="gap", seconds=seconds, path=rung, cause=cause):
                metrics.model_reconnects_total.labels(rung, cause).inc()
                metrics.model_gap_seconds.labels(rung).observe(seconds)
            case do.Measure(seconds=seconds, path=path):
                metrics.greeting_seconds.labels(path).observe(seconds)
            case do.CallIsOver():
                self._over(effect)
            case do.Reconnect():
                self._reconnect(effect)
            case _:
                if self.model is not None:
                    tell(self.model, self.mode, effect)

    def spawn(self, work: Coroutine[Any, Any, None]) -> None:
        """Run something for this call; it is cancelled when the call is over."""
        task = self.loop.create_task(work)
        self.tasks.add(task)
        task.add_done_callback(self.tasks.discard)

    async def _tool(self, order: do.RunTool) -> None:
        enter(self.call_sid, tool(self.machine.tools.seq(order.call_id)))
        self.apply(await self.toolbox.run(order))

    def _play(self, name: ClipName) -> None:
        """One of the house's own recordings, counted like everything else that the caller hears."""
        audio = clip(name)
        self.machine.playback.add(f"clip:{name}", 0, len(audio), self.now())
        self.caller.send(twilio.media(self.stream_sid, encoded(audio)))

    def _flush_frame(self) -> None:
        """The rest of an item's last frame, filled up with silence."""
        rest, size, padding = self.framer.flush()
        if size:
            self.machine.playback.fill(size, padding, self.now())
            self.caller.send(twilio.media(self.stream_sid, rest))

    def _over(self, over: do.CallIsOver) -> None:
        self._alarm.stop()
        if self._watch is not None:
            self._watch.cancel()
        for task in self.tasks:
            task.cancel()
        self.sound.forget()
        self.caller.close(1000, over.outcome)
        self.house.stream_over(over)

    # --- faults -----------------------------------------------------------------------------------------------------

    def _peer_failed(self, wrong: PeerError, who: str) -> None:
        """The other end broke its protocol: that message is dropped. A link that cannot be written reports its own end."""
        kind = "not sent" if isinstance(wrong, LinkClogged | LinkClosed) else "message passed over"
        if (kind, who) not in self._noted:
            self._noted.add((kind, who))
            self._log.warning(kind, end=who, why=str(wrong))

    def _house_failed(self) -> None:
        """A bug of ours: this caller is told sorry and is taken to a person; the other calls do not notice."""
        self._log.exception("a fault of ours ends this call")
        try:
            self._apply(ev.HouseFailed("a fault of ours"))
        except Exception:
            self._log.exception("and it could not be ended by the machine")
            self.caller.close(1011, "internal error")

    def _complaint(self, error: ev.ModelComplained) -> None:
        """Most complaints are harmless; each kind is logged once a call."""
        kind = error.code or error.type
        if kind not in self._complained:
            self._complained.add(kind)
            told = {"code": one_word(error.code), "type": one_word(error.type), "param": one_word(error.param)}
            self._log.info("the model complains", **told)  # its sentence may repeat the talk: it is in the raw events

    def _debug(self, source: Literal["carrier", "model"], text: bytes | str) -> None:
        event = debug_event(self.call_sid, source, text)
        if event is not None:
            self.journal.put(event)

    def _sampled(self, direction: str, began: float) -> None:
        metrics.relay_seconds.labels(direction).observe(self.now() - began)
