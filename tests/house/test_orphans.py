"""What `stop` ends of a dead server's: one of ours that nobody minds any more; and what it leaves alone."""

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from app.adapters import processes
from app.commands import stop
from app.commands.own_server import free_port
from app.commands.running import PARENTS, on_port
from app.errors import SetupError
from app.settings import ROOT, Settings
from tests.house.samples import make_settings

LISTENS = """
import os, signal, socket, sys
door = socket.create_server(("127.0.0.1", int(sys.argv[1])))
print(os.getpid(), flush=True)
ends = {signal.SIGTERM, signal.SIGINT} if sys.argv[2] == "drains" else {signal.SIGINT}
signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGTERM, signal.SIGINT])
while signal.sigwait([signal.SIGTERM, signal.SIGINT]) not in ends:
    pass
"""
"""What looks like a server from outside. Its own parent starts it and ends at once."""
FORSAKES = "import subprocess, sys; subprocess.Popen(sys.argv[1:])"
Forsaken = Callable[..., int]

pytestmark = pytest.mark.skipif(
    not Path("/proc/self/environ").exists(), reason="nobody's environment can be read, so nothing is taken for ours"
)


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return make_settings(data=tmp_path, port=free_port(), drain_seconds=0.0)


@pytest.fixture
def forsaken(settings: Settings) -> Iterator[Forsaken]:
    """Starts one on the port that looks like a server, of this data folder or another; its number."""
    started: list[int] = []

    def start(*, data: Path = settings.data, how: str = "drains") -> int:
        serves = [sys.executable, "-c", LISTENS, str(settings.port), how, "-m", "app.cli", "serve"]
        environment = {**os.environ, "PYTHONPATH": str(ROOT), "OFFHOOK_DATA": str(data)}
        with subprocess.Popen(
            [sys.executable, "-c", FORSAKES, *serves], env=environment, stdout=subprocess.PIPE, text=True
        ) as parent:
            assert parent.stdout
            started.append(int(parent.stdout.readline()))
        found = processes.look(started[-1])
        assert found is not None
        heir = processes.look(found.parent)
        if heir is not None and heir.pid > 1 and Path(heir.words[0]).name not in PARENTS:
            pytest.skip(f"orphans go to {heir.command} here, which may have started a server by itself")
        return started[-1]

    yield start
    for pid in started:
        if processes.began(pid):
            os.kill(pid, signal.SIGKILL)


def test_one_of_ours_that_lost_its_note_is_told_to_drain_and_waited_for(
    settings: Settings, forsaken: Forsaken, capsys: pytest.CaptureFixture[str]
) -> None:
    pid = forsaken()
    (found,) = on_port(settings.port, settings.data)
    assert found.orphan
    assert stop.clear(settings, None, now=False, yes=False) == 0
    assert f"ended it (process {pid})" in capsys.readouterr().out
    assert not processes.began(pid)


def test_one_with_calls_is_not_cut_but_with_now(settings: Settings, forsaken: Forsaken) -> None:
    pid = forsaken(how="goes on")
    with pytest.raises(SetupError, match="--now"):
        stop.clear(settings, 0.3, now=False, yes=False)
    assert processes.began(pid)
    assert stop.clear(settings, None, now=True, yes=False) == 0
    assert not processes.began(pid)


def test_a_server_of_another_data_folder_is_not_touched(settings: Settings, forsaken: Forsaken, tmp_path: Path) -> None:
    pid = forsaken(data=tmp_path / "other")
    (found,) = on_port(settings.port, settings.data)
    assert not found.orphan
    assert stop.clear(settings, None, now=True, yes=True) == 0
    assert processes.began(pid)
