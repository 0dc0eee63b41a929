"""How the talk with the model begins, once a session is ours."""

import msgspec

from app.core.phases import OPENING_ID
from app.wire import realtime
from app.wire.dialects import Dialect


class Opening(msgspec.Struct, frozen=True, kw_only=True):
    """How the talk begins, once the session is ours."""

    history: list[tuple[str, str]] = []
    """(role, text) of what was said earlier in this call."""
    state: str = ""
    """What the flow's state says to the model; with neither text nor instructions: the mode's own opening, in this state."""
    text: str = ""
    """A user's line that the model answers with its first words; empty: the caller speaks first."""
    instructions: str = ""
    """Instead of `text`: instructions of the first response, which replace the session's for it."""
    sentence: str = ""
    """Said first in the mode's own opening, word for word."""
    silent: bool = False
    """Nothing is told or asked with the configuration: the talk goes on, and the machine knows how."""

    @property
    def speaks(self) -> bool:
        """Whether the agent speaks first."""
        return bool(self.text or self.instructions)

    def commands(self, dialect: Dialect) -> list[bytes]:
        """What to send when the session is ready."""
        lines = [realtime.add_text(role, text, dialect) for role, text in self.history]
        if self.state:
            lines.append(realtime.add_text("system", self.state, dialect))
        if self.text:
            lines.append(realtime.add_text("user", self.text, dialect))
        return [*lines, realtime.create_response(OPENING_ID, self.instructions)] if self.speaks else lines
