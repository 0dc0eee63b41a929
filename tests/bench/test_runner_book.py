"""The book: what was not measured never becomes a figure, a target or a line of the page."""

import json
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest

import bench.book
from app.errors import SetupError
from bench import leaving, report, targets
from bench.book import Book, Row, Verdict
from bench.peers.environment import NOTES
from bench.targets import judge, show
from tests.bench.bench_parts import FACTS, book


def verdict(found: list[Verdict], what: str) -> Verdict:
    return next(one for one in found if what in one.what)


def test_an_empty_book_meets_no_target() -> None:
    found = judge(book())
    assert {one.verdict for one in found} == {"not measured"}
    assert {one.measured for one in found} == {""}
    assert all(one.why for one in found)
    assert len(found) >= 16


def test_a_bound_is_judged_by_our_median() -> None:
    assert verdict(judge(book(fast__webhooks__webhook_p50=2.9)), "webhook").verdict == "met"
    over = verdict(judge(book(fast__webhooks__webhook_p50=3.1)), "webhook")
    assert (over.verdict, over.measured, over.target) == ("not met", "3.10 ms [1 round]", "<= 3 ms")


def test_the_model_s_own_time_is_taken_off_a_cold_greeting() -> None:
    cold = book(**{"fast__greeting_cold__stream_start_to_first_audio,_p99": 607.5})
    assert verdict(judge(cold), "greeting cold").measured.startswith("7.50 ms")


def test_a_ratio_is_of_the_same_run() -> None:
    both = book(fast__steady_150__CPU_per_message=30.0, floor__steady_150__CPU_per_message=20.0)
    assert verdict(judge(both), "by the floor's").verdict == "met"
    assert verdict(judge(both), "stretch").verdict == "not met"
    twin = verdict(judge(both), "CPU per message by the sample twin's")
    assert (twin.verdict, twin.measured) == ("not measured", "")
    assert "sample was not measured in this run" in twin.why


def test_a_figure_that_is_missing_tells_its_reason() -> None:
    tired = book(fast__steady_150__CPU_per_message=30.0, floor__steady_150__CPU_per_message=None)
    assert verdict(judge(tired), "by the floor's").why == "it was tired"
    skipped = book(fast__steady_150__CPU_per_message=30.0)
    skipped.skipped["floor"] = "no compiler"
    assert verdict(judge(skipped), "by the floor's").why == "floor was skipped"


def test_every_peer_s_means_those_that_were_measured_and_names_the_others() -> None:
    found = judge(book(fast__steady_150__up_p99=0.2, sample__steady_150__up_p99=0.5, agents__steady_150__up_p99=40.0))
    mine = verdict(found, "150 calls, up, by every")
    assert mine.verdict == "met"
    assert "lowest peer sample: 0.50 ms" in mine.measured
    assert "without pipecat" in mine.why
    assert verdict(found, "150 calls, down, by every").verdict == "not measured"


def test_a_round_that_gave_nothing_stays_empty_between_those_that_did() -> None:
    made = book()
    row = Row("cpu", "steady 150", "CPU per message", "us", "fast")
    for number, value in ((0, 10.0), (1, None), (2, 30.0)):
        made.put(row, number, value, "" if value else "the load lagged")
    kept = made.row("steady 150", "CPU per message", "fast")
    assert kept is not None
    assert kept.rounds == [10.0, None, 30.0]
    assert kept.spread is not None
    assert (kept.spread.median, kept.spread.rounds, kept.why) == (20.0, 2, "")


def test_the_json_is_what_its_page_says(tmp_path: Path) -> None:
    made = book(fast__steady_150__up_p99=0.2, floor__steady_150__up_p99=None)
    made.targets = judge(made)
    leaving.write_json(made, tmp_path / "book.json")
    raw = json.loads((tmp_path / "book.json").read_text())
    indented = [line[4:] for line in (bench.book.__doc__ or "").splitlines() if line.startswith("    ")]
    documented = {line.split()[0] for line in indented if line[0] != " "}
    assert set(raw) == documented
    assert raw["schema"] == 1
    assert raw["rows"][0]["spread"] == {"median": 0.2, "low": 0.2, "high": 0.2, "rounds": 1}
    assert (raw["rows"][1]["spread"], raw["rows"][1]["why"]) == (None, "it was tired")
    assert msgspec.convert(raw, Book) == made


def test_a_json_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    with pytest.raises(SetupError, match="expected to write"):
        leaving.write_json(book(), tmp_path / "missing" / "book.json")


def test_the_terminal_shows_not_measured_and_the_reason_instead_of_a_figure() -> None:
    made = book(fast__steady_150__CPU_per_message=30.0, floor__steady_150__CPU_per_message=None)
    made.skipped["pipecat"] = "there is no wheel"
    made.targets = judge(made)
    text = report.text(made)
    assert "30.0 [1 round]" in text
    assert "not measured: floor, steady 150: it was tired" in text
    assert "skipped: pipecat: there is no wheel" in text


def test_the_terminal_tells_what_was_measured_and_by_which_command() -> None:
    made = book(fast__steady_150__up_p99=0.2)
    made.command = "./offhook bench --part latency"
    made.machine = {**FACTS, "Offhook": "0123456789 with changes", "uvloop": "9.8.7"}
    head = report.text(made).partition("steady 150")[0]
    for told in ("./offhook bench --part latency", "Offhook 0123456789 with changes", "uvloop 9.8.7"):
        assert told in head


@pytest.mark.parametrize("shown", [report.text, lambda made: "\n".join(leaving.section(made, []))])
def test_what_a_peer_s_figures_mean_is_said_of_those_that_have_some(shown: Callable[[Book], str]) -> None:
    text = shown(book(fast__steady_150__up_p99=0.2, agents__steady_150__up_p99=40.0, pipecat__steady_150__up_p99=None))
    assert f"agents: {NOTES['agents']}" in text
    assert NOTES["pipecat"] not in text
    assert NOTES["sample"] not in text


def test_the_ratio_by_the_floor_stands_beside_a_cpu_figure() -> None:
    text = report.text(book(fast__steady_150__CPU_per_message=30.0, floor__steady_150__CPU_per_message=20.0))
    assert "30.0 [1 round] (1.50x)" in text


def test_numbers_have_three_digits_that_count() -> None:
    assert [targets.number(value) for value in (0.1234, 12.345, 123.4, 1234.5)] == ["0.12", "12.3", "123", "1234"]
    made = book(fast__a__b=1.5)
    row = made.row("a", "b", "fast")
    assert row is not None
    assert row.spread is not None
    assert show(row.spread, "x") == "1.50x [1 round]"


def test_the_page_is_written_between_its_markers_alone(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text(f"# Latency\n\nby hand\n\n{leaving.BEGIN}\nof yesterday\n{leaving.END}\n\nalso by hand\n")
    made = book(fast__steady_150__CPU_per_message=30.0, floor__steady_150__CPU_per_message=None)
    made.targets = judge(made)
    leaving.update_docs(made, ["cpu.svg"], page)
    text = page.read_text()
    assert text.startswith("# Latency\n\nby hand\n")
    assert text.endswith("also by hand\n")
    assert "of yesterday" not in text
    assert "![CPU per message by subject](bench/cpu.svg)" in text
    assert "| steady 150 | CPU per message, ms | 30.0 [1 round] | not measured |" in text
    leaving.update_docs(made, ["cpu.svg"], page)
    assert page.read_text() == text


def test_a_page_without_markers_is_left_alone(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("by hand")
    with pytest.raises(SetupError, match="expected the lines"):
        leaving.update_docs(book(), [], page)
    assert page.read_text() == "by hand"
