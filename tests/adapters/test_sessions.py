"""A tool's transaction: committed at its end, rolled back by an error, short, and honest when Postgres is not there."""

import asyncio

import pytest
from sqlalchemy import func, insert, select
from sqlalchemy.exc import InvalidRequestError
from sqlalchemy.ext.asyncio import AsyncEngine

from app.adapters.business_tables import messages
from app.adapters.database import make_engine
from app.adapters.sessions import sessions
from app.errors import BackendDown, ToolError

MESSAGE = {"reference": "R", "key": "k", "name": "Baker", "text": "Hello.", "phone": ""}


async def kept(engine: AsyncEngine) -> int:
    async with engine.connect() as connection:
        return int((await connection.execute(select(func.count()).select_from(messages))).scalar_one())


async def test_it_is_committed_at_its_end(engine: AsyncEngine) -> None:
    async with sessions(engine)() as session:
        await session.execute(insert(messages).values(MESSAGE))
        assert await kept(engine) == 0
    assert await kept(engine) == 1


@pytest.mark.parametrize("error", [ToolError("No."), asyncio.CancelledError(), KeyError("a bug")])
async def test_an_error_takes_back_what_was_done_and_stays_what_it_is(
    engine: AsyncEngine, error: BaseException
) -> None:
    async def writes_and_fails() -> None:
        async with sessions(engine)() as session:
            await session.execute(insert(messages).values(MESSAGE))
            raise error

    with pytest.raises(type(error)):
        await writes_and_fails()
    assert await kept(engine) == 0


async def test_what_the_database_has_against_it_is_backend_down(engine: AsyncEngine) -> None:
    opens = sessions(engine)
    with pytest.raises(BackendDown, match="do not say that it is done"):
        async with opens() as session:
            await session.execute(insert(messages).values([MESSAGE, MESSAGE]))
    assert await kept(engine) == 0
    async with opens() as session:
        await session.execute(insert(messages).values(MESSAGE))
    assert await kept(engine) == 1


async def test_a_lock_that_is_not_let_go_is_waited_for_no_longer_than_it_may_take(engine: AsyncEngine) -> None:
    async with sessions(engine)() as holder:
        await holder.execute(insert(messages).values(MESSAGE))
        with pytest.raises(BackendDown):
            async with sessions(engine, seconds=0.2)() as session:
                await session.execute(insert(messages).values(MESSAGE))


async def test_no_database_at_all_is_backend_down(unused_tcp_port: int) -> None:
    engine = make_engine(f"postgresql://nobody@127.0.0.1:{unused_tcp_port}/nothing")
    with pytest.raises(BackendDown):
        async with sessions(engine)() as session:
            await session.execute(select(1))
    await engine.dispose()


async def test_a_mode_s_own_mistake_is_not_blamed_on_the_database(engine: AsyncEngine) -> None:
    with pytest.raises(InvalidRequestError):
        async with sessions(engine)() as session:
            (await session.execute(select(messages.c.name))).scalar_one()
