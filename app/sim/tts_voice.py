"""How the text-to-speech stand-in sounds: the same text is always the same bytes.

What the rehearsal voices have recorded is said with their recordings; anything else is a tone, its pitch by the text and its
length by the number of characters, so that a listener can tell one text from another.
"""

import math
from array import array
from binascii import crc32
from functools import lru_cache

from app.sim import voices
from app.sim.voices import FRAME_BYTES
from app.wire.g711 import audioop

MS_A_CHARACTER = 60
LOUDNESS = 6000
LOWEST_HZ, HIGHEST_HZ = 300, 900


@lru_cache(maxsize=256)
def speech(text: str) -> bytes:
    """The text as g711 u-law, 8 kHz mono, whole frames of 20 ms; nothing for a text without a word."""
    text = " ".join(text.split())
    if voices.can_say(text, "agent"):
        return voices.say(text, "agent")
    if not any(character.isalnum() for character in text):
        return b""
    frames = max(1, len(text) * MS_A_CHARACTER // 20)
    step = 2 * math.pi * (LOWEST_HZ + crc32(text.encode()) % (HIGHEST_HZ - LOWEST_HZ)) / 8000
    wave = array("h", (round(LOUDNESS * math.sin(step * n)) for n in range(frames * FRAME_BYTES)))
    return audioop.lin2ulaw(wave.tobytes(), 2)


def alignment(text: str, ms: int, began_ms: float, ended_ms: float) -> dict[str, list[int] | list[str]]:
    """The characters of a text of `ms` whose sound ends within a piece of it, with their times from the piece's beginning."""
    each = ms / max(1, len(text))
    found = [
        (character, max(0.0, n * each - began_ms))
        for n, character in enumerate(text)
        if began_ms < (n + 1) * each <= ended_ms + 0.001
    ]
    return {
        "chars": [character for character, _ in found],
        "charStartTimesMs": [math.floor(start) for _, start in found],
        "charDurationsMs": [math.ceil(each)] * len(found),
    }
