"""What the books know of calls that another process of ours began, asked for while the caller waits: in a second, or not at all."""

from collections.abc import Coroutine
from typing import Any, TypeVar

import structlog

from app.adapters.in_time import Patience
from app.adapters.store import CallStore, Recalled
from app.calls.takeover import nothing_known
from app.core.rows import TransferAttempt

log = structlog.get_logger()

T = TypeVar("T")

BOOKS_SECONDS = 1.0


class Earlier:
    """The books, for a caller who is on the line: with or without them."""

    def __init__(self, books: CallStore, patience: Patience | None = None) -> None:
        """patience: with the books, where others of this process have the same."""
        self.books = books
        self._patience = patience or Patience()

    async def recall(self, call_sid: str) -> Recalled | None:
        """What the books know of a call that this process does not, be it nothing; None if they do not answer in time."""
        return await self._ask(call_sid, self._recalled(call_sid))

    async def attempts(self, call_sid: str) -> list[TransferAttempt]:
        """The transfers of such a call; none if the books do not answer in time."""
        return await self._ask(call_sid, self.books.transfers(call_sid)) or []

    async def close_lost(self, call_sid: str, outcome: str = "lost") -> None:
        """The end of such a call: its row is closed, if there is one that is open; else an hour later, by its age."""
        await self._ask(call_sid, self.books.close_lost(call_sid=call_sid, outcome=outcome))

    async def _recalled(self, call_sid: str) -> Recalled:
        return await self.books.recalled(call_sid) or nothing_known(call_sid)

    async def _ask(self, call_sid: str, question: Coroutine[Any, Any, T]) -> T | None:
        try:
            return await self._patience.ask(BOOKS_SECONDS, question)
        except Exception as wrong:  # whatever it is: the caller is on the line
            log.warning("the books do not answer", call_sid=call_sid, why=f"{type(wrong).__name__}: {wrong}")
            return None
