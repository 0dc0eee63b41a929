"""What offhook.toml says of recordings ([recording]): which modes' calls are kept as sound, and for how long; by default none."""

import msgspec

EVERY = "*"
"""In `modes`: all of them."""
DAYS = 30
MOST_DAYS = 3650


class RecordingRules(msgspec.Struct, frozen=True, kw_only=True):
    """`modes` by name, or EVERY. days: a recording is deleted so long after it was made."""

    modes: frozenset[str] = frozenset()
    days: int = DAYS

    def wants(self, mode: str) -> bool:
        """Whether calls in a mode are recorded, if the caller is told."""
        return mode in self.modes or EVERY in self.modes


class Table(msgspec.Struct, forbid_unknown_fields=True):
    """[recording] as it is written."""

    modes: list[str] = []
    days: int = DAYS


def read_recording(table: Table, where: str, faults: list[str]) -> RecordingRules:
    """The rules of a table; what is wrong with it is added to `faults`, but unknown modes. where: the file's name."""
    if not 1 <= table.days <= MOST_DAYS:
        faults.append(f"{where}: recording.days: expected 1 to {MOST_DAYS}, got {table.days}")
    return RecordingRules(modes=frozenset(table.modes), days=max(1, table.days))
