"""Rehearsal scripts: what is in them, what is refused, and how templates and days are filled in."""

from datetime import date
from pathlib import Path
from typing import Any

import pytest

from app.errors import SetupError
from app.sim.script import load, parse, shipped
from app.sim.script_words import render, render_all, resolve_day, spoken_time

WEDNESDAY = date(2026, 11, 25)


def script(*turns: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {
        "title": "A call",
        "mode": "receptionist",
        "caller": {"number": "+14155550133"},
        "turn": list(turns),
        **more,
    }


@pytest.mark.parametrize("name", ["booking", "hangup", "human"])
def test_the_shipped_scripts_are_good(name: str) -> None:
    assert load(shipped()[name]).turn[0].opening


def test_the_booking_script_says_what_the_free_slots_say() -> None:
    booking = load(shipped()["booking"])
    known = booking.variables(WEDNESDAY) | {"free": {"slots": ["2026-12-01T10:30:00"]}}
    assert render(booking.turn[2].caller, known) == "Do you have anything on Tuesday?"
    assert render(booking.turn[2].agent, known) == "On Tuesday I have ten thirty. Shall I book that for you?"
    assert render_all(booking.turn[5].tools[0].arguments, known)["start"] == "2026-12-01T10:30:00"
    assert render(booking.turn[4].caller, known) == "It is Baker. B, A, K, E, R."


@pytest.mark.parametrize(
    ("text", "day"),
    [
        ("today", "2026-11-25"),
        ("tomorrow", "2026-11-26"),
        ("next tuesday", "2026-12-01"),
        ("Next Thursday", "2026-11-26"),
        ("next wednesday", "2026-12-02"),
        ("in 3 days", "2026-11-28"),
        ("in 1 day", "2026-11-26"),
        ("Baker", "Baker"),
    ],
)
def test_a_day_is_counted_from_the_call(text: str, day: str) -> None:
    assert resolve_day(text, WEDNESDAY) == day


@pytest.mark.parametrize(
    ("value", "spoken"),
    [
        ("10:30", "ten thirty"),
        ("09:00", "nine o'clock"),
        ("2026-12-01T09:15:00", "nine fifteen"),
        ("16:45", "four forty-five"),
        ("00:05", "twelve oh five"),
    ],
)
def test_a_time_is_said_as_people_say_it(value: str, spoken: str) -> None:
    assert spoken_time(value) == spoken


@pytest.mark.parametrize(
    ("data", "complaint"),
    [
        (script({"caler": "Hi."}), "x.toml: turn 1: .*`caler`"),
        (script({"agent": "Hi."}, notes="?"), "x.toml: .*`notes`"),
        (script({"agent": "Hi."}, {"agent": "It is {{ hour }}."}), "turn 2: .*hour"),
        (script({"agent": "Hi {{"}), "turn 1: .*no template"),
        (script({"caller": "Hi.", "preamble": "Well."}), "turn 1: `preamble`"),
        (script({"waits_ms": 5}), "turn 1: expected one of"),
        (script({"caller": "Hi.", "waits_ms": -5}), "turn 1: .*waits_ms"),
        (script({"keys": "12a"}), "turn 1: .*keys"),
        (script(), "at least one"),
        (script({"agent": "Hi."}, caller={"number": "0133"}), r"caller\.number"),
    ],
)
def test_what_is_wrong_is_named(data: dict[str, Any], complaint: str) -> None:
    with pytest.raises(SetupError, match=complaint):
        parse(data, "x.toml")


def test_a_later_turn_may_use_what_an_earlier_tool_saved() -> None:
    tool = {"name": "free_slots", "save": "free"}
    parse(script({"caller": "Hi.", "tools": [tool], "agent": "{{ free }}"}, {"caller": "{{ free }}?"}), "x.toml")
    with pytest.raises(SetupError, match=r"turn 1: .*free"):
        parse(script({"caller": "Hi.", "preamble": "{{ free }}", "tools": [tool]}), "x.toml")


def test_a_template_cannot_reach_out_of_its_box() -> None:
    with pytest.raises(SetupError, match="unsafe"):
        render("{{ ''.__class__.__mro__ }}", {})


def test_a_file_that_is_no_toml_is_named(tmp_path: Path) -> None:
    path = tmp_path / "broken.toml"
    path.write_text("title = ")
    with pytest.raises(SetupError, match=r"broken\.toml"):
        load(path)
