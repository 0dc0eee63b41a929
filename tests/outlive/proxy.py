"""HAProxy as a process, in front of servers of ours: requests in turn, to those that say they are ready."""

import asyncio
import shutil
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import NamedTuple

import httpx
import pytest

from app.commands.own_server import free_port

PROGRAM = shutil.which("haproxy") or shutil.which("haproxy", path="/usr/sbin:/usr/local/sbin")
needs_haproxy = pytest.mark.skipif(PROGRAM is None, reason="haproxy is not installed")

CONFIG = """
global
    maxconn 500
defaults
    mode http
    timeout connect 300ms
    timeout client 60s
    timeout server 60s
    timeout tunnel 1h
    option redispatch 1
    retries 3
    http-reuse never
frontend carrier
    bind 127.0.0.1:{port}
    default_backend servers
backend servers
    balance roundrobin
    option httpchk GET /readyz
    http-check expect status 200
    default-server check inter 100ms fall 1 rise 1
{servers}
"""


class Server(NamedTuple):
    """A process behind the proxy. name: its INSTANCE; empty where it may have any."""

    name: str
    port: int


@asynccontextmanager
async def proxy(folder: Path, servers: Sequence[Server], config: str = CONFIG) -> AsyncIterator[str]:
    """Its URL. servers: those that are, or will be. config: with places for `{port}` and `{servers}`."""
    assert PROGRAM is not None
    port, file = free_port(), folder / "haproxy.cfg"
    lines = (f"    server {server.name or n} 127.0.0.1:{server.port}" for n, server in enumerate(servers))
    file.write_text(config.format(port=port, servers="\n".join(lines)))
    with (folder / "haproxy.log").open("wb") as log:
        process = await asyncio.create_subprocess_exec(PROGRAM, "-db", "-f", str(file), stdout=log, stderr=log)
    try:
        url = f"http://127.0.0.1:{port}"
        await _answers(url, process, folder / "haproxy.log")
        yield url
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


async def _answers(url: str, process: asyncio.subprocess.Process, log: Path) -> None:
    """Wait until a server of ours is reached through it."""
    async with asyncio.timeout(20), httpx.AsyncClient(trust_env=False) as http:
        while True:
            assert process.returncode is None, f"haproxy did not start: {log}"
            try:
                if (await http.get(url + "/readyz")).status_code == 200:
                    return
            except httpx.TransportError:
                pass  # it does not listen yet
            await asyncio.sleep(0.05)
