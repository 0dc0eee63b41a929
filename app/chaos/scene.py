"""Everything that one fault takes place in: server, model, carrier, front and database, all of them its own."""

import asyncio
import contextlib
import shutil
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from app.adapters.database import make_engine
from app.adapters.store import CallStore
from app.chaos.business import Business
from app.chaos.caller import Caller
from app.chaos.fault import Fault
from app.chaos.front import Front
from app.chaos.postgres import Postgres
from app.chaos.server import BUSINESS, Server, quiet_port
from app.chaos.talks import BOOKS, CALLER
from app.settings import ROOT
from app.sim.carrier import Carrier
from app.sim.carrier_call import CarrierCall
from app.sim.model import ModelServer
from app.sim.model_session import Session

PUBLIC = "https://chaos.example"
ACCOUNT = "AC" + "c" * 32
TOKEN = "c" * 32
OURS, PERSON = "+14155550199", "+14155550170"
VERB_SPEED = 10.0
DRAIN_SECONDS = 6
WAIT_SECONDS = 30.0


class Scene:
    """One fault's surroundings. `call` is there once the carrier has dialled."""

    def __init__(self, fault: Fault, folder: Path) -> None:
        self.fault = fault
        self.folder = folder
        self.model = ModelServer(dialect=fault.dialect, scripts=[], faults=fault.model if fault.everywhere else None)
        self.second = ModelServer(scripts=[]) if fault.second else None
        self.caller = Caller(fault.talk, thinks_seconds=fault.thinks_seconds)
        self.business = Business() if fault.talk is BOOKS else None
        self.postgres: Postgres | None = None
        self.servers: list[Server] = []
        self.carrier: Carrier
        self.front: Front
        self.to_model: Front
        self.engine: AsyncEngine
        self.store: CallStore
        self.call: CarrierCall
        self.notes: list[str] = []
        """What an act found that should not be."""
        self.closed = 0
        """Streams whose process could not write their end down."""

    @property
    def database(self) -> Postgres:
        """The fault's own."""
        assert self.postgres is not None, "the fault wants own_postgres"
        return self.postgres

    @property
    def backend(self) -> Business:
        """The business's, of a talk that changes something there."""
        assert self.business is not None, "the fault wants the talk BOOKS"
        return self.business

    @property
    def server(self) -> Server:
        """The only one."""
        return self.servers[0]

    def serving(self) -> Server:
        """The one that has the call's stream."""
        port = self.front.busiest()
        return next(server for server in self.servers if server.port == port)

    @property
    def sessions(self) -> list[Session]:
        """The model's sessions that were this caller's, first ones first."""
        engines = [self.model, *([self.second] if self.second else [])]
        found = [session for engine in engines for session in engine.sessions if session.rehearsal.number == CALLER]
        return sorted(found, key=lambda session: session.adopted_at)

    async def rows(self, sql: str) -> list[tuple[object, ...]]:
        """Rows of the books; `:sid` is the call's."""
        async with self.engine.connect() as connection:
            found = await connection.execute(text(sql), {"sid": self.call.call_sid} if ":sid" in sql else {})
            return [tuple(row) for row in found.all()]


@contextlib.asynccontextmanager
async def staged(fault: Fault, books: str) -> AsyncIterator[Scene]:
    """The scene with everything started. books: the address of an empty, migrated database, unless the fault has its own."""
    folder = Path(tempfile.mkdtemp(prefix="offhook-chaos-"))
    async with contextlib.AsyncExitStack() as stack:
        stack.callback(shutil.rmtree, folder, ignore_errors=True)
        scene = Scene(fault, folder)
        if fault.own_postgres:
            scene.postgres = Postgres(folder / "pg")
            await scene.postgres.start()
            stack.push_async_callback(scene.postgres.close)
            books = scene.postgres.url
        model_url = await _engines(scene, stack)
        await _servers(scene, stack, books, model_url)
        scene.engine = make_engine(books, keep_connections=False)
        stack.push_async_callback(scene.engine.dispose)
        scene.store = CallStore(scene.engine)
        yield scene


async def _engines(scene: Scene, stack: contextlib.AsyncExitStack) -> str:
    """The model, behind a front of its own; its address."""
    fault = scene.fault
    for engine, faults in ((scene.model, fault.model), (scene.second, None)):
        if engine is None:
            continue
        url = await engine.start()
        stack.push_async_callback(engine.close)
        engine.register(fault.talk.script(), faults=None if engine is scene.model and fault.everywhere else faults)
        if engine is scene.second:
            _business(scene, url)
        else:
            port = quiet_port() if fault.gone else int(url.rpartition(":")[2].partition("/")[0])
            scene.to_model = Front([port])
            stack.push_async_callback(scene.to_model.close)
            address = f"ws://127.0.0.1:{await scene.to_model.start()}/v1/realtime"
    if scene.second is None:
        _business(scene, "")
    return address


def _business(scene: Scene, second: str) -> None:
    """The checkout's business, at any hour, with a second engine if there is one."""
    own = (ROOT / "offhook.toml").read_text(encoding="utf-8")
    engine = f'\n[[fallback_engine]]\nname = "second"\nurl = "{second}"\nmodel = "gpt-realtime-1.5"\n' if second else ""
    (scene.folder / "offhook.toml").write_text(own + engine, encoding="utf-8")


async def _servers(scene: Scene, stack: contextlib.AsyncExitStack, books: str, model_url: str) -> None:
    fault = scene.fault
    environment = environment_of(scene.folder, books, model_url)
    environment |= {"HUMAN_TRANSFER_NUMBER": PERSON, "DRAIN_SECONDS": str(DRAIN_SECONDS)}
    if scene.business is not None:
        environment["BUSINESS_API_BASE"] = await scene.business.start()
        stack.push_async_callback(scene.business.close)
    scene.servers = [Server() for _ in range(fault.servers)]
    scene.front = Front([server.port for server in scene.servers], asks=fault.servers > 1)
    stack.push_async_callback(scene.front.close)
    front = f"http://127.0.0.1:{await scene.front.start()}"
    scene.carrier = Carrier(
        auth_token=TOKEN, account_sid=ACCOUNT, public_url=PUBLIC, connect_to=front, verb_speed=VERB_SPEED
    )
    stack.push_async_callback(scene.carrier.close)
    environment |= {"TWILIO_API_BASE": await scene.carrier.start_rest(), **fault.environment}
    for server in scene.servers:
        server.environment = environment
        stack.push_async_callback(server.close)
        await server.start()


def environment_of(folder: Path, books: str, model_url: str) -> dict[str, str]:
    """What a server is set by. folder: of the business. On a machine that does other things as well, lag is no reason."""
    return {
        BUSINESS: str(folder),
        "DATABASE_URL": books,
        "REALTIME_URL": model_url,
        "OPENAI_API_KEY": "",
        "PUBLIC_URL": PUBLIC,
        "TWILIO_AUTH_TOKEN": TOKEN,
        "TWILIO_ACCOUNT_SID": ACCOUNT,
        "MAX_LOOP_LAG_MS": "0",
    }


async def eventually(check: Callable[[], Awaitable[bool]], what: str, seconds: float = WAIT_SECONDS) -> None:
    """Wait until another process has come so far; there is no event to wait for. Raises TimeoutError with what was expected."""
    deadline = asyncio.get_running_loop().time() + seconds
    while not await check():
        if asyncio.get_running_loop().time() > deadline:
            raise TimeoutError(f"expected {what} within {seconds:g} s")
        await asyncio.sleep(0.1)
