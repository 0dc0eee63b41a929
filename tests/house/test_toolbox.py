"""The toolbox: whatever a tool does, the model gets an honest answer and the call gets no exception."""

import asyncio
import json
from datetime import datetime
from typing import Any

import pytest
from structlog.testing import capture_logs

from app.calls.toolbox import BROKEN, LATE, Toolbox
from app.core import effects as do
from app.core import events as ev
from app.errors import BackendDown, SlotTaken
from app.mode import Booking, CallContext, EndCall, Mode, ToolError, Transfer, tool
from tests.house.samples import OFFICE, no_session


class EmptyStore:
    """A `Store` without anything in it."""

    async def free_slots(self, day: Any) -> list[datetime]:
        return []

    async def book(self, **_: Any) -> Booking:
        raise SlotTaken

    async def cancel(self, **_: Any) -> Booking:
        raise BackendDown

    async def add_message(self, **_: Any) -> str:
        return "m-1"

    async def names_under(self, phone: str) -> list[str]:
        return []


async def no_text(words: str) -> None:
    """Nobody is written to."""
    raise ToolError("No SMS can be sent from here.")


def context(key: str) -> CallContext:
    return CallContext(
        call_sid="CA1",
        caller="+14155550100",
        dialled="+14155550199",
        office=OFFICE,
        store=EmptyStore(),
        now=datetime(2026, 11, 23, 9, 0, tzinfo=OFFICE.zone),
        key=key,
        outcome={},
        open_now=True,
        caller_turns=0,
        text=no_text,
        session=no_session,
    )


@tool
async def say(call: CallContext, text: str) -> str:
    """Say a text and the key."""
    return f"{text} {call.key}"


@tool
async def table(rows: int) -> dict[str, Any]:
    """Give a table."""
    return {"rows": ["x" * 10] * rows}


@tool
async def refuse() -> str:
    """Refuse."""
    raise ToolError("Ask for another day.")


@tool
async def book(call: CallContext) -> str:
    """Book what is taken."""
    await call.store.book(name="Ada", start=call.now, reason="", phone="", key=call.key)
    return "booked"


@tool
async def fail() -> str:
    """Fail with a secret."""
    raise RuntimeError("password=hunter2")


@tool
async def odd() -> object:
    """Return what no JSON can hold."""
    return object()


@tool
async def unspeakable() -> str:
    """Return text that is no UTF-8."""
    return "\ud800"


@tool
async def unspeakable_refusal() -> str:
    """Refuse with text that is no UTF-8."""
    raise ToolError("There is no \ud800.")


@tool(deadline_seconds=0.01)
async def hang() -> str:
    """Never come back."""
    await asyncio.Event().wait()
    return "never"


@tool
async def put_through(desk: str) -> Transfer:
    """Put the caller through."""
    return Transfer(to=desk, reason="asked for it")


@tool
async def end_call() -> EndCall:
    """End the call."""
    return EndCall(reason="said goodbye")


MODE = Mode(
    name="some",
    prompt="some.md",
    first_turn=[say],
    tools=[say, table, refuse, book, fail, odd, unspeakable, unspeakable_refusal, hang, put_through, end_call],
)


async def run(name: str, arguments: str | None = None, **values: Any) -> ev.ToolReturned:
    text = json.dumps(values) if arguments is None else arguments
    returned = await Toolbox(MODE, context).run(do.RunTool(call_id="call_1", name=name, arguments=text))
    assert returned.call_id == "call_1"
    assert returned.ms >= 0
    if returned.status != "ok":
        assert (returned.transfer_to, returned.ends_call, returned.reason) == ("", False, "")
    return returned


async def answer(name: str, status: str, arguments: str | None = None, **values: Any) -> Any:
    """What the model reads, once the status was checked."""
    returned = await run(name, arguments, **values)
    assert returned.status == status
    return json.loads(returned.output)


async def test_text_is_answered_as_a_result() -> None:
    told = await answer("say", "ok", text="Hello")
    assert told["result"].startswith("Hello ")


async def test_a_wish_keeps_its_key_until_it_was_done_once() -> None:
    keys: list[str] = []

    def noted(key: str) -> CallContext:
        if key:
            keys.append(key)
        return context(key)

    box = Toolbox(MODE, noted)
    for name, arguments in (
        ("hang", ""),
        ("hang", ""),
        ("say", '{"text":"a"}'),
        ("say", '{"text":"a"}'),
        ("say", '{"text":"b"}'),
    ):
        await box.run(do.RunTool(call_id=f"call_{len(keys)}", name=name, arguments=arguments))
    late, again, first, second, other = keys
    assert late == again, "nobody knows whether it was done: asked again it must not be done twice"
    assert len({late, first, second, other}) == 4, "done once and asked for again is another wish"


async def test_a_table_is_answered_as_it_is() -> None:
    assert await answer("table", "ok", rows=2) == {"rows": ["x" * 10] * 2}


async def test_a_refusal_is_for_the_model_to_read() -> None:
    assert await answer("refuse", "refused") == {"error": "Ask for another day."}


async def test_the_backend_s_no_is_for_the_model_to_read() -> None:
    assert await answer("book", "refused") == {"error": str(SlotTaken())}


@pytest.mark.parametrize("arguments", ["{", "[]", '{"text":7}', '{"text":"x","key":"mine"}', "{}"])
async def test_wrong_arguments_never_reach_the_tool(arguments: str) -> None:
    told = await answer("say", "refused", arguments)
    assert "say" in told["error"]


async def test_an_unknown_tool_is_refused_with_those_that_there_are() -> None:
    told = await answer("fly", "refused")
    assert "'fly'" in told["error"]
    assert "say" in told["error"]


async def test_a_late_tool_is_given_up_on_and_nothing_is_promised() -> None:
    assert await answer("hang", "late") == {"error": LATE}


async def test_a_late_tool_is_really_stopped() -> None:
    stopped = asyncio.Event()

    @tool(deadline_seconds=0.01)
    async def slow() -> str:
        """Wait for ever."""
        try:
            await asyncio.Event().wait()
        finally:
            stopped.set()
        return ""

    box = Toolbox(Mode(name="some", prompt="some.md", tools=[slow]), context)
    assert (await box.run(do.RunTool(call_id="c", name="slow", arguments=""))).status == "late"
    assert stopped.is_set()


async def test_a_late_tool_that_is_slow_to_leave_is_not_waited_for() -> None:
    """A driver takes seconds to let go of a database that hangs."""
    may_leave, left = asyncio.Event(), asyncio.Event()

    @tool(deadline_seconds=0.01)
    async def slow() -> str:
        """Wait for ever."""
        try:
            await asyncio.Event().wait()
        finally:
            await may_leave.wait()
            left.set()
        return ""

    box = Toolbox(Mode(name="some", prompt="some.md", tools=[slow]), context)
    assert (await box.run(do.RunTool(call_id="c", name="slow", arguments=""))).status == "late"
    assert not left.is_set()
    may_leave.set()
    await left.wait()


@pytest.mark.parametrize("name", ["fail", "odd", "unspeakable"])
async def test_a_broken_tool_is_our_fault_logged_but_not_shown_to_the_model(name: str) -> None:
    with capture_logs() as logs:
        assert await answer(name, "error") == {"error": BROKEN}
    assert [(log["event"], log["tool"]) for log in logs] == [("a tool failed", name)]


async def test_a_refusal_that_is_no_utf_8_still_gets_an_answer() -> None:
    try:
        returned = await run("unspeakable_refusal")
    except UnicodeEncodeError as wrong:  # told in words that a report can be written in
        raise AssertionError(f"run raised {type(wrong).__name__}") from None
    assert returned.status in ("refused", "error")
    assert "error" in json.loads(returned.output)


async def test_a_call_without_a_context_is_our_fault_and_not_the_caller_s() -> None:
    def broken(key: str) -> CallContext:
        raise RuntimeError(key)

    with capture_logs():
        returned = await Toolbox(MODE, broken).run(do.RunTool(call_id="c", name="refuse", arguments=""))
    assert (returned.status, json.loads(returned.output)) == ("error", {"error": BROKEN})


async def test_an_answer_that_is_too_long_to_read_is_refused() -> None:
    fits = (table.answer_bytes - len('{"rows":[]}') + 1) // len('"xxxxxxxxxx",')
    assert len((await answer("table", "ok", rows=fits))["rows"]) == fits
    assert "too long" in (await answer("table", "refused", rows=fits + 1))["error"]


async def test_a_transfer_names_its_desk_to_the_machine_and_to_the_model() -> None:
    returned = await run("put_through", desk="billing")
    assert (returned.status, returned.transfer_to, returned.ends_call) == ("ok", "billing", False)
    assert returned.reason == "asked for it"
    assert "put through to billing" in json.loads(returned.output)["result"]


@pytest.mark.parametrize("desk", ["sales", "", "+19005550100", "Billing"])
async def test_nobody_is_put_through_to_a_desk_that_there_is_not(desk: str) -> None:
    told = await answer("put_through", "refused", desk=desk)
    assert repr(desk) in told["error"]
    assert "billing" in told["error"]


async def test_nobody_is_put_through_to_a_desk_without_a_number() -> None:
    assert "message" in (await answer("put_through", "refused", desk="nobody"))["error"]


async def test_the_end_of_a_call_is_told_to_the_machine_and_to_the_model() -> None:
    returned = await run("end_call")
    assert (returned.status, returned.transfer_to, returned.ends_call) == ("ok", "", True)
    assert returned.reason == "said goodbye"
    assert "ends now" in json.loads(returned.output)["result"]


async def test_a_call_that_ends_takes_its_tools_with_it() -> None:
    entered = asyncio.Event()

    @tool(deadline_seconds=60)
    async def slow() -> str:
        """Wait for ever."""
        entered.set()
        await asyncio.Event().wait()
        return ""

    box = Toolbox(Mode(name="some", prompt="some.md", tools=[slow]), context)
    running = asyncio.create_task(box.run(do.RunTool(call_id="c", name="slow", arguments="{}")))
    await entered.wait()
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
