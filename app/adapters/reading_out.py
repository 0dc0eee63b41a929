"""What a voice could not say any more, said by the model itself: as if the answer went on.

The text is in the conversation already, so it is asked for outside of it; a server that refuses that is asked within. The sound
comes under the answer's own ids.
"""

from typing import Literal, Protocol

import structlog

from app.adapters.model_link import ModelSession
from app.core.spoken_line import Line
from app.errors import PeerError
from app.wire import realtime, voiced

log = structlog.get_logger()

BYTES_A_MS = {"pcmu": 8, "pcm16_24k": 48, "pcm16_16k": 32}


class Reader(Protocol):
    """For whom it is said."""

    def tell(self, text: bytes) -> None:
        """A message for whoever drives the call."""
        ...

    def read_out(self, line: Line) -> None:
        """All was said, or nothing more will be."""
        ...


class ReadingOut:
    """One answer's rest. Made to be begun at once."""

    def __init__(self, session: ModelSession, line: Line, reader: Reader, number: int) -> None:
        self.line = line
        self.response_id = ""
        """Empty until the model begins."""
        self.dropped = False
        """The caller cut in: nothing of it is to be heard."""
        self._session = session
        self._reader = reader
        self._number = number
        self._way: Literal["aside", "inside"] = "aside" if session.engine.out_of_band else "inside"
        self._ask()

    @property
    def event_id(self) -> str:
        """Of the request; it comes back if that is refused."""
        return f"voice-{self._number}-{self._way}"

    def begins(self, event: voiced.Told) -> bool:
        """Whether a `response.created` is its own; then that is noted."""
        if self.response_id or not (event.reads_out or self._way == "inside"):
            return False
        self.response_id = event.response_named
        if self.dropped:
            self._say(realtime.cancel_response(self.response_id))
        return True

    def hears(self, event: voiced.Told, text: bytes) -> None:
        """An event of its response, but for the end."""
        line = self.line
        if self.dropped or not event.type.endswith("audio.delta"):
            return
        try:
            piece, size = voiced.moved(text, line.response_id, line.item_id)
        except PeerError as wrong:
            log.warning("message of the model's server passed over", why=str(wrong))
            return
        self._reader.tell(piece)
        if line.uttered < len(line.text):
            self._reader.tell(voiced.words(line.response_id, line.item_id, line.text[line.uttered :], 0))
            line.uttered = len(line.text)
        line.sent_ms += size / BYTES_A_MS[self._session.wire.speaks]

    def ended(self, status: object) -> None:
        """Its response is over, or was refused: if nothing of it was said, it is asked for in the other way, once."""
        said = self.line.uttered == len(self.line.text)
        if self._way == "aside" and not (said or self.dropped):
            log.warning("the model would not say aside what the voice could not", status=str(status))
            self._way, self.response_id = "inside", ""
            self._ask()
        else:
            self._reader.read_out(self.line)

    def drop(self) -> None:
        """Nothing of it is to be heard any more."""
        self.dropped = True
        if self.response_id:
            self._say(realtime.cancel_response(self.response_id))

    def _ask(self) -> None:
        session = self._session
        words, aside = self.line.unsaid(), self._way == "aside"
        self._say(voiced.read_out(self.event_id, words, session.dialect, session.engine, aside=aside))

    def _say(self, command: bytes) -> None:
        try:
            self._session.send(command)
        except PeerError as wrong:
            log.info("the model's end is gone", why=str(wrong))
