"""A backend that takes its time, on a whole call: the caller hears the house's sentence, then the answer, and neither is cut."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from app.sim.script import parse
from app.sim.voices import core, say
from tests.calls.conversations import GREETING, spoken
from tests.calls.line import Line
from tests.calls.product import Product, eventually, new_number, product

FILLER = "Let me have a look."
ANSWER = "I have nothing free on that day. Would another day suit you?"
FULL = b'{"slots":[]}'


@asynccontextmanager
async def slow_backend(answer: asyncio.Event) -> AsyncIterator[str]:
    """A business whose every answer is an empty list of slots, once it may answer. Yields its address."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        await answer.wait()
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nConnection: close\r\n")
        writer.write(b"Content-Length: %d\r\n\r\n%b" % (len(FULL), FULL))
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"


def asks(number: str) -> dict[str, object]:
    """A call whose one question needs the backend."""
    return {
        "title": "Asks for a day",
        "mode": "receptionist",
        "caller": {"number": number},
        "vars": {"day": "next tuesday"},
        "turn": [
            {"agent": GREETING},
            {
                "caller": "Do you have anything on {{ day | weekday }}?",
                "tools": [{"name": "free_slots", "arguments": {"day": "{{ day }}"}}],
                "agent": ANSWER,
            },
        ],
    }


def said(house: Product, number: str) -> list[str]:
    """What the model was made to say so far."""
    return [note["text"] for session in house.sessions_of(number) for note in session.log if note["type"] == "says"]


async def test_a_slow_backend_is_bridged_by_the_tools_own_sentence_and_the_answer_follows_it() -> None:
    may_answer, number = asyncio.Event(), new_number()
    async with slow_backend(may_answer) as backend, product(BUSINESS_API_BASE=backend) as house:
        house.model.register(parse(asks(number), "slow"), number=number)
        line = Line()
        call = await house.dial(line, number)
        await line.hears(1500)
        line.say(spoken("Do you have anything on Tuesday?"))
        await line.until(lambda: said(house, number)[1:] == [FILLER], "the model to read the filler")
        await line.hears_more(200)
        may_answer.set()
        await line.until(lambda: said(house, number)[2:] == [ANSWER], "the model to give the answer")
        await line.hears_silence(800)
        await call.hang_up()
        await house.closed(call.call_sid)

        async def written() -> bool:
            return len([turn for turn in await house.store.turns(call.call_sid) if turn.who == "agent"]) == 3

        await eventually(written, "three turns of the agent in the books")
        turns = [turn for turn in await house.store.turns(call.call_sid) if turn.who == "agent"]
        assert [turn.heard_text for turn in turns[1:]] == [FILLER, ANSWER]
        assert turns[1].end_ms <= turns[2].start_ms + 1, "one after the other; each is rounded by itself"
        (row,) = await house.store.tool_calls(call.call_sid)
        assert (row.name, row.status) == ("free_slots", "ok")
        assert row.ms >= 700
        figures = await house.figures()
        assert figures['offhook_tool_slow_total{tool="free_slots"}'] == 1
        heard = b"".join(played.audio for played in call.played)
        assert 0 < heard.find(core(say(FILLER))) < heard.find(core(say(ANSWER)))
        (session,) = house.sessions_of(number)
        refused = [note for note in session.log if note["type"] in ("refused", "failed")]
        assert refused == []
