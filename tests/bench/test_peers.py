"""The peers' environments are made once, from their locks; the peers' scripts say what they want, and answer a call."""

import asyncio
import base64
import contextlib
import json
import os
import re
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from websockets.asyncio.client import connect

from app.errors import SetupError
from app.sim.model import ModelServer
from bench.building import cache_folder
from bench.peers import environment
from bench.peers.environment import ENVIRONMENTS, NOTES, SCRIPTS, ensure, made, versions

PEERS = sorted(SCRIPTS)
SCRIPT_FOLDER = Path(environment.__file__).parent
ROOT = SCRIPT_FOLDER.parents[1]


class Installer:
    """Installs nothing, and counts; or refuses."""

    def __init__(self, refuses: str = "") -> None:
        self.installed: list[str] = []
        self.refuses = refuses

    def __call__(self, python: Path, lock: Path, log: Path) -> None:
        if self.refuses:
            raise SetupError(self.refuses)
        assert python.exists()
        self.installed.append(lock.name)


@pytest.fixture
def locks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A root with a lock that the test may change."""
    root = tmp_path / "root"
    root.mkdir()
    (root / "requirements-bench-web.lock").write_text("one==1\n")
    monkeypatch.setattr(environment, "ROOT", root)
    return root


def test_an_environment_is_made_once_and_then_found(locks: Path, tmp_path: Path) -> None:
    install = Installer()
    python = ensure(tmp_path / "venvs", "web", install=install)
    assert ensure(tmp_path / "venvs", "web", install=install) == python
    assert made(tmp_path / "venvs", "web") == python
    assert install.installed == ["requirements-bench-web.lock"]
    assert versions(python) == {"python": sys.version.split()[0]}


def test_a_changed_lock_makes_the_environment_anew(locks: Path, tmp_path: Path) -> None:
    install = Installer()
    left = ensure(tmp_path, "web", install=install).parent.parent / "left-over"
    left.touch()
    (locks / "requirements-bench-web.lock").write_text("one==2\n")
    ensure(tmp_path, "web", install=install)
    assert len(install.installed) == 2
    assert not left.exists()


def test_an_environment_that_was_moved_is_made_anew(locks: Path, tmp_path: Path) -> None:
    install = Installer()
    ensure(tmp_path / "here", "web", install=install)
    (tmp_path / "here").rename(tmp_path / "there")
    python = ensure(tmp_path / "there", "web", install=install)
    assert len(install.installed) == 2
    assert python == tmp_path / "there" / "web" / "bin" / "python"


def test_a_failed_install_says_why_and_is_tried_again(locks: Path, tmp_path: Path) -> None:
    with pytest.raises(SetupError, match="no wheel of one"):
        ensure(tmp_path, "web", install=Installer(refuses="no wheel of one"))
    assert made(tmp_path, "web") is None
    install = Installer()
    ensure(tmp_path, "web", install=install)
    assert len(install.installed) == 1


def test_a_missing_lock_says_how_to_get_it_back(locks: Path, tmp_path: Path) -> None:
    with pytest.raises(
        SetupError, match=r"requirements-bench-pipecat\.lock is missing; get it back with: git checkout"
    ):
        ensure(tmp_path, "pipecat", install=Installer())


def test_a_folder_that_cannot_be_written_is_named(locks: Path, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(SetupError, match=r"expected a folder to write in, got .*file"):
        ensure(tmp_path / "file", "web", install=Installer())


def test_without_uv_and_pip_the_way_out_is_told(locks: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(environment, "_installers", lambda python: [])
    with pytest.raises(SetupError, match="there is neither uv nor pip; apt install"):
        ensure(tmp_path, "web")


def test_the_installers_own_reason_is_passed_on_and_its_log_is_kept(
    locks: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    says = "print('Collecting one'); print('error: could not resolve host'); print('hint: try'); raise SystemExit(1)"
    monkeypatch.setattr(environment, "_installers", lambda python: [[str(python), "-c", says]])
    with pytest.raises(
        SetupError, match=r"web\.lock could not be installed: error: could not resolve host\. Check the"
    ):
        ensure(tmp_path, "web")
    assert "hint: try" in (tmp_path / "web.log").read_text()


def test_a_second_installer_is_asked_when_the_first_fails(
    locks: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    note = tmp_path / "asked"
    notes = f"import pathlib, sys; pathlib.Path({str(note)!r}).write_text(' '.join(sys.argv[1:]))"

    def installers(python: Path) -> list[list[str]]:
        return [[str(python), "-c", "raise SystemExit(1)"], [str(python), "-c", notes]]

    monkeypatch.setattr(environment, "_installers", installers)
    ensure(tmp_path, "web")
    assert {"--require-hashes", "--no-deps", "--only-binary"} <= set(note.read_text().split())


def test_versions_of_what_is_no_python_are_refused(tmp_path: Path) -> None:
    with pytest.raises(SetupError, match=r"expected .*nobody to list its packages"):
        versions(tmp_path / "nobody")


@pytest.mark.parametrize("which", sorted(set(ENVIRONMENTS.values())))
def test_each_lock_has_hashes_for_all_and_names_no_address(which: str) -> None:
    lock = (ROOT / f"requirements-bench-{which}.lock").read_text()
    packages = re.split(r"\n(?=\S)", lock.strip())
    assert packages
    assert [package for package in packages if "--hash=sha256:" not in package] == []
    assert "://" not in lock
    assert re.search(r"^(torch|tensorflow|nvidia)", lock, re.MULTILINE) is None


def test_every_peer_has_a_script_an_environment_and_a_note() -> None:
    assert set(SCRIPTS) == set(ENVIRONMENTS) == set(NOTES)
    assert all((SCRIPT_FOLDER / script).is_file() for script in SCRIPTS.values())


def told(peer: str, *arguments: str, python: str = sys.executable) -> subprocess.CompletedProcess[str]:
    script = str(SCRIPT_FOLDER / SCRIPTS[peer])
    return subprocess.run([python, script, *arguments], capture_output=True, text=True, timeout=60, check=False)


@pytest.mark.parametrize("peer", PEERS)
def test_a_peer_explains_itself_without_its_packages(peer: str) -> None:
    said = told(peer, "--help")
    assert said.returncode == 0, said.stderr
    assert "--model-url" in said.stdout


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ((), "required: --port, --model-url"),
        (("--port", "70000", "--model-url", "ws://127.0.0.1:1/"), "expected a port from 0 to 65535, got '70000'"),
        (("--port", "0", "--model-url", "http://127.0.0.1:1/"), "expected ws://HOST:PORT/v1/realtime, got 'http:"),
    ],
)
def test_a_peer_refuses_wrong_arguments(arguments: tuple[str, ...], expected: str) -> None:
    said = told("sample", *arguments)
    assert said.returncode == 2
    assert expected in said.stderr


def test_a_peer_without_its_packages_says_which_it_needs() -> None:
    said = told("agents", "--port", "0", "--model-url", "ws://127.0.0.1:1/v1/realtime")
    assert said.returncode == 1
    assert "expected the packages of requirements-bench-agents.lock, found No module named 'agents'" in said.stderr


def ready_made(peer: str) -> Path:
    """The peer's python, where the bench or a developer has made its environment; installs nothing."""
    folder = Path(os.environ.get("OFFHOOK_PEERS") or cache_folder() / "environments")
    python = made(folder, ENVIRONMENTS[peer])
    if python is None:
        pytest.skip(f"{peer} is not installed: its environment {ENVIRONMENTS[peer]!r} is not in {folder}")
    return python


def webhook(port: int) -> str:
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/incoming-call", data=b"CallSid=CA1") as answer:
        return str(answer.read().decode())


@contextlib.contextmanager
def answering(peer: str, model_url: str) -> Iterator[int]:
    """The peer as a process; its port."""
    command = [str(ready_made(peer)), str(SCRIPT_FOLDER / SCRIPTS[peer]), "--port", "0", "--model-url", model_url]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            ready = json.loads(process.stdout.readline())
            assert ready["event"] == "ready"
            yield ready["port"]
        finally:
            process.terminate()


@pytest.mark.parametrize("peer", PEERS)
async def test_a_peer_connects_the_call_and_its_greeting_is_heard(peer: str) -> None:
    ready_made(peer)
    model = ModelServer(first_audio_ms=10)
    url = await model.start()
    try:
        with answering(peer, url) as port:
            twiml = await asyncio.to_thread(webhook, port)
            stream = re.findall(r'<Connect><Stream url="([^"]+)" /></Connect>', twiml)
            assert stream == [f"ws://127.0.0.1:{port}/media-stream"]
            async with asyncio.timeout(60), connect(stream[0]) as call:
                await call.send(json.dumps({"event": "connected", "protocol": "Call", "version": "1.0.0"}))
                await call.send(json.dumps(START))
                await call.send(json.dumps(MEDIA))
                async for text in call:
                    message = json.loads(text)
                    assert message["streamSid"] == "MZ1"
                    if message["event"] == "media":
                        assert base64.b64decode(message["media"]["payload"])
                        break
                else:
                    pytest.fail(f"{peer} closed the call before its greeting was heard")
    finally:
        await model.close()


FORMAT = {"encoding": "audio/x-mulaw", "sampleRate": 8000, "channels": 1}
START: dict[str, Any] = {
    "event": "start",
    "sequenceNumber": "1",
    "streamSid": "MZ1",
    "start": {"accountSid": "AC1", "streamSid": "MZ1", "callSid": "CA1", "mediaFormat": FORMAT, "customParameters": {}},
}
SILENCE = base64.b64encode(b"\xff" * 160).decode()
MEDIA: dict[str, Any] = {
    "event": "media",
    "sequenceNumber": "2",
    "streamSid": "MZ1",
    "media": {"track": "inbound", "chunk": "1", "timestamp": "0", "payload": SILENCE},
}
