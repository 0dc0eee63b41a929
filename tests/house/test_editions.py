"""Editions: what a call began with it keeps, whatever is edited; and a broken edit leaves everything as it was."""

import importlib
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from itertools import count
from pathlib import Path

import msgspec
import pytest

from app import prompts
from app.errors import SetupError
from app.mode import Mode
from app.registry import Registry, find, find_again
from app.settings import Settings
from tests.house.samples import OFFICE, make_settings

names = count()
NOW = datetime(2026, 12, 1, 12, tzinfo=UTC)

CODE = """
from app.mode import Mode, tool
from {package}.shop.words import WORD


@tool
async def look() -> str:
    '''Look.'''
    return WORD

mode = Mode(name="shop", prompt="shop.md", tools=[look])
"""


class Guests:
    """A package of one mode that has a folder, and prompts of its own."""

    def __init__(self, folder: Path, package: str) -> None:
        self.folder, self.package = folder, package
        self.settings: Settings = make_settings(default_mode="shop")
        self.write("prompts/house.md", "Speak briefly.")
        self.write("prompts/shop.md", "You answer at {{ office.name }}.")
        self.write("__init__.py", "")
        self.write("shop/__init__.py", "")
        self.write("shop/words.py", "WORD = 'one'\n")
        self.write("shop/mode.py", CODE.format(package=package))

    def write(self, name: str, text: str) -> None:
        path = self.folder / name if name.startswith("prompts/") else self.folder / self.package / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)

    def found(self) -> Registry:
        importlib.invalidate_caches()
        return find(self.settings, importlib.import_module(self.package))

    def again(self) -> Registry:
        return find_again(self.settings, self.package)


@pytest.fixture
def guests(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Guests]:
    package = f"editions_{next(names)}"
    monkeypatch.setattr(prompts, "FOLDER", tmp_path / "prompts")
    monkeypatch.setattr(
        prompts, "_environment", prompts._environment.__wrapped__
    )  # or the first use would hold for all tests
    monkeypatch.syspath_prepend(str(tmp_path))
    yield Guests(tmp_path, package)
    for module in [name for name in sys.modules if name.split(".")[0] == package]:
        del sys.modules[module]


def rendered(mode: Mode) -> str:
    return prompts.render(mode, OFFICE, prompts.Situation(caller="", dialled="", now=NOW))


async def said(mode: Mode) -> str:
    return str(await mode.tools[0].function())


def test_a_stamp_is_the_same_as_long_as_nothing_is_edited(guests: Guests) -> None:
    stamp = guests.found().modes["shop"].edition.stamp
    assert len(stamp) == 12
    assert guests.again().modes["shop"].edition.stamp == stamp


@pytest.mark.parametrize(
    ("file", "text"),
    [
        ("shop/words.py", "WORD = 'two'\n"),
        ("shop/more.py", ""),
        ("prompts/shop.md", "You answer the phone."),
        ("prompts/house.md", "Speak slowly."),
    ],
)
def test_a_stamp_tells_of_an_edit_in_any_file_of_the_mode(guests: Guests, file: str, text: str) -> None:
    stamp = guests.found().modes["shop"].edition.stamp
    guests.write(file, text)
    assert guests.again().modes["shop"].edition.stamp != stamp


def test_a_stamp_tells_of_an_included_prompt_and_of_the_business(guests: Guests) -> None:
    guests.write("prompts/part.md", "Be kind.")
    guests.write("prompts/shop.md", "{% include 'part.md' %}")
    first = guests.found().modes["shop"].edition.stamp
    guests.write("prompts/part.md", "Be quick.")
    second = guests.again().modes["shop"].edition.stamp
    office = msgspec.structs.replace(guests.settings.office, name="Elsewhere")
    guests.settings = msgspec.structs.replace(guests.settings, office=office)
    third = guests.again().modes["shop"].edition.stamp
    assert len({first, second, third}) == 3


async def test_a_call_keeps_the_code_and_the_prompt_that_it_began_with(guests: Guests) -> None:
    registry = guests.found()
    old = registry.modes["shop"]
    guests.write("shop/words.py", "WORD = 'two'\n")  # as long as before, within the same second
    guests.write("prompts/shop.md", "You answer the phone.")
    held = registry.modes

    assert registry.take(guests.again()) == ["shop"]
    new = held["shop"]
    assert (await said(old), await said(new)) == ("one", "two")
    assert rendered(old).startswith(f"You answer at {OFFICE.name}.")
    assert rendered(new).startswith("You answer the phone.")


@pytest.mark.parametrize(
    "broken", ["WORD = ", "raise SystemExit(1)\n", "WORDS = 'misspelt'\n", "import nothing_of_that_name\n"]
)
async def test_a_broken_edit_is_told_and_leaves_everything_as_it_was(guests: Guests, broken: str) -> None:
    old = guests.found().modes["shop"]
    modules = {name: module for name, module in sys.modules.items() if name.startswith(guests.package)}
    guests.write("shop/words.py", broken)
    with pytest.raises(SetupError, match="modes/shop"):
        guests.again()
    assert {name: module for name, module in sys.modules.items() if name.startswith(guests.package)} == modules
    assert await said(old) == "one"


def test_a_mode_whose_file_is_gone_is_told_as_changed_and_one_that_is_new_is_there(guests: Guests) -> None:
    registry = guests.found()
    guests.write("prompts/other.md", "You are another.")
    guests.write("other.py", "from app.mode import Mode\nmode = Mode(name='other', prompt='other.md', tools=[])\n")
    assert registry.take(guests.again()) == ["other"]
    (guests.folder / guests.package / "other.py").unlink()
    assert registry.take(guests.again()) == ["other"]
    assert list(registry.modes) == ["shop"]
