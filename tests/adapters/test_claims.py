"""Claims of processes that keep their names over restarts."""

from sqlalchemy.ext.asyncio import AsyncEngine

from app.adapters.claims import Claims


async def test_a_process_that_starts_again_under_its_name_does_not_take_a_ticket_that_it_used_before(
    engine: AsyncEngine,
) -> None:
    assert await Claims(engine).first("t1", "process-1") is True
    assert await Claims(engine).first("t1", "process-1") is False
