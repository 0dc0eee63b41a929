"""What a log may show of texts that others wrote: no value of a caller's comes out, and what helps to mend a fault does."""

from typing import Literal

import msgspec
import pytest

from app.errors import HouseError, ModelRefused, ToolError
from app.others_words import UNTOLD, misfit, one_word, traceback_of, untold

ZEBRA = "the zebra's stripes"


class _Wish(msgspec.Struct):
    desk: Literal["sales"]


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        (ValueError(ZEBRA), f"ValueError: {UNTOLD}"),
        (ToolError(ZEBRA), f"app.errors.ToolError: {UNTOLD}"),
        (ConnectionError(ZEBRA), f"ConnectionError: {UNTOLD}"),
        (TimeoutError(), "TimeoutError"),
        (FileNotFoundError(2, "No such file", ZEBRA), "FileNotFoundError: [Errno 2] No such file"),
        (HouseError("expected an effect"), "app.errors.HouseError: expected an effect"),
        (AttributeError("'int' object has no attribute 'x'"), "AttributeError: 'int' object has no attribute 'x'"),
        (BaseExceptionGroup(ZEBRA, [KeyboardInterrupt()]), "BaseExceptionGroup: 1 of them"),
        (ModelRefused("refused (invalid_value)", said=ZEBRA), "app.errors.ModelRefused: refused (invalid_value)"),
    ],
)
def test_of_an_exception_its_type_is_told_and_its_text_only_where_no_value_can_be_in_it(
    wrong: BaseException, told: str
) -> None:
    shown = traceback_of(wrong)
    assert told in shown.splitlines()
    assert "zebra" not in shown


def test_causes_and_members_are_told_alike_however_deep_they_go() -> None:
    wrong: Exception = ValueError(ZEBRA)
    for _ in range(50):
        above = KeyError(ZEBRA)
        above.__cause__ = ExceptionGroup(ZEBRA, [wrong])
        wrong = above
    shown = traceback_of(wrong)
    assert "zebra" not in shown
    assert shown.count("KeyError") > 2
    assert len(shown) < 5000
    assert {str(KeyError(ZEBRA)), ZEBRA} <= set(untold(wrong))
    assert untold(HouseError("expected an effect")) == []


def test_a_value_that_does_not_fit_is_not_told_and_where_it_stands_is() -> None:
    for value in ("zebra", "it's a `zebra` - at `$.x`", "zebra\nstripes"):
        with pytest.raises(msgspec.ValidationError) as wrong:
            msgspec.convert({"desk": value}, _Wish)
        assert misfit(wrong.value) == "Invalid enum value - at `$.desk`"
    with pytest.raises(msgspec.ValidationError) as wrong:
        msgspec.convert({"desk": 7}, _Wish)
    assert misfit(wrong.value) == "Expected `str`, got `int` - at `$.desk`"


def test_a_code_is_one_word_and_a_sentence_is_none() -> None:
    for code in ("invalid_request_error.invalid_api_key", "session.audio.input[0]", "1001", "rate_limit_exceeded"):
        assert one_word(code) == code
    for said in ("", "my name is Zebra", "zebra\n", "x" * 81, "z\u0117bra"):
        assert one_word(said) == ""
