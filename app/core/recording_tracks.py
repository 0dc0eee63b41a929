"""Two tracks out of one stream's messages: what the caller said, and what the caller was played. Bytes of mu-law at their places.

Place 0 is the moment at which the stream began; 8000 bytes are a second. A caller's frame lies where the carrier's own
timestamp has it, so one that came late lies where it was said. The agent's audio lies where `Playback` has it, which is asked
here once more: one piece behind the other while the carrier's buffer lasts, else from the moment it was sent. What a `clear`
threw away was not played, and is not here; so nothing is handed out before it is too late to clear it.
"""

import base64
import binascii
from typing import Literal

import msgspec

from app.core.playback import BYTES_A_MS, BYTES_A_SECOND, Playback

Channel = Literal[0, 1]
CALLER: Channel = 0
AGENT: Channel = 1

SETTLED_SECONDS = 3.0
"""Played so long ago, audio is not cleared any more: the carrier's buffer and our clock are never that far apart."""
SNAP = 40 * BYTES_A_MS
"""Frames whose timestamps leave less than this between them follow each other: carriers round."""
AHEAD = 1 * BYTES_A_SECOND
"""A timestamp further ahead of its arrival is none."""


class _Payload(msgspec.Struct, gc=False):
    payload: str
    track: str = "inbound"
    timestamp: str | int = ""


class _Media(msgspec.Struct, tag_field="event", tag="media", gc=False):
    media: _Payload


class _Name(msgspec.Struct):
    name: str


class _Mark(msgspec.Struct, tag_field="event", tag="mark"):
    mark: _Name


class _Clear(msgspec.Struct, tag_field="event", tag="clear"):
    pass


_DECODER = msgspec.json.Decoder(_Media | _Mark | _Clear)


class Piece(msgspec.Struct, frozen=True, gc=False):
    """Audio at its place on a track."""

    channel: Channel
    at: int
    audio: bytes


class Tracks:
    """One stream's. Messages are given in the order in which they passed."""

    def __init__(self, began: float) -> None:
        """began: when the stream did, on the clock of all moments given here."""
        self._began = began
        self._playback = Playback()
        self._caller: list[Piece] = []
        self._agent: list[Piece] = []
        self._caller_ends = 0
        self._agent_ends = 0
        self._base: int | None = None
        """Where the carrier's timestamp 0 is."""

    def _place(self, moment: float) -> int:
        return max(0, round((moment - self._began) * BYTES_A_SECOND))

    def heard(self, text: bytes, now: float) -> None:
        """A message of the carrier's. What is none of ours to place is passed over."""
        match _message(text):
            case _Media(media=media) if media.track in ("inbound", "inbound_track"):
                if audio := _audio(media.payload):
                    self._say(audio, str(media.timestamp), self._place(now))
            case _Mark(mark=mark):
                self._playback.reached(mark.name, now)

    def _say(self, audio: bytes, timestamp: str, came: int) -> None:
        at = self._caller_ends if self._caller_ends else came
        if timestamp.isascii() and timestamp.isdigit() and len(timestamp) < 10:
            stamp = int(timestamp) * BYTES_A_MS
            if self._base is None:
                self._base = came - stamp
            told = self._base + stamp
            if self._caller_ends + SNAP <= told <= came + AHEAD:
                at = told
        elif came - at > AHEAD:
            at = came
        self._caller.append(Piece(CALLER, at, audio))
        self._caller_ends = at + len(audio)

    def sent(self, text: bytes, now: float) -> None:
        """A message of ours to the carrier."""
        match _message(text):
            case _Media(media=media):
                if audio := _audio(media.payload):
                    dry = self._playback.ends_at <= now
                    self._playback.add("", 0, len(audio), now)
                    at = max(self._agent_ends, self._place(now)) if dry else self._agent_ends
                    self._agent.append(Piece(AGENT, at, audio))
                    self._agent_ends = at + len(audio)
            case _Mark(mark=mark):
                self._playback.mark(mark.name)
            case _Clear():
                self._cut(max(0, round((self._playback.ends_at - now) * BYTES_A_SECOND)))
                self._playback.clear(now)

    def _cut(self, unheard: int) -> None:
        """Take the last so many bytes off the agent's track."""
        while unheard and self._agent:
            last = self._agent.pop()
            kept = max(0, len(last.audio) - unheard)
            unheard -= len(last.audio) - kept
            if kept:
                self._agent.append(Piece(AGENT, last.at, last.audio[:kept]))
            self._agent_ends = last.at + kept

    def take(self, now: float) -> list[Piece]:
        """What cannot change any more, the caller's first."""
        settled = self._place(now - SETTLED_SECONDS)
        taken, self._caller = self._caller, []
        done = 0
        for piece in self._agent:
            if piece.at + len(piece.audio) > settled:
                break
            done += 1
        taken += self._agent[:done]
        del self._agent[:done]
        if self._agent and self._agent[0].at < settled:  # a long one: what of it was played
            first, size = self._agent[0], settled - self._agent[0].at
            taken.append(Piece(AGENT, first.at, first.audio[:size]))
            self._agent[0] = Piece(AGENT, settled, first.audio[size:])
        return taken

    def end(self, now: float) -> list[Piece]:
        """The stream is over: everything that is left. What was not played by then never will be."""
        self._cut(max(0, round((self._playback.ends_at - now) * BYTES_A_SECOND)))
        taken = self._caller + self._agent
        self._caller, self._agent = [], []
        return taken


def _message(text: bytes) -> _Media | _Mark | _Clear | None:
    try:
        message: _Media | _Mark | _Clear = _DECODER.decode(text)
    except (msgspec.DecodeError, UnicodeError, RecursionError):  # a start, a key, nonsense: the relay's
        return None
    return message


def _audio(payload: str) -> bytes:
    """Empty for what is no base64: the relay does not take it either."""
    try:
        return base64.b64decode(payload, validate=True)
    except (binascii.Error, ValueError):
        return b""
