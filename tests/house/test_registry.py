"""The registry: every file in the modes' folder is a mode, and everything wrong with any of them is told at once."""

import importlib
import re
import sys
from collections.abc import Callable, Iterator
from itertools import count
from pathlib import Path
from types import ModuleType

import jinja2
import pytest
from structlog.testing import capture_logs

from app import prompts
from app.errors import SetupError
from app.registry import Registry, find
from tests.house.samples import make_settings

names = count()

HEAD = "from app.mode import Mode, tool\n\n@tool\nasync def look() -> str:\n    '''Look.'''\n    return 'seen'\n\n"


def source(name: str, *, prompt: str = "short.md", tools: str = "[look]", more: str = "") -> str:
    """The file of a mode."""
    return HEAD + f"mode = Mode(name={name!r}, prompt={prompt!r}, tools={tools}{more})\n"


Build = Callable[..., ModuleType]


@pytest.fixture
def build(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Build]:
    """Builds a package of modes out of sources, with a prompts folder of its own."""
    folder = tmp_path / "prompts"
    folder.mkdir()
    (folder / "house.md").write_text("Speak briefly.")
    (folder / "short.md").write_text("You answer the phone at {{ office.name }}.")
    (folder / "long.md").write_text("word " * 2000)
    (folder / "misspelt.md").write_text("{{ offfice.name }}")
    (folder / "broken.md").write_text("{% if %}")
    (folder / "dividing.md").write_text("{{ 1 // 0 }}")
    monkeypatch.setattr(prompts, "FOLDER", folder)
    monkeypatch.setattr(
        prompts, "_environment", lambda: jinja2.Environment(loader=jinja2.FileSystemLoader(folder), undefined=STRICT)
    )  # fmt: skip
    monkeypatch.syspath_prepend(str(tmp_path))
    made: list[str] = []

    def make(**files: str) -> ModuleType:
        name = f"guests_{next(names)}"
        made.append(name)
        (tmp_path / name).mkdir()
        (tmp_path / name / "__init__.py").touch()
        for module, text in files.items():
            (tmp_path / name / f"{module}.py").write_text(text)
        importlib.invalidate_caches()
        return importlib.import_module(name)

    yield make
    for module in list(sys.modules):
        if module.split(".")[0] in made:
            del sys.modules[module]


STRICT = jinja2.StrictUndefined


def report(package: ModuleType, default: str = "sound", **numbers: str) -> list[str]:
    """The lines of the one report."""
    with pytest.raises(SetupError) as refused:
        find(make_settings(default_mode=default, numbers=numbers), package)
    first, *lines = str(refused.value).splitlines()
    assert first == "the modes cannot be used:"
    return [line.removeprefix("  - ") for line in lines]


def test_the_project_s_own_modes_are_sound() -> None:
    registry = find(make_settings())
    assert "receptionist" in registry.modes
    assert all(name == mode.name for name, mode in registry.modes.items())


def test_every_file_and_every_folder_is_a_mode(build: Build, tmp_path: Path) -> None:
    package = build(sound=source("sound"), other=source("other"))
    folder = Path(package.__path__[0]) / "big"
    folder.mkdir()
    (folder / "__init__.py").write_text(source("big"))
    registry = find(make_settings(default_mode="sound"), package)
    assert sorted(registry.modes) == ["big", "other", "sound"]


def test_everything_wrong_with_any_mode_is_told_at_once(build: Build) -> None:
    package = build(
        sound=source("sound"),
        syntax="def (",
        importing="import nothing_of_this_name",
        raising="raise RuntimeError('on import')",
        empty="",
        dictionary="mode = {'name': 'dictionary'}",
        renamed=source("somebody_else"),
        promptless=source("promptless", prompt="missing.md"),
        wordy=source("wordy", prompt="long.md"),
        misspelt=source("misspelt", prompt="misspelt.md"),
        broken=source("broken", prompt="broken.md"),
        twice=source("twice", tools="[look, look]"),
        early=source("early", tools="[]", more=", first_turn=[look]"),
        blocking="from app.mode import tool\n@tool\ndef look() -> str:\n    '''Look.'''\n    return ''\n",
        wide="from app.mode import Mode, tool\n@tool\nasync def schön() -> str:\n    '''Look.'''\n    return ''\n"
        "mode = Mode(name='wide', prompt='short.md', tools=[schön])\n",
    )
    lines = report(package, "nobody", **{"+14155550199": "somebody"})
    for start, part in {
        "modes/syntax: cannot be imported: SyntaxError": "",
        "modes/importing: cannot be imported: ModuleNotFoundError": "nothing_of_this_name",
        "modes/raising: cannot be imported: RuntimeError": "on import",
        "modes/empty: expected a line `mode = Mode(...)`": "NoneType",
        "modes/dictionary: expected a line `mode = Mode(...)`": "dict",
        "modes/renamed: expected name='renamed'": "'somebody_else'",
        "mode 'promptless': expected a prompt prompts/missing.md": "found none",
        "mode 'wordy': expected a prompt of at most 1500 tokens": "got 2004; shorten prompts/long.md",
        "mode 'misspelt': its prompt cannot be rendered": "offfice",
        "mode 'broken': its prompt cannot be rendered": "",
        "mode 'twice': the tool 'look' is listed twice": "",
        "mode 'early': the first turn's tool 'look' is not among its tools": "",
        "modes/blocking: cannot be imported: TypeError": "expected an async function",
        "mode 'wide': expected a tool name of letters": "schön",
        "offhook.toml: calls.default_mode: expected one of": "got 'nobody'",
        "offhook.toml: +14155550199: expected one of": "got 'somebody'",
    }.items():
        assert [line for line in lines if line.startswith(start) and part in line], (start, part)
    assert len(lines) == 16
    assert not [line for line in lines if line.startswith(("mode 'sound'", "modes/sound"))]


def test_a_prompt_that_fails_as_it_is_written_is_a_fault_among_others(build: Build) -> None:
    package = build(sound=source("sound"), dividing=source("dividing", prompt="dividing.md"), empty="")
    lines = report(package)
    assert len(lines) == 2
    assert [line for line in lines if "'dividing'" in line and "cannot be rendered" in line]


@pytest.mark.parametrize(
    "more",
    [
        "turn_detection=ServerVad(threshold=0.55, silence_duration_ms=400, prefix_padding_ms=0)",
        "turn_detection=ServerVad(threshold=0.65, silence_duration_ms=650, prefix_padding_ms=1000)",
        "first_turn_detection=SemanticVad(eagerness='low')",
        "reasoning='low'",
        "reasoning='xhigh', model='gpt-realtime-2.1'",
        "reasoning='minimal', model='gpt-realtime-2.1-mini'",
        "model='gpt-realtime-1.5', noise_reduction='near_field'",
    ],
)
def test_what_a_phone_line_bears_is_taken(build: Build, more: str) -> None:
    package = build(sound=VADS + source("sound", more=f", {more}"))
    assert "sound" in find(make_settings(default_mode="sound"), package).modes


VADS = "from app.mode import SemanticVad, ServerVad\n"


@pytest.mark.parametrize(
    ("more", "fault"),
    [
        (
            "turn_detection=ServerVad(threshold=0.54)",
            "turn_detection: expected a threshold from 0.55 to 0.65 .*, got 0.54",
        ),
        (
            "turn_detection=ServerVad(threshold=0.66)",
            "turn_detection: expected a threshold from 0.55 to 0.65 .*, got 0.66",
        ),
        ("turn_detection=ServerVad(threshold=float('nan'))", "expected a threshold .*, got nan"),
        ("turn_detection=ServerVad(threshold='0.6')", "expected a threshold .*, got '0.6'"),
        (
            "first_turn_detection=ServerVad(silence_duration_ms=399)",
            "first_turn_detection: expected a silence_duration_ms from 400 to 650 .*, got 399",
        ),
        (
            "turn_detection=ServerVad(silence_duration_ms=651)",
            "expected a silence_duration_ms from 400 to 650 .*, got 651",
        ),
        ("turn_detection=ServerVad(prefix_padding_ms=-1)", "expected a prefix_padding_ms from 0 to 1000 .*, got -1"),
        (
            "turn_detection=SemanticVad(eagerness='eager')",
            "turn_detection: expected eagerness to be one of .*, got 'eager'",
        ),
        ("turn_detection=None", r"turn_detection: expected SemanticVad\(...\) or ServerVad\(...\), got None"),
        (
            "noise_reduction='both'",
            "expected noise_reduction to be one of 'none', 'near_field', 'far_field', got 'both'",
        ),
        ("reasoning='hard'", "expected reasoning to be one of .*'minimal', .*, got 'hard'"),
        (
            "reasoning='low', model='gpt-realtime-1.5'",
            r"expected a model that reasons \(gpt-realtime-2 or later\) for reasoning='low', got model='gpt-realtime-1.5'",
        ),
        ("reasoning='low', model='gpt-realtime-2025-08-28'", "expected a model that reasons"),
    ],
)
def test_what_it_does_not_bear_or_contradicts_itself_is_refused_in_words(build: Build, more: str, fault: str) -> None:
    (line,) = report(build(sound=VADS + source("sound", more=f", {more}")))
    assert re.match(rf"mode 'sound': .*{fault}", line)


def test_an_empty_folder_is_told_as_such(build: Build) -> None:
    assert "no mode at all" in report(build())[0]


def registry_of(build: Build) -> Registry:
    settings = make_settings(default_mode="sound", numbers={"+14155550199": "other"})
    return find(settings, build(sound=source("sound"), other=source("other"), third=source("third")))


@pytest.mark.parametrize(
    ("wanted", "dialled", "taken"),
    [
        ("", "", "sound"),
        ("", "+14155550100", "sound"),
        ("", "+14155550199", "other"),
        ("third", "", "third"),
        ("third", "+14155550199", "third"),
        ("sound", "+14155550199", "sound"),
    ],
)
def test_a_call_goes_to_the_mode_it_asks_for_else_by_its_number_else_to_the_default(
    build: Build, wanted: str, dialled: str, taken: str
) -> None:
    with capture_logs() as logs:
        assert registry_of(build).mode_for(wanted, dialled).name == taken
    assert logs == []


@pytest.mark.parametrize("wanted", ["fourth", "../sound", "Sound", " "])
def test_an_unknown_mode_falls_to_the_default_and_is_logged(build: Build, wanted: str) -> None:
    with capture_logs() as logs:
        assert registry_of(build).mode_for(wanted, "+14155550199").name == "sound"
    assert [(log["event"], log["wanted"], log["taken"]) for log in logs] == [("unknown mode", wanted, "sound")]
