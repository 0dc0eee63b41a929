"""A call that is put through: what follows is in `next`, whatever is told, and a desk that has closed is a way back."""

from datetime import UTC, datetime, time
from typing import Any, cast

import msgspec

from app.calls.live_call import LiveCall
from app.calls.switchboard import Switchboard
from app.core import effects as do
from app.core.rows import CallInfo, Milestone, Outcome, Row, TransferAttempt
from app.mode import Desk, Mode, Transfer, tool
from app.rules.office import Hours
from tests.house.samples import OFFICE

INFO = CallInfo(call_sid="CA" + "1" * 32, account_sid="AC1", caller="+14155550133", dialled="+14155550199")
MONDAY = datetime(2026, 11, 23, 16, 0, tzinfo=UTC)
WISH = do.PutThrough("billing", "an invoice", {"result": "transferred"}, caller_name="Baker", promised="a refund")


@tool
async def put_through(desk: str) -> Transfer:
    """Put the caller through."""
    return Transfer(to=desk, reason="a quote")


class Journal:
    """Rows as they are put."""

    def __init__(self) -> None:
        self.rows: list[Row] = []

    def put(self, row: Row) -> None:
        self.rows.append(row)

    @property
    def attempts(self) -> list[TransferAttempt]:
        return [row for row in self.rows if isinstance(row, TransferAttempt)]


class Board:
    """Who keeps a call, without anything else."""

    def __init__(self) -> None:
        self.journal: Any = Journal()

    def stream_over(self, call: LiveCall, over: do.CallIsOver) -> None:
        raise AssertionError("no stream here")

    def keep(self, call: LiveCall) -> None:
        """It is not looked at here."""


def a_call(wish: do.PutThrough = WISH) -> tuple[LiveCall, Journal]:
    board = Board()
    call = LiveCall(board, INFO, Mode(name="m", prompt="m.md", tools=[put_through]))
    call.remember(wish)
    return call, board.journal


def warm() -> do.PutThrough:
    return msgspec.structs.replace(WISH, warm=True)


def test_a_desk_that_has_closed_since_the_promise_is_a_way_back() -> None:
    call, journal = a_call()
    call.dials(OFFICE, MONDAY.replace(hour=3))
    assert call.next.step == "resume"
    assert "closed" in call.next.note
    (row,) = journal.attempts
    assert (row.desk, row.result, row.ended_at is None) == ("billing", "closed", False)


def test_a_wish_overrides_how_a_desk_is_put_through() -> None:
    warm_desk = msgspec.structs.replace(OFFICE, desks={"billing": Desk("billing", "", "+14155550171", warm=True)})
    for wish, office, expected in (
        (WISH, OFFICE, ""),
        (warm(), OFFICE, "Call from Baker: an invoice. Promised: a refund."),
        (WISH, warm_desk, "Call from Baker: an invoice. Promised: a refund."),
        (msgspec.structs.replace(WISH, warm=False), warm_desk, ""),
    ):
        call, journal = a_call(wish)
        for _ in range(2):
            call.dials(office, MONDAY)
        assert [row.whisper for row in journal.attempts] == [expected], "a repeated request begins nothing"


def test_the_outcome_counts_with_the_key_and_not_before() -> None:
    call, journal = a_call(warm())
    call.dials(OFFICE, MONDAY)
    call.transfers.picked_up(0)
    assert call.record.outcome == {}
    assert call.pressed(0, "1")
    assert call.record.outcome == {"result": "transferred"}
    assert any(isinstance(row, Outcome) for row in journal.rows)
    call.dialled("completed", joined=True, over=False)
    assert call.next.step == "hang_up"


def test_the_outcome_of_a_transfer_that_was_not_accepted_never_counts() -> None:
    for digits in ("2", ""):
        call, _ = a_call(warm())
        call.dials(OFFICE, MONDAY)
        assert not call.pressed(0, digits)
        call.dialled("completed", joined=True, over=False)
        assert call.record.outcome == {}
        assert call.next.step == "resume"


def test_a_caller_whom_the_carrier_did_not_join_is_not_hung_up_on() -> None:
    call, journal = a_call(warm())
    call.dials(OFFICE, MONDAY)
    call.pressed(0, "1")
    call.dialled("no-answer", joined=False, over=False)
    assert journal.attempts[-1].result == "accepted", "the key was pressed"
    assert call.next.step == "resume"
    assert "lost" in call.next.note


async def test_a_desk_that_is_closed_when_a_tool_wants_it_is_on_record() -> None:
    class Nothing:
        def __getattr__(self, name: str) -> Any:
            return lambda *_, **__: self

        def __radd__(self, cost: float) -> float:
            return cost

    journal, nothing = Journal(), cast(Any, Nothing())
    late = Desk("sales", "", "+14155550172", hours={"monday": Hours(time(0, 0), time(0, 0, 0, 1))})
    board = Switchboard(
        office=msgspec.structs.replace(OFFICE, desks={"sales": late}), modes={}, journal=cast(Any, journal), store=nothing,
        texting=nothing, sessions=nothing, warm=nothing, terms=nothing, max_calls=1, next_url="", redirector=None, version="",
        consent=nothing,
    )  # fmt: skip
    mode = Mode(name="m", prompt="m.md", tools=[put_through], first_turn=[])
    call = board.take_up(INFO, mode, None)
    assert call is not None
    answer = await board.toolbox(call).run(do.RunTool("c1", "put_through", '{"desk":"sales"}'))
    assert answer.status == "refused"
    (row,) = journal.attempts
    assert (row.desk, row.reason, row.result, row.seq) == ("sales", "a quote", "closed", 10_000)
    assert not [row for row in journal.rows if isinstance(row, Milestone) and row.name == "transfer_started"]
    board.finish(call)


def test_a_desk_that_the_business_lacks_is_another_one() -> None:
    call, journal = a_call(do.PutThrough("cellar", "an invoice"))
    call.dials(OFFICE, MONDAY)
    assert (call.next.step, call.next.desk) == ("dial", "billing")
    assert journal.attempts[-1].desk == "billing"


def test_where_nobody_has_a_telephone_the_caller_is_back_with_the_agent_at_once() -> None:
    call, journal = a_call()
    call.dials(msgspec.structs.replace(OFFICE, desks={}), MONDAY)
    assert call.next.step == "resume"
    assert "the call did not go through" in call.next.note
    assert [(row.desk, row.result) for row in journal.attempts] == [("billing", "failed")]
