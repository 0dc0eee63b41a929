"""What happened on one stand-in call, in order: the carrier's debugger, read by tests and by rehearsals."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import structlog

logger = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Entry:
    """One thing that happened.

    at_ms: milliseconds since the call began.
    what: `webhook`, `verb`, `status`, `callback`, `stream`, `mark`, `echo`, `clear`, `dtmf`, `dial`, `gather`, `update`,
    `warning`, `error`, `note` ...; the detail's keys depend on it, and `code` is Twilio's error code.
    """

    at_ms: int
    what: str
    detail: dict[str, Any] = field(default_factory=dict)

    def __str__(self) -> str:
        return f"{self.at_ms:>7} ms {self.what} " + " ".join(f"{key}={value!r}" for key, value in self.detail.items())


class CallLog(list[Entry]):
    """A list of entries; `heed` is called with each one as it is added (a rehearsal prints from it)."""

    def __init__(self, now: Callable[[], float], call_sid: str, heed: Callable[[Entry], None] | None = None) -> None:
        super().__init__()
        self._now = now
        self._began = now()
        self._call_sid = call_sid
        self._heed = heed

    def at_ms(self) -> int:
        """Milliseconds since the call began."""
        return round((self._now() - self._began) * 1000)

    def add(self, what: str, **detail: Any) -> Entry:
        """Write one entry down."""
        entry = Entry(self.at_ms(), what, detail)
        self.append(entry)
        if self._heed is not None:
            self._heed(entry)
        return entry

    def warning(self, code: int, message: str, **detail: Any) -> None:
        """Twilio's debugger would show a warning; the call goes on."""
        logger.warning("carrier.warning", call_sid=self._call_sid, code=code, message=message)
        self.add("warning", code=code, message=message, **detail)

    def error(self, code: int, message: str, **detail: Any) -> None:
        """Twilio's debugger would show an error."""
        logger.warning("carrier.error", call_sid=self._call_sid, code=code, message=message)
        self.add("error", code=code, message=message, **detail)

    def of(self, *what: str) -> list[Entry]:
        """The entries of these kinds, in order."""
        return [entry for entry in self if entry.what in what]

    def codes(self) -> list[int]:
        """The codes of all warnings and errors, in order."""
        return [entry.detail["code"] for entry in self.of("warning", "error")]
