"""A call that another process began goes on in the state of its flow where that one left it."""

from datetime import timedelta

from sqlalchemy.ext.asyncio import AsyncEngine

from app.adapters.store import CallStore
from app.core.rows import Milestone
from tests.adapters.rows import started, writing


async def test_the_last_state_that_was_entered_is_remembered(engine: AsyncEngine) -> None:
    async with writing(engine) as journal:
        journal.put(started)
        await journal.flush()
        record = await CallStore(engine).recall("CA1")
        assert record is not None
        assert record.flow_state == ""
        for n, name in enumerate(["state_menu", "state_order", "state_menu", "state_order", "tool_called"]):
            journal.put(Milestone(call_sid="CA1", name=name, at=started.started_at + timedelta(seconds=n)))
        await journal.flush()
    record = await CallStore(engine).recall("CA1")
    assert record is not None
    assert record.flow_state == "order"
