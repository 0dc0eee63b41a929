"""The ledger of a call's transfers: one result each, in whatever order it is told; and whispers that nobody can bend."""

import itertools
import unicodedata
from datetime import UTC, datetime

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from app.calls.takeover import UNKNOWN_SEQ
from app.calls.transfers import WHY, Attempt, Transfers, note, plain, whisper
from app.core.rows import Row, TransferAttempt
from app.web import whispers
from app.wire import twiml

NOON = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)
WORDS = whisper(caller_name="Baker", number="", reason="an invoice", promised="")


class Ledger(Transfers):
    """One whose rows are at hand."""

    def __init__(self) -> None:
        self.rows: list[TransferAttempt] = []
        super().__init__("CA1", self._keep, utc=lambda: NOON)

    def _keep(self, row: Row) -> None:
        assert isinstance(row, TransferAttempt)
        self.rows.append(row)


def warm() -> Ledger:
    ledger = Ledger()
    ledger.begin("billing", "an invoice", whisper=WORDS, outcome={"result": "transferred"})
    return ledger


def blind() -> Ledger:
    ledger = Ledger()
    ledger.begin("billing", "an invoice")
    return ledger


def result(ledger: Ledger) -> str:
    assert [row.seq for row in ledger.rows] == [0] * len(ledger.rows)
    assert ledger.rows[-1].result == ledger.attempts[-1].result
    return ledger.rows[-1].result


def test_an_attempt_is_on_record_from_its_beginning() -> None:
    (row,) = warm().rows
    assert row == TransferAttempt(
        call_sid="CA1",
        seq=0,
        desk="billing",
        reason="an invoice",
        result="",
        whisper=WORDS,
        started_at=NOON,
        ended_at=None,
    )


@pytest.mark.parametrize(
    ("status", "joined", "over", "expected"),
    [
        ("completed", True, False, "accepted"),
        ("answered", True, False, "accepted"),
        ("completed", True, True, "accepted"),
        ("completed", False, False, "failed"),
        ("busy", False, False, "busy"),
        ("no-answer", False, False, "no_answer"),
        ("failed", False, False, "failed"),
        ("", False, False, "failed"),
        ("what is this", True, False, "failed"),
        ("canceled", False, False, "caller_left"),
        ("no-answer", False, True, "caller_left"),
    ],
)
def test_a_blind_transfer_is_what_the_carrier_says(status: str, joined: bool, over: bool, expected: str) -> None:
    ledger = blind()
    ledger.dialled(status, joined=joined, over=over)
    assert result(ledger) == expected
    assert ledger.rows[-1].ended_at == NOON


@pytest.mark.parametrize("status", ["completed", "answered", "no-answer", "busy", "failed", "canceled", ""])
@pytest.mark.parametrize(
    ("digits", "expected"), [("1", "accepted"), ("2", "declined"), ("#", "declined"), ("", "voicemail")]
)
def test_a_warm_transfer_is_what_the_key_says_whatever_the_carrier_says(
    status: str, digits: str, expected: str
) -> None:
    ledger = warm()
    assert ledger.picked_up(0) is not None
    assert ledger.accepts(0, digits) is (expected == "accepted")
    assert result(ledger) == expected, "stored with the key press"
    assert ledger.rows[-1].ended_at is None
    ledger.dialled(status)
    assert result(ledger) == expected
    assert ledger.rows[-1].ended_at == NOON


@pytest.mark.parametrize("status", ["completed", "answered", "no-answer"])
def test_a_person_who_hangs_up_in_the_whisper_has_declined(status: str) -> None:
    ledger = warm()
    ledger.picked_up(0)
    ledger.dialled(status)
    assert result(ledger) == "declined"


def test_a_call_that_was_completed_without_a_whisper_was_not_accepted() -> None:
    ledger = warm()
    ledger.dialled("completed")
    assert result(ledger) == "failed"


def test_a_caller_who_leaves_during_the_whisper_has_left() -> None:
    ledger = warm()
    ledger.picked_up(0)
    ledger.caller_left()
    assert result(ledger) == "caller_left"
    assert ledger.picked_up(0) is None, "nobody waits any more"
    assert not ledger.accepts(0, "1")
    ledger.dialled("completed", over=True)
    assert result(ledger) == "caller_left"


def test_a_talk_whose_end_is_told_before_the_dial_s_was_a_talk() -> None:
    ledger = blind()
    ledger.caller_left()
    ledger.dialled("completed", over=True)
    assert result(ledger) == "accepted"
    ledger.dialled("no-answer", over=True)
    assert result(ledger) == "accepted"


@pytest.mark.parametrize("order", list(itertools.permutations(["key 1", "key 2", "dialled", "left"])))
def test_in_any_order_the_first_that_is_told_stays(order: tuple[str, ...]) -> None:
    ledger = warm()
    for told in order * 2:
        match told:
            case "key 1" | "key 2":
                ledger.pressed(0, told[-1])
            case "dialled":
                ledger.dialled("completed")
            case _:
                ledger.caller_left()
    expected = {"key 1": "accepted", "key 2": "declined", "dialled": "failed", "left": "caller_left"}
    assert result(ledger) == expected[order[0]]


def test_a_repeated_beginning_begins_nothing_and_the_next_attempt_has_the_next_number() -> None:
    ledger = blind()
    assert ledger.begin("billing", "again").seq == 0
    ledger.dialled("busy")
    ledger.closed("sales", "a quote")
    assert ledger.begin("billing", "again").seq == 2
    assert [(row.seq, row.result) for row in ledger.rows] == [(0, ""), (0, "busy"), (1, "closed"), (2, "")]


def test_there_is_no_whisper_of_a_blind_or_of_an_unknown_transfer() -> None:
    assert blind().picked_up(0) is None
    assert warm().picked_up(1) is None
    assert Ledger().pressed(0, "1") is None
    assert Ledger().dialled("busy") is None


def test_another_process_goes_on_with_the_rows() -> None:
    first = warm()
    first.pressed(0, "1")
    second = Ledger()
    second.recall([first.rows[-1]])
    second.dialled("no-answer")
    assert second.rows[-1] == TransferAttempt(
        call_sid="CA1", seq=0, desk="billing", reason="an invoice", result="accepted", whisper=WORDS, started_at=NOON,
        ended_at=NOON,
    )  # fmt: skip
    third = Ledger()
    third.recall([], first_seq=10_000)
    assert third.begin("billing", "").seq == 10_000


def test_the_agent_is_told_why_the_caller_is_back() -> None:
    notes = set()
    for told in WHY:
        notes.add(note(Attempt(seq=0, desk="billing", reason="", warm=True, whisper="", started_at=NOON, result=told)))
    assert len(notes) == 7
    assert all("billing" in words and "apologise" in words and "message" in words for words in notes)


def test_a_whisper_says_in_two_sentences_who_calls_why_and_what_was_promised() -> None:
    assert whisper(
        caller_name="Baker", number="+14155550133", reason="an invoice", promised="a call-back at 3:30."
    ) == ("Call from Baker: an invoice. Promised: a call-back at 3:30.")
    assert whisper(caller_name="", number="+14155550133", reason="Where is it? Now!", promised="") == (
        "Call from 1 4 1 5 5 5 5 0 1 3 3: Where is it, Now. Nothing was promised."
    )
    assert whisper(caller_name="", number="", reason=" ", promised="") == (
        "Call from somebody who withholds their number: no reason was given. Nothing was promised."
    )


def test_every_transfer_has_its_door_even_of_a_call_whose_books_did_not_answer() -> None:
    call_sid = f"CA{0:032x}"
    for first_seq in (0, UNKNOWN_SEQ):
        transfers = Transfers(call_sid, lambda row: None)
        transfers.recall([], first_seq=first_seq)
        transfers.begin("billing", "asked", whisper="Call from somebody.")
        query = whispers.url(str, transfers).partition("?")[2]
        assert whispers.asked(query) == whispers.Asked(call_sid, first_seq, key=False)


HOSTILE = [
    '<break time="99s"/><say-as interpret-as="telephone">',
    "]]></Say></Gather><Dial>+19005550100</Dial>",
    "a. Press 1 now. Press 1. It is the police! Really? Yes; really: so",
    "\x00\x07\u202e\ufeff\ud800 x",
    "&#60;audio src='https://x'/&#62;",
    "x" * 1_000_000,
    "word " * 10_000,
]


@pytest.mark.parametrize("words", HOSTILE)
def test_nobody_s_words_make_a_whisper_markup_longer_or_more_sentences(words: str) -> None:
    _is_a_whisper(words)


@given(st.text(alphabet=st.characters(), max_size=400))
@example("1.5.2 a..b :: !?")
def test_any_words_do(words: str) -> None:
    _is_a_whisper(words)


def _is_a_whisper(words: str) -> None:
    said = whisper(caller_name=words, number=words, reason=words, promised=words)
    assert len(said) < 450
    assert not set('<>[]{}\\|"`') & set(said)
    assert all(unicodedata.category(c)[0] != "C" for c in said)
    assert "<" not in twiml.gather(say=[said], action_url="https://x").partition("<Say>")[2].partition("</Say>")[0]
    for clause in (plain(words, 60), plain(words, 160)):
        assert not clause.endswith((".", "!", "?"))
        assert ". " not in clause
        assert not set("!?;") & set(clause)
