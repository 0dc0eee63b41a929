"""Memory: what a call's record keeps for the model's next session beside the talk: tools that were called, keys as told."""

import msgspec


class Made(msgspec.Struct):
    """A tool call as a later session is told of it. output: None while it runs."""

    call_id: str
    name: str
    arguments: str
    start_ms: int
    output: str | None = None


class Memory(msgspec.Struct):
    """Of one process's part of a call, in the order in which it happened; and how often a session had to be replaced in it."""

    made: list[Made] = []
    asides: list[tuple[int, str]] = []
    """What the model was told in the caller's name, in words: (start_ms, text)."""
    reconnects: int = 0
    """Sessions that took over from another in mid-call, rollovers included."""
    longest_gap_ms: int = 0
    """The longest time without one."""

    def comes_back(self, call_id: str, output: str) -> None:
        """What a tool call came to; a later word of the same call counts."""
        for made in reversed(self.made):
            if made.call_id == call_id:
                made.output = output
                return
