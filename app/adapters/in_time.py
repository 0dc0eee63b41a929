"""Waits so long for an answer, and no longer: for whoever has a caller on the line.

A question that is given up is not over with that. The driver takes up to two seconds to take leave of a Postgres that does not
answer, and nobody should wait for it: that goes on by itself. And as a caller's way through a house of several processes may lead
past the books half a dozen times, the full time is waited once: after that a Postgres that hangs has little.
"""

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

T = TypeVar("T")

SHORT_SECONDS = 0.15
SILENT_SECONDS = 5.0
"""For so long after that; then somebody waits again, and finds out."""

_leaving: set["asyncio.Task[Any]"] = set()
"""What was given up, until it has taken leave."""


async def in_time(seconds: float, question: Coroutine[Any, Any, T]) -> T:
    """The answer. Raises TimeoutError once the seconds are over, and what the question raises."""
    task = asyncio.get_running_loop().create_task(question)
    try:
        await asyncio.wait([task], timeout=seconds)
        if task.done():
            return task.result()
        task.cancel()
        await asyncio.sleep(0)  # what leaves at once has left before this is told
        raise TimeoutError(f"no answer within {seconds:g} s")
    finally:
        if not task.done():
            if not task.cancelling():  # a second time would break its leave-taking off
                task.cancel()
            _leaving.add(task)
            task.add_done_callback(_gone)


class Patience:
    """With the books of one process, as far as callers wait for them."""

    def __init__(self) -> None:
        self._silent_until = 0.0

    async def ask(self, seconds: float, question: Coroutine[Any, Any, T]) -> T:
        """As `in_time`; for less, where the books have kept somebody waiting for all of their time just now."""
        loop = asyncio.get_running_loop()
        short = loop.time() < self._silent_until
        try:
            answer = await in_time(min(seconds, SHORT_SECONDS) if short else seconds, question)
        except TimeoutError:
            if not short and seconds > SHORT_SECONDS:
                self._silent_until = loop.time() + SILENT_SECONDS
            raise
        self._silent_until = 0.0
        return answer


def _gone(task: "asyncio.Task[Any]") -> None:
    _leaving.discard(task)
    if not task.cancelled():
        task.exception()  # it was looked at: nobody asks any more
