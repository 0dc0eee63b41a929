"""Whatever is sent for a value, a reader answers with a value or with a sentence for the model, and soon."""

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.captures.captured import Captured
from app.captures.heard import listed
from app.captures.kinds import KINDS
from app.errors import ToolError
from tests.captures.scene import Here, here, reading, value

SAID = listed(
    "a b j o u x zero one two twenty hundred thousand double triple half quarter past to at in on the of next this week day "
    "tuesday november may second fifth month as for like john mike oscar victor capital dash dot dot @ at com plus 4 30 2026 "
    "99 11/24 2026-11-24 14:30 am pm morning night today tomorrow noon # + - . ' , space and with without an"
)


def tried(kind: type[Captured[Any]], heard: str, scene: Here | None = None) -> tuple[str | None, str]:
    """The value, or None and why it was refused."""
    try:
        return value(kind, heard, scene=scene), ""
    except ToolError as refused:
        return None, str(refused)


kinds = pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)


@kinds
@pytest.mark.parametrize(
    ("heard", "says"),
    [
        ("", "empty"),
        (" \t\n ", "empty"),
        ("4" * 1_000_000, "300 characters at most, got 1000000"),
        ("J as in John " * 80_000, "300 characters at most"),
        ("\x00", "control"),
        ("4155550100\x00", "control"),
        ("4155550100\x1b[2J", "control"),
        ("John\u202eevil", "control or invisible"),
        ("94105\u200b", "control or invisible"),
        ("tomorrow\u00ad", "control or invisible"),
        ("\ud800", "control or invisible"),
        ("\ue000", "control or invisible"),
    ],
    ids=repr,
)
def test_what_no_caller_can_say_is_refused(kind: type[Captured[Any]], heard: str, says: str) -> None:
    with pytest.raises(ToolError, match=says) as refused:
        reading(kind, heard)
    assert len(str(refused.value)) < 200, "the model is not made to read it again"


@kinds
@settings(max_examples=40)
@given(heard=st.text(max_size=320))
def test_any_text_is_a_value_or_refused(kind: type[Captured[Any]], heard: str) -> None:
    found, refused = tried(kind, heard)
    assert (found is None) is (0 < len(refused) < 400)


@kinds
@settings(max_examples=50)
@given(
    heard=st.lists(st.sampled_from(SAID), max_size=12).map(" ".join),
    country=st.sampled_from(["US", "CA", "GB", "DE", "ZZ"]),
)
def test_any_words_of_the_trade_are_a_value_that_reads_the_same_again_or_refused(
    kind: type[Captured[Any]], heard: str, country: str
) -> None:
    found, refused = tried(kind, heard, here(country))
    assert (found is None) is (0 < len(refused) < 400)
    if found is not None:
        assert tried(kind, found, here(country)) == (found, "")


@kinds
def test_a_value_is_never_printed_whole(kind: type[Captured[Any]]) -> None:
    captured = kind("Ada Lovelace", confirmed=True)
    assert str(captured) == "Ada Lovelace"
    assert repr(captured) == f"{kind.__name__}(confirmed=True)"
    assert "Ada" not in repr({"argument": [captured]})
