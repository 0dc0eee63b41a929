"""What of a response waits for its speech: its tool calls for the first sound, and its end until all of it was spoken.

Whoever drives the call takes an answer to be said when it ends, and decides by what was said before a tool what follows it.
"""

from collections.abc import Callable, Iterable

from app.core.spoken_line import Line
from app.wire import voiced


class HeldBack:
    """Messages of responses that are being spoken. `tell` passes one on; `lines`: what is still to be spoken."""

    def __init__(self, tell: Callable[[bytes], None], lines: Iterable[Line], model: str) -> None:
        """model: of the voice, for what it costs."""
        self.ends: dict[str, bytes] = {}
        """By response."""
        self._tell = tell
        self._lines = lines
        self._model = model
        self._calls: dict[str, list[bytes]] = {}
        self._characters: dict[str, int] = {}

    def silent(self, response: str) -> bool:
        """Whether a response has something to be spoken, and none of it sounds yet."""
        return any(line.response_id == response and not line.sounded for line in self._lines)

    def calls(self, response: str, text: bytes) -> None:
        """A response calls a tool, and is silent yet."""
        self._calls.setdefault(response, []).append(text)

    def handed_over(self, response: str, piece: str) -> None:
        """A piece of it is to be spoken: it is paid for."""
        self._characters[response] = self._characters.get(response, 0) + len(piece.strip())

    def sounds(self, response: str) -> None:
        """Something of it is heard."""
        for text in self._calls.pop(response, []):
            self._tell(text)

    def ended(self, response: str, text: bytes) -> None:
        """The model has ended it."""
        self.ends[response] = text

    def release(self, response: str) -> None:
        """Pass on what need not wait any longer."""
        if not self.silent(response):
            self.sounds(response)
        if response in self.ends and not any(line.response_id == response for line in self._lines):
            end = self.priced(response, self.ends.pop(response))
            self._characters.pop(response, None)
            self._tell(end)

    def priced(self, response: str, end: bytes) -> bytes:
        """A response's end with what its speech is paid by."""
        characters = self._characters.get(response, 0)
        return voiced.with_speech(end, self._model, characters) if characters else end

    def clear(self) -> None:
        """Nothing is to be passed on any more."""
        self.ends.clear()
        self._calls.clear()
