"""Spare links: how many there are, how they are renewed, what refusals do to them, and which path a call's session takes."""

import asyncio
from itertools import pairwise
from typing import Any

import pytest
from structlog.testing import capture_logs

from app.adapters.endpoint import Known
from app.adapters.model_link import ModelSession
from app.adapters.opening import Opening
from app.adapters.servers import Server
from app.adapters.spare import CALLS_A_LINK, Spares, SpareTimes
from app.adapters.warm import Warm
from app.core.rows import CallInfo
from app.mode import Mode
from app.sim.model_faults import Faults
from app.sim.model_session import Session
from modes.receptionist import mode as receptionist
from tests.adapters.sessions import GREETS, MODEL, NEVER, model_server, session, stocked, talked, until

INFO = CallInfo(call_sid="CA1", account_sid="AC1", caller="", dialled="")


def primes(warm: Warm) -> bool:
    prepared = warm.prepared[INFO.call_sid]
    assert isinstance(prepared, ModelSession)
    return prepared.primes


def spare_sessions(sessions: list[Session]) -> list[Session]:
    return [one for one in sessions if not one.received]


# --- how many ---------------------------------------------------------------------------------------------------------


async def test_one_waits_while_nothing_rings_and_nothing_is_said_on_it() -> None:
    async with model_server() as (server, endpoint), stocked(server, endpoint, most=5) as spares:
        assert spares.ready() == 1
        (live,) = server.live
        assert live.received == []


async def test_none_are_kept_where_none_are_wanted() -> None:
    async with model_server() as (server, endpoint), stocked(server, endpoint, most=0) as spares:
        assert spares.take(endpoint, MODEL) is None
        await asyncio.sleep(0)
        assert server.sessions == []


async def test_they_grow_with_the_calls_of_the_last_minute_up_to_the_most() -> None:
    async with model_server() as (server, endpoint), stocked(server, endpoint, most=3) as spares:
        for calls in range(1, 3 * CALLS_A_LINK + 1):
            taken = spares.take(endpoint, MODEL)
            wanted = min(3, 1 + calls // CALLS_A_LINK)
            await until(lambda wanted=wanted: spares.ready() == wanted)  # type: ignore[misc]
            assert taken is not None, f"call {calls}"
            taken.close()
        assert spares.ready() == 3


async def test_there_are_never_more_than_calls_could_still_come() -> None:
    async with model_server() as (server, endpoint), stocked(server, endpoint, most=3, room=1) as spares:
        for _ in range(2 * CALLS_A_LINK):
            taken = spares.take(endpoint, MODEL)
            assert taken is not None
            taken.close()
            await until(lambda: spares.ready() == 1)
        assert spares.ready() == 1


async def test_a_house_that_drains_dials_none_until_there_is_room_again() -> None:
    room = 0
    async with model_server() as (server, endpoint):
        spares = Spares(1, lambda: room, Known(), SpareTimes(full=0.01))
        spares.keep(endpoint, [MODEL])
        await asyncio.sleep(0.05)
        assert server.sessions == []
        room = 1
        await until(lambda: spares.ready() == 1)
        room = 0
        assert spares.take(endpoint, MODEL) is not None
        await asyncio.sleep(0.05)
        assert len(server.sessions) == 1
        spares.close()


async def test_each_model_has_its_own() -> None:
    async with model_server() as (server, endpoint), stocked(server, endpoint) as spares:
        spares.keep(endpoint, [MODEL, "gpt-realtime-2.1"])
        await until(lambda: spares.ready() == 2)
        assert sorted(live.model for live in server.live) == [MODEL, "gpt-realtime-2.1"]
        other = spares.take(endpoint, "gpt-realtime-2.1")
        assert other is not None
        other.close()


# --- renewal and trouble ----------------------------------------------------------------------------------------------


async def test_they_are_renewed_before_the_server_s_hour_is_over() -> None:
    async with model_server() as (server, endpoint), stocked(server, endpoint, renew=0.03) as spares:
        await until(lambda: len(server.sessions) >= 3)
        await until(lambda: spares.ready() == 1)
        assert len(server.live) <= 3


async def test_one_that_the_server_closes_is_dropped_at_once_and_another_is_dialled() -> None:
    async with model_server() as (server, endpoint), stocked(server, endpoint, settled=0.0) as spares:
        (first,) = server.live
        first.expire()
        await until(lambda: len(server.sessions) == 2 and spares.ready() == 1)
        assert first not in server.live


async def test_a_server_that_closes_each_of_them_soon_is_not_hammered() -> None:
    async with model_server() as (server, endpoint), stocked(server, endpoint, settled=NEVER, failed=NEVER) as spares:
        (first,) = server.live
        with capture_logs() as logs:
            first.expire()
            await until(lambda: spares.ready() == 0)
            await asyncio.sleep(0.05)
        assert len(server.sessions) == 1
        assert [line["log_level"] for line in logs] == ["warning"]


async def test_refusals_are_told_once_and_come_later_and_later() -> None:
    async with model_server(faults=Faults(refuse_key=True)) as (server, endpoint):
        attempts: list[float] = []
        loop = asyncio.get_running_loop()
        admit = server._admit

        def counted(*request: Any) -> Any:
            attempts.append(loop.time())
            return admit(*request)

        server._admit = counted  # type: ignore[method-assign,assignment]
        await server.close()
        url = await server.start()
        endpoint = type(endpoint)(url=url)
        spares = Spares(4, lambda: 9, Known(), SpareTimes(refused=0.02, longest=NEVER), chance=lambda: 0.0)
        with capture_logs() as logs:
            spares.keep(endpoint, [MODEL])
            await until(lambda: len(attempts) == 5)
        waits = [after - before for before, after in pairwise(attempts)]
        assert all(wait >= 0.02 * 2**n * 0.9 for n, wait in enumerate(waits)), waits
        (told,) = [line for line in logs if line["log_level"] == "warning"]
        assert "401" in told["why"]
        assert "the key is wrong" in told["why"]
        server.faults = Faults()
        await until(lambda: spares.ready() == 1)
        spares.close()


async def test_an_end_that_is_not_there_costs_calls_nothing_but_their_own_dial() -> None:
    async with model_server() as (server, endpoint):
        await server.close()
        spares = Spares(2, lambda: 9, Known(), SpareTimes(failed=NEVER))
        with capture_logs() as logs:
            spares.keep(endpoint, [MODEL])
            await until(lambda: any(line["log_level"] == "warning" for line in logs))
        assert spares.take(endpoint, MODEL) is None
        spares.close()


async def test_what_is_closed_in_the_middle_of_a_dial_leaves_no_socket_behind() -> None:
    async with model_server() as (server, endpoint):
        for turns in range(8):
            spares = Spares(1, lambda: 9, Known())
            spares.keep(endpoint, [MODEL])
            for _ in range(turns):
                await asyncio.sleep(0)
            spares.close()
        await until(lambda: not server.live)
        assert spares.ready() == 0


# --- sessions on spare links ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("dialect", ["ga", "flat"])
async def test_a_session_on_a_spare_link_detects_the_dialect_by_what_the_server_said_long_ago(dialect: Any) -> None:
    async with model_server(dialect=dialect) as (server, endpoint), stocked(server, endpoint) as spares:
        it = session(endpoint, Known())
        assert it.start(spares.take(endpoint, MODEL))
        ear = await talked(it)
        assert it.dialect.name == dialect
        assert "error" not in ear.types
        (live,) = [one for one in server.live if one.received]
        assert live is server.sessions[0]
        it.close()


async def test_a_server_that_waits_for_our_first_word_is_spared_that_wait() -> None:
    async with model_server() as (server, endpoint):
        mute = _without_its_first_word(server)
        async with stocked(server, endpoint, first_word=0.02) as spares:
            it = session(endpoint, Known(), presumed_seconds=NEVER)
            it.start(spares.take(endpoint, MODEL))
            mute(False)
            ear = await talked(it)
            assert ear.ready == [True]
            it.close()


async def test_a_spare_that_died_unseen_costs_a_dial_and_no_call() -> None:
    async with model_server() as (server, endpoint), stocked(server, endpoint) as spares:
        spare = spares.take(endpoint, MODEL)
        assert spare is not None
        (first,) = server.live
        first.die()
        await until(lambda: not spare.alive)
        it = session(endpoint, Known())
        assert not it.start(spare), "it is no spare link's session"
        await talked(it)
        it.close()


async def test_a_spare_that_dies_while_it_is_configured_costs_a_dial_and_no_call() -> None:
    async with model_server() as (server, endpoint), stocked(server, endpoint) as spares:
        spare = spares.take(endpoint, MODEL)
        (first,) = server.live
        it = session(endpoint, Known())
        first.die()
        assert it.start(spare)
        ear = await talked(it)
        assert ear.ready == [True]
        it.close()


async def test_a_spare_whose_other_end_is_gone_without_a_word_is_given_up_on_soon() -> None:
    async with model_server() as (server, endpoint), stocked(server, endpoint) as spares:
        spare = spares.take(endpoint, MODEL)
        (first,) = server.live
        first.send = lambda event: None  # type: ignore[method-assign]
        it = session(endpoint, Known(), presumed_seconds=0.05)
        it.start(spare)
        await talked(it)
        it.close()


# --- paths ------------------------------------------------------------------------------------------------------------


async def test_a_prepared_session_is_prepared_whatever_link_it_is_on() -> None:
    async with model_server() as (server, endpoint), stocked(server, endpoint) as spares:
        warm = Warm(lambda info, mode, opening, server: session(endpoint), spares)
        for _ in range(2):  # on the spare, then perhaps on its own
            warm.prepare(INFO, receptionist, None)
            it, path = warm.claim(INFO, receptionist, None)
            assert isinstance(it, ModelSession)
            assert path == "prepared"
            await talked(it)
            it.close()


async def test_nothing_is_done_for_a_call_before_its_webhook_is_answered() -> None:
    made: list[str] = []

    def make(info: CallInfo, mode: Mode, opening: Opening | None, server: Server) -> ModelSession:
        made.append(info.call_sid)
        return session(endpoint)

    async with model_server() as (server, endpoint), stocked(server, endpoint) as spares:
        warm = Warm(make, spares)
        warm.prepare(INFO, receptionist, None)
        assert (made, spares.ready()) == ([], 1)
        warm.retire(INFO.call_sid)
        await asyncio.sleep(0)
        assert made == [], "and nothing at all for one that is over by then"
        warm.prepare(INFO, receptionist, None)
        await asyncio.sleep(0)
        assert (made, spares.ready()) == (["CA1"], 0)
        warm.close()


async def test_without_a_prepared_one_it_is_spare_or_cold() -> None:
    async with model_server() as (server, endpoint), stocked(server, endpoint) as spares:
        warm = Warm(lambda info, mode, opening, server: session(endpoint), spares)
        on_spare, path = warm.claim(INFO, receptionist, None)
        assert path == "spare"
        on_its_own, other = warm.claim(INFO, receptionist, None)
        assert other == "cold"
        for it in (on_spare, on_its_own):
            assert isinstance(it, ModelSession)
            await talked(it)
            it.close()


async def test_a_prepared_session_that_was_lost_is_replaced() -> None:
    async with model_server() as (server, endpoint), stocked(server, endpoint) as spares:
        warm = Warm(lambda info, mode, opening, server: session(endpoint), spares)
        warm.prepare(INFO, receptionist, None)
        await asyncio.sleep(0)
        prepared = warm.prepared[INFO.call_sid]
        await until(lambda: prepared.state == "ready")
        next(live for live in server.live if live.received).die()
        await until(lambda: prepared.state == "lost")
        await until(lambda: spares.ready() == 1)
        it, path = warm.claim(INFO, receptionist, None)
        assert isinstance(it, ModelSession)
        assert path == "spare"
        await talked(it)
        it.close()


async def test_only_the_mode_s_own_beginning_of_a_prepared_session_is_primed() -> None:
    async with model_server() as (server, endpoint), stocked(server, endpoint, most=0) as spares:

        def make(info: CallInfo, mode: Mode, opening: Opening | None, server: Server) -> ModelSession:
            return session(endpoint, opening=opening or GREETS)

        warm = Warm(make, spares, primes=True)
        warm.prepare(INFO, receptionist, None)
        await asyncio.sleep(0)
        assert primes(warm)
        warm.prepare(INFO, receptionist, Opening(history=[("user", "Hello.")], text="Go on."))
        await asyncio.sleep(0)
        assert not primes(warm)
        warm.retire(INFO.call_sid)
        it, _ = warm.claim(INFO, receptionist, None)
        assert isinstance(it, ModelSession)
        assert not it.primes
        it.close()
        await until(lambda: not server.live)


async def test_closing_drops_what_was_prepared_and_what_was_spare() -> None:
    async with model_server() as (server, endpoint), stocked(server, endpoint) as spares:
        warm = Warm(lambda info, mode, opening, server: session(endpoint), spares)
        warm.prepare(INFO, receptionist, None)
        await until(lambda: spares.ready() == 1)
        warm.close()
        await until(lambda: not server.live)
        assert spares.take(endpoint, MODEL) is None
        assert spare_sessions(server.sessions)


def _without_its_first_word(server: Any) -> Any:
    """Make a stand-in wait for the client's first message; returns the switch."""
    silent = True
    real = Session.open

    def opened(it: Session) -> None:
        if not silent:
            real(it)

    def switch(on: bool) -> None:
        nonlocal silent
        silent = on

    keep = server._keep

    def kept(it: Session) -> None:
        it.open = lambda: opened(it)  # type: ignore[method-assign]
        keep(it)

    server._keep = kept
    return switch
