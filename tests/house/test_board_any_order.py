"""Whatever the carrier asks and tells, in whatever order: every call ends once, in the books too, and leaves nothing behind."""

import asyncio
import random
from collections import Counter
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any, cast

import pytest
from msgspec.structs import replace

from app.calls.roster import LINGER_SECONDS
from app.calls.switchboard import ASKED_SECONDS, DIAL_SECONDS
from app.core import events as ev
from app.core.finished import CallFinished
from app.core.rows import CallEnded, CallStarted, TransferAttempt
from modes.receptionist import mode as receptionist
from tests.core.story import started
from tests.house.test_finished_calls import CALLED, Talked

SIDS = [f"CA{n}" * 4 for n in range(4)]
LINK = cast(Any, SimpleNamespace(send=lambda text: None, close=lambda code=1000, reason="": None))


class Rows(list[Any]):
    """A journal that has written whatever it is given."""

    put = list.append

    async def flush(self, seconds: float = 0.0) -> bool:
        """At once."""
        return True


class Redirector:
    """A carrier that takes most of what it is told."""

    def __init__(self, chance: random.Random) -> None:
        self.chance = chance
        self.led: list[str] = []

    async def redirect(self, call_sid: str, url: str) -> bool:
        self.led.append(call_sid)
        return self.chance.random() < 0.8


class Carrier:
    """Some calls of a board, to which one thing after the other happens."""

    def __init__(self, stage: Talked, chance: random.Random) -> None:
        self.board, self.sessions, self.chance = stage.board, stage.sessions, chance
        self.rows = Rows()
        self.board.journal = cast(Any, self.rows)
        self.opening: set[str] = set()
        """Calls whose ticket was taken, and whose stream has not started."""

    async def does(self, what: str, sid: str) -> None:
        board, info, call = self.board, replace(CALLED, call_sid=sid), self.board.calls.get(sid)
        match what:
            case "rings" if sid not in board.departed:
                board.incoming(info, receptionist)
            case "is rung" if call is None:
                board.outgoing(replace(info, direction="outbound", screened=True), receptionist, rings_seconds=20)
            case "opens" if call is not None and board.redeem(receptionist.name, call.ticket or "none"):
                self.opening.add(sid)
            case "starts" if sid in self.opening and call is not None and not call.finished:
                self.opening.discard(sid)
                board.answer(call, LINK, replace(started(), call_sid=sid), "asgi")
            case "breaks" if sid in self.opening and call is not None:
                self.opening.discard(sid)
                board.unjoined(call)
            case "asks" if call is not None and sid not in board.departed:
                _, what_next = board.what_next(info, receptionist)
                if what_next.step == "resume":
                    board.prepare(call)
                elif what_next.step in ("hang_up", "message"):
                    board.finish(call)
            case "dialled":
                status = self.chance.choice(["completed", "busy", "no-answer", "failed"])
                board.dialled(sid, status, joined=self.chance.random() < 0.5, over=self.chance.random() < 0.2)
            case "picked up":
                board.picked_up(sid, ev.PickedUp(self.chance.choice(["person", "machine", "fax"])))
            case "stopped":
                board.stream_stopped(sid, "MZ1")
            case "over":
                board.ended(sid)
            case "event" if call is not None and call.relay is not None:
                call.relay.apply(self.chance.choice(EVENTS))
            case "nothing":
                await asyncio.sleep(self.chance.choice([0.01, 0.5, 3.0, 10.0, 40.0]))

    async def falls_silent(self) -> None:
        """Sockets close, and nobody asks or tells anything any more."""
        for call in list(self.board.calls.values()):
            if call.relay is not None:
                call.relay.apply(ev.CallerLeft("socket closed (1006)"))
            await self.does("breaks", call.info.call_sid)
        await asyncio.sleep(DIAL_SECONDS + LINGER_SECONDS + 60)

    def left_nothing(self) -> None:
        board = self.board
        assert (board.live, list(board.calls), board.idle.is_set()) == (0, [], True)
        assert all(session.closed for session in self.sessions)
        assert not board.warm.prepared
        begun = Counter(row.call_sid for row in self.rows if isinstance(row, CallStarted))
        assert begun == Counter(row.call_sid for row in self.rows if isinstance(row, CallFinished))
        assert begun.keys() == {row.call_sid for row in self.rows if isinstance(row, CallEnded)}
        attempts = {(row.call_sid, row.seq): row for row in self.rows if isinstance(row, TransferAttempt)}
        assert all(row.ended_at is not None for row in attempts.values())


EVENTS: list[ev.Event] = [
    ev.ModelReady(opening=False),
    ev.ModelLost("gone", refused=True),
    ev.CallerLeft("stop"),
    ev.CallerLeft("socket closed (1006)"),
    ev.OperatorPutThrough("billing"),
    ev.OperatorHungUp(),
    ev.CapReached("day"),
    ev.HouseFailed("ours"),
]
WHAT = ["rings", "is rung", "opens", "starts", "starts", "breaks", "asks", "asks", "dialled", "picked up", "stopped"]
WHAT += ["over", "event", "event", "nothing", "nothing", "nothing"]


@pytest.fixture
def stage() -> Iterator[Talked]:
    it = Talked()
    yield it
    it.loop.end()


@pytest.mark.parametrize("seed", range(12))
def test_every_call_ends_once_and_leaves_nothing(seed: int) -> None:
    chance = random.Random(seed)
    for _ in range(20):
        stage = Talked()
        carrier = Carrier(stage, chance)
        stage.board.redirector = Redirector(chance) if chance.random() < 0.6 else None

        async def plays(carrier: Carrier = carrier) -> None:
            for _ in range(chance.randint(3, 40)):
                await carrier.does(chance.choice(WHAT), chance.choice(SIDS))
            await carrier.falls_silent()
            carrier.left_nothing()

        stage.loop.run_until_complete(plays())
        stage.loop.end()


@pytest.mark.parametrize("asks", [True, False])
def test_a_carrier_that_has_asked_what_is_next_is_not_led_there_while_it_opens_the_stream(
    stage: Talked, asks: bool
) -> None:
    carrier = Carrier(stage, random.Random(0))
    stage.board.redirector = redirector = Redirector(carrier.chance)

    async def plays() -> None:
        for what in ("rings", "opens", "starts"):
            await carrier.does(what, SIDS[0])
        relay = stage.board.calls[SIDS[0]].relay
        assert relay is not None
        relay.apply(ev.CallerLeft("socket closed (1006)"))
        if asks:
            await carrier.does("asks", SIDS[0])
        await asyncio.sleep(ASKED_SECONDS + 1)

    stage.loop.run_until_complete(plays())
    assert redirector.led == ([] if asks else [SIDS[0]])
