"""Patience: how long the model's silence is borne, and what the caller hears meanwhile.

    silence                                               is explained after                    is given up after
    an answer is owed, and none begun                     hush_seconds                          stall_seconds
    it has begun, and no sound of it came                 hush_seconds                          stall_seconds without any sign;
                                                                                                think_seconds in any case
    it broke off in the midst of a sentence               MIDST_SECONDS behind its last sound   stall_seconds
    it goes on behind a sentence                          hush_seconds behind its last sound    stall_seconds

A model that reasons may be silent for think_seconds without a sign. What was explained is explained again every STILL_SECONDS. No
piece of sound moves a deadline: whoever comes at one looks at what was sent until then, and may find that it is not due yet.
"""

from app.core import effects as do
from app.core.phases import Phase
from app.core.recovery import NOTICED_SECONDS, STILL_SECONDS, Recovery
from app.wire.dialects import reasons

MIDST_SECONDS = 1.5
"""Nobody pauses for so long amid a sentence."""


class Patience(Recovery):
    """The moves that the model's silence makes; the machine's, like its base."""

    # --- signs of life ----------------------------------------------------------------------------------------------

    def _progress(self, now: float) -> None:
        """A response goes on: its end, or more of it, is due again within the stall limit; its first sound may take longer."""
        if self.sequencer.running:
            self._moved_at, self._sent_then = now, self._sent()
            thinks = not self._sounds and reasons(self.terms.model)
            self.timers.set("stall", now + (self.terms.think_seconds if thinks else self.terms.stall_seconds))

    def _sent(self) -> int:
        """How much was sent of the items that are not whole yet."""
        return sum(self.playback.sent_ms(item) for item in self.talk.unmarked)

    def _stalled(self, now: float) -> list[do.Effect]:
        """No event came that the machine knows. Sound is none, nor are pieces of a tool's arguments: both show that it lives."""
        if self.sequencer.running and self._sent() != self._sent_then:
            self._progress(now)
            return []
        until = min(self.sign_at + self.terms.stall_seconds, self._moved_at + self.terms.think_seconds)
        if self.sequencer.running and until > now:
            self.timers.set("stall", until)
            return []
        return self._model_gone("the model owed an answer and gave none", "stalled", now)

    # --- what the caller hears --------------------------------------------------------------------------------------

    def _watch_sentence(self) -> None:
        """The caller hears a sentence: it shall not break off unexplained."""
        self.timers.set("hush", self.playback.ends_at + MIDST_SECONDS)

    def _hush(self, now: float) -> list[do.Effect]:
        """The caller has heard nothing for too long: they are told that they are not forgotten."""
        broken = self.mending or self.ladder.lost_at is not None
        waits = broken or not self.sequencer.idle or self.sequencer.awaits_server
        if self.phase is Phase.LEAVING or self.sequencer.caller_speaking or not waits:
            return []
        due, within = now, NOTICED_SECONDS
        if self._sounds and self.sequencer.running and not broken:
            midst = any(self.talk.voice_of.get(item) in self.sequencer.running for item in self.talk.unmarked)
            if self.tools.open and not midst:  # a slow one has words of its own
                return []
            within = MIDST_SECONDS if midst else self.terms.hush_seconds
            due = self.playback.ends_at + within
        if self.playback.playing(now) or due > now:
            self.timers.set("hush", due if due > now else max(now, self.playback.ends_at) + within)
            return []
        self.timers.set("hush", now + STILL_SECONDS)
        again, self._told_of_fault = self._told_of_fault, self._told_of_fault or broken
        return [do.PlayClip("interrupted" if broken and not again else "one_moment")]
