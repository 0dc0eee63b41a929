"""Every example on a page loads: modes pass the registry, TOML is read by what reads it, JSON is JSON, Python is Python."""

import ast
import importlib
import json
import re
import sys
import textwrap
import tomllib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType

import jinja2
import pytest

from app import prompts, settings
from app.commands.modes import modes
from app.registry import find
from app.rules.office import Desk
from app.rules.office_file import _File
from app.settings import ROOT
from app.sim import script
from app.sim.budgets import Budgets
from tests.docs.pages import Block, blocks
from tests.house.samples import OFFICE, make_settings

README = ROOT / "README.md"
TABLE = re.compile(r'^\[\[?([a-z_]+)[\w."+-]*\]\]?\s*(?:#.*)?$', re.MULTILINE)
OF_THE_OFFICE = frozenset(_File.__struct_fields__)
OF_A_SCRIPT = frozenset(script.Script.__struct_fields__) | {"turn"}
SECRET = "whsec_" + "A" * 32
DESKS = {name: Desk(name=name, about="", number="+14155550170") for name in ("reception", "billing", "sales")}


def is_python(block: Block) -> bool:
    return block.kind in ("", "python") and bool(
        re.search(r"^(from [\w.]+ import |import \w+$|@tool|async def |return Transfer)", block.text, re.MULTILINE)
    )


def tables(block: Block) -> frozenset[str]:
    """The top tables of a TOML example; empty for anything else."""
    return frozenset() if is_python(block) else frozenset(TABLE.findall(block.text))


PYTHON = [block for block in blocks() if is_python(block)]
WHOLE_MODES = [block for block in PYTHON if "mode = Mode(" in block.text and "    ...,\n" not in block.text]
TOML = [block for block in blocks() if tables(block)]


def test_there_is_something_to_check() -> None:
    assert len(WHOLE_MODES) >= 4
    assert len(TOML) > 8


@contextmanager
def house_with(folder: Path, patch: pytest.MonkeyPatch, sources: dict[str, str], prompt: str) -> Iterator[ModuleType]:
    """A package of modes and a folder of prompts that have these modes alone."""
    name = f"of_a_page_{abs(hash(folder))}"
    (folder / name).mkdir()
    (folder / name / "__init__.py").touch()
    written = folder / "prompts"
    written.mkdir()
    (written / "house.md").write_text("Speak briefly.")
    for mode, text in sources.items():
        (folder / name / f"{mode}.py").write_text(text)
        (written / f"{mode}.md").write_text(prompt)
    patch.syspath_prepend(str(folder))
    patch.setattr(prompts, "FOLDER", written)
    loader = jinja2.FileSystemLoader(written)
    patch.setattr(prompts, "_environment", lambda: jinja2.Environment(loader=loader, undefined=jinja2.StrictUndefined))
    importlib.invalidate_caches()
    try:
        yield importlib.import_module(name)
    finally:
        for module in [module for module in sys.modules if module.split(".")[0] == name]:
            del sys.modules[module]


def named(block: Block) -> str:
    (name,) = re.findall(r'mode = Mode\(\s*name="(\w+)"', block.text)
    return str(name)


@pytest.mark.parametrize("block", WHOLE_MODES, ids=str)
def test_a_mode_on_a_page_is_one_that_the_registry_takes(
    block: Block, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import msgspec

    office = msgspec.structs.replace(OFFICE, desks=DESKS)
    with house_with(tmp_path, monkeypatch, {named(block): block.text}, "You answer the phone.") as package:
        registry = find(make_settings(office=office, default_mode=named(block)), package)
    assert list(registry.modes) == [named(block)]
    assert registry.warnings == []


@pytest.mark.parametrize("block", PYTHON, ids=str)
def test_a_piece_of_python_is_python_and_imports_what_there_is(block: Block) -> None:
    tree = ast.parse("async def page():\n" + textwrap.indent(block.text, "    "))
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] in ("app", "modes"):
            module = importlib.import_module(str(node.module))
            assert [alias.name for alias in node.names if not hasattr(module, alias.name)] == []


@pytest.mark.parametrize("block", TOML, ids=str)
def test_a_piece_of_toml_is_read_by_what_reads_it(block: Block, tmp_path: Path) -> None:
    top = tables(block)
    if top == {"budgets"}:
        assert set(tomllib.loads(block.text)["budgets"]) <= set(Budgets.__struct_fields__)
    elif top <= OF_THE_OFFICE:
        (tmp_path / "offhook.toml").write_text(block.text, encoding="utf-8")
        named = dict.fromkeys(re.findall(r'(?m)^\s*(?:secret|key_env) = "(\w+)"', block.text), SECRET)
        settings.load(named, root=tmp_path)
    else:
        assert top | set(tomllib.loads(block.text)) <= OF_A_SCRIPT, "neither offhook.toml nor a script"
        if "title" in block.text:
            script.parse(tomllib.loads(block.text), str(block))


@pytest.mark.parametrize("block", [block for block in blocks() if block.kind == "json"], ids=str)
def test_a_piece_of_json_is_json(block: Block) -> None:
    json.loads(block.text)


# --- the README -------------------------------------------------------------------------------------------------------


def test_the_mode_in_the_readme_works_with_its_prompt_as_they_stand_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mine = blocks([README])
    (at,) = [place for place, block in enumerate(mine) if block in WHOLE_MODES]
    code, prompt = mine[at], mine[at + 1]
    assert named(code) == "hello"
    assert "{{ office.name }}" in prompt.text
    assert code.text.count("\n") <= 6
    with house_with(tmp_path, monkeypatch, {"hello": code.text}, prompt.text) as package:
        assert "hello" in find(make_settings(default_mode="hello"), package).modes


def test_the_modes_that_the_readme_lists_are_those_that_come_with_it(capsys: pytest.CaptureFixture[str]) -> None:
    modes(check=False)
    listed = {line.split()[0] for line in capsys.readouterr().out.splitlines()}
    text = README.read_text(encoding="utf-8")
    assert set(re.findall(r"(?m)^\| `(\w+)` \|", text)) <= listed
    assert {"receptionist", "ivr", "csr", "reminder", "followup"} <= set(re.findall(r"(?m)^\| `(\w+)` \|", text))
