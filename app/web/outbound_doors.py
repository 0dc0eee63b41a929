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
from app.core.rows import Milestone
from app.web.call_form import OVER, asked_for
from app.web.fly import Elsewhere
from app.web.guard import Form, Guard, Refused
from app.web.timed import answering
from app.web.voice import Voice
from app.wire import twiml

log = structlog.get_logger()

Answer = Callable[[Request, Form], Awaitable[str]]


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
                    document = await answer(request, form)
                except Elsewhere as elsewhere:
                    return elsewhere.response
                except DATABASE_ERRORS as wrong:  # the attempt stays open, and is looked up later
                    log.warning("outbound.database", reason=reason_of(wrong), path=path)
                except Exception:  # the carrier would play its application error
                    log.exception("a fault of ours at a door", path=path)
            return Response(document, media_type="application/xml")

        return Route(path, endpoint, methods=["POST", "GET"])

    async def answered(self, request: Request, form: Form) -> str:
        """Somebody, or something, picked up: open the stream. A call that nobody asked for ends."""
        call = await self.dialler.answered(asked_for(request, "ref"), form.get("CallSid", ""))
        if call is None:
            return twiml.hang_up()
        self.dialler.board.journal.put(
            Milestone(call_sid=call.info.call_sid, name="webhook_accepted", at=datetime.now(UTC))
        )
        return self.voice.begin(call)

    async def detected(self, request: Request, form: Form) -> str:
        """The verdict on who picked up. Source: Twilio, `AsyncAmdStatusCallback`.

        The talk waits for it, so it goes to the process that has the talk, where it can be sent there; else only into the books.
        """
        call_sid, verdict = form.get("CallSid", ""), form.get("AnsweredBy", "")
        if not verdict:
            return twiml.nothing()
        board, fly = self.dialler.board, self.voice.fly
        elsewhere = not board.knows(call_sid) or board.outdated(call_sid)
        if elsewhere and not fly.replayed(request.headers) and (owner := await board.other_owner(call_sid)):
            raise Elsewhere(fly.to(owner))
        await self.dialler.detected(asked_for(request, "ref"), call_sid, verdict)
        return twiml.nothing()

    async def progress(self, request: Request, form: Form) -> str:
        """How the call goes. Until its end it means that there is one."""
        reference, call_sid, status = asked_for(request, "ref"), form.get("CallSid", ""), form.get("CallStatus", "")
        if status not in OVER:
            await self.dialler.goes_on(reference, call_sid)
            return twiml.nothing()
        if call_sid not in self.dialler.board.calls:
            await self.voice.earlier.close_lost(call_sid, "lost" if status == "completed" else RESULTS[status])
        await self.dialler.over(reference, call_sid, status)
        return twiml.nothing()
