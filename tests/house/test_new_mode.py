"""A new mode's files pass as they are written; a name that cannot be one writes nothing."""

import tomllib
from pathlib import Path
from statistics import median

import pytest

from app import registry
from app.commands.conformance import shortcomings
from app.commands.new_mode import new_mode
from app.errors import SetupError
from app.mode import Mode
from app.rules.consent import TEXTS
from app.sim.script import parse
from app.sim.voices import can_say, say
from tests.house.samples import OFFICE, make_settings


@pytest.fixture
def root(tmp_path: Path) -> Path:
    for folder in ("modes", "prompts", "app/sim/scripts", "tests/modes"):
        (tmp_path / folder).mkdir(parents=True)
    return tmp_path


@pytest.mark.parametrize("flow", [False, True], ids=["talk", "flow"])
def test_a_new_mode_is_sound_and_its_script_can_be_spoken(
    root: Path, monkeypatch: pytest.MonkeyPatch, flow: bool
) -> None:
    source, prompt, script, test = new_mode("flower_shop", flow=flow, root=root)
    module: dict[str, object] = {"__name__": "modes.flower_shop"}
    exec(compile(source.read_text(), str(source), "exec"), module)
    mode = module["mode"]
    assert isinstance(mode, Mode)
    monkeypatch.setattr("app.prompts.FOLDER", prompt.parent)
    (prompt.parent / "house.md").write_text("Speak plainly. {{ call.caller }}")
    monkeypatch.setattr("app.prompts._environment", _fresh_environment())
    assert registry.check("flower_shop", mode, OFFICE) == []
    assert shortcomings(mode, make_settings()) == []
    assert (mode.flow is not None) is flow
    rehearsal = parse(tomllib.loads(script.read_text()), "flower_shop")
    assert rehearsal.mode == "flower_shop"
    assert TEXTS["en-US"].ai in rehearsal.turn[0].agent, "what is announced is said"
    assert all(can_say(turn.caller, rehearsal.caller.voice) for turn in rehearsal.turn if turn.caller)
    assert all(can_say(turn.agent) for turn in rehearsal.turn if turn.agent)
    lengths = [len(say(turn.agent or turn.preamble)) / 8 for turn in rehearsal.turn if turn.agent or turn.preamble]
    assert 2000 <= median(lengths) <= 5000
    compile(test.read_text(), str(test), "exec")


def test_a_new_modes_caller_has_a_number_that_no_other_script_has(root: Path) -> None:
    _, _, first, _ = new_mode("abc", root=root)
    _, _, second, _ = new_mode("cab", root=root)
    numbers = [parse(tomllib.loads(path.read_text()), path.name).caller.number for path in (first, second)]
    assert len(set(numbers)) == 2, "both names come to the same sum"


def _fresh_environment() -> object:
    from app import prompts

    return prompts._environment.__wrapped__


@pytest.mark.parametrize("name", ["", "a", "Florist", "my-mode", "../etc", "x" * 40, "9lives"])
def test_a_name_that_cannot_be_one_writes_nothing(root: Path, name: str) -> None:
    with pytest.raises(SetupError, match="expected a name"):
        new_mode(name, root=root)
    assert not any(path.is_file() for path in root.rglob("*"))


def test_a_name_that_is_taken_overwrites_nothing(root: Path) -> None:
    (root / "prompts" / "taken.md").write_text("mine")
    with pytest.raises(SetupError, match=r"prompts/taken\.md"):
        new_mode("taken", root=root)
    assert [path.read_text() for path in root.rglob("*") if path.is_file()] == ["mine"]
