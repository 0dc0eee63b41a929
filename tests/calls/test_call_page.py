"""One real call, and what its pages say of it: the lanes' figures are those of the books and of the caller's ear."""

import csv
import io
import json
import re
import tomllib
from html.parser import HTMLParser
from typing import Any

import httpx
import pytest
from sqlalchemy import text

from app.adapters.journal import Journal
from app.core.rows import CallStarted, Milestone, Turn
from app.main import VERSION
from app.sim.carrier_call import CarrierCall
from app.sim.script import parse
from app.web.console.words import usd
from tests.calls.conversations import BYE, HOURS, TALK, spoken
from tests.calls.line import Line
from tests.calls.product import Product, eventually, new_call_sid, new_number
from tests.calls.test_console import Operator

OPERATORS: dict[str, Operator] = {}
NEAR_MS = 60
HEARD_NEAR_MS = 300


class Bars(HTMLParser):
    """The bars of the lanes: lane, from, to, words."""

    def __init__(self) -> None:
        super().__init__()
        self.lane = ""
        self.found: list[tuple[str, int, int, str]] = []
        self.scripts: list[dict[str, str | None]] = []
        self.wrong: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        self.wrong += [f"<{tag} {name}>" for name in given if name == "style" or name.startswith("on")]
        if tag == "svg" and "lane-plot" in (given.get("class") or ""):
            self.lane = (given["class"] or "").split("lane-plot lane-")[1]
        if tag == "rect" and "data-from" in given:
            words = given["aria-label"] or ""
            self.found.append((self.lane, int(given["data-from"] or 0), int(given["data-to"] or 0), words))
        if tag == "script":
            self.scripts.append(given)

    def of(self, lane: str) -> list[tuple[int, int, str]]:
        return [(low, high, words) for name, low, high, words in self.found if name == lane]


async def page(house: Product, path: str, status: int = 200) -> httpx.Response:
    """One page, as the operator sees it. Logged in once: a password takes its time."""
    operator = OPERATORS.get(house.url)
    if operator is None:
        operator = OPERATORS[house.url] = Operator(house)
        await operator.logs_in()
    answer = await operator.asks("GET", path)
    assert answer.status_code == status, answer.text[:500]
    return answer


async def drawn(house: Product, call_sid: str) -> tuple[str, Bars]:
    html = (await page(house, f"/calls/{call_sid}")).text
    bars = Bars()
    bars.feed(html)
    return html, bars


@pytest.fixture(scope="module")
async def made(house: Product) -> CarrierCall:
    """A caller cuts into the greeting, hears the opening hours, presses a key, and says goodbye."""
    number = new_number()
    house.model.register(TALK, number=number)
    line = Line()
    call = await house.dial(line, number)
    await line.hears(1500)
    line.say(spoken(HOURS))
    await line.until(lambda: bool(call.log.of("clear")), "a clear")
    await line.hears_more(1500)
    await line.hears_silence()
    line.say(spoken(BYE))
    await call.finished()
    await house.closed(call.call_sid)

    async def traced() -> bool:
        return any(span.kind == "stream" for span in await house.store.spans(call.call_sid))

    await eventually(traced, "the end of the trace in the books")
    return call


async def test_the_lanes_figures_are_those_of_the_books_and_of_the_ear(house: Product, made: CarrierCall) -> None:
    sid = made.call_sid
    html, bars = await drawn(house, sid)
    turns, spans = await house.store.turns(sid), await house.store.spans(sid)
    agent = [turn for turn in turns if turn.who == "agent" and turn.end_ms > turn.start_ms]
    assert [(low, high) for low, high, _ in bars.of("heard")] == [(turn.start_ms, turn.end_ms) for turn in agent]
    assert "cut short" in bars.of("heard")[0][2]
    assert agent[0].heard_text in bars.of("heard")[0][2]
    (stream,) = made.streams
    cleared = stream.playout.clears[0]
    heard_ms = sum(len(played.audio) for played in stream.played if played.at_ms <= cleared.at_ms) / 8
    low, high, _ = bars.of("heard")[0]
    assert abs((high - low) - heard_ms) < HEARD_NEAR_MS, "as the carrier really played it"
    sent = {span.turn: span for span in spans if span.kind == "sent"}
    for turn in agent[1:]:
        assert abs((sent[turn.seq].audio_ms or 0) - (turn.end_ms - turn.start_ms)) <= NEAR_MS, (
            "what was not cut was heard whole"
        )
    (told,) = [span for span in spans if span.kind == "truncate"]
    assert told.turn == agent[0].seq
    assert abs((told.audio_ms or 0) - (agent[0].end_ms - agent[0].start_ms)) <= NEAR_MS
    assert [words for _, _, words in bars.of("said") if HOURS in words]
    tools = await house.store.tool_calls(sid)
    assert [low for low, _, _ in bars.of("tools")] == [tool.start_ms for tool in tools]
    assert any("clear" in words for _, _, words in bars.of("carrier"))
    assert len(bars.of("generated")) == len(await house.store.responses(sid))
    for _, low, high, words in bars.found:
        assert f'<td class="num">{low}</td><td class="num">{high}</td>' in html, f"not in the table: {words}"


async def test_the_row_of_the_call_has_what_it_is_found_by(house: Product, made: CarrierCall) -> None:
    row = await house.store.call(made.call_sid)
    assert row is not None
    assert row.cuts == len(made.log.of("clear"))
    assert row.failed_tools == 0
    assert row.model
    assert row.slowest_turn_ms
    responses = await house.store.responses(made.call_sid)
    heard_usd = (row.cost_usd or 0) - sum(response.cost_usd for response in responses)
    assert 0 < heard_usd < (row.cost_usd or 0) / 2, (
        "the caller's words were transcribed, which is paid for beside the responses"
    )
    html, _ = await drawn(house, made.call_sid)
    assert "How long the caller waited" in html
    assert "What it cost" in html
    assert f'Transcription, telephone</th><td></td><td class="num">{usd(heard_usd)}' in html


async def test_the_page_keeps_the_policy_and_is_small(house: Product, made: CarrierCall) -> None:
    answer = await page(house, f"/calls/{made.call_sid}")
    bars = Bars()
    bars.feed(answer.text)
    assert bars.wrong == []
    assert all(script.get("src") for script in bars.scripts)
    assert len(answer.content) < 250_000
    assert "default-src 'self'" in answer.headers["content-security-policy"]
    for path in re.findall(r'(?:src|href)="(/static/[^"]+)"', answer.text):
        assert (await house.http.get(house.url + path)).status_code == 200


async def test_the_list_finds_the_call_by_what_was_said_and_by_its_number(house: Product, made: CarrierCall) -> None:
    row = await house.store.call(made.call_sid)
    assert row is not None
    link = f'href="/calls/{made.call_sid}"'
    for query in ('words="opening hours"', f"number={row.from_number[-6:]}", "mode=receptionist&cut=1"):
        assert link in (await page(house, f"/calls?{query}&number={row.from_number[-6:]}")).text, query
    assert link not in (await page(house, f"/calls?number={row.from_number[-6:]}&failed=1")).text
    wrong = await page(house, "/calls?number=12", 400)
    assert "its last 4 digits or more" in wrong.text
    assert "expected a day as" in (await page(house, "/calls?since=yesterday", 400)).text
    assert "links has it" in (await page(house, "/calls?before=%00", 400)).text


async def test_pages_of_the_list_lead_on_and_back(house: Product) -> None:
    mode = "page-turner"
    rows = [new_call_sid() for _ in range(53)]
    values = [{"sid": sid, "n": n} for n, sid in enumerate(rows)]
    sql = (
        "INSERT INTO calls (call_sid, mode, direction, from_number, to_number, started_at, version) VALUES "
        f"(:sid, '{mode}', 'inbound', '', '', timestamptz '2020-01-01' + :n * interval '1 second', '')"
    )
    async with house.engine.begin() as connection:
        await connection.execute(text(sql), values)
    first = (await page(house, f"/calls?mode={mode}")).text
    assert 'rel="prev"' not in first
    older = re.search(r'href="([^"]+)" rel="next"', first)
    assert older is not None
    second = (await page(house, older[1].replace("&amp;", "&"))).text
    assert [sid for sid in rows if sid in second] == rows[:3]
    assert 'rel="next"' not in second
    newer = re.search(r'href="([^"]+)" rel="prev"', second)
    assert newer is not None
    assert [sid for sid in rows if sid in (await page(house, newer[1].replace("&amp;", "&"))).text] == rows[3:]


async def test_hostile_names_and_words_are_text_and_no_formula(house: Product) -> None:
    sid, evil = new_call_sid(), "<script>alert(1)</script>\"'><img src=x onerror=alert(2)>"
    at = (await house.rows("SELECT now()"))[0][0]
    journal = Journal(house.engine)
    for row in (
        CallStarted(
            call_sid=sid,
            mode="=cmd|'/c calc'!A1",
            direction="inbound",
            from_number=evil,
            to_number="",
            started_at=at,
            version=VERSION,
        ),
        Turn(call_sid=sid, seq=0, who="caller", generated_text=evil, heard_text=evil, start_ms=0, end_ms=900),
        Milestone(call_sid=sid, name=evil, at=at),
    ):
        journal.put(row)
    assert await journal.close(10) == 0
    html, bars = await drawn(house, sid)
    assert "<script>alert" not in html
    assert "<img" not in html
    assert bars.wrong == []
    assert any(evil in words for _, _, words in bars.of("said"))
    listed = await page(
        house,
        "/calls?mode=" + httpx.QueryParams({"m": "=cmd|'/c calc'!A1"})["m"].replace("|", "%7C").replace("'", "%27"),
    )
    assert sid in listed.text
    assert "<img" not in listed.text
    table = (await page(house, "/calls.csv?mode=%3Dcmd%7C%27/c%20calc%27!A1")).text
    (row_,) = list(csv.DictReader(io.StringIO(table)))
    assert row_["mode"] == "'=cmd|'/c calc'!A1"
    assert row_["from_number"] == evil


async def test_the_files_have_what_the_books_have(house: Product, made: CarrierCall) -> None:
    row = await house.store.call(made.call_sid)
    assert row is not None
    query = f"number={row.from_number.replace('+', '%2B')}"
    table = await page(house, f"/calls.csv?{query}")
    assert table.headers["content-disposition"] == 'attachment; filename="calls.csv"'
    (line,) = list(csv.DictReader(io.StringIO(table.text)))
    assert (line["call_sid"], line["from_number"], line["cuts"]) == (row.call_sid, "'" + row.from_number, str(row.cuts))
    (record,) = json.loads((await page(house, f"/calls.json?{query}")).text)
    assert (record["call_sid"], record["from_number"]) == (row.call_sid, row.from_number)
    whole: dict[str, Any] = json.loads((await page(house, f"/calls/{made.call_sid}/export.json")).text)
    assert len(whole["spans"]) == len(await house.store.spans(made.call_sid))
    assert [turn["generated_text"] for turn in whole["turns"]] == [
        turn.generated_text for turn in await house.store.turns(made.call_sid)
    ]


async def test_raw_events_are_there_on_demand_without_audio(house: Product, made: CarrierCall) -> None:
    events = (await page(house, f"/calls/{made.call_sid}/events")).text
    assert "session.updated" in events
    assert "audio&gt;" in events or "payload" not in events
    assert "None are left" in (await page(house, "/calls/CAnone/events")).text


async def test_the_call_becomes_a_rehearsal_that_goes_the_same_way(house: Product, made: CarrierCall) -> None:
    toml = (await page(house, f"/calls/{made.call_sid}/rehearsal.toml")).text
    script = parse(tomllib.loads(toml), "retold")
    said = [turn.caller for turn in script.turn if turn.caller]
    assert said == [HOURS, BYE]
    assert script.turn[1].cuts_in_after_ms is not None
    assert [use.name for turn in script.turn for use in turn.tools] == ["opening_hours", "end_call"]
    operator = OPERATORS[house.url]
    token = await operator.token("/calls")
    shown = await operator.asks("POST", f"/calls/{made.call_sid}/rehearsal", data={"csrf": token})
    assert shown.status_code == 200
    assert "./offhook call" in shown.text
    refused = await operator.asks("POST", f"/calls/{made.call_sid}/rehearsal", data={"csrf": "no"})
    assert refused.status_code == 403


async def test_who_has_not_logged_in_sees_nothing_of_it(house: Product, made: CarrierCall) -> None:
    for path in (
        "/calls",
        "/calls.csv",
        "/calls.json",
        f"/calls/{made.call_sid}",
        f"/calls/{made.call_sid}/export.json",
    ):
        answer = await house.http.get(house.url + path)
        assert answer.status_code in (401, 303), path
        assert made.call_sid not in answer.text
    assert "no such call" in (await page(house, "/calls/CAnone", 404)).text
