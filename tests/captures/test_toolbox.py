"""Captured values on their way through a call's toolbox: asked for once, done once, never in a log."""

import json
from typing import Any

from structlog.testing import capture_logs

from app.calls.toolbox import Toolbox
from app.captures.ledger import CaptureLedger
from app.core import effects as do
from app.core.rows import Capture
from app.mode import CallContext, Confirmed, Mode, PersonName, PhoneNumber, tool
from tests.house.test_toolbox import context

DONE: list[tuple[str, str, bool]] = []


@tool(writes=True)
async def ring_back(call: CallContext, phone: Confirmed[PhoneNumber]) -> str:
    """Have the caller rung back."""
    DONE.append((phone.value, call.key, phone.confirmed))
    return "Saved."


@tool
async def greet(name: PersonName) -> dict[str, Any]:
    """Greet somebody."""
    return {"name": name}


@tool
async def stumble(name: PersonName) -> str:
    """Fail."""
    raise RuntimeError(f"no room for {name!r}")


class Call:
    """A toolbox at work; `turns` are the caller's."""

    def __init__(self) -> None:
        self.turns = 1
        self.rows: list[Capture] = []
        DONE.clear()
        mode = Mode(name="some", prompt="some.md", tools=[ring_back, greet, stumble])
        self.box = Toolbox(mode, self._context, CaptureLedger("CA1", self.rows.append))

    def _context(self, key: str) -> CallContext:
        known = context(key)
        known.caller_turns = self.turns
        return known

    async def says(self, which: str, /, **arguments: str) -> tuple[str, str]:
        order = do.RunTool(call_id="c1", name=which, arguments=json.dumps(arguments))
        returned = await self.box.run(order)
        return returned.status, returned.output


async def test_a_write_whose_every_value_was_agreed_to_is_not_asked_about_twice() -> None:
    call = Call()
    assert (await call.says("ring_back", phone="four one five, triple five, 0100"))[0] == "refused"
    assert DONE == []
    call.turns += 1
    assert (await call.says("ring_back", phone="+14155550100"))[0] == "ok"
    assert [(value, confirmed) for value, _, confirmed in DONE] == [("+14155550100", True)]
    assert [row.confirmed for row in call.rows] == [False, True]


async def test_the_key_is_of_the_value_and_not_of_how_it_was_said() -> None:
    async def key_of(heard: str) -> str:
        call = Call()
        await call.says("ring_back", phone="415 555 0100")
        call.turns += 1
        await call.says("ring_back", phone=heard)
        return DONE[0][1]

    assert await key_of("415-555-0100") == await key_of("four one five, triple five, oh one hundred")


async def test_a_plain_value_in_an_answer_is_marked_as_not_confirmed() -> None:
    status, output = await Call().says("greet", name="A N N A")
    assert (status, json.loads(output)) == ("ok", {"name": {"value": "Anna", "confirmed": False}})


async def test_no_log_line_holds_what_a_caller_gave() -> None:
    call = Call()
    with capture_logs() as logs:
        await call.says("ring_back", phone="415 555 0100")
        await call.says("ring_back", phone="mumble five five five")
        await call.says("greet", name="Anna Bell")
        status, output = await call.says("stumble", name="Anna Bell")
    assert status == "error"
    assert logs, "the failure is logged"
    assert not [line for line in logs if "Bell" in repr(line) or "5550100" in repr(line) or "mumble" in repr(line)]
    assert "Bell" not in output
