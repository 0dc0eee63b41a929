"""The stage of a call's stream: what the machine knows, the phases it may move through, and how it leaves.

One door out: a decision to leave is remembered for `/twilio/next` the moment it is made (PutThrough, HangUp, Apologise), what
is being said is heard to its end (10 s at most), then the stream is closed. A caller who speaks during a goodbye takes it back.
"""

from collections.abc import Callable
from datetime import datetime

import msgspec

from app.core import effects as do
from app.core import events as ev
from app.core.flow import FlowLedger
from app.core.ladder import Cause, Ladder, Rung
from app.core.phases import FETCHING, MOVES, NOBODY_SPOKE, OPERATOR_HUNG_UP, OPERATOR_PUT_THROUGH, Phase, Terms
from app.core.playback import Playback
from app.core.record import CallRecord
from app.core.rows import Milestone
from app.core.sequencer import Sequencer
from app.core.talk import Talk
from app.core.timers import Timers
from app.core.tool_calls import ToolCalls
from app.core.trace import Trace
from app.errors import WrongPhase

GOODBYES = frozenset({"completed", "dormant", "capped"})
"""How a call ends of which the agent takes leave."""


class Stage:
    """State and the moves that end a talk. The machine's base; nobody else makes one."""

    def __init__(
        self, record: CallRecord, terms: Terms, utc: Callable[[float], datetime], flow: FlowLedger | None = None
    ) -> None:
        """utc: turns the machine's clock into UTC for the record; the machine has no clock of its own. flow: None without one."""
        self.record = record
        self.terms = terms
        self.utc = utc
        self.flow = flow
        self.phase = Phase.WAITING
        self.talk = Talk(record, truncates=terms.server_truncates)
        self.sequencer = Sequencer()
        self.timers = Timers()
        self.listening = False
        """Caller audio may go to the model; until then the relay keeps it."""
        self.greeting_path = "cold"
        """How the model's session came: prepared, spare or cold. The relay says."""
        self._started_at = 0.0
        self._first_audio = False
        """The agent was heard on this stream."""
        self._clip_played = False
        """... or, before it was, a recording that asks for a moment."""
        self._offered = False
        """This session was offered all its tools, with the turn detection of all turns after the first."""
        self._offered_plain = False
        """... and once more without that detection, which it refused."""
        self.tools = ToolCalls(record)
        self.trace = Trace(record, terms.model, terms.silence_ms, terms.prices)
        self._slow: ev.ToolSlow | None = None
        """The tool that a filler is to be said for."""
        self._filled: set[str] = set()
        """What a filler was asked for, by `ToolCalls.group`."""
        self._keys = ""
        self._stopped_at: float | None = None
        """When the caller stopped speaking, until the answer is heard."""
        self._line_from = 0.0
        """Until when the carrier's minutes are counted."""
        self._asks = 0
        """How often the silent caller was asked whether they are still there."""
        self._quiet_at = 0.0
        """When nothing of what was said before the decision to leave is heard any more."""
        self._retried = False
        self._screening = terms.screen_seconds > 0
        """Who picked up is not known yet."""
        self._held = ""
        """The answer that a server began by itself meanwhile."""
        self._how = ""
        """What the call will have come to, once leaving is decided."""
        self.ladder = Ladder(terms)
        self.mending = False
        """The session is gone, and another one is being opened."""
        self.afresh = False
        """... before anybody was heard: the other one begins as the first was meant to."""
        self._caller_began = False
        """The caller has spoken on this stream."""
        self._cause: Cause = "lost"
        """What took the session away."""
        self._rung: Rung = "again"
        self._why = ""
        """The try that is under way, or put off for a moment."""
        self._gap_from = 0.0
        """Since when there is no session."""
        self._retell_ms = 0
        """How much of the caller's newest sound the next session is to hear; 0: none of it was lost."""
        self._broke_off = ""
        """What the caller heard of the sentence that the lost session did not end."""
        self._meant: list[do.Effect] = []
        """Words for the model, while there was none."""
        self._told_of_fault = False
        """The caller was told once that the line was interrupted."""
        self._sounds = False
        """Something was heard of the response that runs."""
        self.sign_at = 0.0
        """When the model's end last sent what is no event of ours: it lives. The relay's, like `playback.add`."""
        self._moved_at = 0.0
        """When the response that runs last went on, by an event; and how much was sent of what it says."""
        self._sent_then = 0

    def served_by(self, *, interrupts: bool, truncates: bool) -> None:
        """This engine answers from now on: whether it stops by itself when the caller speaks, and can forget what was not heard."""
        self.terms = msgspec.structs.replace(self.terms, server_interrupts=interrupts, server_truncates=truncates)
        self.talk.truncates = truncates

    # --- what the audio lane asks -----------------------------------------------------------------------------------

    @property
    def playback(self) -> Playback:
        """What was sent to the caller, and what of it was heard."""
        return self.talk.playback

    def speaking(self, response_id: str) -> bool:
        """Whether audio of a response may go to the caller: not after they cut in, nor out of band."""
        return response_id not in self.talk.silenced and self.phase in (Phase.TALKING, Phase.LEAVING)

    @property
    def deadline(self) -> float | None:
        """When to come back with TimePassed; None: nothing is due."""
        return None if self.phase is Phase.OVER else self.timers.next

    # --- patience ---------------------------------------------------------------------------------------------------

    def _quiet_from(self, now: float) -> None:
        """Count the caller's silence from now, or from the end of what they still hear."""
        if self.phase is Phase.TALKING and not self.sequencer.caller_speaking:
            silence = self.terms.goodbye_seconds if self._asks else self.terms.dormant_seconds
            self.timers.set("dormant", max(now, self.playback.ends_at) + silence)

    def _expect_answer(self, now: float) -> None:
        """The model owes a response: ask again after a while, and take another session after a longer one.

        Not while the caller speaks, nor while there is nobody to owe it.
        """
        if self.sequencer.caller_speaking or self.sequencer.held:
            return
        self.timers.set("answer", now + self.terms.answer_seconds)
        self.timers.set("stall", now + self.terms.stall_seconds)
        if "hush" not in self.timers.due:
            self.timers.set("hush", max(now, self.playback.ends_at) + self.terms.hush_seconds)

    # --- leaving ----------------------------------------------------------------------------------------------------

    def _leave(self, how: str, now: float) -> None:
        """What comes next is decided; what is being said may be heard to its end."""
        self._how = how
        self._quiet_at = max(now, self.playback.ends_at)
        if self.phase is not Phase.LEAVING:
            self._move(Phase.LEAVING)
        self.timers.drop("dormant")
        self.timers.set("leave", now + self.terms.leave_seconds)

    def _leave_if_heard(self, now: float) -> list[do.Effect]:
        """Close the stream once everything was said and heard."""
        speaks = self.listening and not self.sequencer.idle
        if self.phase is not Phase.LEAVING or self.tools.open or speaks or self.playback.playing(now):
            return []
        return [*([] if self.listening else self._unsaid()), *self._close(self._how, now)]

    def _say_goodbye(self, note: str, how: str, now: float, *, cap: str = "") -> list[do.Effect]:
        """Let the agent take leave in its own words, then hang up. cap: the one that ends the call."""
        if self.phase is not Phase.TALKING:
            return []
        self._leave(how, now)
        return [do.HangUp(how, cap=cap), do.AddText("system", note), *self.sequencer.want()]

    def _give_up(self, why: str, now: float) -> list[do.Effect]:
        """The talk cannot go on: `/twilio/next` says sorry. What was promised before (a person, a goodbye) still holds."""
        if self._how:
            return [*self._unsaid(), *self._close(self._how, now)]
        return [do.Apologise(why), *self._close("failed", now, why=why)]

    def _unsaid(self) -> list[do.Effect]:
        """A goodbye that was due and of which not a sound came: the carrier says it, since nobody is hung up on in silence."""
        due = self._how in GOODBYES and self.playback.ends_at <= self._quiet_at
        return [do.HangUp(self._how, unsaid=True)] if due else []

    def _close(self, how: str, now: float, *, code: int = 1000, why: str = "") -> list[do.Effect]:
        return [do.CloseStream(code, why or how), *self._over(how, why or how, now)]

    def _over(self, outcome: str, how: str, now: float) -> list[do.Effect]:
        """The stream has ended: write down everything, once."""
        if self.phase is Phase.OVER:
            return []
        started = self.phase is not Phase.WAITING
        if started:
            self._count_line(now)
        self._move(Phase.OVER)
        self.listening = False
        cut_off = [do.Write(row) for row in self.tools.cut_off()]
        self.record.model = self.terms.model
        ended = self.record.ended(self.utc(now), outcome)
        books = [*cut_off, self._milestone("call_closed", now), do.Write(ended)] if started else []
        return [*self.talk.settle(now, all_turns=True), *books, do.CloseModel(), do.CallIsOver(outcome, how)]

    def _stay(self) -> list[do.Effect]:
        """The caller is there: a goodbye that is being said is taken back, a promise to a person is not.

        Nor is a goodbye whose session is gone: nobody would be there for them.
        """
        self._asks = 0
        if self.phase is not Phase.LEAVING or self._how not in ("completed", "dormant") or not self.listening:
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

    # --- the operator -----------------------------------------------------------------------------------------------

    def _operator_hung_up(self, now: float) -> list[do.Effect]:
        """The caller hears no more; whatever was promised before does not hold."""
        marks = self._operator_did(OPERATOR_HUNG_UP, "operator_hung_up", now)
        return [*marks, do.HangUp("the operator"), *self._cut(now, cancel=True), *self._close("operator", now)]

    def _operator_put_through(self, desk: str, now: float) -> list[do.Effect]:
        """As if the agent had decided it: what is being said is cut, one sentence tells the caller, then the stream closes."""
        marks = self._operator_did(OPERATOR_PUT_THROUGH.format(desk=desk), "operator_put_through", now)
        cut = self._cut(now, cancel=True)
        self.sequencer.wanted = False
        if self.flow is not None:
            self.flow.leave()
        self._leave("transferred", now)
        told: list[do.Effect] = []
        if self.listening:
            told = [do.AddText("system", FETCHING.format(desk=desk)), *self.sequencer.want()]
        leads = do.PutThrough(to=desk, reason="an operator put the caller through")
        return [*marks, *cut, leads, self._milestone("transfer_started", now), *told]

    def _operator_did(self, words: str, name: str, now: float) -> list[do.Effect]:
        """A line in the transcript, and a milestone."""
        return [do.Write(self.record.notes(words, now)), self._milestone(name, now)]

    # --- a call that we placed --------------------------------------------------------------------------------------

    def _picked_up(self, event: ev.PickedUp, now: float) -> list[do.Effect]:
        """A person gets the talk, a machine the message. What was promised already (a desk) holds against a late verdict."""
        if event.who == "person":
            self._screening = False
            return self._answer_unheld(now) if self.sequencer.awaits_server else []
        if self._how == "transferred":
            return []
        leads = do.LeaveMessage() if event.who == "machine" else do.HangUp("a fax machine picked up")
        return [*self._cut(now, cancel=True), leads, *self._close(event.who, now)]

    def _answer_unheld(self, now: float) -> list[do.Effect]:
        """The callee's words ended, and the session is not one yet that answers them by itself: ask, unless the verdict is due."""
        if self._offered or not self.terms.screen_seconds:
            return []
        if self._screening:
            self.timers.set("answer", now + self.terms.screen_seconds)
            return []
        self.sequencer.awaits_server = False
        return list(self.sequencer.want())

    def _too_early(self, response: str) -> list[do.Effect]:
        """A server that answers by itself, whatever it was told, has begun before the verdict: not heard, and asked for again."""
        self.talk.silenced.add(response)
        self._held = response
        return [do.CancelResponse(response)]

    def _held_is_over(self, now: float) -> list[do.Effect]:
        """The callee's words want an answer again, unless more of them come."""
        self.sequencer.done(self._held)
        self._held = ""
        self.sequencer.awaits_server = not self.sequencer.caller_speaking
        return self._answer_unheld(now) if self.sequencer.awaits_server else []

    def _nobody_spoke(self, now: float) -> list[do.Effect]:
        """The other end was to speak first, and has not."""
        if self.phase is not Phase.TALKING or not self.sequencer.idle or self.sequencer.caller_speaking:
            return []
        self._expect_answer(now)
        return [do.AddText("system", NOBODY_SPOKE), *self.sequencer.want()]

    # --- small change -----------------------------------------------------------------------------------------------

    def _move(self, to: Phase) -> None:
        if to not in MOVES[self.phase]:
            raise WrongPhase(
                f"expected one of {sorted(p.name for p in MOVES[self.phase])} after {self.phase.name}, got {to.name}"
            )
        self.phase = to

    def _count_line(self, now: float) -> None:
        """What the carrier takes for the time since this was counted last."""
        self.record.cost_usd += (now - self._line_from) / 60 * self.terms.prices.telephone_minute
        self._line_from = now

    def _milestone(self, name: str, now: float) -> do.Effect:
        return do.Write(Milestone(call_sid=self.record.call_sid, name=name, at=self.utc(now)))
