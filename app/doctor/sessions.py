"""A mode's session, agreed with the real server as for a call: its dialect, its codecs, all its tools. No response is asked for
and no sound is sent, so that nothing is generated and nothing costs.
"""

import asyncio
from datetime import UTC, datetime
from typing import Any

import msgspec

from app import prompts
from app.adapters.endpoint import Known
from app.adapters.model_link import ModelSession
from app.adapters.opening import Opening
from app.adapters.servers import Server
from app.calls.spoken_calls import SpokenCalls
from app.core import events as ev
from app.core.flow import house_tools
from app.doctor.patient import Patient
from app.doctor.rows import Finding, fault, fine, warning
from app.errors import PeerError
from app.mode import Mode
from app.wire import realtime
from app.wire.dialects import SessionPlan
from app.wire.negotiation import Formats

OFFERED = "doctor-offer"
REFUSED = (
    "what it refuses is named: a tool's schema (./offhook show MODE), REALTIME_MODEL, TRANSCRIPTION_MODEL, REALTIME_DIALECT or "
    "REALTIME_AUDIO"
)


async def session(patient: Patient, mode: Mode, server: Server | None = None) -> Finding:
    """The configuration of a mode's calls is in force, then every set of tools that a talk in it may offer.

    server: one that stands in for the model's own. Raises Skip.
    """
    endpoint = patient.endpoint if server is None else server.endpoint
    model = (server and server.model) or mode.model or patient.settings.realtime_model
    office = mode.edition.office or patient.settings.office
    now = office.now(datetime.now(UTC))
    situation = prompts.Situation(caller="+14155550100", dialled="+14155550199", now=now)
    plan = SessionPlan.of(
        mode,
        model=model,
        instructions=prompts.render(mode, office, situation),
        transcription_model=patient.settings.transcription_model,
    )
    spoken = SpokenCalls(patient.settings, patient.modes).voice_of(mode, "", endpoint.profile)
    plan = msgspec.structs.replace(plan, texts=spoken is not None)
    if server is not None and server.voice:
        plan = msgspec.structs.replace(plan, voice=server.voice)
    named = "the built-in stand-in" if server is None and patient.settings.stand_in else model
    async with patient.sessions:
        watched = _Watched()
        made = ModelSession(endpoint, model, plan, Opening(silent=True), known=Known(), note=watched.note)
        made.reports = watched.settled
        made.start()
        try:
            await watched.done.wait()
            if made.state == "lost":
                return fault(made.refusal.in_full if made.refusal else made.why_lost, REFUSED)
            made.attach(watched)
            sets = offers(mode)
            for n, tools in enumerate(sets):
                why = await watched.offer(made, tools, mode, first=n == 0, event_id=f"{OFFERED}-{n}")
                if why:
                    return fault(f"{made.dialect.name}: {why}", REFUSED)
            what = (
                f"{named} in the dialect {made.dialect.name}, {formats_of(watched.echo) or 'its echo names no codec'}"
            )
            counts = f"{len(plan.tools)} tools at first, {max(map(len, sets), default=0)} at most"
            asked = made.engine.voice_for(plan.voice)
            if watched.missing:
                return warning(
                    f"{what}; its echo lacks the tools {', '.join(watched.missing)}",
                    "see whether the agent calls them: ./offhook call",
                )
            return fine(f"{what}, {counts}, voice {asked}")
        finally:
            made.close()


def offers(mode: Mode) -> list[list[dict[str, Any]]]:
    """Every set of tools that is offered after the first turn: the mode's, or with a flow each state's."""
    own = [tool.wire() for tool in mode.tools]
    if mode.flow is None:
        return [own]
    here = [[tool.wire() for tool in state.tools if tool not in mode.tools] for state in mode.flow.states]
    return [[*own, *tools, *house_tools(state)] for state, tools in zip(mode.flow.states, here, strict=True)]


class _Watched:
    """What a session hears: the echo of its configuration, and answers to offers."""

    def __init__(self) -> None:
        self.done = asyncio.Event()
        """The session is ready, or lost."""
        self.echo: dict[str, Any] = {}
        self.missing: list[str] = []
        self._answer: asyncio.Future[str] | None = None
        self._wanted: set[str] = set()
        self._event_id = ""

    def note(self, text: bytes) -> None:
        """A message of the negotiation."""
        message = _parsed(text)
        if isinstance(message, realtime.SessionUpdated):
            self.echo = message.session

    def settled(self, session: Any) -> None:
        """It is ready, or lost before."""
        self.done.set()

    async def offer(
        self, session: ModelSession, tools: list[dict[str, Any]], mode: Mode, *, first: bool, event_id: str
    ) -> str:
        """Offer tools, and wait for the server's word: why it refused, or nothing."""
        self._answer = asyncio.get_running_loop().create_future()
        self._wanted, self._event_id = {tool["name"] for tool in tools}, event_id
        try:
            for text in session.wire.offer(tools, mode.turn_detection if first else None, event_id):
                session.send(text)
        except PeerError as wrong:
            return str(wrong)
        return await self._answer

    def model_ready(self, *, opening: bool) -> None:
        """It was so before we listened."""

    def from_model(self, text: bytes) -> None:
        """A message after that."""
        message = _parsed(text)
        match message:
            case realtime.SessionUpdated(session=session):
                echoed = session.get("tools")
                if isinstance(echoed, list):
                    self.missing += sorted(self._wanted - {_name_of(tool) for tool in echoed})
                self._answered("")
            case ev.ModelComplained(event_id=event_id) if event_id in ("", self._event_id):
                self._answered(f"the tools were refused ({message.code or message.type}): {message.message}")

    def model_lost(self, why: str) -> None:
        """The server closed."""
        self._answered(why)

    def _answered(self, why: str) -> None:
        if self._answer is not None and not self._answer.done():
            self._answer.set_result(why)


def _parsed(text: bytes) -> Any:
    try:
        return realtime.parse(text)
    except PeerError:
        return None


def _name_of(tool: Any) -> str:
    if not isinstance(tool, dict):
        return ""
    inner = tool.get("function")
    return str(tool.get("name") or (inner.get("name") if isinstance(inner, dict) else "") or "")


def formats_of(echo: dict[str, Any]) -> str:
    """The codecs of a configuration in force, in the server's own words; empty if it does not tell."""
    try:
        told = msgspec.convert(echo, Formats)
    except msgspec.ValidationError:
        return ""
    hears = told.input_audio_format or told.audio.input.format.type
    speaks = told.output_audio_format or told.audio.output.format.type
    return f"hears {hears} and speaks {speaks}" if hears and speaks else ""
