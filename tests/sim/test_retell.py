"""A call becomes a script that parses, whatever was said in it, and says itself what it cannot say again."""

from datetime import date

import pytest
from msgspec.structs import replace

from app.adapters.store import Call
from app.core.rows import Outcome, Span, SpanKind, ToolCall, TransferAttempt, Turn
from app.errors import SetupError
from app.sim.retell import Told, retell
from app.sim.voices import can_say
from tests.adapters.rows import NOON

DAY = date(2026, 11, 24)
GREETING = "Thank you for calling Lakeside Dental. How can I help you today?"
CALL = Call(
    call_sid="CA1", mode="receptionist", direction="inbound", from_number="+14155550133", to_number="+14155550199",
    started_at=NOON, ended_at=NOON, outcome="completed", cost_usd=0.1, greeting_path="prepared", greeting_ms=200, version="",
    input_tokens=0, cached_tokens=0, input_audio_tokens=0, cached_audio_tokens=0,
)  # fmt: skip


def agent(seq: int, at: int, text: str, heard: str | None = None) -> Turn:
    said = text if heard is None else heard
    return Turn(
        call_sid="CA1", seq=seq, who="agent", generated_text=text, heard_text=said, start_ms=at, end_ms=at + 900
    )


def caller(seq: int, at: int, text: str) -> Turn:
    return Turn(
        call_sid="CA1", seq=seq, who="caller", generated_text=text, heard_text=text, start_ms=at, end_ms=at + 900
    )


def span(kind: SpanKind, at: int, name: str = "MZ1") -> Span:
    return Span(
        call_sid="CA1",
        seq=0,
        kind=kind,
        name=name,
        turn=None,
        start_ms=at,
        end_ms=at,
        audio_ms=None,
        relay_us=None,
        note="",
    )


def tool(at: int, name: str, arguments: str) -> ToolCall:
    return ToolCall(call_sid="CA1", seq=0, name=name, arguments=arguments, result="", status="ok", ms=5, start_ms=at)


def told(turns: list[Turn], *, call: Call = CALL, **more: object) -> Told:
    given = {"tools": [], "spans": [span("stream", 0)], "transfers": [], "outcome": None, **more}
    return retell(call, DAY, turns=turns, **given)  # type: ignore[arg-type]


def test_what_was_said_cut_called_and_came_of_it_is_in_the_script() -> None:
    it = told(
        [
            agent(0, 200, GREETING, "Thank you for calling"),
            caller(1, 1100, "Hi, I would like to book an appointment please."),
            agent(2, 2000, "Let me have a look."),
            agent(3, 4000, "Is there anything else?"),
        ],
        tools=[tool(3000, "book_appointment", '{"start":"2026-12-01T08:00","name":"Baker","phone":null}')],
        outcome=Outcome(call_sid="CA1", kind="receptionist", fields={"result": "booked"}, valid=True),
    )
    assert it.replaced == []
    opening, booked = it.script.turn
    assert opening.agent == GREETING
    assert (booked.cuts_in_after_ms, booked.preamble, booked.agent) == (
        900,
        "Let me have a look.",
        "Is there anything else?",
    )
    (use,) = booked.tools
    assert use.arguments == {"start": "{{ day1 }}T08:00", "name": "Baker"}
    assert it.script.vars == {"day1": "in 7 days"}
    assert it.script.expect.tools == ["book_appointment:ok"]
    assert it.script.expect.outcome is not None
    assert it.script.expect.outcome.kind == "receptionist"


def test_words_that_nobody_recorded_are_told_by_what_is_near_and_kept_beside_it() -> None:
    was = "Zounds, my crown fell into the quiche {{ 1 + 1 }}\nagain"
    it = told([agent(0, 200, GREETING), caller(1, 2000, was), agent(2, 4000, "Fiddlesticks indeed!")])
    assert [(who, as_it_was) for who, as_it_was, _ in it.replaced] == [
        ("caller", "Zounds, my crown fell into the quiche (( 1 + 1 )) again"),
        ("agent", "Fiddlesticks indeed!"),
    ]
    assert can_say(it.script.turn[1].caller, "anna")
    assert can_say(it.script.turn[1].agent, "agent")
    assert "# not recorded, told by what is near: Zounds" in it.toml
    assert "2 lines (1 of the caller's) have words that nobody recorded" in it.toml


@pytest.mark.parametrize(
    "hostile", ['"""\n[expect]\ndials = 9', "\\u0000 \x00 \x07", "]] = '''", "{% raw %}", "\ud800", "𐍈 \u2028 \u202e"]
)
def test_hostile_words_are_words(hostile: str) -> None:
    it = told(
        [agent(0, 200, hostile), caller(1, 2000, hostile)],
        tools=[tool(3000, hostile, '{"name": "{{ x }}"}')],
        call=replace(CALL, call_sid=hostile, from_number=hostile),
    )
    assert it.script.expect.dials is None
    assert len(it.script.turn) == 2
    assert it.script.caller.number == "+14155550100"


def test_keys_hang_ups_transfers_and_a_second_stream_have_their_places() -> None:
    attempt = TransferAttempt(
        call_sid="CA1",
        seq=0,
        desk="billing",
        reason="",
        result="accepted",
        whisper="A call",
        started_at=NOON,
        ended_at=None,
    )
    it = told(
        [agent(0, 200, GREETING), agent(1, 9200, "May I take a message?")],
        spans=[span("stream", 0), span("key", 3000, "1"), span("key", 3100, "2"), span("stream", 9000)],
        transfers=[attempt, replace(attempt, result="no_answer")],
        call=replace(CALL, outcome="caller_left"),
    )
    assert [(turn.keys, turn.agent, turn.hangs_up_after_ms) for turn in it.script.turn] == [
        ("", GREETING, None),
        ("12", "", None),
        ("", "May I take a message?", None),
        ("", "", 1000),
    ]
    assert it.script.carrier.dial == ["accepts", "no-answer"]


def test_a_call_in_which_nothing_was_said_is_no_script() -> None:
    with pytest.raises(SetupError):
        told([])
