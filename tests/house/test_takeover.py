"""Calls that another process may have had meanwhile, while the books cannot say so."""

from collections.abc import Iterator

import pytest

from app.mode import Disclosure
from app.takeover import UNKNOWN_SEQ
from modes.receptionist import mode as receptionist
from tests.house.test_ticket_life import INFO, Stage


@pytest.fixture
def stage() -> Iterator[Stage]:
    it = Stage()
    yield it
    it.loop.end()


def test_a_call_whose_stream_was_elsewhere_is_not_written_over_when_the_books_do_not_answer(stage: Stage) -> None:
    """Its webhook was answered here, its stream began in a process that died, and Postgres is away when the carrier asks us."""
    ours = stage.rings(Disclosure(when="never"))
    assert stage.board.outdated(INFO.call_sid)
    taken = stage.board.take_up(INFO, receptionist, None)
    assert taken is not None
    assert taken is not ours
    assert (taken.record.first_seq, taken.record.tool_calls, taken.record.spans) == (UNKNOWN_SEQ,) * 3
    assert taken.streams == 1, "what comes next is a talk that was interrupted, and no greeting"


def test_a_call_that_streamed_here_goes_on_as_it_is_known_when_the_books_do_not_answer(stage: Stage) -> None:
    ours = stage.rings(Disclosure(when="never"))
    ours.streams = ours.tickets
    assert stage.board.take_up(INFO, receptionist, None) is ours
