"""How long the agent's turns are, by the caller's own ear: the one measure that every server gives, its books open or not."""

from functools import cache
from typing import Any, get_args

from app.clips import ClipName, clip
from app.sim.caller import FINISHED_MS, FRAME, FRAME_MS, ScriptedCaller
from app.sim.loudness import VOICED, loudness


class TimingCaller(ScriptedCaller):
    """A scripted caller who also counts what was heard of each of the agent's turns."""

    def __init__(self, *arguments: Any, **named: Any) -> None:
        super().__init__(*arguments, **named)
        self.agent_turns_ms: list[int] = []
        """A turn is all that the agent says between two of the caller's, or since a stream started. Pauses inside its speech
        count; waits (for a tool) and the house's own clips do not."""
        self._turn_due = True

    def heard(self, frame: bytes, at_ms: int) -> None:
        """20 ms of the agent's end."""
        self._turn_due = self._turn_due or not self._answered  # kept here: a clip counts as an answer to the script
        if loudness(frame) >= VOICED and frame not in house_frames():
            self._count()
        super().heard(frame, at_ms)

    def _count(self) -> None:
        """20 ms of speech, to the turn they belong to: what still sounds while the caller cuts in is the old one's."""
        speaking = self._at < len(self._audio)
        if not self.agent_turns_ms or (self._turn_due and not speaking):
            self.agent_turns_ms.append(0)
            self._turn_due = False
        elif self._gap_ms < FINISHED_MS:
            self.agent_turns_ms[-1] += self._gap_ms
        self.agent_turns_ms[-1] += FRAME_MS


@cache
def house_frames() -> frozenset[bytes]:
    """The voiced frames of the house's own clips: what sounds like them is not the agent's."""
    clips = [clip(name) for name in get_args(ClipName)]
    frames = (audio[at : at + FRAME] for audio in clips for at in range(0, len(audio), FRAME))
    return frozenset(frame for frame in frames if loudness(frame) >= VOICED)
