"""Answering: one process, one loop, until a signal; calls are drained before anything stops.

Apart from `serve`, because it brings in everything: `serve` loads it while the database boots.
"""

import asyncio
import contextlib
import logging
import os
import signal
import sys
import time
from collections.abc import AsyncIterator, Callable
from typing import Any

import msgspec
import structlog
from hypercorn.asyncio import serve as hypercorn_serve
from hypercorn.config import Config
from hypercorn.utils import LifespanFailureError

from app.adapters import processes
from app.adapters.data_folder import (
    Database,
    Running,
    forget,
    note_starting,
    running_file,
    starting_file,
    write_private,
)
from app.adapters.link_check import check_core
from app.adapters.migrate import migrate
from app.adapters.store import CallStore
from app.calls.handover import Handover
from app.errors import SetupError
from app.main import VERSION, House, create_app
from app.settings import Settings
from app.web.fast_door import BACKLOG, FastDoor
from app.web.lent_server import LentServer, loop_factory
from app.web.metrics_port import metrics_port

log = structlog.get_logger()

HANDOVER_SECONDS = 30.0
"""Before the end of the drain: a pause comes within this in nearly every talk."""
LOOK_AFTER_SECONDS = 2.0
KEEP_ALIVE_SECONDS = 75.0
"""Longer than clients keep a connection that is idle (5 to 60 s): one that we close first may just be getting a webhook."""
LEAD_SECONDS = 5.0
"""How long calls that were cut may take to ask what is next."""


Beside = Callable[[House], contextlib.AbstractAsyncContextManager[None]]
"""What runs beside a house that answers: entered once its door is open, left before the drain."""


@contextlib.asynccontextmanager
async def nothing(house: House) -> AsyncIterator[None]:
    """Nothing beside it."""
    yield


def run(settings: Settings, database: Database, beside: Beside = nothing) -> bool:
    """Answer calls until a signal; whether it asked for another start (SIGUSR2). Raises SetupError."""
    with metrics_port(settings.host, settings.metrics_port), asyncio.Runner(loop_factory=loop_factory()) as runner:
        return runner.run(_serve(settings, database, beside))


async def _serve(settings: Settings, database: Database, beside: Beside) -> bool:
    """hypercorn runs the application, without a port; the fast door has the port, from when the application has started.

    On the way out the door goes first: calls drain before hypercorn is told to stop, as that ends the house they live in.
    """
    check_core()
    await migrate(database.url)
    app: Any = create_app(settings, database.url)  # hypercorn's types know neither Starlette nor each other
    stop, hurry, closing, again = asyncio.Event(), asyncio.Event(), asyncio.Event(), asyncio.Event()
    loop = asyncio.get_running_loop()
    loop.set_exception_handler(_unhandled)
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, _signalled, number, stop, hurry, again)
    loop.add_signal_handler(signal.SIGUSR2, _restarted, stop, hurry, again)
    lent = LentServer()
    web = asyncio.create_task(hypercorn_serve(app, config(lent.bind), shutdown_trigger=closing.wait), name="hypercorn")
    try:
        if await _first(lent.factory, web):
            house: House = app.state.house
            house.own.again = again.is_set
            door = FastDoor(house.board, house.guard, settings.twilio_account_sid, lent.factory.result(), house.cold)
            await door.open(settings.host, settings.port)
            announce(settings, house)
            keep = asyncio.create_task(_keep(database), name="database")
            async with beside(house):
                if not await _first(asyncio.create_task(stop.wait()), web):
                    hurry.set()  # the house is closed already
            keep.cancel()
            await drain(house, hurry)
            await door.close()
    finally:
        closing.set()
        try:
            await web
        except LifespanFailureError as failure:
            raise SetupError(str(failure)) from failure
        finally:
            lent.close()
            if again.is_set():
                note_starting(settings.data, settings.port)
            forget(running_file(settings.data))
    return again.is_set()


async def _first(event: asyncio.Future[Any], web: asyncio.Task[None]) -> bool:
    """Wait for an event, or for the end of hypercorn if that comes first; whether it is the event that came."""
    await asyncio.wait({event, web}, return_when=asyncio.FIRST_COMPLETED)
    happened = event.done()
    event.cancel()
    return happened


async def _keep(database: Database) -> None:
    """Look after an embedded database: one that dies is started again. The loop stands still for that tenth of a second."""
    while True:
        await asyncio.sleep(LOOK_AFTER_SECONDS)
        try:
            database.revive()
        except SetupError as wrong:
            log.error("the database cannot be started again", why=str(wrong))


def _unhandled(loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
    """What nobody caught. A connection that breaks its server's rules is one line; anything else is told in full."""
    wrong = context.get("exception")
    if "client_connected_cb" in context.get("message", ""):
        log.warning("a connection broke the server's rules", why=f"{type(wrong).__name__}: {wrong}")
    else:
        loop.default_exception_handler(context)


def _signalled(number: int, stop: asyncio.Event, hurry: asyncio.Event, again: asyncio.Event) -> None:
    """The first SIGTERM drains; Ctrl-C, or a second signal, does not wait for calls. Neither is followed by another start."""
    if number == signal.SIGINT or (stop.is_set() and not again.is_set()):
        hurry.set()
    again.clear()
    stop.set()


def _restarted(stop: asyncio.Event, hurry: asyncio.Event, again: asyncio.Event) -> None:
    """Drain, and then start anew; a second one does not wait for calls. Not once the end was asked for."""
    if again.is_set():
        hurry.set()
    elif not stop.is_set():
        again.set()
        stop.set()


async def drain(house: House, hurry: asyncio.Event) -> None:
    """No new calls; those in progress may end by themselves. What still talks near the end is handed over to another process."""
    board, seconds = house.board, house.settings.drain_seconds
    board.draining = True
    log.info("draining", calls=board.live, seconds=seconds)
    pauses = min(HANDOVER_SECONDS, seconds / 2)
    waits = [asyncio.create_task(board.idle.wait()), asyncio.create_task(hurry.wait())]
    await asyncio.wait(waits, timeout=seconds - pauses, return_when=asyncio.FIRST_COMPLETED)
    if board.live:
        handover = Handover(board, CallStore(house.engine))
        giving = asyncio.create_task(handover.give(0.0 if hurry.is_set() else pauses))
        await asyncio.wait([giving, waits[1]], return_when=asyncio.FIRST_COMPLETED)
        if not giving.done():  # a second signal, in the middle of it
            giving.cancel()
            await asyncio.wait([giving])
            await handover.give(0.0)
        board.closing = True
        await handover.settled(LEAD_SECONDS)
        board.close_all()
    for wait in waits:
        wait.cancel()


def announce(settings: Settings, house: House) -> None:
    """Say that calls are answered: on stderr, and in the data folder for the other commands."""
    database = str(house.engine.url.render_as_string(hide_password=False))
    url = settings.own_url
    running = Running(
        os.getpid(),
        url,
        settings.public_url,
        database,
        house.stand_in,
        started=processes.began(os.getpid()),
        began=time.time(),
        port=settings.port,
        version=VERSION,
        key=house.own.key,
    )
    write_private(running_file(settings.data), msgspec.json.encode(running).decode())
    forget(starting_file(settings.data))
    log.info(
        "answering calls",
        url=url,
        webhook=f"{settings.public_url}/twilio/incoming",
        cpu_seconds=round(time.process_time(), 2),
    )
    if sys.stderr.isatty() or settings.log_format == "text":  # else it would be a line that is no JSON
        look = f"Talk to it in a browser: {url}/phone" if house.stand_in else f"The console: {settings.public_url}"
        print(f"Offhook answers on {url}. Try: ./offhook call booking\n{look}", file=sys.stderr, flush=True)


def config(bind: str) -> Config:
    """hypercorn's settings. bind: as hypercorn has it, HOST:PORT or fd://N."""
    config = Config()
    config.bind = [bind]
    config.backlog = BACKLOG
    config.graceful_timeout = 1.0
    config.keep_alive_timeout = KEEP_ALIVE_SECONDS
    config.websocket_max_message_size = (
        2 << 20
    )  # AsgiLink's own limit is lower, and ends in a close; this one in a fault
    config.max_app_queue_size = 100
    config.include_server_header = False
    config.accesslog = None
    config.errorlog = logging.getLogger("hypercorn.error")
    config.loglevel = "WARNING"
    return config
