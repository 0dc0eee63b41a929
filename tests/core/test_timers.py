"""Deadlines as data: the earliest is known, each is given out once, and in order."""

from app.core.timers import Timers


def test_nothing_is_due_at_first() -> None:
    timers = Timers()
    assert timers.next is None
    assert timers.take_due(1e9) == []


def test_the_earliest_is_next() -> None:
    timers = Timers()
    timers.set("max", 30.0)
    timers.set("dormant", 10.0)
    assert timers.next == 10.0
    timers.drop("dormant")
    timers.drop("dormant")
    assert timers.next == 30.0


def test_a_deadline_that_is_set_again_moves() -> None:
    timers = Timers()
    timers.set("dormant", 10.0)
    timers.set("dormant", 20.0)
    assert timers.take_due(10.0) == []
    assert timers.take_due(20.0) == ["dormant"]


def test_what_has_come_is_given_out_once_and_in_order() -> None:
    timers = Timers()
    timers.set("max", 3.0)
    timers.set("answer", 1.0)
    timers.set("stall", 2.0)
    timers.set("leave", 4.0)
    assert timers.take_due(3.0) == ["answer", "stall", "max"]
    assert timers.take_due(3.0) == []
    assert timers.next == 4.0
