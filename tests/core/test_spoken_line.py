"""An answer that a voice speaks: what sounded of it, what is left, and what was heard."""

import pytest

from app.core.heard import words_heard
from app.core.spoken_line import Line

TEXT = "We open at eight. Come by then."


def line(text: str = TEXT, pieces: tuple[str, ...] = ("We open at eight. ", "Come by then.")) -> Line:
    it = Line("r1", "i1", lambda _: [], lambda: list(pieces), text)
    it.end()
    assert it.hand_over() == list(pieces)
    return it


def test_words_sound_where_the_voice_says_so_whatever_white_space_it_counts() -> None:
    it = line()
    assert it.sounds(500, ((2, 200), (6, 480))) == [(2, 200), (7, 480)]
    assert it.sounds(400, ((2, 150), (8, 400))) == [(10, 650), (17, 900)]
    assert (it.text[: it.uttered], it.sent_ms) == ("We open at eight.", 900)
    assert it.unsaid() == "Come by then."


@pytest.mark.parametrize(
    ("counted", "left"),
    [
        (0, TEXT),
        (4, "open at eight. Come by then."),  # in the midst of `open`
        (6, "at eight. Come by then."),
        (13, "Come by then."),  # all but the full stop
        (14, "Come by then."),
        (23, "then."),
        (24, ""),
        (25, ""),
    ],
)
def test_what_is_left_begins_with_a_word(counted: int, left: str) -> None:
    it = line()
    if counted:
        it.sounds(1000, ((counted, 1000),))
    assert it.unsaid() == left


def test_a_voice_that_does_not_say_how_far_it_is_begins_its_piece_again() -> None:
    it = line()
    assert it.sounds(200, ()) == [(len(TEXT), 0)]
    assert it.unsaid() == TEXT
    it.sounds(1100, ())  # 1.3 s: about 19 characters
    assert it.unsaid() == "Come by then."
    assert it.sounds(100, ()) == []


def test_the_voice_owes_sound_while_something_was_handed_over_and_did_not_come() -> None:
    it = Line("r1", "i1", lambda text: [text], lambda: [])
    assert not it.owes
    it.write("One. ")
    assert not it.owes
    it.hand_over()
    assert it.owes
    it.sounds(300, ((4, 300),))
    assert not it.owes, "the white space behind it makes no sound"
    it.closed = True
    assert it.owes, "its end"


def test_the_words_that_were_heard_go_by_the_marks_and_not_by_the_share() -> None:
    it = line()
    it.sounds(1000, ((2, 100), (6, 200), (8, 900), (14, 1000)))
    assert [it.heard(ms) for ms in (50, 100, 199, 200, 899, 900, 1000)] == [
        "",
        "We",
        "We",
        "We open",
        "We open",
        "We open at",
        "We open at eight.",
    ]


def test_what_did_not_sound_was_not_heard_though_all_that_was_sent_was() -> None:
    it = line()
    it.sounds(500, ((6, 500),))
    assert it.heard(500) == it.heard(9000) == "We open"


@pytest.mark.parametrize(
    ("heard", "sent", "words"), [(0, 0, ""), (0, 10, ""), (10, 10, "one two three"), (5, 10, "one"), (9, 10, "one two")]
)
def test_without_marks_each_character_takes_as_long_as_another(heard: int, sent: int, words: str) -> None:
    assert words_heard("one two three", heard, sent) == words


def test_a_whole_text_that_is_longer_than_its_pieces_brings_the_rest() -> None:
    got: list[str] = []

    def cut(text: str) -> list[str]:
        got.append(text)
        return []

    it = Line("r1", "i1", cut, lambda: ["rest"])
    it.write("Good ")
    it.end("Good morning.")
    it.end("Good morning, again.")
    assert (it.text, got, it.due, it.written) == ("Good morning.", ["Good ", "morning."], ["rest"], True)
