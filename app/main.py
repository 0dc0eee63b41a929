"""The composition root: settings become parts, parts become a Starlette app. The only file that knows everyone."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta

import structlog
from sqlalchemy.ext.asyncio import AsyncEngine
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute

from app import metrics, prompts, registry
from app.adapters.business_pg import PgStore
from app.adapters.data_folder import kept_secret
from app.adapters.database import check, make_engine
from app.adapters.endpoint import Endpoint, Known
from app.adapters.journal import Journal
from app.adapters.late_indexes import build_missing
from app.adapters.model_link import ModelSession
from app.adapters.opening import Opening
from app.adapters.sessions import sessions
from app.adapters.spare import Spares, SpareTimes
from app.adapters.store import CallStore
from app.adapters.texted import Texted
from app.adapters.warm import Warm
from app.consent import begin_with
from app.core.phases import Terms
from app.core.record import CallInfo, DebugEvent
from app.errors import OffhookError
from app.mode import Mode, ServerVad, Store
from app.office import E164
from app.raw_events import debug_event
from app.settings import Settings
from app.sim.hearing_worker import Hearing
from app.sim.model import ModelServer
from app.switchboard import Redirector, Switchboard
from app.texting import TextCarrier, Texting
from app.web.console import doors
from app.web.console.pages import Console
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
TRIAL_NUMBER = "+14155550199"
"""Whom the keyless trial's texts are from; 555-01xx numbers belong to nobody."""
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
        text_carrier: TextCarrier | None,
    ) -> None:
        """stand_in: URL of the built-in model stand-in; empty if a real model answers. tokens: those that Twilio signs with."""
        self.settings = settings
        self.engine = engine
        self.endpoint = endpoint
        self.stand_in = stand_in
        self.registry = registry.find(settings)
        for warning in self.registry.warnings:
            log.warning("a mode is answered otherwise than it says", what=warning)
        self.journal = Journal(engine)
        password = settings.operator_password or kept_secret(settings.data, "operator_password")
        self.guard = Guard(settings, tokens, password)
        self.known = Known()
        self.sessions = sessions(engine)
        sender = settings.twilio_phone_number or (TRIAL_NUMBER if trial(settings) else "")
        self.texting = Texting(text_carrier, sender, self.journal.put)
        spares = Spares(settings.spare_links, self._room, self.known, _spare_times(settings))
        self.warm = Warm(self.session, spares, primes=settings.prime_model)
        self.board = Switchboard(
            office=settings.office,
            modes=self.registry.modes,
            journal=self.journal,
            store=store,
            texting=self.texting,
            sessions=self.sessions,
            warm=self.warm,
            terms=self.terms,
            max_calls=settings.max_calls,
            next_url=settings.public_url + "/twilio/next",
            redirector=redirector,
            version=VERSION,
            consent=settings.consent,
        )
        self.console = Console(
            settings=settings,
            board=self.board,
            registry=self.registry,
            engine=engine,
            guard=self.guard,
            stand_in=stand_in,
        )

    def terms(self, mode: Mode) -> Terms:
        """What a call in a mode may take."""
        return Terms(
            model=mode.model or self.settings.realtime_model,
            greets=bool(mode.opening),
            silence_ms=mode.turn_detection.silence_duration_ms if isinstance(mode.turn_detection, ServerVad) else 0,
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
        if opening is None or not opening.speaks:
            opening = first_words(mode, instructions, opening)
        return ModelSession(
            self.endpoint,
            model,
            plan,
            opening,
            known=self.known,
            note=lambda text: self._note(info.call_sid, text),
        )

    async def put_demo_rows(self) -> None:
        """Rows to try the modes with. For the embedded database only: nobody's own gets any."""
        for mode in self.registry.modes.values():
            if mode.demo is None:
                continue
            try:
                async with self.sessions() as session:
                    await mode.demo(session)
            except OffhookError as wrong:
                log.warning("no demo rows", mode=mode.name, why=str(wrong))

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
        status = Status(self.board, self.guard)
        return [*voice.routes(), *status.routes(), *doors.routes(self.console)]


def _spare_times(settings: Settings) -> SpareTimes:
    """A spare link is renewed while the longest call still fits into what is left of its session's hour."""
    left = SESSION_SECONDS - settings.max_call_seconds - SPARE_MARGIN_SECONDS
    return SpareTimes(renew=min(SpareTimes().renew, max(SPARE_MARGIN_SECONDS, left)))


def first_words(mode: Mode, instructions: str, given: Opening | None = None) -> Opening:
    """How a mode begins a call. instructions: its whole prompt; per-response instructions replace it, so it goes with them.

    given: what must be said before anything else (`sentence`), and the state of the mode's flow that the call begins in.
    """
    sentence, state = (given.sentence, given.state) if given is not None else ("", "")
    line = begin_with(sentence, mode.opening)
    if mode.opening_instructions and line:
        return Opening(state=state, instructions=f"{instructions}\n\n{line}")
    return Opening(state=state, text=line)


@contextlib.asynccontextmanager
async def open_house(settings: Settings, database_url: str) -> AsyncIterator[House]:
    """Everything started, in order; on leaving everything stopped, calls first. Raises SetupError."""
    async with contextlib.AsyncExitStack() as stack:
        engine = make_engine(database_url)
        stack.push_async_callback(engine.dispose)
        await check(engine)
        tokens = settings.twilio_auth_tokens or (kept_secret(settings.data, "twilio_auth_token"),)
        store, redirector, text_carrier = await _outside(settings, engine, tokens, stack)
        stand_in = ""
        if settings.stand_in:
            server = ModelServer(scripts=[], hearing=Hearing())
            stand_in = await server.start()
            stack.push_async_callback(server.close)
            loading = asyncio.create_task(asyncio.to_thread(server.load_shipped), name="rehearsal scripts")
            stack.callback(loading.cancel)
            log.warning(
                "NO MODEL KEY: the built-in stand-in answers calls; it plays its scripts, and understands a few sentences. "
                "Set OPENAI_API_KEY for a real one."
            )
        endpoint = Endpoint(
            url=stand_in or settings.realtime_url,
            key=settings.openai_api_key,
            auth=settings.realtime_auth,
            dialect=None if settings.realtime_dialect == "auto" else settings.realtime_dialect,
        )
        house = House(
            settings,
            engine,
            endpoint,
            stand_in=stand_in,
            tokens=tokens,
            store=store,
            redirector=redirector,
            text_carrier=text_carrier,
        )
        if not settings.database_url:
            await house.put_demo_rows()
        models = sorted({mode.model or settings.realtime_model for mode in house.registry.modes.values()})
        house.warm.open(endpoint, models)
        writer = asyncio.create_task(house.journal.run(), name="journal")
        lag = asyncio.create_task(_measure_lag(), name="loop lag")
        retention = asyncio.create_task(_tidy(CallStore(engine)), name="retention")
        indexes = asyncio.create_task(build_missing(database_url), name="late indexes")
        metrics.journal_spooled.set_function(lambda: house.journal.pending)
        try:
            yield house
        finally:
            house.board.close_all()
            house.warm.close()
            await house.board.carried_through()
            lag.cancel()
            indexes.cancel()
            retention.cancel()
            await house.texting.close()
            await house.journal.close(JOURNAL_SECONDS)
            writer.cancel()
            await asyncio.gather(writer, lag, retention, indexes, return_exceptions=True)


async def _outside(
    settings: Settings, engine: AsyncEngine, tokens: tuple[str, ...], stack: contextlib.AsyncExitStack
) -> tuple[Store, Redirector | None, TextCarrier | None]:
    """The business's data and Twilio's REST API. An HTTP client is made only where one is configured: it takes 70 ms."""
    if not settings.business_api_base and not settings.twilio_account_sid:
        return PgStore(engine, settings.office), None, LateTrialTexts() if trial(settings) else None
    import httpx

    from app.adapters.business_http import HttpStore
    from app.adapters.kept_messages import KeptMessages
    from app.adapters.twilio_rest import TwilioRest

    client = await stack.enter_async_context(httpx.AsyncClient(trust_env=False))
    store: Store = PgStore(engine, settings.office)
    rest = None
    if settings.business_api_base:
        store = KeptMessages(HttpStore(settings.business_api_base, client), store)
    if settings.twilio_account_sid:
        rest = TwilioRest(settings.twilio_api_base, settings.twilio_account_sid, tokens[0], client)
    return store, rest, rest or (LateTrialTexts() if trial(settings) else None)


def trial(settings: Settings) -> bool:
    """Whether nobody outside of this machine can call: then even texts go to a stand-in."""
    return settings.stand_in and not settings.twilio_account_sid and settings.public_is_loopback


class LateTrialTexts:
    """`TrialTexts`, made with the first text: it brings in an HTTP client and the carrier stand-in."""

    async def send_text(self, *, to: str, sender: str, body: str) -> Texted:
        """To nobody's telephone."""
        from app.sim.trial_texts import TrialTexts

        return await TrialTexts(sender).send_text(to=to, sender=sender, body=body)


def create_app(settings: Settings, database_url: str) -> Starlette:
    """The whole app for any ASGI server that runs lifespans; its doors are there while its house is open."""

    @contextlib.asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        async with open_house(settings, database_url) as house:
            app.state.house = house
            app.router.routes[:] = house.routes()
            yield

    async def nowhere(request: Request, wrong: Exception) -> Response:
        """An address that no route has, or not so."""
        house: House = request.app.state.house
        return await house.console.nowhere(request, wrong.status_code if isinstance(wrong, HTTPException) else 404)

    return Starlette(lifespan=lifespan, exception_handlers={404: nowhere, 405: nowhere})


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
