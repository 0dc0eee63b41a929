"""[calls.consent] of offhook.toml: what it may say, and how it is told what is wrong with it."""

from pathlib import Path

import pytest

from app.errors import SetupError
from app.rules.consent import ALL_PARTY, LONGEST, TEXTS, NumberRule, Rules, Texts
from app.settings import load


def read(tmp_path: Path, toml: str) -> Rules:
    (tmp_path / "offhook.toml").write_text(toml, encoding="utf-8")
    return load({}, root=tmp_path).consent


def faults(tmp_path: Path, toml: str) -> list[str]:
    with pytest.raises(SetupError) as refused:
        read(tmp_path, toml)
    return [line.removeprefix("  - offhook.toml: ") for line in str(refused.value).splitlines()[1:]]


def test_without_a_word_about_it_the_defaults_hold(tmp_path: Path) -> None:
    assert read(tmp_path, "") == Rules() == read(tmp_path, "[calls.consent]\n")
    assert Rules().states == ALL_PARTY


def test_everything_can_be_set(tmp_path: Path) -> None:
    rules = read(
        tmp_path,
        """
        [calls.consent]
        states = ["ca", "TX"]
        language = "de-DE"
        [calls.consent.texts.en-US]
        ai = " This is a robot. "
        [calls.consent.texts.de-DE]
        ai = "Hier spricht ein Computer."
        recording = "Das Gespräch wird aufgezeichnet."
        both = "Hier spricht ein Computer; das Gespräch wird aufgezeichnet."
        [calls.consent.numbers."+14155550199"]
        when = "always"
        ai = false
        recording = true
        before_stream = true
        language = "es-US"
        [calls.consent.numbers."+14155550198"]
        when = "never"
        """,
    )
    assert rules.states == {"CA", "TX"}
    assert rules.language == "de-DE"
    assert rules.texts["en-US"] == Texts(
        ai="This is a robot.", recording=TEXTS["en-US"].recording, both=TEXTS["en-US"].both
    )
    assert rules.texts["de-DE"].ai == "Hier spricht ein Computer."
    assert rules.texts["es-US"] == TEXTS["es-US"]
    assert rules.numbers == {
        "+14155550199": NumberRule(when="always", ai=False, recording=True, before_stream=True, language="es-US"),
        "+14155550198": NumberRule(when="never"),
    }


def test_no_states_at_all_leave_only_those_whose_state_is_unknown(tmp_path: Path) -> None:
    assert read(tmp_path, "[calls.consent]\nstates = []\n").states == frozenset()


@pytest.mark.parametrize(
    ("toml", "sentence"),
    [
        ('states = ["XX"]', """states: expected two-letter codes of US states as "CA", or DC, got 'XX'"""),
        (
            'states = ["California"]',
            """states: expected two-letter codes of US states as "CA", or DC, got 'California'""",
        ),
        (
            'language = "fr-CA"',
            "language: expected one of en-US, es-US, or its sentences under calls.consent.texts, got 'fr-CA'",
        ),
        (
            '[calls.consent.texts.fr-CA]\nai = "Un robot."\nboth = "Un robot."',
            "texts.fr-CA: expected sentences for ai, recording and both, got none for recording",
        ),
        (
            f'[calls.consent.texts.en-US]\nai = "{"x" * (LONGEST + 1)}"',
            f"texts.en-US.ai: expected {LONGEST} characters at most, got {LONGEST + 1}",
        ),
        ('[calls.consent.texts.en-US]\nai = " "', "texts.en-US.ai: expected one line of words, got ' '"),
        (
            '[calls.consent.texts.en-US]\nai = "One.\\nTwo."',
            "texts.en-US.ai: expected one line of words, got 'One.\\nTwo.'",
        ),
        ('[calls.consent.numbers."0199"]\nwhen = "never"', "numbers: expected numbers as +14155550100, got '0199'"),
        (
            '[calls.consent.numbers."+14155550199"]\nlanguage = "xx"',
            "numbers.+14155550199.language: expected one of en-US, es-US, or its sentences under calls.consent.texts, got 'xx'",
        ),
        (
            '[calls.consent.numbers."+14155550199"]\nwhen = "auto"\nai = false\nrecording = false',
            'numbers.+14155550199: expected ai or recording with when = "auto", got neither; set when = "never" to have '
            "nothing announced",
        ),
    ],
)
def test_what_is_wrong_is_said_in_a_sentence(tmp_path: Path, toml: str, sentence: str) -> None:
    assert faults(tmp_path, f"[calls.consent]\n{toml}\n") == [f"calls.consent.{sentence}"]


@pytest.mark.parametrize(
    ("toml", "part"),
    [
        ('states = "CA"', "Expected `array`, got `str`"),
        ("stats = []", "unknown field `stats`"),
        ('[calls.consent.numbers."+14155550199"]\nwhen = "sometimes"', "Invalid enum value 'sometimes'"),
        ('[calls.consent.numbers."+14155550199"]\nwhat = "ai"', "unknown field `what`"),
        ('[calls.consent.texts.en-US]\nbeep = "x"', "unknown field `beep`"),
    ],
)
def test_what_is_of_no_known_shape_is_refused_with_its_place(tmp_path: Path, toml: str, part: str) -> None:
    (fault,) = faults(tmp_path, f"[calls.consent]\n{toml}\n")
    assert part in fault
    assert "$.calls.consent" in fault


def test_all_faults_come_in_one_report(tmp_path: Path) -> None:
    report = faults(
        tmp_path, '[calls.consent]\nstates = ["XX", "YY"]\nlanguage = "zz"\n[calls.consent.numbers."1"]\nai = true\n'
    )
    assert len(report) == 4
