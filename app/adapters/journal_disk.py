"""The journal's rows on disk, as seen from the loop: one thread does all that blocks, in the order in which it was asked."""

import asyncio
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from typing import Any, TypeVar

import msgspec
import structlog

from app.adapters.entries import Entry, from_spool
from app.adapters.spool_folder import SpoolFolder, Taken

log = structlog.get_logger()
T = TypeVar("T")

_encoder = msgspec.json.Encoder(enc_hook=repr)


class Found:
    """What was read of one kind: entries in order, and rows that are none with what is wrong with them."""

    def __init__(self, taken: Taken) -> None:
        self.taken = taken
        self.torn = taken.read.lines - len(taken.read.rows)
        self.entries: list[Entry] = []
        self.unfit: list[tuple[bytes, Exception]] = []
        for row in taken.read.rows:
            try:
                self.entries.append(from_spool(row))
            except (TypeError, ValueError) as error:
                self.unfit.append((row, error))


class JournalDisk:
    """The spool folder of one journal. `fault`: why the disk took nothing when it was asked last; empty if it did."""

    def __init__(self, folder: SpoolFolder) -> None:
        self.folder = folder
        self.fault = ""
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="spool")

    @property
    def lines(self) -> int:
        """How many rows wait here."""
        return self.folder.lines

    async def adopt(self) -> dict[str, int]:
        """Take over what dead processes left; how many rows of which kind."""
        try:
            return await self._do(self.folder.adopt)
        except OSError as wrong:
            log.error("journal.spool_unreadable", folder=str(self.folder.root), why=str(wrong))
            return {}

    async def keep(self, kind: str, rows: Sequence[bytes]) -> dict[str, int] | None:
        """Put rows on the disk; how many older ones had to go for them, by kind. None: it takes nothing, which is logged once.

        rows: as `to_spool` has them.
        """
        try:
            lost = await self._do(lambda: self.folder.append(kind, rows))
        except OSError as wrong:
            if not self.fault:
                log.error(
                    "journal.disk_takes_nothing",
                    folder=str(self.folder.root),
                    why=str(wrong),
                    remedy="make room; until then rows are kept in memory alone, and go to Postgres from there",
                )
            self.fault = str(wrong)
            return None
        if self.fault:
            log.warning("journal.disk_takes_rows_again", folder=str(self.folder.root))
            self.fault = ""
        return lost

    async def read(self, kind: str, most: int) -> Found | None:
        """The next rows of a kind, the same ones again until `advance`; None: there are none, or the disk cannot be read."""
        if not self.lines:
            return None
        try:
            taken = await self._do(lambda: self.folder.read(kind, most))
        except OSError as wrong:
            log.error("journal.spool_unreadable", folder=str(self.folder.root), why=str(wrong))
            return None
        return None if taken is None else Found(taken)

    async def advance(self, taken: Taken) -> None:
        """Postgres has these."""
        await self._do(lambda: self.folder.advance(taken))

    async def refuse(self, row: Any, why: str, code: str) -> None:
        """Put a row that Postgres will never take where a person can look at it. row: as `to_spool` has it, or anything at all."""
        now = datetime.now(UTC)
        kept = _encoder.encode({"at": now, "why": why, "code": code, "row": row})
        try:
            if not await self._do(lambda: self.folder.refused.add(kept)):
                log.error("journal.refused_rows_not_kept", file=str(self.folder.refused.path), why="it is full")
        except OSError as wrong:
            log.error("journal.refused_rows_not_kept", file=str(self.folder.refused.path), why=str(wrong))

    async def close(self) -> int:
        """Let go of the folder; how many rows it keeps for the next life."""
        rows = self.lines
        await self._do(self.folder.close)
        self._thread.shutdown(wait=False)
        return rows

    def _do(self, work: Callable[[], T]) -> asyncio.Future[T]:
        return asyncio.get_running_loop().run_in_executor(self._thread, work)
