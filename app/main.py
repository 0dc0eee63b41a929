"""The composition root: settings become parts, parts become a Starlette app. The only file that knows everyone."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta

import structlog
from sqlalchemy.ext.asyncio import AsyncEngine
from starlette.applications import Starlette
from starlette.routing import BaseRoute

from app import metrics, prompts, registry
from app.adapters.business_pg import PgStore
from app.adapters.data_folder import kept_secret
from app.adapters.database import check, make_engine
from app.adapters.endpoint import Endpoint, Known
from app.adapters.journal import Journal
from app.adapters.model_link import ModelSession
from app.adapters.opening import Opening
from app.adapters.spare import Spares, SpareTimes
from app.adapters.store import CallStore
from app.adapters.warm import Warm
from app.core.phases import Terms
from app.core.record import CallInfo, DebugEvent
from app.mode import Mode, Store
from app.office import E164
from app.raw_events import debug_event
from app.settings import Settings
from app.sim.model import ModelServer
from app.switchboard import Redirector, Switchboard
from app.web.guard import Guard
from app.web.status import Status
from app.web.voice import Voice
from app.wire.dialects import SessionPlan

log = structlog.get_logger()

VERSION = "0.1.0"
LAG_SECONDS = 0.5
JOURNAL_SECONDS = 5.0
RETENTION_SECONDS = 3600.0
DEBUG_DAYS = 14
SESSION_SECONDS = 3600.0
"""A session with the model ends after an hour, whatever it is used for. Source: openai-realtime facts, 7."""
SPARE_MARGIN_SECONDS = 300.0
LOST_HOURS = 25
"""Twilio ends a call after a day at most; one that is open longer has lost its process."""


class House:
    """Everything of one process, joined. Made and used on one event loop."""

    def __init__(
        self,
        settings: Settings,
        engine: AsyncEngine,
        endpoint: Endpoint,
        *,
        stand_in: str,
        tokens: tuple[str, ...],
        store: Store,
        redirector: Redirector | None,
    ) -> None:
        """stand_in: URL of the built-in model stand-in; empty if a real model answers. tokens: those that Twilio signs with."""
        self.settings = settings
        self.engine = engine
        self.endpoint = endpoint
        self.stand_in = stand_in
        self.registry = registry.find(settings)
        self.journal = Journal(engine)
        password = settings.operator_password or kept_secret(settings.data, "operator_password")
        self.guard = Guard(settings, tokens, password)
        self.known = Known()
        spares = Spares(settings.spare_links, self._room, self.known, _spare_times(settings))
        self.warm = Warm(self.session, spares, primes=settings.prime_model)
        self.board = Switchboard(
            office=settings.office,
            modes=self.registry.modes,
            journal=self.journal,
            store=store,
            warm=self.warm,
            terms=self.terms,
            max_calls=settings.max_calls,
            next_url=settings.public_url + "/twilio/next",
            redirector=redirector,
            version=VERSION,
        )

    def terms(self, mode: Mode) -> Terms:
        """What a call in a mode may take."""
        return Terms(
            model=mode.model or self.settings.realtime_model,
            greets=bool(mode.opening),
            first_audio_seconds=self.settings.first_audio_seconds,
            dormant_seconds=self.settings.dormant_seconds,
            goodbye_seconds=min(15.0, self.settings.dormant_seconds),
            max_seconds=self.settings.max_call_seconds,
            max_cost_usd=self.settings.max_call_cost_usd,
        )

    def session(self, info: CallInfo, mode: Mode, opening: Opening | None) -> ModelSession:
        """A session for a call, not dialled yet."""
        office = self.settings.office
        caller = info.caller if E164.fullmatch(info.caller) else ""  # a prompt takes no free text of a caller's
        situation = prompts.Situation(caller=caller, dialled=info.dialled, now=office.now(datetime.now(UTC)))
        instructions = prompts.render(mode, office, situation)
        model = mode.model or self.settings.realtime_model
        plan = SessionPlan.of(
            mode, model=model, instructions=instructions, transcription_model=self.settings.transcription_model
        )
        return ModelSession(
            self.endpoint,
            model,
            plan,
            opening or first_words(mode, instructions),
            known=self.known,
            note=lambda text: self._note(info.call_sid, text),
        )

    def _room(self) -> int:
        """How many more calls could come."""
        return 0 if self.board.draining or self.board.closing else self.settings.max_calls - self.board.live

    def _note(self, call_sid: str, text: bytes) -> None:
        event: DebugEvent | None = debug_event(call_sid, "model", text)
        if event is not None:
            self.journal.put(event)

    def routes(self) -> list[BaseRoute]:
        """All doors."""
        voice = Voice(self.settings, self.board, self.guard, self.registry, CallStore(self.engine))
        status = Status(self.settings, self.board, self.guard, self.stand_in)
        return [*voice.routes(), *status.routes()]


def _spare_times(settings: Settings) -> SpareTimes:
    """A spare link is renewed while the longest call still fits into what is left of its session's hour."""
    left = SESSION_SECONDS - settings.max_call_seconds - SPARE_MARGIN_SECONDS
    return SpareTimes(renew=min(SpareTimes().renew, max(SPARE_MARGIN_SECONDS, left)))


def first_words(mode: Mode, instructions: str) -> Opening:
    """How a mode begins a call. instructions: its whole prompt; per-response instructions replace it, so it goes with them."""
    if mode.opening_instructions and mode.opening:
        return Opening(instructions=f"{instructions}\n\n{mode.opening}")
    return Opening(text=mode.opening)


@contextlib.asynccontextmanager
async def open_house(settings: Settings, database_url: str) -> AsyncIterator[House]:
    """Everything started, in order; on leaving everything stopped, calls first. Raises SetupError."""
    async with contextlib.AsyncExitStack() as stack:
        engine = make_engine(database_url)
        stack.push_async_callback(engine.dispose)
        await check(engine)
        tokens = settings.twilio_auth_tokens or (kept_secret(settings.data, "twilio_auth_token"),)
        store, redirector = await _outside(settings, engine, tokens, stack)
        stand_in = ""
        if settings.stand_in:
            server = ModelServer(scripts=[])
            stand_in = await server.start()
            stack.push_async_callback(server.close)
            loading = asyncio.create_task(asyncio.to_thread(server.load_shipped), name="rehearsal scripts")
            stack.callback(loading.cancel)
            log.warning(
                "NO MODEL KEY: the built-in stand-in answers calls, by its scripts only. Set OPENAI_API_KEY for a real one."
            )
        endpoint = Endpoint(
            url=stand_in or settings.realtime_url,
            key=settings.openai_api_key,
            auth=settings.realtime_auth,
            dialect=None if settings.realtime_dialect == "auto" else settings.realtime_dialect,
        )
        house = House(settings, engine, endpoint, stand_in=stand_in, tokens=tokens, store=store, redirector=redirector)
        models = sorted({mode.model or settings.realtime_model for mode in house.registry.modes.values()})
        house.warm.open(endpoint, models)
        writer = asyncio.create_task(house.journal.run(), name="journal")
        lag = asyncio.create_task(_measure_lag(), name="loop lag")
        retention = asyncio.create_task(_tidy(CallStore(engine)), name="retention")
        metrics.journal_spooled.set_function(lambda: house.journal.pending)
        try:
            yield house
        finally:
            house.board.close_all()
            house.warm.close()
            lag.cancel()
            retention.cancel()
            await house.journal.close(JOURNAL_SECONDS)
            writer.cancel()
            await asyncio.gather(writer, lag, retention, return_exceptions=True)


async def _outside(
    settings: Settings, engine: AsyncEngine, tokens: tuple[str, ...], stack: contextlib.AsyncExitStack
) -> tuple[Store, Redirector | None]:
    """The business's data and Twilio's REST API. An HTTP client is made only where one is configured: it takes 70 ms."""
    if not settings.business_api_base and not settings.twilio_account_sid:
        return PgStore(engine, settings.office), None
    import httpx

    from app.adapters.business_http import HttpStore
    from app.adapters.twilio_rest import TwilioRest

    client = await stack.enter_async_context(httpx.AsyncClient(trust_env=False))
    store: Store = PgStore(engine, settings.office)
    redirector = None
    if settings.business_api_base:
        store = HttpStore(settings.business_api_base, client)
    if settings.twilio_account_sid:
        redirector = TwilioRest(settings.twilio_api_base, settings.twilio_account_sid, tokens[0], client)
    return store, redirector


def create_app(settings: Settings, database_url: str) -> Starlette:
    """The whole app for any ASGI server that runs lifespans; its doors are there while its house is open."""

    @contextlib.asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        async with open_house(settings, database_url) as house:
            app.state.house = house
            app.router.routes[:] = house.routes()
            yield

    return Starlette(lifespan=lifespan)


async def _tidy(books: CallStore) -> None:
    """Delete raw events after two weeks: they serve to look into a fault of these days. Close calls that a crash left open."""
    while True:
        await asyncio.sleep(RETENTION_SECONDS)
        now = datetime.now(UTC)
        try:
            forgotten = await books.forget_debug_events(now - timedelta(days=DEBUG_DAYS))
            lost = await books.close_lost(started_before=now - timedelta(hours=LOST_HOURS))
            log.info("books tidied", debug_events=forgotten, lost_calls=lost)
        except Exception as wrong:  # the books will be there next time
            log.warning("the books could not be tidied", why=str(wrong))


async def _measure_lag() -> None:
    """How late the loop comes back from a sleep."""
    loop = asyncio.get_running_loop()
    while True:
        due = loop.time() + LAG_SECONDS
        await asyncio.sleep(LAG_SECONDS)
        metrics.loop_lag_seconds.set(max(0.0, loop.time() - due))
