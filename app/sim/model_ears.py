"""How a stand-in session listens: the input audio buffer and turn detection. It decides nothing; its session is called back.

Milliseconds count all audio that was appended in the session. Turn detection works on u-law frames of 20 ms; a detection by
meaning ("semantic_vad") is played by one that waits longer or shorter, by its eagerness.
"""

from collections.abc import Mapping
from typing import Any, Protocol

from app.sim.loudness import VoiceActivity
from app.sim.model_checks import Refused
from app.sim.model_sound import BYTES_PER_MS, heard

FRAME_MS = 20
FRAME = 8 * FRAME_MS
LEAST_COMMIT_MS = 100
SILENCE_MS = {"low": 800, "medium": 500, "auto": 500, "high": 500}


class Listener(Protocol):
    """Who hears of it."""

    def speech_started(self, start_ms: int) -> None:
        """The caller began to speak."""
        ...

    def speech_stopped(self, end_ms: int) -> None:
        """The caller seems done; the turn's audio is committed next."""
        ...

    def committed(self, audio: bytes, raw: bytes, *, by_client: bool) -> None:
        """A turn's audio: as u-law, and as it came."""
        ...


class Ears:
    """The input audio buffer. `configure` whenever the session's settings change, then `append`."""

    def __init__(self, listener: Listener) -> None:
        self.listener = listener
        self.appended_ms = 0.0
        self.speaking = False
        self._activity: VoiceActivity | None = None
        self._detection: Mapping[str, Any] | None = None
        self._form = "pcm"
        self._raw = bytearray()
        self._carry = b""
        self._audio = bytearray()
        self._seen_ms = 0

    def configure(self, form: str, detection: Mapping[str, Any] | None) -> None:
        """Set the input format ("pcmu", "pcma", "pcm") and turn detection (None: the client commits)."""
        if form != self._form:
            self.clear()
        self._form = form
        if detection != self._detection:
            self._detection = detection
            speaking = self.speaking and detection is not None
            self._activity = VoiceActivity(silence_ms=_silence_ms(detection)) if detection is not None else None
            self.speaking = speaking
            if self._activity is not None:
                self._activity.speaking = speaking

    def append(self, audio: bytes) -> None:
        """`input_audio_buffer.append`, decoded: any number of bytes in the input format."""
        self.appended_ms += len(audio) / BYTES_PER_MS[self._form]
        self._raw += audio
        whole = self._carry + audio
        size = FRAME_MS * BYTES_PER_MS[self._form]
        end = len(whole) // size * size
        self._carry = whole[end:]
        frames = heard(whole[:end], self._form)
        for at in range(0, len(frames), FRAME):
            self._take(frames[at : at + FRAME])

    def commit(self) -> None:
        """`input_audio_buffer.commit`. Raises Refused if there is too little: with turn detection on, unless somebody speaks."""
        listening = self._activity is not None and not self.speaking
        if listening or len(self._audio) < LEAST_COMMIT_MS * 8:
            got = 0.0 if listening else len(self._audio) / 8
            raise Refused("input_audio_buffer_commit_empty", "Error committing input audio buffer: buffer too small. Expected "
                          f"at least {LEAST_COMMIT_MS}ms of audio, but buffer only has {got:.2f}ms of audio.")  # fmt: skip
        self.hand_over(by_client=True)

    def clear(self) -> None:
        """`input_audio_buffer.clear`: forget what was appended."""
        self._raw.clear()
        self._audio.clear()
        self._carry = b""
        self.speaking = False
        if self._activity is not None:
            self._activity = VoiceActivity(silence_ms=self._activity.silence_ms)

    def hand_over(self, *, by_client: bool) -> None:
        """Give the buffer to the listener and begin a new one."""
        audio, raw = bytes(self._audio), bytes(self._raw)
        self._audio.clear()
        self._raw.clear()
        self.listener.committed(audio, raw, by_client=by_client)

    def _take(self, frame: bytes) -> None:
        self._audio += frame
        self._seen_ms += FRAME_MS
        if self._activity is None:
            return
        padding = (self._detection or {}).get("prefix_padding_ms", 300)
        match self._activity.feed(frame):
            case "started":
                self.speaking = True
                began = self._seen_ms - self._activity.min_speech_ms - padding
                self.listener.speech_started(max(0, began))
            case "stopped":
                self.speaking = False
                self.listener.speech_stopped(self._seen_ms)
                self.hand_over(by_client=False)
            case None if not self.speaking:
                # what comes before speech is kept for its first syllable only
                spare = len(self._audio) - (max(300, padding) + self._activity.min_speech_ms) * 8
                if spare > 0:
                    del self._audio[:spare]
                    del self._raw[: spare // 8 * BYTES_PER_MS[self._form]]


def _silence_ms(detection: Mapping[str, Any]) -> int:
    if detection["type"] == "semantic_vad":
        return SILENCE_MS[detection["eagerness"]]
    return max(FRAME_MS, int(detection["silence_duration_ms"]))
