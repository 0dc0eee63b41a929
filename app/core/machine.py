"""CallMachine: what a call is, as a sans-I/O machine. It is told events with the time, and answers with effects.

    phase      means                                                       may become
    WAITING    the phone's stream has not started                          OPENING OVER
    OPENING    the stream runs, there is no session with the model (yet)   TALKING LEAVING OVER
    TALKING    both ends are there                                         OPENING LEAVING OVER
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
How a talk goes on without its session is `Recovery`'s, how long a silent one is borne `Patience`'s; how it leaves, by one door, is
`Stage`'s; keys, and the mode's flow if it has one, are `Guided`'s; tools are `ToolStage`'s.
"""

from app.core import effects as do
from app.core import events as ev
from app.core.cost import cost_usd, input_tokens, speech_seconds
from app.core.ladder import Cause
from app.core.patience import Patience
from app.core.phases import (
    ENDLESS_SPEECH,
    EXPIRED,
    GONE_FOR_GOOD,
    OFFER_ID,
    OPENING_ID,
    OUT_OF_MONEY,
    OUT_OF_TIME,
    SILENT_GOODBYE,
    STILL_NOT_THERE,
    STILL_THERE,
    Phase,
)
from app.core.recovery import OF_A_SESSION
from app.core.stage import GOODBYES
from app.core.timers import Timer

IMPATIENCE: tuple[Timer, ...] = ("hello", "moment", "first_audio", "dormant", "answer", "stall", "hush")
"""What nobody waits for while the caller speaks."""


class CallMachine(Patience):
    """One stream of one call. Only `receive` changes it, but for the relay's `playback.add` on the audio lane."""

    # --- the one entrance -------------------------------------------------------------------------------------------

    def receive(self, event: ev.Event, now: float) -> list[do.Effect]:
        """Everything that happens to a call, and what is to be done about it, in order. After OVER: nothing."""
        effects = self._answer(event, now)
        if not self.listening and self.phase in (Phase.OPENING, Phase.LEAVING):
            effects = self._hold_back(effects)
        if type(event) is not ev.AgentSaid:
            self._note_asides(effects, now)
            self.trace.follow(event, effects, now, self.playback)
        return effects

    def _answer(self, event: ev.Event, now: float) -> list[do.Effect]:
        match self.phase, event:
            case (Phase.OVER, ev.ToolFinished()):
                return self._tool_finished(event, now)
            case (Phase.OVER, _):
                return []
            case (_, ev.CallerLeft(how=how)):
                return self._over(self._how if self._how in GOODBYES else "caller_left", how, now)
            case (_, ev.HouseCloses()):
                resume: list[do.Effect] = self._unsaid() if self._how else [do.Resume("this server restarts")]
                return [*resume, *self._close(self._how or "interrupted", now, code=1001)]
            case (Phase.WAITING, ev.StreamStarted()):
                return self._stream_started(now)
            case (Phase.WAITING, _):
                return []
            case (_, ev.HouseFailed(why=why)):
                return self._give_up(why, now)
        return [*self._receive(event, now), *self._leave_if_heard(now)]

    def _receive(self, event: ev.Event, now: float) -> list[do.Effect]:
        """The events of a running stream."""
        match event:
            case ev.AgentSaid():  # first, as there are more of these than of all others
                self._progress(now)
                return self.talk.agent_said(event, now)
            case ev.ModelReady():
                return self._model_ready(event, now)
            case ev.ModelLost(why=why, refused=refused):
                return self._model_gone(why, "refused" if refused else "lost", now, refused=refused)
            case ev.NoModelLeft(why=why):
                return self._no_model_left(why, now)
            case ev.CallerSpoke(item_id=item):
                return self._caller_spoke(item, now)
            case ev.CallerStopped(item_id=item):
                return self._caller_stopped(item, now)
            case ev.CallerTurnTaken(item_id=item):
                self.talk.caller_spoke(item, now)
            case ev.CallerTranscribed(item_id=item, text=text):
                self._count_speech(event)
                return self.talk.caller_transcribed(item, text, now)
            case ev.KeyPressed(digit=digit):
                return self._key_pressed(digit, now)
            case ev.ResponseStarted(response_id=response, out_of_band=out_of_band):
                return self._response_started(response, out_of_band, now)
            case ev.ResponseDone():
                return self._response_done(event, now)
            case ev.AgentSpoke(response_id=response, item_id=item):
                return self._agent_spoke(response, item, now)
            case ev.AgentAudioEnded(response_id=response, item_id=item):
                return self.talk.audio_ended(response, item)
            case ev.ToolCalled():
                return self._tool_called(event, now)
            case ev.ToolReturned():
                return self._tool_returned(event, now)
            case ev.ToolSlow():
                return self._tool_slow(event, now)
            case ev.ToolFinished():
                return self._tool_finished(event, now)
            case ev.MarkReached(name=name):
                if self.playback.reached(name, now):
                    self._quiet_from(now)
                    return self.talk.settle(now)
            case ev.ModelComplained():
                return self._model_complained(event, now)
            case ev.VoiceLost():
                return [self._milestone("voice_lost", now)]
            case ev.TimePassed():
                return self._time_passed(now)
            case ev.CapReached(cap=cap):
                return self._say_goodbye(OUT_OF_MONEY, "capped", now, cap=cap)
            case ev.OperatorHungUp():
                return self._operator_hung_up(now)
            case ev.OperatorPutThrough(desk=desk):
                return self._operator_put_through(desk, now)
            case ev.PickedUp():
                return self._picked_up(event, now)
        return []

    # --- beginning --------------------------------------------------------------------------------------------------

    def _stream_started(self, now: float) -> list[do.Effect]:
        self._move(Phase.OPENING)
        self._started_at = self._line_from = now
        begins: list[do.Effect] = []
        if self.record.began is None:
            self.record.began = now
            if self.flow is not None:
                begins = [self._milestone(f"state_{self.record.flow_state}", now)]
        self.timers.set("max", max(now + 1, self.record.began + self.terms.max_seconds))
        self.timers.set("first_audio", now + self.terms.first_audio_seconds)
        self.timers.set("moment", now + self.terms.moment_seconds)
        return [self._milestone("stream_started", now), *begins]

    def _model_ready(self, event: ev.ModelReady, now: float) -> list[do.Effect]:
        if self.phase is not Phase.OPENING:
            return []
        self._move(Phase.TALKING)
        self.listening = True
        self._session_begins(event, now)
        mended = self._mended(now) if self.mending else []
        if mended and not self.afresh:
            self._quiet_from(now)
            return [*mended, *self._tell_news(), *self._keys_kept(now), *self._ask_what_is_owed(now)]
        opening = event.opening
        if opening:
            self.sequencer.asked = OPENING_ID
        else:  # the caller speaks first: nobody waits for us
            self.timers.drop("first_audio")
            self.timers.drop("moment")
            if self.terms.hello_seconds:
                self.timers.set("hello", now + self.terms.hello_seconds)
        self._quiet_from(now)
        if mended and opening:
            self._expect_answer(now)
        ready: list[do.Effect] = [*mended, self._milestone("model_ready", now)]
        if self.flow is not None and not opening:
            ready += self._offer_here()  # the first answer is to the caller's words: it needs the state's tools
        return [*ready, *self._tell_news(), *self._keys_kept(now)]

    # --- the caller -------------------------------------------------------------------------------------------------

    def _caller_spoke(self, item: str, now: float) -> list[do.Effect]:
        effects: list[do.Effect] = []
        self._caller_began = True
        if not any(turn.who == "caller" for turn in self.record.spoken):
            effects.append(self._milestone("first_caller_speech", now))
        if self.record.agent_voiced:  # going on with one's own words answers nothing
            self.record.agent_voiced = False
            self.record.caller_turns += 1
        self.sequencer.caller_spoke()
        self._stopped_at = None
        for timer in IMPATIENCE:
            self.timers.drop(timer)
        self.timers.set("speech", now + self.terms.speech_seconds)
        effects += self._cut(now)
        self.talk.caller_spoke(item, now)
        return [*effects, *self._stay()]

    def _caller_stopped(self, item: str, now: float) -> list[do.Effect]:
        self.sequencer.caller_stopped()
        self.timers.drop("speech")
        self._stopped_at = now
        self.talk.caller_stopped(item, now)
        self._await_digits(now)
        self._quiet_from(now)
        self._expect_answer(now)
        return self._answer_unheld(now)

    # --- the agent --------------------------------------------------------------------------------------------------

    def _response_started(self, response: str, out_of_band: bool, now: float) -> list[do.Effect]:
        if out_of_band:
            self.talk.silenced.add(response)
            return []
        early = self._screening and not self._offered and not self.sequencer.asked
        unwanted = self.sequencer.started(response)
        self._sounds = False
        self.timers.drop("answer")
        self._progress(now)
        if early:
            return self._too_early(response)
        if unwanted:  # asked for before the caller began (the server answers them by itself), or a filler that is late
            self.talk.silenced.add(response)
            return [do.CancelResponse(response)]
        return []

    def _response_done(self, event: ev.ResponseDone, now: float) -> list[do.Effect]:
        self._count(event)
        self._count_line(now)
        if event.out_of_band:
            return []
        if event.response_id == self._held:
            return self._held_is_over(now)
        effects = self.talk.mark_response(event.response_id)
        if self.sequencer.asked == OPENING_ID:  # a server that does not announce its responses
            self.sequencer.asked = ""
        self.sequencer.done(event.response_id)
        if not self._offered:
            self._offered = True
            effects.append(self._offer())
        if not self.tools.of(event.response_id):  # else the answer of its last tool asks for the next response
            effects += self.sequencer.grant()
        if event.status == "failed":
            effects += self._response_failed(event, now)
        else:
            self._retried = self._retried and event.status != "completed"
            if event.status == "completed":
                self.ladder.holds()
            if self.sequencer.idle and not self.sequencer.awaits_server:
                self.timers.drop("stall")
                self.timers.drop("hush")
        self._quiet_from(now)
        if self.record.cost_usd > self.terms.max_cost_usd:
            effects += self._say_goodbye(OUT_OF_MONEY, "capped", now, cap="call_cost")
        return effects

    def _count(self, event: ev.ResponseDone) -> None:
        """What a response cost and read, out-of-band ones included: they are paid for as well."""
        self.record.cost_usd += cost_usd(self.terms.model, event.usage, self.terms.prices)
        read = input_tokens(event.usage)
        self.record.input_tokens += read.total
        self.record.cached_tokens += read.cached
        self.record.input_audio_tokens += read.audio
        self.record.cached_audio_tokens += read.cached_audio

    def _count_speech(self, event: ev.CallerTranscribed) -> None:
        """What writing down the caller's words cost."""
        minute = self.terms.prices.minute_of(self.terms.transcriber)
        self.record.cost_usd += speech_seconds(event.usage) / 60 * minute

    def _response_failed(self, event: ev.ResponseDone, now: float) -> list[do.Effect]:
        """Once is tried again; twice, or what no retry heals, is the end of this session."""
        for_good = bool({event.error_code, event.error_type} & GONE_FOR_GOOD)
        expired = EXPIRED in (event.error_code, event.error_type)
        if event.response_id == self.sequencer.filler and not for_good:
            return []  # nobody misses it
        if self._retried or for_good or expired:
            why = f"the model failed: {event.error_code or event.error_type or event.status}"
            cause: Cause = "expired" if expired else "refused" if for_good else "failed"
            return self._model_gone(why, cause, now, refused=for_good)
        self._retried = True
        self._expect_answer(now)
        return [] if self.sequencer.asked else list(self.sequencer.want())

    def _agent_spoke(self, response: str, item: str, now: float) -> list[do.Effect]:
        if self.sequencer.asked == OPENING_ID:  # a server that does not announce its responses
            self.sequencer.started(response)
        self.talk.agent_spoke(response, item, now)
        self.record.agent_voiced = self._sounds = True
        self._session_works()
        self._progress(now)
        self._watch_sentence()
        self._quiet_from(now)
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

    # --- the model's complaints -------------------------------------------------------------------------------------

    def _model_complained(self, event: ev.ModelComplained, now: float) -> list[do.Effect]:
        """Most errors leave the talk as it is; one that ends it says so by its code or type."""
        if {event.code, event.type} & GONE_FOR_GOOD:
            return self._model_gone(f"the model refused: {event.code or event.type}", "refused", now, refused=True)
        if EXPIRED in (event.code, event.type):
            return self._model_gone("the session's time is up", "expired", now)
        if event.event_id == OFFER_ID and self._offered and not self._offered_plain:
            self._offered_plain = True
            return [self._offer(detection=False)]
        busy = event.code == "conversation_already_has_active_response"
        filler = self.sequencer.filler_asked and event.event_id == self.sequencer.asked
        self.sequencer.refused(event.event_id, busy=busy)
        if filler and not busy:  # it is not said, and what waited behind it is
            return list(self.sequencer.grant())
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
        if self.mending and timer in OF_A_SESSION:  # it was due in the same moment in which its session was given up
            return []
        match timer:
            case "hello":
                return self._nobody_spoke(now)
            case "moment":
                self._clip_played = True
                return [do.PlayClip("one_moment"), self._greeted("fallback", now)]
            case "first_audio":
                return self._model_gone("the model said nothing in time", "stalled", now)
            case "mend":
                return self._model_gone("no other session was ready in time", "stalled", now)
            case "again":
                return self._try_again(now)
            case "hush":
                return self._hush(now)
            case "rollover":
                return self._roll_over(now)
            case "answer":
                self.sequencer.awaits_server = False
                self.sequencer.forget_filler()
                return [] if self.sequencer.asked else list(self.sequencer.want())
            case "stall":
                return self._stalled(now)
            case "keys":
                return self._send_keys(now)
            case "filler":
                return self._fill(now)
            case "dormant":
                return self._dormant(now)
            case "max":
                self.timers.set("max", now + 1)  # the stream opens or leaves just now: looked at again
                return self._say_goodbye(OUT_OF_TIME, "capped", now, cap="call_seconds")
            case "speech":
                self.sequencer.caller_speaking = False
                self._expect_answer(now)
                return [do.AddText("system", ENDLESS_SPEECH), *self.sequencer.want()]
            case "leave":
                return [*self._unsaid(), *self._close(self._how, now)]

    def _dormant(self, now: float) -> list[do.Effect]:
        """Ask whether the caller is still there, and ask again; then say goodbye."""
        waiting = self.tools.open or self.tools.background
        if self.playback.playing(now) or not self.sequencer.idle or self.sequencer.caller_speaking or waiting:
            self._quiet_from(now)
            return []
        if self._asks >= self.terms.asks:
            return self._say_goodbye(SILENT_GOODBYE, "dormant", now)
        self._asks += 1
        if self._asks == 1 and (way := self._silent(now)):
            return way
        self._expect_answer(now)
        return [do.AddText("system", STILL_THERE if self._asks == 1 else STILL_NOT_THERE), *self.sequencer.want()]
