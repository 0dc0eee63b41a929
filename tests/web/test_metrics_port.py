"""The port of the figures: nothing else is on it, and a port that cannot be had is said before a call is taken."""

import socket
import urllib.request

import pytest

from app.commands.own_server import free_port
from app.errors import SetupError
from app.web.metrics_port import metrics_port


def test_figures_are_read_without_a_token_and_the_port_is_free_again_afterwards() -> None:
    port = free_port()
    with (
        metrics_port("127.0.0.1", port),
        urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=5) as answer,
    ):
        assert b"offhook_calls_live" in answer.read()
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        probe.bind(("127.0.0.1", port))


def test_without_a_port_nothing_listens() -> None:
    with metrics_port("no.such.host.invalid", 0):
        pass


def test_a_port_that_is_taken_is_refused_with_what_to_do() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        with pytest.raises(SetupError, match="METRICS_PORT"), metrics_port("127.0.0.1", taken.getsockname()[1]):
            pass
