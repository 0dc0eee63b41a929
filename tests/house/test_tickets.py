"""A ticket is good for its mode and its time, in every process that has the account's tokens, and in no other."""

from app.calls.tickets import SKEW_SECONDS, Tickets

SID = "CA" + "1" * 32


class Clock:
    def __init__(self) -> None:
        self.now = 1_790_000_000.0

    def __call__(self) -> float:
        return self.now


def test_any_process_with_the_account_s_token_reads_a_ticket_and_who_gave_it() -> None:
    clock = Clock()
    text = Tickets(["new", "old"], "m1", wall=clock).make("ivr", SID, 2, 30)
    for tokens in (["new"], ["newest", "new"]):
        ticket = Tickets(tokens, "m2", wall=clock).read("ivr", text)
        assert ticket is not None
        assert (ticket.owner, ticket.number, ticket.call_sid) == ("m1", 2, SID)
    assert Tickets(["other"], "m2", wall=clock).read("ivr", text) is None
    assert Tickets(wall=clock).read("ivr", text) is None, "a process without a token reads its own alone"


def test_what_is_changed_in_a_ticket_spoils_it() -> None:
    clock = Clock()
    tickets = Tickets(["t"], "m1", wall=clock)
    text = tickets.make("ivr", SID, 1, 30)
    assert tickets.read("receptionist", text) is None, "another mode"
    for wrong in (
        text.replace("m1.", "m2.", 1),
        text.replace(".1.", ".2.", 1),
        text.replace(SID, "CA" + "2" * 32),
        text[:-1] + ("A" if text[-1] != "A" else "B"),
        text + "x",
        text.rpartition(".")[0],
        "",
        "....",
    ):
        assert tickets.read("ivr", wrong) is None, wrong


def test_a_ticket_is_late_after_its_time_and_what_clocks_may_differ_by() -> None:
    clock = Clock()
    tickets = Tickets(["t"], "m1", wall=clock)
    text = tickets.make("ivr", SID, 1, 30)
    clock.now += 30 + SKEW_SECONDS
    assert tickets.read("ivr", text) is not None
    clock.now += 2
    assert tickets.read("ivr", text) is None
