"""A link's life: opening, pings, peers that do not read, do not answer or go; and what of it goes past the core."""

import asyncio
import gc
import socket
import weakref
from collections.abc import Callable

import pytest
from websockets.client import ClientProtocol
from websockets.exceptions import InvalidStatus
from websockets.protocol import Side
from websockets.uri import WebSocketURI

from app.adapters import core_end
from app.adapters import link as links
from app.adapters.frames import extent
from app.adapters.link import WireLink
from app.adapters.upgrade import read_upgrade
from app.errors import LinkClogged, LinkClosed
from app.web.lent_server import loop_factory, plain_loop
from tests.adapters.echo import echo_client, echo_server
from tests.adapters.wire import CLOSE, CONT, PING, PONG, TEXT, End, F, close, first

LONG = F(TEXT, b"x" * 300)
SIDES = pytest.mark.parametrize("side", Side, ids=["server", "client"])


class Listener:
    """Keeps what it is told."""

    def __init__(self) -> None:
        self.texts: asyncio.Queue[bytes] = asyncio.Queue()
        self.ends: list[tuple[int, str]] = []
        self.over = asyncio.Event()

    async def next(self) -> bytes:
        return await self.texts.get()

    def heard(self, text: bytes) -> None:
        self.texts.put_nowait(text)

    def closed(self, code: int, reason: str) -> None:
        self.ends.append((code, reason))
        self.over.set()


# --- the fast path ----------------------------------------------------------------------------------------------------


@SIDES
async def test_the_fast_shape_goes_past_the_core_and_nothing_else_does(
    side: Side, monkeypatch: pytest.MonkeyPatch
) -> None:
    fed = 0
    end = End(side, echo=True)
    receive = end.link.core.receive_data

    def counted(data: bytes) -> None:
        nonlocal fed
        fed += 1
        receive(data)

    monkeypatch.setattr(end.link.core, "receive_data", counted)
    sizes = (4, 125, 126, 65_535)
    frames = [LONG, *(F(TEXT, b"x" * size) for size in sizes), LONG]
    end.comes(*frames, chop=997)
    assert (end.sent, fed) == (frames, 0)
    end.comes(F(TEXT, b"x" * 65_536), F(PING))
    assert fed == 2
    end.comes(first(TEXT, b"x" * 300), F(PING), F(CONT, b"y" * 300), LONG)
    assert fed == 5
    await end.hangs_up()


async def test_a_small_bound_holds_on_the_fast_path_too() -> None:
    end = End(Side.SERVER, max_size=200)
    end.comes(F(TEXT, b"x" * 200), LONG)
    assert len(end.texts) == 1
    assert end.sent[0].data[:2] == (1009).to_bytes(2, "big")
    await end.hangs_up()


async def test_masks_are_never_the_same() -> None:
    end = End(Side.CLIENT)
    for _ in range(3000):
        end.link.send(LONG.data)
    size = 300 + 8
    masks = {end.wire.written[at + 4 : at + 8] for at in range(0, len(end.wire.written), size)}
    assert len(masks) > 2990
    await end.hangs_up()


async def test_a_listener_that_closes_hears_no_more_of_that_read() -> None:
    end = End(Side.SERVER)

    def heard(text: bytes) -> None:
        end.texts.append(text)
        end.link.close(1008, "enough")

    end.heard = heard  # type: ignore[method-assign]
    end.comes(LONG, LONG, F(TEXT, b"short"))
    assert len(end.texts) == 1
    assert end.sent == [close(1008, b"enough")]
    await end.hangs_up()


async def test_a_listener_may_be_changed_within_a_read() -> None:
    end, other = End(Side.CLIENT), Listener()

    def heard(text: bytes) -> None:
        end.link.listener = other

    end.heard = heard  # type: ignore[method-assign]
    end.comes(LONG, LONG, F(TEXT, b"short"))
    assert [other.texts.get_nowait() for _ in range(2)] == [LONG.data, b"short"]
    await end.hangs_up()


# --- closing ----------------------------------------------------------------------------------------------------------


@SIDES
async def test_our_close_is_answered_and_told_with_our_code(side: Side) -> None:
    end = End(side)
    end.link.close(1000, "bye " * 60)
    end.link.close(1008)
    with pytest.raises(LinkClosed):
        end.link.send(b"x")
    assert [frame.opcode for frame in end.sent] == [CLOSE]
    assert len(end.sent[0].data) == 122, "a reason is cut to what fits"
    end.comes(LONG, close(1000, b"bye"))
    await end.hangs_up()
    assert (end.texts, [code for code, _ in end.ends]) == ([], [1000])


async def test_a_close_amid_a_frame_that_is_coming_does_not_lose_the_thread() -> None:
    end = End(Side.SERVER)
    end.link.data_received(b"\x81\xfe\x01\x2c" + b"abcd" + b"half")
    end.link.close(1001)
    end.link.data_received(b"x" * 296)
    end.comes(close(1001))
    assert end.wire.eof
    await end.hangs_up()
    assert end.ends == [(1001, "")]


async def test_a_peer_that_does_not_answer_our_close_is_dropped(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(core_end, "CLOSE_SECONDS", 0.01)
    end = End(Side.CLIENT)
    end.link.close(1000)
    await end.wire.gone.wait()
    assert end.ends == [(1000, "")]


@SIDES
async def test_the_peer_s_close_is_told_once_with_its_words(side: Side) -> None:
    end = End(side)
    end.comes(close(4000, b"no such model"))
    await end.hangs_up()
    assert end.ends == [(4000, "no such model")]
    with pytest.raises(LinkClosed):
        end.link.send(LONG.data)


@SIDES
async def test_a_socket_that_ends_without_a_close_is_1006(side: Side) -> None:
    end = End(side)
    end.comes(LONG)
    end.link.data_received(b"\x81")
    await end.hangs_up()
    assert (len(end.texts), end.ends) == (1, [(1006, "")])


@SIDES
async def test_after_the_peer_ended_without_a_close_nothing_can_be_sent(side: Side) -> None:
    end = End(side)
    end.link.eof_received()
    for text in (LONG.data, b"short"):
        with pytest.raises(LinkClosed):
            end.link.send(text)
    await end.hangs_up()
    assert end.ends == [(1006, "")]


@SIDES
async def test_a_peer_that_ends_its_half_and_reads_no_more_is_dropped(
    side: Side, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(core_end, "CLOSE_SECONDS", 0.01)
    end = End(side)
    end.link.eof_received()  # the transport stays as long as it has something to write
    await end.wire.gone.wait()
    assert end.ends == [(1006, "")]


async def test_a_listener_hears_no_more_of_a_read_after_its_link_was_dropped() -> None:
    end = End(Side.SERVER)

    def heard(text: bytes) -> None:
        end.texts.append(text)
        end.link.abort()

    end.heard = heard  # type: ignore[method-assign]
    end.comes(LONG, LONG, F(TEXT, b"short"))
    assert len(end.texts) == 1
    await end.wire.gone.wait()


async def test_empty_fragments_without_end_take_no_memory() -> None:
    end = End(Side.SERVER)
    end.comes(first(TEXT, b"a"), *[first(CONT)] * 1000)
    assert len(end.link._messages._pieces or []) == 1
    end.comes(F(CONT, b"b"))
    assert end.texts == [b"ab"]
    await end.hangs_up()


# --- peers that are gone, or slow -------------------------------------------------------------------------------------


async def test_a_half_open_socket_is_found_by_our_ping(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(core_end, "PING_SECONDS", 0.02)
    end = End(Side.SERVER)
    await end.wire.gone.wait()
    assert end.sent == [F(PING)]
    assert end.ends == [(1006, "answers no ping")]


async def test_a_peer_that_says_anything_is_alive() -> None:
    end = End(Side.CLIENT)
    for answer in (F(PONG), LONG, F(PING)):
        end.link._ping()
        end.comes(answer)
        end.link._ping()
        assert not end.wire.is_closing()
        end.comes(F(PONG))
    await end.hangs_up()


@SIDES
async def test_a_peer_that_does_not_read_is_dropped_at_the_bound(side: Side) -> None:
    end = End(side, max_unsent=100_000)
    end.wire.reading = False
    with pytest.raises(LinkClogged):
        send_many(end.link)
    assert end.wire._waiting < 101_000
    with pytest.raises(LinkClogged):
        end.link.send(LONG.data)
    await end.wire.gone.wait()
    assert end.ends == [(1006, "reads too slowly")]


@pytest.mark.parametrize("factory", [loop_factory(), plain_loop], ids=["as served", "plain"])
def test_a_real_peer_that_does_not_read_is_dropped_at_the_bound(
    factory: Callable[[], asyncio.AbstractEventLoop],
) -> None:
    async def play() -> None:
        async with echo_server(max_unsent=1 << 20) as echoes, asyncio.timeout(20):
            with socket.create_connection(("127.0.0.1", echoes.port)) as peer:
                core = ClientProtocol(WebSocketURI(False, "127.0.0.1", echoes.port, "/", ""))
                core.send_request(core.connect())
                peer.sendall(b"".join(core.data_to_send()))
                link = await echoes.came.get()
                with pytest.raises((LinkClogged, LinkClosed)):
                    await flood(link)
                await link.over.wait()
            assert link.code == 1006

    with asyncio.Runner(loop_factory=factory) as runner:
        runner.run(play())


async def test_a_message_that_comes_octet_by_octet_costs_no_more_than_its_length() -> None:
    end = End(Side.SERVER)
    copied = 0
    parse = extent

    def counting(data: bytes, at: int, *, masked: bool, limit: int | None) -> int | None:
        nonlocal copied
        copied += len(data)
        return parse(data, at, masked=masked, limit=limit)

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(links, "extent", counting)
        end.comes(F(TEXT, b"x" * 50_000), chop=1)
    assert len(end.texts) == 1
    assert copied < 1000, "each octet must not have the whole looked at again"
    await end.hangs_up()


def send_many(link: WireLink) -> None:
    for _ in range(1000):
        link.send(LONG.data)


async def flood(link: WireLink) -> None:
    for _ in range(1000):
        link.send(b"x" * 60_000)
        await asyncio.sleep(0)


# --- opening ----------------------------------------------------------------------------------------------------------


async def test_both_ends_of_ours_understand_each_other() -> None:
    async with echo_server() as echoes, asyncio.timeout(10):
        client = asyncio.create_task(echo_client(echoes.url))
        link = await echoes.came.get()
        link.listener = listener = Listener()
        for size in (5, 300, 70_000):
            link.send(b"x" * size)
            assert await listener.next() == b"x" * size
        link.close(1000, "done")
        assert [len(text) for text in await client] == [5, 300, 70_000]
        await link.over.wait()
    assert listener.ends == [(1000, "done")]


@pytest.mark.parametrize("answer", [b"HTTP/1.1 401 No\r\nContent-Length: 0\r\n\r\n", b"HTTP/1.1 4", b""])
async def test_a_handshake_that_fails_is_told_to_who_waits_for_it(answer: bytes) -> None:
    core = ClientProtocol(WebSocketURI(False, "localhost", 80, "/", ""))
    core.send_request(core.connect())
    ours, theirs = socket.socketpair()
    with theirs:
        _, link = await asyncio.get_running_loop().create_connection(lambda: WireLink(core), sock=ours)
        with pytest.raises(LinkClosed):
            link.send(b"too early")
        theirs.sendall(answer)
        theirs.shutdown(socket.SHUT_WR)
        with pytest.raises(InvalidStatus if b"401" in answer else Exception):
            await link.opened
        link.abort()
        await asyncio.sleep(0)


async def test_a_close_before_the_handshake_drops_the_socket() -> None:
    core = ClientProtocol(WebSocketURI(False, "localhost", 80, "/", ""))
    ours, theirs = socket.socketpair()
    with theirs:
        _, link = await asyncio.get_running_loop().create_connection(lambda: WireLink(core), sock=ours)
        link.close()
        with pytest.raises(LinkClosed):
            await link.opened


async def test_a_link_lets_go_of_what_led_its_handshake_and_keeps_to_its_bounds() -> None:
    core = ClientProtocol(WebSocketURI(False, "localhost", 80, "/", ""), max_size=1000)
    core.send_request(core.connect())
    led = weakref.ref(core)
    link = WireLink(core)
    ours, theirs = socket.socketpair()
    with theirs:
        await asyncio.get_running_loop().create_connection(lambda: link, sock=ours)
        upgrade = read_upgrade(theirs.recv(4096), max_size=1000)
        answering = weakref.ref(upgrade.core)
        end = WireLink(upgrade.accept())
        del core, upgrade
        await asyncio.get_running_loop().create_connection(lambda: end, sock=theirs.dup())
        await link.opened
        gc.collect()
        assert (led(), answering()) == (None, None)
        link.listener = listener = Listener()
        end.send(b"x" * 1000)
        assert await listener.next() == b"x" * 1000
        end.send(b"x" * 1001)
        async with asyncio.timeout(5):
            await listener.over.wait()
        assert listener.ends[0][0] == 1009
        end.abort()
        await asyncio.sleep(0)
