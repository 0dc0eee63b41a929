"""Which of several servers a call begins with, and what a failure does to that."""

from app.adapters.endpoint import Endpoint
from app.adapters.servers import BROKEN_SECONDS, REFUSED_SECONDS, TRYING_SECONDS, Server, Servers


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def servers(*names: str) -> tuple[Servers, Clock]:
    clock = Clock()
    return Servers([Server(name=name, endpoint=Endpoint(url="ws://x")) for name in names], now=clock), clock


def test_the_first_is_begun_with_and_the_next_stands_in_for_it() -> None:
    it, _ = servers("main", "second")
    assert it.first().name == "main"
    next_one = it.after("main")
    assert next_one is not None
    assert next_one.name == "second"
    assert it.after("second") is None


def test_a_broken_one_is_gone_past_until_one_call_tries_it_again() -> None:
    it, clock = servers("main", "second")
    it.fails("main", "no answer", refused=False)
    assert it.first().name == "second"
    clock.now = BROKEN_SECONDS
    assert [it.first().name for _ in range(3)] == ["main", "second", "second"]
    clock.now += TRYING_SECONDS
    assert it.first().name == "main", "nothing was heard of the call that tried"
    it.works("main")
    assert [it.first().name for _ in range(2)] == ["main", "main"]


def test_one_that_refuses_is_gone_past_for_longer() -> None:
    it, clock = servers("main", "second")
    it.fails("main", "HTTP 401", refused=True)
    clock.now = REFUSED_SECONDS - 1
    assert it.first().name == "second"


def test_where_all_are_broken_calls_try_them_all_the_same() -> None:
    it, _ = servers("main", "second")
    for name in ("main", "second"):
        it.fails(name, "gone", refused=False)
    assert it.first().name == "main"


def test_one_alone_is_not_watched() -> None:
    it, _ = servers("main")
    it.fails("main", "gone", refused=True)
    it.fails("unknown", "gone", refused=True)
    assert it.first().name == "main"
