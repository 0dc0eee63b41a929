"""The shipped scripts, played against the running product: what the books say is what was said, done and heard."""

import asyncio
import json
import re
from datetime import UTC, date, datetime
from typing import Any

from app.settings import load
from app.sim import script as scripts
from app.sim.rehearsal import Report, rehearse
from tests.calls.product import Product, new_number, product

EXPECTED = {"booking", "human", "hangup"}
MILESTONES = {
    "webhook_accepted",
    "stream_started",
    "model_ready",
    "first_audio_sent",
    "first_caller_speech",
    "tool_called",
    "call_closed",
}


async def test_every_shipped_script_holds_in_both_dialects_and_the_books_agree_with_what_was_heard() -> None:
    async with product(dialect="ga") as ga, product(dialect="flat") as flat:
        await asyncio.gather(_play_all(ga), _play_all(flat))


async def _play_all(house: Product) -> None:
    """All shipped scripts at once, against one server."""
    today = load().office.now(datetime.now(UTC)).date()
    shipped = {name: scripts.load(path) for name, path in scripts.shipped().items()}
    assert set(shipped) >= EXPECTED
    numbers = {name: new_number() for name in shipped}

    async def play(name: str) -> Report:
        return await rehearse(name, shipped[name], house.target, today=today, store=house.store, number=numbers[name])

    reports = dict(zip(shipped, await asyncio.gather(*(play(name) for name in shipped)), strict=True))
    for name, report in reports.items():
        assert report.faults == [], f"{name}: {report.turns}"
        assert report.call is not None
        assert report.call.greeting_path == "prepared", name
        assert report.call.greeting_ms is not None
        assert report.call.cost_usd is not None
        assert report.call.cost_usd > 0
        assert (report.call.mode, report.call.from_number) == ("receptionist", numbers[name])
        assert set(report.milestones) >= MILESTONES, name
        _turns_are_what_was_said(house, report, shipped[name], numbers[name], today)
        await _no_audio_is_kept(house, report.call_sid)
    await _booked(house, reports["booking"], numbers["booking"])
    await _noted(house, reports["human"], numbers["human"])
    outcome = reports["hangup"].outcome
    assert outcome is not None
    assert outcome.fields["result"] == "answered"


def _turns_are_what_was_said(house: Product, report: Report, script: scripts.Script, number: str, today: date) -> None:
    """Both sides' words, as the script has them and as the model says that it said them."""
    variables: dict[str, Any] = script.variables(today)
    answers = {tool.name: tool.result for tool in report.tool_calls}
    for use in (use for turn in script.turn for use in turn.tools if use.save):
        variables[use.save] = json.loads(answers[use.name])
    understood = [turn for turn in script.turn if turn.caller and turn.hangs_up_after_ms is None]
    caller = [turn.generated_text for turn in report.turns if turn.who == "caller" and turn.generated_text]
    assert caller == [scripts.render(turn.caller, variables) for turn in understood]
    agent = [turn for turn in report.turns if turn.who == "agent" and turn.generated_text]
    words = [scripts.render(text, variables) for turn in script.turn for text in (turn.preamble, turn.agent) if text]
    assert [turn.generated_text for turn in agent] == words
    said = [note["text"] for session in house.sessions_of(number) for note in session.log if note["type"] == "says"]
    assert said == words
    cut = script.expect.cut_short or []
    for n, turn in enumerate(agent):
        if n in cut:
            assert 0 < len(turn.heard_text) < len(turn.generated_text)
            assert turn.generated_text.startswith(turn.heard_text)
        else:
            assert turn.heard_text == turn.generated_text
    assert [turn.seq for turn in report.turns] == list(range(len(report.turns)))
    assert all(0 <= turn.start_ms <= turn.end_ms for turn in report.turns)


async def _booked(house: Product, report: Report, number: str) -> None:
    """The appointment is in the business's own table, as the caller was told."""
    (booking,) = await house.rows('SELECT name, "start", phone, reference FROM bookings WHERE phone = :n', n=number)
    book = next(tool for tool in report.tool_calls if tool.name == "book_appointment")
    arguments, result = json.loads(book.arguments), json.loads(book.result)
    assert set(arguments) == {"name", "start", "reason"}
    assert booking.name == "Baker"
    assert f"{booking.start:%Y-%m-%dT%H:%M}" == arguments["start"] == result["start"]
    assert report.outcome is not None
    assert report.outcome.fields == {
        "result": "booked",
        "name": "Baker",
        "start": arguments["start"],
        "reference": booking.reference,
    }


async def _noted(house: Product, report: Report, number: str) -> None:
    """The message is there; and what the second stream's model was told is why the caller is back."""
    (message,) = await house.rows("SELECT name, text FROM messages WHERE phone = :n", n=number)
    assert tuple(message) == ("Baker", "Please call me back about my invoice.")
    assert {"transfer_started", "dialled_no-answer"} <= set(report.milestones)
    assert report.milestones.count("stream_started") == 2
    _, second = house.sessions_of(number)
    told = json.dumps(second.received)
    assert "nobody answered" in told
    assert "Can I speak to someone in billing please?" in told, "what was said before"


async def _no_audio_is_kept(house: Product, call_sid: str) -> None:
    rows = await house.rows("SELECT source, event FROM debug_events WHERE call_sid = :sid", sid=call_sid)
    assert {row.source for row in rows} == {"carrier", "model"}
    assert not [row.event for row in rows if str(row.event.get("type", "")).endswith(".delta")]
    assert not [row.event for row in rows if row.event.get("event") == "media"]
    for row in rows:
        longest = max(re.findall(r"[A-Za-z0-9+/=]+", json.dumps(row.event)), key=len)
        assert len(longest) < 200, f"this looks like audio: {longest[:80]}..."
