"""Rows on disk until Postgres has them: files that only grow at their end, read in order, gone once they were written.

A row is a line: eight hexadecimal digits of CRC-32, a space, its JSON, a newline. JSON can do without newlines, so a line that
was torn by a crash, or that a bad disk changed, is known by its checksum, and the next newline is where to go on. Lines are
put at the end of a segment, which is synced to the disk before `append` is over; past `SEGMENT_BYTES` the next one begins.
What is read is not gone: `advance` says that Postgres has it. A segment is deleted when all of it is there, and the last one is
emptied, so that a healthy house keeps nobody's words here. A crash before `advance` has the same rows read again; they are keyed.

Everything here blocks: it is for one thread, and not the loop's.
"""

import contextlib
import os
import zlib
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

SEGMENT_BYTES = 1 << 20
READ_BYTES = 1 << 20
"""A batch ends behind this many, however few rows it has."""

_sync = getattr(os, "fdatasync", os.fsync)  # macOS has no fdatasync


def line_of(row: bytes) -> bytes:
    """A row, which is JSON, as a line."""
    row = row.replace(b"\n", b" ").replace(b"\r", b" ")  # only ever between its parts: in a string they are escaped
    return b"%08x %b\n" % (zlib.crc32(row), row)


def row_of(line: bytes) -> bytes | None:
    """The row of a line; None if it is not what was written."""
    row = line[9:-1]
    whole = line[8:9] == b" " and line[-1:] == b"\n" and line[:8] == b"%08x" % zlib.crc32(row)
    return row if whole else None


class Read(NamedTuple):
    """What was read. `lines` are also those that were torn, which are not in `rows`."""

    rows: list[bytes]
    lines: int
    segment: int
    end: int


class _Segment:
    """One file. `size` and `lines`: as far as it is whole."""

    def __init__(self, path: Path, number: int, size: int = 0, lines: int = 0) -> None:
        self.path, self.number, self.size, self.lines = path, number, size, lines


class Spool:
    """One row of segments in a folder: NAME.00000001, NAME.00000002, ..."""

    def __init__(self, folder: Path, name: str) -> None:
        """What lies there is read first. Raises OSError."""
        self._folder, self._name = folder, name
        self._file: int | None = None
        self._segments = [_found(path) for path in sorted(folder.glob(f"{name}.[0-9]*"))]
        self._next = self._segments[-1].number + 1 if self._segments else 1
        self._offset = 0
        self._passed = 0
        """Lines of the first segment before `_offset`."""
        self._reading = 0
        """... and behind it that were read, and not advanced over."""
        self.lines = sum(segment.lines for segment in self._segments)
        """How many wait."""

    @property
    def size(self) -> int:
        """Bytes on the disk."""
        return sum(segment.size for segment in self._segments)

    def append(self, lines: Iterable[bytes]) -> None:
        """Put lines at the end, and see them on the disk. Raises OSError: none of them was put."""
        data = list(lines)
        if self._file is None or self._segments[-1].size >= SEGMENT_BYTES:
            self._begin()
        assert self._file is not None
        segment = self._segments[-1]
        whole = b"".join(data)
        try:
            _write(self._file, whole)
            _sync(self._file)
        except OSError:
            self._cut(segment)
            raise
        segment.size += len(whole)
        segment.lines += len(data)
        self.lines += len(data)

    def read(self, most: int) -> Read | None:
        """The next rows, `most` at most, in order; the same ones again until `advance`. None: nothing waits. Raises OSError."""
        while self._segments:
            first = self._segments[0]
            if self._offset >= first.size:
                if len(self._segments) == 1 and self._file is not None:
                    return None
                self._leave(first)
                continue
            with first.path.open("rb") as file:
                file.seek(self._offset)
                rows: list[bytes] = []
                lines, end = 0, self._offset
                while lines < most and end < first.size and end - self._offset < READ_BYTES:
                    line = file.readline(first.size - end)
                    if not line:  # shorter than it was: somebody else has been here
                        first.size = end
                        break
                    end += len(line)
                    lines += 1
                    if (row := row_of(line)) is not None:
                        rows.append(row)
                self._reading = lines
                return Read(rows, lines, first.number, end)
        return None

    def advance(self, read: Read) -> None:
        """Postgres has these rows. Never raises: what cannot be deleted is only read once more in the next life."""
        first = self._segments[0] if self._segments else None
        if first is None or first.number != read.segment:
            return  # dropped meanwhile
        self._offset = read.end
        self._reading = 0
        self._passed += read.lines
        self.lines -= read.lines
        if self._offset < first.size:
            return
        if len(self._segments) > 1 or self._file is None:
            self._leave(first)
            return
        with contextlib.suppress(OSError):
            os.ftruncate(self._file, 0)
            self.lines -= first.lines - self._passed
            first.size = first.lines = self._offset = self._passed = 0

    def drop(self) -> int:
        """Give the oldest segment up; how many rows went with it. Those that somebody has just read do not count."""
        if not self._segments:
            return 0
        first = self._segments[0]
        rows = first.lines - self._passed - self._reading
        if len(self._segments) == 1:
            self._shut()
        self._leave(first)
        return rows

    def close(self) -> None:
        """Let go of the files; those without a row are deleted."""
        self._shut()
        if not self.lines:
            for segment in list(self._segments):
                self._leave(segment)

    def _begin(self) -> None:
        """Begin a segment, in a way that a power cut leaves it there."""
        self._shut()
        path = self._folder / f"{self._name}.{self._next:08d}"
        self._file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND | os.O_CLOEXEC, 0o600)
        self._next += 1
        self._segments.append(_Segment(path, self._next - 1))
        folder = os.open(self._folder, os.O_RDONLY | os.O_CLOEXEC)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)

    def _cut(self, segment: _Segment) -> None:
        """Take half a write away again. Where even that fails the next append begins a segment: readers stop at `size`."""
        assert self._file is not None
        try:
            os.ftruncate(self._file, segment.size)
        except OSError:
            self._shut()

    def _leave(self, segment: _Segment) -> None:
        """Delete the first segment."""
        self.lines -= segment.lines - self._passed
        self._segments.remove(segment)
        self._offset = self._passed = self._reading = 0
        with contextlib.suppress(OSError):
            segment.path.unlink()

    def _shut(self) -> None:
        if self._file is not None:
            os.close(self._file)
            self._file = None


def rows_in(path: Path) -> Iterator[bytes]:
    """All whole rows of one file. Raises OSError."""
    with path.open("rb") as file:
        yield from (row for row in map(row_of, file) if row is not None)


def _found(path: Path) -> _Segment:
    """A segment that an earlier life left. Raises OSError."""
    with path.open("rb") as file:
        lines = sum(1 for _ in file)
    return _Segment(path, int(path.suffix[1:]), path.stat().st_size, lines)


def _write(file: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(file, view) :]
