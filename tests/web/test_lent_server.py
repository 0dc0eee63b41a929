"""hypercorn without a port: its factory is lent before anything listens, and a failed start is heard of."""

import asyncio
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest
from hypercorn.asyncio import serve
from hypercorn.utils import LifespanFailureError
from starlette.applications import Starlette

from app.commands.answering import config
from app.web.lent_server import LentServer
from tests.web.door_stage import LOOPS, every_loop


def on_loop(loop: str, play: Callable[[], Awaitable[None]]) -> None:
    async def patiently() -> None:
        async with asyncio.timeout(10):
            await play()

    with asyncio.Runner(loop_factory=LOOPS[loop]) as runner:
        runner.run(patiently())


@every_loop
def test_the_factory_comes_once_the_application_has_started_and_nothing_listens(loop: str) -> None:
    steps: list[str] = []

    @asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        steps.append("started")
        yield
        steps.append("stopped")

    async def play() -> None:
        app: Any = Starlette(lifespan=lifespan)
        lent, closing = LentServer(), asyncio.Event()
        web = asyncio.create_task(serve(app, config(lent.bind), shutdown_trigger=closing.wait))
        assert isinstance((await lent.factory)(), asyncio.Protocol)
        assert steps == ["started"]
        with socket.socket(fileno=socket.dup(int(lent.bind.removeprefix("fd://")))) as placeholder:
            assert placeholder.family == socket.AF_UNIX
            assert not placeholder.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN)
        closing.set()
        await web
        assert steps == ["started", "stopped"]

    on_loop(loop, play)


@every_loop
def test_an_application_that_fails_to_start_is_heard_of_and_lends_nothing(loop: str) -> None:
    @asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        raise OSError("no database")
        yield

    async def play() -> None:
        app: Any = Starlette(lifespan=lifespan)
        lent = LentServer()
        web = asyncio.create_task(serve(app, config(lent.bind), shutdown_trigger=asyncio.Event().wait))
        either: set[asyncio.Future[Any]] = {web, lent.factory}
        await asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED)
        assert not lent.factory.done()
        with pytest.raises(LifespanFailureError, match="no database"):
            await web
        lent.close()
        with pytest.raises(OSError, match="Bad file descriptor"):
            socket.socket(fileno=int(lent.bind.removeprefix("fd://")))

    on_loop(loop, play)


@every_loop
def test_every_other_server_is_the_loop_s_own(loop: str) -> None:
    async def play() -> None:
        lent = LentServer()
        server = await asyncio.start_server(lambda reader, writer: writer.close(), "127.0.0.1", 0)
        async with server:
            reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
            assert await reader.read() == b""
            writer.close()
        assert not lent.factory.done()
        lent.close()

    on_loop(loop, play)
