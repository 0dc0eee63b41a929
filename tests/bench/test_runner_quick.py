"""The quick bench, on a load that plays a script: which runs count, and what passes."""

import contextlib
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from bench import quick
from bench.book import Row
from bench.quick import Cost
from bench.subjects import SUBJECTS, Subject
from tests.bench.bench_parts import GOOD, Idler, book, scripted


def costs(*us: float, quiet: bool = True) -> list[Cost]:
    return [Cost(one, quiet) for one in us]


def test_quick_passes_only_a_ratio_that_was_measured_and_is_under_a_ceiling() -> None:
    ceilings = quick.CEILINGS
    under = quick.Quick({"fast": costs(10 * ceilings["floor"] - 1), "floor": costs(10)}, "")
    over = quick.Quick({"fast": costs(10 * ceilings["floor"] + 1), "floor": costs(10)}, "")
    none = quick.Quick({"fast": [], "floor": costs(10)}, "the load lagged")
    alone = quick.Quick({"fast": costs(10)}, "")
    assert [one.passed for one in (under, over, none, alone)] == [True, False, False, False]
    assert "NOT under 2.35x" in str(over)
    assert str(none) == "not measured: the load lagged"


def test_quick_forgives_a_slow_host_that_slows_all_python_but_not_what_slows_us_alone() -> None:
    slow_host = quick.Quick({"fast": costs(130), "floor": costs(40), "echo": costs(90)}, "")
    slow_lane = quick.Quick({"fast": costs(130), "floor": costs(40), "echo": costs(70)}, "")
    assert [slow_host.passed, slow_lane.passed] == [True, False]
    assert "3.25x by the floor's (NOT under 2.35x), 1.44x by the echo's (under 1.6x)" in str(slow_host)
    assert "see what changed there" in str(slow_lane)


def test_quick_judges_by_the_least_of_the_rounds_since_what_else_runs_only_adds() -> None:
    found = quick.Quick({"fast": costs(40, 19, 55), "floor": costs(30, 10, 12, quiet=False)}, "")
    assert found.passed
    assert "the least of 3 rounds each: 1.90x by the floor's" in str(found)
    assert "The machine was busy" in str(found)
    assert "busy" not in str(quick.Quick({"fast": costs(19), "floor": costs(10)}, ""))


def test_quick_counts_no_run_in_which_calls_failed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    @contextlib.contextmanager
    def idling(subject: Subject, command: list[str], site: object) -> Iterator[Idler]:
        yield Idler(subject=subject)

    monkeypatch.setattr(quick, "running", idling)
    monkeypatch.setattr(quick, "settle", lambda target: None)
    monkeypatch.setattr(quick, "ROUNDS", 2)
    missed: dict[str, Any] = {**GOOD, "connected": 9, "messages": {"up": 1, "down": 1}}
    rounds = [GOOD, GOOD, missed, GOOD]
    with scripted(tmp_path, [GOOD, GOOD, *rounds]) as load:
        bench: Any = SimpleNamespace(
            prepare=lambda: {SUBJECTS[name]: [] for name in ("fast", "echo")},
            site=SimpleNamespace(load_kind="native"),
            load=load,
            book=book(),
        )
        found = quick.quick(bench)
    assert (found.rounds, found.ratios) == (1, {"echo": 1.0})
    assert found.why == "only 9 of 10 calls were carried to their end"
    ours: list[Row] = [row for row in bench.book.rows if row.subject == "fast"]
    assert [row.rounds for row in ours] == [[1000.0, None], [100.0, None]]
