"""Tools and a transfer between a carrier and a model that are not ours: what the product tells each of them, in order."""

import asyncio
import contextlib
import html
import json
import re
from collections import defaultdict
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import urljoin

import httpx
from websockets.asyncio.server import ServerConnection
from websockets.exceptions import ConnectionClosed

from app.commands.own_server import started_server
from tests.calls.foreign import ACCOUNT, TOKEN, ForeignCall, ForeignModel, stream_of
from tests.calls.product import eventually
from tests.calls.test_slow_tools import slow_backend

PUBLIC = "https://bench.example"
PERSON = "+14155550170"
QUIET_FRAMES = 125
"""After the greeting was made, which takes a quarter of its two seconds: it was played then, and nobody is cut off."""
LONGEST_FRAMES = 1500
LEAN = ["put_through"]
DAY = (datetime.now(UTC).date() + timedelta(days=7)).isoformat()

Call = tuple[str, str]
"""A tool's name and its arguments, as the model writes them."""
WISHES: dict[int, list[Call]] = {
    1: [("free_slots", f'{{"day":"{DAY}"}}')],
    2: [("opening_hours", "{}"), ("opening_hours", f'{{"day":"{DAY}"}}')],
    3: [("opening_hours", '{"day":'), ("opening_hours", '{"day":5,"by":"phone"}'), ("fly_to_the_moon", "{}")],
    4: [("put_through", '{"desk":"reception","reason":"wants a person"}')],
}
"""By caller: what each asks for once they were greeted."""
SLOW, TWO, BAD, TRANSFER = WISHES


class ToolModel(ForeignModel):
    """Takes each caller's first words, some frames after its greeting, for a wish, and calls tools for it in one response."""

    def __init__(self) -> None:
        super().__init__("ga")
        self.wishes = dict(WISHES)
        self._quiet: dict[int, int] = defaultdict(int)

    async def hears(self, socket: ServerConnection, number: int, who: int) -> None:
        self._quiet[number] += any(event["type"] == "response.done" for event in self.told[number])
        if self._quiet[number] >= QUIET_FRAMES and who in self.wishes:
            await self._calls_tools(socket, number, self.wishes.pop(who))

    async def _calls_tools(self, socket: ServerConnection, number: int, calls: list[Call]) -> None:
        turn, response = f"item_{next(self._ids)}", f"resp_{next(self._ids)}"
        for what in ("speech_started", "speech_stopped", "committed"):
            await socket.send(json.dumps({"type": f"input_audio_buffer.{what}", "item_id": turn}))
        made = {"id": response, "status": "in_progress", "conversation_id": "conv"}
        await socket.send(json.dumps({"type": "response.created", "response": made}))
        items = [
            {
                "id": f"item_{next(self._ids)}", "type": "function_call", "status": "completed",
                "call_id": f"call_{number}_{n}", "name": name, "arguments": arguments,
            }
            for n, (name, arguments) in enumerate(calls)
        ]  # fmt: skip
        for index, item in enumerate(items):
            done = {"response_id": response, "output_index": index, "item": item}
            await socket.send(json.dumps({"type": "response.output_item.done", **done}))
        self.told[number].append({"type": "calls"})
        over = {**made, "status": "completed", "output": items}
        await socket.send(json.dumps({"type": "response.done", "response": over}))

    def sessions_of(self, who: int) -> list[int]:
        return [number for number, caller in self.callers.items() if caller == who]

    def after_the_calls(self, who: int) -> list[dict[str, Any]]:
        """What the product said to a caller's first session once the tools were called."""
        events = self.told[self.sessions_of(who)[0]] if self.sessions_of(who) else []
        types = [event["type"] for event in events]
        return events[types.index("calls") + 1 :] if "calls" in types else []

    def answered(self, who: int) -> bool:
        """Whether the last tool's answer was told, and then spoken about to its end."""
        rest = [event["type"] for event in self.after_the_calls(who) if event["type"] != "session.update"]
        return rest[-3:] == ["conversation.item.create", "response.create", "response.done"]

    def outputs(self, who: int) -> list[tuple[str, dict[str, Any]]]:
        """The tools' answers: whose, and what."""
        items = [event["item"] for event in self.after_the_calls(who) if event["type"] == "conversation.item.create"]
        assert {item["type"] for item in items} == {"function_call_output"}
        return [(item["call_id"], json.loads(item["output"])) for item in items]

    def order(self, who: int) -> list[str]:
        """Types of what was said and done after the tools were called, less configurations."""
        return [event["type"] for event in self.after_the_calls(who) if event["type"] != "session.update"]


async def test_tools_and_a_transfer_are_told_to_a_model_and_a_carrier_that_are_not_ours() -> None:
    """Side by side: each call takes its six seconds."""
    model, may_answer = ToolModel(), asyncio.Event()
    url = await model.start()
    try:
        async with (
            slow_backend(may_answer) as backend,
            started_server(
                quiet=True, REALTIME_URL=url, OPENAI_API_KEY="", TWILIO_AUTH_TOKEN=TOKEN, TWILIO_ACCOUNT_SID=ACCOUNT,
                TWILIO_API_BASE="http://127.0.0.1:9", PUBLIC_URL=PUBLIC, HUMAN_TRANSFER_NUMBER=PERSON,
                BUSINESS_API_BASE=backend,
            ) as (running, data),
            httpx.AsyncClient(trust_env=False) as http,
        ):  # fmt: skip
            calls = {who: ForeignCall(http, running.url, PUBLIC, who) for who in WISHES}
            await asyncio.gather(
                _a_late_answer_comes_behind_the_filler(model, calls[SLOW], may_answer),
                _two_tools_of_one_response_are_answered_by_one(model, calls[TWO]),
                _bad_input_is_told_and_the_talk_goes_on(model, calls[BAD]),
                _a_busy_person_is_told_to_the_next_session(model, calls[TRANSFER]),
            )
            log = (data / "serve.log").read_text()
    finally:
        await model.close()
    assert "Traceback" not in log
    assert [(call.who, call.wrong) for call in calls.values() if call.wrong] == []
    for who in WISHES:
        _lean_tools_come_first_and_all_of_them_after_the_first_answer(model.told[model.sessions_of(who)[0]])


def _lean_tools_come_first_and_all_of_them_after_the_first_answer(told: list[dict[str, Any]]) -> None:
    offers = [
        (at, [tool["name"] for tool in event["session"]["tools"]])
        for at, event in enumerate(told)
        if event["type"] == "session.update" and "tools" in event["session"]
    ]
    (first, lean), (second, full) = offers
    assert lean == LEAN
    assert {*LEAN, "opening_hours", "free_slots", "take_message", "end_call"} <= set(full)
    types = [event["type"] for event in told]
    assert first < types.index("response.create") < types.index("response.done") < second < types.index("calls")


async def _a_late_answer_comes_behind_the_filler(
    model: ToolModel, call: ForeignCall, may_answer: asyncio.Event
) -> None:
    talk = asyncio.create_task(call.talk(await call.webhook(), LONGEST_FRAMES, lambda: model.answered(call.who)))

    async def filled() -> bool:
        return "response.create" in model.order(call.who)

    await eventually(filled, "a filler", seconds=30)
    assert "conversation.item.create" not in model.order(call.who)
    (filler,) = [event for event in model.after_the_calls(call.who) if event["type"] == "response.create"]
    assert "Let me have a look." in filler["response"]["instructions"]
    may_answer.set()
    await talk
    ((call_id, answer),) = model.outputs(call.who)
    assert call_id.startswith("call_")
    assert answer == {"day": DAY, "slots": []}
    order = model.order(call.who)
    assert sorted(order[:3]) == ["conversation.item.create", "response.create", "response.done"], "filler and answer"
    assert order[3:] == ["response.create", "response.done"]


async def _two_tools_of_one_response_are_answered_by_one(model: ToolModel, call: ForeignCall) -> None:
    await call.talk(await call.webhook(), LONGEST_FRAMES, lambda: model.answered(call.who))
    outputs = dict(model.outputs(call.who))
    week, day = (outputs[call_id] for call_id in sorted(outputs))
    assert "monday" in week
    assert day["day"] == DAY
    assert model.order(call.who) == ["conversation.item.create"] * 2 + ["response.create", "response.done"]


async def _bad_input_is_told_and_the_talk_goes_on(model: ToolModel, call: ForeignCall) -> None:
    await call.talk(await call.webhook(), LONGEST_FRAMES, lambda: model.answered(call.who))
    outputs = dict(model.outputs(call.who))
    cut, wrong, unknown = (outputs[call_id]["error"] for call_id in sorted(outputs))
    assert "opening_hours" in cut
    assert "day" in wrong or "by" in wrong
    assert "fly_to_the_moon" in unknown
    assert model.order(call.who) == ["conversation.item.create"] * 3 + ["response.create", "response.done"]


async def _a_busy_person_is_told_to_the_next_session(model: ToolModel, call: ForeignCall) -> None:
    with contextlib.suppress(ConnectionClosed):  # the product leaves the stream, and the carrier asks what follows
        await call.talk(await call.webhook(), LONGEST_FRAMES)
    dial = await call.posts(PUBLIC + "/twilio/next", CallStatus="in-progress")
    assert re.search(rf"<Number[^>]*>{re.escape(PERSON)}</Number>", dial), dial
    action = re.search(r'<Dial[^>]* action="([^"]+)"', dial)
    assert action, dial
    onward = urljoin(PUBLIC + "/twilio/next", html.unescape(action[1]))
    again = await call.posts(onward, CallStatus="in-progress", DialCallStatus="busy")
    call.stream_sid = f"MZ{call.who + 100:032x}"
    await call.talk(stream_of(again), LONGEST_FRAMES, lambda: _said(model, call.who, session=1))
    second = model.told[model.sessions_of(call.who)[1]]
    assert "the line is busy" in json.dumps(second)


def _said(model: ToolModel, who: int, *, session: int) -> bool:
    """Whether a caller's session has spoken."""
    sessions = model.sessions_of(who)
    return len(sessions) > session and {"type": "response.done"} in model.told[sessions[session]]
