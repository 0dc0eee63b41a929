"""Servers of ours behind a proxy, one Postgres outside of all: callers, what they hear, and what the books have of it."""

import asyncio
import json
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial
from itertools import pairwise
from pathlib import Path

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from app.adapters.data_folder import Running
from app.adapters.database import make_engine
from app.adapters.embedded_pg import EmbeddedPostgres
from app.adapters.store import CallStore
from app.commands.own_server import started_server
from app.sim.carrier import Carrier
from app.sim.carrier_call import CarrierCall
from app.sim.model import ModelServer
from tests.calls.conversations import BYE, HOURS, TALK, spoken
from tests.calls.foreign import ACCOUNT, TOKEN
from tests.calls.line import Line
from tests.calls.product import FAST, OURS, PERSON, PUBLIC, eventually, new_number
from tests.outlive.proxy import CONFIG, Server, proxy

DRAIN_SECONDS = 3
HEARD_AGAIN_MS = 6000
"""The longest that a caller hears nothing, their own words included, on a machine that is busy with other tests. Alone: 3 s."""


class Talk:
    """One caller, and what they hear."""

    def __init__(self, number: str, line: Line, call: CarrierCall) -> None:
        self.number, self.line, self.call = number, line, call

    async def asks(self) -> None:
        """Cut in on the greeting, and be answered."""
        await self.line.hears(400)
        self.line.say(spoken(HOURS))
        await self.line.hears_more(800)

    async def goes_on(self, stream: int) -> None:
        """Be talked to on the n-th stream, say goodbye, and be let go."""
        await self.line.hears(300, stream=stream)
        await self.line.hears_silence()
        self.line.say(spoken(BYE))
        await self.call.finished()
        assert self.call.ended_by == "server"
        assert self.line.verbs[-1] == "Hangup"
        self._was_never_left_alone()

    async def is_talked_to(self, stream: int, *, frozen: float = 0.0) -> None:
        """Hear the agent on the n-th stream, and put the phone down. frozen: seconds for which a process stood still before."""
        await self.line.hears(300, stream=stream)
        await self.call.hang_up()
        self._was_never_left_alone(frozen)

    def _was_never_left_alone(self, frozen: float = 0.0) -> None:
        assert "Dial" not in self.line.verbs, "no rung below the talk"
        heard = self.call.hearing.stretches
        gaps = [later.start_ms - earlier.end_ms for earlier, later in pairwise(heard)]
        assert max(gaps) <= HEARD_AGAIN_MS + frozen * 1000, gaps


class Stage:
    """Everything but the servers, which come and go."""

    def __init__(
        self, url: str, model: ModelServer, carrier: Carrier, engine: AsyncEngine, common: dict[str, str]
    ) -> None:
        self.url, self.model, self.carrier, self.engine, self.common = url, model, carrier, engine, common
        self.store = CallStore(engine)

    async def talk(self) -> Talk:
        """A call that has just begun."""
        number, line = new_number(), Line()
        self.model.register(TALK, number=number)
        call = await self.carrier.dial(from_number=number, to_number=OURS, line=line)
        return Talk(number, line, call)

    async def talks(self, count: int) -> list[Talk]:
        """Calls in which the caller has asked something, and is being answered; the books have the question."""
        talks = [await self.talk() for _ in range(count)]
        await asyncio.gather(*(talk.asks() for talk in talks))
        await asyncio.gather(*(eventually(partial(self.asked, talk), "the question in the books") for talk in talks))
        return talks

    async def asked(self, talk: Talk) -> bool:
        """Whether the books have the caller's question."""
        return HOURS in [turn.generated_text for turn in await self.store.turns(talk.call.call_sid)]

    async def count(self, sql: str, talk: Talk) -> int:
        async with self.engine.connect() as connection:
            return int((await connection.execute(text(sql), {"sid": talk.call.call_sid})).scalar_one())

    async def exact(self, talk: Talk, said: Sequence[str] = (HOURS, BYE), outcome: str = "completed") -> None:
        """The books have what was said once, under one numbering, in the order in which it was said."""

        async def closed() -> bool:
            row = await self.store.call(talk.call.call_sid)
            return row is not None and row.outcome == outcome

        await eventually(closed, "the end in the books")
        turns = await self.store.turns(talk.call.call_sid)
        assert [turn.generated_text for turn in turns if turn.who == "caller"] == list(said)
        assert [turn.start_ms for turn in turns] == sorted(turn.start_ms for turn in turns)
        assert await self.count("SELECT count(*) FROM calls WHERE call_sid = :sid", talk) == 1
        tools = await self.store.tool_calls(talk.call.call_sid)
        assert [tool.name for tool in tools] == ["opening_hours", "end_call"][: len(said)]
        assert await self.count("SELECT count(*) FROM missed_calls WHERE call_sid = :sid", talk) == 0

    def told(self, talk: Talk) -> str:
        """Every text that the newest session of a caller was given."""
        sessions = [s for s in self.model.sessions if talk.number in s.settings.instructions]
        newest = max(sessions, key=lambda session: session.adopted_at)
        return json.dumps([event for event in newest.received if event["type"] == "conversation.item.create"])


async def start(
    stack: AsyncExitStack, server: Server, variables: dict[str, str], folder: Path | None = None
) -> tuple[Running, Path]:
    """One more server. folder: the data of one that was killed, which starts again."""
    own = {**variables, "PORT": str(server.port), "INSTANCE": server.name}
    return await stack.enter_async_context(started_server(quiet=True, folder=folder, **own))


@asynccontextmanager
async def stage(
    folder: Path, servers: Sequence[Server], stack: AsyncExitStack, *, config: str = CONFIG, **settings: str
) -> AsyncIterator[tuple[Stage, list[tuple[Running, Path]]]]:
    """The stage with these servers. config: HAProxy's. settings: of all of them, besides the usual ones."""
    postgres = EmbeddedPostgres(folder, durable=False)
    url = postgres.start()
    stack.callback(postgres.stop)
    model = ModelServer()
    model_url = await model.start()
    stack.push_async_callback(model.close)
    common = {
        "DATABASE_URL": url,
        "REALTIME_URL": model_url,
        "OPENAI_API_KEY": "",
        "PUBLIC_URL": PUBLIC,
        "TWILIO_AUTH_TOKEN": TOKEN,
        "TWILIO_ACCOUNT_SID": "",
        "HUMAN_TRANSFER_NUMBER": PERSON,
        "DRAIN_SECONDS": str(DRAIN_SECONDS),
        **settings,
    }
    started = [await start(stack, servers[0], common)]  # alone, as it migrates
    started += await asyncio.gather(*(start(stack, server, common) for server in servers[1:]))
    engine = make_engine(url)
    stack.push_async_callback(engine.dispose)
    front = await stack.enter_async_context(proxy(folder, servers, config))
    carrier = Carrier(auth_token=TOKEN, account_sid=ACCOUNT, public_url=PUBLIC, connect_to=front, verb_speed=FAST)
    stack.push_async_callback(carrier.close)
    yield Stage(front, model, carrier, engine, common), started
