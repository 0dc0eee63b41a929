"""status, stop, restart and snapshot, on a real server of a checkout that is edited under it."""

import asyncio
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from app.adapters import processes
from app.adapters.data_folder import read_running, running_file
from app.adapters.own_word import HowItStands
from app.adapters.pg_postmaster import read_postmaster
from app.commands.own_server import free_port
from app.commands.running import look
from app.settings import ROOT
from tests.calls.product import eventually

CANARY = "canary-4711-do-not-keep"
SECONDS = 60.0
"""For one command, on a machine that is busy with other tests. Alone it is two."""


class Checkout:
    """A copy of the program, to be edited, and a port of its own."""

    def __init__(self, folder: Path) -> None:
        self.root, self.data = folder / "checkout", folder / "data"
        for name in ("app", "modes", "prompts", "migrations"):
            shutil.copytree(ROOT / name, self.root / name, ignore=shutil.ignore_patterns("__pycache__", "clips.d"))
        for name in ("alembic.ini", "offhook.toml", "requirements.lock"):
            shutil.copy(ROOT / name, self.root / name)
        self.environment = {
            **os.environ,
            "PYTHONPATH": str(self.root),
            "OFFHOOK_DATA": str(self.data),
            "PORT": str(free_port()),
            "HOST": "127.0.0.1",
            "PUBLIC_URL": "",
            "DATABASE_URL": "",
            "REALTIME_URL": "",
            "OPENAI_API_KEY": "",
            "OPERATOR_PASSWORD": CANARY,
        }

    async def runs(self, *words: str, **environment: str) -> tuple[int, str, str]:
        """Run a command to its end: exit code, what it printed, what it complained of."""
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-P", "-m", "app.cli", *words),
            cwd=self.root,
            env=self.environment | environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        try:
            async with asyncio.timeout(SECONDS):
                said, complained = await process.communicate()
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()
        assert process.returncode is not None
        assert "Traceback" not in complained.decode(), complained.decode()
        return process.returncode, said.decode(), complained.decode()

    def stands(self) -> HowItStands:
        """What the server says of itself."""
        stands = look(self.data).stands
        assert stands is not None
        return stands

    def stamp(self) -> str:
        """The version of the receptionist that new calls get."""
        return self.stands().modes["receptionist"]

    async def stamp_changes(self, was: str) -> str:
        """Wait until they get another; its stamp."""

        async def changed() -> bool:
            return self.stamp() != was

        await eventually(changed, "another version", SECONDS)
        return self.stamp()

    def databases(self) -> list[int]:
        """Embedded ones that live."""
        found = [read_postmaster(path.parent) for path in self.data.glob("pg[0-9]*/PG_VERSION")]
        return [left.pid for left in found if left is not None and left.alive]

    async def log_says(self, words: str) -> None:
        async def said() -> bool:
            return words in (self.data / "serve.log").read_text()

        await eventually(said, words, SECONDS)


@pytest.fixture
async def checkout(tmp_path: Path) -> AsyncIterator[Checkout]:
    """Whatever a test left running in it is ended: by the number that the data folder has, and its start."""
    copy = Checkout(tmp_path)
    yield copy
    if (running := read_running(copy.data)) is not None:
        os.kill(running.pid, signal.SIGKILL)


async def test_a_server_is_started_edited_restarted_and_stopped_by_commands(checkout: Checkout) -> None:
    code, said, complained = await checkout.runs("serve", "--detach", "--reload")
    assert code == 0, complained
    code, said, _ = await checkout.runs("status", "--json")
    assert code == 0
    first = json.loads(said)
    assert (first["state"], first["live"], first["draining"], first["waiting"]) == ("running", 0, False, 0)
    assert first["database"] == "embedded"
    assert running_file(checkout.data).stat().st_mode & 0o077 == 0
    assert CANARY not in running_file(checkout.data).read_text()

    # a second listener is refused, with whose port it is
    code, _, complained = await checkout.runs("serve")
    assert code == 1
    assert str(first["pid"]) in complained

    # a broken edit is told and the last good version stays; a good one comes into effect
    prompt, mode = checkout.root / "prompts" / "receptionist.md", checkout.root / "modes" / "receptionist.py"
    good, code_was, stamp = prompt.read_text(), mode.read_text(), first["modes"]["receptionist"]
    prompt.write_text("{{ offfice.name }}")
    mode.write_text(code_was + "\nmode = 7\n")
    await checkout.log_says("an edit cannot be used")
    assert checkout.stamp() == stamp
    mode.write_text(code_was)
    prompt.write_text(good + "\nBe brief.\n")
    second = await checkout.stamp_changes(stamp)

    # a restart keeps the process, its options and its log; nothing that could not start again is stopped
    mode.write_text("mode = 7\n")
    code, _, complained = await checkout.runs("restart")
    assert code == 1
    assert "receptionist" in complained
    mode.write_text(code_was)
    (one, _, said_one), (two, _, said_two) = await asyncio.gather(checkout.runs("restart"), checkout.runs("restart"))
    assert 0 in (one, two), said_one + said_two
    again = look(checkout.data)
    assert (again.state, again.pid) == ("running", first["pid"])
    assert checkout.stamp() == second
    prompt.write_text(good)
    assert await checkout.stamp_changes(second) == stamp, "it still reloads, and the stamp is of what it is made of"

    code, said, complained = await checkout.runs("stop")
    assert (code, said.splitlines()[0]) == (0, f"stopped (process {first['pid']})"), complained
    assert look(checkout.data).state == "none"
    assert checkout.databases() == []
    assert (await checkout.runs("stop"))[:2] == (0, "no server runs here\n")


async def test_what_a_killed_server_left_is_no_server_and_a_strangers_port_is_left_alone(checkout: Checkout) -> None:
    code, _, complained = await checkout.runs("serve", "--detach")
    assert code == 0, complained
    running = read_running(checkout.data)
    assert running is not None
    os.kill(running.pid, signal.SIGKILL)

    async def dead() -> bool:
        return not processes.same(running.pid, running.started)

    await eventually(dead, "its end")
    assert running_file(checkout.data).exists(), "it had no time to take it away"
    with socket.create_server(("127.0.0.1", int(checkout.environment["PORT"]))):
        code, said, _ = await checkout.runs("status", "--json")
        told = json.loads(said)
        assert (code, told["state"]) == (1, "none")
        assert str(os.getpid()) in told["port_taken_by"][0]
        code, _, complained = await checkout.runs("restart")
        assert code == 1
        assert "was not touched" in complained
    assert checkout.databases() == []


async def test_a_snapshot_by_command_has_no_secret_and_is_a_way_back(checkout: Checkout) -> None:
    (checkout.root / ".env").write_text(f"OPENAI_API_KEY={CANARY}\n")
    prompt = checkout.root / "prompts" / "receptionist.md"
    good = prompt.read_text()
    assert (await checkout.runs("snapshot", "good"))[0] == 0
    prompt.write_text(good + "\nBe brief.\n")
    code, said, _ = await checkout.runs("snapshot", "diff", "good")
    assert code == 1
    assert "+Be brief." in said
    code, _, complained = await checkout.runs("snapshot", "restore", "good")
    assert code == 1
    assert "--yes" in complained
    assert prompt.read_text() != good
    code, _, complained = await checkout.runs("snapshot", "restore", "good", "--yes")
    assert code == 0, complained
    assert prompt.read_text() == good
    listed = [json.loads(line) for line in (await checkout.runs("snapshot", "--list", "--json"))[1].splitlines()]
    assert [about["name"] for about in listed][-1] == "good"
    assert listed[0]["name"].startswith("before-good")
    assert listed[0]["models"]["receptionist"]
    assert listed[0]["modes"]["receptionist"] != listed[1]["modes"]["receptionist"]
    kept = [path for path in (checkout.data / "snapshots").rglob("*") if path.is_file()]
    assert kept
    assert not [path for path in kept if CANARY.encode() in path.read_bytes()]
