"""`./offhook serve`: everything started in order, one process, one loop; calls are drained before anything stops."""

import asyncio
import contextlib
import gc
import os
import signal
import socket
import sys
import time
from typing import Any

import msgspec
import structlog
from hypercorn.asyncio import serve as hypercorn_serve
from hypercorn.config import Config
from hypercorn.utils import LifespanFailureError

from app import log as logging
from app import registry
from app import settings as all_settings
from app.adapters.migrate import migrate
from app.errors import SetupError
from app.main import House, create_app, open_database, write_private
from app.settings import Settings

log = structlog.get_logger()

DRAIN_SECONDS = 280.0
"""On SIGTERM calls may go on this long: Fly gives 300 s."""
LEAD_SECONDS = 5.0
"""How long calls that were cut may take to ask what is next."""


class Running(msgspec.Struct, frozen=True):
    """What a running server leaves in its data folder for other commands."""

    pid: int
    url: str
    public_url: str
    database_url: str
    model: str
    """URL of the built-in model stand-in; empty if a real model answers."""


def serve(*, port: int | None = None) -> int:
    """Answer calls until a signal. Raises SetupError with the remedy if it cannot start."""
    gc.freeze()  # what is imported stays: it need not be looked at again while calls are relayed
    settings = all_settings.load() if port is None else all_settings.load({**_environment(), "PORT": str(port)})
    logging.configure(settings.log_level)
    registry.find(settings)  # what is wrong with a mode is said before anything is started
    check_port(settings.host, settings.port)
    url, postgres = open_database(settings)
    try:
        with _runner() as runner:
            runner.run(_serve(settings, url))
    finally:
        if postgres is not None:
            postgres.stop()
    return 0


def _environment() -> dict[str, str]:
    return all_settings.environment(all_settings.ROOT)


def _runner() -> asyncio.Runner:
    """uvloop where it is installed; the plain loop elsewhere."""
    try:
        import uvloop
    except ImportError:
        return asyncio.Runner()
    return asyncio.Runner(loop_factory=uvloop.new_event_loop)


def check_port(host: str, port: int) -> None:
    """Raise SetupError if the port cannot be had, with the remedy."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as wrong:
            raise SetupError(
                f"expected to listen on {host}:{port}, but: {wrong.strerror}. "
                "Stop what listens there, or take another port with --port or PORT."
            ) from wrong


async def _serve(settings: Settings, database_url: str) -> None:
    await migrate(database_url)
    app: Any = create_app(settings, database_url)  # hypercorn's types know neither Starlette nor each other
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    hurry = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, _signalled, number, stop, hurry)

    async def trigger() -> None:
        ready = asyncio.create_task(_announce(settings, app.state))
        await stop.wait()
        ready.cancel()
        await drain(app.state.house, hurry)

    try:
        await hypercorn_serve(app, _config(settings), shutdown_trigger=trigger)
    except LifespanFailureError as failure:
        raise SetupError(str(failure)) from failure
    finally:
        _forget(settings)


def _forget(settings: Settings) -> None:
    """Take away what other commands find us by, unless another server has put its own there."""
    path = settings.data / "serve.json"
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
        with contextlib.suppress(
            TimeoutError
        ):  # the carrier asks what is next, and is told to take the caller to a person
            await asyncio.wait_for(house.board.led_on(), LEAD_SECONDS)


async def _announce(settings: Settings, state: object) -> None:
    """Say that calls are answered once they are: on stderr, and in the data folder for the other commands."""
    host = "127.0.0.1" if settings.host in ("0.0.0.0", "::") else settings.host  # noqa: S104
    while True:
        with contextlib.suppress(OSError):
            _, writer = await asyncio.open_connection(host, settings.port)
            writer.close()
            break
        await asyncio.sleep(0.01)
    house: House = state.house  # type: ignore[attr-defined]
    database = str(house.engine.url.render_as_string(hide_password=False))
    url = f"http://{f'[{host}]' if ':' in host else host}:{settings.port}"
    running = Running(os.getpid(), url, settings.public_url, database, house.stand_in)
    write_private(settings.data / "serve.json", msgspec.json.encode(running).decode())
    log.info(
        "answering calls",
        url=url,
        webhook=f"{settings.public_url}/twilio/incoming",
        cpu_seconds=round(time.process_time(), 2),
    )
    print(f"Offhook answers on {url}. Try: ./offhook call booking", file=sys.stderr, flush=True)


def _config(settings: Settings) -> Config:
    config = Config()
    host = f"[{settings.host}]" if ":" in settings.host else settings.host
    config.bind = [f"{host}:{settings.port}"]
    config.backlog = 1024
    config.graceful_timeout = 1.0
    config.websocket_max_message_size = 256 * 1024
    config.max_app_queue_size = 100
    config.include_server_header = False
    config.accesslog = None
    config.errorlog = "-"
    config.loglevel = "WARNING"
    return config
