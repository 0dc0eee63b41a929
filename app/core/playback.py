"""Playback: which milliseconds of which item the caller has really heard.

The model makes audio faster than real time, and the carrier plays it without gaps at 8 bytes a millisecond. So what was sent
is not what was heard. This is a ledger with a clock: each addition moves `ends_at`, the moment when the carrier's buffer will
run dry; what is still ahead of now is unheard, counted from the newest item backwards. Marks correct the clock: one that comes
back says that everything before it was played at that moment. Marks that a clear flushed come back too, and say nothing.

All times are seconds on one clock that only goes forward (the loop's); audio is counted in bytes of g711 u-law, 8 kHz mono.
"""

from dataclasses import dataclass, field

BYTES_A_SECOND = 8000
BYTES_A_MS = 8


@dataclass(slots=True)
class Part:
    """One item's audio as far as it was sent. `closed`: no more comes, or it was cut off by a clear."""

    item_id: str
    content_index: int
    started_at: float
    sent: int = 0
    heard: int = 0
    """Settled once closed or marked; until then a lower bound."""
    closed: bool = False
    marked: bool = False
    """A mark was sent behind it: what comes for the same item later is another part."""

    @property
    def sent_ms(self) -> int:
        """Milliseconds sent to the carrier; what Truncate is clamped to."""
        return self.sent // BYTES_A_MS


@dataclass(slots=True)
class Playback:
    """The ledger of one stream. `add` is on the audio lane: no allocation but for a new item."""

    parts: list[Part] = field(default_factory=list)
    ends_at: float = 0.0
    """When the carrier's buffer runs dry; in the past if it has."""
    pending: dict[str, Part | None] = field(default_factory=dict)
    """Marks sent and not yet back, in order, with the part that each one ends."""
    flushed: set[str] = field(default_factory=set)
    """Marks that a clear threw out of the buffer: their echo means nothing."""
    of_item: dict[str, list[Part]] = field(default_factory=dict)
    """The same parts by item: a long call has hundreds, and is asked about the newest."""

    def add(self, item_id: str, content_index: int, size: int, now: float) -> bool:
        """Count one piece of audio as sent. size: bytes of u-law. Returns whether it is the item's first."""
        last = self.parts[-1] if self.parts else None
        new = (
            last is None or last.closed or last.marked or last.item_id != item_id or last.content_index != content_index
        )
        starts = self.ends_at if self.ends_at > now else now
        if new:
            last = Part(item_id, content_index, starts)
            self.parts.append(last)
            self.of_item.setdefault(item_id, []).append(last)
        assert last is not None
        last.sent += size
        self.ends_at = starts + size / BYTES_A_SECOND
        return new

    def fill(self, size: int, padding: int, now: float) -> None:
        """Count the rest of the newest part, and the silence that fills its last frame: that takes time and belongs to nobody."""
        if size:
            self.parts[-1].sent += size
        self.ends_at = max(now, self.ends_at) + (size + padding) / BYTES_A_SECOND

    def mark(self, name: str) -> None:
        """A mark was sent behind all that was added so far."""
        part = self.parts[-1] if self.parts else None
        if part is not None:
            part.marked = True
        self.pending[name] = part if part is not None and not part.closed else None

    def reached(self, name: str, now: float) -> bool:
        """A mark came back. True if the audio before it was played, False if a clear flushed it or nobody knows it."""
        if name in self.flushed:
            self.flushed.discard(name)
            return False
        if name not in self.pending:
            return False
        part = self.pending.pop(name)
        if part is None:
            return True
        at, later = len(self.parts) - 1, 0
        while self.parts[at] is not part:
            later += 0 if self.parts[at].closed else self.parts[at].sent
            at -= 1
        while at >= 0 and not self.parts[at].closed:  # before a closed one all are
            self.parts[at].heard = self.parts[at].sent
            self.parts[at].closed = True
            at -= 1
        self.ends_at = now + later / BYTES_A_SECOND
        return True

    def clear(self, now: float) -> list[Part]:
        """Everything unheard is thrown away. Returns the parts that were cut short, oldest first, `heard` settled."""
        self._settle(now)
        cut = [part for part in self.parts if not part.closed and part.heard < part.sent]
        for part in self.parts:
            part.closed = True
        self.flushed.update(self.pending)
        self.pending.clear()
        self.ends_at = min(self.ends_at, now)
        return cut

    def playing(self, now: float) -> bool:
        """Whether the caller still hears us, by the clock or because a mark has not come back yet."""
        return self.ends_at > now or bool(self.pending)

    def heard_ms(self, item_id: str, now: float) -> int:
        """Milliseconds of an item that the caller has heard; never more than were sent."""
        self._settle(now)
        return sum(part.heard for part in self.of_item.get(item_id, ())) // BYTES_A_MS

    def sent_ms(self, item_id: str) -> int:
        """Milliseconds of an item that were sent to the carrier."""
        return sum(part.sent for part in self.of_item.get(item_id, ())) // BYTES_A_MS

    def settled(self, item_id: str) -> bool:
        """Whether nothing more can change in what was heard of an item, unless more of it is sent."""
        return all(part.closed for part in self.of_item.get(item_id, ()))

    def _settle(self, now: float) -> None:
        """Move `heard` of the open parts up to what the clock says. It never goes back."""
        ahead = max(0, round((self.ends_at - now) * BYTES_A_SECOND))
        for part in reversed(self.parts):
            if part.closed:  # and so is every part before it
                break
            unheard = min(part.sent, ahead)
            ahead -= unheard
            part.heard = max(part.heard, part.sent - unheard)
