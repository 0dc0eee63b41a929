"""Dialling a model's server: addresses that are remembered, certificates, and a server that talks before it is spoken to."""

import asyncio
import contextlib
import shutil
import socket
import ssl
from asyncio.subprocess import DEVNULL
from pathlib import Path
from typing import Any

import pytest
from websockets.asyncio.server import ServerConnection, serve
from websockets.exceptions import ConnectionClosed

from app.adapters import endpoint as endpoints
from app.adapters.endpoint import Endpoint, Known, dial
from tests.adapters.sessions import MODEL, model_server, until


async def test_a_host_is_looked_up_once_a_minute_and_again_when_its_address_is_silent() -> None:
    async with model_server() as (_, endpoint):
        by_name = Endpoint(url=endpoint.url.replace("127.0.0.1", "localhost"))
        port = int(endpoint.url.split(":")[2].split("/")[0])
        known = Known()
        now = asyncio.get_running_loop().time()
        (await dial(by_name, MODEL, known)).close()
        assert known.address("localhost", port, now) in ("127.0.0.1", "::1")
        assert known.address("localhost", port, now + endpoints.ADDRESS_SECONDS + 60) == ""
        known.answered("localhost", port, "127.0.0.9" if port != 1 else "", now)  # nobody listens there
        fresh = await dial(by_name, MODEL, known)
        assert fresh.alive
        assert known.address("localhost", port, now) != "127.0.0.9"
        fresh.close()


async def test_small_messages_are_not_held_back_by_the_kernel() -> None:
    async with model_server() as (_, endpoint):
        fresh = await dial(endpoint, MODEL, Known())
        assert fresh.link.transport is not None
        end = fresh.link.transport.get_extra_info("socket")
        assert end.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
        fresh.close()


@pytest.mark.skipif(shutil.which("openssl") is None, reason="a certificate takes the openssl command")
async def test_at_an_address_that_is_known_the_certificate_is_still_checked_against_the_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    certificate, key = tmp_path / "it.pem", tmp_path / "it.key"
    words = "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 -subj /CN=localhost"
    made = ["-addext", "subjectAltName=DNS:localhost", "-keyout", str(key), "-out", str(certificate)]
    await (await asyncio.create_subprocess_exec("openssl", *words.split(), *made, stderr=DEVNULL)).wait()
    server_side = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server_side.load_cert_chain(certificate, key)
    monkeypatch.setattr(endpoints, "tls", lambda: ssl.create_default_context(cafile=certificate))
    hosts: list[str] = []
    dials = endpoints._dial

    async def noted(endpoint: Endpoint, uri: Any, host: str, **options: Any) -> Any:
        hosts.append(host)
        return await dials(endpoint, uri, host, **options)

    monkeypatch.setattr(endpoints, "_dial", noted)

    async def idle(peer: ServerConnection) -> None:
        await peer.wait_closed()

    async with serve(idle, "127.0.0.1", 0, compression=None, ssl=server_side) as server:
        known, endpoint = Known(), Endpoint(url=f"wss://localhost:{next(iter(server.sockets)).getsockname()[1]}")
        for _ in range(2):
            (await dial(endpoint, MODEL, known)).close()
    assert hosts == ["localhost", "127.0.0.1"], "the address has no certificate of its own, and was not given up on"


async def test_a_server_that_talks_on_and_on_to_a_link_that_nobody_took_is_dropped() -> None:
    async def talks(peer: ServerConnection) -> None:
        with contextlib.suppress(ConnectionClosed):
            while True:
                await peer.send(b'{"type":"session.created","session":{"noise":"%b"}}' % (b"x" * 10_000), text=True)

    async with serve(talks, "127.0.0.1", 0, compression=None) as server:
        endpoint = Endpoint(url=f"ws://127.0.0.1:{next(iter(server.sockets)).getsockname()[1]}")
        link = await dial(endpoint, MODEL, Known())
        await until(lambda: link.end is not None)
        assert sum(map(len, link.kept)) <= endpoints.FIRST_BYTES
        assert not link.alive
