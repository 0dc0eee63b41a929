"""Names and spelled words, letter by letter."""

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from app.captures.captured import PersonName, SpelledWord
from app.errors import ToolError
from tests.captures.scene import reading, value


@pytest.mark.parametrize(
    ("heard", "name"),
    [
        ("John Smith", "John Smith"),
        ("john smith", "John Smith"),
        ("JOHN SMITH", "John Smith"),
        ("J as in John O H N", "John"),
        ("J for Juliet, O, H like hotel, N", "John"),
        ("J-O-H-N", "John"),
        ("J.O.H.N.", "John"),
        ("juliet oscar hotel november", "John"),
        ("smith, S M I T H", "Smith"),
        ("Smith S-M-Y-T-H", "Smyth"),
        ("John Smith, J O H N S M I T H", "John Smith"),
        ("Mary J O N E S", "Mary Jones"),
        ("first name J O H N last name S M I T H", "John Smith"),
        ("J O H N space S M I T H", "John Smith"),
        ("S M I double T", "Smitt"),
        ("triple E V E", "Eeeve"),
        ("double u U", "Wu"),
        ("zed O E", "Zoe"),
        ("O apostrophe B R I E N", "O'Brien"),
        ("O'Brien", "O'Brien"),
        ("o’brien", "O'Brien"),
        ("M A R Y hyphen A N N", "Mary-Ann"),
        ("capital M c capital D o n a l d", "McDonald"),
        ("McDonald", "McDonald"),
        ("Mike Romeo", "Mike Romeo"),
        ("John F Kennedy", "John F Kennedy"),
        ("J R R Tolkien", "J R R Tolkien"),
        ("J.R.R. Tolkien", "J.R.R. Tolkien"),
        ("Grace N G", "Grace Ng"),
        ("my name is anna", "Anna"),
        ("uh, this is Anna Bell please", "Anna Bell"),
        ("So Yun", "So Yun"),
        ("Smith, spelled S M I T H", "Smith"),
        ("Jon without an h", "Jon"),
        ("María José Carreño", "María José Carreño"),
        ("van der Berg", "van der Berg"),
        ("陳大文", "陳大文"),
        ("Ludmila Иванова", "Ludmila Иванова"),
    ],
)
def test_a_name_is_written_as_it_was_said_or_spelled(heard: str, name: str) -> None:
    assert value(PersonName, heard) == name
    assert value(PersonName, name) == name, "what the model is told to send again is the same name"


@pytest.mark.parametrize(
    ("heard", "says"),
    [
        ("B as in Victor", "do not fit"),
        ("Catherine with a K", "spell"),
        ("Jon without an n", "spell"),
        ("R2D2", "expected letters"),
        ("4 1 5", "no letters"),
        ("'", "no letters"),
        ("...", "no letters"),
        ("<b>Ann</b>", "expected letters"),
        ("Robert'); DROP TABLE calls", "expected letters"),
        ("Ann " * 30, "80 characters"),
    ],
)
def test_what_is_no_name_is_refused_with_the_reason(heard: str, says: str) -> None:
    with pytest.raises(ToolError, match=says):
        reading(PersonName, heard)


def test_a_name_is_read_back_and_then_spelled() -> None:
    assert reading(PersonName, "Sean O'Brien").aloud == "Sean O'Brien, spelled S-E-A-N, O-apostrophe-B-R-I-E-N"


@given(st.text(alphabet="ABCDEFGHIJKLMNOPQRSTUVWXYZ", min_size=2, max_size=12))
@example("UM")
@example("YES")
def test_every_name_can_be_spelled_letter_by_letter(name: str) -> None:
    written = name.capitalize()
    assert value(PersonName, " ".join(name)) == written
    assert value(PersonName, "-".join(name)) == written
    assert value(PersonName, ", ".join(f"{letter} as in {letter}abc" for letter in name)) == written


@pytest.mark.parametrize(
    ("heard", "word"),
    [
        ("K as in king, B, seven, double O", "KB7OO"),
        ("kilo bravo seven quebec", "KB7Q"),
        ("smith S M I T H", "SMITH"),
        ("elm", "ELM"),
        ("oscar", "OSCAR"),
        ("A B dash 1 2", "AB-12"),
        ("see ay bee", "CAB"),
        ("X as in extra, 9", "X9"),
        ("double u w", "WW"),
        ("twenty one a", "21A"),
        ("Ü", "Ü"),
    ],
)
def test_a_word_is_spelled(heard: str, word: str) -> None:
    assert value(SpelledWord, heard) == word
    assert value(SpelledWord, word) == word


@pytest.mark.parametrize("heard", ["the red door", "smith S M Y T H", "A as in bee", "-", "A * B", "x " * 41])
def test_what_is_not_spelled_is_refused(heard: str) -> None:
    with pytest.raises(ToolError):
        reading(SpelledWord, heard)


@given(st.text(alphabet="ABCDEFGHIJKLMNPQRSTUVWXYZ0123456789", min_size=2, max_size=12))
def test_every_code_can_be_spelled(code: str) -> None:
    assert value(SpelledWord, " ".join(code)) == code
    assert value(SpelledWord, code) == code
    assert value(SpelledWord, reading(SpelledWord, " ".join(code)).aloud) == code
