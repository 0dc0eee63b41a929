"""The worker that hears: a process of its own, since pocketsphinx keeps the interpreter to itself while it listens.

Read from standard input, answered on standard output, one after the other, each as 4 bytes of length (big-endian) and
msgpack: first a `Lexicon`, answered by `Ready`, then `Sound`s, answered by `Words`. It ends with its input.
"""

import math
import struct
import sys
from array import array
from collections.abc import Mapping
from typing import IO, Any

import msgspec

from app.sim.loudness import VOICED, loudness
from app.sim.model_sound import samples

RATE = 16000
FRAME = 160
FRAME_MS = 20
EDGE = array("h", [0] * (RATE // 10)).tobytes()
LONGEST = 20 * 8000
"""Bytes of a turn that are listened to, from its end."""
MOST_GRAMMARS = 24
MANNERS: tuple[dict[str, Any], ...] = (
    {"lw": 15, "fillprob": 1e-10},
    {"lw": 3, "beam": 1e-30, "pbeam": 1e-30, "wbeam": 1e-20, "maxhmmpf": 400},
)
"""The first keeps to whole phrases; the second finds short words and rows of them. Measured with the recorded callers."""
NOISE_MS = 60
"""A click is nothing to listen to."""


class Lexicon(msgspec.Struct, frozen=True):
    """Words besides the dictionary's: phonemes, or `=` and the entry that sounds so."""

    words: dict[str, str]


class Ready(msgspec.Struct, frozen=True):
    """Whether it can listen; if not, why."""

    error: str = ""


class Sound(msgspec.Struct, frozen=True):
    """A turn of the caller's in u-law, and the grammar (JSGF) of what may be in it."""

    audio: bytes
    grammar: str


class Words(msgspec.Struct, frozen=True):
    """The best guess. score: mean of the natural logarithm, a frame, by which its words fit worse than any sound would (0 is
    best); covered: which share of the voiced time they take."""

    text: str = ""
    score: float = -99.0
    covered: float = 0.0
    worst: float = -99.0


class Recogniser:
    """pocketsphinx with a grammar. Raises ImportError where it is not installed."""

    def __init__(self, lexicon: Mapping[str, str]) -> None:
        # imported here, as there may be none
        from pocketsphinx import Decoder  # type: ignore[import-untyped]

        self._decoders = [_Decoder(Decoder, lexicon, **manner) for manner in MANNERS]

    def hear(self, sound: Sound) -> Words:
        """The best guess at what was said; empty where there was no voice, or nothing that fits."""
        audio = sound.audio[-LONGEST:]
        frames = [loudness(audio[at : at + FRAME]) >= VOICED for at in range(0, len(audio), FRAME)]
        voiced = sum(frames) * FRAME_MS
        if voiced < NOISE_MS:
            return Words()
        first, last = frames.index(True), len(frames) - frames[::-1].index(True)
        spoken = EDGE + wide(audio[max(0, first - 5) * FRAME : (last + 5) * FRAME]) + EDGE
        rows = "+" in sound.grammar or "<spelled>" in sound.grammar.rpartition("public")[2]
        for decoder in self._decoders[rows:]:
            words = decoder.hear(spoken, voiced, sound.grammar)
            if words.text:
                return words
        return Words()


class _Decoder:
    """One pocketsphinx decoder and the grammars it knows."""

    def __init__(self, make: Any, lexicon: Mapping[str, str], **manner: Any) -> None:
        self._decoder: Any = make(samprate=RATE, loglevel="FATAL", lm=None, **manner)
        for word, sounds in lexicon.items():
            self._decoder.add_word(word, self._decoder.lookup_word(sounds[1:]) if sounds[:1] == "=" else sounds, True)
        self._known: dict[str, str] = {}
        self._made = 0

    def hear(self, spoken: bytes, voiced_ms: int, grammar: str) -> Words:
        """The best guess at PCM16 of 16 kHz."""
        self._decoder.activate_search(self._grammar(grammar))
        self._decoder.start_utt()
        self._decoder.process_raw(spoken, full_utt=True)
        self._decoder.end_utt()
        guess = self._decoder.hyp()
        if guess is None or not guess.hypstr:
            return Words()
        fit, length, worst = 0.0, 0, 0.0
        for piece in self._decoder.seg():
            if piece.word[0] not in "<[":
                frames, score = piece.end_frame - piece.start_frame + 1, math.log(max(piece.ascore, 1e-300))
                fit, length, worst = fit + score, length + frames, min(worst, score / frames)
        return Words(guess.hypstr, fit / max(1, length), min(1.0, length * 10 / voiced_ms), worst)

    def _grammar(self, text: str) -> str:
        """The name under which the decoder has a grammar; phrases with a word that it cannot pronounce are left out."""
        if text not in self._known:
            if len(self._known) >= MOST_GRAMMARS:
                oldest = next(iter(self._known))
                self._decoder.activate_search(next(reversed(self._known.values())))  # not the one that goes
                self._decoder.remove_search(self._known.pop(oldest))
            self._made += 1
            name = f"grammar{self._made}"
            self._decoder.add_jsgf_string(name, self._sayable(text))
            self._known[text] = name
        return self._known[text]

    def _sayable(self, text: str) -> str:
        """The grammar without the phrases in which a word is unknown."""
        head, _, phrases = text.partition("public <line> = ")
        good = [phrase for phrase in phrases.rstrip(";\n ").split(" | ") if all(map(self._pronounced, phrase.split()))]
        return f"{head}public <line> = {' | '.join(good)};\n"

    def _pronounced(self, token: str) -> bool:
        word = token.strip("[]")
        return word.startswith("<") or self._decoder.lookup_word(word) is not None


def wide(audio: bytes) -> bytes:
    """u-law at 8 kHz as PCM16 at 16 kHz, on a straight line: better filters were not understood better."""
    narrow = samples(audio)
    out = array("h", bytes(4 * len(narrow)))
    out[::2] = array("h", narrow)
    out[1::2] = array("h", [(a + b) // 2 for a, b in zip(narrow, [*narrow[1:], 0], strict=True)])
    return out.tobytes()


def read(stream: IO[bytes]) -> bytes | None:
    """One message; None at the end."""
    head = stream.read(4)
    return stream.read(struct.unpack(">I", head)[0]) if len(head) == 4 else None


def framed(message: msgspec.Struct) -> bytes:
    """A message as it goes over the pipe."""
    body = msgspec.msgpack.encode(message)
    return struct.pack(">I", len(body)) + body


def main(source: IO[bytes], sink: IO[bytes]) -> None:
    """Answer until the input ends."""
    first = read(source)
    if first is None:
        return
    try:
        recogniser = Recogniser(msgspec.msgpack.decode(first, type=Lexicon).words)
    except (ImportError, OSError, RuntimeError) as wrong:
        sink.write(framed(Ready(f"{type(wrong).__name__}: {wrong}")))
        sink.flush()
        return
    sink.write(framed(Ready()))
    sink.flush()
    while (message := read(source)) is not None:
        sink.write(framed(recogniser.hear(msgspec.msgpack.decode(message, type=Sound))))
        sink.flush()


if __name__ == "__main__":
    main(sys.stdin.buffer, sys.stdout.buffer)
