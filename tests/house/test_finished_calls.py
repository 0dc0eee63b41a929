"""What is left of a call that is over: enough for whatever is told late, and nothing that is large."""

import asyncio
import gc
import weakref
from collections.abc import Iterator
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any, cast

import msgspec
import pytest

from app.calls.live_call import LiveCall
from app.calls.roster import LINGER_SECONDS
from app.calls.standing import standing, state_of
from app.calls.toolbox import Toolbox
from app.core import effects as do
from app.core import events as ev
from app.core.finished import CallFinished
from app.core.rows import CallEnded, CallInfo, Consent, ToolCall, TransferAttempt, Turn
from app.web.menu import QUIET_SECONDS, KeypadMenu
from modes.receptionist import mode as receptionist
from tests.core.story import returned, started
from tests.house.test_ticket_life import INFO, Session, Stage

SID = "CA" + "1" * 32
CALLED = msgspec.structs.replace(INFO, call_sid=SID)
TURNS = 40


class Talking(Session):
    """A session that a relay can be given."""

    engine = SimpleNamespace(interrupts=True, truncates=True)
    lasts_seconds = None
    refused = False

    def attach(self, listener: Any) -> None:
        """It is ready, and says nothing by itself."""
        self.listener = listener

    def send(self, text: bytes) -> None:
        """Nobody reads it."""


class Talked(Stage):
    """A board on which a call was talked."""

    def _make(self, info: CallInfo, mode: Any, opening: Any, server: Any) -> Any:
        self.sessions.append(Talking(opening))
        return self.sessions[-1]

    def talks(self) -> tuple[LiveCall, list[weakref.ref[Any]]]:
        """A call of forty turns, whose stream has ended; and what should not outlive it."""
        return self.loop.run_until_complete(self._talks())

    async def _talks(self) -> tuple[LiveCall, list[weakref.ref[Any]]]:
        call = self.board.incoming(CALLED, receptionist)
        assert call is not None
        link = cast(Any, SimpleNamespace(send=lambda text: None, close=lambda code, reason: None))
        relay = self.board.answer(call, link, started(), "asgi")
        relay.apply(ev.ModelReady(opening=False))
        for n in range(TURNS):
            item = f"c{n}"
            for event in (ev.CallerSpoke(item), ev.CallerStopped(item), ev.CallerTranscribed(item, "What now? " * 20)):
                relay.apply(event)
        call.remember(do.PutThrough("billing", "an invoice"))
        relay.apply(ev.CallerLeft("stop"))
        assert call.toolbox is not None
        large: tuple[Any, ...] = (relay, relay.machine, relay.model, call.toolbox)
        return call, [weakref.ref(it) for it in large]


@pytest.fixture
def stage() -> Iterator[Talked]:
    it = Talked()
    yield it
    it.loop.end()


def test_of_a_call_that_is_over_neither_talk_nor_machine_nor_tools_are_kept(stage: Talked) -> None:
    call, large = stage.talks()
    stage.sessions.clear()  # the test's own hold on it
    assert len(call.record.spoken) == TURNS
    stage.board.ended(SID)
    stage.loop.run(0)
    gc.collect()
    assert [it() for it in large] == [None] * len(large)
    assert stage.board.calls[SID] is call
    assert _bytes(call.record) < 2000


def _bytes(record: Any) -> int:
    return len(msgspec.json.encode(record))


def test_what_was_to_be_kept_of_the_talk_is_put_before_it_is_let_go(stage: Talked) -> None:
    call, _ = stage.talks()
    stage.board.ended(SID)
    kinds = [type(row).__name__ for row in stage.rows]
    assert kinds.count("CallFinished") == 1
    assert kinds[-1] == "CallFinished"
    assert {row.seq for row in stage.rows if isinstance(row, Turn)} == set(range(TURNS))
    assert call.record.spoken == []


def test_late_word_of_the_dial_is_written_and_the_last_document_is_given_again(stage: Talked) -> None:
    call, _ = stage.talks()
    call.document = "<Response/>"
    call.transfers.begin("billing", "an invoice", outcome={"result": "transferred"})
    stage.board.ended(SID)
    _, news = stage.board.dialled(SID, "completed", over=True, seq=0)
    assert news
    assert [row.result for row in stage.rows if isinstance(row, TransferAttempt)][-1] == "accepted"
    assert call.record.outcome == {"result": "transferred"}
    assert (call.document, call.next.step) == ("<Response/>", "hang_up")


def test_a_row_of_its_end_that_is_written_again_has_the_same_figures(stage: Talked) -> None:
    call, _ = stage.talks()
    call.record.memory.reconnects, call.record.turn_ms = 2, [700]
    at = datetime(2026, 11, 23, tzinfo=UTC)
    before: CallEnded = call.record.ended(at, "voicemail")
    stage.board.ended(SID)
    assert call.record.ended(at, "voicemail") == before


def test_a_process_that_takes_it_up_after_all_writes_behind_its_rows(stage: Talked) -> None:
    call, _ = stage.talks()
    at = datetime(2026, 11, 23, tzinfo=UTC)
    before = state_of(standing(call, "here", at))
    stage.board.ended(SID)
    after = state_of(standing(call, "here", at))
    assert (after.first_seq, after.done, after.record) == (TURNS, before.done, before.record)
    assert call.record.notes("The operator hung up.", 0.0).seq == TURNS


def test_tools_that_go_on_after_the_call_are_waited_for(stage: Talked) -> None:
    call, _ = stage.talks()
    box, gate = cast(Toolbox, call.toolbox), asyncio.Event()
    row = ToolCall(call_sid=SID, seq=0, name="x", arguments="{}", result="", status="working", ms=1)
    call.record.working["t1"] = row

    async def work() -> ev.ToolReturned:
        await gate.wait()
        box.report(ev.ToolFinished(call_id="t1", output="{}", status="ok", ms=9))
        return returned("t1")

    async def begin() -> None:
        task = asyncio.create_task(work())
        box._kept.add(task)
        task.add_done_callback(box._kept.discard)
        stage.board.ended(SID)

    stage.loop.run_until_complete(begin())
    stage.loop.run(0)
    assert call.toolbox is box
    gate.set()
    stage.loop.run(0)
    stage.loop.run(0)
    assert [done.status for done in stage.rows if isinstance(done, ToolCall)] == ["ok"]
    assert isinstance(stage.rows[-1], CallFinished)
    assert call.toolbox is None


def test_an_announcement_of_before_is_no_longer_carried_about(stage: Talked) -> None:
    call, _ = stage.talks()
    call.record.consents = [cast(Consent, object())]
    stage.board.ended(SID)
    assert call.record.consents == []


def test_a_keypad_menu_keeps_no_call_in_memory(stage: Talked) -> None:
    call, _ = stage.talks()
    menu = KeypadMenu(stage.board, lambda path: path, lambda call: "", lambda call, words: "")
    call.next = msgspec.structs.replace(call.next, step="hang_up")

    async def keep(call: LiveCall) -> None:
        menu._keep(call)

    stage.loop.run_until_complete(keep(call))
    stage.loop.run(QUIET_SECONDS + LINGER_SECONDS + 60)
    assert call.finished
    assert stage.board.calls == {}
    gone = weakref.ref(call)
    del call
    stage.sessions.clear()
    gc.collect()
    assert gone() is None
