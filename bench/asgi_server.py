"""The product's app under an ASGI server of another make: `python -m bench.asgi_server uvicorn`, settings from the environment."""

import asyncio
import gc
import sys
from collections.abc import Callable
from typing import Any

import uvloop

from app import log as logging
from app import settings as all_settings
from app.adapters.migrate import migrate
from app.main import create_app


def app() -> Any:
    """The app; what the servers import by name. The collector is told what `serve` tells it."""
    settings = all_settings.load()
    gc.freeze()
    return create_app(settings, settings.database_url)


def hypercorn(host: str, port: int) -> None:
    """The doors that are not media as `serve` has them, and media by the same road."""
    from hypercorn.asyncio import serve
    from hypercorn.config import Config

    config = Config()
    config.bind = [f"{host}:{port}"]
    config.backlog = 1024
    config.max_app_queue_size = 100
    config.errorlog = "-"
    config.loglevel = "WARNING"
    config.graceful_timeout = 1.0
    uvloop.run(serve(app(), config))


def uvicorn(host: str, port: int) -> None:
    """With its fastest parts: uvloop, httptools, and websockets' sans-I/O core."""
    from uvicorn import run

    run(
        "bench.asgi_server:app",
        factory=True,
        host=host,
        port=port,
        loop="uvloop",
        http="httptools",
        ws="websockets-sansio",
        ws_per_message_deflate=False,
        log_level="warning",
        timeout_graceful_shutdown=1,
    )


def granian(host: str, port: int) -> None:
    """One worker on uvloop."""
    from granian import Granian
    from granian.constants import Interfaces, Loops

    Granian(
        "bench.asgi_server:app",
        address=host,
        port=port,
        interface=Interfaces.ASGI,
        factory=True,
        workers=1,
        loop=Loops.uvloop,
        log_level="warning",
        workers_kill_timeout=1,
    ).serve()


SERVERS: dict[str, Callable[[str, int], None]] = {"hypercorn": hypercorn, "uvicorn": uvicorn, "granian": granian}


def main(name: str) -> None:
    """Migrate, then serve until SIGINT."""
    settings = all_settings.load()
    logging.configure(settings.log_level)
    asyncio.run(migrate(settings.database_url))
    SERVERS[name](settings.host, settings.port)


if __name__ == "__main__":
    if sys.argv[1:2] and sys.argv[1] in SERVERS:
        main(sys.argv[1])
    else:
        sys.exit(f"expected one of {', '.join(SERVERS)}, got {' '.join(sys.argv[1:]) or 'nothing'}")
