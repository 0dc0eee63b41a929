"""The audio lane: what comes in at one end has gone out at the other before the call that brought it returns."""

import base64
import json
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any, cast

import pytest

from app.core import events as ev
from app.core.phases import Phase
from app.relay import Relay
from app.wire.realtime import append_audio, parse
from modes.receptionist import mode as receptionist
from tests.core.story import started
from tests.house.test_finished_calls import CALLED, Talked, Talking

SOUND = base64.b64encode(bytes(160)).decode()
FROM_CALLER = json.dumps({"event": "media", "media": {"track": "inbound", "payload": SOUND}}).encode()


class Written(Talking):
    """A session that keeps what it is sent."""

    def __init__(self, opening: Any) -> None:
        super().__init__(opening)
        self.sent: list[bytes] = []
        self.wire = SimpleNamespace(append=append_audio, parse=parse, commands=lambda *_: [])

    def send(self, text: bytes) -> None:
        self.sent.append(text)


class Lane(Talked):
    """A call that talks, with both of its ends in sight."""

    def _make(self, info: Any, mode: Any, opening: Any, server: Any) -> Any:
        self.sessions.append(Written(opening))
        return self.sessions[-1]

    async def begins(self) -> tuple[Relay, list[bytes], list[bytes]]:
        call = self.board.incoming(CALLED, receptionist)
        assert call is not None
        to_caller: list[bytes] = []
        link = cast(Any, SimpleNamespace(send=to_caller.append, close=lambda code, reason: None))
        relay = self.board.answer(call, link, started(), "asgi")
        session = self.sessions[-1]
        assert isinstance(session, Written)
        relay.model_ready(opening=True)
        assert relay.machine.phase is Phase.TALKING
        return relay, to_caller, session.sent


def _waits(stage: Lane) -> int:
    """What the loop has to do, now or later."""
    return len(stage.loop._ready) + len(stage.loop._scheduled)  # type: ignore[attr-defined]


@pytest.fixture
def stage() -> Iterator[Lane]:
    it = Lane()
    yield it
    it.loop.end()


def test_a_caller_s_frame_is_written_to_the_model_in_the_call_that_brings_it(stage: Lane) -> None:
    async def runs() -> None:
        relay, _, to_model = await stage.begins()
        for count in range(1, 4):
            relay.heard(FROM_CALLER)
            assert sum(SOUND.encode() in text for text in to_model) == count

    stage.loop.run_until_complete(runs())


def test_the_agent_s_sound_is_written_to_the_caller_in_the_call_that_brings_it(stage: Lane) -> None:
    async def runs() -> None:
        relay, to_caller, _ = await stage.begins()
        relay.apply(ev.ResponseStarted("r1"))
        for count in range(1, 4):
            delta = {"type": "response.output_audio.delta", "response_id": "r1", "item_id": "i1", "delta": SOUND}
            relay.from_model(json.dumps(delta).encode())
            assert sum(SOUND.encode() in text for text in to_caller) == count

    stage.loop.run_until_complete(runs())


def test_neither_end_s_message_leaves_anything_to_be_done_later(stage: Lane) -> None:
    """A task or a timer for each message would be found here."""

    async def runs() -> None:
        relay, _, _ = await stage.begins()
        relay.apply(ev.ResponseStarted("r1"))
        delta = {"type": "response.output_audio.delta", "response_id": "r1", "item_id": "i1", "delta": SOUND}
        relay.from_model(json.dumps(delta).encode())
        tasks, waiting = len(relay.tasks), _waits(stage)
        for _ in range(50):
            relay.heard(FROM_CALLER)
            relay.from_model(json.dumps(delta).encode())
        assert (len(relay.tasks), _waits(stage)) == (tasks, waiting)

    stage.loop.run_until_complete(runs())
