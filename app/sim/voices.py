"""The rehearsal voices: turns a text into telephone audio by joining recordings (phrases.toml, clips/).

A text is said with as few recordings as will do, the longest first where that is the same. Between two of them stands
a short silence, longer at a comma and longest at the end of a sentence. The same text always gives the same bytes, so
a listener can look for them in what the caller heard: see `core`.
"""

from collections.abc import Mapping
from difflib import get_close_matches
from functools import cache
from pathlib import Path

from app.errors import SetupError
from app.sim import phrases
from app.sim.loudness import VOICED, loudness
from app.sim.phrases import Word

SPEAKERS = phrases.SPEAKERS

FRAME_BYTES = 160
"""20 ms of g711 u-law; every recording and every utterance is a whole number of these."""

SILENT_FRAME = b"\xff" * FRAME_BYTES
"""0xFF is u-law zero."""

# Quiet frames between two recordings by the mark there, their own quiet edges counted in; at least one is put in. A
# listener takes 500 ms of silence for the end of a turn, so nothing here may come near that.
_PAUSE_FRAMES = {"": 3, ",": 9, ".": 15}

_CLIPS = Path(__file__).with_name("clips")


class UnknownPhrase(SetupError):
    """The text holds words that nobody recorded."""


def say(text: str, speaker: str = "agent") -> bytes:
    """The text as g711 u-law, 8 kHz mono, a multiple of 160 bytes; no silence before or after.

    speaker: one of SPEAKERS. Raises UnknownPhrase with the words that are not recorded, and near ones that are.
    """
    recordings = _recordings(speaker)
    words = phrases.split(text)
    pieces = _pieces(words, recordings)
    if not words or None in pieces:
        raise UnknownPhrase(_complaint(text, speaker, words, pieces))
    audio: list[bytes] = []
    at = 0
    for recording, phrase in ((recordings[piece], piece) for piece in pieces if piece):
        if audio:
            quiet = _quiet_frames(audio[-1], range(len(audio[-1]) - FRAME_BYTES, -1, -FRAME_BYTES))
            quiet += _quiet_frames(recording, range(0, len(recording), FRAME_BYTES))
            audio.append(SILENT_FRAME * max(1, _PAUSE_FRAMES[words[at - 1].mark] - quiet))
        audio.append(recording)
        at += phrase.count(" ") + 1
    return b"".join(audio)


def can_say(text: str, speaker: str = "agent") -> bool:
    """Whether `say` would give audio for this text."""
    words = phrases.split(text)
    return bool(words) and None not in _pieces(words, _recordings(speaker))


def recorded(speaker: str = "agent") -> list[str]:
    """Every phrase that this speaker can say in one recording."""
    return list(_recordings(speaker))


def core(audio: bytes) -> bytes:
    """The audio from its first to its last voiced 20 ms frame, empty if there is none.

    What a listener can look for byte for byte: whatever silence stands before or behind it, this part arrives as it is.
    """
    voiced = [at for at in range(0, len(audio), FRAME_BYTES) if loudness(audio[at : at + FRAME_BYTES]) >= VOICED]
    return audio[voiced[0] : voiced[-1] + FRAME_BYTES] if voiced else b""


def _quiet_frames(audio: bytes, frames: range) -> int:
    """How many of these frames (by their first byte) pass before a voiced one."""
    return next((count for count, at in enumerate(frames) if loudness(audio[at : at + FRAME_BYTES]) >= VOICED), 0)


@cache
def _recordings(speaker: str) -> Mapping[str, bytes]:
    """The speaker's recordings by phrase key, read once from clips/SPEAKER.ulaw by the offsets in SPEAKER.tsv."""
    if speaker not in SPEAKERS:
        raise SetupError(f"there is no speaker {speaker!r}; the voices are {', '.join(SPEAKERS)}")
    try:
        pack = (_CLIPS / f"{speaker}.ulaw").read_bytes()
        index = (_CLIPS / f"{speaker}.tsv").read_text(encoding="utf-8")
    except OSError as error:
        raise SetupError(f"the recordings of {speaker} cannot be read ({error}); restore {_CLIPS}") from error
    rows = (line.split("\t") for line in index.splitlines())
    return {phrase: pack[int(start) : int(start) + int(size)] for start, size, phrase in rows}


def _pieces(words: list[Word], recordings: Mapping[str, bytes]) -> list[str | None]:
    """The recordings that say these words; a None for each word that no recording reaches.

    Of all ways the one with the fewest words left over, then with the fewest recordings, then the longest first.
    """
    texts = [word.text for word in words]
    longest = max(phrase.count(" ") + 1 for phrase in recordings)
    # From the end: best[i] is (words left over, recordings, where the first piece ends) for what follows word i.
    best = [(0, 0, 0)] * (len(texts) + 1)
    first: list[str | None] = [None] * len(texts)
    for at in reversed(range(len(texts))):
        best[at] = (best[at + 1][0] + 1, best[at + 1][1], -(at + 1))
        for end in range(at + 1, min(at + longest, len(texts)) + 1):
            phrase = " ".join(texts[at:end])
            if phrase in recordings:
                way = (best[end][0], best[end][1] + 1, -end)
                if way < best[at]:
                    best[at], first[at] = way, phrase
    pieces, at = [], 0
    while at < len(texts):
        pieces.append(first[at])
        at = -best[at][2]
    return pieces


def _complaint(text: str, speaker: str, words: list[Word], pieces: list[str | None]) -> str:
    """What is missing, in runs of words as they stand in the text, each with recorded phrases like it."""
    if not words:
        return f"there are no words to say in {text!r}; write what {speaker} should say"
    runs: list[list[str]] = [[]]
    at = 0
    for piece in pieces:
        if piece is None:
            runs[-1].append(words[at].text)
            at += 1
        else:
            runs.append([])
            at += piece.count(" ") + 1
    missing = [" ".join(run) for run in runs if run]
    known = list(_recordings(speaker))
    near = {phrase: None for run in [phrases.key(text), *missing] for phrase in get_close_matches(run, known, 4, 0.5)}
    hint = f"; recorded and near: {', '.join(repr(phrase) for phrase in near)}" if near else ""
    return (
        f"{speaker} cannot say {text!r}: nobody recorded {', '.join(repr(run) for run in missing)}{hint}. "
        "Write it with recorded phrases (app/sim/phrases.toml lists them all), or record it (tools/render_clips.py)"
    )
