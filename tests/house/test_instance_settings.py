"""Settings of a process among others: its name, its connections to Postgres, its port for figures."""

from pathlib import Path

import pytest

from app.errors import SetupError
from app.settings import load


def test_a_process_is_called_what_the_operator_says_but_on_fly_it_is_the_machine(tmp_path: Path) -> None:
    assert load({}, root=tmp_path).instance == ""
    assert load({"INSTANCE": "one"}, root=tmp_path).instance == "one"
    assert load({"INSTANCE": "one", "FLY_MACHINE_ID": "m1"}, root=tmp_path).instance == "one", "no app of Fly's"
    assert load({"INSTANCE": "one", "FLY_MACHINE_ID": "m1", "FLY_APP_NAME": "a"}, root=tmp_path).instance == "m1"


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        ("INSTANCE", "a.b", "letters, digits, - or _"),
        ("INSTANCE", "x" * 65, "1 to 64"),
        ("DATABASE_CONNECTIONS", "1", "from 2 to 1000"),
        ("METRICS_PORT", "8000", "another port than PORT"),
    ],
)
def test_what_cannot_be_is_refused(tmp_path: Path, name: str, value: str, expected: str) -> None:
    with pytest.raises(SetupError, match=expected):
        load({name: value}, root=tmp_path)
