"""The bench as a whole, on small loads: what is skipped, what a whole small run gives, what the command refuses."""

import contextlib
import json
import re
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from app import cli
from app.errors import SetupError
from bench import leaving, report, subjects
from bench.book import Row
from bench.measuring import Measured, Trial, measure
from bench.parts import CELLS, GROUPS, PARTS, carried
from bench.running import Bench, Wanted
from bench.subjects import SUBJECTS, Subject, running
from bench.surroundings import PYTHON, Site, site
from tests.bench.bench_parts import ASLEEP, GOOD, LATE, SCRIPTED, Idler


@pytest.fixture
def lonely(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A machine without a compiler, and with a cache of its own."""
    monkeypatch.setenv("CXX", "/no/such/cxx")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path


def scripted(here: Site, folder: Path, results: Sequence[dict[str, Any]] = ()) -> None:
    (folder / "results.jsonl").write_text("".join(json.dumps(result) + "\n" for result in results))
    here.load([sys.executable, str(SCRIPTED), str(folder / "results.jsonl")])


def test_what_cannot_be_built_or_installed_is_skipped_by_name(lonely: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(name: str) -> list[str]:
        raise SetupError(f"{name} has no wheel for this machine")

    monkeypatch.setattr("bench.packages.peer", refuse)
    with site() as here:
        scripted(here, lonely)
        bench = Bench(here, here.load(), Wanted(("cpu",), ("floor", "sample", "echo")))
        assert [subject.name for subject in bench.prepare()] == ["echo"]
        book = bench.book
    assert list(book.skipped) == ["floor", "sample"]
    assert "no wheel for this machine" in book.skipped["sample"]
    assert book.rows == []


def test_without_a_compiler_the_load_is_python_and_says_so(lonely: Path) -> None:
    with site() as here:
        load = here.load()
        assert load.model_port > 0
        assert here.load_kind == "Python"
        assert "a plain Python load takes its place" in here.skipped["native load"]
        folder = here.folder
    assert not folder.exists()
    assert not load.child.alive


def test_a_whole_small_run_carries_every_stamped_frame_both_ways(lonely: Path) -> None:
    """The Python load through the bare relay: two programs of ours and their language, over real sockets."""
    trial = Trial("small", SMALL, pacing_us=1e9)
    with site() as here:
        load = here.load()
        with running(SUBJECTS["echo"], [*PYTHON, "bench.echo"], here) as target:
            measured = measure(load, "echo", target, trial, thrown=[])
            again = measure(load, "echo", target, trial, thrown=[])
    for one in (measured, again):
        assert (one.result.connected, one.result.failed, one.result.protocol_errors) == (4, 0, [])
        assert carried_all(one)
        assert one.result.up.received == one.result.up.sent >= 20
        assert one.result.messages.down >= 4
        assert one.result.down.received == one.result.down.sent >= 20
        assert 0 < one.result.up.p50_us <= one.result.up.p99_us <= one.result.up.max_us
        assert one.cpu_s > 0


SMALL: dict[str, str | int | float] = {
    "scenario": "steady", "calls": 4, "ramp_per_s": 50, "warmup_s": 0.3, "window_s": 1,
    "every_ms": 800, "reply_ms": 400, "delta_ms": 100, "delta_gap_ms": 20,
}  # fmt: skip


def carried_all(measured: Measured) -> bool:
    return not any(
        getattr(way, fault)
        for way in (measured.result.up, measured.result.down)
        for fault in ("lost", "reordered", "duplicated", "crosstalk")
    )


def test_the_python_load_refuses_what_it_cannot_play(lonely: Path) -> None:
    from bench.load import NotMeasured

    with site() as here:
        load = here.load()
        with pytest.raises(NotMeasured, match="plays scenario=steady"):
            load.run({"scenario": "greeting", "stream": "ws://127.0.0.1:9"})
        with pytest.raises(NotMeasured, match="expected webhook= or stream="):
            load.run({"scenario": "steady"})
        with pytest.raises(NotMeasured, match="no call got through"):
            load.run({"scenario": "steady", "calls": 1, "stream": "ws://127.0.0.1:9/"})


def test_no_setting_of_the_operator_s_reaches_a_bench(lonely: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Site, "database_url", lambda self: "postgresql://nowhere/x")
    with site() as here:
        scripted(here, lonely)
        environment = subjects._environment(here, 8123, "token", lonely)
    from app.settings import ENVIRONMENT

    assert set(ENVIRONMENT) <= set(environment)
    assert environment["OPENAI_API_KEY"] == environment["PUBLIC_URL"] == ""
    assert environment["REALTIME_URL"] == "ws://127.0.0.1:4711/v1/realtime"


def test_every_part_has_cells_or_a_way_of_its_own() -> None:
    assert set(PARTS) - {cell.part for cell in CELLS} == {"ladder", "startup", "soak"}
    assert {cell.part for cell in CELLS} <= set(PARTS)
    trials: dict[str, Any] = {}
    for cell in CELLS:  # two cells of one trial share its run
        assert trials.setdefault(cell.trial.name, cell.trial) == cell.trial


def test_every_part_is_in_a_group_and_subjects_take_turns_in_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert sorted(part for group in GROUPS for part in group) == sorted(set(PARTS) - {"soak"})
    done: list[tuple[int, str, tuple[str, ...]]] = []
    monkeypatch.setattr(Bench, "prepare", lambda self: {SUBJECTS[name]: [] for name in self.wanted.subjects})
    monkeypatch.setattr(
        Bench, "_group", lambda self, subject, command, wanted, number: done.append((number, subject.name, wanted))
    )
    with site() as here:
        scripted(here, tmp_path)
        Bench(here, here.load(), Wanted(("memory", "latency", "cpu"), ("fast", "echo"), 2)).run()
    assert done == [
        (number, subject, parts)
        for number in (0, 1)
        for parts in (("memory",), ("cpu", "latency"))
        for subject in ("fast", "echo")
    ]


def test_a_bench_that_is_ended_early_tells_what_it_has_and_that_some_is_missing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def group(bench: Bench, subject: Subject, command: list[str], wanted: Sequence[str], number: int) -> None:
        if number == 1:
            raise KeyboardInterrupt
        bench.book.put(Row("cpu", "steady 150", "CPU per message", "us", subject.name), number, 30.0)

    monkeypatch.setattr(Bench, "prepare", lambda self: {SUBJECTS[name]: [] for name in self.wanted.subjects})
    monkeypatch.setattr(Bench, "_group", group)
    with site() as here:
        scripted(here, tmp_path)
        book = Bench(here, here.load(), Wanted(("cpu",), ("fast", "echo"), 2)).run()
    assert (book.stopped, [row.rounds for row in book.rows]) == (True, [[30.0], [30.0]])
    for shown in (report.text(book), "\n".join(leaving.section(book, []))):
        assert report.STOPPED in shown


@contextlib.contextmanager
def idling(self: Bench, subject: Subject, command: list[str], variant: str) -> Iterator[Idler]:
    """In place of a subject's start."""
    yield Idler(subject=subject)


def test_a_ladder_that_a_late_load_ended_says_how_far_it_came(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Bench, "prepare", lambda self: {SUBJECTS["sample"]: []})
    monkeypatch.setattr(Bench, "_started", idling)
    monkeypatch.setattr("bench.running.settle", lambda target: None)
    lost = {**LATE, "up": {"sent": 9, "received": 8, "lost": 1}}
    with site() as here:
        scripted(here, tmp_path, [GOOD, lost, lost])
        book = Bench(here, here.load(), Wanted(("ladder",), ("sample",), 1, tries=2)).run()
    (row,) = book.rows
    assert row.rounds == [None]
    assert "9.0 ms late" in row.why
    assert "2 times, at 100 calls; 50 were carried" in row.why


def test_a_run_is_begun_as_often_as_was_wanted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Bench, "prepare", lambda self: {SUBJECTS["sample"]: []})
    monkeypatch.setattr(Bench, "_started", idling)
    monkeypatch.setattr("bench.running.settle", lambda target: None)
    found: list[list[float | None]] = []
    for tries in (1, 2):
        with site() as here:
            scripted(here, tmp_path, [ASLEEP, GOOD])
            book = Bench(here, here.load(), Wanted(("cpu",), ("sample",), 1, tries=tries)).run()
        found.append(next(row.rounds for row in book.rows if row.figure == "CPU per message"))
    assert found == [[None], [1000.0]]


def test_a_rung_fails_by_one_lost_frame_or_by_its_lateness() -> None:
    from bench.load import Result, Way
    from bench.usage import Usage

    nothing = Usage(0, 0, 0, 0, 0)

    def rung(**more: Any) -> Measured:
        return Measured(Result("steady", 10, **{"connected": 10, **more}), nothing, nothing, nothing)

    assert carried(rung())
    assert not carried(rung(up=Way(lost=1)))
    assert not carried(rung(down=Way(crosstalk=1)))
    assert not carried(rung(down=Way(p99_us=20_000)))
    assert not carried(rung(connected=9))


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--part", "cpu,speed"], r"--part: expected some of cpu, .*; got 'speed'"),
        (["--subject", "slow"], r"--subject: expected some of fast, .*; got 'slow'"),
        (["--rounds", "0"], "--rounds: expected 1 or more, got 0"),
        (["--tries", "0"], "--tries: expected 1 or more, got 0"),
        (["--minutes", "-1"], "--minutes: expected the length of a soak, got -1"),
        (["--part", "soak"], "--part soak: expected --minutes with it"),
        (["--quick", "--part", "cpu"], "--quick measures one thing"),
    ],
)
def test_what_cannot_be_asked_for_is_refused(words: list[str], said: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["bench", *words]) == 1
    assert re.search(said, capsys.readouterr().err)


def test_help_has_an_example_and_list_all_names(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as end:
        cli.main(["bench", "--help"])
    assert end.value.code == 0
    assert "example: ./offhook bench" in capsys.readouterr().out
    assert cli.main(["bench", "--list"]) == 0
    listed = capsys.readouterr().out
    assert all(name in listed for name in (*PARTS, *SUBJECTS))
