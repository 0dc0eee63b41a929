"""Many rehearsals in one table: a script a row, models side by side, and the verdict that the exit code follows."""

from app.commands.comparison import summarise, table, verdict
from app.core.rows import ToolCall
from app.sim.budgets import USUAL, exceeded
from app.sim.report import Report, Turnaround


def report(script: str, model: str, greeting_ms: int, *, tool_ms: int = 10, **more: object) -> Report:
    made = Report(script=script, model=model, greeting_ms=greeting_ms, seconds=10.5, **more)  # type: ignore[arg-type]
    made.turnarounds = [Turnaround(answered_ms=700, cut_ms=80), Turnaround(answered_ms=900, cut_ms=None)]
    made.tool_calls = [
        ToolCall(call_sid="CA1", seq=0, name="look", arguments="{}", result="{}", status="ok", ms=tool_ms)
    ]
    made.over_budget = exceeded(USUAL, made.figures())
    return made


def test_a_models_calls_come_to_median_spread_and_count() -> None:
    calls = [report("one", "m", 200), report("two", "m", 300, tool_ms=9000), report("three", "m", 700)]
    summary = summarise("m", calls, USUAL)
    assert (summary.greeting_ms, summary.greeting_spread_ms) == (300, 500)
    assert (summary.barge_in_ms, summary.answer_ms, summary.tool_ms) == (80, 800, 10)
    assert (summary.calls, summary.good, summary.ok) == (3, 2, False)
    assert summary.over_budget == []


def test_greetings_that_are_slow_in_the_median_or_far_apart_are_over_budget() -> None:
    slow = summarise("m", [report("one", "m", 1600), report("two", "m", 1700)], USUAL)
    assert slow.over_budget == ["expected a greeting within 1500 ms, got 1650 ms"]
    apart = summarise("m", [report("one", "m", 100), report("two", "m", 1200)], USUAL)
    assert apart.over_budget == ["expected greetings no more than 1000 ms apart, got 1100 ms"]
    assert not apart.ok


def test_a_model_that_is_out_of_order_on_purpose_does_not_count_for_the_greetings() -> None:
    calls = [report("one", "", 200), report("keys", "", 2100, faulty_model=True)]
    assert summarise("", calls, USUAL).greeting_spread_ms == 0


def test_one_model_is_a_plain_table() -> None:
    calls = [report("one", "", 200), report("two", "", 300, faults=["expected this, got that"])]
    text = table(calls, [summarise("", calls, USUAL)], jobs=1)
    rows = {line.split()[0]: line.split() for line in text.splitlines()}
    assert rows["one"] == ["one", "200", "80", "800", "10", "0", "ok"]
    assert rows["two"] == ["two", "300", "80", "800", "10", "0", "FAULT"]
    assert rows["median"][-6:] == ["250", "80", "800", "10", "0", "1/2"]
    assert text.endswith("NOT all expectations and budgets hold")
    assert "side by side" not in text


def test_two_models_stand_side_by_side() -> None:
    calls = [report("one", "old", 200), report("one", "new", 300), report("two", "old", 210), report("two", "new", 310)]
    summaries = [summarise(model, [call for call in calls if call.model == model], USUAL) for model in ("old", "new")]
    text = table(calls, summaries, jobs=4)
    assert text.startswith("A = old\nB = new\n")
    rows = {line.split()[0]: line.split() for line in text.splitlines()}
    assert rows["one"] == ["one", "200", "300", "80", "80", "800", "800", "10", "10", "0", "0", "ok", "ok"]
    assert rows["two"][1:3] == ["210", "310"]
    assert "up to 4 calls ran side by side" in text
    assert text.endswith("all expectations hold, within the budgets")


def test_a_calls_verdict_says_everything_that_is_wrong_with_it() -> None:
    bad = report("one", "m", 2000, faults=["expected this, got that"], untrue=['"Booked." was said'])
    assert verdict(bad).splitlines() == [
        "FAULT one m: 10.5 s",
        "      FAULT: expected this, got that",
        "      OVER BUDGET: expected a greeting within 1500 ms, got 2000 ms",
        "      OVER BUDGET: expected 0 lines that claim what no tool has done, got 1",
        '      UNTRUE: "Booked." was said',
    ]
    assert verdict(report("one", "", 200)) == "ok    one 10.5 s"
