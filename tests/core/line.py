"""Line: what the carrier does with our audio, told forwards: each piece has its time, marks come back when theirs is reached."""

from dataclasses import dataclass, field

BYTES_A_SECOND = 8000


@dataclass(slots=True)
class Piece:
    """Audio of one item between two moments."""

    item_id: str
    starts: float
    ends: float


@dataclass(slots=True)
class Line:
    """The carrier's buffer of one stream. Shares nothing with the ledger that it is compared with."""

    pieces: list[Piece] = field(default_factory=list)
    marks: list[tuple[float, str]] = field(default_factory=list)
    """Moment of return and name, in order."""
    runs_dry: float = 0.0

    def media(self, item_id: str, size: int, now: float) -> None:
        """Audio came: it is played behind what is there."""
        starts = max(now, self.runs_dry)
        self.runs_dry = starts + size / BYTES_A_SECOND
        self.pieces.append(Piece(item_id, starts, self.runs_dry))

    def mark(self, name: str, now: float) -> None:
        """A mark came: it goes back once all before it was played."""
        self.marks.append((max(now, self.runs_dry), name))

    def clear(self, now: float) -> None:
        """The buffer is thrown away; all marks in it go back at once."""
        for piece in self.pieces:
            piece.ends = max(piece.starts, min(piece.ends, now))
        self.marks = [(now, name) for _, name in self.marks]
        self.runs_dry = min(self.runs_dry, now)

    def played_ms(self, item_id: str, now: float) -> float:
        """Milliseconds of an item that came out of the telephone."""
        pieces = (piece for piece in self.pieces if piece.item_id == item_id)
        return sum(max(0.0, min(piece.ends, now) - piece.starts) for piece in pieces) * 1000
