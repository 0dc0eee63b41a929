"""CallMachine: what a call is, as a sans-I/O machine. It is told events with the time, and answers with effects.

    phase      means                                                       may become
    WAITING    the phone's stream has not started                          OPENING OVER
    OPENING    the stream runs, the model is not configured yet            TALKING LEAVING OVER
    TALKING    both ends are there                                         LEAVING OVER
    LEAVING    what comes next is decided; what is said is still heard     TALKING OVER
    OVER       the stream has ended; nothing follows                       -

The theory. A call has two ends that know different things: the model knows what it generated, the carrier what it played, and
only this machine knows both. So it keeps three ledgers: `Playback` (what was heard), `Sequencer` (who may speak next) and
`CallRecord` (what was said), and every event is a small move on them. It owns no clock: deadlines are data (`deadline`), and
the relay comes back with `TimePassed` when the earliest is due. Audio does not pass through here; the relay asks `listening`
and `speaking` for each frame, and adds what it sent to `playback`.

Barge-in is one move: everything unheard is cleared, each item that was cut is truncated to what was heard, items of which
nothing was heard are deleted, and late audio of those responses is dropped by `speaking`. It holds after response.done too:
the model is long finished when the caller interrupts. The server cancels the running response by itself (`server_interrupts`).
How it leaves, by one door, is `Stage`'s.
"""

from app.core import effects as do
from app.core import events as ev
from app.core.cost import cost_usd, input_tokens
from app.core.phases import (
    ENDLESS_SPEECH,
    GONE_FOR_GOOD,
    OFFER_ID,
    OPENING_ID,
    OUT_OF_TIME,
    SILENT_GOODBYE,
    STILL_THERE,
    Phase,
)
from app.core.stage import Stage
from app.core.timers import Timer

IMPATIENCE: tuple[Timer, ...] = ("moment", "first_audio", "dormant", "answer", "stall")
"""What nobody waits for while the caller speaks."""


class CallMachine(Stage):
    """One stream of one call. Only `receive` changes it, but for the relay's `playback.add` on the audio lane."""

    # --- the one entrance -------------------------------------------------------------------------------------------

    def receive(self, event: ev.Event, now: float) -> list[do.Effect]:
        """Everything that happens to a call, and what is to be done about it, in order. After OVER: nothing."""
        match self.phase, event:
            case (Phase.OVER, _):
                return []
            case (_, ev.CallerLeft(how=how)):
                return self._over(
                    self._how if self._how in ("completed", "dormant", "capped") else "caller_left", how, now
                )
            case (_, ev.HouseCloses()):
                resume: list[do.Effect] = [] if self._how else [do.Resume("this server restarts")]
                return [*resume, *self._close(self._how or "interrupted", now, code=1001)]
            case (Phase.WAITING, ev.StreamStarted()):
                return self._stream_started(now)
            case (Phase.WAITING, _):
                return []
            case (_, ev.ModelLost(why=why)):
                return self._give_up(why, now)
        return [*self._receive(event, now), *self._leave_if_heard(now)]

    def _receive(self, event: ev.Event, now: float) -> list[do.Effect]:
        """The events of a running stream."""
        match event:
            case ev.AgentSaid():  # first, as there are more of these than of all others
                self._progress(now)
                return self.talk.agent_said(event, now)
            case ev.ModelReady(opening=opening):
                return self._model_ready(opening, now)
            case ev.CallerSpoke(item_id=item):
                return self._caller_spoke(item, now)
            case ev.CallerStopped(item_id=item):
                return self._caller_stopped(item, now)
            case ev.CallerTurnTaken(item_id=item):
                self.talk.caller_spoke(item, now)
            case ev.CallerTranscribed(item_id=item, text=text):
                return self.talk.caller_transcribed(item, text, now)
            case ev.KeyPressed(digit=digit):
                return self._key_pressed(digit, now)
            case ev.ResponseStarted(response_id=response, out_of_band=out_of_band):
                return self._response_started(response, out_of_band, now)
            case ev.ResponseDone():
                return self._response_done(event, now)
            case ev.AgentSpoke(response_id=response, item_id=item):
                return self._agent_spoke(response, item, now)
            case ev.AgentAudioEnded(item_id=item):
                return self.talk.mark(item)
            case ev.ToolCalled():
                return self._tool_called(event, now)
            case ev.ToolReturned():
                return self._tool_returned(event, now)
            case ev.MarkReached(name=name):
                if self.playback.reached(name, now):
                    self._quiet_from(now)
                    return self.talk.settle(now)
            case ev.ModelComplained():
                return self._model_complained(event, now)
            case ev.TimePassed():
                return self._time_passed(now)
        return []

    # --- beginning --------------------------------------------------------------------------------------------------

    def _stream_started(self, now: float) -> list[do.Effect]:
        self._move(Phase.OPENING)
        self._started_at = now
        if self.record.began is None:
            self.record.began = now
        self.timers.set("max", max(now + 1, self.record.began + self.terms.max_seconds))
        self.timers.set("first_audio", now + self.terms.first_audio_seconds)
        self.timers.set("moment", now + self.terms.moment_seconds)
        return [self._milestone("stream_started", now)]

    def _model_ready(self, opening: bool, now: float) -> list[do.Effect]:
        if self.phase is not Phase.OPENING:
            return []
        self._move(Phase.TALKING)
        self.listening = True
        if opening:
            self.sequencer.asked = OPENING_ID
        else:  # the caller speaks first: nobody waits for us
            self.timers.drop("first_audio")
            self.timers.drop("moment")
        self._quiet_from(now)
        return [self._milestone("model_ready", now)]

    # --- the caller -------------------------------------------------------------------------------------------------

    def _caller_spoke(self, item: str, now: float) -> list[do.Effect]:
        effects: list[do.Effect] = []
        if not any(turn.who == "caller" for turn in self.record.spoken):
            effects.append(self._milestone("first_caller_speech", now))
        self.sequencer.caller_spoke()
        self._stopped_at = None
        for timer in IMPATIENCE:
            self.timers.drop(timer)
        self.timers.set("speech", now + self.terms.speech_seconds)
        effects += self._cut(now)
        self.talk.caller_spoke(item, now)
        return [*effects, *self._stay()]

    def _stay(self) -> list[do.Effect]:
        """The caller is there: a goodbye that is being said is taken back, a promise to a person is not."""
        self._asked_still_there = False
        if self.phase is not Phase.LEAVING or self._how not in ("completed", "dormant"):
            return []
        self._move(Phase.TALKING)
        self._how = ""
        self.timers.drop("leave")
        return [do.Resume("the caller went on during the goodbye")]

    def _cut(self, now: float, *, cancel: bool = False) -> list[do.Effect]:
        """Throw away what is unheard; `cancel` where the server does not stop its response by itself."""
        cancels: list[do.Effect] = []
        if cancel or not self.terms.server_interrupts:
            cancels = [do.CancelResponse(response) for response in sorted(self.sequencer.running)]
        return [*self.talk.cut(self.sequencer.running, now), *cancels]

    def _caller_stopped(self, item: str, now: float) -> list[do.Effect]:
        self.sequencer.caller_stopped()
        self.timers.drop("speech")
        self._stopped_at = now
        self.talk.caller_stopped(item, now)
        self._quiet_from(now)
        self._expect_answer(now)
        return []

    def _key_pressed(self, digit: str, now: float) -> list[do.Effect]:
        """Keys are gathered until `#` or a pause, so that a number is one line of talk and not ten."""
        self._keys += digit
        effects = self._stay()
        self._quiet_from(now)
        self.timers.set("keys", now + self.terms.keys_seconds)
        return [*effects, *self._send_keys(now)] if digit == "#" else effects

    def _send_keys(self, now: float) -> list[do.Effect]:
        """Keys interrupt what is said, but the server does not know of them: its response is cancelled."""
        if not self.listening:
            self.timers.set("keys", now + self.terms.keys_seconds)
            return []
        self.timers.drop("keys")
        keys, self._keys = self._keys, ""
        said = do.AddText("user", f"(The caller pressed {' '.join(keys)} on the keypad.)")
        self._stopped_at = now
        self._expect_answer(now)
        return [*self._cut(now, cancel=True), said, *self.sequencer.want()]

    # --- the agent --------------------------------------------------------------------------------------------------

    def _response_started(self, response: str, out_of_band: bool, now: float) -> list[do.Effect]:
        if out_of_band:
            self.talk.silenced.add(response)
            return []
        talks_over = self.sequencer.started(response)
        self.timers.drop("answer")
        self._progress(now)
        if talks_over:  # we asked before we knew that the caller speaks; the server answers their words by itself
            self.talk.silenced.add(response)
            return [do.CancelResponse(response)]
        return []

    def _progress(self, now: float) -> None:
        """A response goes on: its end, or more of it, is due again within the stall limit."""
        if self.sequencer.running:
            self.timers.set("stall", now + self.terms.stall_seconds)

    def _response_done(self, event: ev.ResponseDone, now: float) -> list[do.Effect]:
        self._count(event)
        if event.out_of_band:
            return []
        effects = self.talk.mark_response(event.response_id)
        if self.sequencer.asked == OPENING_ID:  # a server that does not announce its responses
            self.sequencer.asked = ""
        self.sequencer.done(event.response_id)
        if not self._offered:
            self._offered = True
            effects.append(do.OfferTools())
        if not self.tools.of(event.response_id):  # else the answer of its last tool asks for the next response
            effects += self.sequencer.grant()
        if event.status == "failed":
            effects += self._response_failed(event, now)
        else:
            self._retried = self._retried and event.status != "completed"
            if not self.tools.open and self.sequencer.idle and not self.sequencer.awaits_server:
                self.timers.drop("stall")
        self._quiet_from(now)
        if self.record.cost_usd > self.terms.max_cost_usd:
            effects += self._say_goodbye(OUT_OF_TIME, "capped", now)
        return effects

    def _count(self, event: ev.ResponseDone) -> None:
        """What a response cost and read, out-of-band ones included: they are paid for as well."""
        self.record.cost_usd += cost_usd(self.terms.model, event.usage)
        read = input_tokens(event.usage)
        self.record.input_tokens += read.total
        self.record.cached_tokens += read.cached
        self.record.input_audio_tokens += read.audio
        self.record.cached_audio_tokens += read.cached_audio

    def _response_failed(self, event: ev.ResponseDone, now: float) -> list[do.Effect]:
        """Once is tried again; twice, or what no retry heals, is the end of this talk."""
        if self._retried or {event.error_code, event.error_type} & GONE_FOR_GOOD:
            return self._give_up(f"the model failed: {event.error_code or event.error_type or event.status}", now)
        self._retried = True
        self._expect_answer(now)
        return [] if self.sequencer.asked else list(self.sequencer.want())

    def _agent_spoke(self, response: str, item: str, now: float) -> list[do.Effect]:
        self.talk.agent_spoke(response, item, now)
        self._progress(now)
        self.timers.drop("dormant")
        effects: list[do.Effect] = []
        if not self._first_audio:
            self._first_audio = True
            self.timers.drop("moment")
            self.timers.drop("first_audio")
            effects.append(self._milestone("first_audio_sent", now))
            if self.terms.greets and not self._clip_played:
                effects.append(self._greeted(self.greeting_path, now))
        if self._stopped_at is not None:
            effects.append(do.Measure("turn", now - self._stopped_at))
            self._stopped_at = None
        return effects

    def _greeted(self, path: str, now: float) -> do.Effect:
        """The caller hears something for the first time on this stream; the call keeps its first stream's figure."""
        seconds = now - self._started_at
        if self.record.greeting_ms is None:
            self.record.greeting_path, self.record.greeting_ms = path, round(seconds * 1000)
        return do.Measure("greeting", seconds, path)

    # --- tools ------------------------------------------------------------------------------------------------------

    def _tool_called(self, event: ev.ToolCalled, now: float) -> list[do.Effect]:
        if not self.tools.begin(event):
            return []
        self.timers.drop("stall")
        self.timers.drop("dormant")
        return [self._milestone("tool_called", now), do.RunTool(event.call_id, event.name, event.arguments)]

    def _tool_returned(self, event: ev.ToolReturned, now: float) -> list[do.Effect]:
        tool = self.tools.end(event)
        if tool is None:
            return []
        effects: list[do.Effect] = [do.Write(tool.row), do.AnswerTool(event.call_id, event.output)]
        if event.transfer_to and self._how in ("", "completed"):
            wish = do.PutThrough(event.transfer_to, event.reason, event.transfer_outcome)
            effects += [wish, self._milestone("transfer_started", now)]
            self._leave("transferred", now)
        elif event.ends_call and not self._how:
            effects.append(do.HangUp(event.reason))
            self._leave("completed", now)
        self._quiet_from(now)
        if self.tools.of(tool.response_id) or (self._how and self.talk.voiced(tool.response_id)):
            return effects  # the answer waits for its siblings; or what had to be said is said already
        self._expect_answer(now)
        return [*effects, *self.sequencer.want()]

    # --- the model's complaints -------------------------------------------------------------------------------------

    def _model_complained(self, event: ev.ModelComplained, now: float) -> list[do.Effect]:
        """Most errors leave the talk as it is; one that ends it says so by its code or type."""
        if {event.code, event.type} & GONE_FOR_GOOD:
            return self._give_up(f"the model refused: {event.code or event.type}", now)
        if event.event_id == OFFER_ID and not self._offered_plain:
            self._offered_plain = True
            return [do.OfferTools(detection=False)]
        self.sequencer.refused(event.event_id, busy=event.code == "conversation_already_has_active_response")
        if self.sequencer.wanted and not self.sequencer.running:
            self.timers.set("answer", now + self.terms.answer_seconds)
        return []

    # --- time -------------------------------------------------------------------------------------------------------

    def _time_passed(self, now: float) -> list[do.Effect]:
        effects: list[do.Effect] = []
        for timer in self.timers.take_due(now):
            if self.phase is not Phase.OVER:
                effects += self._due(timer, now)
        return effects

    def _due(self, timer: Timer, now: float) -> list[do.Effect]:
        match timer:
            case "moment":
                self._clip_played = True
                return [do.PlayClip("one_moment"), self._greeted("fallback", now)]
            case "first_audio":
                return self._give_up("the model said nothing in time", now)
            case "answer":
                self.sequencer.awaits_server = False
                return [] if self.sequencer.asked else list(self.sequencer.want())
            case "stall":
                return self._give_up("the model owed an answer and gave none", now)
            case "keys":
                return self._send_keys(now)
            case "dormant":
                return self._dormant(now)
            case "max":
                self.timers.set("max", now + 1)  # the stream opens or leaves just now: looked at again
                return self._say_goodbye(OUT_OF_TIME, "capped", now)
            case "speech":
                self.sequencer.caller_speaking = False
                self._expect_answer(now)
                return [do.AddText("system", ENDLESS_SPEECH), *self.sequencer.want()]
            case "leave":
                return self._close(self._how, now)

    def _dormant(self, now: float) -> list[do.Effect]:
        """Ask once whether the caller is still there; then say goodbye."""
        if self.playback.playing(now) or not self.sequencer.idle or self.sequencer.caller_speaking or self.tools.open:
            self._quiet_from(now)
            return []
        if self._asked_still_there:
            return self._say_goodbye(SILENT_GOODBYE, "dormant", now)
        self._asked_still_there = True
        self._expect_answer(now)
        return [do.AddText("system", STILL_THERE), *self.sequencer.want()]
