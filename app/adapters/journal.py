"""The background writer of the books: the one queue in the house, far from the audio.

`put` takes a row at once and never waits. Within `SPOOL_SECONDS` rows of the books are on disk (app/adapters/spool.py), whether
Postgres is well or not: a kill -9 takes no more than that. From there they are written in order, in batches of one transaction,
tried again for as long as Postgres is away; then the spool lets go of them. Rows are keyed, so that a batch written twice, by us
or by the next life, leaves the same rows once. Debug events are four rows of five, and only for us: they wait in memory, go to
the disk when there are many or we end, and are the first to be given up when there is no room.

Rows that Postgres refuses for what is in them are set aside in a file. Those that can never be written any more all leave by
`_lose`: only past the bound of the spool, or with both the disk and memory full.

Without a disk, or while it takes nothing, rows wait in memory and go to Postgres from there.
"""

import asyncio
import contextlib
from collections import deque
from collections.abc import Awaitable, Callable

import msgspec
import structlog
from sqlalchemy.ext.asyncio import AsyncEngine

from app import metrics
from app.adapters.book_batch import BookBatch
from app.adapters.database import reason_of, sqlstate
from app.adapters.entries import Entries, Entry, refusal, to_spool
from app.adapters.journal_disk import JournalDisk
from app.adapters.spool_folder import BOOKS, DEBUG, Taken
from app.core.rows import DebugEvent, Row

log = structlog.get_logger()

BATCH_ROWS = 100
"""Encoding a batch keeps the loop from the audio for about a millisecond; 500 rows would take nine."""
GATHER_SECONDS = 0.25
"""A batch costs a millisecond of the loop however few rows it has: twenty a second were a sixth of all that 150 calls took."""
SPOOL_SECONDS = 0.05
DEBUG_ROWS = 2000
"""Debug events past this many go to the disk."""
ADOPT_SECONDS = 10.0
FAULT_SECONDS = 5.0
DISK_RETRY_SECONDS = 1.0
LEAVE_SECONDS = 10.0
UNFIT = (TypeError, AttributeError, ValueError, OverflowError, RecursionError)
"""What a row that is none may raise as it is made ready."""


class Lane:
    """Rows in order. `taken_in` and `settled` only grow: a row is settled once it is written, set aside or lost.

    `waiting`: those in memory that are in no batch.
    """

    def __init__(self) -> None:
        self.waiting: deque[Row] = deque()
        self.taken_in = 0
        self.settled = 0

    @property
    def pending(self) -> int:
        """Rows that are not settled."""
        return self.taken_in - self.settled


class Journal:
    """Takes rows from calls and keeps them in Postgres. All of it runs on one event loop's thread.

    lost: rows given up because there was no room, or time ran out. set_aside: rows that Postgres refused for their content.
    """

    def __init__(self, engine: AsyncEngine, disk: JournalDisk | None = None, *, capacity: int = 20_000) -> None:
        """capacity: rows in memory."""
        self.capacity = capacity
        self.lost = 0
        self.set_aside = 0
        self._disk = disk
        self._entries = Entries()
        self._lanes = {BOOKS: Lane(), DEBUG: Lane()}
        self._batch = BookBatch(engine, written=self._written, refused=self._refused, waiting=lambda: self.pending)
        self._taken: list[Taken] = []
        """Where on disk the batch in work is ..."""
        self._unkept: list[Entry] = []
        """... and what of it is not there."""
        self._done = {BOOKS: 0, DEBUG: 0}
        """... and how much of it is done with: it is settled as a whole, when the disk has let go of it."""
        self._unspooled = asyncio.Event()
        self._moving = asyncio.Lock()
        """Held by whoever takes rows of the books out of memory, or any to the disk, so that they stay in order."""
        self._wake = asyncio.Event()
        self._hurry = asyncio.Event()
        self._progress = asyncio.Event()
        self._writer: asyncio.Task[None] | None = None
        self._closed = False
        self._full = False

    @property
    def pending(self) -> int:
        """Rows that are neither written nor given up, in memory or on disk, those that earlier lives left included."""
        return sum(lane.pending for lane in self._lanes.values())

    def put(self, row: Row) -> None:
        """Take a row; it is on disk, and written, within a moment. Never waits, never raises. When full, debug events go first."""
        kind = DEBUG if isinstance(row, DebugEvent) else BOOKS
        lane, events = self._lanes[kind], self._lanes[DEBUG]
        if self._closed:
            self._lose(1, "the journal is closed")
            return
        pending = self.pending
        if pending >= self.capacity and pending - (self._disk.lines if self._disk else 0) >= self.capacity:
            if not self._full:
                self._full = True
                log.error(
                    "journal.full",
                    capacity=self.capacity,
                    remedy="look at Postgres and at the disk; rows are being lost until one of them takes some",
                )
            if kind == DEBUG or not events.waiting:
                self._lose(1)
                return
            events.waiting.popleft()
            self._settle(DEBUG, 1)
            self._lose(1)
        lane.waiting.append(row)
        lane.taken_in += 1
        if self._disk and (kind == BOOKS or len(lane.waiting) >= DEBUG_ROWS):
            self._unspooled.set()
        if not self._disk or kind == DEBUG:
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

    async def adopt(self) -> int:
        """Take over the rows that dead processes left in the folder; how many. They are written before ours."""
        found = await self._disk.adopt() if self._disk is not None else {}
        for kind, rows in found.items():
            self._lanes[kind].taken_in += rows
        if rows := sum(found.values()):
            log.warning("journal.replays", rows=rows, why="another process ended before Postgres had them")
            self._wake.set()
        return rows

    async def flush(self, timeout: float = 5.0) -> bool:  # noqa: ASYNC109 - part of the answer, not a cancellation
        """Wait until nothing that was put before this call is waiting any more. False: not within `timeout` seconds."""
        goals = [(lane, lane.taken_in) for lane in self._lanes.values()]
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(timeout):
                while any(lane.settled < goal for lane, goal in goals):
                    self._hurry.set()
                    await self._progress.wait()
                return True
        return False

    async def close(self, timeout: float) -> int:  # noqa: ASYNC109 - as above
        """Take no more rows, write what waits, end `run`; what Postgres did not take stays on disk for the next life.

        Returns how many rows were lost at that; they are logged.
        """
        self._closed = True
        writer = self._writer
        if writer is not None:
            await self.flush(timeout)
            writer.cancel()
            await asyncio.wait([writer])
        else:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(timeout):
                    await self._keep(BOOKS)
                    await self._drain()
        rows = self.pending
        if self._disk is not None:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(LEAVE_SECONDS):
                    await self._leave(self._disk)
            rows = len(self._unkept_in_work()) + sum(len(lane.waiting) for lane in self._lanes.values())
        if rows:
            self._lose(rows, "nothing took them before the journal closed")
        for lane in self._lanes.values():
            lane.waiting.clear()
            lane.settled = lane.taken_in
        self._batch.pieces.clear()
        return rows

    def _unkept_in_work(self) -> list[Entry]:
        """What of the batch in work is in memory alone, in order."""
        unkept = {id(entry) for entry in self._unkept}
        return [entry for piece in reversed(self._batch.pieces) for entry in piece if id(entry) in unkept]

    async def _leave(self, disk: JournalDisk) -> None:
        """What is in memory goes to the disk; what is there is the next life's."""
        if not self._batch.pieces:
            await self._let_go()
        # Rows of the books are in work without being on disk only while it takes none: then they are older than all others.
        for kind in (BOOKS, DEBUG):
            mine = [entry for entry in self._unkept_in_work() if (entry.kind is DebugEvent) == (kind == DEBUG)]
            if mine and await disk.keep(kind, [to_spool(entry) for entry in mine]) is not None:
                kept = {id(entry) for entry in mine}
                self._unkept = [entry for entry in self._unkept if id(entry) not in kept]
        async with self._moving:  # what is on its way there has arrived
            pass
        await self._keep(BOOKS)
        await self._keep(DEBUG)
        if rows := await disk.close():
            log.warning(
                "journal.left_on_disk", rows=rows, folder=str(disk.folder.root), remedy="the next start writes them"
            )

    async def _work(self) -> None:
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._lasting(self._write_on))
            if self._disk is not None:
                tasks.create_task(self._lasting(self._keep_on))

    async def _lasting(self, work: Callable[[], Awaitable[None]]) -> None:
        """Whatever happens to us, the books go on."""
        while True:
            try:
                await work()
            except Exception:
                log.exception("a fault of ours in the journal")
                await asyncio.sleep(FAULT_SECONDS)

    async def _keep_on(self) -> None:
        assert self._disk is not None
        loop = asyncio.get_running_loop()
        due = loop.time() + ADOPT_SECONDS
        while True:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout_at(due):
                    await self._unspooled.wait()
            if loop.time() >= due:
                await self.adopt()
                due = loop.time() + ADOPT_SECONDS
                if self._disk.lines:  # also those that could not be read the last time
                    self._wake.set()
            if self._unspooled.is_set():
                await asyncio.sleep(DISK_RETRY_SECONDS if self._disk.fault else SPOOL_SECONDS)
                self._unspooled.clear()
                # What the thread has begun it ends: so does what belongs to it here, even if this task is cancelled.
                await asyncio.shield(asyncio.create_task(self._keep(BOOKS), name="journal keeps"))
                await asyncio.shield(asyncio.create_task(self._keep(DEBUG, DEBUG_ROWS), name="journal keeps"))

    async def _keep(self, kind: str, at_least: int = 1) -> None:
        """Rows go from memory to the disk, if there are so many and as far as it takes them."""
        if self._disk is not None and len(self._lanes[kind].waiting) >= at_least:
            async with self._moving:
                while await self._keep_some(self._disk, kind):
                    pass

    async def _keep_some(self, disk: JournalDisk, kind: str) -> bool:
        """One write to the disk; False: there is nothing left to write, or it takes nothing."""
        waiting = self._lanes[kind].waiting
        rows: list[Row] = []
        lines: list[bytes] = []
        while waiting and len(rows) < BATCH_ROWS:
            row = waiting.popleft()
            try:
                lines.append(to_spool(self._entries.of(row)))
                rows.append(row)
            except UNFIT as error:
                await self._set_aside(row, error)
                self._settle(kind, 1)
        if not rows:
            return False
        lost = await disk.keep(kind, lines)
        self._wake.set()
        if lost is None:
            waiting.extendleft(reversed(rows))
            self._unspooled.set()
            return False
        for gone, count in lost.items():
            if count:
                self._settle(gone, count)
                self._lose(count, f"the spool is full: the oldest rows ({gone}) had to go")
        return True

    async def _write_on(self) -> None:
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
        while self._batch.pieces or await self._take_batch():
            await self._batch.finish()
            await self._let_go()
            if self._full:
                self._full = False
                log.warning("journal.writes_again", lost=self.lost, rows=self.pending)

    async def _take_batch(self) -> bool:
        """The next rows of the books, off the disk or, if it takes none, out of memory; debug events while there is room."""
        batch = await self._read(BOOKS, BATCH_ROWS)
        if not batch and (self._disk is None or self._disk.fault):
            async with self._moving:
                batch += await self._from_memory(BOOKS, BATCH_ROWS)
        batch += await self._from_memory(DEBUG, BATCH_ROWS - len(batch))
        if len(batch) < BATCH_ROWS:
            batch += await self._read(DEBUG, BATCH_ROWS - len(batch))
        if batch:
            self._batch.pieces = [batch]
        return bool(batch)

    async def _read(self, kind: str, most: int) -> list[Entry]:
        while self._disk is not None and (read := await self._disk.read(kind, most)) is not None:
            if read.torn:
                log.error(
                    "journal.torn_rows", rows=read.torn, why="they were being kept as the process or the disk died"
                )
            for row, error in read.unfit:
                await self._set_aside(msgspec.Raw(row), error)
            useless = read.torn + len(read.unfit)
            if read.entries:
                self._done[kind] += useless
                self._taken.append(read.taken)
                return read.entries
            await self._disk.advance(read.taken)
            self._settle(kind, useless)
        return []

    async def _from_memory(self, kind: str, most: int) -> list[Entry]:
        waiting = self._lanes[kind].waiting
        batch: list[Entry] = []
        while waiting and len(batch) < most:
            row = waiting.popleft()
            try:
                batch.append(self._entries.of(row))
            except UNFIT as error:
                await self._set_aside(row, error)
                self._settle(kind, 1)
        self._unkept += batch
        return batch

    async def _let_go(self) -> None:
        """The batch in work is written: nothing on disk has to remember it."""
        while self._taken and self._disk is not None:
            await self._disk.advance(self._taken[0])
            del self._taken[0]
        self._unkept.clear()
        for kind, rows in self._done.items():
            self._settle(kind, rows)
            self._done[kind] = 0

    async def _refused(self, entry: Entry, error: Exception) -> None:
        await self._set_aside(entry, error)
        self._written([entry])

    def _written(self, entries: list[Entry]) -> None:
        events = sum(entry.kind is DebugEvent for entry in entries)
        self._done[DEBUG] += events
        self._done[BOOKS] += len(entries) - events

    def _settle(self, kind: str, rows: int) -> None:
        self._lanes[kind].settled += rows
        self._progress.set()  # wakes everyone in `flush`
        self._progress = asyncio.Event()

    async def _set_aside(self, row: Row | Entry | msgspec.Raw, error: Exception) -> None:
        """A row that Postgres will never take is counted, told, and kept in a file for a person to look at."""
        self.set_aside += 1
        metrics.journal_refused_total.inc()
        told = refusal(row)
        log.error(
            "journal.row_refused",
            row=told.kind,
            call_sid=told.call_sid,
            reason=reason_of(error),
            code=sqlstate(error),
            kept=self._disk is not None,
        )
        if self._disk is not None:
            await self._disk.refuse(told.row, reason_of(error), sqlstate(error))

    def _lose(self, rows: int, why: str = "") -> None:
        """Every row that will not be written leaves here. Without `why` it is counted and told by journal.writes_again."""
        self.lost += rows
        metrics.journal_lost_total.inc(rows)
        if why:
            log.error("journal.rows_lost", rows=rows, why=why)
