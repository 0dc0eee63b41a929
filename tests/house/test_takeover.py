"""Calls that another process may have had meanwhile, while the books cannot say so."""

import asyncio
import gc
import weakref
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from types import SimpleNamespace
from typing import Any, cast

import pytest
from msgspec.structs import replace

from app.adapters.store import SEQ_GAP, Recalled
from app.calls.handover import Handover
from app.calls.live_call import LiveCall, Next, outcome_row
from app.calls.roster import KEEP_AT_ONCE, KEEP_SECONDS
from app.calls.standing import restore, standing
from app.calls.switchboard import DIAL_SECONDS, STREAMS
from app.calls.takeover import UNKNOWN_SEQ, briefing, nothing_known, of_epoch
from app.calls.tickets import Ticket
from app.calls.toolbox import Toolbox
from app.calls.transfers import Transfers
from app.core import effects as do
from app.core.finished import CallFinished
from app.core.record import CallRecord
from app.core.rows import CallEnded, Consent, Outcome, ToolCall, TransferAttempt
from app.core.standing import NOBODY, Owned, Standing
from app.mode import CallContext, Disclosure, Mode, tool
from modes.receptionist import mode as receptionist
from tests.house.test_ticket_life import INFO, Stage
from tests.house.test_toolbox import context

NOW = datetime(2026, 11, 23, 16, 0, tzinfo=UTC)


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


def test_a_call_keeps_the_mode_that_it_is_known_by_when_the_books_do_not_answer(stage: Stage) -> None:
    """Later documents are asked for without `?mode=`, and the dialled number may stand for another one."""
    ours = stage.rings(Disclosure(when="never"))
    taken = stage.board.take_up(replace(INFO, fields={}), replace(receptionist, name="of-the-number"), None)
    assert taken is not None
    assert taken is not ours
    assert (taken.mode.name, taken.record.mode) == (ours.mode.name, ours.mode.name)
    assert taken.info is ours.info


def test_a_call_that_streamed_here_goes_on_as_it_is_known_when_the_books_do_not_answer(stage: Stage) -> None:
    ours = stage.rings(Disclosure(when="never"))
    ours.streams = ours.tickets
    assert stage.board.take_up(INFO, receptionist, None) is ours


def test_a_call_is_not_resumed_for_ever_by_processes_that_know_nothing_of_each_other(stage: Stage) -> None:
    """Postgres is away, and one process after the other dies: the number in the carrier's URL counts."""
    for stream in range(2, STREAMS + 1):
        taken = stage.board.take_up(INFO, receptionist, None, asked=stream)
        assert taken is not None
        assert taken.record.first_seq == stream * UNKNOWN_SEQ, "nor is one written over by the next"
        assert stage.board.what_next(INFO, receptionist)[1].step == ("resume" if stream < STREAMS else "apologise")
        stage.board.forget(taken)


class Owners:
    """Books that say who has the calls."""

    def __init__(self, owner: str) -> None:
        self.who = owner

    async def owner(self, call_sid: str) -> str:
        return self.who


@pytest.mark.parametrize(("owner", "counted"), [("another", 0), ("", 1)])
def test_a_call_whose_stream_was_served_elsewhere_is_counted_there_alone(
    stage: Stage, owner: str, counted: int
) -> None:
    stage.board.claims = cast(Any, Owners(owner))
    stage.rings(Disclosure(when="never"))

    async def over() -> None:
        stage.board.ended(INFO.call_sid)
        await asyncio.sleep(0.1)

    stage.loop.run_until_complete(over())
    assert len([row for row in stage.rows if isinstance(row, CallFinished)]) == counted
    assert stage.board.live == 0


def test_a_call_that_is_over_is_not_kept_for_the_hours_that_a_dial_may_take(stage: Stage) -> None:
    gone = weakref.ref(stage.rings(Disclosure(when="never")))

    async def dials() -> None:
        call = stage.board.calls[INFO.call_sid]
        stage.board._finish_later(DIAL_SECONDS, call)
        stage.board.finish(call)
        stage.board.forget(call)

    stage.loop.run_until_complete(dials())
    stage.loop.run(400)
    gc.collect()
    assert gone() is None


def test_many_calls_are_kept_a_few_at_a_time(stage: Stage) -> None:
    """A hundred of them at once would keep the audio of all waiting."""
    calls = [SimpleNamespace(streaming=True) for _ in range(5 * KEEP_AT_ONCE)]
    stage.board.calls = cast(Any, dict(enumerate(calls)))
    kept: list[Any] = []
    turns: list[int] = []
    stage.board.keep = kept.append  # type: ignore[method-assign, assignment]

    async def looks_on() -> None:
        keeping = asyncio.create_task(stage.board.keep_all())
        await asyncio.sleep(0)
        await asyncio.sleep(KEEP_SECONDS)
        for _ in range(2 * len(calls)):
            await asyncio.sleep(0)
            turns.append(len(kept))
        keeping.cancel()

    stage.loop.run_until_complete(looks_on())
    assert max(after - before for before, after in pairwise(turns)) <= KEEP_AT_ONCE
    assert kept == calls
    stage.board.calls = {}


def test_a_call_in_which_somebody_begins_to_speak_while_the_books_are_written_is_not_handed_over(stage: Stage) -> None:
    """Nor one whose tool begins to write: that would be cut off."""
    quiet, given = [True], list[LiveCall]()
    call = cast(LiveCall, SimpleNamespace(relay=object(), info=INFO, streams=1))

    async def flush(seconds: float) -> bool:
        quiet[0] = False
        return True

    board = SimpleNamespace(calls={INFO.call_sid: call}, journal=SimpleNamespace(flush=flush))

    async def hands_over() -> None:
        handover = Handover(cast(Any, board), cast(Any, None))
        handover._paused = lambda call: quiet[0]  # type: ignore[method-assign]
        handover._give = given.append  # type: ignore[method-assign, assignment]
        giving = asyncio.create_task(handover.give(5.0))
        await asyncio.sleep(0.2)
        giving.cancel()

    stage.loop.run_until_complete(hands_over())
    assert given == []


async def test_another_wish_has_the_key_that_the_process_gave_it_which_died_as_it_wrote() -> None:
    """Else the backend would take it for a new one, and do it twice."""
    keys: dict[str, list[str]] = {}

    @tool
    async def book(call: CallContext, day: str) -> str:
        """Book."""
        keys.setdefault(day, []).append(call.key)
        return "booked"

    mode = Mode(name="some", prompt="some.md", tools=[book])
    call = LiveCall(cast(Any, SimpleNamespace(journal=SimpleNamespace(put=lambda row: None))), INFO, mode)
    call.toolbox = Toolbox(mode, context)
    await call.toolbox.run(do.RunTool("t1", "book", '{"day":"monday"}'))
    kept = standing(call, "a", datetime.now(UTC))
    await call.toolbox.run(do.RunTool("t2", "book", '{"day":"tuesday"}'))  # done, but nobody could write it down
    taken = LiveCall(call.board, INFO, mode)
    taken.record.done_before = {"book": 1}
    restore(taken, kept)
    taken.toolbox = Toolbox(mode, context)
    taken.toolbox.done_before = taken.record.done_before
    for day in ("monday", "tuesday"):
        await taken.toolbox.run(do.RunTool(f"{day}-again", "book", f'{{"day":"{day}"}}'))
    assert keys["tuesday"][0] == keys["tuesday"][1]
    assert keys["monday"][0] != keys["monday"][1], "what is on record as done is wished for once more"
    third = Toolbox(mode, context)
    third.done_before = taken.toolbox.done
    assert sorted(third.done_before.values()) == [1, 2], "and the next process knows of both"


def test_the_model_is_told_what_was_begun_and_is_not_known_to_be_done() -> None:
    late = ToolCall(call_sid="CA1", seq=0, name="book", arguments='{"day":"monday"}', result="", status="late", ms=0)
    words = briefing(Recalled(record=CallRecord(call_sid="CA1", mode="m"), tools=[late]))
    assert "not known whether it was done" in words
    assert 'book({"day":"monday"})' in words


# --- whose a call is ------------------------------------------------------------------------------------------------------


def known(epoch: int, *, owner: str = "another", at: datetime = datetime(2026, 11, 24, tzinfo=UTC)) -> Recalled:
    """What the books say of the call: who had it last, as far as they know."""
    row = Standing(
        call_sid=INFO.call_sid, at=at, owner=owner, streams=1, tickets=1, state={"first_seq": 7}, epoch=epoch
    )
    return Recalled(record=CallRecord(call_sid=INFO.call_sid, mode="receptionist", first_seq=1007), standing=row)


@pytest.mark.parametrize(
    ("books", "url", "epoch", "first_seq"),
    [(known(1), 1, 2, 1007), (known(4), 1, 5, 1007), (known(2), 4, 5, 3007), (None, 3, 4, 3 * UNKNOWN_SEQ)],
)
def test_whoever_takes_a_call_up_is_behind_all_that_had_it_by_the_books_or_by_the_carrier_s_url(
    stage: Stage, books: Recalled | None, url: int, epoch: int, first_seq: int
) -> None:
    """Of owners whom the books do not know yet rows are still to come: room is left for each."""
    taken = stage.board.take_up(INFO, receptionist, books, epoch=url)
    assert taken is not None
    assert (taken.record.epoch, taken.record.first_seq) == (epoch, first_seq)


def test_every_row_of_a_call_that_was_taken_up_says_whose_it_is(stage: Stage) -> None:
    taken = stage.board.take_up(INFO, receptionist, known(1))
    assert taken is not None
    taken.door, taken.next = "asgi", Next("dial", "sales")  # it talks here
    taken.transfers.begin("sales", "a quote")
    taken.write(Consent(call_sid="CA1", at=NOW, what="ai", text="", why="", how="greeting", heard=True))
    stage.rows.append(outcome_row(taken.record, receptionist))
    stage.rows.append(taken.record.ended(NOW, "x"))
    stage.board.keep(taken)
    stage.board.finish(taken)
    owned = [row for row in stage.rows if isinstance(row, Owned)]
    kinds = {TransferAttempt, Consent, Outcome, CallEnded, Standing, CallFinished}
    assert {type(row) for row in owned} == kinds
    assert {row.epoch for row in owned} == {2}


def test_a_key_that_is_pressed_in_a_process_without_the_call_counts_as_its_owner_s_word(stage: Stage) -> None:
    attempt = TransferAttempt(
        call_sid="CA1", seq=0, desk="d", reason="", result="", whisper="w", started_at=NOW, ended_at=None, epoch=3
    )
    elsewhere = Transfers("CA1", stage.rows.put)
    elsewhere.recall([attempt])
    assert elsewhere.accepts(0, "1")
    assert stage.rows[-1] == replace(attempt, result="accepted")


@pytest.mark.parametrize("books", [known(1, owner=""), None])
def test_a_url_of_a_later_owner_s_tells_that_a_call_which_is_known_here_was_elsewhere(
    stage: Stage, books: Recalled | None
) -> None:
    """The books lag behind, or are away."""
    ours = stage.rings(Disclosure(when="never"))
    ours.streams = ours.tickets
    assert not stage.board.outdated(INFO.call_sid)
    assert stage.board.outdated(INFO.call_sid, epoch=2)
    taken = stage.board.take_up(INFO, receptionist, books, epoch=2)
    assert taken is not None
    assert taken is not ours
    assert taken.record.epoch == 3


def test_no_clock_decides_whose_a_call_is(stage: Stage) -> None:
    """The clock of the process that took it up goes a year behind ours."""
    ours = stage.rings(Disclosure(when="never"))
    ours.streams = ours.tickets
    assert ours.kept is not None
    past = ours.kept.at - timedelta(days=365)
    assert stage.board.take_up(INFO, receptionist, known(1, at=past)) is ours, (
        "rows of code of before have but their clock"
    )
    taken = stage.board.take_up(INFO, receptionist, known(2, at=past))
    assert taken is not ours


def test_a_transfer_begins_behind_one_that_the_carrier_speaks_of_and_the_books_do_not(stage: Stage) -> None:
    taken = stage.board.take_up(INFO, receptionist, known(1), transfer=0)
    assert taken is not None
    assert taken.transfers.begin("sales", "a quote").seq == 1


def test_a_url_says_whose_it_is() -> None:
    assert of_epoch("https://x/twilio/next", 1) == "https://x/twilio/next"
    assert of_epoch("https://x/twilio/next?streams=2", 3) == "https://x/twilio/next?streams=2&epoch=3"
    assert of_epoch("https://x/twilio/dialed", 3) == "https://x/twilio/dialed?epoch=3"


def test_who_took_a_call_up_and_did_not_talk_closes_it_only_if_nobody_else_has(stage: Stage) -> None:
    taken = stage.board.take_up(INFO, receptionist, known(1))
    assert taken is not None
    stage.board.finish(taken)
    (end,) = [row for row in stage.rows if isinstance(row, CallEnded)]
    assert end.epoch == NOBODY


@pytest.mark.parametrize(("number", "first_seq"), [(1, 0), (2, SEQ_GAP), (3, 2 * SEQ_GAP)])
def test_rows_of_streams_that_the_books_know_nothing_of_are_not_written_over_by_the_next_one(
    stage: Stage, number: int, first_seq: int
) -> None:
    """Their process is cut off from Postgres, and its rows are on its disk."""
    ticket = Ticket(owner="another", number=number, until=0, call_sid=INFO.call_sid)
    taken = stage.board.cold(INFO, receptionist, ticket, nothing_known(INFO.call_sid))
    assert taken is not None
    assert (taken.record.first_seq, taken.streams, taken.tickets) == (first_seq, number - 1, number)


def test_nor_by_who_is_asked_what_is_next(stage: Stage) -> None:
    taken = stage.board.take_up(INFO, receptionist, nothing_known(INFO.call_sid))
    assert taken is not None
    assert taken.record.first_seq == SEQ_GAP
