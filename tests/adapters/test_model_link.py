"""Sessions with the model: what is presumed of a known server, and what happens where it proves wrong."""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import msgspec
import pytest
from websockets.asyncio.server import ServerConnection, serve
from websockets.exceptions import ConnectionClosed

from app.adapters.attempt import Attempt
from app.adapters.endpoint import Endpoint, Known
from app.adapters.opening import Opening
from app.sim.model_faults import Faults
from tests.adapters.sessions import GREETS, PLAN, Ear, model_server, session, talked, until

CONFIGURED = ["session.update", "conversation.item.create", "response.create"]
MULAW: dict[str, Any] = {"format": {"type": "audio/pcmu"}}


class Odd:
    """A server of each test's own: `acts` is called with every session's socket and its number, from 1."""

    def __init__(self, acts: Callable[["Odd", ServerConnection, int], Awaitable[None]]) -> None:
        self.acts = acts
        self.sessions: list[list[dict[str, Any]]] = []

    async def serve(self, socket: ServerConnection) -> None:
        self.sessions.append([])
        try:
            await self.acts(self, socket, len(self.sessions))
            async for _ in socket:
                pass
        except ConnectionClosed:
            return

    async def hears(self, socket: ServerConnection) -> dict[str, Any]:
        event: dict[str, Any] = msgspec.json.decode(await socket.recv())
        self.sessions[-1].append(event)
        return event

    async def says(self, socket: ServerConnection, kind: str, **fields: Any) -> None:
        await socket.send(msgspec.json.encode({"type": kind, **fields}), text=True)

    async def configures(self, socket: ServerConnection) -> None:
        """The usual beginning, up to the request for the greeting, and its end."""
        await self.says(socket, "session.created", session={"type": "realtime"})
        await self.updated(socket)

    async def updated(self, socket: ServerConnection) -> None:
        update = await self.hears(socket)
        await self.says(socket, "session.updated", session=update["session"])
        while (await self.hears(socket))["type"] != "response.create":
            pass
        await self.says(socket, "response.done", response={"id": "r", "status": "completed"})


@asynccontextmanager
async def odd(acts: Callable[[Odd, ServerConnection, int], Awaitable[None]]) -> AsyncIterator[tuple[Odd, Endpoint]]:
    it = Odd(acts)
    async with serve(it.serve, "127.0.0.1", 0, compression=None, ping_interval=None) as server:
        yield it, Endpoint(url=f"ws://127.0.0.1:{next(iter(server.sockets)).getsockname()[1]}")


async def greeted(endpoint: Endpoint, known: Known, **options: Any) -> Ear:
    """A session from its dial to the end of its greeting."""
    it = session(endpoint, known, **options)
    it.start()
    ear = await talked(it)
    it.close()
    return ear


# --- what is presumed -------------------------------------------------------------------------------------------------


async def test_the_second_session_asks_nothing_of_a_server_that_is_known() -> None:
    async def acts(it: Odd, socket: ServerConnection, number: int) -> None:
        if number == 1:
            return await it.configures(socket)
        first = [(await it.hears(socket))["type"] for _ in CONFIGURED]
        assert first == CONFIGURED, "all of it before the server's first word"
        await it.says(socket, "session.created", session={"type": "realtime"})
        await it.says(socket, "session.updated", session={"audio": {"input": MULAW, "output": MULAW}})
        return await it.says(socket, "response.done", response={"id": "r", "status": "completed"})

    async with odd(acts) as (it, endpoint):
        known = Known()
        for _ in range(2):
            ear = await greeted(endpoint, known)
            assert ear.ready == [True]
        assert [[event["type"] for event in seen] for seen in it.sessions] == [CONFIGURED, CONFIGURED]


async def test_the_opening_waits_where_only_the_dialect_is_known() -> None:
    other = msgspec.structs.replace(PLAN, voice="cedar")

    async def acts(it: Odd, socket: ServerConnection, number: int) -> None:
        if number == 1:
            return await it.configures(socket)
        update = await it.hears(socket)
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(socket.recv(), 0.05)
        await it.says(socket, "session.updated", session=update["session"])
        assert [(await it.hears(socket))["type"] for _ in CONFIGURED[1:]] == CONFIGURED[1:]
        return await it.says(socket, "response.done", response={"id": "r", "status": "completed"})

    async with odd(acts) as (it, endpoint):
        known = Known()
        await greeted(endpoint, known)
        await greeted(endpoint, known, plan=other)
        assert len(it.sessions) == 2


@pytest.mark.parametrize("dialect", ["ga", "flat"])
async def test_known_servers_of_either_dialect_are_greeted_in_it(dialect: Any) -> None:
    async with model_server(dialect=dialect) as (server, endpoint):
        known = Known()
        for _ in range(2):
            it = session(endpoint, known)
            it.start()
            ear = await talked(it)
            assert it.dialect.name == dialect
            assert "error" not in ear.types
            assert [event["type"] for event in server.live.copy().pop().received] == CONFIGURED
            it.close()
            await until(lambda: not server.live)


async def test_a_call_s_own_prompt_does_not_make_a_server_unknown() -> None:
    known = Known()
    known.took("ws://x", "ga", PLAN)
    assert known.takes("ws://x", msgspec.structs.replace(PLAN, instructions="Another caller."))
    assert not known.takes("ws://x", msgspec.structs.replace(PLAN, voice="cedar"))
    known.forget("ws://x")
    assert not known.takes("ws://x", PLAN)
    assert known.dialect("ws://x") is None


# --- where it proves wrong --------------------------------------------------------------------------------------------


async def test_an_answer_from_before_the_configuration_is_never_heard() -> None:
    async def acts(it: Odd, socket: ServerConnection, number: int) -> None:
        if number != 2:
            return await it.configures(socket)
        await it.hears(socket)
        await it.says(socket, "response.created", response={"id": "r"})
        return await it.says(socket, "response.output_audio.delta", response_id="r", item_id="i", delta="AAAA")

    async with odd(acts) as (it, endpoint):
        known = Known()
        await greeted(endpoint, known)
        ear = await greeted(endpoint, known)
        assert ear.ready == [True]
        assert "response.output_audio.delta" not in ear.types
        assert len(it.sessions) == 3


async def test_another_codec_than_before_drops_the_session_with_all_it_said() -> None:
    async def acts(it: Odd, socket: ServerConnection, number: int) -> None:
        if number != 2:
            return await it.configures(socket)
        await it.hears(socket)
        pcm = {"format": {"type": "audio/pcm", "rate": 24000}}
        await it.says(socket, "session.updated", session={"audio": {"input": pcm, "output": pcm}})
        return await it.says(socket, "response.output_audio.delta", response_id="r", item_id="i", delta="AAAA")

    async with odd(acts) as (it, endpoint):
        known = Known()
        await greeted(endpoint, known)
        ear = await greeted(endpoint, known)
        assert "response.output_audio.delta" not in ear.types
        assert len(it.sessions) == 3


async def test_a_server_that_changed_its_dialect_is_asked_anew() -> None:
    async with model_server(dialect="ga") as (server, endpoint):
        known = Known()
        await greeted(endpoint, known)
        from app.sim.model_shapes import SHAPES

        server.shape = SHAPES["flat"]
        for dials in (3, 4):
            it = session(endpoint, known)
            it.start()
            await talked(it)
            assert it.dialect.name == "flat"
            assert len(server.sessions) == dials, "it is known again after that"
            it.close()


async def test_a_known_server_that_does_not_answer_is_dialled_once_more() -> None:
    async def acts(it: Odd, socket: ServerConnection, number: int) -> None:
        if number != 2:
            await it.configures(socket)

    async with odd(acts) as (it, endpoint):
        known = Known()
        await greeted(endpoint, known)
        await greeted(endpoint, known, presumed_seconds=0.05)
        assert len(it.sessions) == 3


async def test_a_slow_server_is_dialled_in_vain_once_and_given_time_from_then_on() -> None:
    async def acts(it: Odd, socket: ServerConnection, number: int) -> None:
        if number > 1:
            await asyncio.sleep(0.1)
        await it.configures(socket)

    async with odd(acts) as (it, endpoint):
        known = Known()
        await greeted(endpoint, known)
        for dials in (3, 4, 5):
            await greeted(endpoint, known, presumed_seconds=0.05)
            assert len(it.sessions) == dials


async def test_an_answer_in_the_turn_in_which_its_time_runs_out_counts() -> None:
    begun = Attempt(PLAN, Opening(text="Greet the caller."), None)
    waits = asyncio.create_task(begun.agreed(0.01))
    await asyncio.sleep(0)
    time.sleep(0.05)  # noqa: ASYNC251 - a loop that stands still, on purpose
    asyncio.get_running_loop().call_soon(begun.ready.set_result, None)
    await waits


async def test_what_is_refused_without_anything_presumed_is_refused_at_once() -> None:
    async with model_server(faults=Faults(refuse_config=True)) as (server, endpoint):
        it, ear = session(endpoint, Known()), Ear()
        it.start()
        it.attach(ear)
        await ear.until(lambda: bool(ear.lost))
        assert ear.lost.endswith("refused the session (invalid_value, session)"), "and not the server's sentence"
        assert it.refusal is not None
        assert "refuse every configuration" in it.refusal.in_full
        assert len(server.sessions) == 1


async def test_a_known_server_that_refuses_is_asked_once_more_and_then_believed() -> None:
    async with model_server() as (server, endpoint):
        known = Known()
        await greeted(endpoint, known)
        server.faults = Faults(refuse_config=True)
        it, ear = session(endpoint, known), Ear()
        it.start()
        it.attach(ear)
        await ear.until(lambda: bool(ear.lost))
        assert ear.lost.endswith("refused the session (invalid_value, session)"), "and not the server's sentence"
        assert it.refusal is not None
        assert "refuse every configuration" in it.refusal.in_full
        assert len(server.sessions) == 3


async def test_a_session_that_nobody_wants_leaves_no_socket_behind_whenever_it_is_closed() -> None:
    async with model_server() as (server, endpoint):
        for after in range(6):
            it = session(endpoint, Known())
            it.start()
            for _ in range(after):
                await asyncio.sleep(0)
            it.close()
            assert it.state == "lost"
        await until(lambda: not server.live)


# --- priming ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("dialect", ["ga", "flat"])
async def test_priming_goes_before_the_greeting_and_its_cost_comes_with_it(dialect: Any) -> None:
    async with model_server(dialect=dialect) as (server, endpoint):
        known = Known()
        for _ in range(2):  # the second time all is sent at once
            it = session(endpoint, known)
            it.start(primes=True)
            (live,) = await _live(server)
            await until(lambda live=live: [e["type"] for e in live.received][-2:] == CONFIGURED[1:])  # type: ignore[misc]
            assert [event["type"] for event in live.received] == ["session.update", "response.create", *CONFIGURED[1:]]
            assert live.received[1]["response"]["conversation"] == "none"
            ear = Ear()
            it.attach(ear)
            await ear.until(lambda ear=ear: ear.types.count("response.done") == 2)  # type: ignore[misc]
            assert "error" not in ear.types
            first, second = [event["response"] for event in ear.events if event["type"] == "response.done"]
            assert first["conversation_id"] is None
            assert first["metadata"] == {"kind": "prime"}
            assert first["usage"]["input_tokens"] > 0
            assert second["conversation_id"]
            it.close()
            await until(lambda: not server.live)


async def test_a_stream_that_starts_does_not_wait_for_the_priming() -> None:
    async with model_server(faults=Faults(silent=True)) as (server, endpoint):
        it = session(endpoint, Known())
        it.start(primes=True)
        (live,) = await _live(server)
        await until(lambda: it.state == "ready")
        await until(lambda: len(live.received) == 2)
        it.attach(Ear())
        await until(lambda: len(live.received) == 4)
        assert [event["type"] for event in live.received[2:]] == CONFIGURED[1:]
        it.close()


async def test_a_server_that_refuses_the_priming_gets_the_greeting_all_the_same() -> None:
    async def acts(it: Odd, socket: ServerConnection, number: int) -> None:
        await it.says(socket, "session.created", session={"type": "realtime"})
        update = await it.hears(socket)
        await it.says(socket, "session.updated", session=update["session"])
        asked = await it.hears(socket)
        await it.says(socket, "error", error={"code": "invalid_value", "event_id": asked["event_id"], "message": "no"})
        assert [(await it.hears(socket))["type"] for _ in CONFIGURED[1:]] == CONFIGURED[1:]
        await it.says(socket, "response.done", response={"id": "r", "status": "completed"})

    async with odd(acts) as (_, endpoint):
        it = session(endpoint, Known())
        it.start(primes=True)
        await until(lambda: len(it._kept) == 2)
        assert (await talked(it)).types == ["error", "response.done"]
        it.close()


async def test_where_the_caller_speaks_first_there_is_nothing_to_hold_back() -> None:
    async with model_server() as (server, endpoint):
        it = session(endpoint, Known(), opening=Opening())
        it.start(primes=True)
        (live,) = await _live(server)
        await until(lambda: len(live.received) == 2)
        ear = await talked(it)
        assert ear.ready == [False]
        assert ear.events[-1]["response"]["metadata"] == {"kind": "prime"}
        it.close()


async def _live(server: Any) -> list[Any]:
    await until(lambda: bool(server.live))
    return list(server.live)


def test_a_greeting_is_text_or_instructions() -> None:
    assert GREETS.speaks
    assert not Opening().speaks
