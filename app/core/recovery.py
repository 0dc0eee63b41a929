"""Recovery: how a talk goes on when the model's session does not. The caller keeps the line; only the model's end is new.

    TALKING --fault--> OPENING (`mending`: no session; what was sent is heard on, the caller's sound is kept, tools run on)
                          | ready: tools and state, the history, then the answer that is owed, if any     --> TALKING
                          | not ready in time, lost again: the next rung of the ladder (`Ladder`)
                          | no rung left: sorry, the door, the keypad menu and a person                   --> OVER

While there is no session nothing is told to one: what the books know comes with the history, and what they do not (keys that
were pressed) is kept and told behind it. A rollover is the same road, taken at a pause before the session's own time is up.
"""

import msgspec

from app.core import effects as do
from app.core import events as ev
from app.core.history import heard, lines
from app.core.ladder import Cause, Rung
from app.core.phases import BROKE_OFF, CONTINUES, WAITS, Phase
from app.core.record import Spoken
from app.core.sequencer import Sequencer
from app.core.timers import Timer
from app.core.tool_stage import ToolStage

PREFIX_MS = 800
"""The caller's sound begins before the model's turn detection says so: by its padding, and by what it takes to be sure."""
NOTICED_SECONDS = 1.2
"""A silence after a fault that a caller takes for a dead line."""
STILL_SECONDS = 4.0
"""... and how long they wait before they are told once more."""
PAUSE_SECONDS = 1.0
"""A rollover that found no pause looks again after this."""
OF_A_SESSION: tuple[Timer, ...] = ("answer", "stall", "dormant", "speech", "filler", "first_audio", "hello", "rollover")
"""Deadlines that mean nothing while there is no session."""
REACHED: dict[Rung, str] = {"again": "model_reconnected", "next": "engine_switched", "rollover": "rolled_over"}
"""The milestone of each rung."""


class Recovery(ToolStage):
    """The moves that the model's faults make; the machine's, like its base."""

    # --- down -------------------------------------------------------------------------------------------------------

    def _model_gone(self, why: str, cause: Cause, now: float, *, refused: bool = False) -> list[do.Effect]:
        """The session is gone, or no good; or a try to mend it was in vain. The first move up the ladder, or the next."""
        if self._how:
            return self._silenced(now)
        rung = self.ladder.climb(now, refused=refused)
        if rung is None:
            return self._give_up(why, now)
        told: list[do.Effect] = []
        if not self.mending or self._cause == "rollover":
            told.append(self._milestone("model_lost", now))
        if not self.mending:
            told += self._let_go(now)
        self._cause = cause
        if "moment" not in self.timers.due:
            noticed = max(now, self.playback.ends_at) + NOTICED_SECONDS
            self.timers.set("hush", min(noticed, self.timers.due.get("hush", noticed)))
        if wait := self.ladder.waits(now):
            self._rung, self._why = rung, why
            self.timers.drop("mend")
            self.timers.set("again", now + wait)
            return told
        return [*told, self._open_again(why, rung, now, refused=refused)]

    def _try_again(self, now: float) -> list[do.Effect]:
        """The try that was put off is due, unless the caller is leaving by now."""
        return [] if self._how or not self.mending else [self._open_again(self._why, self._rung, now)]

    def _let_go(self, now: float) -> list[do.Effect]:
        """There is no session from now on: what it owed is noted, and what it has said is heard on."""
        self._gap_from = now
        self.afresh = not (self._first_audio or self._caller_began)
        untold = self.untold
        self._retell_ms = 0 if untold is None else self.record.at_ms(now) - untold.start_ms + PREFIX_MS
        self.talk.retold = untold
        owed = untold is None and not self.afresh and self._owes()
        self._broke_off = self._cut_sentence() if owed else ""
        marks = self._silenced(now)
        self.sequencer.wanted = owed
        self.mending = True
        if self.phase is Phase.TALKING:
            self._move(Phase.OPENING)
        return marks

    def _silenced(self, now: float) -> list[do.Effect]:
        """Nothing more comes of this session: marks behind what was sent, and nobody waits for the rest."""
        self.listening = False
        self.talk.elsewhere |= self.talk.voice_of.keys()
        marks = [effect for item in list(self.talk.unmarked) for effect in self.talk.mark(item)]
        self.sequencer = Sequencer(numbered=self.sequencer.numbered, held=True)
        self._slow = None
        self._retried = False
        for timer in OF_A_SESSION:
            self.timers.drop(timer)
        return marks

    def _open_again(self, why: str, rung: Rung, now: float, *, refused: bool = False) -> do.Effect:
        self._rung = rung
        self.timers.set("mend", now + self.terms.reconnect_seconds)
        return do.Reconnect(why=why, rung=rung, refused=refused, afresh=self.afresh, retell_ms=self._retell_ms)

    def _no_model_left(self, why: str, now: float) -> list[do.Effect]:
        if self._how:
            return self._silenced(now)
        return self._give_up(why, now) if self.mending else []

    # --- what was owed ----------------------------------------------------------------------------------------------

    @property
    def untold(self) -> Spoken | None:
        """The caller's newest turn if no session has understood it: nobody wrote it down, and nothing was heard in answer."""
        for turn in reversed(self.record.spoken):
            if turn.who == "caller":
                began = turn.start_ms
                understood = turn.text or any(made.start_ms >= began for made in self.record.memory.made)
                return None if understood or began < self.record.at_ms(self._started_at) else turn
            if turn.item_id in self.talk.voice_of:
                return None
        return None

    def _owes(self) -> bool:
        """Whether the caller waits for words of the model's. Those that a running tool's answer brings are not owed yet."""
        sequencer = self.sequencer
        if sequencer.wanted or sequencer.awaits_server or (sequencer.asked and not sequencer.filler_asked):
            return True
        return any(
            response not in self.talk.silenced and response != sequencer.filler and not self.tools.of(response)
            for response in sequencer.running
        )

    def _cut_sentence(self) -> str:
        """The agent's words that broke off amid a response; empty if none did."""
        for turn in reversed(self.record.spoken):
            response = self.talk.voice_of.get(turn.item_id, "")
            if response in self.sequencer.running:
                return heard(turn, self.playback)
        return ""

    # --- up again ---------------------------------------------------------------------------------------------------

    def _session_begins(self, event: ev.ModelReady, now: float) -> None:
        """Who talks from now on, and until when."""
        if event.model:
            self.terms = msgspec.structs.replace(self.terms, model=event.model)
            self.trace.model = event.model
        if event.lasts_seconds is not None:
            self.timers.set("rollover", now + max(PAUSE_SECONDS, event.lasts_seconds - self.terms.rollover_seconds))

    def _mended(self, now: float) -> list[do.Effect]:
        """The new session is there: how long it took, and what it has to know. Then it is a session like any other."""
        self.mending = False
        self.timers.drop("mend")
        self.timers.drop("again")
        self.sequencer.held = False
        gap = now - self._gap_from
        memory = self.record.memory
        memory.reconnects += 1
        memory.longest_gap_ms = max(memory.longest_gap_ms, round(gap * 1000))
        measured: list[do.Effect] = [
            self._milestone(REACHED[self._rung], now),
            do.Measure("gap", gap, self._rung, self._cause),
        ]
        if self.afresh:
            self._offered = self._offered_plain = False  # what the last session was offered is gone with it
            return measured
        self._offered = True
        notes = [*self._situation(), *self._meant]
        self._meant = []
        return [*measured, self._offer(), do.TellHistory(lines(self.record, self.playback)), *notes]

    def _situation(self) -> list[do.Effect]:
        """Where the talk stands, in words for the model."""
        if self._broke_off:
            now_what = BROKE_OFF.format(words=self._broke_off)
        else:
            waits = not (self.sequencer.wanted or self._retell_ms or self.tools.open)
            now_what = WAITS if waits else ""
        state = [] if self.flow is None else [do.AddText("system", self.flow.state.says)]
        state = [note for note in state if note not in self._meant]
        return [*state, do.AddText("system", f"{CONTINUES} {now_what}".rstrip())]

    def _ask_what_is_owed(self, now: float) -> list[do.Effect]:
        """The first thing that a mended session does."""
        if self._retell_ms:  # it hears the caller, and answers by itself
            self._expect_answer(now)
            return []
        if self.sequencer.wanted or self.sequencer.asked:
            self._expect_answer(now)
            return list(self.sequencer.grant())
        self._session_works()
        return []

    def _session_works(self) -> None:
        """The session did what it is there for."""
        self.ladder.holds()
        self.timers.drop("hush")

    def _note_asides(self, effects: list[do.Effect], now: float) -> None:
        """What the model is told in the caller's name is no turn of theirs, but a later session has to know it too."""
        for effect in effects:
            if type(effect) is do.AddText and effect.role == "user":
                self.record.memory.asides.append((self.record.at_ms(now), effect.text))

    # --- while there is none ----------------------------------------------------------------------------------------

    def _hold_back(self, effects: list[do.Effect]) -> list[do.Effect]:
        """Nobody is there to be told: words that only the model would know of are kept, the rest comes with the history."""
        done: list[do.Effect] = []
        for effect in effects:
            match effect:
                case do.AddText():
                    self._meant += [effect] if self.mending else []
                case do.Truncate() | do.DeleteItem() | do.CancelResponse() | do.AnswerTool() | do.OfferTools():
                    pass
                case _:
                    done.append(effect)
        return done

    # --- before its time is up --------------------------------------------------------------------------------------

    def _roll_over(self, now: float) -> list[do.Effect]:
        """The session's time is nearly up: another is opened at a pause, and nobody hears of it."""
        busy = self.playback.playing(now) or self.tools.open or self._keys or not self.sequencer.idle
        if busy or self.sequencer.caller_speaking or self.sequencer.awaits_server or self.phase is not Phase.TALKING:
            self.timers.set("rollover", now + PAUSE_SECONDS)
            return []
        self._cause = "rollover"
        let_go = self._let_go(now)
        return [*let_go, self._open_again("the session's time is nearly up", "rollover", now)]
