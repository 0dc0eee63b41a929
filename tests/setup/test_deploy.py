"""fly.toml, the HAProxy and systemd files: the settings without which calls are cut, refused or never answered."""

import re
import shutil
import subprocess
import tomllib
from pathlib import Path
from typing import Any

import pytest

from app.commands.answering import HANDOVER_SECONDS, LEAD_SECONDS
from app.main import JOURNAL_SECONDS
from app.settings import ENVIRONMENT, ROOT, Settings, load
from tests.outlive.proxy import PROGRAM, needs_haproxy

DEFAULTS: dict[str, Any] = dict(
    zip(Settings.__struct_fields__[-len(Settings.__struct_defaults__) :], Settings.__struct_defaults__, strict=False)
)
UNIT = ROOT / "deploy/offhook@.service"


@pytest.fixture(scope="module")
def fly() -> dict[str, Any]:
    return tomllib.loads((ROOT / "fly.toml").read_text())


@pytest.fixture(scope="module")
def settings(fly: dict[str, Any], tmp_path_factory: pytest.TempPathFactory) -> Settings:
    """What Offhook makes of fly.toml's environment."""
    return load(fly["env"], root=tmp_path_factory.mktemp("fly"))


def test_a_machine_that_is_stopped_has_the_time_to_drain_and_what_comes_after(
    fly: dict[str, Any], settings: Settings
) -> None:
    assert fly["kill_signal"] == "SIGTERM"
    assert settings.drain_seconds > HANDOVER_SECONDS
    assert settings.drain_seconds + LEAD_SECONDS + JOURNAL_SECONDS < fly["kill_timeout"] <= 300, "Fly's maximum"
    assert int(fly["deploy"]["wait_timeout"].removesuffix("m")) * 60 > fly["kill_timeout"]


def test_machines_stay_awake_and_while_one_drains_there_is_another(fly: dict[str, Any]) -> None:
    service = fly["http_service"]
    assert service["auto_stop_machines"] == "off"
    assert service["min_machines_running"] >= 2
    assert (fly["deploy"]["strategy"], fly["deploy"]["max_unavailable"]) == ("rolling", 1)


def test_fly_lets_in_more_than_our_own_cap_so_that_we_refuse_callers_ourselves(
    fly: dict[str, Any], settings: Settings
) -> None:
    limits = fly["http_service"]["concurrency"]
    assert limits["type"] == "connections"
    assert limits["hard_limit"] > limits["soft_limit"] >= settings.max_calls


def test_a_draining_machine_stays_reachable_for_the_calls_it_has(fly: dict[str, Any]) -> None:
    assert [check["path"] for check in fly["http_service"]["checks"]] == ["/healthz"]
    assert fly["checks"]["ready"]["path"] == "/readyz"


def test_ports_agree_and_the_one_without_a_token_is_not_for_the_internet(
    fly: dict[str, Any], settings: Settings
) -> None:
    assert fly["http_service"]["internal_port"] == settings.port == fly["checks"]["ready"]["port"]
    assert fly["metrics"] == {"port": settings.metrics_port, "path": "/metrics"}
    assert settings.metrics_port != settings.port
    assert "services" not in fly, "a service would open the port of the figures"
    assert settings.host == "0.0.0.0", "Fly's proxy is another host"


def test_fly_toml_has_settings_that_there_are_and_no_secret(fly: dict[str, Any]) -> None:
    assert set(fly["env"]) <= set(ENVIRONMENT)
    assert not [name for name in fly["env"] if re.search("KEY|TOKEN|PASSWORD|URL", name)]


def test_the_page_names_only_settings_that_there_are() -> None:
    page = (ROOT / "docs/09-deploy.md").read_text()
    named = set(re.findall(r"\b([A-Z][A-Z_]{3,})=", page)) | set(re.findall(r"`([A-Z]+_[A-Z_]+)`", page))
    assert len(named) > 10
    assert named <= set(ENVIRONMENT) | {"TWILIO_EDGE", "TWILIO_REGION", "FLY_MACHINE_ID"}


def test_each_process_under_systemd_has_a_name_a_port_and_a_folder_of_its_own_and_time_to_drain(tmp_path: Path) -> None:
    unit = UNIT.read_text()
    (line,) = re.findall(r"^Environment=(.*)$", unit, re.MULTILINE)
    environment = dict(part.split("=", 1) for part in line.replace("%i", "3").split())
    settings = load(environment, root=tmp_path)
    assert (settings.port, settings.instance) == (8003, "process-3")
    assert settings.data.name == "3"
    (stops,) = re.findall(r"^TimeoutStopSec=(\d+)$", unit, re.MULTILINE)
    assert settings.drain_seconds + LEAD_SECONDS + JOURNAL_SECONDS < int(stops)
    (files,) = re.findall(r"^LimitNOFILE=(\d+)$", unit, re.MULTILINE)
    assert int(files) > 10 * DEFAULTS["max_calls"]
    for line in ("KillSignal=SIGTERM", "Restart=always", "User=offhook"):
        assert line in unit.splitlines()


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd-analyze is not installed")
def test_systemd_takes_the_unit(tmp_path: Path) -> None:
    program = shutil.which("true")
    text = re.sub(r"(?m)^ExecStart=\S+", f"ExecStart={program}", UNIT.read_text())
    (tmp_path / UNIT.name).write_text(text)
    for name, good in ((UNIT.name, True), ("wrong@.service", False)):
        (tmp_path / "wrong@.service").write_text(text.replace("Type=exec", "Tipe=exec"))
        judged = subprocess.run(
            ["systemd-analyze", "verify", "--man=no", str(tmp_path / name)],
            capture_output=True, text=True, check=False, timeout=30,
        )  # fmt: skip
        ours = [line for line in judged.stderr.splitlines() if str(tmp_path) in line]
        assert (not ours) is good, judged.stderr


@needs_haproxy
def test_haproxy_takes_the_configuration(tmp_path: Path) -> None:
    assert PROGRAM is not None
    text, ports = re.subn(r"bind :443 .*", "bind 127.0.0.1:8443", (ROOT / "deploy/haproxy.cfg").read_text())
    assert ports == 1, "the certificate is the operator's"
    config = tmp_path / "haproxy.cfg"
    for given, code in ((text, 0), (text.replace("leastconn", "leastcon"), 1)):
        config.write_text(given)
        judged = subprocess.run([PROGRAM, "-c", "-f", str(config)], capture_output=True, text=True, check=False)
        assert judged.returncode == code, judged.stderr
        assert code or "warning" not in judged.stderr.lower()
