"""A question to the books is given up in time, however long whoever carries it takes to leave."""

import asyncio
import re

import pytest

from app.adapters.in_time import SHORT_SECONDS, Patience, in_time

LONG_SECONDS = SHORT_SECONDS + 0.01
SHORT, LONGER = (re.escape(f"within {seconds:g} s") for seconds in (SHORT_SECONDS, LONG_SECONDS))


async def test_an_answer_comes_as_it_is_and_so_does_a_fault() -> None:
    async def answers() -> int:
        return 7

    async def fails() -> int:
        raise OSError("away")

    assert await in_time(5, answers()) == 7
    with pytest.raises(OSError, match="away"):
        await in_time(5, fails())


@pytest.mark.parametrize("ends", ["well", "badly"])
async def test_nobody_waits_for_a_driver_that_takes_leave_of_a_server_which_does_not_answer(ends: str) -> None:
    left, may_leave = asyncio.Event(), asyncio.Event()

    async def hangs() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            await may_leave.wait()
            left.set()
            if ends == "badly":
                raise OSError("it had gone")

    with pytest.raises(TimeoutError, match="no answer within"):
        await in_time(0.01, hangs())
    assert not left.is_set()
    may_leave.set()
    await left.wait()


async def test_who_is_cancelled_takes_the_question_along() -> None:
    asked, gone = asyncio.Event(), asyncio.Event()

    async def hangs() -> None:
        asked.set()
        try:
            await asyncio.Event().wait()
        finally:
            gone.set()

    asking = asyncio.create_task(in_time(60, hangs()))
    await asked.wait()
    asking.cancel()
    await gone.wait()
    assert asking.cancelled()


async def test_books_that_hang_keep_a_caller_waiting_for_all_of_their_time_once() -> None:
    patience, hangs = Patience(), asyncio.Event()
    with pytest.raises(TimeoutError, match=LONGER):
        await patience.ask(LONG_SECONDS, _waits(hangs))
    with pytest.raises(TimeoutError, match=SHORT):
        await patience.ask(60, _waits(hangs))
    hangs.set()
    assert await patience.ask(60, _waits(hangs))
    hangs.clear()
    with pytest.raises(TimeoutError, match=LONGER):
        await patience.ask(LONG_SECONDS, _waits(hangs))


async def test_who_would_not_have_waited_for_long_does_not_speak_for_the_others() -> None:
    patience, hangs = Patience(), asyncio.Event()
    for _ in range(2):
        with pytest.raises(TimeoutError, match=r"within 0\.01 s"):
            await patience.ask(0.01, _waits(hangs))
    with pytest.raises(TimeoutError, match=LONGER):
        await patience.ask(LONG_SECONDS, _waits(hangs))


async def _waits(event: asyncio.Event) -> bool:
    return await event.wait()
