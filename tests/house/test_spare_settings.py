"""SPARE_LINKS and PRIME_MODEL: their defaults, their bounds, and how old a spare link may become."""

from pathlib import Path

import pytest

from app.errors import SetupError
from app.main import _spare_times
from app.settings import load


def test_two_spare_links_and_no_priming_unless_told_otherwise(tmp_path: Path) -> None:
    settings = load({}, root=tmp_path)
    assert (settings.spare_links, settings.prime_model) == (2, False)
    settings = load({"SPARE_LINKS": "0", "PRIME_MODEL": "on"}, root=tmp_path)
    assert (settings.spare_links, settings.prime_model) == (0, True)


@pytest.mark.parametrize(("name", "value"), [("SPARE_LINKS", "-1"), ("SPARE_LINKS", "101"), ("PRIME_MODEL", "yes")])
def test_anything_else_is_refused_with_what_was_expected(tmp_path: Path, name: str, value: str) -> None:
    with pytest.raises(SetupError, match=f"{name}: expected .* got '{value}'"):
        load({name: value}, root=tmp_path)


@pytest.mark.parametrize(("longest_call", "renewed"), [("1800", 1500), ("600", 1500), ("2700", 600), ("86400", 1500)])
def test_the_longest_call_fits_into_what_is_left_of_a_session_s_hour_where_it_can_at_all(
    tmp_path: Path, longest_call: str, renewed: float
) -> None:
    assert _spare_times(load({"MAX_CALL_SECONDS": longest_call}, root=tmp_path)).renew == renewed
