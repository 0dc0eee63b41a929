"""`./offhook call --model A,B`: the same script against each model, by servers that ask for it by that name."""

import json
import os
import sys
from asyncio import create_subprocess_exec
from asyncio.subprocess import PIPE
from pathlib import Path

import pytest

from app.commands.call import call
from app.errors import SetupError
from app.settings import ROOT
from app.sim.model import ModelServer


async def test_each_model_gets_the_script_by_its_name_and_the_figures_stand_side_by_side(tmp_path: Path) -> None:
    stand_in = ModelServer()
    url = await stand_in.start()
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OPENAI_API_KEY": "", "REALTIME_URL": url, "SPARE_LINKS": "0"}
    environment |= {"OFFHOOK_DATA": str(tmp_path), "HUMAN_TRANSFER_NUMBER": "+14155550170"}
    command = [
        sys.executable,
        "-m",
        "app.cli",
        "call",
        "person-accepts",
        "--model",
        "old-one,new-one",
        "--json",
        "--jobs",
        "2",
    ]
    try:
        process = await create_subprocess_exec(*command, env=environment, cwd=ROOT, stdout=PIPE, stderr=PIPE)
        out, err = await process.communicate()
    finally:
        await stand_in.close()
    assert process.returncode == 0, (out, err)
    old, new, together = (json.loads(line) for line in out.splitlines())
    ended = sorted((one["script"], one["model"], one["faults"]) for one in (old, new))  # whichever is over first
    assert ended == [("person-accepts", "new-one", []), ("person-accepts", "old-one", [])]
    assert [(one["model"], one["calls"], one["good"]) for one in together["models"]] == [
        ("old-one", 1, 1),
        ("new-one", 1, 1),
    ]
    assert (together["ok"], together["jobs"]) == (True, 2)
    spoke = {session.model for session in stand_in.sessions if any(note["type"] == "says" for note in session.log)}
    assert spoke == {"old-one", "new-one"}


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"models": ("a", "b"), "to": "http://127.0.0.1:1"}, "expected --model or --to, got both"),
        ({"models": ("a", "a")}, "different models"),
        ({"models": ("a", "")}, "different models"),
        ({"jobs": 0}, "expected --jobs of 1 or more, got 0"),
        ({"budgets": Path("no-such.toml")}, "no-such"),
        ({"mode": "nobody"}, "expected a mode, one of"),
    ],
)
def test_what_cannot_be_called_is_said_before_anything_is_started(wrong: dict[str, object], said: str) -> None:
    asked: dict[str, object] = {"script": "hangup", "mode": None, "to": None, "every": False, "as_json": True}
    with pytest.raises(SetupError, match=said):
        call(**{**asked, **wrong})  # type: ignore[arg-type]
