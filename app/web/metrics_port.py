"""Figures on a port of their own, for a scraper that can prove nothing: who reaches the port may read them."""

import contextlib
from collections.abc import Iterator

from prometheus_client import start_http_server

from app.errors import SetupError


@contextlib.contextmanager
def metrics_port(host: str, port: int) -> Iterator[None]:
    """Answer with the figures on `port` while this is entered, from a thread beside the calls; nothing where it is 0.

    Raises SetupError if the port cannot be had.
    """
    if not port:
        yield
        return
    try:
        server, thread = start_http_server(port, host)
    except OSError as wrong:
        raise SetupError(
            f"expected to show figures on {host}:{port}, but: {wrong.strerror}. "
            "Stop what listens there, or take another METRICS_PORT."
        ) from wrong
    try:
        yield
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
