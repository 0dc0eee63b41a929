"""What a model that answers in text is told of what the caller did not hear.

An item of text cannot be truncated by milliseconds. The words that were heard are put behind it as an item of their own, and it is
deleted; with nothing heard it is deleted alone. A server that deletes nothing is told in words. An item is not touched before its
response is over. Source: openai-realtime facts, 2.1 (`previous_item_id`) and 4.
"""

from collections.abc import Callable

from app.core.spoken_line import Line
from app.core.talk import HEARD_NOTHING
from app.wire import realtime
from app.wire.dialects import Dialect


class Corrections:
    """Those of one session. `say` sends one command."""

    def __init__(self, say: Callable[[bytes], None], *, deletes: bool) -> None:
        self.running: set[str] = set()
        """Responses that the model has not ended."""
        self._say = say
        self._deletes = deletes
        self._waiting: dict[str, list[bytes]] = {}

    def heard(self, line: Line, heard_ms: int, dialect: Dialect) -> list[bytes]:
        """So much of an item was heard, as whoever drives the call says: what to send now."""
        commands: list[bytes] = []
        if self._deletes:
            words = line.heard(heard_ms) if heard_ms else ""
            if words:
                commands.append(realtime.add_text("assistant", words, dialect, behind=line.item_id))
            commands.append(realtime.delete_item(line.item_id))
        return self._when_over(line, commands)

    def unheard(self, line: Line, dialect: Dialect) -> None:
        """Nothing was heard of an item, and nobody else knows of it."""
        note = realtime.add_text("system", HEARD_NOTHING, dialect)
        for command in self._when_over(line, [realtime.delete_item(line.item_id) if self._deletes else note]):
            self._say(command)

    def over(self, response: str) -> None:
        """The model has ended a response: what waited for that is said."""
        self.running.discard(response)
        for command in self._waiting.pop(response, []):
            self._say(command)

    def _when_over(self, line: Line, commands: list[bytes]) -> list[bytes]:
        if line.response_id not in self.running:
            return commands
        self._waiting.setdefault(line.response_id, []).extend(commands)
        return []
