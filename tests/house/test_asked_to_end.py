"""What a server is told by signals while it drains, and what its reload sees while files go: decided without a server."""

import asyncio
import os
import shutil
import signal
from pathlib import Path
from typing import Any

import pytest

from app.commands.answering import _restarted, _signalled
from app.commands.reloading import _files
from app.rules.fallback_engines import FallbackEngine
from app.rules.webhooks import Webhook
from app.settings import Settings
from tests.house.samples import make_settings


class Told:
    """The wishes of a server, as signals have made them."""

    def __init__(self, *signals: int) -> None:
        self.stop, self.hurry, self.again = asyncio.Event(), asyncio.Event(), asyncio.Event()
        for number in signals:
            if number == signal.SIGUSR2:
                _restarted(self.stop, self.hurry, self.again)
            else:
                _signalled(number, self.stop, self.hurry, self.again)

    @property
    def wishes(self) -> str:
        """Those that are set, in words."""
        named = {"stop": self.stop, "hurry": self.hurry, "again": self.again}
        return " ".join(name for name, wish in named.items() if wish.is_set())


@pytest.mark.parametrize(
    ("signals", "wishes"),
    [
        ([signal.SIGTERM], "stop"),
        ([signal.SIGINT], "stop hurry"),
        ([signal.SIGTERM, signal.SIGTERM], "stop hurry"),
        ([signal.SIGUSR2], "stop again"),
        ([signal.SIGUSR2, signal.SIGUSR2], "stop hurry again"),
        ([signal.SIGUSR2, signal.SIGTERM], "stop"),
        ([signal.SIGUSR2, signal.SIGTERM, signal.SIGTERM], "stop hurry"),
        ([signal.SIGUSR2, signal.SIGINT], "stop hurry"),
        ([signal.SIGTERM, signal.SIGUSR2], "stop"),
    ],
)
def test_who_asks_for_the_end_of_a_server_gets_no_other_start(signals: list[int], wishes: str) -> None:
    assert Told(*signals).wishes == wishes


def test_a_folder_that_goes_while_it_is_looked_at_does_not_end_the_reload(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    gone = tmp_path / "csr"
    gone.mkdir()
    (gone / "tables.py").touch()
    (tmp_path / "ivr.py").touch()
    scan = os.scandir

    def taken_away(path: Any) -> Any:
        if not isinstance(path, int) and Path(path) == gone:
            shutil.rmtree(gone)
        return scan(path)

    monkeypatch.setattr(os, "scandir", taken_away)
    assert list(_files(tmp_path)) == [tmp_path / "ivr.py"]


def test_the_keys_of_other_engines_and_webhooks_are_secrets_too() -> None:
    settings: Settings = make_settings(
        fallback_engines=(FallbackEngine(name="azure", url="wss://x.example", key="key-of-another-engine"),),
        webhooks=(Webhook(name="crm", url="https://x.example", secrets=("whsec_first", "whsec_second")),),
    )
    assert {"key-of-another-engine", "whsec_first", "whsec_second"} <= set(settings.secrets)
