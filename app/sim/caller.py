"""A caller who keeps to a script: listens, waits for the agent to finish or cuts in, speaks with a recorded voice, presses keys."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from app.sim.loudness import VOICED, loudness
from app.sim.script import Turn

FRAME = 160
FRAME_MS = 20
SILENT = b"\xff" * FRAME
PAUSE_MS = 300
"""A caller's own breath before an answer."""
FINISHED_MS = 700
"""Silence after which the agent seems to have finished; pauses inside a sentence are shorter."""
PATIENCE_MS = 20_000
"""A caller who hears nothing for so long hangs up."""


@dataclass(slots=True)
class Stretch:
    """Speech from its first to its last voiced frame, in ms since the call's first stream started."""

    start_ms: int
    end_ms: int


class ScriptedCaller:
    """A `CallerLine`. `lines` are the turns with their words filled in; `say` gives a text's sound in the caller's voice."""

    def __init__(
        self,
        turns: Sequence[Turn],
        say: Callable[[str], bytes],
        *,
        press: Callable[[str], None],
        hang_up: Callable[[], None],
        speaks_first: bool = False,
    ) -> None:
        """speaks_first: they were called, and say hello."""
        self.turns = turns
        self.speaks_first = speaks_first
        self.say = say
        self.press = press
        self.hang_up = hang_up
        self.now_ms = 0
        self.spoke: list[Stretch] = []
        """The caller's own utterances."""
        self.agent: list[Stretch] = []
        """The agent's, as they were heard."""
        self.impatient = False
        self._next = 0
        self._streams = 0
        self._audio = b""
        self._at = 0
        self._own_ms = 0
        self._heard_ms = 0
        """How much of the agent's current speech was heard."""
        self._quiet_ms = 0
        """Silence since the agent's, or the caller's own, last words."""
        self._gap_ms = 0
        """Silence since the agent's last words."""
        self._answered = True
        """Whether the agent has spoken since the caller's last words."""

    # --- CallerLine -------------------------------------------------------------------------------------------------

    def stream_started(self, stream_sid: str) -> None:
        """A stream is there; the agent opens it, if the script has an opening left."""
        self._streams += 1
        self._heard_ms = self._quiet_ms = 0
        self._answered = self.speaks_first and self._streams == 1
        while self._next < len(self.turns) and self.turns[self._next].opening:
            self._next += 1

    def next_frame(self) -> bytes:
        """The next 20 ms of the caller's end."""
        self.now_ms += FRAME_MS
        if self._at >= len(self._audio):
            self._consider()
        if self._at >= len(self._audio):
            return SILENT
        frame = self._audio[self._at : self._at + FRAME]
        self._at += FRAME
        self._own_ms += FRAME_MS
        if loudness(frame) >= VOICED:
            self.spoke[-1].end_ms = self.now_ms
        turn = self.turns[self._next - 1]
        if turn.hangs_up_after_ms is not None and self._own_ms >= turn.hangs_up_after_ms:
            self._audio = b""
            self.hang_up()
        return frame

    def heard(self, frame: bytes, at_ms: int) -> None:
        """20 ms of the agent's end."""
        if loudness(frame) >= VOICED:
            if self._gap_ms >= FINISHED_MS or not self.agent:
                self.agent.append(Stretch(self.now_ms, self.now_ms))
                self._heard_ms = 0
            self._heard_ms += FRAME_MS
            self._quiet_ms = self._gap_ms = 0
            if self._at >= len(self._audio):  # what still sounds while the caller cuts in is no answer
                self._answered = True
            self.agent[-1].end_ms = self.now_ms
        else:
            self._quiet_ms += FRAME_MS
            self._gap_ms += FRAME_MS
            if self._heard_ms and self._quiet_ms < FINISHED_MS:
                self._heard_ms += FRAME_MS

    # --- the script -------------------------------------------------------------------------------------------------

    def _consider(self) -> None:
        """Whether it is time for the caller's next line."""
        if self._quiet_ms >= PATIENCE_MS:
            self.impatient = True
            self.hang_up()
            return
        if self._next >= len(self.turns) or self.turns[self._next].opening or not self._answered:
            return
        turn = self.turns[self._next]
        if turn.cuts_in_after_ms is not None:
            due = self._heard_ms >= turn.cuts_in_after_ms
        elif turn.hangs_up_after_ms is not None and not turn.caller:
            due = self._heard_ms >= turn.hangs_up_after_ms
        else:
            due = self._quiet_ms >= FINISHED_MS + PAUSE_MS + turn.waits_ms
        if due:
            self._next += 1
            self._act(turn)

    def _act(self, turn: Turn) -> None:
        self._answered = False
        self._quiet_ms = self._heard_ms = self._own_ms = 0
        if turn.keys:
            self.press(turn.keys)
        if turn.caller:
            self._audio, self._at = self.say(turn.caller), 0
            self.spoke.append(Stretch(self.now_ms, self.now_ms))
        elif turn.hangs_up_after_ms is not None:
            self.hang_up()
