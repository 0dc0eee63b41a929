"""The fast door's limits: who wastes its time is turned away; its port, and the goodbye at the end."""

import asyncio
import socket

import pytest
from websockets.frames import Opcode

from app.errors import SetupError
from app.web import fast_door
from app.web.fast_door import bound_sockets
from tests.web.door_stage import Stage, every_loop, masked, on_stage, start

GET = "GET /echo HTTP/1.1\nHost: x\n\n"


@every_loop
def test_a_head_past_16_kb_is_answered_431(loop: str) -> None:
    async def play(stage: Stage) -> None:
        peer = await stage.connect()
        peer.writer.write(b"GET /echo HTTP/1.1\r\nHost: x\r\nCookie: " + b"x" * 40_000)
        assert (await peer.answer())[0] == 431
        whole = await stage.connect()
        assert (await whole.asks("GET /echo HTTP/1.1\nHost: x\nCookie: " + "x" * 20_000 + "\n\n"))[0] == 431
        fits = await stage.connect()
        assert (await fits.asks("GET /echo HTTP/1.1\nHost: x\nCookie: " + "x" * 16_000 + "\n\n", b"\r\n"))[0] == 200

    on_stage(play, loop)


@every_loop
def test_a_head_that_does_not_come_is_waited_for_and_then_closed(loop: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fast_door, "HEAD_SECONDS", 0.1)

    async def play(stage: Stage) -> None:
        silent, slow = await stage.connect(), await stage.connect()
        slow.writer.write(b"GET /echo HT")
        assert (await silent.ends(), await slow.ends()) == (b"", b"")
        assert len(stage.door.undecided) == 0

    on_stage(play, loop)


def test_of_too_many_that_say_nothing_the_oldest_are_dropped(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fast_door, "UNDECIDED", 3)

    async def play(stage: Stage) -> None:
        peers = [await stage.connect() for _ in range(5)]
        assert [await peer.ends() for peer in peers[:2]] == [b"", b""]
        assert len(stage.door.undecided) == 3
        assert [(await peer.asks(GET))[0] for peer in peers[2:]] == [200] * 3
        assert len(stage.door.undecided) == 0

    on_stage(play)


@every_loop
def test_many_at_once_half_of_them_gone_again_leave_nothing_behind(loop: str) -> None:
    async def play(stage: Stage) -> None:
        async def one(number: int) -> int:
            peer = await stage.connect()
            if number % 2:
                peer.writer.write(b"GET /echo HTTP/1.1\r\n" if number % 4 == 1 else GET.replace("\n", "\r\n").encode())
                peer.writer.transport.abort()
                return 200
            status, _ = await peer.asks(GET)
            return status

        assert set(await asyncio.gather(*map(one, range(200)))) == {200}
        async with asyncio.timeout(5):
            while len(stage.door.undecided):  # noqa: ASYNC110  a reset is news to the other end's loop only
                await asyncio.sleep(0.01)

    on_stage(play, loop)


@every_loop
def test_a_closing_door_lets_go_of_the_port_and_says_goodbye(loop: str) -> None:
    async def play(stage: Stage) -> None:
        phone = await stage.stream(rest=masked(start()))
        waiting = await stage.connect()
        closing = asyncio.create_task(stage.door.close())
        frame = await phone.frame()
        assert (frame.opcode, int.from_bytes(bytes(frame.data)[:2], "big")) == (Opcode.CLOSE, 1001)
        phone.peer.writer.write_eof()
        await closing
        assert await waiting.ends() == b""
        assert not stage.door.links
        assert stage.board.relays[0].ends == [1001]
        with pytest.raises(ConnectionRefusedError):
            await asyncio.open_connection("127.0.0.1", stage.port)

    on_stage(play, loop)


def test_a_phone_that_does_not_answer_the_goodbye_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fast_door, "LEAVE_SECONDS", 0.05)

    async def play(stage: Stage) -> None:
        phone = await stage.stream(rest=masked(start()))
        await stage.door.close()
        assert await phone.peer.ends() != b"", "its close"
        await stage.gone()

    on_stage(play)


def test_a_port_that_is_taken_is_said_with_its_remedy() -> None:
    said = r"expected to listen on 127\.0\.0\.1:\d+, but: .*another port"
    with socket.create_server(("127.0.0.1", 0)) as taken, pytest.raises(SetupError, match=said):
        bound_sockets("127.0.0.1", taken.getsockname()[1])
    with pytest.raises(SetupError, match="HOST: expected an address"):
        bound_sockets("no such host.invalid", 0)
    with pytest.raises(SetupError, match="expected to listen on 192"):
        bound_sockets("192.0.2.1", 0)


@pytest.mark.parametrize("host", ["::1", "::", "localhost", "0.0.0.0"])
def test_every_kind_of_host_can_be_listened_on(host: str) -> None:
    if ":" in host and not _has_ipv6():
        pytest.skip("no IPv6 on this machine")

    async def play(stage: Stage) -> None:
        await stage.door.open(host, 0)
        where, port = stage.door.addresses[-1]
        peer = await stage.connect({"::": "127.0.0.1", "0.0.0.0": "127.0.0.1"}.get(host, where), port)
        assert (await peer.asks(GET))[0] == 200

    on_stage(play)


def _has_ipv6() -> bool:
    try:
        with socket.socket(socket.AF_INET6) as probe:
            probe.bind(("::1", 0))
    except OSError:
        return False
    return True
