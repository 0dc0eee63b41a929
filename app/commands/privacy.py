"""`./offhook privacy`: hands out, or deletes, everything that is kept of one caller."""

import asyncio
import sys
from argparse import Namespace
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, AsyncSession

from app import registry
from app import settings as all_settings
from app.adapters.caller_rows import delete_rows, in_progress, rows_of, sids_of
from app.adapters.data_folder import open_database, write_private
from app.adapters.database import DATABASE_ERRORS, check, make_engine, reason_of
from app.adapters.journal import Journal
from app.adapters.journal_disk import JournalDisk
from app.adapters.recording_files import delete as delete_recording
from app.adapters.spool_folder import SpoolFolder
from app.errors import SetupError
from app.mode import Caller
from app.rules.office import E164
from app.settings import Settings

Kept = dict[str, list[dict[str, Any]]]

WAIT_SECONDS = 15.0
"""A running server writes what it has on disk within a moment; else Postgres does not take it from us either."""
LOOK_SECONDS = 0.1


def run(chosen: Namespace) -> int:
    """Export or erase. Raises SetupError with the remedy; then nothing was deleted."""
    number = chosen.number.strip()
    if not E164.fullmatch(number):
        raise SetupError(f"expected the caller's number as +14155550133, got {chosen.number!r}")
    settings = all_settings.load()
    with open_database(settings) as database:
        return asyncio.run(_run(chosen, settings, database.url, number))


async def _run(chosen: Namespace, settings: Settings, url: str, number: str) -> int:
    engine = make_engine(url, keep_connections=False, command_seconds=None)
    try:
        await check(engine)
        folder = SpoolFolder(settings.data / "spool")
        await replay(engine, folder)
        found = await everything(engine, folder, settings, number)
        if chosen.way == "export":
            return _hand_out(number, found, chosen.out)
        return await _erase(engine, folder, settings, number, found, asks=not chosen.yes)
    except DATABASE_ERRORS as wrong:
        raise SetupError(f"the books do not answer: {reason_of(wrong)}; nothing was deleted") from wrong
    finally:
        await engine.dispose()


def _hand_out(number: str, found: Kept, out: Path | None) -> int:
    document = {"caller": number, "exported_at": datetime.now(UTC), "tables": found}
    text = msgspec.json.format(msgspec.json.encode(document, enc_hook=str)).decode() + "\n"
    if out is None:
        sys.stdout.write(text)
    else:
        write_private(out, text)
        print(f"wrote {sum(map(len, found.values()))} rows to {out}")
    return 0


async def _erase(
    engine: AsyncEngine, folder: SpoolFolder, settings: Settings, number: str, found: Kept, *, asks: bool
) -> int:
    if not found:
        print(f"nothing is kept of {number}")
        return 0
    for name, rows in found.items():
        print(f"{len(rows):6}  {name}")
    if asks and not _agreed(number):
        print("nothing was deleted")
        return 1
    async with engine.connect() as connection, connection.begin():
        sids = await sids_of(connection, number)
        if talking := await in_progress(connection, sids):
            raise SetupError(
                f"{number} is on the line just now ({', '.join(talking)}): what is said is still being written. Nothing was "
                "deleted; ask again when the call is over."
            )
        for row in found.get("recordings", []):
            delete_recording(settings.data, row["path"])  # the sound first: its row is what finds it
        of_guests = await of_modes(connection, settings, Caller(number, tuple(sids), erase=True))
        gone = {name: len(rows) for name, rows in of_guests.items()}
        gone |= await delete_rows(connection, number, sids)
    if refused := _refused(folder, number, sids):
        folder.refused.remove(refused)
        gone["refused"] = len(refused)
    print(
        f"deleted {sum(gone.values())} rows of {number}. Backups, and what Twilio and the model's provider keep, are not ours."
    )
    return 0


def _agreed(number: str) -> bool:
    try:
        return input(f"Delete all of this for good? Type {number} to go on: ").strip() == number
    except EOFError:
        return False


async def everything(engine: AsyncEngine, folder: SpoolFolder, settings: Settings, number: str) -> Kept:
    """All rows of a caller, by table; those that Postgres refused as `refused`."""
    async with engine.connect() as connection:
        sids = await sids_of(connection, number)
        found = await rows_of(connection, number, sids)
        found |= await of_modes(connection, settings, Caller(number, tuple(sids)))
        await connection.rollback()
    if refused := _refused(folder, number, sids):
        found["refused"] = [msgspec.json.decode(row) for row in refused]
    return found


async def of_modes(connection: AsyncConnection, settings: Settings, caller: Caller) -> Kept:
    """What the modes' own tables hold of a caller, in the same transaction."""
    found: Kept = {}
    for mode in registry.find(settings).modes.values():
        if mode.caller_rows is not None:
            async with AsyncSession(bind=connection, join_transaction_mode="create_savepoint") as session:
                rows: Mapping[str, list[dict[str, Any]]] = await mode.caller_rows(session, caller)
                await session.commit()
            found |= {name: kept for name, kept in rows.items() if kept}
    return found


async def replay(engine: AsyncEngine, folder: SpoolFolder) -> None:
    """See that the books have all rows: dead processes' are written, a running one's are waited for. Raises SetupError."""
    journal = Journal(engine, JournalDisk(folder))
    running = asyncio.create_task(journal.run())
    try:
        await journal.adopt()
        written = await journal.flush(WAIT_SECONDS)
        async with asyncio.timeout(WAIT_SECONDS):
            while folder.others_alive():  # noqa: ASYNC110  another process sets no event of ours
                await asyncio.sleep(LOOK_SECONDS)
    except TimeoutError:
        written = False
    finally:
        await journal.close(1.0)
        await running
    if not written:
        raise SetupError(
            f"expected the rows that wait in {folder.root} to be written within {WAIT_SECONDS:g} s, but some still wait. See what "
            "the log says of journal.waits_for_postgres, and ask again."
        )


def _refused(folder: SpoolFolder, number: str, sids: list[str]) -> list[bytes]:
    """Rows that Postgres refused and that name the caller."""
    names = [name.encode() for name in (number, *sids)]
    return [row for row in folder.refused.rows() if any(name in row for name in names)]
