"""Starting and stopping the server: one clear message when it cannot, nobody cut off when it must, nothing left behind."""

import asyncio
import os
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from app.adapters.pg_postmaster import read_postmaster
from app.commands.own_server import find_running, free_port, started_server
from app.settings import ROOT
from app.sim.carrier import Carrier
from app.sim.model import ModelServer
from tests.calls.conversations import HOURS, TALK, spoken
from tests.calls.foreign import ACCOUNT, TOKEN
from tests.calls.line import Line
from tests.calls.product import FAST, PERSON, PUBLIC, eventually, new_number


def _environment(data: Path, **more: str) -> dict[str, str]:
    return {
        **os.environ,
        "OFFHOOK_DATA": str(data),
        "HOST": "127.0.0.1",
        "PORT": str(free_port()),
        "DATABASE_URL": "",
        "REALTIME_URL": "",
        "OPENAI_API_KEY": "",
        **more,
    }


async def _runs(*words: str, checkout: Path = ROOT, data: Path, **environment: str) -> tuple[int, str]:
    """Run a command to its end: exit code, and all that it printed."""
    variables = _environment(data, **environment) | {"PYTHONPATH": str(checkout)}
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "app.cli",
        *words,
        cwd=checkout,
        env=variables,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )
    try:
        async with asyncio.timeout(30):
            said, _ = await process.communicate()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    assert process.returncode is not None
    return process.returncode, said.decode()


async def _refuses(*words: str, checkout: Path = ROOT, data: Path, **environment: str) -> str:
    """What a command says that cannot do its work; nothing of it may be left running."""
    code, said = await _runs(*words, checkout=checkout, data=data, **environment)
    assert code == 1, said
    assert "Traceback" not in said, said
    assert f"offhook {words[0]}: " in said
    assert not _left_running(data), "a database was left running"
    return said


def _left_running(data: Path) -> bool:
    found = [read_postmaster(folder) for folder in data.glob("pg[0-9]*")]
    return (data / "serve.json").exists() or any(left is not None and left.alive for left in found)


async def test_a_busy_port_a_wrong_setting_and_a_missing_database_are_each_one_clear_message(tmp_path: Path) -> None:
    with socket.socket() as busy:
        busy.bind(("127.0.0.1", 0))
        busy.listen()
        port = str(busy.getsockname()[1])
        said = await asyncio.gather(
            _refuses("serve", data=tmp_path / "a", PORT=port),
            _refuses("serve", "--port", port, data=tmp_path / "b"),
            _refuses("serve", data=tmp_path / "c", DATABASE_URL="postgresql://127.0.0.1:1/nowhere"),
            _refuses("serve", data=tmp_path / "d", DATABASE_URL="mysql://127.0.0.1/x"),
            _refuses("serve", data=tmp_path / "e", MAX_CALLS="0", PUBLIC_URL="ftp://x"),
            _refuses("migrate", data=tmp_path / "f", DATABASE_URL="postgresql://127.0.0.1:1/nowhere"),
        )
    for text in said[:2]:
        assert f"127.0.0.1:{port}" in text
        assert "--port" in text
        assert len(text.splitlines()) == 1, text
    for text in (said[2], said[5]):
        assert "127.0.0.1" in text
        assert "DATABASE_URL" in text
    assert "postgresql" in said[3]
    assert "MAX_CALLS" in said[4]
    assert "PUBLIC_URL" in said[4]


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A copy of what `serve` needs, to be spoilt."""
    copy = tmp_path / "checkout"
    ignored = shutil.ignore_patterns("__pycache__", "sim")
    for name in ("app", "modes", "prompts", "migrations"):
        shutil.copytree(
            ROOT / name, copy / name, ignore=ignored if name != "app" else shutil.ignore_patterns("__pycache__")
        )
    for name in ("alembic.ini", "offhook.toml"):
        shutil.copy(ROOT / name, copy / name)
    return copy


async def test_all_faults_of_all_modes_are_one_report_and_nothing_is_started(checkout: Path, tmp_path: Path) -> None:
    (checkout / "modes" / "broken.py").write_text('"""A mode."""\n\nraise RuntimeError("at import")\n')
    (checkout / "modes" / "empty.py").write_text('"""A mode without one."""\n')
    (checkout / "modes" / "lost.py").write_text(
        '"""A mode whose prompt is not there."""\n\nfrom app.mode import Mode\n\n'
        'mode = Mode(name="lost", prompt="nowhere.md", first_turn=[], tools=[], opening="Hello.")\n'
    )
    said = await _refuses("serve", checkout=checkout, data=tmp_path / "data")
    for part in ("broken", "at import", "empty", "lost", "nowhere.md"):
        assert part in said
    assert not list((tmp_path / "data").glob("pg*")), "no database was started for it"


async def test_what_was_started_is_gone_afterwards(tmp_path: Path) -> None:
    temporary = tmp_path / "tmp"
    temporary.mkdir()
    async with started_server(quiet=True, TMPDIR=str(temporary), OPENAI_API_KEY="", REALTIME_URL="") as (running, data):
        (database,) = data.glob("pg[0-9][0-9]")
        postgres = read_postmaster(database)
        assert postgres is not None
        assert postgres.alive
        assert data.stat().st_mode & 0o077 == 0
        port = int(running.url.rpartition(":")[2])
    assert not data.exists()
    assert not postgres.alive
    with pytest.raises(ProcessLookupError):
        os.kill(running.pid, 0)
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        probe.bind(("127.0.0.1", port))
    assert list(temporary.iterdir()) == []


async def test_a_proxy_that_calls_do_not_use_is_told_once_at_the_start_without_its_password(tmp_path: Path) -> None:
    proxy = {"HTTPS_PROXY": "http://ann:pa55word@proxy.invalid:3128", "NO_PROXY": "", "no_proxy": ""}
    model = {"REALTIME_URL": "wss://model.invalid/v1", "OPENAI_API_KEY": "sk-none"}
    async with started_server(quiet=True, folder=tmp_path, **model, **proxy):
        said = (tmp_path / "serve.log").read_text()
    told = [line for line in said.splitlines() if "A PROXY IS SET" in line]
    assert len(told) == 1, said
    assert "HTTPS_PROXY" in told[0]
    assert "model.invalid" in told[0]
    assert "pa55word" not in said


async def test_migrate_and_a_second_serve_beside_a_running_one_do_it_no_harm(tmp_path: Path) -> None:
    async with started_server(quiet=True, OPENAI_API_KEY="", REALTIME_URL="") as (running, data):
        port = running.url.rpartition(":")[2]
        code, said = await _runs("migrate", data=data)
        assert (code, "up to date" in said) == (0, True), said
        code, said = await _runs("serve", data=data, PORT=port)
        assert (code, port in said) == (1, True)
        code, said = await _runs("modes", data=data)
        assert (code, "receptionist" in said) == (0, True)
        assert find_running(data) == running


SHORT = """
title = "Hangs up at once"
mode = "receptionist"
[caller]
number = "+14155550156"
voice = "carl"
[[turn]]
agent = "You are speaking with an AI assistant."
[[turn]]
caller = "What are your opening hours?"
hangs_up_after_ms = 300
[expect]
ended_by = "caller"
agent_turns = { from_ms = 500, to_ms = 5000, reason = "one sentence: the test is not about it" }
"""


async def test_a_call_to_the_url_of_the_own_server_needs_no_token_and_shows_the_talk(tmp_path: Path) -> None:
    script = tmp_path / "short.toml"
    script.write_text(SHORT)
    async with started_server(quiet=True, OPENAI_API_KEY="", REALTIME_URL="", TWILIO_AUTH_TOKEN="") as (running, data):
        to = running.url.replace("127.0.0.1", "localhost") + "/"
        code, said = await _runs("call", str(script), "--to", to, data=data, TWILIO_AUTH_TOKEN="")
    assert (code, "agent: You are speaking" in said, "all expectations hold" in said) == (0, True, True), said


async def test_a_call_to_another_server_names_the_ways_to_its_token(tmp_path: Path) -> None:
    code, said = await _runs("call", "hangup", "--to", "http://127.0.0.1:1", data=tmp_path, TWILIO_AUTH_TOKEN="")
    assert code == 1
    for way in ("TWILIO_AUTH_TOKEN", "OFFHOOK_DATA", "leave out --to"):
        assert way in said


class _Signalled:
    """A server that is about to be told to stop, and a caller who is talking to it."""

    def __init__(self, process: asyncio.subprocess.Process, url: str, carrier: Carrier, model: ModelServer) -> None:
        self.process, self.url, self.carrier, self.model = process, url, carrier, model

    async def call(self) -> tuple[Line, "asyncio.Task[None]"]:
        number = new_number()
        self.model.register(TALK, number=number)
        line = Line()
        call = await self.carrier.dial(from_number=number, to_number="+14155550199", line=line)
        await line.hears(500)
        return line, call.task

    async def status(self, path: str) -> int:
        """The status that a door answers with; 0 if nobody listens."""
        try:
            reader, writer = await asyncio.open_connection("127.0.0.1", int(self.url.rpartition(":")[2]))
        except OSError:
            return 0
        try:
            writer.write(f"GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".encode())
            line = await reader.readline()
        finally:
            writer.close()
        return int(line.split()[1]) if line else 0

    async def exits(self) -> int:
        async with asyncio.timeout(20):
            return await self.process.wait()


@asynccontextmanager
async def _signalled(data: Path) -> AsyncIterator[_Signalled]:
    model, port = ModelServer(), free_port()
    url = f"http://127.0.0.1:{port}"
    carrier = Carrier(auth_token=TOKEN, account_sid=ACCOUNT, public_url=PUBLIC, connect_to=url, verb_speed=FAST)
    given = {"TWILIO_AUTH_TOKEN": TOKEN, "PUBLIC_URL": PUBLIC, "HUMAN_TRANSFER_NUMBER": PERSON, "PORT": str(port)}
    environment = _environment(data, REALTIME_URL=await model.start(), **given)
    data.mkdir()  # noqa: ASYNC240  a moment, before anything runs
    with (data / "out").open("wb") as out:
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "app.cli", "serve", cwd=ROOT, env=environment, stdout=out, stderr=out
        )
    it = _Signalled(process, url, carrier, model)
    try:

        async def ready() -> bool:
            return await it.status("/readyz") == 200

        await eventually(ready, "a server that is ready", 30)
        yield it
        assert "Traceback" not in (data / "out").read_text()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
        await carrier.close()
        await model.close()


async def test_sigterm_lets_a_talk_finish_and_takes_no_new_calls(tmp_path: Path) -> None:
    async with _signalled(tmp_path / "data") as server:
        line, call = await server.call()
        server.process.send_signal(signal.SIGTERM)

        async def draining() -> bool:
            return await server.status("/readyz") == 503

        await eventually(draining, "a server that drains")
        assert await server.status("/healthz") == 200
        late = Line()
        other = await server.carrier.dial(from_number=new_number(), to_number="+14155550199", line=late)
        await other.finished()
        assert late.verbs == ["Say", "Dial", "Hangup"]
        await line.hears_silence()
        line.say(spoken(HOURS))
        await line.hears_more(1500)
        assert server.process.returncode is None
        assert line.verbs == ["Connect"], "the talk went on"
        for live in server.carrier.calls.values():
            live.put_down()
        await call
        assert await server.exits() == 0
    assert not (tmp_path / "data" / "serve.json").exists()


async def test_sigint_ends_at_once_and_callers_are_led_to_a_person(tmp_path: Path) -> None:
    async with _signalled(tmp_path / "data") as server:
        line, call = await server.call()
        server.process.send_signal(signal.SIGINT)
        await line.until(lambda: "Dial" in line.verbs, "a person")
        assert line.verbs == ["Connect", "Say", "Dial"]
        assert await server.exits() == 0
        for live in server.carrier.calls.values():
            live.put_down()
        await call
