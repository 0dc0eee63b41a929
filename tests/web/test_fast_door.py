"""The fast door: what is media stays, what is not is hypercorn's, byte for byte."""

import asyncio
import hashlib
import socket
from types import SimpleNamespace
from typing import cast

import pytest
from websockets.frames import Opcode

from app.web import fast_door
from app.web.cold_streams import ColdStreams
from app.web.fast_door import is_media
from app.web.fly import Fly
from app.web.streams import Verdict
from tests.web.door_stage import PATIENCE, TICKET, Phone, Stage, every_loop, masked, on_stage, start

GET = "GET /echo HTTP/1.1\nHost: x\n\n"
MEDIA = b"GET /voice/ws/receptionist HTTP/1.1\r\nHost: x\r\n%b\r\n"


def post(length: int) -> str:
    return f"POST /echo HTTP/1.1\nHost: x\nContent-Length: {length}\n\n"


# --- to hypercorn -----------------------------------------------------------------------------------------------------


@every_loop
def test_requests_come_whole_one_after_the_other_and_from_their_true_peer(loop: str) -> None:
    async def play(stage: Stage) -> None:
        peer = await stage.connect()
        host, port = peer.writer.get_extra_info("sockname")
        body = bytes(range(256)) * 240
        for text in (b"", b"small", body):
            expected = f"POST {len(text)} {hashlib.sha256(text).hexdigest()} from {host}:{port}"
            assert await peer.asks(post(len(text)), text) == (200, expected.encode())
        assert (await peer.asks(GET))[0] == 200
        assert len(stage.door.undecided) == 0

    on_stage(play, loop)


@every_loop
def test_a_head_in_single_octets_and_a_body_in_pieces_come_whole(loop: str) -> None:
    async def play(stage: Stage) -> None:
        peer = await stage.connect()
        head = b"POST /echo HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
        text = bytes(range(256))
        chunks = (
            b"".join(b"7\r\n%b\r\n" % text[at : at + 7] for at in range(0, 252, 7))
            + b"4\r\n%b\r\n0\r\n\r\n" % text[252:]
        )
        for octet in head + chunks[:40]:
            peer.writer.write(bytes([octet]))
            await asyncio.sleep(0)
        peer.writer.write(chunks[40:])
        status, answer = await peer.answer()
        assert (status, answer.split()[2]) == (200, hashlib.sha256(text).hexdigest().encode())

    on_stage(play, loop)


def test_pipelined_requests_stay_with_the_first() -> None:
    async def play(stage: Stage) -> None:
        peer = await stage.connect()
        request = GET.replace("\n", "\r\n").encode()
        peer.writer.write(request * 3 + MEDIA % b"Upgrade: nonsense\r\n")
        assert [(await peer.answer())[0] for _ in range(3)] == [200] * 3
        assert stage.board.doors == []

    on_stage(play)


@every_loop
def test_a_peer_that_sends_no_more_after_its_request_is_answered(loop: str) -> None:
    async def play(stage: Stage) -> None:
        peer = await stage.connect()
        peer.writer.write(GET.replace("\n", "\r\n").encode())
        peer.writer.write_eof()
        assert (await peer.answer())[0] == 200

    on_stage(play, loop)


def test_events_come_when_they_happen() -> None:
    async def play(stage: Stage) -> None:
        peer = await stage.connect()
        peer.writer.write(b"GET /events HTTP/1.1\r\nHost: x\r\n\r\n")
        assert b"data: 0\n\n" in await peer.reader.readuntil(b"data: 0\n\n")
        assert not stage.app.state.go_on.is_set()
        stage.app.state.go_on.set()
        await peer.reader.readuntil(b"data: 2\n\n")

    on_stage(play)


def test_a_media_upgrade_on_a_kept_alive_connection_goes_by_asgi() -> None:
    async def play(stage: Stage) -> None:
        peer = await stage.connect()
        assert (await peer.asks(GET))[0] == 200
        phone = Phone(peer)
        peer.writer.write(phone.request(TICKET))
        await phone.shaken()
        assert bytes((await phone.frame()).data) == b"by asgi"
        assert stage.board.doors == []

    on_stage(play)


def test_bare_line_feeds_are_left_to_hypercorn() -> None:
    async def play(stage: Stage) -> None:
        peer = await stage.connect()
        peer.writer.write(GET.encode())
        assert (await peer.answer())[0] == 200

    on_stage(play)


# --- media ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("head", "media"),
    [
        (MEDIA % b"Upgrade: websocket\r\n", True),
        (MEDIA % b"UPGRADE:WebSocket\r\n", True),
        (MEDIA % b"upgrade: \t websocket \r\n", True),
        (MEDIA % b"", False),
        (MEDIA % b"Upgrade: h2c\r\n", False),
        (MEDIA % b"X-Upgrade: websocket\r\n", False),
        (MEDIA % b"X: upgrade: websocket\r\n", False),
        ((MEDIA % b"Upgrade: websocket\r\n").replace(b"GET", b"POST"), False),
        ((MEDIA % b"Upgrade: websocket\r\n").replace(b"/voice", b"/vice"), False),
        ((MEDIA % b"Upgrade: websocket\r\n").replace(b"/voice", b"http://x/voice"), False),
    ],
)
def test_what_is_media(head: bytes, media: bool) -> None:
    assert is_media(head) is media


@every_loop
@pytest.mark.parametrize("headers", [{}, {"Upgrade": "WEBSOCKET", "Connection": "keep-alive, Foo, upgrade"}])
def test_a_ticket_opens_a_stream_whose_first_frames_came_with_its_head(loop: str, headers: dict[str, str]) -> None:
    async def play(stage: Stage) -> None:
        text = b'{"event":"media"}' * 20
        phone = await stage.stream(rest=masked(start()) + masked(text) + masked(b"short"), **headers)
        assert bytes((await phone.frame()).data) == text
        assert bytes((await phone.frame()).data) == b"short"
        for size in (0, 125, 126, 65_535, 65_536, 200_000):
            phone.send(b"x" * size)
            assert len((await phone.frame()).data) == size
        assert stage.board.doors == ["fast"]
        (link,) = stage.door.links
        assert link.transport is not None
        assert link.transport.get_extra_info("socket").getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
        phone.peer.close()
        await stage.gone()
        assert stage.board.relays[0].ends == [1006]

    on_stage(play, loop)


@every_loop
def test_extensions_and_subprotocols_that_are_offered_are_not_taken(loop: str) -> None:
    async def play(stage: Stage) -> None:
        phone = await stage.stream(
            Sec_WebSocket_Extensions="permessage-deflate; client_max_window_bits, x-webkit",
            Sec_WebSocket_Protocol="audio.twilio.com, chat",
        )
        assert phone.answer is not None
        assert phone.answer.status_code == 101
        assert {"sec-websocket-extensions", "sec-websocket-protocol"} & set(
            map(str.lower, phone.answer.headers)
        ) == set()

    on_stage(play, loop)


@every_loop
@pytest.mark.parametrize(
    ("path", "headers", "status", "says"),
    [
        ("/voice/ws/nonsense/t1", {}, 404, b"a mode that there is"),
        ("/voice/ws/receptionist/t1/more", {}, 404, b"a mode that there is"),
        ("/voice/ws/receptionist/t9", {}, 403, b"the ticket or the signature"),
        (TICKET, {"X_Twilio_Signature": "bm8="}, 403, b"the ticket or the signature"),
        (TICKET, {"X_Twilio_Signature": ""}, 403, b"the ticket or the signature"),
        (TICKET, {"Sec_WebSocket_Key": "short"}, 400, b"Sec-WebSocket-Key"),
        (TICKET, {"Sec_WebSocket_Version": "8"}, 400, b"Sec-WebSocket-Version"),
        (TICKET, {"Connection": "close"}, 426, b"Connection"),
        (TICKET, {"Content_Length": "5"}, 400, b"HTTP/1.1"),
    ],
)
def test_a_wrong_upgrade_is_refused_in_words_and_spends_nothing(
    loop: str, path: str, headers: dict[str, str], status: int, says: bytes
) -> None:
    async def play(stage: Stage) -> None:
        peer = await stage.connect()
        peer.writer.write(Phone(peer).request(path, **headers) + b"and much that comes after it" * 100)
        got, body = await peer.answer()
        assert (got, says in body) == (status, True), body
        assert await peer.ends() == b""
        assert stage.board.tickets == {"t1", "t2"}
        assert not stage.door.links

    on_stage(play, loop)


@every_loop
def test_a_peer_whose_ticket_the_books_refuse_is_heard_to_leave(loop: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fast_door, "LEAVE_SECONDS", 10 * PATIENCE)

    async def play(stage: Stage) -> None:
        async def take_in(verdict: Verdict, *, replayed: bool) -> Verdict:
            return Verdict(403)

        stage.door.cold = cast(ColdStreams, SimpleNamespace(fly=Fly(""), take_in=take_in))
        peer = await stage.connect()
        peer.writer.write(Phone(peer).request(TICKET))
        assert (await peer.answer())[0] == 403
        peer.close()
        async with asyncio.timeout(PATIENCE):
            while len(stage.door.undecided):  # noqa: ASYNC110  the end of a socket is the other loop turn's news
                await asyncio.sleep(0.01)

    on_stage(play, loop)


def test_a_ticket_is_good_once() -> None:
    async def play(stage: Stage) -> None:
        first = await stage.stream()
        peer = await stage.connect()
        peer.writer.write(Phone(peer).request(TICKET))
        assert (await peer.answer())[0] == 403
        for end in (first.peer, peer):
            end.close()
        await stage.gone()
        assert stage.board.unjoined_calls == 1, "a stream that never started frees its call"

    on_stage(play)


def test_a_start_of_another_call_is_closed_with_1008() -> None:
    async def play(stage: Stage) -> None:
        phone = await stage.stream(rest=masked(start("CA" + "e" * 32)))
        frame = await phone.frame()
        assert (frame.opcode, int.from_bytes(bytes(frame.data)[:2], "big")) == (Opcode.CLOSE, 1008)

    on_stage(play)
