"""The mode of docs/05-async-tools.md, taken from the page and played at the table, in virtual time."""

# `did` fails by itself; its assert is for the reader.
# mypy: disable-error-code="truthy-bool"

import asyncio
import types
from collections.abc import Callable, Iterator
from typing import Any

import httpx
import msgspec
import pytest

from app.core import effects as do
from app.core.rows import ToolCall
from app.core.tool_calls import BEGUN
from app.mode import Mode, ToolError
from app.settings import ROOT
from tests.docs.pages import blocks
from tests.modes.rehearsal_table import Rehearsal

FILLER = "Let me have a look."
Answer = Callable[[], Any]


class Warehouse:
    """The backend of the example: how long it takes and what it says is a test's."""

    def __init__(self) -> None:
        self.seconds = 0.2
        self.answer: Answer = lambda: {"shelf": "B4"}
        self.asked: list[tuple[str, dict[str, str]]] = []

    async def __call__(self, path: str, **fields: str) -> Any:
        self.asked.append((path, fields))
        await asyncio.sleep(self.seconds)
        return self.answer()


@pytest.fixture
def warehouse() -> Warehouse:
    return Warehouse()


@pytest.fixture
def call(warehouse: Warehouse) -> Iterator[Rehearsal]:
    """A call in the page's mode: it was greeted, and the caller has asked for something."""
    (example,) = [block for block in blocks([ROOT / "docs/05-async-tools.md"]) if "mode = Mode(" in block.text]
    page: Any = types.ModuleType("parts")
    exec(compile(example.text, str(example), "exec"), page.__dict__)
    assert isinstance(page.mode, Mode)
    page.warehouse = warehouse
    call = Rehearsal(page.mode)
    call.rings()
    call.agent_says("How can I help you?")
    call.waits(2500)
    call.caller_says("Do you have part 4711?")
    yield call
    call.end()


def reads(call: Rehearsal) -> list[str]:
    """What was asked for in this act: fillers by their sentence, answers as nothing."""
    return [ask.reads for ask in call.all(do.RequestResponse)]


def statuses(call: Rehearsal) -> list[str]:
    """What each call of a tool came to; that it was begun is a row as well, which the page's table leaves out."""
    return [row.status for row in call.rows(ToolCall) if row.result != BEGUN]


def test_an_answer_in_time_needs_no_filler(call: Rehearsal) -> None:
    call.model_calls("find_part", number="4711")
    call.waits(3000)
    assert reads(call) == [""]
    assert call.answer() == {"shelf": "B4"}
    assert statuses(call) == ["ok"]


def test_a_slow_one_has_its_filler_after_the_time_that_the_page_says(call: Rehearsal, warehouse: Warehouse) -> None:
    warehouse.seconds = 2
    call.model_calls("find_part", number="4711")
    call.waits(690)
    assert reads(call) == []
    call.waits(20)
    assert reads(call) == [FILLER]
    call.says("filler", ("filler-item", 1000), text=FILLER)
    call.waits(1400)
    assert call.answer() == {"shelf": "B4"}
    assert reads(call) == [""]


def test_one_past_its_deadline_is_late_and_nobody_knows_whether_it_was_done(
    call: Rehearsal, warehouse: Warehouse
) -> None:
    warehouse.seconds = 60
    call.model_calls("find_part", number="4711")
    call.waits(3100)
    assert "not known whether it was done" in call.answer()["error"]
    assert statuses(call) == ["late"]


def no_such_part() -> Any:
    raise ToolError("There is no such part. Ask for the number again, digit by digit.")


def broken() -> Any:
    raise httpx.ConnectError("refused")


@pytest.mark.parametrize(
    ("answer", "status", "told"),
    [(no_such_part, "refused", "digit by digit"), (broken, "error", "a fault on our side")],
)
def test_a_refusal_reaches_the_model_in_its_own_words_and_a_fault_in_the_houses(
    call: Rehearsal, warehouse: Warehouse, answer: Answer, status: str, told: str
) -> None:
    warehouse.answer = answer
    call.model_calls("find_part", number="4711")
    call.waits(400)
    assert told in call.answer()["error"]
    assert statuses(call) == [status]


def test_a_search_in_the_background_is_told_of_later(call: Rehearsal, warehouse: Warehouse) -> None:
    warehouse.seconds = 20
    call.model_calls("search_branches", number="4711")
    assert call.answer()["status"] == "working"
    call.agent_says("I am asking the other branches. Anything else?")
    call.waits(21_000)
    assert '{"shelf":"B4"}' in call.did(do.AddText).text
    assert statuses(call)[-1] == "ok"


def test_a_search_that_outlives_the_call_is_on_record(call: Rehearsal, warehouse: Warehouse) -> None:
    warehouse.seconds = 20
    call.model_calls("search_branches", number="4711")
    call.hangs_up()
    assert statuses(call) == ["working"]
    call.waits(25_000)
    assert statuses(call) == ["working", "ok"]
    assert msgspec.json.decode(call.last_tool().result) == {"shelf": "B4"}


def test_a_reservation_is_asked_for_then_made_once_and_carried_through(call: Rehearsal, warehouse: Warehouse) -> None:
    warehouse.seconds, warehouse.answer = 2, lambda: {"reference": "R7"}
    call.model_calls("reserve_part", number="4711")
    assert "Nothing was done yet" in call.answer()["error"]
    call.model_calls("reserve_part", number="4711")
    assert "has not answered" in call.answer()["error"]
    assert warehouse.asked == []
    call.agent_says("Shall I put it aside for you?")
    call.waits(2500)
    call.caller_says("Yes please, goodbye.")
    call.model_calls("reserve_part", number="4711")
    call.waits(500)
    call.hangs_up()
    call.waits(3000)
    assert statuses(call) == ["refused", "refused", "late", "ok"]
    assert call.outcome == {"reserved": "4711"}
    ((path, fields),) = warehouse.asked
    assert path == "/reserve"
    assert fields["key"]
