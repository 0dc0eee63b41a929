"""The dialler over a real outbound book: what it does not dial, what the carrier leaves unsaid, words that come late or never."""

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any, cast

import msgspec
import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from app.adapters.dialling import Dialled, Dialling
from app.adapters.outbound_book import OutboundBook
from app.calls.dialler import SILENT, UNSURE, Dialler
from app.calls.lag import LoopLag
from app.calls.spending import Limits, Spending
from app.core.record import CallRecord
from app.core.rows import CallInfo
from app.mode import Mode
from app.outbound import Placed, Wish
from app.rules.outbound import OutboundRules, Quiet
from modes.reminder import mode as reminder
from tests.adapters.words import rows
from tests.modes.ledger_store import OFFICE

NOON = datetime(2026, 11, 23, 18, 0, tzinfo=UTC)
ANNA, BEN, CARL = "+14155550133", "+14155550134", "+14155550135"
OURS = "+14155550199"
RULES = OutboundRules(quiet=Quiet(*2 * (Quiet().until,)), a_day_to_one=20)
FIELDS = {"name": "Baker", "start": "2026-12-01T09:00"}


class Rung:
    """A call as the board has it."""

    def __init__(self, info: CallInfo) -> None:
        self.info, self.finished, self.picked_up, self.streams, self.how = info, False, None, 0, ""


class Board:
    """As much of the switchboard as a dialler sees."""

    def __init__(self) -> None:
        self.draining = self.closing = False
        self.max_calls, self.office, self.modes = 5, OFFICE, {"reminder": reminder}
        self.calls: dict[str, Rung] = {}
        self.departed: dict[str, None] = {}
        self.spending: Spending | None = None

    @property
    def live(self) -> int:
        return sum(not call.finished for call in self.calls.values())

    def outgoing(self, info: CallInfo, mode: Mode, *, rings_seconds: float = 0.0) -> Rung:
        return self.calls.setdefault(info.call_sid, Rung(info))

    def ended(self, call_sid: str) -> None:
        self.departed[call_sid] = None
        if call_sid in self.calls:
            self.calls[call_sid].finished = True


class Carrier:
    """Answers as it is told to, and keeps what it was asked for."""

    def __init__(self) -> None:
        self.answers: list[Dialled] = []
        self.asked: list[str] = []
        self.looked_up: list[str] = []
        self.stands: dict[str, str] = {}
        self.awake = asyncio.Event()
        self.awake.set()

    async def place(self, call: Dialling) -> Dialled:
        self.asked.append(call.to)
        call_sid = f"CA{len(self.asked)}"
        await self.awake.wait()
        return self.answers.pop(0) if self.answers else Dialled("taken", call_sid)

    async def standing(self, call_sid: str) -> str:
        self.looked_up.append(call_sid)
        return self.stands.get(call_sid, "")


class Desk:
    """A dialler, and all that it has to do with. The clock stands until it is moved."""

    def __init__(self, engine: AsyncEngine, **rules: Any) -> None:
        self.now = NOON
        self.board, self.carrier, self.book = Board(), Carrier(), OutboundBook(engine)
        self.dialler = Dialler(
            rules=msgspec.structs.replace(RULES, **rules),
            board=cast(Any, self.board),
            book=self.book,
            carrier=self.carrier,
            sender=OURS,
            account_sid="AC1",
            public_url="https://agent.example",
            now=lambda: self.now,
        )

    async def wants(self, to: str = ANNA, **more: Any) -> str:
        wish = Wish(to=to, mode="reminder", fields=FIELDS, **more)
        placed, _, _ = await self.dialler.ask(wish, asked_by="crm", key=None)
        return placed.reference

    async def dials(self) -> int:
        """What is due, until the carrier has answered."""
        count = await self.dialler.dial_due()
        self.carrier.awake.set()
        await self.dialler.close()
        return count

    async def placed(self, reference: str) -> Placed:
        placed = await self.book.placed(reference)
        assert placed is not None
        return placed

    async def results(self, reference: str) -> list[tuple[str, str]]:
        return [(attempt.call_sid, attempt.result) for attempt in (await self.placed(reference)).attempts]

    def moves(self, by: timedelta) -> None:
        self.now += by


@pytest.fixture
def desk(engine: AsyncEngine) -> Desk:
    return Desk(engine)


def spending_of(limits: Limits, lag: LoopLag | None = None) -> Spending:
    """Caps without books."""
    return Spending(limits, OFFICE, lag or LoopLag(), cast(Any, None), settled=cast(Any, None))


def costs_a_dollar(spending: Spending, caller: str) -> None:
    """Somebody called us today."""
    info = CallInfo(call_sid="CA9", account_sid="AC1", caller=caller, dialled=OURS)
    call = cast(Any, Rung(info))
    call.record = CallRecord(call_sid="CA9", mode="receptionist")
    spending.begins(call)
    call.record.cost_usd = 1.0


# --- what is not dialled ----------------------------------------------------------------------------------------------


async def test_no_more_is_dialled_than_there_is_room_for_though_none_of_it_rings_yet(desk: Desk) -> None:
    desk.board.max_calls = 2
    for number in (ANNA, BEN, CARL):
        await desk.wants(number)
    desk.carrier.awake.clear()
    assert await desk.dials() == 2
    assert sorted(desk.carrier.asked) == [ANNA, BEN]
    assert await desk.dials() == 0
    await desk.dialler.over("", "CA1", "busy")
    assert await desk.dials() == 1


async def test_while_the_loop_runs_late_nobody_is_called(desk: Desk) -> None:
    lag = LoopLag()
    desk.board.spending = spending_of(Limits(), lag)
    await desk.wants()
    lag.overloaded = True
    assert await desk.dials() == 0
    lag.overloaded = False
    assert await desk.dials() == 1


@pytest.mark.parametrize("limits", [Limits(day=1.0), Limits(number_day=1.0)], ids=["day", "number"])
async def test_once_the_day_has_cost_enough_nobody_is_called(desk: Desk, limits: Limits) -> None:
    desk.board.spending = spending_of(limits)
    reference = await desk.wants()
    costs_a_dollar(desk.board.spending, BEN)
    assert await desk.dials() == 0
    assert (desk.carrier.asked, (await desk.placed(reference)).status) == ([], "waiting")


async def test_a_callee_who_has_cost_enough_today_is_called_later_and_others_now(desk: Desk) -> None:
    desk.board.spending = spending_of(Limits(caller_day=1.0))
    anna, ben = await desk.wants(ANNA), await desk.wants(BEN)
    costs_a_dollar(desk.board.spending, ANNA)
    await desk.dials()
    assert desk.carrier.asked == [BEN]
    kept = await desk.placed(anna)
    assert (kept.status, kept.attempts) == ("waiting", [])
    assert kept.due_at > desk.now
    assert (await desk.placed(ben)).status == "live"


async def test_a_number_that_the_rules_do_not_allow_any_more_is_not_dialled(desk: Desk, engine: AsyncEngine) -> None:
    reference = await desk.wants()
    stricter = Desk(engine, countries=frozenset({"GB"}))
    await stricter.dials()
    assert stricter.carrier.asked == []
    placed = await desk.placed(reference)
    assert (placed.status, placed.result) == ("done", "failed")
    assert "expected a number of GB" in placed.attempts[0].detail


# --- what the carrier answers -----------------------------------------------------------------------------------------


async def test_a_call_that_the_carrier_would_take_later_is_no_attempt_and_is_tried_in_a_minute(desk: Desk) -> None:
    desk.carrier.answers = [Dialled("later", code=20003)]
    reference = await desk.wants(max_attempts=1)
    await desk.dials()
    assert (await desk.placed(reference)).attempts == []
    assert await desk.dials() == 0
    desk.moves(timedelta(minutes=1))
    assert await desk.dials() == 1
    assert await desk.results(reference) == [("CA2", "")]


async def test_a_call_of_which_the_carrier_never_said_whether_it_took_it_is_lost_in_the_end_and_not_before(
    desk: Desk,
) -> None:
    desk.carrier.answers = [Dialled("unknown")]
    reference = await desk.wants(max_attempts=2)
    await desk.dials()
    await desk.dialler.sweep()
    assert await desk.results(reference) == [("", "")]
    desk.moves(SILENT + timedelta(seconds=1))
    await desk.dialler.sweep()
    assert await desk.results(reference) == [("", "lost")]
    assert (desk.carrier.looked_up, await desk.dials()) == ([], 0)
    desk.moves(timedelta(hours=2))
    assert await desk.dials() == 1


@pytest.mark.parametrize("word", ["ringing", "answered", "elsewhere"])
async def test_a_call_that_was_taken_all_the_same_is_never_dialled_again_while_it_lasts(
    desk: Desk, engine: AsyncEngine, word: str
) -> None:
    desk.carrier.answers = [Dialled("unknown")]
    reference = await desk.wants()
    await desk.dials()
    match word:
        case "ringing":
            await desk.dialler.goes_on(reference, "CA7")
        case "answered":
            assert await desk.dialler.answered(reference, "CA7") is not None
        case _:
            await Desk(engine).dialler.goes_on(reference, "CA7")
    desk.carrier.stands["CA7"] = "in-progress"
    desk.moves(SILENT + timedelta(minutes=20))
    await desk.dialler.sweep()
    assert await desk.results(reference) == [("" if word == "answered" else "CA7", "")]
    assert (await desk.placed(reference)).status == "live"
    await desk.dialler.over(reference, "CA7", "completed")
    assert await desk.results(reference) == [("CA7", "answered")]


# --- words that come late, or get lost --------------------------------------------------------------------------------


async def test_an_attempt_whose_end_nobody_told_is_looked_up_and_comes_to_what_the_carrier_says(desk: Desk) -> None:
    reference = await desk.wants()
    await desk.dials()
    desk.board.ended("CA1")  # its ticket was never used
    desk.moves(SILENT - timedelta(seconds=1))
    await desk.dialler.sweep()
    assert desk.carrier.looked_up == []
    desk.moves(timedelta(seconds=2))
    desk.carrier.stands["CA1"] = "ringing"
    await desk.dialler.sweep()
    assert await desk.results(reference) == [("CA1", "")]
    desk.carrier.stands["CA1"] = "busy"
    await desk.dialler.sweep()
    assert await desk.results(reference) == [("CA1", "busy")]


async def test_a_call_that_talks_here_is_not_looked_up_however_long_it_lasts(desk: Desk) -> None:
    reference = await desk.wants()
    await desk.dials()
    desk.moves(timedelta(hours=3))
    await desk.dialler.sweep()
    assert (desk.carrier.looked_up, await desk.results(reference)) == ([], [("CA1", "")])


@pytest.mark.parametrize(("word", "after"), [("gone", timedelta(minutes=6)), ("", UNSURE + timedelta(minutes=1))])
async def test_a_call_that_the_carrier_does_not_know_is_lost(desk: Desk, word: str, after: timedelta) -> None:
    reference = await desk.wants()
    await desk.dials()
    desk.board.ended("CA1")
    desk.carrier.stands["CA1"] = word
    if not word:
        desk.moves(timedelta(hours=24))
        await desk.dialler.sweep()
        assert await desk.results(reference) == [("CA1", "")]
        desk.moves(timedelta(hours=-24))
    desk.moves(after)
    await desk.dialler.sweep()
    assert await desk.results(reference) == [("CA1", "lost")]


async def test_late_words_of_an_attempt_say_nothing_of_the_next_one(desk: Desk) -> None:
    reference = await desk.wants()
    await desk.dials()
    await desk.dialler.over(reference, "CA1", "busy")
    desk.moves(timedelta(minutes=15))
    desk.carrier.answers = [Dialled("unknown")]
    await desk.dials()
    await desk.dialler.over(reference, "CA1", "busy")
    await desk.book.answered_by(reference, "CA1", "machine_end_beep")
    told = (await desk.placed(reference)).attempts
    assert [(one.call_sid, one.result, one.answered_by) for one in told] == [("CA1", "busy", ""), ("", "", "")]
    assert await desk.dialler.answered(reference, "CA2") is not None, "it is still known as the one that rings"


async def test_a_repeated_request_of_a_call_that_is_over_begins_nothing(desk: Desk) -> None:
    reference = await desk.wants()
    await desk.dials()
    await desk.dialler.over(reference, "CA1", "completed")
    del desk.board.calls["CA1"]
    assert await desk.dialler.answered(reference, "CA1") is None
    assert desk.board.calls == {}


async def test_a_process_that_died_over_a_call_leaves_it_to_another_which_dials_it_in_time(
    desk: Desk, engine: AsyncEngine
) -> None:
    reference = await desk.wants(max_attempts=2)
    assert await desk.book.claim(RULES, desk.now, lambda number, at: at) is not None  # and then no more is heard of it
    other = Desk(engine)
    other.moves(SILENT + timedelta(seconds=1))
    await other.dialler.sweep()
    assert await other.results(reference) == [("", "lost")]
    other.moves(timedelta(hours=2))
    assert await other.dials() == 1
    assert await rows(engine, "SELECT status, attempts FROM outbound_calls") == [("live", 2)]
