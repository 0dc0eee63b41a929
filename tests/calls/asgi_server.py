"""The product without its fast door: the same app, served by hypercorn on a port of its own, as any ASGI server would.

python -m tests.calls.asgi_server. BUSINESS_FOLDER: where the offhook.toml is, if it is not the checkout's.
"""

import asyncio
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from hypercorn.asyncio import serve

from app import log as logging
from app import settings as all_settings
from app.adapters.data_folder import Database, Running, open_database
from app.adapters.migrate import migrate
from app.commands.answering import announce, config
from app.commands.own_server import find_running, free_port
from app.main import create_app
from app.settings import ROOT, Settings


@asynccontextmanager
async def asgi_server(**environment: str) -> AsyncIterator[tuple[Running, Path]]:
    """A server on a free port, with a data folder of its own; both are gone afterwards."""
    data = Path(tempfile.mkdtemp(prefix="offhook-asgi-"))
    variables = {
        **os.environ,
        "OFFHOOK_DATA": str(data),
        "HOST": "127.0.0.1",
        "PORT": str(free_port()),
        "DATABASE_URL": "",
        **environment,
    }
    with (data / "serve.log").open("wb") as log:
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "tests.calls.asgi_server",
            env=variables,
            cwd=ROOT,
            stdout=log,
            stderr=subprocess.STDOUT,
        )
    try:
        async with asyncio.timeout(30):
            while (running := await asyncio.to_thread(find_running, data)) is None:
                assert process.returncode is None, (data / "serve.log").read_text()
                await asyncio.sleep(0.05)
        yield running, data
    finally:
        if process.returncode is None:
            process.send_signal(signal.SIGINT)
        try:
            await asyncio.wait_for(process.wait(), 15)
        except TimeoutError:
            process.kill()
            await process.wait()
        shutil.rmtree(data, ignore_errors=True)


def main() -> None:
    """Answer calls until SIGINT."""
    settings = all_settings.load(root=Path(os.environ.get("BUSINESS_FOLDER", ROOT)))
    logging.configure(settings.log_level, settings.secrets, settings.log_format)
    with open_database(settings) as database:
        asyncio.run(_answer(settings, database))


async def _answer(settings: Settings, database: Database) -> None:
    await migrate(database.url)
    app: Any = create_app(settings, database.url)
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGINT, stop.set)

    async def until() -> None:
        announce(settings, app.state.house)  # hypercorn listens by now
        await stop.wait()

    await serve(app, config(f"{settings.host}:{settings.port}"), shutdown_trigger=until)


if __name__ == "__main__":
    main()
