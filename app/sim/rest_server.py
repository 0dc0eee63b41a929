"""Serves an ASGI app of the stand-ins on a loopback port, in this process."""

import asyncio
import socket
from typing import cast

from hypercorn.asyncio import serve
from hypercorn.config import Config
from hypercorn.typing import ASGIFramework
from starlette.types import ASGIApp


class RestServer:
    """One app on one port of 127.0.0.1. `start` once, `stop` once."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app
        self._stop = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    async def start(self, port: int = 0) -> str:
        """Listen (port 0: a free one) and return `http://127.0.0.1:PORT`. Raises OSError if the port is taken."""
        listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind(("127.0.0.1", port))
        except OSError:
            listener.close()
            raise
        listener.listen()  # from here on a client may connect, before the server runs
        address = f"http://127.0.0.1:{listener.getsockname()[1]}"
        config = Config()
        config.bind = [f"fd://{listener.detach()}"]
        config.errorlog = config.accesslog = None
        config.graceful_timeout = 1.0
        app = cast(ASGIFramework, self._app)
        self._task = asyncio.create_task(serve(app, config, shutdown_trigger=self._stop.wait))
        return address

    async def stop(self) -> None:
        """Stop listening and close what is open."""
        self._stop.set()
        if self._task is not None:
            await self._task
