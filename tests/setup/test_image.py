"""The Dockerfile: what the image would be, and what its command, its health check and its signal do, run without an engine."""

import asyncio
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

from app.adapters.embedded_pg import EmbeddedPostgres
from app.commands.own_server import free_port
from app.settings import ROOT
from tests.calls.product import eventually
from tests.setup.image import HERE, Instruction, checkout, exec_form, lay_out, sent, stages

KNOWN = {"FROM", "WORKDIR", "COPY", "RUN", "USER", "ENV", "EXPOSE", "HEALTHCHECK", "STOPSIGNAL", "CMD"}
PACKAGES = Path(sys.prefix)
STARTED_SECONDS = 30


@pytest.fixture(scope="module")
def image() -> list[list[Instruction]]:
    return stages((ROOT / "Dockerfile").read_text())


@pytest.fixture(scope="module")
def last(image: list[list[Instruction]]) -> dict[str, list[str]]:
    """What the last stage says, by word."""
    return {word: [rest for known, rest in image[-1] if known == word] for word in KNOWN}


def test_each_instruction_is_one_that_docker_has_and_copies_what_there_is(image: list[list[Instruction]]) -> None:
    assert {instruction.word for stage in image for instruction in stage} <= KNOWN
    names = [stage[0].rest.split(" AS ")[-1] for stage in image[:-1]]
    there = sent(checkout(), (ROOT / ".dockerignore").read_text())
    for stage in image:
        for word, rest in stage:
            if word == "COPY" and (other := re.match(r"--from=(\S+) ", rest)):
                assert other[1] in names
            elif word == "COPY":
                assert all(source == "." or source in there for source in rest.split()[:-1]), rest


def test_both_halves_are_of_one_python(image: list[list[Instruction]]) -> None:
    bases = [stage[0].rest.split()[0] for stage in image]
    assert bases == [bases[0], "packages", bases[0]]
    assert re.fullmatch(r"python:3\.\d+-slim-\w+", bases[0])


def test_the_image_runs_as_a_plain_user_who_cannot_write_the_code(last: dict[str, list[str]]) -> None:
    assert last["USER"] == ["offhook"]
    assert not [rest for rest in last["COPY"] if "--chown" in rest]
    assert not re.search(r"\b(apt|gcc|build-essential|pip|uv)\b", " ".join(last["RUN"])), "no compiler, no installer"


def test_every_package_is_checked_by_hash_and_none_is_built(image: list[list[Instruction]]) -> None:
    (run,) = (rest for word, rest in image[0] if word == "RUN")
    installs = [part for part in run.split("&&") if re.search(r"\bpip install\b", part)]
    assert len(installs) == 2
    assert all("--require-hashes" in part for part in installs)
    assert "--only-binary :all:" in installs[1]


def test_what_is_taken_out_of_the_packages_is_there_and_used_by_nothing_of_ours(image: list[list[Instruction]]) -> None:
    (run,) = (rest for word, rest in image[0] if word == "RUN")
    (removed,) = re.findall(r"rm -r ([^&]+)", run)
    for path in removed.split():
        place = path.partition("site-packages/")[2]
        assert list(PACKAGES.glob(f"lib/python3.*/site-packages/{place}/__init__.py")), "rm -r would fail the build"
        module = place.replace("/", ".").replace("geodata", "geo")
        users = [
            file
            for file in checkout()
            if re.match(r"(app|modes)/.*\.py$", file) and module in (ROOT / file).read_text()
        ]
        assert not users


def test_the_build_is_sent_no_secret_and_nothing_that_does_not_run() -> None:
    ignore = (ROOT / ".dockerignore").read_text()
    secrets = [
        ".env", ".env.production", "app/.env", "modes/csr/.env.local", ".git/config", "app/tls.pem", "modes/csr/server.key",
        ".offhook/operator_password", "modes/.offhook/database.url", "fly.toml", "modes/__pycache__/ivr.cpython-311.pyc",
    ]  # fmt: skip
    assert sent(secrets, ignore) == []
    assert {path.split("/")[0] for path in sent(checkout(), ignore)} == {
        "app", "modes", "prompts", "migrations", "alembic.ini", "offhook.toml", "requirements.lock", "requirements-uv.lock",
        "LICENSE",
    }  # fmt: skip


@contextmanager
def running(folder: Path, image: dict[str, list[str]], **own: str) -> Iterator[tuple[int, dict[str, str]]]:
    """The image's command in its own environment, as process 1 of its own where the system lets us: its pid, the environment."""
    place, data = lay_out(folder), folder / "data"
    environment = {"PATH": "/usr/bin:/bin"}
    for name, value in re.findall(r"(\w+)=(\S+)", image["ENV"][0]):
        value = value.replace("$PATH", environment["PATH"]).replace(HERE, str(place))
        environment[name] = str(data) if value == "/data" else value
    environment |= own
    command = exec_form(image["CMD"][0])
    alone = [
        "unshare",
        *([] if os.geteuid() == 0 else ["--user", "--map-root-user"]),
        "--pid",
        "--fork",
        "--kill-child",
    ]
    able = (
        shutil.which("unshare") and subprocess.run([*alone, "true"], capture_output=True, check=False).returncode == 0
    )
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(
            [*alone, *command] if able else command, env=environment, cwd=place, stdout=log, stderr=log
        )
    try:
        yield (_child(process.pid) if able else process.pid), environment
        assert process.wait(20) == 0, (folder / "log").read_text()
    finally:
        if process.poll() is None:
            process.kill()
            process.wait()


def _child(pid: int) -> int:
    children = Path(f"/proc/{pid}/task/{pid}/children")
    for _ in range(200):
        if found := children.read_text().split():
            return int(found[0])
        time.sleep(0.01)  # it is being forked
    raise AssertionError("expected a command, and it is gone already")


async def test_its_command_serves_its_health_check_sees_it_and_a_signal_ends_it(
    tmp_path: Path, last: dict[str, list[str]]
) -> None:
    """With the files that the build is sent and a Postgres outside; as process 1, which SIGTERM does not end by itself."""
    postgres = EmbeddedPostgres(tmp_path, durable=False)
    own = {
        "DATABASE_URL": postgres.start(),
        "PORT": str(free_port()),
        "METRICS_PORT": str(free_port()),
        "HOST": "127.0.0.1",
        "PUBLIC_URL": "https://agent.example.com",
        "TWILIO_AUTH_TOKEN": "7" * 32,
        "REALTIME_URL": "ws://127.0.0.1:9",
    }
    try:
        with running(tmp_path, last, **own) as (pid, environment):
            check = exec_form(last["HEALTHCHECK"][0])
            assert last["STOPSIGNAL"] == ["SIGTERM"]

            async def healthy() -> bool:
                process = await asyncio.create_subprocess_exec(
                    shutil.which(check[0], path=environment["PATH"]) or "", *check[1:], env=environment,
                    stderr=asyncio.subprocess.DEVNULL,
                )  # fmt: skip
                return await process.wait() == 0

            assert not await healthy(), "before it listens"
            await eventually(healthy, "a server in good health", STARTED_SECONDS)
            async with httpx.AsyncClient(trust_env=False) as http:
                base = f"http://127.0.0.1:{own['PORT']}"
                assert (await http.get(base + "/readyz")).status_code == 200
                assert (await http.post(base + "/twilio/incoming")).status_code == 403
                assert (await http.get(base + "/metrics")).status_code == 403, "from outside only with a token"
                figures = await http.get(f"http://127.0.0.1:{own['METRICS_PORT']}/metrics")
                assert "offhook_calls_live 0.0" in figures.text
            os.kill(pid, signal.SIGTERM)
    finally:
        postgres.stop()
