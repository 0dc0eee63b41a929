"""Rehearsals for the tests of modes, each ended after its test; a Postgres for modes with tables of their own."""

from collections.abc import Callable, Iterator

import pytest

from tests.adapters.conftest import database as database
from tests.adapters.conftest import engine as engine
from tests.adapters.conftest import server as server
from tests.adapters.conftest import template as template
from tests.modes.rehearsal_table import Rehearsal


@pytest.fixture
def rehearse() -> Iterator[Callable[..., Rehearsal]]:
    """Makes rehearsals: rehearse(mode, store=..., max_seconds=...)."""
    made: list[Rehearsal] = []

    def make(*args: object, **kwargs: object) -> Rehearsal:
        made.append(Rehearsal(*args, **kwargs))  # type: ignore[arg-type]
        return made[-1]

    yield make
    for rehearsal in made:
        rehearsal.end()
