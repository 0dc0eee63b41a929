"""Twilio's doors: the webhook that answers a call, what follows its stream, callbacks, and the stream by ASGI."""

import asyncio
from collections.abc import Awaitable, Callable
from urllib.parse import parse_qs

import structlog
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import BaseRoute, Route, WebSocketRoute
from starlette.websockets import WebSocket

from app.adapters.store import CallStore
from app.core.record import CallInfo, CallRecord, TransferAttempt
from app.live_call import LiveCall, Next, Step
from app.mode import Mode
from app.registry import Registry
from app.settings import Settings
from app.switchboard import Switchboard
from app.transfers import Transfers
from app.web import menu, whispers
from app.web.asgi_link import AsgiLink
from app.web.guard import Form, Guard, Refused
from app.web.streams import PhoneStream, judge
from app.wire import twiml

log = structlog.get_logger()

BOOKS_SECONDS = 1.0
OVER = frozenset({"completed", "busy", "failed", "no-answer", "canceled"})
WITHHELD = frozenset({"+266696687", "+7378742833", "+2562533", "+8656696", "+86282452253", "anonymous"})
"""Keypad spellings that stand for no number at all: ANONYMOUS, RESTRICTED, BLOCKED, UNKNOWN, UNAVAILABLE."""

SORRY_PERSON = "I am sorry, something went wrong on our side. I am putting you through to a person."
SORRY_GOODBYE = "I am sorry, something went wrong on our side. Please call again a little later. Goodbye."
BUSY_PERSON = "All our lines are busy. I am putting you through to a person."
BUSY_GOODBYE = "All our lines are busy right now. Please call again in a few minutes. Goodbye."


class Voice:
    """The doors under `/twilio` and `/voice`. Each one proves its caller before anything is spent or written."""

    def __init__(
        self, settings: Settings, board: Switchboard, guard: Guard, registry: Registry, books: CallStore
    ) -> None:
        self.settings = settings
        self.board = board
        self.guard = guard
        self.registry = registry
        self.books = books
        self.menu = menu.KeypadMenu(board, self._url, self._onward)

    def routes(self) -> list[BaseRoute]:
        """All of them."""
        return [
            self._door("/twilio/incoming", self.incoming),
            self._door("/twiml", self.incoming),
            self._door("/twilio/next", self.next),
            self._door("/twilio/dialed", self.dialed),
            self._door(whispers.PATH, self.whisper),
            self._door(menu.PATH, self.keys),
            self._door("/twilio/status", self.status),
            self._door("/twilio/stream-status", self.stream_status),
            WebSocketRoute("/voice/ws/{path:path}", self.stream),
        ]

    def _door(self, path: str, answer: Callable[[Request, Form], Awaitable[str]]) -> Route:
        """A signed webhook that answers TwiML; Twilio may be configured for POST or GET."""

        async def endpoint(request: Request) -> Response:
            try:
                form = await self.guard.form(request)
            except Refused as refusal:
                return refusal.response
            try:
                document = await answer(request, form)
            except Exception:  # the carrier would play its application error and cut the caller off
                log.exception("a fault of ours at a door", path=path, call_sid=form.get("CallSid", ""))
                document = self._to_person(SORRY_PERSON, _info(form)) or twiml.hang_up(SORRY_GOODBYE)
            return Response(document, media_type="application/xml")

        return Route(path, endpoint, methods=["POST", "GET"])

    # --- the call ---------------------------------------------------------------------------------------------------

    async def incoming(self, request: Request, form: Form) -> str:
        """A call rings: open a stream to the mode that answers this number."""
        info = _info(form)
        if not info.call_sid:
            log.warning("webhook without a CallSid")
            return twiml.hang_up(SORRY_GOODBYE)
        call = self.board.incoming(info, self._mode(request, info))
        if call is None:
            return self._to_person(BUSY_PERSON, info) or twiml.hang_up(BUSY_GOODBYE)
        return self._stream(call) if call.ticket else call.document or self._follow(call, "resume")

    async def next(self, request: Request, form: Form) -> str:
        """A stream has ended, or never came to be: what now?"""
        info = _info(form)
        if form.get("CallStatus") in OVER:
            self.board.ended(info.call_sid)
            return twiml.nothing()
        mode = self._mode(request, info)
        if not self.board.knows(info.call_sid) and info.call_sid:
            self.board.take_up(info, mode, await self._recall(info.call_sid))
        call, what = self.board.what_next(info, mode)
        if call is None:
            return self._to_person(BUSY_PERSON, info) or twiml.hang_up(BUSY_GOODBYE)
        return self._follow(call, what.step, what.desk)

    def _follow(self, call: LiveCall, step: Step, desk: str = "") -> str:
        """The document for one step of a call."""
        if step == "repeat":
            return call.document
        call.document = self._document(call, step, desk)
        return call.document

    def _document(self, call: LiveCall, step: Step, desk: str) -> str:
        match step:
            case "resume":
                self.board.prepare(call)
                return self._stream(call)
            case "dial":
                office = self.board.office
                return twiml.dial(
                    number=office.desks[desk].number,
                    caller_id=self._caller_id(call.info),
                    dialed_url=self._url("/twilio/dialed"),
                    whisper_url=whispers.url(self._url, call.transfers),
                    ring_tone=office.ring_tone,
                )
            case "apologise":
                if self.menu.serves(call.mode):
                    return self.menu.begin(call)
                person = self._to_person(SORRY_PERSON, call.info)
                if person:
                    return person
                self.board.finish(call)
                return twiml.hang_up(SORRY_GOODBYE)
        self.board.finish(call)
        return twiml.hang_up()

    async def dialed(self, request: Request, form: Form) -> str:
        """What became of putting a caller through: done, or the caller is back."""
        info = _info(form)
        if not self.board.knows(info.call_sid) and form.get("CallStatus") not in OVER:
            taken = self.board.take_up(info, self._mode(request, info), await self._recall(info.call_sid))
            if taken is not None:
                taken.next = Next("dial")
        call = self.board.dialled(
            info.call_sid,
            form.get("DialCallStatus", ""),
            joined=form.get("DialBridged") != "false",
            over=form.get("CallStatus") in OVER,
        )
        talked = form.get("DialCallStatus") in ("completed", "answered") and form.get("DialBridged") != "false"
        if call is None or form.get("CallStatus") in OVER:
            self.board.ended(info.call_sid)
            return twiml.hang_up("" if talked or call is not None else SORRY_GOODBYE)
        if call.apologised:
            self.board.finish(call)
            return twiml.hang_up("" if talked else SORRY_GOODBYE)
        call, what = self.board.what_next(info, call.mode)
        if call is None:
            return twiml.hang_up(SORRY_GOODBYE)
        return self._follow(call, what.step, what.desk)

    async def whisper(self, request: Request, form: Form) -> str:
        """The person at the desk has picked up and is told who calls, or has pressed a key, or none in time."""
        asked = whispers.asked(request.scope["query_string"].decode("latin-1"))
        if asked is None:
            log.warning("a whisper of no call of ours", call_sid=form.get("CallSid", ""))
            return twiml.hang_up()
        call = self.board.calls.get(asked.call_sid)
        if call is not None:
            return whispers.answer(asked, form, call.transfers, call.pressed, self._url)
        lost = Transfers(asked.call_sid, self.board.journal.put)
        lost.recall(await self._attempts(asked.call_sid))
        return whispers.answer(asked, form, lost, lost.accepts, self._url)

    async def keys(self, request: Request, form: Form) -> str:
        """The caller has pressed keys in the menu that needs no model, or none; or a call is led there, and it begins."""
        info = _info(form)
        if form.get("CallStatus") in OVER:
            self.board.ended(info.call_sid)
            return twiml.nothing()
        if not self.board.knows(info.call_sid) and info.call_sid:
            self.board.take_up(info, self._mode(request, info), await self._recall(info.call_sid))
        call = self.board.calls.get(info.call_sid)
        if call is None:
            return self._to_person(BUSY_PERSON, info) or twiml.hang_up(BUSY_GOODBYE)
        if call.finished:  # a last request that is repeated
            return call.document or twiml.hang_up()
        query = request.scope["query_string"].decode("latin-1")
        return await self.menu.answer(call, query, form.get("Digits", ""))

    def _onward(self, call: LiveCall) -> str:
        """The document for what the menu has decided."""
        _, what = self.board.what_next(call.info, call.mode)
        return self._follow(call, what.step, what.desk)

    async def status(self, request: Request, form: Form) -> str:
        """The carrier tells how a call stands; only its end means something to us."""
        call_sid = form.get("CallSid", "")
        if form.get("CallStatus") in OVER:
            if not self.board.calls.get(call_sid):
                await self._close_lost(call_sid)
            self.board.ended(call_sid)
        return twiml.nothing()

    async def stream_status(self, request: Request, form: Form) -> str:
        """The carrier tells how a stream stands; its faults are for the log."""
        event = form.get("StreamEvent", "")
        if event == "stream-error":
            log.warning(
                "the carrier reports a stream error", call_sid=form.get("CallSid", ""), why=form.get("StreamError", "")
            )
        elif event == "stream-stopped":
            self.board.stream_stopped(form.get("CallSid", ""), form.get("StreamSid", ""))
        return twiml.nothing()

    async def stream(self, socket: WebSocket) -> None:
        """The media stream, by ASGI."""
        raw: bytes = socket.scope.get("raw_path") or socket.scope["path"].encode()
        path = raw.split(b"?")[0].decode("latin-1")
        verdict = judge(self.board, self.guard, path, socket.headers.get("x-twilio-signature", ""))
        if verdict.status != 101:
            await socket.send_denial_response(PlainTextResponse("", verdict.status))
            return
        link = AsgiLink(socket)
        stream = PhoneStream(self.board, link, verdict, account_sid=self.settings.twilio_account_sid, door="asgi")
        try:
            await socket.accept()
        except BaseException:
            stream.closed(1006, "not accepted")
            raise
        await link.run(stream)

    # --- calls of another process -----------------------------------------------------------------------------------

    async def _recall(self, call_sid: str) -> CallRecord | None:
        """What the books know of a call that this process does not, be it nothing; None if they do not answer in time."""
        try:
            async with asyncio.timeout(BOOKS_SECONDS):
                return await self.books.recall(call_sid) or CallRecord(call_sid=call_sid, mode="")
        except Exception as wrong:  # the caller is on the line: with or without the books
            log.warning("the books do not answer", call_sid=call_sid, why=f"{type(wrong).__name__}: {wrong}")
            return None

    async def _attempts(self, call_sid: str) -> list[TransferAttempt]:
        """What the books know of the transfers of a call that this process does not; none if they do not answer in time."""
        try:
            async with asyncio.timeout(BOOKS_SECONDS):
                return await self.books.transfers(call_sid)
        except Exception as wrong:  # the caller is on the line: with or without the books
            log.warning("the books do not answer", call_sid=call_sid, why=f"{type(wrong).__name__}: {wrong}")
            return []

    async def _close_lost(self, call_sid: str) -> None:
        """The end of a call that this process does not know: its row is closed, if there is one that is open."""
        try:
            async with asyncio.timeout(BOOKS_SECONDS):
                await self.books.close_lost(call_sid=call_sid)
        except Exception as wrong:  # closed an hour later by its age
            log.warning("the books do not answer", call_sid=call_sid, why=f"{type(wrong).__name__}: {wrong}")

    # --- parts ------------------------------------------------------------------------------------------------------

    def _mode(self, request: Request, info: CallInfo) -> Mode:
        wanted = parse_qs(request.scope["query_string"].decode("latin-1")).get("mode", [""])[0]
        return self.registry.mode_for(wanted, info.dialled)

    def _stream(self, call: LiveCall) -> str:
        call.document = twiml.stream(
            url=f"{self.settings.socket_url}/voice/ws/{call.mode.name}/{call.ticket}",
            next_url=self._url("/twilio/next"),
            status_url=self._url("/twilio/stream-status"),
            parameters={"caller": call.info.caller, "dialled": call.info.dialled},
            announcement=call.notice.before,
            language=call.notice.announcement.language,
        )
        return call.document

    def _url(self, path: str) -> str:
        return self.settings.public_url + path

    def _caller_id(self, info: CallInfo) -> str:
        """The number that the person sees: ours, else the one that the caller dialled."""
        return self.settings.twilio_phone_number or (info.dialled if info.dialled.startswith("+") else "")

    def _to_person(self, say: str, info: CallInfo) -> str:
        """Say sorry and dial a person; empty when nobody is configured."""
        number = self.settings.human_transfer_number
        if not number:
            return ""
        return twiml.dial(
            number=number, caller_id=self._caller_id(info), dialed_url=self._url("/twilio/dialed"), say=say
        )


def _info(form: Form) -> CallInfo:
    """What the carrier's form says of a call."""
    caller = form.get("From", "").strip()
    return CallInfo(
        call_sid=form.get("CallSid", ""),
        account_sid=form.get("AccountSid", ""),
        caller="" if caller.lower() in WITHHELD else caller,
        dialled=form.get("To", "").strip(),
        from_state=form.get("FromState", ""),
    )
