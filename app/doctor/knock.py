"""Knocks at a server's door: TCP, TLS with the certificate checked, and a WebSocket upgrade, each with its time.

The links of calls are dialled by app/adapters/endpoint.py; here it is the way that is of interest, and nothing is said on it.
"""

import asyncio
import ssl
from collections.abc import Mapping
from datetime import UTC, datetime
from statistics import median
from time import perf_counter
from urllib.parse import SplitResult, urlsplit

import msgspec
from websockets.client import ClientProtocol
from websockets.datastructures import Headers
from websockets.exceptions import InvalidHandshake, InvalidStatus
from websockets.protocol import State
from websockets.uri import parse_uri

from app.errors import PeerError

PORTS = {"http": 80, "ws": 80, "https": 443, "wss": 443}
HEAD_BYTES = 64 * 1024
KNOCK_SECONDS = 5.0
"""For all steps together; Twilio gives TCP alone as much."""
KNOCK_ERRORS = (OSError, PeerError, InvalidHandshake, EOFError)
"""Every way in which a knock fails; TimeoutError and ssl.SSLError are OSErrors."""


class NoDoor(PeerError):
    """The other end closed, or said what is no answer to an upgrade."""


class Knock(msgspec.Struct, frozen=True, kw_only=True):
    """Milliseconds from the knock to each step. A step that was not taken is None."""

    tcp_ms: float
    tls_ms: float | None = None
    upgrade_ms: float | None = None
    status: int | None = None
    """Of the answer to the upgrade: 101, or a refusal's."""
    good_until: datetime | None = None
    """The certificate's end."""


async def knock(
    url: str, tls: ssl.SSLContext, *, headers: Mapping[str, str] | None = None, upgrade: bool = False
) -> Knock:
    """Knock once at a URL (http, https, ws or wss), and close. Raises KNOCK_ERRORS, TimeoutError among them."""
    async with asyncio.timeout(KNOCK_SECONDS):
        return await _knock(urlsplit(url), tls, headers or {}, upgrade=upgrade)


async def _knock(parts: SplitResult, tls: ssl.SSLContext, headers: Mapping[str, str], *, upgrade: bool) -> Knock:
    began = perf_counter()
    reader, writer = await asyncio.open_connection(parts.hostname, parts.port or PORTS[parts.scheme])
    try:
        tcp, secured, good_until = _since(began), None, None
        if parts.scheme in ("https", "wss"):
            await writer.start_tls(tls, server_hostname=parts.hostname)
            secured = _since(began)
            good_until = _end_of(writer.get_extra_info("ssl_object"))
        found = Knock(tcp_ms=tcp, tls_ms=secured, good_until=good_until)
        if not upgrade:
            return found
        status = await _upgraded(reader, writer, parts, headers)
        return msgspec.structs.replace(found, upgrade_ms=_since(began), status=status)
    finally:
        writer.close()


async def _upgraded(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, parts: SplitResult, headers: Mapping[str, str]
) -> int:
    """Ask for an upgrade, and say goodbye if it is granted; the answer's status."""
    core = ClientProtocol(parse_uri(parts._replace(scheme=parts.scheme.replace("http", "ws")).geturl()))
    request = core.connect()
    request.headers.update(Headers(headers))
    core.send_request(request)
    writer.write(b"".join(core.data_to_send()))
    read = 0
    while core.state is State.CONNECTING and core.handshake_exc is None:
        data = await reader.read(4096)
        read += len(data)
        if not data or read > HEAD_BYTES:
            break
        core.receive_data(data)
    if isinstance(core.handshake_exc, InvalidStatus):
        return core.handshake_exc.response.status_code
    if core.handshake_exc is not None:
        raise core.handshake_exc
    if core.state is State.CONNECTING:
        raise NoDoor("the connection was closed instead of upgraded")
    core.send_close(1000)
    writer.write(b"".join(core.data_to_send()))
    await writer.drain()
    return 101


def medians(knocks: list[Knock]) -> Knock:
    """Of each step the median time; the rest is the last one's."""

    def middle(name: str) -> float | None:
        times = [time for one in knocks if (time := getattr(one, name)) is not None]
        return median(times) if times else None

    return msgspec.structs.replace(
        knocks[-1],
        tcp_ms=middle("tcp_ms") or 0.0,
        tls_ms=middle("tls_ms"),
        upgrade_ms=middle("upgrade_ms"),
    )


def _since(began: float) -> float:
    return (perf_counter() - began) * 1000


def _end_of(secured: ssl.SSLObject) -> datetime | None:
    """When the other end's certificate ends. Source: ssl, getpeercert: `notAfter`."""
    certificate = secured.getpeercert() or {}
    ends = certificate.get("notAfter")
    return datetime.fromtimestamp(ssl.cert_time_to_seconds(str(ends)), UTC) if ends else None
