"""What is announced to whom, and when a sentence counts as heard."""

import subprocess
import sys
from datetime import UTC, datetime

import pytest
from msgspec.structs import replace

from app.consent import NO_NOTICE, Announcement, Notice, begin_with, decide, heard_at, state_of
from app.core import events as ev
from app.core.record import Spoken
from app.core.rows import CallInfo, Consent, Row
from app.mode import Disclosure
from app.rules.area_codes import AREA_CODES, STATE_OF
from app.rules.consent import ALL_PARTY, LONGEST, TEXTS, NumberRule, Rules
from app.settings import ROOT
from tests.core.story import Story

CALIFORNIA, TEXAS, TORONTO, TOLL_FREE = "+14155550133", "+15125550133", "+14165550133", "+18005550133"
OURS = "+14155550199"
AI = TEXTS["en-US"].ai
RULES = Rules()
NOON = datetime(2026, 11, 24, 12, tzinfo=UTC)


def announced(
    disclosure: Disclosure, caller: str = TEXAS, from_state: str = "", rules: Rules = RULES, dialled: str = OURS
) -> Announcement:
    return decide(disclosure, caller, from_state, dialled, rules)


# --- states -----------------------------------------------------------------------------------------------------------


def test_the_table_has_every_state_and_is_what_its_tool_writes() -> None:
    assert len(AREA_CODES) == 51
    assert all(codes.split() for codes in AREA_CODES.values())
    assert sum(len(codes.split()) for codes in AREA_CODES.values()) == len(STATE_OF), "no area code has two states"
    done = subprocess.run(
        [sys.executable, ROOT / "tools" / "area_codes.py", "--check"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(
    ("code", "state"),
    [
        ("312", "IL"), ("415", "CA"), ("305", "FL"), ("617", "MA"), ("410", "MD"), ("406", "MT"), ("603", "NH"), ("215", "PA"),
        ("206", "WA"), ("203", "CT"), ("302", "DE"), ("702", "NV"), ("512", "TX"), ("212", "NY"), ("202", "DC"), ("907", "AK"),
        ("808", "HI"), ("983", "CO"), ("401", "RI"),
    ],
)  # fmt: skip
def test_an_area_code_tells_the_state(code: str, state: str) -> None:
    assert state_of(f"+1{code}5550133", "") == (state, f"area code {code}")


@pytest.mark.parametrize(
    "caller",
    [
        "", "anonymous", TORONTO, TOLL_FREE, "+17875550133", "+18765550133", "+447911123456", "+33612345678", "+525555550133",
        "+1415555013", "+141555501333", "+11155550133", "14155550133", "sip:bob@example.com", "+1 415 555 0133", "+14155550133\n",
    ],
)  # fmt: skip
def test_whoever_has_no_number_of_a_state_comes_from_nowhere(caller: str) -> None:
    assert state_of(caller, "") == ("", "")


def test_the_state_that_the_carrier_names_goes_before_that_of_the_area_code() -> None:
    assert state_of(CALIFORNIA, "TX") == ("TX", "named by the carrier")
    assert state_of(CALIFORNIA, " tx ") == ("TX", "named by the carrier")


def test_a_province_or_a_word_that_is_no_state_does_not_count() -> None:
    assert state_of(CALIFORNIA, "ON")[0] == "CA"
    assert state_of(CALIFORNIA, "California")[0] == "CA"
    assert state_of(TORONTO, "ON") == ("", "")


def test_a_state_named_for_a_number_of_another_country_does_not_count() -> None:
    assert state_of("+525555550133", "CO") == ("", ""), "Coahuila, not Colorado"
    assert state_of("", "TX") == ("", "")


# --- when -------------------------------------------------------------------------------------------------------------


def test_always_announces_to_everybody_and_never_to_nobody() -> None:
    for caller in (TEXAS, CALIFORNIA, ""):
        assert announced(Disclosure(when="always"), caller).text == AI
        quiet = announced(Disclosure(when="never"), caller)
        assert (quiet.text, quiet.why) == ("", "never, by the mode")


@pytest.mark.parametrize("state", sorted(ALL_PARTY))
def test_auto_announces_in_every_state_in_which_all_parties_must_agree(state: str) -> None:
    code = AREA_CODES[state].split()[0]
    by_code = announced(Disclosure(when="auto"), f"+1{code}5550133")
    assert by_code.text == AI
    assert by_code.why == f"auto: all parties must agree in {state} (area code {code}), by the mode"
    by_name = announced(Disclosure(when="auto"), TEXAS, state)
    assert by_name.text == AI
    assert "named by the carrier" in by_name.why


def test_the_states_are_at_least_those_that_are_known_to_ask_for_it() -> None:
    assert {"IL", "CA", "FL", "MA", "MD", "MT", "NH", "PA", "WA", "CT", "DE", "NV"} <= ALL_PARTY <= set(AREA_CODES)


@pytest.mark.parametrize("state", sorted(set(AREA_CODES) - ALL_PARTY))
def test_auto_announces_nothing_in_any_other_state(state: str) -> None:
    quiet = announced(Disclosure(when="auto"), CALIFORNIA, state)
    assert quiet.text == ""
    assert quiet.why == f"auto: {state} (named by the carrier) is not among the states, by the mode"


@pytest.mark.parametrize("caller", ["", TORONTO, TOLL_FREE, "+447911123456"])
def test_auto_announces_to_callers_of_whom_nobody_knows_a_state(caller: str) -> None:
    told = announced(Disclosure(when="auto"), caller)
    assert told.text == AI
    assert told.why == "auto: the caller's state is unknown, by the mode"


def test_the_states_are_a_setting() -> None:
    rules = Rules(states=frozenset({"TX"}))
    assert announced(Disclosure(when="auto"), TEXAS, rules=rules).text == AI
    assert announced(Disclosure(when="auto"), CALIFORNIA, rules=rules).text == ""


# --- what, and how ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("ai", "recording", "what"), [(True, False, "ai"), (False, True, "recording"), (True, True, "both")]
)
@pytest.mark.parametrize("language", sorted(TEXTS))
def test_the_sentence_tells_what_the_mode_discloses(ai: bool, recording: bool, what: str, language: str) -> None:
    rules = Rules(language=language)
    told = announced(Disclosure(ai=ai, recording=recording), rules=rules)
    assert (told.what, told.text) == (what, getattr(TEXTS[language], what))
    assert told.language == language
    assert len(told.text) < LONGEST / 3


def test_a_mode_that_has_nothing_to_disclose_announces_nothing() -> None:
    quiet = announced(Disclosure(ai=False, recording=False))
    assert (quiet.text, quiet.why) == ("", "the mode has nothing to announce")


def test_only_what_the_carrier_says_takes_time_before_the_stream() -> None:
    assert announced(Disclosure()).seconds == 0
    before = announced(Disclosure(before_stream=True))
    assert before.how == "before_stream"
    assert before.seconds > len(AI) / 15, "longer than any voice takes"
    assert announced(Disclosure(before_stream=True, when="never")).seconds == 0


def test_a_number_s_rule_goes_before_the_mode_s_disclosure_in_what_it_names() -> None:
    rules = Rules(
        numbers={
            OURS: NumberRule(when="always", recording=True, before_stream=True, language="es-US"),
            "+14155550198": NumberRule(when="never"),
            "+14155550197": NumberRule(ai=False),
        }
    )
    here = announced(Disclosure(when="never"), rules=rules)
    assert (here.what, here.how, here.language) == ("both", "before_stream", "es-US")
    assert here.text == TEXTS["es-US"].both
    assert here.why == f"always, by the rule of {OURS}"
    assert announced(Disclosure(), rules=rules, dialled="+14155550198").text == ""
    assert announced(Disclosure(), rules=rules, dialled="+14155550197").why.endswith("has nothing to announce")
    assert announced(Disclosure(), rules=rules, dialled="+14155550100").text == AI


# --- the greeting's first words ---------------------------------------------------------------------------------------


def test_the_sentence_stands_first_in_the_opening_and_nothing_changes_without_one() -> None:
    assert begin_with("", "Greet the caller.") == "Greet the caller."
    line = begin_with(AI, "Greet the caller.")
    assert f'"{AI}"' in line
    assert line.index(AI) < line.index("Greet the caller.")
    assert f'"{AI}"' in begin_with(AI, ""), "an agent that would wait for the caller speaks first"
    assert begin_with("", "") == ""


# --- heard ------------------------------------------------------------------------------------------------------------


def spoken(text: str, heard_ms: int, sent_ms: int = 6000, *, whole: bool = True) -> Spoken:
    return Spoken(0, "agent", "item_1", 0, heard_ms, text, sent_ms, heard_ms, whole=whole)


GREETING = f"{AI} Thank you for calling Lakeside Dental. How can I help you today?"
"""A third of it is the sentence: 2.2 s of 6 s."""


def was_heard(sentence: str, turns: list[Spoken]) -> bool:
    return heard_at(sentence, turns) is not None


def test_a_greeting_played_to_its_end_was_heard() -> None:
    assert was_heard(AI, [spoken(GREETING, 6000)])


@pytest.mark.parametrize(("heard_ms", "heard"), [(0, False), (1500, False), (2250, False), (2600, True), (5900, True)])
def test_a_greeting_cut_short_counts_only_if_the_sentence_was_over_by_a_margin(heard_ms: int, heard: bool) -> None:
    assert was_heard(AI, [spoken(GREETING, heard_ms)]) is heard


def test_case_marks_and_spaces_do_not_matter_but_words_do() -> None:
    for text in (
        "you are speaking with an A.I. assistant, and",
        "YOU ARE SPEAKING WITH AN AI ASSISTANT!",
        "  You are\nspeaking with an “AI” assistant",
    ):
        assert was_heard(AI, [spoken(text, 6000)]), text
    for text in ("You are speaking with an assistant.", "You are speaking to an AI assistant.", "", "Hello."):
        assert not was_heard(AI, [spoken(text, 6000)]), text
    assert was_heard(
        TEXTS["es-US"].ai, [spoken("Esta\u0301 hablando con un asistente de inteligencia artificial.", 6000)]
    )


def test_words_that_came_ahead_of_their_sound_were_not_heard() -> None:
    assert not was_heard(AI, [spoken(GREETING, heard_ms=400, sent_ms=400)])
    assert not was_heard(AI, [spoken(GREETING, heard_ms=0, sent_ms=0)])


def test_a_sentence_whose_sound_broke_off_while_its_words_were_complete_was_not_heard() -> None:
    long = TEXTS["en-US"].both
    for played_ms in (1500, 3000, 4500):
        assert not was_heard(long, [spoken(long, heard_ms=played_ms, sent_ms=played_ms, whole=False)]), played_ms
    assert was_heard(long, [spoken(long, heard_ms=4500, sent_ms=4500)]), "a quick voice, to its end"


@pytest.mark.parametrize("stalls", [True, False])
def test_a_call_whose_model_stalls_in_the_sentence_has_not_heard_it(stalls: bool) -> None:
    call = Story()
    call.rings()
    call.act(ev.ResponseStarted("r1"))
    call.voice("r1", "a1", 3500)
    call.tell(ev.AgentSaid("r1", "a1", TEXTS["en-US"].both, whole=True))
    if not stalls:
        call.act(ev.AgentAudioEnded("r1", "a1"), ev.ResponseDone("r1", "completed"))
    call.waits(4000)
    call.act(ev.CallerLeft("stop"))
    assert call.record.spoken[0].heard_ms == 3500
    assert was_heard(TEXTS["en-US"].both, call.record.spoken) is not stalls


def test_of_sound_that_broke_off_after_the_sentence_so_much_counts_as_the_slowest_voice_needs() -> None:
    assert was_heard(AI, [spoken(GREETING, heard_ms=4500, sent_ms=4500, whole=False)])


def test_where_the_voice_marks_its_words_the_sentence_is_heard_at_its_mark() -> None:
    turn = spoken(GREETING, heard_ms=3000, sent_ms=3000, whole=False)
    turn.marks = [(10, 700), (len(AI), 2900), (len(GREETING), 7000)]
    assert was_heard(AI, [turn])
    turn.heard_ms = 2800
    assert not was_heard(AI, [turn])


def test_the_caller_s_own_words_prove_nothing() -> None:
    turn = spoken(AI, 6000)
    turn.who = "caller"
    assert not was_heard(AI, [turn])
    assert not was_heard("", [spoken(AI, 6000)])


def test_any_turn_of_the_agent_s_will_do() -> None:
    assert was_heard(AI, [spoken(GREETING, 500), spoken(f"As I said: {AI}", 4000, 4000)])


# --- a call's notice --------------------------------------------------------------------------------------------------

INFO = CallInfo(call_sid="CA1", account_sid="AC1", caller=CALIFORNIA, dialled=OURS)


def proofs(rows: list[Row]) -> list[Consent]:
    assert all(isinstance(row, Consent) for row in rows)
    return [row for row in rows if isinstance(row, Consent)]


def test_a_greeting_s_proof_is_written_at_once_and_again_when_it_was_heard() -> None:
    rows: list[Row] = []
    notice = Notice.of(INFO, Disclosure(when="auto"), RULES, NOON, rows.append)
    (first,) = proofs(rows)
    assert (first.call_sid, first.at, first.what, first.text, first.how) == ("CA1", NOON, "ai", AI, "greeting")
    assert not first.heard
    assert (notice.first_words, notice.before) == (AI, "")
    notice.stream_started()
    notice.stream_over([spoken(GREETING, 500)])
    assert len(rows) == 1
    assert notice.first_words == AI, "said again when the talk is taken up"
    notice.stream_over([spoken(GREETING, 500), spoken(GREETING, 6000)])
    assert proofs(rows) == [first, replace(first, heard=True)]
    assert notice.first_words == ""
    notice.stream_over([])
    assert len(rows) == 2


def test_what_the_carrier_says_was_heard_once_the_stream_has_started() -> None:
    rows: list[Row] = []
    notice = Notice.of(INFO, Disclosure(before_stream=True), RULES, NOON, rows.append)
    assert (notice.first_words, notice.before) == ("", AI)
    notice.stream_over([])
    assert [row.heard for row in proofs(rows)] == [False]
    notice.stream_started()
    notice.stream_started()
    assert [(row.heard, row.how) for row in proofs(rows)] == [(False, "before_stream"), (True, "before_stream")]
    assert notice.before == "", "a second stream is opened without it"


def test_on_a_bare_stream_it_is_the_agent_who_says_it() -> None:
    rows: list[Row] = []
    notice = Notice.of(INFO, Disclosure(before_stream=True), RULES, NOON, rows.append, bare=True)
    assert (notice.first_words, notice.before) == (AI, "")
    assert [row.how for row in proofs(rows)] == ["greeting"]


def test_where_nothing_is_announced_nothing_is_written() -> None:
    rows: list[Row] = []
    for notice in (Notice.of(INFO, Disclosure(when="never"), RULES, NOON, rows.append), NO_NOTICE):
        notice.stream_started()
        notice.stream_over([spoken(GREETING, 6000)])
        assert (notice.owed, notice.announcement.seconds) == ("", 0.0)
    assert rows == []
