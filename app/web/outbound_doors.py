"""Twilio's doors for calls that we placed: somebody picked up, who it was, and how the call goes.

`ref` in their URLs, which are signed, is the call that was asked for: what any process needs to take it from there.
"""

from collections.abc import Awaitable, Callable
from datetime import UTC, datetime

import structlog
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from app.adapters.database import DATABASE_ERRORS, reason_of
from app.calls.dialler import RESULTS, Dialler
from app.core.record import Milestone
from app.web.call_form import OVER
from app.web.guard import Form, Guard, Refused
from app.web.timed import answering
from app.web.voice import Voice
from app.wire import twiml

log = structlog.get_logger()

Answer = Callable[[str, Form], Awaitable[str]]


class OutboundDoors:
    """The doors of outbound calls. What follows their streams is `/twilio/next`, as with any call."""

    def __init__(self, dialler: Dialler, guard: Guard, voice: Voice) -> None:
        self.dialler = dialler
        self.guard = guard
        self.voice = voice

    def routes(self) -> list[BaseRoute]:
        """All of them."""
        return [
            self._door("/twilio/answered", self.answered),
            self._door("/twilio/amd", self.detected),
            self._door("/twilio/placed", self.progress),
        ]

    def _door(self, path: str, answer: Answer) -> Route:
        async def endpoint(request: Request) -> Response:
            try:
                form = await self.guard.form(request)
            except Refused as refusal:
                return refusal.response
            document = twiml.nothing()
            with answering(self.dialler.board, path, form.get("CallSid", "")):
                try:
                    document = await answer(request.query_params.get("ref", ""), form)
                except DATABASE_ERRORS as wrong:  # the attempt stays open, and is looked up later
                    log.warning("outbound.database", reason=reason_of(wrong), path=path)
                except Exception:  # the carrier would play its application error
                    log.exception("a fault of ours at a door", path=path)
            return Response(document, media_type="application/xml")

        return Route(path, endpoint, methods=["POST", "GET"])

    async def answered(self, reference: str, form: Form) -> str:
        """Somebody, or something, picked up: open the stream. A call that nobody asked for ends (an empty document does)."""
        call = await self.dialler.answered(reference, form.get("CallSid", ""))
        if call is None:
            return twiml.hang_up()
        self.dialler.board.journal.put(
            Milestone(call_sid=call.info.call_sid, name="webhook_accepted", at=datetime.now(UTC))
        )
        return self.voice.begin(call)

    async def detected(self, reference: str, form: Form) -> str:
        """The verdict on who picked up. Source: Twilio, `AsyncAmdStatusCallback`."""
        if verdict := form.get("AnsweredBy", ""):
            await self.dialler.detected(reference, form.get("CallSid", ""), verdict)
        return twiml.nothing()

    async def progress(self, reference: str, form: Form) -> str:
        """How the call goes. Until its end it means that there is one."""
        call_sid, status = form.get("CallSid", ""), form.get("CallStatus", "")
        if status not in OVER:
            await self.dialler.goes_on(reference, call_sid)
            return twiml.nothing()
        if call_sid not in self.dialler.board.calls:
            await self.voice.earlier.close_lost(call_sid, "lost" if status == "completed" else RESULTS[status])
        await self.dialler.over(reference, call_sid, status)
        return twiml.nothing()
