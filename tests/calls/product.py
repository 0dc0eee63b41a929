"""The product as a process of its own, between a carrier and a model that the test holds in its hands."""

import asyncio
import itertools
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any, Literal
from urllib.parse import urlencode
from xml.etree import ElementTree

import httpx
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from app.adapters.data_folder import Running
from app.adapters.database import make_engine
from app.adapters.store import CallStore
from app.commands.own_server import free_port, started_server
from app.sim.carrier import Carrier
from app.sim.carrier_call import CarrierCall
from app.sim.model import ModelServer
from app.sim.model_session import Session
from app.sim.placing import Target
from tests.calls.asgi_server import asgi_server
from tests.calls.foreign import ACCOUNT, TOKEN, sign
from tests.calls.line import Line

PUBLIC = "https://bench.example"
OURS = "+14155550199"
PERSON = "+14155550170"
METRICS_TOKEN = "scrape-me"
PASSWORD = "let me in"
FAST = 50.0
"""How many times faster than life Say, ringing and talks with a person pass."""

_sids = itertools.count(1)
_numbers = itertools.count(1_000)


def new_call_sid() -> str:
    return f"CA{next(_sids):032x}"


def new_number() -> str:
    """A caller whom no other test has."""
    return f"+1415555{next(_numbers):04d}"


class Product:
    """One running server and its surroundings."""

    def __init__(
        self,
        running: Running,
        data: Path,
        model: ModelServer,
        model_url: str,
        carrier: Carrier,
        engine: AsyncEngine,
        http: httpx.AsyncClient,
    ) -> None:
        self.running, self.data, self.model, self.carrier = running, data, model, carrier
        self.url, self.http, self.engine, self.store = running.url, http, engine, CallStore(engine)
        self.target = Target(url=running.url, public_url=PUBLIC, auth_token=TOKEN, account_sid=ACCOUNT, model=model_url)

    async def dial(self, line: Line, number: str = "", **options: Any) -> CarrierCall:
        """A call by the carrier stand-in that has just begun."""
        return await self.carrier.dial(from_number=number or new_number(), to_number=OURS, line=line, **options)

    def sessions_of(self, number: str) -> list[Session]:
        """The model's sessions for one caller, in the order in which they were begun; their links may have waited before."""
        found = [session for session in self.model.sessions if number in session.settings.instructions]
        return sorted(found, key=lambda session: session.adopted_at)

    async def ask(
        self,
        path: str,
        fields: dict[str, str],
        *,
        method: str = "POST",
        query: str = "",
        signature: str | None = None,
    ) -> httpx.Response:
        """One webhook. signature: instead of the right one; empty: none."""
        post = method == "POST"
        query = "&".join(part for part in (query, "" if post else urlencode(fields)) if part)
        target = path + (f"?{query}" if query else "")
        signature = sign(PUBLIC + target, fields if post else {}) if signature is None else signature
        headers = {b"X-Twilio-Signature": signature.encode("latin-1")} if signature else {}
        if post:
            headers[b"Content-Type"] = b"application/x-www-form-urlencoded"
        content = urlencode(fields) if post else None
        return await self.http.request(method, self.url + target, content=content, headers=headers)

    async def rings(self, call_sid: str, number: str = "", **more: Any) -> httpx.Response:
        """The webhook of a call that rings."""
        return await self.ask(more.pop("path", "/twilio/incoming"), form(call_sid, number or new_number()), **more)

    async def over(self, *call_sids: str) -> None:
        """The carrier says that these calls are over."""
        for call_sid in call_sids:
            answer = await self.ask("/twilio/status", form(call_sid, "+14155550100", CallStatus="completed"))
            assert answer.status_code == 200

    async def rows(self, sql: str, **values: Any) -> list[Any]:
        """Rows of its database."""
        async with self.engine.connect() as connection:
            return list((await connection.execute(text(sql), values)).all())

    async def known(self, call_sid: str) -> bool:
        return await self.store.call(call_sid) is not None

    async def closed(self, call_sid: str, streams: int = 1) -> None:
        """Wait until the books have the end of so many streams of a call."""

        async def written() -> bool:
            milestones = await self.store.milestones(call_sid)
            return [milestone.name for milestone in milestones].count("call_closed") >= streams

        await eventually(written, f"{streams} closed streams of {call_sid} in the books")

    async def figures(self) -> dict[str, float]:
        """The metrics by name and labels, as the scraper gets them."""
        answer = await self.http.get(self.url + "/metrics", headers={"Authorization": f"Bearer {METRICS_TOKEN}"})
        lines = (line.rpartition(" ") for line in answer.text.splitlines() if line and not line.startswith("#"))
        return {name: float(value) for name, _, value in lines}

    def log(self) -> str:
        """What the server has logged so far."""
        return (self.data / "serve.log").read_text(errors="replace")


@asynccontextmanager
async def product(
    *,
    dialect: Any = "ga",
    model: ModelServer | None = None,
    model_url: str = "",
    door: Literal["fast", "asgi"] = "fast",
    clean: bool = True,
    **environment: str,
) -> AsyncIterator[Product]:
    """A server with its stand-ins; whatever happened to it, its log must be without a traceback at the end, unless not `clean`.

    model: a server of ours that is not started yet. model_url: instead of a model of ours. door: `asgi` is the app under
    hypercorn alone, without the fast door.
    """
    async with AsyncExitStack() as stack:
        model = model or ModelServer(dialect=dialect)
        if not model_url:
            model_url = await model.start()
            stack.push_async_callback(model.close)
        port = free_port()
        url = f"http://127.0.0.1:{port}"
        carrier = Carrier(auth_token=TOKEN, account_sid=ACCOUNT, public_url=PUBLIC, connect_to=url, verb_speed=FAST)
        variables = {
            "PORT": str(port),
            "REALTIME_URL": model_url,
            "OPENAI_API_KEY": "",
            "PUBLIC_URL": PUBLIC,
            "TWILIO_AUTH_TOKEN": TOKEN,
            "TWILIO_ACCOUNT_SID": ACCOUNT,
            "TWILIO_API_BASE": await carrier.start_rest(),
            "HUMAN_TRANSFER_NUMBER": PERSON,
            "METRICS_TOKEN": METRICS_TOKEN,
            "OPERATOR_PASSWORD": PASSWORD,
            **environment,
        }
        server = started_server(quiet=True, folder=None, **variables) if door == "fast" else asgi_server(**variables)
        running, data = await stack.enter_async_context(server)
        stack.push_async_callback(carrier.close)
        engine = make_engine(running.database_url)
        stack.push_async_callback(engine.dispose)
        http = await stack.enter_async_context(httpx.AsyncClient(trust_env=False))
        it = Product(running, data, model, model_url, carrier, engine, http)
        yield it
        assert not clean or "Traceback" not in it.log(), it.log()


def form(call_sid: str, number: str, **more: str) -> dict[str, str]:
    """The fields of a webhook."""
    return {
        "CallSid": call_sid,
        "AccountSid": ACCOUNT,
        "From": number,
        "To": OURS,
        "CallStatus": "ringing",
        "Direction": "inbound",
        "ApiVersion": "2010-04-01",
        "CallerName": "",
        **more,
    }


def stream_url(answer: httpx.Response) -> str:
    """Where the TwiML of an answer wants its stream."""
    assert answer.status_code == 200, answer.text
    stream = ElementTree.fromstring(answer.content).find("Connect/Stream")
    assert stream is not None, answer.text
    return stream.attrib["url"]


def verbs(answer: httpx.Response) -> list[str]:
    """The names of the TwiML's verbs, in order."""
    assert answer.status_code == 200, answer.text
    return [verb.tag for verb in ElementTree.fromstring(answer.content)]


async def eventually(check: Callable[[], Awaitable[bool]], what: str, seconds: float = 15.0) -> None:
    """Wait until a process that is not ours has come so far; there is no event to wait for."""
    try:
        async with asyncio.timeout(seconds):
            while not await check():  # noqa: ASYNC110  another process sets no event of ours
                await asyncio.sleep(0.05)
    except TimeoutError:
        raise AssertionError(f"expected {what} within {seconds:g} s") from None
