"""The matrix as data: complete, described, and shown as it is."""

import pytest

from app.chaos import soak
from app.chaos.fault import LIMIT_MS
from app.chaos.matrix import BY_NAME, MATRIX, chosen, table
from app.cli import main
from app.errors import SetupError
from app.settings import ROOT


def test_there_are_more_than_forty_faults_each_with_a_name_of_its_own() -> None:
    assert len(MATRIX) == len(BY_NAME) > 40
    assert {fault.group for fault in MATRIX} == {"model", "carrier", "database", "process", "disk", "clock"}
    assert all(fault.name.startswith(fault.group.split("-", 1)[0]) for fault in MATRIX)


def test_a_longer_silence_than_usual_has_its_reason() -> None:
    assert [fault.name for fault in MATRIX if (fault.limit_ms != LIMIT_MS) is not bool(fault.why_longer)] == []


def test_something_is_wrong_in_every_fault() -> None:
    plain = [
        fault.name
        for fault in MATRIX
        if fault.act is None
        and fault.before is None
        and not fault.gone
        and fault.quirks == type(fault.quirks)()
        and fault.model == type(fault.model)()
        and fault.dialect == "ga"
    ]
    assert plain == []


def test_the_guide_shows_the_matrix_as_it_is() -> None:
    assert table() in (ROOT / "docs" / "chaos.md").read_text(encoding="utf-8")


def test_faults_are_chosen_by_name_and_by_group_in_the_order_of_the_matrix() -> None:
    names = [fault.name for fault in chosen(["clock", "model-stall", "disk"])]
    assert names == ["model-stall", "disk-full", "disk-full-database-gone", "clock-jump"]
    assert chosen([]) == list(MATRIX)
    assert [fault.name for fault in chosen(["process"], quick=True)] == ["process-killed", "process-frozen"]
    with pytest.raises(SetupError, match="expected faults or groups"):
        chosen(["databse"])


def test_what_cannot_be_asked_for_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    for wrong, why in (
        (["--jobs", "0"], "expected 1 or more"),
        (["--calls", "0"], "expected 1 or more"),
        (["--calls", "5", "--quick"], "is a soak"),
        (["--only", "nothing"], "expected faults or groups"),
        (["--only", "clock", "--quick"], "none of these is in it"),
    ):
        assert main(["chaos", *wrong]) == 1
        assert why in capsys.readouterr().err


def test_the_list_names_every_fault(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["chaos", "--list"]) == 0
    assert [text.split()[0] for text in capsys.readouterr().out.splitlines()] == [fault.name for fault in MATRIX]


def _look(
    calls: int,
    *,
    rss_kb: int = 90_000,
    tasks: int = 30,
    files: int = 30,
    turns: int | None = None,
    seconds: float = 999.0,
) -> soak.Look:
    rows = {"calls": calls, "turns": calls if turns is None else turns}
    return soak.Look(calls=calls, seconds=seconds, rss_kb=rss_kb, tasks=tasks, files=files, rows=rows)


def test_a_soak_is_flat_and_exact_or_says_what_is_not() -> None:
    flat = [_look(100), _look(200), _look(300, rss_kb=90_050)]
    assert soak.judge(flat) == []
    assert soak.judge([_look(100, tasks=1, files=1), *flat[1:]]) == [], "the first calls fill caches"
    short = [_look(100 * n, rss_kb=90_000 + 9_000 * n, seconds=30.0 * n) for n in range(1, 5)]
    assert (soak.judge(short), soak.settled(short)) == ([], []), "calls that are over are remembered for a while"
    assert "memory grew by 5120 bytes a call" in soak.judge([*flat[:2], _look(300, rss_kb=91_000)])[0]
    assert soak.judge([*flat[:2], _look(300, tasks=40)]) == ["tasks grew from 30 to 40"]
    assert soak.judge([*flat[:2], _look(300, files=40)]) == ["descriptors grew from 30 to 40"]
    assert soak.judge([*flat[:2], _look(300, turns=299)]) == ["after 300 calls there are 299 of turns"]
