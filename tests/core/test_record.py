"""The record as it grows: which words were heard, in which order the turns are, and what a second stream is told."""

import pytest

from app.core.record import CallRecord, Spoken
from app.core.rows import Turn

WORDS = "We are open from eight until five."


def spoken(text: str, sent_ms: int, heard_ms: int) -> Spoken:
    return Spoken(0, "agent", "a", 0, 0, text, sent_ms, heard_ms)


@pytest.mark.parametrize(
    ("heard_ms", "words"),
    [
        (0, ""),
        (1, ""),
        (199, ""),
        (200, "We"),
        (500, "We"),
        (600, "We are"),
        (1500, "We are open"),
        (3399, "We are open from eight until"),
        (3400, WORDS),
        (9999, WORDS),
    ],
)
def test_heard_text_is_whole_words_of_the_heard_share(heard_ms: int, words: str) -> None:
    assert spoken(WORDS, 3400, heard_ms).heard_text == words


def test_heard_text_is_always_a_beginning_of_the_text() -> None:
    for text in (WORDS, "", " ", "one", "a b  c\n d", "日本語の文"):
        for heard_ms in range(0, 1000, 7):
            heard = spoken(text, 1000, heard_ms).heard_text
            assert text.startswith(heard)
            assert heard == heard.rstrip()
        assert spoken(text, 1000, 1000).heard_text == text


def test_nothing_is_heard_of_what_was_never_sent() -> None:
    assert spoken(WORDS, 0, 0).heard_text == ""


def test_the_callers_own_words_are_heard_as_they_are() -> None:
    assert Spoken(0, "caller", "c", 0, 0, "Sales, please.").heard_text == "Sales, please."


def test_an_item_has_one_turn_however_often_it_is_named() -> None:
    record = CallRecord(call_sid="CA1", mode="m")
    first = record.speaks("caller", "c1", 100)
    record.speaks("agent", "a1", 200)
    assert record.speaks("caller", "c1", 900) is first
    assert [(turn.seq, turn.who, turn.start_ms) for turn in record.spoken] == [(0, "caller", 100), (1, "agent", 200)]
    assert record.find("a1") is record.spoken[1]
    assert record.find("a2") is None
    record.notes("A note.", 0.0)
    assert record.find("") is None


def test_a_server_that_names_no_items_makes_one_turn_of_each_side() -> None:
    record = CallRecord(call_sid="CA1", mode="m")
    caller, agent = record.speaks("caller", "", 100), record.speaks("agent", "", 200)
    assert (record.speaks("caller", "", 300), record.speaks("agent", "", 400)) == (caller, agent)
    assert (len(record.spoken), record.find("")) == (2, agent)
    record.goes_on(caller, "x1")
    assert (record.find("x1"), record.find("")) == (caller, agent)


def test_a_turn_that_is_told_again_is_another_sessions_item() -> None:
    record = CallRecord(call_sid="CA1", mode="m")
    turn = record.speaks("caller", "c1", 100)
    record.goes_on(turn, "x1")
    assert record.speaks("caller", "x1", 900) is turn
    assert (turn.item_id, record.find("c1"), len(record.spoken)) == ("x1", None, 1)


def test_two_calls_share_nothing() -> None:
    one, other = CallRecord(call_sid="CA1", mode="m"), CallRecord(call_sid="CA2", mode="m")
    one.speaks("caller", "c1", 0)
    one.outcome["name"] = "Kim"
    assert (other.spoken, other.outcome) == ([], {})


def test_times_count_from_the_calls_first_stream() -> None:
    record = CallRecord(call_sid="CA1", mode="m")
    assert record.at_ms(500.0) == 0
    record.began = 100.0
    assert [record.at_ms(at) for at in (99.0, 100.0, 101.2345)] == [0, 0, 1234]


def test_a_row_never_ends_before_it_starts() -> None:
    record = CallRecord(call_sid="CA1", mode="m")
    turn = record.speaks("agent", "a1", 500)
    turn.text, turn.end_ms = "Hello.", 100
    row = Turn(call_sid="CA1", seq=0, who="agent", generated_text="Hello.", heard_text="", start_ms=500, end_ms=500)
    assert record.row(turn) == row


def test_the_history_is_what_both_sides_heard() -> None:
    record = CallRecord(call_sid="CA1", mode="m")
    for who, item, text, sent, heard in [
        ("agent", "a1", "Good morning, how can I help?", 1000, 500),
        ("caller", "c1", "Sales.", 0, 0),
        ("agent", "a2", "One moment.", 1000, 0),
        ("caller", "c2", "", 0, 0),
    ]:
        turn = record.speaks("agent" if who == "agent" else "caller", item, 0)
        turn.text, turn.sent_ms, turn.heard_ms = text, sent, heard
    assert record.history() == [("agent", "Good morning,"), ("caller", "Sales.")]
