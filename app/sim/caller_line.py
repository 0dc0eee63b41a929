"""The caller's end of the stand-in line, as the carrier sees it."""

from typing import Protocol


class CallerLine(Protocol):
    """What the caller's end of the line does; a rehearsal is one, so is a test.

    A line may also have `stream_started(stream_sid)`, `stream_ended(why)` and `verb(name, attributes, text)`; they are
    called where they exist.
    """

    def next_frame(self) -> bytes:
        """160 bytes of mu-law, asked for on each 20 ms tick of a live stream; silence is 0xFF."""

    def heard(self, frame: bytes, at_ms: int) -> None:
        """What the caller's ear gets in each tick, silence too. at_ms: milliseconds since the stream's start."""


def tell(line: CallerLine | None, hook: str, *arguments: object) -> None:
    """Call one of the line's optional hooks."""
    told = getattr(line, hook, None)
    if told is not None:
        told(*arguments)
