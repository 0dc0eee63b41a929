"""Timers: a call's deadlines as data. Setting, dropping and asking; no clock."""

from dataclasses import dataclass, field
from typing import Literal

Timer = Literal[
    "hello", "moment", "first_audio", "answer", "stall", "hush", "mend", "again", "rollover", "dormant", "speech", "keys", "filler",
    "leave", "max",
]  # fmt: skip


@dataclass(slots=True)
class Timers:
    """What is due when. Times are seconds on the machine's clock."""

    due: dict[Timer, float] = field(default_factory=dict)

    def set(self, name: Timer, at: float) -> None:
        """Set or move a deadline."""
        self.due[name] = at

    def drop(self, name: Timer) -> None:
        """Forget a deadline; fine if there is none."""
        self.due.pop(name, None)

    @property
    def next(self) -> float | None:
        """The earliest deadline."""
        return min(self.due.values(), default=None)

    def take_due(self, now: float) -> list[Timer]:
        """Deadlines that have come, earliest first; each is given out once."""
        come = sorted((at, name) for name, at in self.due.items() if at <= now)
        for _, name in come:
            del self.due[name]
        return [name for _, name in come]
