"""TLS in front of the load's model: a process of its own on the load's core, with a certificate made for the occasion.

As a program (`python -m bench.tls_front --port 0 --to 8001 --certificate FILE --key FILE`) it says `ready` with its port.
"""

import argparse
import asyncio
import contextlib
import json
import ssl
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import cast

import uvloop

from app.errors import SetupError
from bench.surroundings import PYTHON, Site

READY_SECONDS = 15.0
HOST = "127.0.0.1"


@contextlib.contextmanager
def front(site: Site) -> Iterator[dict[str, str]]:
    """A front that runs; gives the settings by which ours finds and trusts it. Raises SetupError."""
    certificate, key = _certificate(site.folder)
    port = site.load().model_port
    files = ["--certificate", str(certificate), "--key", str(key)]
    with contextlib.ExitStack() as stack:
        child = site.start(
            "tls", [*PYTHON, "bench.tls_front", "--to", str(port), *files], cores=site.cores.load, stack=stack
        )
        site.helpers.append(child)
        stack.callback(site.helpers.remove, child)
        ready = child.wait_for("ready", READY_SECONDS)
        yield {"REALTIME_URL": f"wss://{HOST}:{ready['port']}/v1/realtime", "SSL_CERT_FILE": str(certificate)}


def _certificate(folder: Path) -> tuple[Path, Path]:
    """A certificate for localhost that signs itself, and its key."""
    certificate, key, config = folder / "tls.pem", folder / "tls.key", folder / "tls.conf"
    if certificate.exists():
        return certificate, key
    # By a file, because the option for it is missing in older versions.
    config.write_text(
        "[req]\ndistinguished_name=name\nx509_extensions=more\nprompt=no\n[name]\nCN=localhost\n"
        "[more]\nsubjectAltName=DNS:localhost,IP:127.0.0.1\nbasicConstraints=critical,CA:TRUE\n"
        "keyUsage=critical,digitalSignature,keyCertSign\nextendedKeyUsage=serverAuth\n"
    )
    command = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
    command += ["-days", "2", "-config", str(config), "-keyout", str(key), "-out", str(certificate)]
    try:
        subprocess.run(command, capture_output=True, text=True, check=True, timeout=30)  # noqa: S603
    except OSError as wrong:
        raise SetupError(f"a certificate takes the openssl command, but: {wrong.strerror}") from wrong
    except subprocess.SubprocessError as wrong:
        certificate.unlink(missing_ok=True)
        raise SetupError(f"openssl could not make a certificate: {wrong}") from wrong
    return certificate, key


class Half(asyncio.Protocol):
    """One side of a connection: what comes here goes out at the other."""

    def __init__(self, other: "Half | None" = None) -> None:
        self.other = other
        self.transport: asyncio.Transport | None = None
        self._early: list[bytes] = []

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """The socket is there; what waited for it goes out."""
        self.transport = cast("asyncio.Transport", transport)
        for data in self._early:
            self.transport.write(data)
        self._early.clear()

    def data_received(self, data: bytes) -> None:
        """On to the other side."""
        if self.other is not None:
            self.other.write(data)

    def write(self, data: bytes) -> None:
        """Send, now or as soon as there is a socket."""
        if self.transport is None:
            self._early.append(data)
        else:
            self.transport.write(data)

    def connection_lost(self, exc: Exception | None) -> None:
        """One side is gone, so the other goes."""
        if self.other is not None and self.other.transport is not None:
            self.other.transport.close()


class Outer(Half):
    """The side that speaks TLS: dials the model as soon as it is there."""

    def __init__(self, to: int) -> None:
        super().__init__()
        self._to = to
        self._dialling: asyncio.Task[None] | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """The handshake is done."""
        super().connection_made(transport)
        self.other = Half(self)
        self._dialling = asyncio.get_running_loop().create_task(self._dial(self.other))

    async def _dial(self, inner: Half) -> None:
        try:
            await asyncio.get_running_loop().create_connection(lambda: inner, "127.0.0.1", self._to)
        except OSError:
            if self.transport is not None:
                self.transport.abort()


async def _serve(port: int, to: int, certificate: Path, key: Path) -> None:
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(certificate, key)
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: Outer(to), HOST, port, ssl=context, backlog=1024)
    print(json.dumps({"event": "ready", "port": server.sockets[0].getsockname()[1]}), flush=True)
    await server.serve_forever()


def main() -> None:
    """Until SIGTERM."""
    parser = argparse.ArgumentParser(description="TLS in front of the bench's model.")
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--to", type=int, required=True, help="port of the model on 127.0.0.1")
    parser.add_argument("--certificate", type=Path, required=True)
    parser.add_argument("--key", type=Path, required=True)
    chosen = parser.parse_args()
    uvloop.run(_serve(chosen.port, chosen.to, chosen.certificate, chosen.key))


if __name__ == "__main__":
    main()
