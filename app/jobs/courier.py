"""The courier: brings word of finished calls to the business, in the background, far from any call.

    a call is over   ->  the afterword, where its mode wants one  ->  a delivery for each endpoint that wants it
    a delivery       ->  one attempt  ->  sent, or due again later, or dead

All that it knows is in Postgres (app/adapters/deliveries.py), so it may die at any moment and another goes on. An endpoint that
hangs holds up nobody but itself: each has places of its own, and as many attempts run at a time.
"""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Coroutine, Mapping, Sequence
from datetime import timedelta
from functools import partial
from typing import Any

import msgspec
import structlog
from sqlalchemy.ext.asyncio import AsyncConnection

from app import afterword, metrics
from app.adapters.afterword import ask
from app.adapters.database import DATABASE_ERRORS, reason_of
from app.adapters.deliveries import Deliveries, Delivery, Finished
from app.adapters.finished_call import FinishedCall, body, read, result_of, write_afterword
from app.adapters.model_link import ModelSession
from app.adapters.store import CallStore
from app.adapters.webhook_post import post
from app.core.cost import cost_usd, used
from app.core.rows import Outcome, Response
from app.errors import PeerError
from app.log import of_call
from app.mode import Mode
from app.rules.prices import OURS, Prices
from app.rules.webhooks import FINISHED, Webhook

log = structlog.get_logger()

LOOK_SECONDS = 2.0
PLACES = 4
"""Attempts at one endpoint at a time, and calls that are prepared at a time."""
MESSAGE = timedelta(seconds=45)
"""How long a missed call is told of later, for the message that the caller may be leaving: its recording is stored by then."""
MACHINES = ("machine", "fax")
"""How calls end that nobody picked up: a greeting is in their transcripts, and no caller's words."""
TRIES = 2
"""How often a process takes up a call that is to have an afterword; one that died over it once is told without."""


class Courier:
    """Takes up finished calls and due deliveries. `turn` does what is due now; `run` does it again and again."""

    def __init__(
        self,
        deliveries: Deliveries,
        books: CallStore,
        webhooks: Sequence[Webhook],
        *,
        modes: Mapping[str, Mode],
        public_url: str,
        session: Callable[[Mode], tuple[ModelSession, str]],
        max_cost_usd: float,
        prices: Prices = OURS,
        seconds: float | None = None,
    ) -> None:
        """session: a session for a mode that is not dialled yet, and its model's name. max_cost_usd: a call that cost as much
        gets no afterword. seconds: for one attempt, if not as usual.
        """
        self.deliveries, self.books, self.webhooks = deliveries, books, {webhook.name: webhook for webhook in webhooks}
        self.modes, self.public_url, self.session, self.max_cost_usd = modes, public_url, session, max_cost_usd
        self.prices = prices
        self._post = post if seconds is None else partial(post, seconds=seconds)
        self._tasks: set[asyncio.Task[None]] = set()
        self._busy: Counter[str] = Counter()
        self._wake = asyncio.Event()
        self._away = False
        self._introduced = False

    async def run(self) -> None:
        """Until cancelled; what is under way then is due again when its lease has run out."""
        try:
            while True:
                self._wake.clear()
                try:
                    await self.turn()
                    self._away = False
                except DATABASE_ERRORS as wrong:
                    if not self._away:
                        log.warning("courier.waits_for_postgres", reason=reason_of(wrong))
                    self._away = True
                except Exception:
                    log.exception("a fault of ours kept word from the business")
                try:
                    async with asyncio.timeout(LOOK_SECONDS):
                        await self._wake.wait()
                except TimeoutError:
                    pass
        finally:
            for task in self._tasks:
                task.cancel()

    async def turn(self) -> int:
        """Begin what is due and has a place; how much that was. Raises DATABASE_ERRORS."""
        if not self._introduced:
            await self.deliveries.introduce(tuple(self.webhooks))
            self._introduced = True
        begun = 0
        if room := self._room(""):
            for call in await self.deliveries.finished(room):
                begun += self._begin("", self._tell(call), call_sid=call.call_sid)
        for name, webhook in self.webhooks.items():
            if room := self._room(name):
                for delivery in await self.deliveries.claim(name, room):
                    begun += self._begin(name, self.attempt(webhook, delivery), call_sid=delivery.call_sid)
        return begun

    async def idle(self) -> None:
        """Wait until nothing that was begun runs any more."""
        while self._tasks:
            await asyncio.wait(self._tasks)

    # --- a finished call --------------------------------------------------------------------------------------------

    async def _wanted(self, call: Finished) -> bool:
        """Whether anybody is told of it, or the model asked: for those alone all of it is read, which takes eight queries."""
        row = await self.books.call(call.call_sid)
        return row is None or bool(self._wanting(row.mode)) or self._asking(call, row.mode) is not None

    def _wanting(self, mode: str) -> list[str]:
        """Which endpoints are told of a call in a mode."""
        return [name for name, webhook in self.webhooks.items() if webhook.wants(FINISHED, mode)]

    def _asking(self, call: Finished, name: str) -> Mode | None:
        """The call's mode, if it asks the model for an afterword."""
        mode = self.modes.get(name)
        return mode if mode is not None and mode.completes and call.written is not None and call.tries < TRIES else None

    async def _tell(self, call: Finished) -> None:
        if not await self._wanted(call):
            await self.deliveries.tell(call, (), "")
            return
        found = await read(self.books, call.call_sid, finished_at=call.at, public_url=self.public_url)
        if found is None:
            log.warning("a finished call is not in the books", call_sid=call.call_sid)
            await self.deliveries.tell(call, (), "")
            return
        told, outcome = found
        if told is None:
            await self.deliveries.not_yet(call)
            return
        if told.missed is not None and not told.voicemails and self.deliveries.age(call) < MESSAGE:
            await self.deliveries.not_yet(call)  # what the caller says after the beep comes by a request of its own
            return
        endpoints = [(name, FINISHED) for name in self._wanting(told.mode)]
        also: Callable[[AsyncConnection], Awaitable[None]] | None = None
        if (mode := self._asking(call, told.mode)) is not None:
            told, also = await self._completed(mode, call, told, outcome)
        count = await self.deliveries.tell(call, endpoints, body(told), also)
        log.info("a finished call is told of", call_sid=call.call_sid, deliveries=count)

    async def _completed(
        self, mode: Mode, call: Finished, told: FinishedCall, outcome: Outcome | None
    ) -> tuple[FinishedCall, Callable[[AsyncConnection], Awaitable[None]] | None]:
        """The call with what the model could say of it, and what is to be written down for that; as it was where it could not."""
        written = call.written
        fields = afterword.open_fields(mode, written)
        spoke = told.outcome not in MACHINES and any(turn.who == "caller" for turn in told.transcript)
        if written is None or not fields or not spoke or (told.figures.cost_usd or 0.0) >= self.max_cost_usd:
            return told, None
        session, model = self.session(mode)
        talk = afterword.talk([(turn.who, turn.text) for turn in told.transcript])
        try:
            said = await ask(session, afterword.instructions(fields), talk)
        except (PeerError, TimeoutError) as wrong:
            log.warning("no afterword", call_sid=call.call_sid, why=str(wrong) or "no answer in time")
            return told, None
        answers = afterword.understood(fields, said.text)
        grown = afterword.completed(mode, outcome, call.call_sid, written, answers)
        if grown is None:
            log.warning("an afterword is of no use", call_sid=call.call_sid, understood=sorted(answers))
        end_ms = max((turn.end_ms for turn in told.transcript), default=0)
        past = await self.books.responses(call.call_sid)
        response = Response(
            call_sid=call.call_sid,
            seq=max((row.seq + 1 for row in past), default=0),
            response_id=said.response_id,
            model=model,
            status="completed",
            start_ms=end_ms,
            end_ms=end_ms,
            cost_usd=round(cost_usd(model, said.usage, self.prices), 6),
            **msgspec.structs.asdict(used(said.usage)),
        )
        metrics.cost_usd_total.labels(mode.name).inc(response.cost_usd)
        cost = round((told.figures.cost_usd or 0.0) + response.cost_usd, 6)
        told = msgspec.structs.replace(told, figures=msgspec.structs.replace(told.figures, cost_usd=cost))
        if grown is not None:
            told = msgspec.structs.replace(told, result=result_of(grown, tuple(sorted(answers))))
        return told, lambda connection: write_afterword(connection, grown, response)

    # --- a delivery -------------------------------------------------------------------------------------------------

    async def attempt(self, webhook: Webhook, delivery: Delivery) -> None:
        """One attempt, and what became of it."""
        answer = await self._post(webhook, delivery.id, delivery.payload)
        about = {
            "endpoint": webhook.name,
            "call_sid": delivery.call_sid,
            "id": delivery.id,
            "attempt": delivery.attempts,
        }
        metrics.deliveries_total.labels(webhook.name, answer.verdict).inc()
        match answer.verdict:
            case "taken":
                await self.deliveries.sent(delivery, answer.status)
                log.info("a delivery was taken", status=answer.status, **about)
            case "gone":
                count = await self.deliveries.gone(delivery, answer.status, answer.why)
                log.error(
                    "an endpoint is switched off: it answered 410",
                    deliveries=count,
                    remedy=f"./offhook webhooks retry --endpoint {webhook.name} switches it on again",
                    **about,
                )
            case "failed":
                state = await self.deliveries.failed(delivery, answer.status, answer.why)
                if state == "dead":
                    log.error("a delivery is dead", why=answer.why, remedy="./offhook webhooks list", **about)
                else:
                    log.warning("a delivery was not taken", why=answer.why, **about)

    # --- tasks ------------------------------------------------------------------------------------------------------

    def _room(self, place: str) -> int:
        return PLACES - self._busy[place]

    def _begin(self, place: str, work: Coroutine[Any, Any, None], *, call_sid: str) -> int:
        self._busy[place] += 1
        task = asyncio.get_running_loop().create_task(self._guarded(work, call_sid), name="courier")
        self._tasks.add(task)

        def over(done: asyncio.Task[None]) -> None:
            self._tasks.discard(done)
            self._busy[place] -= 1
            self._wake.set()

        task.add_done_callback(over)
        return 1

    async def _guarded(self, work: Coroutine[Any, Any, None], call_sid: str) -> None:
        """What fails is taken up again when its lease has run out."""
        with of_call(call_sid):
            try:
                await work
            except DATABASE_ERRORS as wrong:
                log.warning("courier.waits_for_postgres", reason=reason_of(wrong))
            except Exception:
                log.exception("word of a call did not get away")
