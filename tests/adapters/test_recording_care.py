"""Recordings afterwards: old ones are deleted, file first, and what a crash broke off is finished if its caller was told."""

import asyncio
import fcntl
import os
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from msgspec.structs import replace
from sqlalchemy import text
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncEngine

from app.adapters.recording_files import FOLDER, Reel, left_behind
from app.adapters.store import CallStore
from app.calls.recording import row_of
from app.core.recorded import Recording
from app.core.rows import Consent
from app.jobs.recording_care import delete_old, finish_left_behind, tidy_recordings
from app.rules.recording import RecordingRules
from tests.adapters.rows import writing

NOW = datetime.now(UTC)


def kept(data: Path, sid: str, age: timedelta) -> Recording:
    """A recording of that age on disk, and its row."""
    reel = Reel(data, Reel.label_of(sid, 0, NOW - age))
    reel.write(0, 0, b"\x21" * 1600)
    row = row_of(reel, reel.weave(), "recording", complete=True)
    reel.drop()
    return row


def files(data: Path) -> list[str]:
    return sorted(str(path.relative_to(data)) for path in (data / FOLDER).rglob("*") if path.is_file())


async def put(engine: AsyncEngine, *rows: Recording | Consent) -> None:
    async with writing(engine) as journal:
        for row in rows:
            journal.put(row)
        await journal.flush()


async def test_a_recording_is_deleted_when_its_days_are_over_and_its_row_says_so(
    engine: AsyncEngine, tmp_path: Path
) -> None:
    old, young = kept(tmp_path, "CA1", timedelta(days=31)), kept(tmp_path, "CA2", timedelta(days=29))
    gone = kept(tmp_path, "CA3", timedelta(days=40))
    await put(engine, old, young, gone)
    (tmp_path / gone.path).unlink()
    assert await tidy_recordings(engine, tmp_path, RecordingRules(days=30)) == (0, 2)
    assert files(tmp_path) == [young.path]
    store = CallStore(engine)
    for sid in ("CA1", "CA3"):
        (row,) = await store.recordings(sid)
        assert row.deleted_at is not None
    assert await store.recordings("CA2") == [young]
    assert await tidy_recordings(engine, tmp_path, RecordingRules(days=30)) == (0, 0)


async def test_a_recording_that_cannot_be_deleted_holds_up_no_other(
    engine: AsyncEngine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("app.jobs.recording_care.AT_ONCE", 1)
    first, second, third = (kept(tmp_path, f"CA{n}", timedelta(days=50 - n)) for n in (1, 2, 3))
    await put(engine, first, replace(second, path="outside.wav"), third)
    assert await delete_old(engine, tmp_path, NOW - timedelta(days=30)) == 2
    assert files(tmp_path) == [second.path]
    (row,) = await CallStore(engine).recordings("CA2")
    assert row.deleted_at is None


async def test_a_file_whose_row_was_lost_goes_with_the_others_of_its_age(engine: AsyncEngine, tmp_path: Path) -> None:
    lost, young = kept(tmp_path, "CA1", timedelta(0)), kept(tmp_path, "CA2", timedelta(0))
    aged = (NOW - timedelta(days=31)).timestamp()
    os.utime(tmp_path / lost.path, (aged, aged))
    await delete_old(engine, tmp_path, NOW - timedelta(days=30))
    assert files(tmp_path) == [young.path]


async def test_what_a_crash_broke_off_is_kept_only_of_callers_who_are_known_to_be_told(
    engine: AsyncEngine, tmp_path: Path
) -> None:
    for sid, heard in (("CA1", True), ("CA2", False), ("CA3", None)):
        if heard is not None:
            told = Consent(call_sid=sid, at=NOW, what="both", text="", why="", how="before_stream", heard=heard)
            await put(engine, told)
        reel = Reel(tmp_path, Reel.label_of(sid, 700, NOW))
        reel.write(1, 0, b"\x21" * 1600)
        reel.close()
    living = Reel(tmp_path, Reel.label_of("CA4", 0, NOW))
    assert await finish_left_behind(engine, tmp_path) == 1
    (row,) = await CallStore(engine).recordings("CA1")
    assert (row.start_ms, row.ms, row.complete, row.consent) == (700, 200, False, "both")
    living.drop()
    assert files(tmp_path) == [row.path]
    async with engine.connect() as connection:
        assert (await connection.execute(text("SELECT count(*) FROM recordings"))).scalar_one() == 1
    await asyncio.to_thread((tmp_path / row.path).unlink)


async def test_what_could_not_be_finished_while_the_database_was_away_is_finished_the_next_time(
    engine: AsyncEngine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for sid in ("CA1", "CA2"):
        await put(engine, Consent(call_sid=sid, at=NOW, what="both", text="", why="", how="before_stream", heard=True))
        reel = Reel(tmp_path, Reel.label_of(sid, 0, NOW))
        reel.write(1, 0, b"\x21" * 1600)
        reel.close()

    async def away(engine: AsyncEngine, call_sid: str) -> str:
        raise SQLAlchemyError

    with monkeypatch.context() as patched:
        patched.setattr("app.jobs.recording_care._told", away)
        with pytest.raises(SQLAlchemyError):
            await finish_left_behind(engine, tmp_path)
    assert await finish_left_behind(engine, tmp_path) == 2


def test_one_that_was_just_finished_is_not_made_anew_out_of_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    reel = Reel(tmp_path, Reel.label_of("CA1", 0, NOW))
    reel.write(0, 0, b"\x21" * 1600)
    lock = fcntl.flock

    def finished_meanwhile(handle: int, how: int) -> None:
        monkeypatch.setattr(fcntl, "flock", lock)
        reel.weave()
        reel.drop()
        lock(handle, how)

    monkeypatch.setattr(fcntl, "flock", finished_meanwhile)
    assert list(left_behind(tmp_path)) == []
    assert files(tmp_path) == [reel.label.path]


def test_to_close_a_recording_twice_closes_no_other_file(tmp_path: Path) -> None:
    reel = Reel(tmp_path, Reel.label_of("CA1", 0, NOW))
    reel.close()
    others = [os.open(tmp_path, os.O_RDONLY) for _ in range(3)]
    reel.drop()
    for other in others:
        os.close(other)  # an OSError where it was closed
