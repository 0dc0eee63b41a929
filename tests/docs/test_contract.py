"""docs/04-modes.md says everything that the contract page has; docs/01-overview.md has the tree and the prices as they are."""

import re
from collections.abc import Mapping
from typing import Any

import msgspec
import pytest

from app import mode as contract
from app.doctor.models import SHUTDOWN
from app.mode import CallContext, Flow, Go, Mode, State
from app.rules.prices import PRICES, TRANSCRIPTION
from app.settings import ROOT
from app.tools import Tool
from tests.docs.pages import blocks, rows
from tests.test_house import floor, modules

PAGE = ROOT / "docs" / "04-modes.md"
OVERVIEW = ROOT / "docs" / "01-overview.md"
FOR_THE_HOUSE = {"edition"}
"""Filled in by the registry."""


def table(first: str) -> dict[str, list[str]]:
    """A table of the page by the names in its first cells."""
    return {name: cells for cells in rows(PAGE, first) for name in re.findall(r"`(\w+)`", cells[0])}


def defaults(struct: type[msgspec.Struct]) -> Mapping[str, Any]:
    return {field.name: field.default for field in msgspec.structs.fields(struct)}


def test_every_field_of_a_mode_is_on_the_page_and_no_other() -> None:
    assert set(table("field")) >= set(defaults(Mode)) - FOR_THE_HOUSE
    assert set(table("field")) <= set(defaults(Mode)) | set(defaults(CallContext))


def test_every_field_of_the_call_s_context_is_on_the_page() -> None:
    assert set(table("field")) >= set(defaults(CallContext))


def test_the_plain_defaults_of_a_mode_are_those_on_the_page() -> None:
    for name, cells in table("field").items():
        default = defaults(Mode).get(name)
        if isinstance(default, bool):
            assert cells[1] == str(default).lower(), name
        elif isinstance(default, int) or (isinstance(default, str) and default):
            assert cells[1].strip('`"') == str(default).strip('"'), name


@pytest.mark.parametrize("name", contract.__all__)
def test_every_name_that_a_mode_may_import_is_on_the_page(name: str) -> None:
    text = PAGE.read_text(encoding="utf-8")
    assert re.search(rf"(?<!\w){name}(?!\w)", text)


@pytest.mark.parametrize("struct", [Flow, Go, State], ids=lambda struct: struct.__name__)
def test_every_field_of_a_flow_is_on_the_page(struct: type[msgspec.Struct]) -> None:
    text = PAGE.read_text(encoding="utf-8")
    assert {name for name in defaults(struct) if not re.search(rf"(?<!\w){name}(?!\w)", text)} == set()


def test_the_options_of_a_tool_are_on_the_page_with_their_defaults() -> None:
    options = {name: cells for name, cells in table("`@tool(...)`").items() if name[0].islower()}
    assert set(options) == {"deadline_seconds", "answer_bytes", "filler", "filler_after_ms", "background", "writes"}
    assert set(options) <= {*Tool.__struct_fields__}
    assert options["deadline_seconds"][1] == "3; 60 in the background"
    assert options["filler_after_ms"][1] == "none, 700"
    assert options["answer_bytes"][1] == "2000"


# --- the overview -----------------------------------------------------------------------------------------------------


def tree() -> str:
    """The map of the overview: its one block that draws the checkout."""
    (found,) = [block.text for block in blocks([OVERVIEW]) if block.text.lstrip().startswith("offhook ")]
    return found


@pytest.mark.parametrize(
    "folder", sorted({name.split(".")[1] for name in modules() if name.count(".") == 2 and name.startswith("app.")})
)
def test_every_folder_of_the_app_is_on_the_map(folder: str) -> None:
    assert f" {folder}/" in tree()


def test_what_the_overview_puts_on_a_floor_stands_there() -> None:
    floors = [cells for cells in rows(OVERVIEW, "floor") if cells[0][0].isdigit()]
    assert [cells[0][0] for cells in floors] == list("6543210")
    for cells in floors:
        wrong = {name for name in re.findall(r"`([\w.]+)`", cells[1]) if floor(f"app.{name}") != int(cells[0][0])}
        assert wrong == set(), cells[0]


def mapped() -> list[str]:
    """Everything that the map names, as patterns below the checkout; a word without a dot or slash is a module of its folder."""
    found: list[str] = []
    folder = ""
    for line in tree().splitlines():
        words = line.partition("#")[0].split()
        at = len(line) - len(line.lstrip())
        above = "app/" if at == 2 else folder if at > 2 else ""
        if words and words[0].endswith("/") and at <= 2 and not line.lstrip().startswith("prompts/"):
            above = folder = above + words.pop(0)
        for word in words:
            found.append(f"{above}{word}" if not above or "." in word or word.endswith("/") else f"{above}{word}.py")
    return found


def test_every_file_that_the_map_names_is_there() -> None:
    assert len(mapped()) > 100
    assert "app/calls/switchboard.py" in mapped()
    assert [name for name in mapped() if not list(ROOT.glob(name))] == []


def test_the_prices_in_the_overview_are_those_that_calls_are_counted_by() -> None:
    shown = {re.findall(r"`([^`]+)`", cells[0])[0]: cells for cells in rows(OVERVIEW, "model")}
    assert set(shown) == set(PRICES)
    for name, cells in shown.items():
        price = PRICES[name]
        assert cells[1:3] == [
            f"{price.text_in:g} / {price.text_cached:g} / {price.text_out:g}",
            f"{price.audio_in:g} / {price.audio_cached:g} / {price.audio_out:g}",
        ], name
        if name in SHUTDOWN:
            day, instead = SHUTDOWN[name]
            assert f"**shuts down {day.day} {day:%B %Y}**" in cells[3]
            assert f"`{instead}`" in cells[3]
    minutes = {re.findall(r"`([^`]+)`", cells[0])[0]: cells[1] for cells in rows(OVERVIEW, "transcription model")}
    assert minutes == {name: f"{dollars:g}" for name, dollars in TRANSCRIPTION.items()}


def test_the_glossary_has_every_word_once_and_in_order() -> None:
    words = [cells[0].strip("*").lower() for cells in rows(ROOT / "docs" / "glossary.md", "word")]
    assert len(words) > 70
    assert words == sorted(set(words))
