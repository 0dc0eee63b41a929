"""A request of the carrier's while it is answered: logged as of its call, timed, and told to whoever traces calls."""

import time
from collections.abc import Iterator
from contextlib import contextmanager

from app import metrics
from app.calls.roster import Roster
from app.log import of_call


@contextmanager
def answering(board: Roster, door: str, call_sid: str) -> Iterator[None]:
    """Around the making of an answer, once the request was proved. door: its path, without what is behind a question mark."""
    began = time.perf_counter()
    with of_call(call_sid):
        try:
            yield
        finally:
            seconds = time.perf_counter() - began
            metrics.webhook_seconds.labels(door).observe(seconds)
            if board.answered is not None:
                board.answered(call_sid, door, seconds)
