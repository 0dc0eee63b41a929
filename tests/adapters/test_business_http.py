"""What a backend that breaks the contract, hangs or is gone can do to us: nothing but BackendDown, in time."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from datetime import date, datetime

import httpx
import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from app import trace_ids
from app.adapters.business_http import HttpStore
from app.errors import BackendDown, SetupError
from app.mode import Booking

TUESDAY = date(2026, 11, 24)


async def book(store: HttpStore) -> Booking:
    nine = datetime(2026, 11, 24, 9)
    return await store.book(name="Ann", start=nine, reason="check-up", phone="+14155550133", key="k1")


@asynccontextmanager
async def speaking(*answers: bytes | None, hangs: bool = False) -> AsyncIterator[tuple[HttpStore, list[bytes]]]:
    """A store on a server that answers each connection with the next of these bytes; None closes it without a word."""
    heads: list[bytes] = []
    left = iter(answers)
    done = asyncio.Event()
    writers: list[asyncio.StreamWriter] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writers.append(writer)
        head = await reader.readuntil(b"\r\n\r\n")
        heads.append(head)
        if answer := next(left):
            writer.write(answer)
            if hangs:
                await done.wait()
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    async with httpx.AsyncClient(trust_env=False) as client:
        yield HttpStore(f"http://127.0.0.1:{port}", client, deadline_seconds=0.2 if hangs else 5), heads
    done.set()
    server.close()
    for writer in writers:
        writer.close()
        with suppress(OSError):
            await writer.wait_closed()
    await server.wait_closed()


def answer(body: bytes, status: str = "200 OK", headers: str = "") -> bytes:
    return f"HTTP/1.1 {status}\r\nContent-Length: {len(body)}\r\nConnection: close\r\n{headers}\r\n".encode() + body


@pytest.mark.parametrize(
    "bad",
    [
        answer(b"{}"),
        answer(b"[]"),
        answer(b"\xff\xfe"),
        answer(b"<html>all fine</html>"),
        answer(b'{"slots": ["2026-11-24T09:00:00Z"]}'),
        answer(b'{"slots": ["2026-11-25T09:00:00"]}'),
        answer(b'{"slots": ["nine"]}'),
        answer(b'{"slots": [' + b" " * 70_000 + b"]}"),
        answer(b"", "204 No Content"),
        answer(b'{"slots": []}', "404 Not Found"),
        answer(b'{"slots": []}', "409 Conflict"),
        answer(b'{"slots": []}', "500 Internal Server Error"),
        answer(b"", "302 Found", "Location: http://127.0.0.1:9/\r\n"),
        answer(b"\x1f\x8b", headers="Content-Encoding: gzip\r\n"),
        b"no such protocol\r\n\r\n",
    ],
    ids=lambda value: value.partition(b"\r\n\r\n")[2][:30].decode("latin-1") or value[:20].decode(),
)
async def test_an_answer_outside_the_contract_is_no_answer(bad: bytes) -> None:
    async with speaking(bad, bad) as (store, _):
        with pytest.raises(BackendDown) as caught:
            await store.free_slots(TUESDAY)
    assert str(caught.value) == str(BackendDown())


async def test_an_endless_answer_is_cut_off_before_it_ends() -> None:
    head = b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n"
    async with speaking(head + b" " * 70_000, hangs=True) as (store, _):
        store._deadline_seconds = 30
        with pytest.raises(BackendDown):
            await store.free_slots(TUESDAY)


@pytest.mark.parametrize("said", [b" ", b"HTTP/1.1 200 OK\r\nContent-Length: 90\r\n\r\n{"])
async def test_a_backend_that_hangs_is_given_up_at_the_deadline(said: bytes) -> None:
    async with speaking(said, hangs=True) as (store, _):
        with pytest.raises(BackendDown):
            await store.free_slots(TUESDAY)


async def test_an_api_without_callers_knows_nobody_and_that_is_no_fault() -> None:
    async with speaking(answer(b"no such page", "404 Not Found")) as (store, heads):
        assert await store.names_under("+14155550133") == []
    assert heads[0].startswith(b"GET /callers?phone=%2B14155550133 ")


async def test_names_beyond_the_fifth_are_not_taken() -> None:
    names = answer(b'{"names": ["A", "B", "C", "D", "E", "F"], "phones": 6}')
    async with speaking(names) as (store, _):
        assert await store.names_under("+14155550133") == ["A", "B", "C", "D", "E"]


@pytest.mark.parametrize(
    "body", [b'{"names": "Ann"}', b'{"names": [""]}', b'{"names": [1]}', b"{}", b'{"names": ["' + b"x" * 201 + b'"]}']
)
async def test_names_outside_the_contract_are_no_answer(body: bytes) -> None:
    async with speaking(answer(body)) as (store, _):
        with pytest.raises(BackendDown):
            await store.names_under("+14155550133")


async def test_a_booking_of_another_time_than_asked_is_no_booking() -> None:
    other = b'{"reference": "K7", "name": "Ann", "start": "2026-11-24T09:30:00", "reason": "check-up"}'
    async with speaking(answer(other)) as (store, _):
        with pytest.raises(BackendDown):
            await book(store)


async def test_a_connection_that_breaks_is_tried_once_more_with_the_same_key() -> None:
    good = answer(b'{"reference": "K7", "more": 1}', "201 Created")
    async with speaking(None, good) as (store, heads):
        assert await store.add_message(name="Ann", text="Hi", phone="", key="m1") == "K7"
    assert len(heads) == 2
    assert all(b"Idempotency-Key: m1\r\n" in head for head in heads)


async def test_a_backend_that_always_breaks_is_down() -> None:
    async with speaking(None, None) as (store, heads):
        with pytest.raises(BackendDown):
            await book(store)
    assert len(heads) == 2


async def test_a_backend_that_nobody_runs_is_down(unused_tcp_port: int) -> None:
    async with httpx.AsyncClient(trust_env=False) as client:
        with pytest.raises(BackendDown):
            await HttpStore(f"http://127.0.0.1:{unused_tcp_port}", client).free_slots(TUESDAY)


async def test_a_base_that_is_no_address_is_refused() -> None:
    async with httpx.AsyncClient(trust_env=False) as client:
        with pytest.raises(SetupError, match="BUSINESS_API_BASE: expected https://HOST/PATH"):
            HttpStore("backend.example.com", client)


@pytest.mark.parametrize("traced", [True, False])
async def test_a_request_names_the_span_that_it_is_part_of_where_calls_are_traced(traced: bool) -> None:
    seen: list[httpx.Headers] = []

    def answers(request: httpx.Request) -> httpx.Response:
        seen.append(request.headers)
        return httpx.Response(200, stream=httpx.ByteStream(b'{"slots": []}'))

    async with httpx.AsyncClient(transport=httpx.MockTransport(answers)) as client:
        store = HttpStore("http://business.example", client, traced=traced)

        async def tool() -> None:
            trace_ids.enter("CA" + "1" * 32, "tool 3")
            await store.free_slots(TUESDAY)

        await asyncio.create_task(tool())
        await store.free_slots(TUESDAY)
    parent = f"00-{'1' * 32}-{trace_ids.span_id('CA' + '1' * 32, 'tool 3')}-01"
    assert [headers.get("traceparent") for headers in seen] == [parent if traced else None, None]


async def test_a_query_of_the_base_goes_with_every_request() -> None:
    asked: list[str] = []

    async def slots(request: Request) -> Response:
        asked.append(request.url.query)
        return JSONResponse({"slots": []})

    async def bookings(request: Request) -> Response:
        asked.append(request.url.query)
        return JSONResponse({"reference": "R", "name": "Ann", "start": "2026-11-24T09:00:00"})

    backend = Starlette(routes=[Route("/api/slots", slots), Route("/api/bookings", bookings, methods=["POST"])])
    async with httpx.AsyncClient(transport=httpx.ASGITransport(backend)) as client:
        store = HttpStore("https://backend.test/api/?code=a%2Bb", client)
        await store.free_slots(date(2026, 11, 24))
        await book(store)
    assert asked == ["code=a%2Bb&day=2026-11-24", "code=a%2Bb"]
