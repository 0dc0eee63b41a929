"""The caller of the matrix: waits until a line of the agent's was heard to its end, then says theirs; and knows what they heard.

Sound is known byte for byte: the agent's recordings pass every part of ours unchanged, so a line was heard to its end if its last
syllables came, and begun if its first ones did. A line that another session goes on with may come from any word of it on.
"""

import asyncio
from collections import deque
from collections.abc import Callable, Mapping
from functools import cache, partial
from typing import get_args

import msgspec

from app.chaos.talks import ASKS, Talk
from app.clips import ClipName, clip
from app.sim.hearing import Stretch
from app.sim.loudness import VOICED, loudness
from app.sim.playout import FRAME_BYTES, SILENCE
from app.sim.voices import can_say, say

VOICE = "anna"
EDGE_FRAMES = 15
"""So much voice at either end of a line is looked for."""
RECENT_FRAMES = 6 * EDGE_FRAMES
PAUSE_SECONDS = 0.3
PATIENCE_SECONDS = 40.0
"""A caller who waits for so long gives up, and hangs up."""
DONE_MS = 1000
"""After a new stream the agent apologises in words of its own: it has finished when it has been silent for so long."""
RUNGS = ("Gather", "Dial", "Record")


class GaveUp(Exception):
    """The caller waited too long and hung up."""


class Line(msgspec.Struct, frozen=True):
    """An agent's line as an ear knows it, in voiced frames."""

    text: str
    head: bytes
    tails: tuple[bytes, ...]

    def begun(self, heard: bytes) -> bool:
        """Whether its first syllables came."""
        return self.head in heard

    def whole(self, heard: bytes) -> bool:
        """Whether its last ones did."""
        return any(tail in heard for tail in self.tails)


@cache
def line(text: str) -> Line:
    """The line, and all ways in which somebody who goes on with it may end it."""
    words = text.split()
    rests = (" ".join(words[start:]) for start in range(len(words)))
    tails = dict.fromkeys(_voiced(say(rest))[-EDGE_FRAMES * FRAME_BYTES :] for rest in rests if can_say(rest))
    return Line(text, _voiced(say(text))[: EDGE_FRAMES * FRAME_BYTES], tuple(tails))


@cache
def clip_tails() -> tuple[bytes, ...]:
    """What each of the house's own clips ends with."""
    return tuple(_voiced(clip(name))[-EDGE_FRAMES * FRAME_BYTES :] for name in get_args(ClipName))


def _voiced(audio: bytes) -> bytes:
    frames = (audio[at : at + FRAME_BYTES] for at in range(0, len(audio), FRAME_BYTES))
    return b"".join(frame for frame in frames if loudness(frame) >= VOICED)


class Caller:
    """A `CallerLine`. `spoke` and `thought`: when they talked, and when it was for them to; `said`: their lines so far.

    thinks_seconds: before their first line.
    """

    def __init__(self, talk: Talk = ASKS, *, thinks_seconds: float = PAUSE_SECONDS) -> None:
        self.talk = talk
        self.heard_on: list[bytearray] = []
        """The voiced frames of each stream."""
        self.spoke: list[Stretch] = []
        self.thought: list[Stretch] = []
        self.said: list[str] = []
        self.verbs: list[str] = []
        self.life_ms: Callable[[], int] = lambda: 0
        """The call's clock."""
        self.told_ms: list[int] = []
        """When a clip of the house's ended: "One moment please" and its like."""
        self._thinks = thinks_seconds
        self._speech: deque[bytes] = deque()
        self._quiet_ms = 0
        self._news = asyncio.Event()

    # --- the talk ---------------------------------------------------------------------------------------------------

    async def talks(self) -> None:
        """Play the caller's part, until the agent has the last word, or there is no agent any more. Raises GaveUp."""
        thinks = self._thinks
        for hears, says in self.talk.exchanges:
            await self.until(partial(self._finished, line(hears), len(self.heard_on)), f"all of {hears!r}")
            if self.led_down:
                return
            if hears == self.talk.answer and self.talk.insists and not line(hears).begun(self.sound):
                self.say(self.talk.says)  # the line broke, and nothing was said of it
                await self.until(partial(self._finished, line(hears), len(self.heard_on)), f"all of {hears!r}")
            await self._think(thinks)
            thinks = PAUSE_SECONDS
            self.say(says)

    async def _think(self, seconds: float) -> None:
        since = self.life_ms()
        await asyncio.sleep(seconds)
        self.thought.append(Stretch("voice", since, self.life_ms()))

    def say(self, text: str) -> None:
        """Speak, from the next frame on."""
        audio = say(text, VOICE)
        self._speech.extend(audio[at : at + FRAME_BYTES] for at in range(0, len(audio), FRAME_BYTES))
        self.said.append(text)

    async def begins(self, text: str) -> None:
        """Wait until a line of the agent's has begun. Raises GaveUp."""
        await self.until(lambda: self.begun(text), f"the beginning of {text!r}")

    async def until(self, check: Callable[[], bool], what: str) -> None:
        """Wait until something is so; it is looked at with every frame, stream and verb. Raises GaveUp."""
        try:
            async with asyncio.timeout(PATIENCE_SECONDS):
                while not check():
                    self._news.clear()
                    await self._news.wait()
        except TimeoutError:
            raise GaveUp(f"expected {what} within {PATIENCE_SECONDS:g} s") from None

    def _finished(self, wanted: Line, streams: int) -> bool:
        if self.led_down or wanted.whole(self._lately):
            return True
        again = max(streams, 1) < len(self.heard_on) and len(self.heard_on[-1]) >= EDGE_FRAMES * FRAME_BYTES
        return again and self._quiet_ms >= DONE_MS

    def begun(self, text: str) -> bool:
        """Whether a line of the agent's has just begun."""
        return line(text).begun(self._lately)

    @property
    def silent(self) -> bool:
        """Whether the caller has nothing left to say just now."""
        return not self._speech

    @property
    def led_down(self) -> bool:
        """Whether the agent is gone: there are keys, a person or a recording instead."""
        return any(verb in RUNGS for verb in self.verbs)

    @property
    def sound(self) -> bytes:
        """All voice, in frames."""
        return b"".join(self.heard_on)

    @property
    def _lately(self) -> bytes:
        return bytes(self.heard_on[-1][-RECENT_FRAMES * FRAME_BYTES :]) if self.heard_on else b""

    # --- CallerLine -------------------------------------------------------------------------------------------------

    def next_frame(self) -> bytes:
        """The next 20 ms of the caller's end."""
        if not self._speech:
            return SILENCE
        now = self.life_ms()
        if not self.spoke or now - self.spoke[-1].end_ms > 500:
            self.spoke.append(Stretch("voice", now, now))
        self.spoke[-1].end_ms = now + 20
        return self._speech.popleft()

    def heard(self, frame: bytes, at_ms: int) -> None:
        """20 ms of the agent's end."""
        voiced = loudness(frame) >= VOICED
        self._quiet_ms = 0 if voiced else self._quiet_ms + 20
        if voiced:
            self.heard_on[-1] += frame
            if self._lately.endswith(clip_tails()):
                self.told_ms.append(self.life_ms())
        self._news.set()

    def stream_started(self, stream_sid: str) -> None:
        """A stream is there."""
        self.heard_on.append(bytearray())
        self._news.set()

    def stream_ended(self, why: str) -> None:
        """It is gone."""
        self._news.set()

    def verb(self, name: str, attributes: Mapping[str, str], text: str) -> None:
        """The carrier does something else."""
        self.verbs.append(name)
        self._news.set()
