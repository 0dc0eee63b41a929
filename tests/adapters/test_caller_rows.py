"""What is kept of a caller is found by their number, in every table of the house and of the modes, and can be erased."""

import io
import sys
from argparse import Namespace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
import pytest
from sqlalchemy import func, insert, select
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession

from app.adapters.all_tables import METADATA
from app.adapters.business_tables import bookings, messages
from app.adapters.caller_rows import delete_rows, in_progress, rows_of
from app.adapters.entries import refusal
from app.adapters.journal import Journal
from app.adapters.journal_disk import JournalDisk
from app.adapters.outbound_tables import do_not_call
from app.adapters.spool_folder import BOOKS, SpoolFolder
from app.adapters.tables import calls, turns
from app.commands import privacy
from app.core.rows import CallEnded, Capture, Consent, Milestone, Outcome, Row, ToolCall
from app.errors import SetupError
from app.mode import Caller
from app.settings import load
from modes.csr.caller import caller_rows
from modes.csr.tables import Customer, Order, Ticket
from tests.adapters.rows import NOON, ended, event, started, turn, writing

MINE, OTHER = "+14155550133", "+14155550134"


def call_rows(sid: str, number: str) -> list[Row]:
    rows: list[Row] = [
        msgspec.structs.replace(started, from_number=number),
        turn(0, "hello"),
        ToolCall(call_sid="CA1", seq=0, name="book", arguments="{}", result="{}", status="ok", ms=1),
        Capture(
            call_sid="CA1",
            seq=0,
            kind="phone",
            argument="phone",
            heard=number,
            value=number,
            confirmed=True,
            failures=0,
        ),
        Consent(call_sid="CA1", at=NOON, what="ai", text="A computer.", why="always", how="greeting", heard=True),
        Milestone(call_sid="CA1", name="call_closed", at=NOON),
        Outcome(call_sid="CA1", kind="receptionist", fields={"phone": number}, valid=True),
        event(0),
        ended,
    ]
    return [msgspec.structs.replace(row, call_sid=sid) for row in rows]


@pytest.fixture
async def filled(engine: AsyncEngine) -> AsyncEngine:
    """Two calls of the caller, one of somebody else, what they left elsewhere; one more number on the do-not-call list."""
    async with writing(engine) as journal:
        outward = msgspec.structs.replace(
            started, call_sid="CA2", direction="outbound", from_number="+14155550199", to_number=MINE
        )
        rows = [
            *call_rows("CA1", MINE),
            outward,
            msgspec.structs.replace(ended, call_sid="CA2"),
            *call_rows("CA9", OTHER),
        ]
        for row in rows:
            journal.put(row)
    async with engine.begin() as connection:
        for number in (MINE, OTHER):
            kept = {"reference": number, "key": number, "name": "Zoe", "phone": number}
            await connection.execute(insert(messages).values(kept | {"text": "ring me"}))
            day = 3 if number == MINE else 4
            await connection.execute(insert(bookings).values(kept | {"start": datetime(2027, 1, day), "reason": ""}))
            await connection.execute(insert(do_not_call).values(number=number, why="asked"))
            customer = {"number": day, "name": "Zoe", "phone": number, "street": "", "city": "", "postal_code": ""}
            await connection.execute(insert(Customer).values(customer))
            order = {"number": f"4{day}", "customer_number": day, "status": "placed", "placed_on": NOON.date()}
            await connection.execute(insert(Order).values(order))
            ticket = {
                "reference": number,
                "key": number,
                "kind": "question",
                "call_sid": "CA5",
                "text": "",
                "phone": "",
            }
            await connection.execute(insert(Ticket).values(ticket | {"customer_number": day}))
    return engine


def asked(way: str, **options: Any) -> Namespace:
    return Namespace(way=way, **{"out": None, "yes": True, **options})


async def run(engine: AsyncEngine, data: Path, chosen: Namespace) -> int:
    settings = load({"OFFHOOK_DATA": str(data)})
    return await privacy._run(chosen, settings, engine.url.render_as_string(hide_password=False), MINE)


async def all_counts(engine: AsyncEngine) -> dict[str, int]:
    async with engine.connect() as connection:
        tables = [*METADATA.sorted_tables, *Customer.metadata.sorted_tables]
        found = {t.name: (await connection.execute(select(func.count()).select_from(t))).scalar_one() for t in tables}
    return {name: count for name, count in found.items() if count}


async def test_everything_of_a_caller_is_handed_out_and_nothing_of_another(filled: AsyncEngine, tmp_path: Path) -> None:
    out = tmp_path / "caller.json"
    assert await run(filled, tmp_path, asked("export", out=out)) == 0
    text = out.read_text()
    assert out.stat().st_mode & 0o077 == 0
    document = msgspec.json.decode(text)
    assert document["caller"] == MINE
    tables = document["tables"]
    assert {row["call_sid"] for row in tables["calls"]} == {"CA1", "CA2"}
    assert OTHER not in text
    assert "CA9" not in text
    expected = {
        "turns", "tool_calls", "captures", "consents", "milestones", "call_outcomes", "debug_events", "bookings", "messages",
        "do_not_call", "csr_customers", "csr_orders", "csr_tickets",
    }  # fmt: skip
    assert expected <= set(tables)
    assert tables["turns"][0]["generated_text"] == "hello"


async def test_erasing_leaves_others_and_the_wish_not_to_be_called(
    filled: AsyncEngine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    before = await all_counts(filled)
    monkeypatch.setattr(sys, "stdin", io.StringIO("yes\n"))
    assert await run(filled, tmp_path, asked("erase", yes=False)) == 1
    assert await all_counts(filled) == before, "the number has to be typed"
    monkeypatch.setattr(sys, "stdin", io.StringIO(f"{MINE}\n"))
    assert await run(filled, tmp_path, asked("erase", yes=False)) == 0
    left = await all_counts(filled)
    assert left == {name: 2 if name == "do_not_call" else 1 for name in before}
    assert "deleted " in capsys.readouterr().out
    async with filled.connect() as connection:
        assert (await connection.execute(select(calls.c.call_sid))).scalars().all() == ["CA9"]


async def test_rows_that_still_wait_on_disk_or_were_refused_are_erased_too(filled: AsyncEngine, tmp_path: Path) -> None:
    folder = SpoolFolder(tmp_path / "spool")
    journal = Journal(filled, JournalDisk(folder))
    journal.put(turn(7, "said last"))
    await journal._keep(BOOKS)
    folder.close()  # as if that process had been killed
    for sid in ("CA1", "CA9"):
        row = refusal(turn(8, "refused", call_sid=sid)).row
        folder.refused.add(msgspec.json.encode({"at": datetime.now(UTC), "why": "", "code": "22003", "row": row}))
    assert await run(filled, tmp_path, asked("erase")) == 0
    async with filled.connect() as connection:
        assert (await connection.execute(select(turns.c.call_sid))).scalars().all() == ["CA9"]
    assert [b"CA9" in row for row in folder.refused.rows()] == [True]
    assert list((tmp_path / "spool").glob("*/books.*")) == []


async def test_nothing_is_erased_while_the_caller_is_on_the_line(filled: AsyncEngine, tmp_path: Path) -> None:
    async with writing(filled) as journal:
        now = datetime.now(UTC)
        journal.put(msgspec.structs.replace(started, call_sid="CA3", from_number=MINE, started_at=now))
        await journal.flush()
        before = await all_counts(filled)
        with pytest.raises(SetupError, match=r"on the line just now \(CA3\)"):
            await run(filled, tmp_path, asked("erase"))
        assert await all_counts(filled) == before
        journal.put(
            CallEnded(call_sid="CA3", ended_at=now, outcome="lost", cost_usd=0, greeting_path=None, greeting_ms=None)
        )
    assert await run(filled, tmp_path, asked("erase")) == 0


async def test_another_process_whose_rows_wait_is_waited_for_and_told_about(
    filled: AsyncEngine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(privacy, "WAIT_SECONDS", 0.2)
    living = SpoolFolder(tmp_path / "spool")
    living.append(BOOKS, [b'["Turn","",{}]'])
    with pytest.raises(SetupError, match=r"some still wait"):
        await run(filled, tmp_path, asked("erase"))
    living.close()


def test_a_number_that_is_none_is_refused_before_anything_is_opened() -> None:
    with pytest.raises(SetupError, match=r"expected the caller's number as \+14155550133"):
        privacy.run(Namespace(number="0133", way="erase", yes=True))


async def test_a_number_with_more_calls_than_a_statement_has_parameters_is_found_and_erased(
    filled: AsyncEngine,
) -> None:
    sids = [f"CA{n}" for n in range(33_000)]
    async with AsyncSession(filled) as session, session.begin():
        connection = await session.connection()
        assert await in_progress(connection, sids) == []
        assert await caller_rows(session, Caller(MINE, tuple(sids), erase=True))
        assert await delete_rows(connection, MINE, sids)
        assert set(await rows_of(connection, MINE, sids)) <= {do_not_call.name}
