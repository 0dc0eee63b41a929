"""The composition root: settings become parts, parts become a Starlette app. The only file that knows everyone."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import get_args

import msgspec
import structlog
from sqlalchemy.ext.asyncio import AsyncEngine
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute

from app import metrics, prompts, registry
from app.adapters.api_tokens import ApiTokens
from app.adapters.claims import open_claims
from app.adapters.data_folder import kept_secret
from app.adapters.database import check, make_engine
from app.adapters.endpoint import Endpoint, Known
from app.adapters.engine_session import EngineSession
from app.adapters.in_time import Patience
from app.adapters.journal import Journal
from app.adapters.journal_disk import JournalDisk
from app.adapters.model_link import ModelSession
from app.adapters.opening import Opening
from app.adapters.outbound_book import OutboundBook
from app.adapters.servers import Server, Servers, endpoint_of, servers_of
from app.adapters.sessions import sessions
from app.adapters.spare import Spares, SpareTimes
from app.adapters.spool_folder import SpoolFolder
from app.adapters.store import CallStore
from app.adapters.text_claims import TextClaims
from app.adapters.warm import Warm
from app.calls.dialler import Dialler, Lines
from app.calls.first_words import first_words
from app.calls.lag import LoopLag
from app.calls.raw_events import debug_event
from app.calls.recording import Recorder
from app.calls.spending import Spending, warn_of_guesses
from app.calls.spoken_calls import SpokenCalls
from app.calls.switchboard import Switchboard
from app.calls.texting import TextCarrier, Texting
from app.calls.tickets import Tickets
from app.clips import ClipName, clip
from app.core.phases import Terms
from app.core.rows import CallInfo
from app.errors import OffhookError
from app.house_jobs import start_jobs
from app.jobs.traces import TracedJournal, traces_of
from app.jobs.word import bring_word
from app.mode import Mode, ServerVad, Store
from app.outside import reach_outside, trial
from app.rules.office import E164
from app.settings import Settings
from app.sim.hearing_worker import Hearing
from app.sim.model import ModelServer
from app.sim.tts import lend_voice
from app.web.calls_door import CallsDoor
from app.web.cold_streams import ColdStreams
from app.web.console import doors
from app.web.console.pages import Console
from app.web.earlier import Earlier
from app.web.fly import Fly
from app.web.guard import Guard
from app.web.outbound_doors import OutboundDoors
from app.web.own_door import OwnDoor
from app.web.status import Status
from app.web.voice import Voice
from app.wire.dialects import SessionPlan, vad_for

log = structlog.get_logger()

VERSION = "0.1.0"
HELLO_SECONDS = 4.0
"""Where the other end speaks first, the agent does after so much silence."""
JOURNAL_SECONDS = 5.0
KEPT_CONNECTIONS = 5
"""To Postgres; further ones are closed after use."""
REPLAY_SECONDS = 3.0
"""What the last life left is mostly written before a call asks for it; the rest comes while calls go on."""
RECORDING_SECONDS = 5.0
SPARE_MARGIN_SECONDS = 300.0
TRIAL_NUMBER = "+14155550199"
"""Whom the keyless trial's texts are from; 555-01xx numbers belong to nobody."""


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
        lines: Lines | None,
        text_carrier: TextCarrier | None,
    ) -> None:
        """stand_in: URL of the built-in model stand-in; empty if a real model answers. tokens: those that Twilio signs with."""
        self.settings = settings
        self.engine = engine
        self.endpoint = endpoint
        self.stand_in = stand_in
        self.registry = registry.find(settings)
        for name in get_args(ClipName):
            clip(name)  # a recording that is missing is noticed now, and not in a call
        for warning in self.registry.warnings:
            log.warning("a mode is answered otherwise than it says", what=warning)
        disk = JournalDisk(SpoolFolder(settings.data / "spool", settings.spool_mb << 20))
        self.traces = traces_of(settings, lambda: self.registry.modes, VERSION)
        self.journal = Journal(engine, disk) if self.traces is None else TracedJournal(engine, disk, self.traces)
        password = settings.operator_password or kept_secret(settings.data, "operator_password")
        self.guard = Guard(settings, tokens, password)
        self.voices = SpokenCalls(settings, self.registry.modes)
        self.known = Known()
        self.sessions = sessions(engine)
        sender = settings.twilio_phone_number or (TRIAL_NUMBER if trial(settings) else "")
        self.texting = Texting(text_carrier, sender, self.journal.put, TextClaims(engine))
        times = _spare_times(settings, endpoint.profile.session_minutes * 60)
        spares = Spares(settings.spare_links, self._room, self.known, times)
        self.servers = Servers(servers_of(settings, endpoint))
        self.warm = Warm(self.session, spares, primes=settings.prime_model, servers=self.servers)
        self.recorder = Recorder(settings.recording, settings.data, self.journal.put)
        self.book = OutboundBook(engine)
        self.patience = Patience()
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
            redirector=lines,
            version=VERSION,
            consent=settings.consent,
            no_calls=self.book.never_call,
            recorder=self.recorder,
            tickets=Tickets(tokens, settings.instance),
        )
        self.dialler = Dialler(
            rules=settings.outbound,
            board=self.board,
            book=self.book,
            carrier=lines,
            sender=settings.twilio_phone_number,
            account_sid=settings.twilio_account_sid,
            public_url=settings.public_url,
        )
        self.lag = LoopLag(settings.max_loop_lag_ms)
        self.board.spending = Spending.of(settings, engine, self.lag, settled=self.journal.flush)
        if self.traces is not None:
            self.traces.watch(self.board, self.warm)
        self.cold = ColdStreams(self.board, Earlier(CallStore(engine), self.patience), Fly(settings.fly_machine))
        self.own = OwnDoor(settings, self.board, self.registry.modes, lambda: self.journal.pending)
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
        vad = vad_for(self.endpoint.profile, mode.turn_detection)
        return Terms(
            model=mode.model or self.settings.realtime_model,
            greets=bool(mode.opening),
            hello_seconds=0.0 if mode.opening else HELLO_SECONDS,
            silence_ms=vad.silence_duration_ms if isinstance(vad, ServerVad) else 0,
            first_audio_seconds=self.settings.first_audio_seconds,
            dormant_seconds=self.settings.dormant_seconds,
            goodbye_seconds=min(15.0, self.settings.dormant_seconds),
            max_seconds=self.settings.max_call_seconds,
            max_cost_usd=self.settings.max_call_cost_usd,
            prices=self.settings.prices,
            transcriber=self.settings.transcription_model,
            answer_seconds=self.settings.model_stall_seconds / 2,
            stall_seconds=self.settings.model_stall_seconds,
            think_seconds=2 * self.settings.model_stall_seconds,
            servers=len(self.servers),
        )

    def session(self, info: CallInfo, mode: Mode, opening: Opening | None, server: Server) -> EngineSession:
        """A session for a call with one of the servers, not dialled yet."""
        office = mode.edition.office or self.settings.office
        caller = info.caller if E164.fullmatch(info.caller) else ""  # a prompt takes no free text of a caller's
        placed, now = info.direction == "outbound", office.now(datetime.now(UTC))
        situation = prompts.Situation(caller=caller, dialled=info.dialled, now=now, placed=placed, fields=info.fields)
        instructions = prompts.render(mode, office, situation)
        model = server.model or mode.model or self.settings.realtime_model
        plan = SessionPlan.of(
            mode, model=model, instructions=instructions, transcription_model=self.settings.transcription_model
        )
        plan = msgspec.structs.replace(plan, voice=server.voice or plan.voice)
        if opening is None or not (opening.speaks or opening.silent):
            opening = first_words(mode, instructions, opening, waits=placed)
            plan = msgspec.structs.replace(plan, answers=not info.screened)
        voice = self.voices.voice_of(mode, info.call_sid, server.endpoint.profile)
        plan = msgspec.structs.replace(plan, texts=voice is not None)
        inner = ModelSession(
            server.endpoint,
            model,
            plan,
            opening,
            known=self.known,
            note=lambda text: self._note(info.call_sid, text),
            server=server.name,
        )
        return self.voices.session(inner, voice, info.call_sid)

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
        if (event := debug_event(call_sid, "model", text)) is not None:
            self.journal.put(event)

    def routes(self) -> list[BaseRoute]:
        """All doors."""
        voice = Voice(self.settings, self.board, self.guard, self.registry, CallStore(self.engine), self.cold)
        status = Status(self.board, self.guard)
        placed = OutboundDoors(self.dialler, self.guard, voice)
        asked = CallsDoor(self.dialler, ApiTokens(self.engine))
        ours = [*status.routes(), *self.own.routes(), *doors.routes(self.console)]
        return [*voice.routes(), *placed.routes(), *asked.routes(), *ours]


def _spare_times(settings: Settings, session_seconds: float = 3600.0) -> SpareTimes:
    """A spare link is renewed while the longest call still fits into what is left of its session's time, where it can at all.

    A call that lasts longer than its session goes on in another one.
    """
    left = session_seconds - settings.max_call_seconds - SPARE_MARGIN_SECONDS
    if left < SPARE_MARGIN_SECONDS:
        return SpareTimes()
    return SpareTimes(renew=min(SpareTimes().renew, max(SPARE_MARGIN_SECONDS, left)))


@contextlib.asynccontextmanager
async def open_house(settings: Settings, database_url: str) -> AsyncIterator[House]:
    """Everything started, in order; on leaving everything stopped, calls first. Raises SetupError."""
    async with contextlib.AsyncExitStack() as stack:
        kept = min(KEPT_CONNECTIONS, settings.database_connections)
        engine = make_engine(database_url, pool_size=kept, max_overflow=settings.database_connections - kept)
        stack.push_async_callback(engine.dispose)
        await check(engine)
        tokens = settings.twilio_auth_tokens or (kept_secret(settings.data, "twilio_auth_token"),)
        store, lines, text_carrier = await reach_outside(settings, engine, tokens, stack)
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
        endpoint = endpoint_of(settings, stand_in=stand_in)
        house = House(
            settings,
            engine,
            endpoint,
            stand_in=stand_in,
            tokens=tokens,
            store=store,
            lines=lines,
            text_carrier=text_carrier,
        )
        house.board.claims = await stack.enter_async_context(open_claims(database_url, house.patience))
        if not settings.database_url:
            await house.put_demo_rows()
        models = sorted({mode.model or settings.realtime_model for mode in house.registry.modes.values()})
        if stand_in:
            await lend_voice(house.voices, stack)
        house.voices.warn(endpoint.profile)
        house.warm.open(endpoint, models)
        await house.journal.adopt()
        writer = asyncio.create_task(house.journal.run(), name="journal")
        await house.journal.flush(REPLAY_SECONDS)
        warn_of_guesses(settings.prices, [] if stand_in else models)
        house.lag.start()
        dialling = asyncio.create_task(house.dialler.run(), name="dialler")
        courier = bring_word(settings, engine, house.registry.modes, endpoint, house.known)
        jobs = start_jobs(settings, engine, database_url, house.board, courier)
        metrics.journal_spooled.set_function(lambda: house.journal.pending)
        loop = asyncio.get_running_loop()
        metrics.tasks.set_function(lambda: len(asyncio.all_tasks(loop)))
        metrics.calls_limit.set(settings.max_calls)
        try:
            yield house
        finally:
            house.board.close_all()
            house.warm.close()
            dialling.cancel()
            await house.dialler.close()
            await house.board.carried_through()
            house.lag.stop()
            for job in jobs:
                job.cancel()
            await house.texting.close()
            await house.recorder.close(RECORDING_SECONDS)
            await house.journal.close(JOURNAL_SECONDS)
            if house.traces is not None:
                await house.traces.close()
            writer.cancel()
            await asyncio.gather(writer, dialling, *jobs, return_exceptions=True)


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
