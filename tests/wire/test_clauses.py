"""Pieces to be spoken, cut from a text that is still being written."""

import pytest

from app.wire.clauses import LONGEST, Clauses


def cut(text: str, step: int = 1) -> list[str]:
    """The pieces of a text that comes so many characters at a time."""
    it, pieces = Clauses(), []
    for at in range(0, len(text), step):
        pieces += it.push(text[at : at + step])
    return [*pieces, *it.flush()]


@pytest.mark.parametrize("step", [1, 3, 7, 1000])
@pytest.mark.parametrize(
    "pieces",
    [
        ["Good morning, ", "thank you for calling. ", "How can I help?"],
        ["Thank you for calling, ", "this is Lakeside Dental. ", "How can I help, or shall I connect you?"],
        ["Your balance is $1,250.50. ", "It was due on May 3, 2026."],
        ["Dr. Lee and Mr. J. Smith can see you at 9:30 a.m. on Monday. ", "Is that all right?"],
        ["We close at 5 p.m. ", "Shall I book you in?"],
        ["Write to info@lakeside.example or see www.lakeside.example. ", "Anything else?"],
        ["It costs 3.50 a day. ", '"Really?" ', "Yes!"],
        ["Wait... ", "let me look."],
        ["Room No. 5 is on St. James Ave. near the park."],
        ["1. First, bring your card. ", "2. Then sign."],
        ["Yes. ", "That works."],
    ],
)
def test_a_text_is_cut_where_a_reader_takes_breath_however_it_comes(pieces: list[str], step: int) -> None:
    assert cut("".join(pieces), step) == pieces


def test_the_first_clause_leaves_before_its_sentence_is_written() -> None:
    it = Clauses()
    assert it.push("Thank you for calling") == []
    assert it.push(",") == []
    assert it.push(" this") == ["Thank you for calling, "]
    assert it.push(" is Lakeside, and we") == [], "later ones are whole sentences"


def test_a_short_first_clause_is_spoken_with_what_follows_it() -> None:
    assert cut("Yes, of course, I can do that.") == ["Yes, of course, ", "I can do that."]


def test_every_character_comes_out_once_and_in_order() -> None:
    text = "Well, no.  Maybe:\n\nthe 3.5 mg (as Dr. X. said), i.e. two; e.g. one?! Ok… " * 7
    for step in (1, 2, 5, 11, 400):
        assert "".join(cut(text, step)).strip() == text.strip()


def test_a_sentence_without_an_end_is_cut_at_a_clause_or_between_words() -> None:
    words = "and then again " * 40
    pieces = cut(words)
    assert len(pieces) > 1
    assert all(len(piece) <= LONGEST for piece in pieces)
    assert all(piece.endswith(" ") for piece in pieces[:-1])
    assert all(len(piece) <= LONGEST for piece in cut("x" * 1000))


def test_nothing_but_white_space_is_no_piece() -> None:
    assert cut("  \n ") == []
    assert cut("") == []
