"""Which rung is next when the model's session is gone."""

import pytest

from app.core.ladder import APART, RECONNECTS, WINDOW, Ladder
from app.core.phases import Terms


def ladder(servers: int = 1) -> Ladder:
    return Ladder(Terms(servers=servers, mend_seconds=5.0))


def test_a_session_that_is_gone_is_replaced_on_the_same_server_first() -> None:
    assert ladder(servers=2).climb(10.0, refused=False) == "again"


def test_a_try_that_came_to_nothing_leads_to_the_next_server_and_from_the_last_one_out() -> None:
    it = ladder(servers=2)
    assert [it.climb(at, refused=False) for at in (10.0, 14.0, 15.0, 21.0)] == ["again", "next", "again", None]


def test_without_another_server_a_second_try_must_come_soon() -> None:
    soon, late = ladder(), ladder()
    assert [soon.climb(at, refused=False) for at in (10.0, 14.0, 18.0)] == ["again", "again", None]
    assert [late.climb(at, refused=False) for at in (10.0, 15.0)] == ["again", None]


def test_a_server_that_refuses_is_not_asked_again() -> None:
    assert ladder().climb(10.0, refused=True) is None
    it = ladder(servers=3)
    assert [it.climb(10.0, refused=True) for _ in range(3)] == ["next", "next", None]


def test_sessions_that_die_one_after_the_other_are_replaced_a_few_times_only() -> None:
    it = ladder()
    for fault in range(RECONNECTS):
        assert it.climb(60.0 * fault, refused=False) == "again"
        it.holds()
    assert it.climb(60.0 * RECONNECTS, refused=False) is None
    assert it.climb(60.0 * RECONNECTS + WINDOW, refused=False) == "again"


def test_since_when_the_caller_is_without_is_known_until_a_session_holds() -> None:
    it = ladder()
    it.climb(10.0, refused=False)
    it.climb(12.0, refused=False)
    assert it.lost_at == 10.0
    it.holds()
    assert it.lost_at is None


def test_tries_in_a_row_on_a_server_that_refuses_at_once_are_made_apart_from_each_other() -> None:
    it = ladder()
    made = []
    for _ in range(RECONNECTS):
        assert it.climb(10.0, refused=False) == "again"
        made.append(it.waits(10.0))
    assert made == pytest.approx([0.0, APART[1], APART[1] + APART[2]])
    assert it.climb(10.0, refused=False) is None


def test_a_try_that_took_its_time_is_followed_by_the_next_at_once_and_another_server_is_asked_at_once() -> None:
    slow, other = ladder(), ladder(servers=2)
    assert (slow.climb(10.0, refused=False), slow.waits(10.0)) == ("again", 0.0)
    assert (slow.climb(14.0, refused=False), slow.waits(14.0)) == ("again", 0.0)
    other.climb(10.0, refused=False)
    assert (other.climb(10.0, refused=False), other.waits(10.0)) == ("next", 0.0)
