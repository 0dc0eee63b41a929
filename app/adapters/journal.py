"""The background writer of the books: the one queue in the house, far from the audio.

`put` takes a row at once and never waits. `run` writes: it gathers a batch, writes it in one transaction, and tries again for as
long as Postgres is away; rows are keyed, so a batch written twice leaves the same rows once. Order is kept within each lane,
and there are two: the rows of the books, and debug events, which wait behind them and are the first to go when memory is full.

A batch in work is a pile of pieces. A piece that Postgres refuses for what is in it is halved until the bad row stands
alone; that one is logged and set aside, its neighbours are written. Rows that can never be written any more all leave by
`_lose`: a spool on disk belongs there.
"""

import asyncio
import contextlib
from collections import deque

import structlog
from sqlalchemy.exc import DBAPIError, StatementError
from sqlalchemy.ext.asyncio import AsyncEngine

from app.adapters.database import DATABASE_ERRORS, reason_of, sqlstate
from app.adapters.entries import WRITING_ORDER, Entries, Entry, bound
from app.core.record import DebugEvent, Row

log = structlog.get_logger()

BATCH_ROWS = 100
"""Encoding a batch keeps the loop from the audio for about a millisecond; 500 rows would take nine."""
GATHER_SECONDS = 0.25
"""A batch costs a millisecond of the loop however few rows it has: twenty a second were a sixth of all that 150 calls took."""
FIRST_RETRY_SECONDS = 0.05
LAST_RETRY_SECONDS = 5.0
CONTENT_CLASSES = {"22", "23", "54"}
"""SQLSTATE classes that blame the row: data exception, integrity constraint violation, program limit exceeded."""


class Lane:
    """Rows in order. `taken_in` and `settled` only grow: a row is settled once it is written, set aside or lost."""

    def __init__(self) -> None:
        self.waiting: deque[Row] = deque()
        self.taken_in = 0
        self.settled = 0

    def add(self, row: Row) -> None:
        """Put a row at the end."""
        self.waiting.append(row)
        self.taken_in += 1


class Journal:
    """Takes rows from calls and keeps them in Postgres. All of it runs on one event loop's thread.

    lost: rows given up because memory was full or time ran out. set_aside: rows that Postgres refused for their content.
    """

    def __init__(self, engine: AsyncEngine, *, capacity: int = 20_000) -> None:
        self.capacity = capacity
        self.lost = 0
        self.set_aside = 0
        self._engine = engine
        self._entries = Entries()
        self._books = Lane()
        self._debug = Lane()
        self._pieces: list[list[Entry]] = []
        self._wake = asyncio.Event()
        self._hurry = asyncio.Event()
        self._progress = asyncio.Event()
        self._writer: asyncio.Task[None] | None = None
        self._closed = False
        self._full = False

    @property
    def pending(self) -> int:
        """Rows taken in that are neither written nor given up."""
        books, debug = self._books, self._debug
        return books.taken_in + debug.taken_in - books.settled - debug.settled

    def put(self, row: Row) -> None:
        """Take a row; it is written within a moment. Never waits, never raises. When full, debug events go first."""
        lane = self._debug if isinstance(row, DebugEvent) else self._books
        if self._closed:
            self._lose(1, "the journal is closed")
            return
        if self.pending >= self.capacity:
            if not self._full:
                self._full = True
                log.error(
                    "journal.full",
                    capacity=self.capacity,
                    remedy="look at Postgres; rows are being lost until it writes",
                )
            if lane is self._debug or not self._debug.waiting:
                self._lose(1)
                return
            self._debug.waiting.popleft()
            self._debug.settled += 1
            self._tell()
            self._lose(1)
        lane.add(row)
        self._wake.set()
        if len(lane.waiting) >= BATCH_ROWS:
            self._hurry.set()

    async def run(self) -> None:
        """Write until `close`, or until cancelled; what was not written then is still kept for `close`."""
        if self._closed:  # before this task had its first turn
            return
        self._writer = asyncio.create_task(self._work(), name="journal")
        try:
            await self._writer
        except asyncio.CancelledError:
            current = asyncio.current_task()
            if current and current.cancelling():  # else it was `close` that ended the writer
                raise
        finally:
            self._writer = None

    async def flush(self, timeout: float = 5.0) -> bool:  # noqa: ASYNC109 - part of the answer, not a cancellation
        """Wait until nothing that was put before this call is waiting any more. False: not within `timeout` seconds."""
        books, debug = self._books.taken_in, self._debug.taken_in
        self._hurry.set()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(timeout):
                while self._books.settled < books or self._debug.settled < debug:
                    await self._progress.wait()
                return True
        return False

    async def close(self, timeout: float) -> int:  # noqa: ASYNC109 - as above
        """Take no more rows, write what waits, end `run`. Returns how many rows were lost at that; they are logged."""
        self._closed = True
        writer = self._writer
        if writer is not None:
            await self.flush(timeout)
            writer.cancel()
            await asyncio.wait([writer])
        else:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(timeout):
                    await self._drain()
        rows = self.pending
        if rows:
            self._lose(rows, "Postgres did not take them before the journal closed")
            for lane in (self._books, self._debug):
                lane.waiting.clear()
                lane.settled = lane.taken_in
            self._pieces.clear()
        return rows

    async def _work(self) -> None:
        while True:
            await self._wake.wait()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(GATHER_SECONDS):
                    await self._hurry.wait()
            self._wake.clear()
            self._hurry.clear()
            await self._drain()

    async def _drain(self) -> None:
        """Write all that waits. May be cancelled and called again: the batch in work is kept."""
        while self._pieces or self._take_batch():
            retry_seconds = 0.0
            while self._pieces:
                piece = self._pieces[-1]
                try:
                    await self._write(piece)
                except Exception as error:
                    if blames_the_rows(error):
                        self._halve(error)
                        continue
                    retry_seconds = min(max(FIRST_RETRY_SECONDS, retry_seconds * 2), LAST_RETRY_SECONDS)
                    log.warning(
                        "journal.waits_for_postgres",
                        reason=reason_of(error),
                        rows=self.pending,
                        retry_seconds=retry_seconds,
                    )
                    await asyncio.sleep(retry_seconds)
                else:
                    retry_seconds = 0.0
                    self._settle(self._pieces.pop())
            if self._full:
                self._full = False
                log.warning("journal.writes_again", lost=self.lost, rows=self.pending)

    def _take_batch(self) -> bool:
        batch: list[Entry] = []
        for lane in (self._books, self._debug):
            while lane.waiting and len(batch) < BATCH_ROWS:
                row = lane.waiting.popleft()
                try:
                    batch.append(self._entries.of(row))
                except (TypeError, AttributeError) as error:
                    self._set_aside(type(row).__name__, str(getattr(row, "call_sid", "")), error)
                    lane.settled += 1
                    self._tell()
        if batch:
            self._pieces = [batch]
        return bool(batch)

    async def _write(self, piece: list[Entry]) -> None:
        async with self._engine.begin() as connection:
            for kind, statement in WRITING_ORDER.items():
                if values := [entry.values for entry in piece if entry.kind is kind]:
                    await connection.execute(statement, bound(kind, values))

    def _halve(self, error: Exception) -> None:
        piece = self._pieces.pop()
        if len(piece) > 1:
            middle = len(piece) // 2
            self._pieces += [piece[middle:], piece[:middle]]
            return
        self._set_aside(piece[0].kind.__name__, str(piece[0].values["call_sid"]), error)
        self._settle(piece)

    def _settle(self, entries: list[Entry]) -> None:
        debug = sum(entry.kind is DebugEvent for entry in entries)
        self._debug.settled += debug
        self._books.settled += len(entries) - debug
        self._tell()

    def _tell(self) -> None:
        """Wake everyone in `flush`."""
        self._progress.set()
        self._progress = asyncio.Event()

    def _set_aside(self, kind: str, call_sid: str, error: Exception) -> None:
        self.set_aside += 1
        log.error("journal.row_refused", row=kind, call_sid=call_sid, reason=reason_of(error), code=sqlstate(error))

    def _lose(self, rows: int, why: str = "") -> None:
        """Every row that will not be written leaves here. Without `why` it is counted and told by journal.writes_again."""
        self.lost += rows
        if why:
            log.error("journal.rows_lost", rows=rows, why=why)


def blames_the_rows(error: Exception) -> bool:
    """Whether writing these rows would fail again however healthy Postgres is."""
    if isinstance(error, DBAPIError):
        # The driver's own refusal to encode a value is a ValueError and has no code.
        encoding = isinstance(error.orig and error.orig.__cause__, ValueError)
        return encoding or sqlstate(error)[:2] in CONTENT_CLASSES
    if isinstance(error, StatementError):
        return True  # a value could not even be bound
    return not isinstance(error, DATABASE_ERRORS)
