"""The Dockerfile and fly.toml: the settings without which calls are cut, refused or never answered."""

import json
import re
import tomllib
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]
MAX_CALLS = 200  # the default


@pytest.fixture(scope="module")
def fly() -> dict[str, Any]:
    return tomllib.loads((ROOT / "fly.toml").read_text())


@pytest.fixture(scope="module")
def image() -> list[str]:
    """The Dockerfile's instructions, one a line."""
    joined = (ROOT / "Dockerfile").read_text().replace("\\\n", " ")
    return [line for line in joined.splitlines() if line and not line.startswith("#")]


def test_a_stopped_machine_is_asked_politely_and_given_the_time_to_drain(fly: dict[str, Any]) -> None:
    assert fly["kill_signal"] == "SIGTERM"
    assert fly["kill_timeout"] == 300
    assert int(fly["deploy"]["wait_timeout"].removesuffix("m")) * 60 > fly["kill_timeout"]


def test_the_machine_stays_awake(fly: dict[str, Any]) -> None:
    service = fly["http_service"]
    assert service["auto_stop_machines"] == "off"
    assert service["min_machines_running"] == 1, "calls live in one process"


def test_fly_lets_in_more_than_our_own_cap_so_that_we_refuse_callers_ourselves(fly: dict[str, Any]) -> None:
    limits = fly["http_service"]["concurrency"]
    assert limits["type"] == "connections"
    assert limits["hard_limit"] > limits["soft_limit"] >= MAX_CALLS


def test_a_draining_machine_stays_reachable_for_the_calls_it_has(fly: dict[str, Any]) -> None:
    assert [check["path"] for check in fly["http_service"]["checks"]] == ["/healthz"]
    assert fly["checks"]["ready"]["path"] == "/readyz"


def test_the_database_is_migrated_before_new_code_runs(fly: dict[str, Any]) -> None:
    assert fly["deploy"]["release_command"] == "python -m app.cli migrate"


def test_port_and_image_agree(fly: dict[str, Any], image: list[str]) -> None:
    port = fly["http_service"]["internal_port"]
    assert int(fly["env"]["PORT"]) == port == fly["checks"]["ready"]["port"]
    assert f"EXPOSE {port}" in image
    assert any(f"PORT={port}" in line and "HOST=0.0.0.0" in line for line in image if line.startswith("ENV"))


def test_fly_toml_holds_no_secret(fly: dict[str, Any]) -> None:
    assert set(fly["env"]) == {"HOST", "PORT"}


def test_the_signal_reaches_offhook_itself_and_not_a_shell(image: list[str]) -> None:
    (command,) = (line for line in image if line.startswith("CMD"))
    assert json.loads(command.removeprefix("CMD")) == ["python", "-m", "app.cli", "serve"]
    assert not [line for line in image if line.startswith("ENTRYPOINT")]


def test_the_image_runs_as_a_plain_user_and_holds_no_compiler(image: list[str]) -> None:
    last = image[max(number for number, line in enumerate(image) if line.startswith("FROM")) :]
    assert "USER offhook" in last
    assert not [line for line in last if re.search(r"apt|gcc|build-essential|pip install", line)]


def test_every_package_of_the_image_is_checked_by_hash(image: list[str]) -> None:
    installs = [part for line in image for part in line.split("&&") if re.search(r"\bpip install\b", part)]
    assert len(installs) == 2
    assert all("--require-hashes" in part for part in installs)


def test_the_health_check_is_a_command_that_runs(image: list[str]) -> None:
    (check,) = (line for line in image if line.startswith("HEALTHCHECK"))
    command = json.loads(check[check.index("[") :])
    assert command[:2] == ["python", "-c"]
    compile(command[2], "HEALTHCHECK", "exec")
    assert "/healthz" in command[2]


def test_the_image_takes_only_what_is_named() -> None:
    lines = [line for line in (ROOT / ".dockerignore").read_text().splitlines() if line and not line.startswith("#")]
    assert lines[0] == "**"
    assert not {"!.env", "!.git", "!.offhook", "!tests"} & set(lines)
