"""The phone's link of a stream, which is closed only once the books have what happened in it.

The carrier asks what is next the moment a stream closes, and it may ask another process of ours: that one knows the call by the
books alone. So what was put into the journal before is written first, for which the caller waits some ten milliseconds. Books that
do not answer hold nobody up for longer than `FLUSH_SECONDS`.
"""

import asyncio

from app.adapters.journal import Journal
from app.adapters.link import Link

FLUSH_SECONDS = 0.3


class ClosingLink:
    """A `Link` in front of another; `send` is that one's own."""

    def __init__(self, link: Link, journal: Journal) -> None:
        self.send = link.send
        self._link = link
        self._journal = journal
        self._closing: asyncio.Task[None] | None = None

    def close(self, code: int = 1000, reason: str = "") -> None:
        """Close once the journal has written what was put so far, and in this turn of the loop. The first close counts."""
        if self._closing is None:
            self._closing = asyncio.get_running_loop().create_task(self._close(code, reason), name="close a stream")

    async def _close(self, code: int, reason: str) -> None:
        try:
            await self._journal.flush(FLUSH_SECONDS)
        finally:
            self._link.close(code, reason)
