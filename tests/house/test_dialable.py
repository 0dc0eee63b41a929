"""Numbers that pay their owners by the minute are no desk's, unless somebody allowed it by name."""

from pathlib import Path

import pytest

from app.errors import SetupError
from app.rules.dialable import dear
from app.settings import load

DESK = '[business.desks.sales]\nnumber = "{}"\n'


@pytest.mark.parametrize(
    "number",
    ["+19002345678", "+19005550123", "+19761234567", "+449098790000", "+33899123456", "+88216123456", "+979123456789"],
)
def test_a_number_that_costs_more_than_a_call_is_refused_for_a_desk_until_it_is_allowed(
    tmp_path: Path, number: str
) -> None:
    assert dear(number)
    file = tmp_path / "offhook.toml"
    file.write_text(DESK.format(number))
    with pytest.raises(SetupError, match=r"business\.desks\.sales\.number: .*toll = true"):
        load({}, root=tmp_path)
    with pytest.raises(SetupError, match="HUMAN_TRANSFER_NUMBER"):
        load({"HUMAN_TRANSFER_NUMBER": number}, root=tmp_path / "nowhere")
    file.write_text(DESK.format(number) + "toll = true\n")
    assert load({}, root=tmp_path).office.desks["sales"].number == number


def test_a_number_whose_country_there_is_not_is_refused_in_words(tmp_path: Path) -> None:
    (tmp_path / "offhook.toml").write_text(DESK.format("+9991234567"))
    with pytest.raises(SetupError, match="no country") as refused:
        load({"HUMAN_TRANSFER_NUMBER": "+2101234567"}, root=tmp_path)
    assert "HUMAN_TRANSFER_NUMBER: expected" in str(refused.value)


@pytest.mark.parametrize("number", ["+14155550170", "+442079460000", "+493023125000", "+18005550100", "+18765551234"])
def test_ordinary_and_foreign_numbers_are_the_business_s_own_choice(tmp_path: Path, number: str) -> None:
    (tmp_path / "offhook.toml").write_text(DESK.format(number))
    assert load({"HUMAN_TRANSFER_NUMBER": number}, root=tmp_path).office.desks["sales"].number == number
