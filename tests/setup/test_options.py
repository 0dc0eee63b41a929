"""What the commands take is known at each start, without what they do."""

import os
import subprocess
import sys

from app.settings import ROOT

HEAVY = {"sqlalchemy", "jinja2", "httpx", "app.settings", "app.registry", "app.main"}
"""Together most of a second, which every command would take: `serve` before it has looked whether it can start at all."""


def test_the_options_of_all_commands_are_read_without_loading_what_they_do() -> None:
    code = "import sys; from app import cli; cli.parser(); print(*sys.modules)"
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [sys.executable, "-P", "-c", code], env=environment, capture_output=True, text=True, check=True
    )
    loaded = set(done.stdout.split())
    assert "app.commands.dial_options" in loaded
    assert not HEAVY & loaded
