"""A finished call is read for those alone who are told of it."""

from typing import Any

from sqlalchemy.ext.asyncio import AsyncEngine

from tests.adapters.endpoints import endpoint
from tests.adapters.words import Clock, courier, does, finishes, rows


async def test_a_call_that_nobody_is_told_of_is_not_read(engine: AsyncEngine) -> None:
    clock = Clock()
    async with endpoint() as it:
        alone = courier(engine, clock)
        others = courier(engine, clock, it.webhook(modes=("somebody_else",)))
        for one in (alone, others):
            await does(one)
            await finishes(engine, clock)
            asked: list[str] = []

            async def turns(call_sid: str, asked: list[str] = asked) -> list[Any]:
                asked.append(call_sid)
                return []

            one.books.turns = turns  # type: ignore[method-assign]
            await does(one)
            assert asked == []
            assert await rows(engine, "SELECT told FROM finished_calls") == [(True,)]
            await rows(engine, "UPDATE finished_calls SET told = false RETURNING told")
        assert it.received == []
