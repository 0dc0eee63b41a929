"""A session with the model: take a link, negotiate, open the talk, keep what comes until somebody listens.

What was learnt of a server is presumed of it (`Known`): the configuration goes out without waiting for its first word, and where
it took that very configuration before, the opening goes out right behind it. Nothing is risked by this but a dial: events come
in order, so a refusal, another codec or an answer from before `session.updated` shows before any audio does; then the session is
dropped unheard, and begun anew by asking for everything.
"""

import asyncio
from collections.abc import Callable
from typing import Any, Literal

import structlog
from websockets.exceptions import InvalidStatus

from app.adapters.attempt import Attempt
from app.adapters.endpoint import DIAL_ERRORS, Endpoint, FreshLink, Known, closed_by_server, dial
from app.adapters.engine_session import ModelListener
from app.adapters.link import WireLink
from app.adapters.opening import Opening
from app.adapters.priming import PRIME_SECONDS, prime, primed
from app.core import events as ev
from app.core.cost import cost_usd
from app.errors import LinkClosed, ModelRefused, PeerError
from app.log import this_call
from app.wire import realtime
from app.wire.dialects import DIALECTS, Dialect, SessionPlan
from app.wire.engine_wire import RealtimeWire

log = structlog.get_logger()

KEPT_BYTES = 8 << 20
"""What a session that nobody listens to may gather: a greeting of a minute is a tenth of it."""
FIRST_WORD_SECONDS = 2.0
PRESUMED_SECONDS = 1.5
"""How long a spare link, or a server that is thought to be known, may be silent before the session is begun anew."""
SLOW_FACTOR = 4
"""A server that was silent for longer once is given so much more from then on: a dial in vain with every call costs more."""


def _unnoted(text: bytes) -> None:
    """Nobody keeps raw events."""


class ModelSession:
    """An `EngineSession` in the realtime protocol."""

    def __init__(
        self,
        endpoint: Endpoint,
        model: str,
        plan: SessionPlan,
        opening: Opening,
        *,
        known: Known | None = None,
        ready_seconds: float = 10.0,
        presumed_seconds: float = PRESUMED_SECONDS,
        note: Callable[[bytes], None] = _unnoted,
        server: str = "",
    ) -> None:
        """known: what was learnt from earlier sessions. note: is given every message of the negotiation, for the raw events.

        server: the name by which `Servers` knows the one that it is with.
        """
        self.endpoint = endpoint
        self.model = model
        self.opens = opening.speaks
        self.ready_seconds = ready_seconds
        self.presumed_seconds = presumed_seconds
        self.note = note
        self.state: Literal["opening", "ready", "lost"] = "opening"
        self.why_lost = ""
        self.refused = False
        self.refusal: ModelRefused | None = None
        """With the server's own sentence, for the doctor."""
        self.server = server
        self.reports: Callable[[Any], None] | None = None
        self._log = log.bind(call_sid=this_call())
        self._born = asyncio.get_running_loop().time()
        self.engine = endpoint.profile
        self.dialect: Dialect = DIALECTS[endpoint.dialect or self.engine.dialect or "ga"]
        """The dialect that the server understood; settled when it is ready."""
        self.wire = RealtimeWire(self.dialect, self.engine)
        """Settled when it is ready, too."""
        self.primes = False
        self._known = known or Known()
        self._url = endpoint.for_model(model)
        self._wanted = plan
        self._begun: Attempt | None = self._attempt(opening)
        self._link: WireLink | None = None
        self._listener: ModelListener | None = None
        self._kept: list[bytes] = []
        self._kept_bytes = 0
        self._task: asyncio.Task[None] | None = None
        self._held_back: list[bytes] = []
        """The opening, while it waits for the priming."""
        self._hurry: asyncio.TimerHandle | None = None

    def start(self, spare: FreshLink | None = None, *, primes: bool = False) -> bool:
        """Begin on a spare link, or to dial; returns at once, telling whether the spare took what was written.

        primes: let the model read the prompt before the opening is asked for, unless a listener comes first.
        """
        self.primes = primes and self.engine.out_of_band
        if spare is not None:
            self._take(spare, spare=True)
        took = self._link is not None and self._begun is not None and not self._begun.ready.done()
        self._task = asyncio.get_running_loop().create_task(self._open(), name="model session")
        return took

    def attach(self, listener: ModelListener) -> None:
        """From now on this one hears everything; what was kept comes first, in order."""
        self._listener = listener
        if self.state == "lost":
            listener.model_lost(self.why_lost)
            return
        if self.state == "ready":
            listener.model_ready(opening=self.opens)
            kept, self._kept = self._kept, []
            self._release()
            for text in kept:
                listener.from_model(text)

    def send(self, text: bytes) -> None:
        """Write one command now. Raises LinkClosed, LinkClogged."""
        if self._link is None:
            raise LinkClosed
        self._link.send(text)

    def close(self) -> None:
        """End the session; nobody is told."""
        self._listener = self.reports = None
        self._lose("closed by us")

    @property
    def spent_usd(self) -> float:
        """What the responses have cost that nobody listened to: a greeting, or a priming."""
        return sum(_cost_of(self.model, text) for text in self._kept)

    @property
    def lasts_seconds(self) -> float | None:
        """Until the server ends it. The time of a link that had waited for us was running already."""
        return self.engine.session_minutes * 60 - (asyncio.get_running_loop().time() - self._born)

    # --- opening ----------------------------------------------------------------------------------------------------

    def _attempt(self, opening: Opening, *, careful: bool = False) -> Attempt:
        """What the mode wants, as far as the engine has it and the server has not refused it before."""
        plan = self._known.fitted(self._url, self._wanted.fitted(self.engine))
        return Attempt(plan, opening, self.endpoint.dialect, engine=self.engine, careful=careful)

    async def _open(self) -> None:
        """Dial and negotiate; every way to fail becomes `model_lost`."""
        try:
            async with asyncio.timeout(self.ready_seconds):
                while not await self._agreed():
                    pass
        except ModelRefused as refusal:
            self.refusal = refusal
            self._lose(str(refusal), refused=for_good(refusal))
        except TimeoutError:
            if self.state == "ready":  # it became so in the very turn in which the time ran out
                return
            self._lose(f"the model was not ready after {self.ready_seconds:g} s")
        except DIAL_ERRORS as wrong:
            self._lose(f"no session with the model: {type(wrong).__name__}: {wrong}")
        except Exception as wrong:
            log.exception("a fault of ours while a session was opened")
            self._lose(f"no session with the model: {type(wrong).__name__}")

    async def _agreed(self) -> bool:
        """One attempt, on the link that is there or on a new one; False if what was presumed proved wrong: once more, then."""
        begun = self._begun
        if begun is None:
            return True
        if self._link is None:
            self._take(await dial(self.endpoint, self.model, self._known))
        try:
            if begun.presumes:
                slow = self._known.slow(self._url)
                await begun.agreed(self.presumed_seconds * (SLOW_FACTOR if slow else 1))
            else:
                await asyncio.wait([begun.ready], timeout=FIRST_WORD_SECONDS)
                if not begun.ready.done():
                    self._say(begun.negotiation.first_frame_unknown())
                await asyncio.shield(begun.ready)
        except (ModelRefused, LinkClosed, TimeoutError) as wrong:
            if not begun.presumes:
                raise
            if isinstance(wrong, TimeoutError) and not begun.spare:  # a silent spare link is dead rather than slow
                self._known.was_slow(self._url)
            log.info("a session is begun anew", spare=begun.spare, why=str(wrong) or "no answer in time")
            self._begin_anew(begun, refused=isinstance(wrong, ModelRefused))
            return False
        return True

    def _take(self, fresh: FreshLink, *, spare: bool = False) -> None:
        """Begin on a link. Where the server is known its configuration goes out at once, and behind it the opening."""
        begun = self._begun
        assert begun is not None
        begun.spare = spare
        dialect = None if begun.careful else self._known.dialect(self._url)
        if dialect is not None:
            begun.presume(dialect, hasty=self._known.takes(self._url, begun.plan))
        self._link = fresh.link
        self._link.call_sid = this_call()
        self._born = fresh.born
        fresh.hand_over(self)
        if (dialect is not None or fresh.waited) and not begun.ready.done():
            self._configure(begun, begun.negotiation.first_frame_unknown())

    def _begin_anew(self, begun: Attempt, *, refused: bool) -> None:
        """The next attempt dials, and presumes nothing if this one was refused or presumed too much of a fresh link."""
        if self._link is not None:
            self._link.listener = None
            self._link.close()
            self._link = None
        self._held_back = []
        self._release()
        if refused:
            self._known.forget(self._url)
        self._begun = self._attempt(begun.opening, careful=refused or not begun.spare)

    def heard(self, text: bytes) -> None:
        """A message from the server: part of the negotiation, or for the listener."""
        if self.state == "ready":
            if self._listener is not None:
                self._listener.from_model(text)
            else:
                self._keep(text)
            return
        begun = self._begun
        if begun is None or begun.ready.done():
            return
        begun.told()
        self.note(text)
        try:
            message = realtime.parse(text)
            if begun.hasty and isinstance(message, ev.ResponseStarted | realtime.AudioDelta):
                raise ModelRefused("the model's server began to answer before it was configured")
            self._configure(begun, begun.negotiation.receive(message))
        except ModelRefused as refusal:
            begun.failed(refusal)
            return
        except PeerError as wrong:
            self._log.warning("message of the model's server passed over", why=str(wrong))
        if begun.negotiation.ready:
            self._settle(begun)

    def closed(self, code: int, reason: str) -> None:
        """The server closed, or the line broke."""
        if self._begun is not None:
            self._begun.failed(closed_by_server(code, reason))
        elif self.state == "ready":
            wrong = closed_by_server(code, reason)
            self._lose(str(wrong), refused=isinstance(wrong, ModelRefused))

    def _configure(self, begun: Attempt, commands: list[bytes]) -> None:
        """Send what the negotiation wants; a server that took the very same before gets the opening right behind it."""
        if commands and begun.hasty and not begun.opened:
            begun.opened = True
            commands = [*commands, *self._opening(begun)]
        try:
            for command in commands:
                self.send(command)
        except PeerError as wrong:
            begun.failed(LinkClosed(str(wrong)))

    def _opening(self, begun: Attempt) -> list[bytes]:
        """How the talk begins; with priming, that goes first and the rest is held back."""
        commands = begun.opening.commands(begun.negotiation.dialect)
        aside = begun.negotiation.dialect.name != "hybrid"  # known only now, where the engine was not
        if not (self.primes and aside) or self._listener is not None:
            return commands
        self._held_back = commands
        if commands:
            self._hurry = asyncio.get_running_loop().call_later(PRIME_SECONDS, self._release)
        return [prime(begun.negotiation.dialect)]

    def _settle(self, begun: Attempt) -> None:
        """The session is ours: open the talk, and let the listener know. What was only needed until now is let go."""
        self.dialect, plan = begun.negotiation.dialect, begun.negotiation.plan
        self._known.took(self._url, self.dialect.name, plan, asked=begun.plan)
        self.wire = RealtimeWire(self.dialect, self.engine, hears=plan.hears, speaks=plan.speaks)
        wanted = self._wanted.voice
        if plan.voice != wanted and self._known.first_told(self._url, f"voice {wanted}"):
            self._log.warning(
                "the engine does not have a mode's voice", wanted=wanted, speaks=plan.voice, engine=self.engine.name
            )
        self.state = "ready"
        self._begun, self.note = None, _unnoted
        if not begun.opened:
            self._say(self._opening(begun))
        begun.ready.set_result(None)
        if self.reports is not None:
            self.reports(self)
        if self._listener is not None:
            self._release()
            self._listener.model_ready(opening=self.opens)

    def _release(self) -> None:
        """The opening need not wait any longer."""
        if self._hurry is not None:
            self._hurry.cancel()
            self._hurry = None
        held_back, self._held_back = self._held_back, []
        self._say(held_back)

    def _say(self, commands: list[bytes]) -> None:
        for command in commands:
            try:
                self.send(command)
            except PeerError as wrong:
                self._log.info("the model's end is gone", why=str(wrong))
                return

    def _keep(self, text: bytes) -> None:
        """Nobody listens yet: what comes waits, and may tell that the model has read its prompt."""
        self._kept.append(text)
        self._kept_bytes += len(text)
        if self._held_back and _read_prompt(text):
            self._release()
        if self._kept_bytes > KEPT_BYTES:
            self._lose("nobody listened, and too much was said")

    def _lose(self, why: str, *, refused: bool = False) -> None:
        if self.state == "lost":
            return
        tells = self.reports if self.state == "opening" or refused else None
        self.state, self.why_lost, self.refused = "lost", why, refused
        self._begun = None
        self._kept.clear()
        self._held_back = []
        self._release()
        if self._task is not None and self._task is not asyncio.current_task():
            self._task.cancel()
        if self._link is not None:
            self._link.close()
        if self._listener is not None:
            listener, self._listener = self._listener, None
            listener.model_lost(why)
        if tells is not None:
            tells(self)


def _cost_of(model: str, text: bytes) -> float:
    """In dollars; 0 for what is no end of a response."""
    try:
        message = realtime.parse(text)
    except PeerError:
        return 0.0
    return cost_usd(model, message.usage) if isinstance(message, ev.ResponseDone) else 0.0


def for_good(refusal: ModelRefused) -> bool:
    """Whether another session would be refused as well. A server that is out of order (HTTP 5xx) may be back in a moment."""
    status = refusal.__cause__.response.status_code if isinstance(refusal.__cause__, InvalidStatus) else 0
    return status < 500


def _read_prompt(text: bytes) -> bool:
    """Whether a message is the end of the priming."""
    try:
        return primed(realtime.parse(text))
    except PeerError:
        return False
