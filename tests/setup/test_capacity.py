"""docs/capacity.md: its tables are what the tool makes of today's code and bench, and the plan counts as the page says."""

import pytest

from tools.capacity import CALLS, PAGE, Plan, benched, constants, plan, shown, written


def test_the_page_has_the_tables_of_today() -> None:
    page = PAGE.read_text()
    assert page == written(page), (
        "run .venv/bin/python tools/capacity.py --write, and read what the page says of its tables"
    )


def test_a_page_without_marks_is_refused() -> None:
    with pytest.raises(ValueError, match=r"once in capacity\.md, found 0"):
        written("# Capacity\n")


@pytest.mark.parametrize("calls", CALLS)
def test_one_machine_may_be_away_and_the_rest_takes_its_calls(calls: int) -> None:
    one, has = plan(calls), constants()
    left = one.machines - 1
    assert left >= 1
    assert left * one.calls_a_machine >= calls
    assert one.calls_a_machine <= has["max_calls"].value
    assert one.calls_a_machine * has["core"].value * has["tls"].value / 150 <= has["full"].value
    assert one.files < 65_536, "LimitNOFILE of deploy/offhook@.service"
    assert one.memory_gb < 2, "the machine of fly.toml"


def test_what_grows_with_calls_grows_with_calls() -> None:
    ten, hundred = plan(10), plan(100)
    for name in ("egress_mbit", "writes", "gb_a_day", "tokens_a_minute", "model_usd", "phone_usd", "postgres_cores"):
        assert getattr(hundred, name) == pytest.approx(10 * getattr(ten, name)), name


def test_a_dearer_constant_makes_a_dearer_plan() -> None:
    has = constants()
    slow = {**has, "core": has["core"]._replace(value=2 * has["core"].value)}
    assert plan(1_000, slow).machines > plan(1_000, has).machines
    long = {**has, "minutes": has["minutes"]._replace(value=6)}
    assert plan(1_000, long).new_calls == pytest.approx(plan(1_000, has).new_calls / 2)
    assert plan(1_000, long).model_usd == plan(1_000, has).model_usd, "minutes are paid, not calls"


def test_each_figure_of_the_bench_is_read_from_its_page_or_missed_by_name() -> None:
    assert 0 < benched("steady 150 core used, %") < 100
    with pytest.raises(ValueError, match=r"\./offhook bench --update-docs"):
        benched("steady 151 core used, %")


@pytest.mark.parametrize(
    ("number", "text"),
    [(0, "0"), (0.01234, "0.012"), (99.4, "99"), (123.4, "123"), (123_456.0, "123,000"), (1e9, "1,000,000,000")],
)
def test_numbers_are_shown_with_the_figures_that_count(number: float, text: str) -> None:
    assert shown(number) == text


def test_every_line_of_the_plan_is_shown() -> None:
    page = PAGE.read_text()
    assert len([line for line in page.splitlines() if line.count("|") == len(CALLS) + 2]) == len(Plan._fields) + 1
