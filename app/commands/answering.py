"""Answering: one process, one loop, until a signal; calls are drained before anything stops.

Apart from `serve`, because it brings in everything: `serve` loads it while the database boots.
"""

import asyncio
import contextlib
import os
import signal
import sys
import time
from typing import Any

import msgspec
import structlog
from hypercorn.asyncio import serve as hypercorn_serve
from hypercorn.config import Config
from hypercorn.utils import LifespanFailureError

from app.adapters.data_folder import Database, Running, running_file, write_private
from app.adapters.link_check import check_core
from app.adapters.migrate import migrate
from app.errors import SetupError
from app.main import House, create_app
from app.settings import Settings
from app.web.fast_door import BACKLOG, FastDoor
from app.web.lent_server import LentServer, loop_factory

log = structlog.get_logger()

DRAIN_SECONDS = 280.0
"""On SIGTERM calls may go on this long: Fly gives 300 s."""
LOOK_AFTER_SECONDS = 2.0
KEEP_ALIVE_SECONDS = 75.0
"""Longer than clients keep a connection that is idle (5 to 60 s): one that we close first may just be getting a webhook."""
LEAD_SECONDS = 5.0
"""How long calls that were cut may take to ask what is next."""


def run(settings: Settings, database: Database) -> None:
    """Answer calls until a signal. Raises SetupError."""
    with asyncio.Runner(loop_factory=loop_factory()) as runner:
        runner.run(_serve(settings, database))


async def _serve(settings: Settings, database: Database) -> None:
    """hypercorn runs the application, without a port; the fast door has the port, from when the application has started.

    On the way out the door goes first: calls drain before hypercorn is told to stop, as that ends the house they live in.
    """
    check_core()
    await migrate(database.url)
    app: Any = create_app(settings, database.url)  # hypercorn's types know neither Starlette nor each other
    stop, hurry, closing = asyncio.Event(), asyncio.Event(), asyncio.Event()
    loop = asyncio.get_running_loop()
    loop.set_exception_handler(_unhandled)
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, _signalled, number, stop, hurry)
    lent = LentServer()
    web = asyncio.create_task(hypercorn_serve(app, config(lent.bind), shutdown_trigger=closing.wait), name="hypercorn")
    try:
        if await _first(lent.factory, web):
            house: House = app.state.house
            door = FastDoor(house.board, house.guard, settings.twilio_account_sid, lent.factory.result())
            await door.open(settings.host, settings.port)
            announce(settings, house)
            keep = asyncio.create_task(_keep(database), name="database")
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
            _forget(settings)


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


def _forget(settings: Settings) -> None:
    """Take away what other commands find us by, unless another server has put its own there."""
    path = running_file(settings.data)
    with contextlib.suppress(OSError, msgspec.MsgspecError):
        if msgspec.json.decode(path.read_bytes(), type=Running).pid == os.getpid():
            path.unlink()


def _signalled(number: int, stop: asyncio.Event, hurry: asyncio.Event) -> None:
    """The first SIGTERM drains; Ctrl-C, or a second signal, does not wait for calls."""
    if stop.is_set() or number == signal.SIGINT:
        hurry.set()
    stop.set()


async def drain(house: House, hurry: asyncio.Event) -> None:
    """No new calls; those in progress may end by themselves, then they leave by the door."""
    house.board.draining = True
    log.info("draining", calls=house.board.live)
    waits = [asyncio.create_task(house.board.idle.wait()), asyncio.create_task(hurry.wait())]
    await asyncio.wait(waits, timeout=DRAIN_SECONDS, return_when=asyncio.FIRST_COMPLETED)
    for wait in waits:
        wait.cancel()
    if house.board.live:
        house.board.close_all()
        with contextlib.suppress(TimeoutError):  # the carrier asks what is next, and takes the caller to a person
            await asyncio.wait_for(house.board.led_on(), LEAD_SECONDS)


def announce(settings: Settings, house: House) -> None:
    """Say that calls are answered: on stderr, and in the data folder for the other commands."""
    host = "127.0.0.1" if settings.host in ("0.0.0.0", "::") else settings.host  # noqa: S104
    database = str(house.engine.url.render_as_string(hide_password=False))
    url = f"http://{f'[{host}]' if ':' in host else host}:{settings.port}"
    running = Running(os.getpid(), url, settings.public_url, database, house.stand_in)
    write_private(running_file(settings.data), msgspec.json.encode(running).decode())
    log.info(
        "answering calls",
        url=url,
        webhook=f"{settings.public_url}/twilio/incoming",
        cpu_seconds=round(time.process_time(), 2),
    )
    print(f"Offhook answers on {url}. Try: ./offhook call booking", file=sys.stderr, flush=True)


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
    config.errorlog = "-"
    config.loglevel = "WARNING"
    return config
