"""Prompts: how we speak, what a mode does and what this call is, in one text of bounded size."""

from datetime import datetime
from pathlib import Path
from typing import Annotated, Literal

import msgspec
import pytest

from app import prompts
from app.errors import SetupError
from app.mode import Mode
from app.prompts import Situation
from app.registry import find
from tests.house.samples import OFFICE, make_settings

NOW = datetime(2026, 11, 23, 9, 5, tzinfo=OFFICE.zone)
CALL = Situation(caller="+14155550100", dialled="+14155550199", now=NOW)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A prompts folder of its own."""
    monkeypatch.setattr(prompts, "FOLDER", tmp_path)
    monkeypatch.setattr(prompts, "_environment", prompts._environment.__wrapped__)
    (tmp_path / "house.md").write_text("\nSpeak briefly to {{ call.caller or 'nobody' }}.\n")
    return tmp_path


def make_mode(text: str, folder: Path, max_prompt_tokens: int = 1500) -> Mode:
    (folder / "some.md").write_text(text)
    return Mode(name="some", prompt="some.md", tools=[], max_prompt_tokens=max_prompt_tokens)


def test_a_prompt_speaks_of_the_mode_the_office_and_the_call(folder: Path) -> None:
    mode = make_mode(
        "{{ mode.name }} at {{ office.name }}, {{ call.now.strftime('%A %H:%M') }}, {{ weekdays[0] }}\n"
        "{% if call.dialled %}\nfor {{ call.dialled }}\n{% endif %}\n",
        folder,
    )
    assert prompts.render(mode, OFFICE, CALL) == (
        "some at Lakeside Dental, Monday 09:05, monday\nfor +14155550199\n\nSpeak briefly to +14155550100."
    )


def test_what_a_caller_or_an_office_is_called_is_never_read_as_a_template(folder: Path) -> None:
    call = Situation(caller="{{ office.name }} <b>&", dialled="", now=NOW)
    assert "{{ office.name }} <b>&" in prompts.render(make_mode("x", folder), OFFICE, call)


@pytest.mark.parametrize(
    "text", ["{{ offfice.name }}", "{{ office.nmae }}", "{% if %}", "{{ x", "{% include 'none.md' %}"]
)
def test_a_prompt_that_cannot_be_rendered_is_refused_by_its_mode_s_name(folder: Path, text: str) -> None:
    with pytest.raises(SetupError, match="'some'"):
        prompts.render(make_mode(text, folder), OFFICE, CALL)


@pytest.mark.parametrize("text", ["{{ 1 // 0 }}", "{{ call.now.strftime(3) }}", "{{ office.hours['monday'] + 1 }}"])
def test_a_prompt_that_fails_as_it_is_written_is_refused_the_same_way(folder: Path, text: str) -> None:
    with pytest.raises(SetupError, match="'some'"):
        prompts.render(make_mode(text, folder), OFFICE, CALL)


def test_a_missing_prompt_is_told_by_its_path(folder: Path) -> None:
    mode = Mode(name="some", prompt="missing.md", tools=[])
    assert prompts.check(mode, OFFICE, NOW) == ["mode 'some': expected a prompt prompts/missing.md, found none"]
    (folder / "house.md").unlink()
    assert prompts.check(make_mode("x", folder), OFFICE, NOW) == [
        "mode 'some': expected a prompt prompts/house.md, found none"
    ]


@pytest.mark.parametrize("name", ["../settings.py", "/etc/passwd"])
def test_a_prompt_is_never_read_from_outside_its_folder(folder: Path, name: str) -> None:
    assert prompts.check(Mode(name="some", prompt=name, tools=[]), OFFICE, NOW)


def test_a_prompt_over_its_budget_is_refused_and_one_within_it_is_not(folder: Path) -> None:
    (folder / "house.md").write_text("end")
    assert prompts.check(make_mode("go" + " go" * 17, folder, max_prompt_tokens=20), OFFICE, NOW) == []
    (line,) = prompts.check(make_mode("go" + " go" * 18, folder, max_prompt_tokens=20), OFFICE, NOW)
    assert line == (
        "mode 'some': expected a prompt of at most 20 tokens, got 21; shorten prompts/some.md, or raise max_prompt_tokens"
    )


def test_the_longest_prompt_that_a_caller_can_get_is_the_one_that_counts(folder: Path) -> None:
    text = "go{% if not call.caller %} go go go go go{% endif %}"
    (line,) = prompts.check(make_mode(text, folder, max_prompt_tokens=11), OFFICE, NOW)
    assert "at most 11 tokens, got 12;" in line
    assert prompts.check(make_mode(text, folder, max_prompt_tokens=12), OFFICE, NOW) == []


def test_every_mode_of_ours_says_its_call_s_time_and_whether_the_caller_is_known() -> None:
    for mode in find(make_settings()).modes.values():
        known = prompts.render(mode, OFFICE, CALL)
        assert "2026-11-23" in known
        assert "09:05" in known
        assert "+14155550100" in known
        assert "withheld" in prompts.render(mode, OFFICE, Situation(caller="", dialled="", now=NOW))
        assert "{{" not in known
        assert "{%" not in known


class Street(msgspec.Struct):
    name: str


class Order(msgspec.Struct, kw_only=True):
    count: Annotated[int, msgspec.Meta(ge=1)]
    kind: Literal["parcel", "letter"]
    street: Street
    articles: list[str]
    gifts: list[str] = []
    note: str = ""


def test_a_prompt_is_tried_with_values_of_the_types_that_a_call_is_asked_for_with(folder: Path) -> None:
    text = (
        "{{ {'parcel': 1, 'letter': 2}[call.fields.kind] + call.fields.count }} {{ call.fields.street.name }} "
        "{% for one in call.fields.articles + call.fields.gifts %}{{ one }}{% endfor %}"
    )
    mode = make_mode(f"{{% if call.placed %}}{text}{{% endif %}}", folder)
    mode = msgspec.structs.replace(mode, asks=Order)
    assert prompts.check(mode, OFFICE, NOW) == []
    wrong = make_mode("{% if call.placed %}{{ call.fields.gift }}{% endif %}", folder)
    assert len(prompts.check(msgspec.structs.replace(wrong, asks=Order), OFFICE, NOW)) == 1
