"""Peers that take their time, or more than their share, at real sockets: each is closed within its bound, unnoticed by others."""

import asyncio
import socket
from typing import cast

import pytest
from structlog.testing import capture_logs
from websockets.frames import Opcode

from app.adapters import core_end
from app.errors import LinkClogged
from app.web import asgi_link, fast_door, lent_connections, streams
from app.web.crowd import Crowd
from tests.web.door_stage import Peer, Relay, Stage, every_loop, masked, on_stage, start

GET = "GET /echo HTTP/1.1\nHost: x\n\n"
BIG = 40 << 20


def test_who_has_most_makes_room() -> None:
    crowd: Crowd[str] = Crowd()
    for name in ("a1", "b1", "b2", "a2", "b3"):
        crowd.add(name, name[0])
    assert (crowd.oldest(), crowd.newest()) == ("b1", "b3")
    for name in ("b1", "b3", "nobody"):
        crowd.discard(name)
    assert (len(crowd), [*crowd], "b1" in crowd) == (3, ["a1", "b2", "a2"], False)
    assert (crowd.oldest(), crowd.newest()) == ("a1", "a2")


def reads(peer: Peer, on: bool) -> None:
    """Let a peer take what is sent to it, or leave it lying."""
    transport = cast(asyncio.Transport, peer.writer.transport)
    if on:
        transport.resume_reading()
    else:
        transport.pause_reading()


async def elsewhere(stage: Stage) -> Peer:
    """A connection from another address of this machine."""
    reader, writer = await asyncio.open_connection("127.0.0.1", stage.port, local_addr=("127.0.0.2", 0))
    return Peer(reader, writer)


def _has_second_address() -> bool:
    with socket.socket() as probe:
        try:
            probe.bind(("127.0.0.2", 0))
        except OSError:
            return False
    return True


two_addresses = pytest.mark.skipif(not _has_second_address(), reason="one loopback address only")


@two_addresses
def test_one_address_cannot_keep_another_from_saying_what_it_wants(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fast_door, "UNDECIDED", 3)

    async def play(stage: Stage) -> None:
        first = await elsewhere(stage)
        flood = [await stage.connect() for _ in range(6)]
        assert [await peer.ends() for peer in flood[:4]] == [b""] * 4
        assert (await first.asks(GET))[0] == 200, "it came before all of them, and waits still"
        first.close()

    on_stage(play)


@two_addresses
def test_one_address_cannot_take_all_of_hypercorn_s_connections(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lent_connections, "AT_MOST", 3)

    async def play(stage: Stage) -> None:
        mine = [await stage.connect() for _ in range(3)]
        assert [(await peer.asks(GET))[0] for peer in mine] == [200] * 3
        fourth = await stage.connect()
        status, body = await fourth.asks(GET)
        assert (status, b"too many" in body) == (503, True)
        other = await elsewhere(stage)
        assert (await other.asks(GET))[0] == 200
        assert await mine[2].ends() == b"", "the newest of who has most"
        assert [(await peer.asks(GET))[0] for peer in mine[:2]] == [200] * 2, "the oldest may be a call"
        other.close()

    on_stage(play)


@every_loop
def test_a_peer_that_does_not_read_its_answer_is_dropped(loop: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lent_connections, "LOOK_SECONDS", 0.05)
    monkeypatch.setattr(lent_connections, "STUCK_SECONDS", 0.2)

    async def play(stage: Stage) -> None:
        deaf = await stage.connect()
        reads(deaf, False)
        deaf.writer.write(f"GET /big HTTP/1.1\r\nHost: x\r\nX-Size: {BIG}\r\n\r\n".encode())
        idle = await stage.connect()
        assert (await idle.asks(GET))[0] == 200
        async with asyncio.timeout(10):
            while len(stage.door.lent.crowd) != 1:  # noqa: ASYNC110  the end of a socket is another turn's news
                await asyncio.sleep(0.02)
        reads(deaf, True)
        assert len(await deaf.ends()) < BIG
        assert (await idle.asks(GET))[0] == 200, "one that has nothing to read may be idle"

    with capture_logs() as logs:
        on_stage(play, loop)
    assert [line for line in logs if "does not read its answer" in line["event"]]


def test_a_peer_that_reads_slowly_but_reads_gets_all_of_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lent_connections, "LOOK_SECONDS", 0.02)
    monkeypatch.setattr(lent_connections, "STUCK_SECONDS", 1.0)

    async def play(stage: Stage) -> None:
        slow = await stage.connect()
        slow.writer.write(f"GET /big HTTP/1.1\r\nHost: x\r\nConnection: close\r\nX-Size: {8 << 20}\r\n\r\n".encode())
        got = 0
        async with asyncio.timeout(20):
            while piece := await slow.reader.read(1 << 18):
                got += len(piece)
                await asyncio.sleep(0.01)
        assert got > 8 << 20

    on_stage(play)


def test_a_second_head_that_does_not_come_is_waited_for_no_longer_than_an_idle_connection() -> None:
    async def play(stage: Stage) -> None:
        stage.config.keep_alive_timeout = 0.2
        peer = await stage.connect()
        assert (await peer.asks(GET))[0] == 200
        peer.writer.write(b"GET /echo HTTP/1.1\r\nHo")
        assert await peer.ends() == b""

    on_stage(play)


def test_a_handshake_without_a_start_is_closed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(streams, "START_SECONDS", 0.1)

    async def play(stage: Stage) -> None:
        phone = await stage.stream()
        frame = await phone.frame()
        assert (frame.opcode, int.from_bytes(bytes(frame.data)[:2], "big")) == (Opcode.CLOSE, 1008)
        await stage.gone()

    on_stage(play)


def test_a_frame_that_never_ends_does_not_hold_a_stream_that_has_not_started(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(streams, "START_SECONDS", 0.1)
    monkeypatch.setattr(core_end, "CLOSE_SECONDS", 0.1)

    async def play(stage: Stage) -> None:
        phone = await stage.stream(rest=masked(start())[:40])
        await stage.gone()
        assert not stage.board.relays
        phone.peer.close()

    on_stage(play)


@every_loop
def test_a_phone_that_does_not_read_is_dropped_at_the_bound(loop: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fast_door, "UNSENT_BYTES", 64 * 1024)

    async def play(stage: Stage) -> None:
        phone = await stage.stream(rest=masked(start()))
        reads(phone.peer, False)
        (relay,) = await _relays(stage)
        with pytest.raises(LinkClogged):
            await floods(relay)
        await stage.gone()
        assert relay.ends == [1006]

    on_stage(play, loop)


async def floods(relay: Relay) -> None:
    """120 MB, as fast as they are taken."""
    for _ in range(2000):
        relay.link.send(b"x" * 60_000)
        await asyncio.sleep(0)


async def _relays(stage: Stage) -> list[Relay]:
    async with asyncio.timeout(5):
        while not stage.board.relays:  # noqa: ASYNC110  it comes with a frame that is on its way
            await asyncio.sleep(0.01)
    return list(stage.board.relays)


def test_the_bounds_are_those_that_the_guide_names() -> None:
    assert (fast_door.HEAD_BYTES, fast_door.HEAD_SECONDS, fast_door.UNDECIDED) == (16 * 1024, 5.0, 1000)
    assert (lent_connections.AT_MOST, lent_connections.STUCK_SECONDS) == (2000, 30.0)
    assert (asgi_link.MESSAGE_BYTES, asgi_link.UNSENT_BYTES, streams.START_SECONDS) == (256 * 1024, 1 << 20, 5.0)


@every_loop
def test_a_connection_whose_peer_has_gone_is_not_kept_for_its_next_request(loop: str) -> None:
    async def play(stage: Stage) -> None:
        peer = await stage.connect()
        assert (await peer.asks(GET))[0] == 200
        peer.writer.write_eof()
        assert await peer.ends() == b"", "hypercorn's own would wait for its keep-alive time"

    on_stage(play, loop)
