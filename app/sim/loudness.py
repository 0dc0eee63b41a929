"""How loud a piece of telephone audio is, and when somebody starts and stops speaking in it."""

from typing import Literal

from app.errors import SetupError

BYTES_PER_MS = 8
"""g711 u-law, 8 kHz mono: one byte a sample."""

VOICED = 150.0
"""Loudness from which a 20 ms frame counts as voice: -47 dBFS, about that of a final s, and above a line's hiss."""


def _amplitude(byte: int) -> int:
    """The absolute 16-bit value of one u-law byte, 0..32124. Source: ITU-T G.711, table 2a."""
    code = ~byte & 0xFF
    return (((code & 0x0F) << 3) + 0x84 << ((code & 0x70) >> 4)) - 0x84


# An amplitude needs two bytes, and bytes.translate gives one: so one table each, and the sums are put together.
_HIGH = bytes(_amplitude(byte) >> 8 for byte in range(256))
_LOW = bytes(_amplitude(byte) & 0xFF for byte in range(256))


def loudness(frame: bytes) -> float:
    """Mean absolute amplitude of u-law audio, 0.0 (silence, or no audio) to 32124.0."""
    if not frame:
        return 0.0
    return (256 * sum(frame.translate(_HIGH)) + sum(frame.translate(_LOW))) / len(frame)


class VoiceActivity:
    """Tells from frames in order when speech starts and stops. For the model stand-in: it knows no noise floor."""

    def __init__(self, threshold: float = VOICED, silence_ms: int = 500, min_speech_ms: int = 60) -> None:
        if threshold <= 0 or silence_ms <= 0 or min_speech_ms <= 0:
            raise SetupError(
                "voice activity needs a threshold, silence_ms and min_speech_ms above 0; "
                f"got {threshold}, {silence_ms} and {min_speech_ms}"
            )
        self.threshold = threshold
        self.silence_ms = silence_ms
        self.min_speech_ms = min_speech_ms
        self.speaking = False
        self._run_bytes = 0

    def feed(self, frame: bytes) -> Literal["started", "stopped"] | None:
        """Take the next frame (u-law, 20 ms as a rule) and say whether it changed anything.

        "started": this frame completes min_speech_ms of voice without a gap, so the speech began that much earlier.
        "stopped": this frame completes silence_ms without voice.
        """
        if (loudness(frame) >= self.threshold) is self.speaking:
            self._run_bytes = 0
            return None
        self._run_bytes += len(frame)
        needed_ms = self.silence_ms if self.speaking else self.min_speech_ms
        if self._run_bytes < needed_ms * BYTES_PER_MS:
            return None
        self._run_bytes = 0
        self.speaking = not self.speaking
        return "started" if self.speaking else "stopped"
