"""Tunnel clients: programs that print what the real ones do, as their users quote it in the clients' issue trackers."""

import os
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest

from app.adapters import processes, tunnel_client
from app.adapters.tunnel_client import Client, choose, client_file, end_left, open_client, read_client
from app.errors import SetupError

ORIGIN = "http://127.0.0.1:8000"
CLOUDFLARED = r"""
2026-11-21T10:44:38Z INF Requesting new quick Tunnel on trycloudflare.com...
2026-11-21T10:44:41Z INF +--------------------------------------------------------------------------------------------+
2026-11-21T10:44:41Z INF |  Your quick Tunnel has been created! Visit it at (it may take some time to be reachable):  |
2026-11-21T10:44:41Z INF |  https://four-dashed-word-url.trycloudflare.com                                            |
2026-11-21T10:44:41Z INF +--------------------------------------------------------------------------------------------+
"""
NGROK = r"""
{"lvl":"info","msg":"starting web service","obj":"web","addr":"127.0.0.1:4040"}
{"lvl":"info","msg":"started tunnel","obj":"tunnels","name":"command_line","addr":"ADDR","url":"https://ab12.ngrok.example"}
"""


@pytest.fixture
def path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A PATH with nothing on it but what a test puts there."""
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", str(folder))
    return folder


def program(folder: Path, name: str, prints: str, *, then: str = "signal.pause()") -> None:
    """A client: writes its arguments down, prints, and stays."""
    text = (
        f"import signal, sys\nprint({prints!r}, file=sys.stderr, flush=True)\nprint(sys.argv[1:], flush=True)\n{then}\n"
    )
    (folder / name).write_text(f"#!{sys.executable}\n{text}")
    (folder / name).chmod(0o755)


@pytest.mark.parametrize(
    ("name", "prints", "url"),
    [
        ("cloudflared", CLOUDFLARED, "https://four-dashed-word-url.trycloudflare.com"),
        ("ngrok", NGROK, "https://ab12.ngrok.example"),
    ],
)
def test_the_url_is_read_from_what_it_prints_and_it_ends_with_us(
    path: Path, tmp_path: Path, name: str, prints: str, url: str
) -> None:
    program(path, name, prints)
    with open_client("auto", ORIGIN, tmp_path) as client:
        assert (client.name, client.url, client.code) == (name, url, None)
        noted = read_client(tmp_path)
        assert noted is not None
        assert (noted.pid, noted.url) == (client.process.pid, url)
    assert client.process.returncode is not None
    assert read_client(tmp_path) is None
    assert ORIGIN in (tmp_path / "tunnel.log").read_text()


def test_one_that_is_missing_is_told_with_how_to_get_it(path: Path) -> None:
    with pytest.raises(SetupError, match=r"cloudflared or ngrok.*brew install cloudflared.*brew install ngrok"):
        choose("auto")
    with pytest.raises(SetupError, match=r"expected ngrok on PATH.*authtoken"):
        choose("ngrok")


def test_one_that_ends_without_a_url_is_told_with_what_it_said(path: Path, tmp_path: Path) -> None:
    said = 'failed to request quick Tunnel: Post "https://api.trycloudflare.com/tunnel": no such host'
    program(path, "cloudflared", said, then="sys.exit(1)")
    with (
        pytest.raises(SetupError, match=r"ended with 1\. It said: .*no such host"),
        open_client("auto", ORIGIN, tmp_path),
    ):
        pass
    assert not client_file(tmp_path).exists()


def test_one_that_never_says_a_url_is_ended(path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tunnel_client, "URL_SECONDS", 0.2)
    program(path, "ngrok", "authentication failed")
    with pytest.raises(SetupError, match="gave none within"), open_client("ngrok", ORIGIN, tmp_path):
        pass
    assert not client_file(tmp_path).exists()


def test_what_a_dead_server_left_is_ended_and_nobody_else_with_its_number(tmp_path: Path, path: Path) -> None:
    program(path, "ngrok", NGROK)
    other = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    left = subprocess.Popen([str(path / "ngrok")], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        for process in (other, left):
            client = Client("ngrok", process.pid, processes.began(process.pid), "https://x.example")
            client_file(tmp_path).write_bytes(msgspec.json.encode(client))
            found = end_left(tmp_path)
            assert (found is not None) is (process is left)
        left.wait(10)
        assert other.poll() is None
        stale = Client("ngrok", os.getpid(), "another moment", "https://x.example")
        client_file(tmp_path).write_bytes(msgspec.json.encode(stale))
        assert end_left(tmp_path) is None
    finally:
        for process in (other, left):
            process.kill()
            process.communicate()
