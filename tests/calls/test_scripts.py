"""The shipped scripts, played against the running product: what the books say is what was said, done and heard."""

import asyncio
import json
import os
import re
import traceback
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AsyncExitStack
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import msgspec
import pytest

from app.settings import load
from app.sim import script as scripts
from app.sim.carrier_numbers import PhoneNumber
from app.sim.rehearsal import rehearse
from app.sim.report import Report
from app.sim.script_words import render
from tests.calls.product import OURS, Product, new_number, product

EXPECTED = {"booking", "human", "hangup", "returning", "text", "after-hours", "mind-changed"}
IN_BOTH_DIALECTS = ("booking", "human", "ivr-account")
"""A talk with tools, two streams of one call, and a flow with typed digits: what the dialects could tell apart."""
AT_ONCE = 16
"""Calls beside each other in one process: two cores bear them without anybody waiting for a frame."""
RUN_SECONDS = 240.0
MILESTONES = {
    "webhook_accepted",
    "stream_started",
    "model_ready",
    "first_audio_sent",
    "first_caller_speech",
    "tool_called",
    "call_closed",
}
CASES = [(name, "ga") for name in scripts.shipped()] + [(name, "flat") for name in IN_BOTH_DIALECTS]

Judged = dict[str, str]
"""By script and dialect: what was wrong with it; empty where all held."""


@pytest.fixture(scope="session")
async def judged(tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest) -> AsyncIterator[Judged]:
    """The chosen calls, made side by side, once for all of pytest's workers: whichever comes first makes them, the others wait."""
    base = tmp_path_factory.getbasetemp()
    shared = base.parent if "PYTEST_XDIST_WORKER" in os.environ else base
    result, claim = shared / "scripts.json", shared / "scripts.claim"
    try:
        with claim.open("x") as file:
            file.write(str(os.getpid()))
    except FileExistsError:
        yield await _made_by_another(result)
        return
    asked = {item.callspec.params["case"] for item in request.session.items if _is_case(item)}  # type: ignore[attr-defined]
    chosen = [case for case in CASES if case in asked]
    judgement = {"-".join(case): "the call was not made" for case in chosen}
    judgement["servers"] = ""
    try:
        await _play(chosen, judgement)
    except Exception:  # a server that does not start, or has a traceback in its log: that is not the scripts' fault
        judgement["servers"] = traceback.format_exc()
    fresh = result.with_suffix(".new")
    fresh.write_text(json.dumps(judgement))
    fresh.rename(result)
    yield judgement


def _is_case(item: pytest.Item) -> bool:
    return "case" in getattr(getattr(item, "callspec", None), "params", {}) and item.path == Path(__file__)


async def _made_by_another(result: Path) -> Judged:
    try:
        async with asyncio.timeout(RUN_SECONDS):
            while not await asyncio.to_thread(result.exists):  # noqa: ASYNC110  another process sets no event of ours
                await asyncio.sleep(0.1)
    except TimeoutError:
        pytest.fail(f"expected the other worker to make the calls within {RUN_SECONDS:g} s; see its tests")
    found: Judged = json.loads(await asyncio.to_thread(result.read_text))
    return found


@pytest.mark.parametrize("case", CASES, ids=lambda case: "-".join(case))
async def test_a_shipped_script_holds_and_the_books_agree_with_what_was_heard(
    judged: Judged, case: tuple[str, str]
) -> None:
    wrong = judged["-".join(case)]
    assert not wrong, wrong


def test_the_scripts_that_the_readme_tells_of_are_shipped() -> None:
    assert set(scripts.shipped()) >= EXPECTED


async def test_the_servers_of_all_these_calls_started_and_logged_no_traceback(judged: Judged) -> None:
    assert not judged["servers"], judged["servers"]


async def _play(cases: list[tuple[str, str]], judgement: Judged) -> None:
    """Make calls against one server for each dialect, a few at a time, the long ones first; each is judged by itself."""
    free = asyncio.Semaphore(AT_ONCE)
    async with AsyncExitStack() as stack:
        houses: dict[str, Product] = {}
        for dialect in sorted({dialect for _, dialect in cases}):
            house = await stack.enter_async_context(
                product(dialect=dialect, TWILIO_PHONE_NUMBER=OURS, QUIET_HOURS="never")
            )
            house.carrier.account.numbers[OURS] = PhoneNumber(OURS)
            house.target = msgspec.structs.replace(house.target, phone_number=OURS, carrier=house.carrier)
            houses[dialect] = house

        async def one(case: tuple[str, str], script: scripts.Script) -> None:
            async with free:
                try:
                    await _judge(case[0], script, houses[case[1]])
                    judgement["-".join(case)] = ""
                except Exception:
                    judgement["-".join(case)] = traceback.format_exc()

        loaded = [(case, scripts.load(scripts.shipped()[case[0]])) for case in cases]
        loaded.sort(key=lambda one: -len(one[1].turn))
        async with asyncio.TaskGroup() as group:
            for case, script in loaded:
                group.create_task(one(case, script))


async def _judge(name: str, script: scripts.Script, house: Product) -> None:
    """One call, and everything that must hold of it."""
    today = load().office.now(datetime.now(UTC)).date()
    number = new_number()
    report = await rehearse(name, script, house.target, today=today, store=house.store, number=number)
    assert report.faults == [], report.turns
    assert report.untrue == [], report.turns
    assert report.call is not None
    if script.model is not None:  # one whose model is out of order is judged by what it expects
        mended = bool(script.model.breaks_in)
        assert report.call.greeting_path == ("prepared" if mended else "fallback")
        assert report.call.outcome == ("completed" if mended else "by_keys")
        assert "model_reconnected" in report.milestones or not mended  # a silent one may get ready again
        return
    call = report.call
    if script.outbound is not None:
        assert (call.direction, call.from_number, call.to_number) == ("outbound", OURS, number)
        assert "call_placed" in report.milestones
        if report.result != "answered":  # nobody was talked to, and the session that was prepared is dropped
            assert "first_audio_sent" not in report.milestones
            assert call.cost_usd is not None
            assert call.cost_usd == 0 or report.result == "message_left"  # a machine's words are written down
            return
    else:
        assert (call.direction, call.from_number, call.greeting_path) == ("inbound", number, "prepared")
        assert call.greeting_ms is not None
    assert call.cost_usd is not None
    assert call.cost_usd > 0
    assert call.mode == script.mode
    assert set(report.milestones) >= MILESTONES
    assert len(report.tools_called_ms) == len(report.tool_calls), "truth is judged in order"
    assert [(told.what, told.heard) for told in report.consents] == [("ai", True)]
    _turns_are_what_was_said(house, report, script, number, today)
    await _no_audio_is_kept(house, report.call_sid)
    if name in MORE:
        await MORE[name](house, report, number)


def _turns_are_what_was_said(house: Product, report: Report, script: scripts.Script, number: str, today: date) -> None:
    """Both sides' words, as the script has them and as the model says that it said them."""
    variables: dict[str, Any] = script.variables(today)
    answers = {tool.name: tool.result for tool in report.tool_calls}
    for use in (use for turn in script.turn for use in turn.tools if use.save):
        variables[use.save] = json.loads(answers[use.name])
    understood = [turn for turn in script.turn if turn.caller and turn.hangs_up_after_ms is None]
    caller = [turn.generated_text for turn in report.turns if turn.who == "caller" and turn.generated_text]
    assert caller == [render(turn.caller, variables) for turn in understood]
    agent = [turn for turn in report.turns if turn.who == "agent" and turn.generated_text]
    words = [render(text, variables) for text in _agent_s(script, report) if text]
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


def _agent_s(script: scripts.Script, report: Report) -> Iterator[str]:
    """The agent's texts, in order: what it says before tools and after them, or when the first of a turn's was refused."""
    done = iter(report.tool_calls)
    for turn in script.turn:
        yield turn.preamble
        refused = [use.agent_if_error for use, call in zip(turn.tools, done) if call.status != "ok"]  # noqa: B905
        yield refused[0] if refused else turn.agent


async def _texted(house: Product, report: Report, number: str) -> None:
    """The caller, and nobody else, got one text, with the appointment that is in the books."""
    (text,) = [text for text in house.carrier.messages if text["to"] == number]
    (booking,) = await house.rows('SELECT "start", reference FROM bookings WHERE phone = :n', n=number)
    assert text["from"] == OURS
    assert f"{booking.start:%A, %B} {booking.start.day} at {booking.start:%H:%M}" in str(text["body"])
    assert booking.reference in str(text["body"])
    assert report.milestones.count("text_sent") == 1
    assert {text["to"] for text in house.carrier.messages} == {number}


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
        "recognised": False,
        "texted": False,
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


async def _answered(house: Product, report: Report, number: str) -> None:
    """The caller who hung up in mid-sentence had got an answer before."""
    assert report.outcome is not None
    assert report.outcome.fields["result"] == "answered"


MORE: dict[str, Callable[[Product, Report, str], Awaitable[None]]] = {
    "booking": _booked,
    "human": _noted,
    "text": _texted,
    "hangup": _answered,
}
