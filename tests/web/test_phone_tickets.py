"""Tickets for the softphone's socket: spent once, and soon worth nothing."""

from app.web.console.phone_tickets import MOST, TICKET_SECONDS, Tickets, Wish

WISH = Wish(caller="+14155550142", dialled="+14155550199", mode="receptionist")


class Clock:
    """Moved by hand."""

    def __init__(self) -> None:
        self.at = 100.0

    def __call__(self) -> float:
        return self.at


def test_a_ticket_is_for_the_call_that_was_wished_for_and_for_one() -> None:
    tickets = Tickets(Clock())
    first, second = tickets.make(WISH), tickets.make(WISH)
    assert first != second
    assert tickets.spend(first) == WISH
    assert tickets.spend(first) is None
    assert tickets.spend(second) == WISH


def test_a_late_ticket_is_worth_nothing() -> None:
    clock = Clock()
    tickets = Tickets(clock)
    in_time, late = tickets.make(WISH), tickets.make(WISH)
    clock.at += TICKET_SECONDS
    assert tickets.spend(in_time) == WISH
    clock.at += 0.001
    assert tickets.spend(late) is None


def test_a_made_up_ticket_is_worth_nothing() -> None:
    tickets = Tickets(Clock())
    tickets.make(WISH)
    assert tickets.spend("") is None
    assert tickets.spend("x" * 32) is None


def test_only_so_many_wait_and_the_oldest_goes() -> None:
    tickets = Tickets(Clock())
    made = [tickets.make(WISH) for _ in range(MOST + 1)]
    assert tickets.spend(made[0]) is None
    assert all(tickets.spend(ticket) == WISH for ticket in made[1:])
