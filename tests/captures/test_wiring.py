"""A call's captures reach the books, behind those that another process wrote; and the office's country is read from its file."""

import json
from pathlib import Path
from types import SimpleNamespace

import pytest

from app.adapters.store import Recalled
from app.core import effects as do
from app.core.record import CallRecord
from app.core.rows import CallInfo, Capture
from app.mode import Confirmed, Mode, PostalCode, tool
from app.rules.office_file import read_office
from tests.house.test_ticket_life import Stage


@tool
async def find_shop(code: Confirmed[PostalCode]) -> str:
    """Find the shop."""
    return code.value


MODE = Mode(name="some", prompt="some.md", tools=[find_shop])


@pytest.mark.parametrize("first_seq", [0, 3])
def test_what_a_caller_gives_is_put_into_the_journal_and_agreed_to_over_all_streams(first_seq: int) -> None:
    stage = Stage()
    try:
        stage.board.texting = SimpleNamespace(to=lambda *_, **__: None)  # type: ignore[assignment]
        record = CallRecord(call_sid="CA7", mode="some", spoken=[], captures=first_seq)
        info = CallInfo(call_sid="CA7", account_sid="AC1", caller="+14155550133", dialled="+14155550199")

        async def talk() -> list[str]:
            call = stage.board.take_up(info, MODE, Recalled(record=record))
            assert call is not None
            statuses: list[str] = []
            for _ in range(2):
                order = do.RunTool(
                    call_id="c1", name="find_shop", arguments=json.dumps({"code": "nine four one oh five"})
                )
                statuses.append((await stage.board.toolbox(call).run(order)).status)
                call.record.caller_turns += 1
            return statuses

        assert stage.loop.run_until_complete(talk()) == ["refused", "ok"]
    finally:
        stage.loop.end()
    rows = [row for row in stage.rows if isinstance(row, Capture)]
    assert [(row.call_sid, row.seq, row.value, row.confirmed) for row in rows] == [
        ("CA7", first_seq, "94105", False),
        ("CA7", first_seq, "94105", True),
    ]


@pytest.mark.parametrize(
    ("line", "country", "faults"),
    [
        ("", "US", []),
        ('country = "GB"', "GB", []),
        ('country = "England"', "England", ["business.country: expected two letters as US or GB, got 'England'"]),
        ('country = "gb"', "gb", ["business.country: expected two letters as US or GB, got 'gb'"]),
    ],
)
def test_the_country_of_the_office_is_two_letters(tmp_path: Path, line: str, country: str, faults: list[str]) -> None:
    file = tmp_path / "offhook.toml"
    file.write_text(f"[business]\n{line}\n")
    found: list[str] = []
    assert read_office(file, "", found)["office"].country == country
    assert found == [f"offhook.toml: {fault}" for fault in faults]
