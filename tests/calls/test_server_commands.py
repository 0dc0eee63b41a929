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
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from app.adapters.data_folder import read_running, running_file
from app.adapters.own_word import HowItStands
from app.adapters.pg_postmaster import read_postmaster
from app.commands.own_server import free_port
from app.commands.running import look
from app.settings import ROOT
from app.sim.carrier import Carrier
from app.sim.carrier_call import CarrierCall
from app.sim.model import ModelServer
from tests.calls.conversations import HOURS, OPEN, spoken
from tests.calls.foreign import ACCOUNT, TOKEN
from tests.calls.line import Line
from tests.calls.product import FAST, PERSON, PUBLIC, eventually, new_number
from tests.sim.booking_script import script

CANARY = "canary-4711-do-not-keep"
SHORT = script({"agent": "Hello."}, {"caller": HOURS, "agent": OPEN})
SECONDS = 60.0
"""For one command, on a machine that is busy with other tests. Alone it is two."""


class Checkout:
    """A copy of the program, to be edited, and a port of its own."""

    def __init__(self, folder: Path) -> None:
        self.root, self.data = folder / "checkout", folder / "data"
        for name in ("app", "modes", "prompts", "migrations"):
            # With what is compiled, else the first command would do it; what another process compiles just now goes.
            shutil.copytree(ROOT / name, self.root / name, ignore=shutil.ignore_patterns("*.pyc.*"))
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
        self.environment.pop("PYTHONDONTWRITEBYTECODE", None)  # as ./offhook does: every command would compile it all

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

    async def drains(self) -> None:
        """Wait until it does."""

        async def draining() -> bool:
            return look(self.data).state == "draining"

        await eventually(draining, "a server that drains", SECONDS)

    async def log_says(self, words: str) -> None:
        async def said() -> bool:
            return words in (self.data / "serve.log").read_text()

        await eventually(said, words, SECONDS)


class Talk:
    """A caller who talks to the agent."""

    def __init__(self, line: Line, call: CarrierCall, instructions: str) -> None:
        self.line, self.call, self.instructions = line, call, instructions

    async def asks(self) -> None:
        """Ask for the hours, and hear the answer."""
        await self.line.hears_silence()
        self.line.say(spoken(HOURS))
        await self.line.hears_more(500)

    async def hangs_up(self) -> None:
        self.call.put_down()
        await self.call.task


class Phone:
    """Callers of a server, and the model that answers them. `left`: the note of a server that is gone."""

    def __init__(self, carrier: Carrier, model: ModelServer) -> None:
        self.carrier, self.model, self.left = carrier, model, ""

    async def talks(self) -> Talk:
        """A call whose greeting is heard."""
        number, line = new_number(), Line()
        self.model.register(SHORT, number=number)
        call = await self.carrier.dial(from_number=number, to_number="+14155550199", line=line)
        await line.hears(100)
        (said,) = [one.settings.instructions for one in self.model.sessions if number in one.settings.instructions]
        return Talk(line, call, said)


@asynccontextmanager
async def talked_to(checkout: Checkout) -> AsyncIterator[Phone]:
    """A model and a carrier for a server that is not started yet."""
    model = ModelServer()
    url = f"http://127.0.0.1:{checkout.environment['PORT']}"
    carrier = Carrier(auth_token=TOKEN, account_sid=ACCOUNT, public_url=PUBLIC, connect_to=url, verb_speed=FAST)
    checkout.environment |= {
        "REALTIME_URL": await model.start(),
        "PUBLIC_URL": PUBLIC,
        "TWILIO_AUTH_TOKEN": TOKEN,
        "HUMAN_TRANSFER_NUMBER": PERSON,
    }
    try:
        yield Phone(carrier, model)
    finally:
        await carrier.close()
        await model.close()


@pytest.fixture
async def checkout(tmp_path: Path) -> AsyncIterator[Checkout]:
    """Whatever a test left running in it is ended: by the number that the data folder has, and its start."""
    copy = Checkout(tmp_path)
    yield copy
    if (running := read_running(copy.data)) is not None:
        os.kill(running.pid, signal.SIGKILL)


async def test_a_server_is_edited_restarted_and_stopped_by_commands_while_callers_talk_to_it(
    checkout: Checkout,
) -> None:
    async with talked_to(checkout) as phone:
        code, _, complained = await checkout.runs("serve", "--detach", "--reload")
        assert code == 0, complained
        first = await _it_is_told_of(checkout)
        await _edits_come_into_effect_for_new_calls_alone(checkout, phone)
        await _a_restart_lets_a_talk_go_on_and_keeps_process_options_and_version(checkout, phone, first)
        await _a_stop_with_a_limit_leaves_the_talk_alone_and_now_leads_it_to_a_person(checkout, phone, first)
    await _what_a_killed_server_left_is_no_server(checkout, phone.left)
    assert (await checkout.runs("stop"))[:2] == (0, "no server runs here\n")


async def _it_is_told_of(checkout: Checkout) -> dict[str, Any]:
    code, said, _ = await checkout.runs("status", "--json")
    assert code == 0
    told: dict[str, Any] = json.loads(said)
    assert (told["state"], told["live"], told["draining"], told["waiting"]) == ("running", 0, False, 0)
    assert told["database"] == "embedded"
    assert running_file(checkout.data).stat().st_mode & 0o077 == 0
    assert CANARY not in running_file(checkout.data).read_text()
    return told


async def _no_second_one_starts(checkout: Checkout) -> None:
    """On whatever port."""
    pid = str(look(checkout.data).pid)
    other = ("--port", str(free_port()))
    for code, _, complained in await asyncio.gather(checkout.runs("serve"), checkout.runs("serve", *other)):
        assert (code, pid in complained) == (1, True), complained


async def _edits_come_into_effect_for_new_calls_alone(checkout: Checkout, phone: Phone) -> None:
    """A broken one is told, and the last good version stays; who talks is not touched by either."""
    prompt, mode = checkout.root / "prompts" / "receptionist.md", checkout.root / "modes" / "receptionist.py"
    good, code_was, stamp = prompt.read_text(), mode.read_text(), checkout.stamp()
    before, _ = await asyncio.gather(phone.talks(), _no_second_one_starts(checkout))
    prompt.write_text("{{ offfice.name }}")
    mode.write_text(code_was + "\nmode = 7\n")
    await checkout.log_says("an edit cannot be used")
    assert checkout.stamp() == stamp
    mode.write_text(code_was)
    prompt.write_text(good + "\nBe brief.\n")
    second = await checkout.stamp_changes(stamp)
    after = await phone.talks()
    assert "Be brief." in after.instructions
    assert "Be brief." not in before.instructions
    await asyncio.gather(before.asks(), after.asks())
    assert before.line.verbs == after.line.verbs == ["Connect"], "neither was cut"
    await asyncio.gather(before.hangs_up(), after.hangs_up())
    prompt.write_text(good)
    assert await checkout.stamp_changes(second) == stamp, "it is of what a mode is made of"


async def _a_restart_lets_a_talk_go_on_and_keeps_process_options_and_version(
    checkout: Checkout, phone: Phone, first: dict[str, Any]
) -> None:
    """What could not start again is not stopped, and there is one restart at a time."""
    mode, stamp = checkout.root / "modes" / "receptionist.py", checkout.stamp()
    code_was = mode.read_text()
    mode.write_text("mode = 7\n")
    talk, (code, _, complained) = await asyncio.gather(phone.talks(), checkout.runs("restart"))
    assert (code, "receptionist" in complained) == (1, True), complained
    mode.write_text(code_was)
    restarting = asyncio.create_task(checkout.runs("restart"))
    await checkout.drains()
    assert checkout.stands().again
    assert (await checkout.runs("restart"))[0] == 1
    await talk.asks()
    assert talk.line.verbs == ["Connect"], "the talk went on"
    await talk.hangs_up()
    code, said, complained = await restarting
    assert (code, str(first["pid"]) in said) == (0, True), complained
    found = look(checkout.data)
    assert (found.state, found.pid, checkout.stamp()) == ("running", first["pid"], stamp)


async def _a_stop_with_a_limit_leaves_the_talk_alone_and_now_leads_it_to_a_person(
    checkout: Checkout, phone: Phone, first: dict[str, Any]
) -> None:
    """The limit of `restart` is the same; who asks for the end after that gets it, and no other start."""
    talk = await phone.talks()
    code, _, complained = await checkout.runs("restart", "--timeout", "0.5")
    assert (code, "1 call left" in complained) == (1, True), complained
    code, _, complained = await checkout.runs("stop", "--timeout", "0.5")
    assert (code, "1 call left" in complained) == (1, True), complained
    assert not checkout.stands().again
    assert talk.line.live
    assert talk.line.verbs == ["Connect"]
    phone.left = running_file(checkout.data).read_text()
    code, said, complained = await checkout.runs("stop", "--now")
    assert (code, said.splitlines()[0]) == (0, f"stopped (process {first['pid']})"), complained
    await talk.line.until(lambda: "Dial" in talk.line.verbs, "a person")
    await talk.hangs_up()
    assert look(checkout.data).state == "none"
    assert checkout.databases() == []


async def _what_a_killed_server_left_is_no_server(checkout: Checkout, note: str) -> None:
    """Nor is a stranger on its port touched."""
    running_file(checkout.data).write_text(note)
    with socket.create_server(("127.0.0.1", int(checkout.environment["PORT"]))):
        (code, said, _), (refused, _, complained) = await asyncio.gather(
            checkout.runs("status", "--json"), checkout.runs("restart")
        )
        told = json.loads(said)
        assert (code, told["state"]) == (1, "none")
        assert str(os.getpid()) in told["port_taken_by"][0]
        assert refused == 1
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
