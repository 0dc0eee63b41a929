"""The face that all peers share: arguments, webhook, ready line and server, so that they differ only in how they carry a call.

The peers are scripts of their own environments, so this file needs nothing but FastAPI and uvicorn, and those late.
"""

import argparse
import json
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, NamedTuple
from urllib.parse import urlsplit

if TYPE_CHECKING:
    from fastapi import FastAPI

HOST = "127.0.0.1"
GREETING = "Greet the caller and ask how you can help."
INSTRUCTIONS = "You answer the phone of a small business. Be brief and friendly."
MODEL = "gpt-realtime"


class Chosen(NamedTuple):
    """What the bench asks of a peer."""

    port: int
    model_url: str
    """With `?model=`, as real servers want it."""


def arguments(about: str | None) -> Chosen:
    """Read the command line. Ends the program with a usage text if it is wrong.

    about: the script's docstring.
    """
    parser = argparse.ArgumentParser(description=(about or "").partition("\n")[0])
    parser.add_argument("--port", type=_port, required=True, help=f"where to listen on {HOST}; 0 takes a free one")
    parser.add_argument("--model-url", type=_model_url, required=True, help="ws://HOST:PORT/v1/realtime of a stand-in")
    chosen = parser.parse_args()
    return Chosen(chosen.port, chosen.model_url)


@contextmanager
def packages(lock: str, about: str | None) -> Iterator[None]:
    """Around a peer's imports: without its packages, --help and wrong arguments are answered all the same.

    lock: the name of the environment that has them ("requirements-bench-LOCK.lock").
    """
    try:
        yield
    except ModuleNotFoundError as missing:
        arguments(about)
        raise SystemExit(
            f"expected the packages of requirements-bench-{lock}.lock, found {missing}: "
            "let ./offhook bench run this script, which installs them into an environment of their own"
        ) from missing


def phone() -> "FastAPI":
    """An app that answers the carrier's webhook by connecting the call to `/media-stream`; the peer adds that."""
    from fastapi import FastAPI, Request, Response

    app = FastAPI()

    async def incoming_call(request: Request) -> Response:
        # ws, where a phone in the world needs wss: the bench's carrier has no TLS in front of the peers.
        stream = f"ws://{request.headers['host']}/media-stream"
        twiml = (
            f'<?xml version="1.0" encoding="UTF-8"?><Response><Connect><Stream url="{stream}" /></Connect></Response>'
        )
        return Response(twiml, media_type="text/xml")

    app.add_api_route("/incoming-call", incoming_call, methods=["GET", "POST"])
    return app


def listen(app: "FastAPI", port: int) -> None:
    """Serve with uvicorn as it comes (uvloop and httptools, where installed) until SIGTERM; says `ready` on stdout."""
    import uvicorn

    class Announced(uvicorn.Server):
        async def startup(self, sockets: list[socket.socket] | None = None) -> None:
            await super().startup(sockets)
            if not self.should_exit and sockets:
                print(json.dumps({"event": "ready", "port": sockets[0].getsockname()[1]}), flush=True)

    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((HOST, port))
    except OSError as error:
        raise SystemExit(f"cannot listen on {HOST}:{port}: {error.strerror}; choose another --port") from error
    # No line for each request: a log is not what is compared. Calls that still run must not hold up the end.
    config = uvicorn.Config(app, log_level="warning", backlog=4096, timeout_graceful_shutdown=1)
    Announced(config).run(sockets=[listener])


def _port(text: str) -> int:
    if text.isascii() and text.isdigit() and int(text) < 65536:
        return int(text)
    raise argparse.ArgumentTypeError(f"expected a port from 0 to 65535, got {text!r}")


def _model_url(text: str) -> str:
    parts = urlsplit(text)
    if parts.scheme not in ("ws", "wss") or not parts.hostname:
        raise argparse.ArgumentTypeError(f"expected ws://HOST:PORT/v1/realtime, got {text!r}")
    return text if "model=" in parts.query else f"{text}{'&' if parts.query else '?'}model={MODEL}"
