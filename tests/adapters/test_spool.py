"""Rows on disk: read back as they were put, in order, whatever a crash or a bad disk has made of the files."""

import errno
import os
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.adapters import spool as spool_module
from app.adapters.spool import Spool, line_of, row_of
from app.adapters.spool_folder import BOOKS, DEBUG, Refused, SpoolFolder


def numbered(count: int, first: int = 0) -> list[bytes]:
    return [b'["Turn","",{"seq":%d}]' % number for number in range(first, first + count)]


def put(spool: Spool, rows: list[bytes]) -> None:
    spool.append(line_of(row) for row in rows)


def drained(spool: Spool, at_a_time: int = 7) -> list[bytes]:
    """All rows, each batch let go of as it was read."""
    rows = []
    while (read := spool.read(at_a_time)) is not None:
        rows += read.rows
        spool.advance(read)
    assert spool.lines == 0, "every line is counted once"
    return rows


def on_disk(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.iterdir())


def test_rows_come_back_in_order_and_leave_nothing_behind(tmp_path: Path) -> None:
    spool = Spool(tmp_path, "books")
    put(spool, numbered(10))
    put(spool, numbered(10, 10))
    assert spool.lines == 20
    assert drained(spool) == numbered(20)
    assert on_disk(tmp_path) == 0, "what Postgres has is nobody's here"
    put(spool, numbered(3, 20))
    assert drained(spool) == numbered(3, 20)
    spool.close()
    assert list(tmp_path.iterdir()) == []


def test_what_was_not_let_go_of_is_read_again_in_this_life_and_in_the_next(tmp_path: Path) -> None:
    spool = Spool(tmp_path, "books")
    put(spool, numbered(10))
    first = spool.read(4)
    assert first is not None
    assert spool.read(4) == first
    spool.advance(first)
    again = Spool(tmp_path, "books")  # as after kill -9: nothing was closed
    assert again.lines == 10
    assert drained(again) == numbered(10)


def test_segments_are_deleted_one_by_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(spool_module, "SEGMENT_BYTES", 100)
    spool = Spool(tmp_path, "books")
    for number in range(10):
        put(spool, numbered(3, 3 * number))
    before = len(list(tmp_path.iterdir()))
    assert before > 3
    read = spool.read(7)
    assert read is not None
    spool.advance(read)
    assert len(list(tmp_path.iterdir())) < before
    assert read.rows + drained(spool) == numbered(30)


def test_a_newline_inside_a_row_is_only_space(tmp_path: Path) -> None:
    spool = Spool(tmp_path, "books")
    put(spool, [b'{\n  "a": "b\\n"\r\n}'])
    assert drained(spool) == [b'{   "a": "b\\n"  }']


@given(data=st.data())
@settings(max_examples=150, deadline=None)
def test_no_damage_to_a_file_raises_or_makes_a_wrong_row(
    data: st.DataObject, tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("spool")
    spool = Spool(folder, "books")
    put(spool, rows := numbered(12))
    (path,) = folder.iterdir()
    content = bytearray(path.read_bytes())
    del content[data.draw(st.integers(0, len(content))) :]  # torn
    for _ in range(data.draw(st.integers(0, 4))):  # changed
        if content:
            at = data.draw(st.integers(0, len(content) - 1))
            content[at : at + data.draw(st.integers(0, 9))] = data.draw(st.binary(max_size=9))
    path.write_bytes(content)
    found = drained(Spool(folder, "books"), at_a_time=data.draw(st.integers(1, 20)))
    places = [rows.index(row) for row in found]  # raises for a row that nobody put
    assert places == sorted(set(places))


@given(end=st.integers(0, 12 * 33))
@settings(max_examples=60, deadline=None)
def test_a_torn_end_costs_the_torn_row_alone(end: int, tmp_path_factory: pytest.TempPathFactory) -> None:
    folder = tmp_path_factory.mktemp("spool")
    put(Spool(folder, "books"), rows := numbered(12))
    (path,) = folder.iterdir()
    os.truncate(path, min(end, path.stat().st_size))
    whole = path.read_bytes().count(b"\n")
    assert drained(Spool(folder, "books")) == rows[:whole]


@given(st.binary())
def test_a_line_is_a_row_only_as_it_was_written(garbage: bytes) -> None:
    assert row_of(garbage) is None
    row = garbage.replace(b"\n", b" ").replace(b"\r", b" ")
    assert row_of(line_of(row)) == row


def test_a_full_disk_takes_a_write_whole_or_not_at_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    spool = Spool(tmp_path, "books")
    put(spool, numbered(2))
    write = os.write

    def half(file: int, data: bytes) -> int:
        if len(data) < 20:
            raise OSError(errno.ENOSPC, "No space left on device")
        return write(file, bytes(data)[: len(data) // 2])

    monkeypatch.setattr("app.adapters.spool.os.write", half)
    with pytest.raises(OSError, match="No space left"):
        put(spool, numbered(2, 2))
    monkeypatch.undo()
    put(spool, numbered(2, 4))
    (path,) = tmp_path.iterdir()
    assert path.read_bytes().count(b"\n") == 4, "the half that was written is gone again"
    assert drained(spool) == numbered(2) + numbered(2, 4)


# --- lives ------------------------------------------------------------------------------------------------------------


def rows_of(folder: SpoolFolder, kind: str = BOOKS) -> list[bytes]:
    rows = []
    while (taken := folder.read(kind, 5)) is not None:
        rows += taken.read.rows
        folder.advance(taken)
    return rows


def test_a_living_process_is_left_its_rows_and_a_dead_one_s_are_adopted_first(tmp_path: Path) -> None:
    root = tmp_path / "spool"
    one, two = SpoolFolder(root), SpoolFolder(root)
    one.append(BOOKS, numbered(6))
    one.append(DEBUG, numbered(2, 100))
    two.append(BOOKS, numbered(3, 6))
    assert two.adopt() == {BOOKS: 0, DEBUG: 0}
    assert two.others_alive()
    one.close()
    assert two.adopt() == {BOOKS: 6, DEBUG: 2}
    assert two.adopt() == {BOOKS: 0, DEBUG: 0}, "once"
    assert two.lines == 11
    assert rows_of(two) == numbered(9)
    assert rows_of(two, DEBUG) == numbered(2, 100)
    assert two.lines == 0
    two.close()
    assert list(root.glob("*")) == []


def test_past_its_bound_debug_events_go_first_and_then_the_oldest_rows(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(spool_module, "SEGMENT_BYTES", 200)
    folder = SpoolFolder(tmp_path / "spool", most_bytes=2000)
    lost = {BOOKS: 0, DEBUG: 0}
    folder.append(DEBUG, numbered(10, 1000))
    for number in range(30):
        for kind, rows in folder.append(BOOKS, numbered(5, 1000 + 5 * number)).items():
            lost[kind] += rows
        assert not lost[BOOKS] or lost[DEBUG] == 10, "first of all"
    assert lost[BOOKS] > 0
    assert rows_of(folder) == numbered(150 - lost[BOOKS], 1000 + lost[BOOKS])
    folder.close()


def test_a_full_disk_is_given_the_room_of_debug_events(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = SpoolFolder(tmp_path / "spool")
    folder.append(DEBUG, numbered(4))
    append = Spool.append

    def full(spool: Spool, lines: list[bytes]) -> None:
        if list(tmp_path.glob("spool/*/debug.*")):
            raise OSError(errno.ENOSPC, "No space left on device")
        append(spool, lines)

    monkeypatch.setattr(Spool, "append", full)
    with pytest.raises(OSError, match="No space left"):
        folder.append(DEBUG, numbered(1))
    assert folder.append(BOOKS, numbered(3)) == {BOOKS: 0, DEBUG: 4}
    assert rows_of(folder) == numbered(3)
    folder.close()


def test_refused_rows_are_kept_once_and_those_that_come_meanwhile_stay(tmp_path: Path) -> None:
    refused = Refused(tmp_path / "spool" / "refused")
    assert refused.rows() == []
    for row in [*numbered(2), *numbered(2)]:
        assert refused.add(row)
    read = refused.rows()
    assert read == numbered(2)
    assert refused.add(b"added meanwhile")
    refused.remove(read)
    assert refused.rows() == [b"added meanwhile"]
