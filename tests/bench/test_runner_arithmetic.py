"""Medians, ratios and the search for a limit."""

import pytest

from bench.arithmetic import Limit, Spread, limit, percentile, ratios, spread
from bench.soaking import slope


def test_a_percentile_is_a_value_that_was_measured() -> None:
    values = [float(value) for value in range(1, 101)]
    assert [percentile(values, share) for share in (0.5, 0.99, 0.999, 1.0)] == [50, 99, 100, 100]
    assert percentile([7.0], 0.5) == 7


def test_a_percentile_of_nothing_is_refused() -> None:
    with pytest.raises(ValueError, match="at least one value"):
        percentile([], 0.5)


def test_a_spread_has_the_middle_and_the_ends() -> None:
    assert spread([3.0, 1.0, 8.0]) == Spread(3.0, 1.0, 8.0, 3)
    assert spread([]) is None


def test_ratios_are_of_the_same_round_and_leave_out_what_one_side_lacks() -> None:
    assert ratios([2.0, None, 9.0, 8.0], [1.0, 5.0, None, 4.0]) == [2.0, 2.0]
    assert ratios([2.0], [0.0]) == []


@pytest.mark.parametrize(("true", "found"), [(137, 130), (49, 40), (150, 150), (3, 0)])
def test_a_limit_is_found_to_a_step_from_below(true: int, found: int) -> None:
    tried: list[int] = []

    def passes(calls: int) -> bool:
        tried.append(calls)
        return calls <= true

    got = limit(passes, (50, 100, 200, 400), step=10)
    assert not got.open_ended
    assert found <= got.most <= true
    assert true - got.most < 10
    assert len(tried) == len(set(tried)) <= 8


def test_a_ladder_that_never_fails_says_that_it_ended() -> None:
    assert limit(lambda calls: True, (50, 100), step=10) == Limit(100, open_ended=True)


def test_a_slope_is_of_the_nearest_line() -> None:
    assert slope([0, 1, 2, 3], [5, 7, 9, 11]) == pytest.approx(2)
    assert slope([0, 1, 2], [1, 1, 1]) == 0
