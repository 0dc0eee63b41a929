"""Twilio's doors: the webhook that answers a call, what follows its stream, callbacks, and the stream by ASGI."""

from collections.abc import Awaitable, Callable
from urllib.parse import parse_qs, urlsplit

import structlog
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import BaseRoute, Route, WebSocketRoute
from starlette.websockets import WebSocket

from app.adapters.store import CallStore
from app.calls.live_call import LiveCall, Next, Step
from app.calls.switchboard import Switchboard
from app.calls.takeover import EPOCH, of_epoch
from app.calls.transfers import Transfers
from app.core.rows import CallInfo
from app.log import of_call
from app.mode import Mode
from app.registry import Registry
from app.settings import Settings
from app.web import menu, rungs, whispers
from app.web.asgi_link import AsgiLink
from app.web.call_form import OVER, asked_for, epoch_in, info_of, number_in, whole
from app.web.cold_streams import ColdStreams
from app.web.earlier import Earlier
from app.web.fly import Elsewhere, Fly
from app.web.guard import Form, Guard, Refused
from app.web.rungs import SORRY_GOODBYE, SORRY_PERSON, Rungs
from app.web.streams import PhoneStream, judge
from app.web.timed import answering
from app.wire import twiml

log = structlog.get_logger()

NOT_FETCHED = "112"
"""How Twilio's codes begin for a document that it could not fetch, so that asking again may help. Source: api/errors."""
FALLBACKS = 3
"""So often the carrier may come by the fallback in one call; then nothing of ours that needs it any more is tried."""


class Voice:
    """The doors under `/twilio` and `/voice`. Each one proves its caller before anything is spent or written."""

    def __init__(
        self,
        settings: Settings,
        board: Switchboard,
        guard: Guard,
        registry: Registry,
        books: CallStore,
        cold: ColdStreams | None = None,
    ) -> None:
        """cold: takes in streams of other processes; None makes one."""
        self.settings = settings
        self.board = board
        self.guard = guard
        self.registry = registry
        self.earlier = Earlier(books) if cold is None else cold.earlier
        self.fly = Fly(settings.fly_machine)
        self.cold = cold or ColdStreams(board, self.earlier, self.fly)
        self.rungs = Rungs(settings, board, self._url, self._onward, self._stream)
        self.menu = self.rungs.menu

    def routes(self) -> list[BaseRoute]:
        """All of them."""
        return [
            self._door("/twilio/incoming", self.incoming),
            self._door("/twiml", self.incoming),
            self._door("/twilio/next", self.next),
            self._door("/twilio/dialed", self.dialed),
            self._door("/twilio/fallback", self.fallback),
            self._door(whispers.PATH, self.whisper),
            self._door(menu.PATH, self.keys),
            self._door(rungs.RECORDED, self.recorded),
            self._door(rungs.RECORDING_STATUS, self.recording_status),
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
            with answering(self.board, path, form.get("CallSid", "")):
                try:
                    document = await answer(request, form)
                except Elsewhere as elsewhere:
                    return elsewhere.response
                except Exception:  # the carrier would play its application error and cut the caller off
                    log.exception("a fault of ours at a door", path=path)
                    document = self.rungs.person(info_of(form), None, SORRY_PERSON) or twiml.hang_up(SORRY_GOODBYE)
            return Response(document, media_type="application/xml")

        return Route(path, endpoint, methods=["POST", "GET"])

    # --- the call ---------------------------------------------------------------------------------------------------

    async def incoming(self, request: Request, form: Form) -> str:
        """A call rings: open a stream to the mode that answers this number."""
        info = info_of(form)
        if not info.call_sid:
            log.warning("webhook without a CallSid")
            return twiml.hang_up(SORRY_GOODBYE)
        if info.call_sid in self.board.departed:  # a late repetition, or a replay
            return twiml.hang_up()
        mode = self._mode(request, info)
        if (self.board.draining or self.board.full) and not self.board.knows(info.call_sid):
            self.fly.let_another(request)
        call = self.board.incoming(info, mode)
        if call is None:
            return self.rungs.busy(info, mode.name)
        if call.finished:
            return call.document or twiml.hang_up()
        if call.turned_away:
            return call.document or self._onward(call)
        return self.begin(call)

    def begin(self, call: LiveCall) -> str:
        """The first document of a call that is known: its stream, or what has been decided for it meanwhile."""
        if call.next.step in ("message", "hang_up"):
            return self._follow(call, call.next.step)
        return self._stream(call) if call.ticket else call.document or self._follow(call, "resume")

    async def next(self, request: Request, form: Form) -> str:
        """A stream has ended, or never came to be: what now?"""
        info = info_of(form)
        if done := self._done(info, form):
            return done
        mode = await self._remember(request, info, asked=number_in(request, "streams") or 0)
        return self._go_on(info, mode)

    def _go_on(self, info: CallInfo, mode: Mode) -> str:
        """The document of what a call is to do next."""
        call, what = self.board.what_next(info, mode)
        if call is None:
            return self.rungs.busy(info, mode.name)
        return self._follow(call, what.step, what.desk)

    def _follow(self, call: LiveCall, step: Step, desk: str = "") -> str:
        """The document for one step of a call."""
        if step != "repeat":
            call.document = self.rungs.document(call, step, desk)
        return call.document

    async def dialed(self, request: Request, form: Form) -> str:
        """What became of putting a caller through: done, or the caller is back."""
        info = info_of(form)
        over, transfer = form.get("CallStatus") in OVER, number_in(request, "transfer")
        if info.call_sid in self.board.departed and not over:  # else it may be news of how the transfer ended
            return twiml.hang_up()
        if not over:
            before = self.board.calls.get(info.call_sid)
            await self._remember(request, info, transfer=transfer)
            taken = self.board.calls.get(info.call_sid)
            if taken is not None and taken is not before and taken.next.step not in ("dial", "apologise"):
                taken.next = Next("dial")
        joined = form.get("DialBridged") != "false"
        status = form.get("DialCallStatus", "")
        call, news = self.board.dialled(info.call_sid, status, joined=joined, over=over, seq=transfer)
        if call is not None and not news and not over:  # a late word of an earlier attempt
            return call.document or twiml.nothing()
        talked = status in ("completed", "answered") and joined
        if over:
            self.board.ended(info.call_sid)
            return twiml.hang_up()
        if call is None or call.apologised:
            if not talked:
                return self.rungs.voicemail(info, call, "nobody answered")
            if call is not None:
                self.board.finish(call)
            return twiml.hang_up()
        return self._go_on(info, call.mode)

    async def fallback(self, request: Request, form: Form) -> str:
        """The carrier could not fetch what it asked of us, or not use what it got: the call goes on where it was, or a rung down.

        ErrorCode says which of the two, ErrorUrl what it had asked. Where the answer was at fault, the same one would be again.
        """
        info, code, wrong = info_of(form), form.get("ErrorCode", ""), urlsplit(form.get("ErrorUrl", ""))
        log.warning("the carrier falls back", call_sid=info.call_sid, code=code, path=wrong.path)
        if form.get("CallStatus") in OVER:
            self.board.ended(info.call_sid)
            return twiml.nothing()
        if not info.call_sid or info.call_sid in self.board.departed:
            return twiml.hang_up(SORRY_GOODBYE if not info.call_sid else "")
        asked = parse_qs(wrong.query)
        streams, epoch = (whole(asked.get(name, [""])[0]) or 0 for name in ("streams", EPOCH))
        mode = await self._remember(request, info, asked=streams, epoch=epoch, begins=True)
        call = self.board.calls.get(info.call_sid)
        if call is None:
            call = self.board.incoming(info, mode)
        if call is None:
            return self.rungs.busy(info, mode.name)
        call.fallbacks += 1
        if code.startswith(NOT_FETCHED) and call.fallbacks <= FALLBACKS:
            if wrong.path == "/twilio/dialed":  # what became of it is lost: the caller is there, so nobody took them
                self.board.dialled(info.call_sid, "", seq=whole(asked.get("transfer", [""])[0]))
            elif wrong.path == menu.PATH and self.menu.serves(call.mode):
                return self.menu.begin(call)
            if not call.streams and not call.asked_next and call.ticket:
                return self.begin(call)
            return self._go_on(info, call.mode)
        if call.relay is None:
            call.next = Next("apologise")
        return self._go_on(info, call.mode)

    async def whisper(self, request: Request, form: Form) -> str:
        """The person at the desk has picked up and is told who calls, or has pressed a key, or none in time."""
        asked = whispers.asked(request.scope["query_string"].decode("latin-1"))
        if asked is None:
            log.warning("a whisper of no call of ours", call_sid=form.get("CallSid", ""))
            return twiml.hang_up()
        call = self.board.calls.get(asked.call_sid)
        if call is not None and not self.board.outdated(asked.call_sid, transfer=asked.seq):
            return whispers.answer(asked, form, call.transfers, call.pressed, self._url)
        lost = Transfers(asked.call_sid, self.board.journal.put)
        lost.recall(await self.earlier.attempts(asked.call_sid))
        return whispers.answer(asked, form, lost, lost.accepts, self._url)

    async def keys(self, request: Request, form: Form) -> str:
        """The caller has pressed keys in the menu that needs no model, or none; or a call is led there, and it begins."""
        info = info_of(form)
        if done := self._done(info, form):
            return done
        mode = await self._remember(request, info)
        call = self.board.calls.get(info.call_sid)
        if call is None:
            return self.rungs.busy(info, mode.name)
        if call.finished:  # a last request that is repeated
            return call.document or twiml.hang_up()
        query = request.scope["query_string"].decode("latin-1")
        return await self.menu.answer(call, query, form.get("Digits", ""))

    def _onward(self, call: LiveCall) -> str:
        """The document for what the menu has decided, or whoever turned a call away."""
        return self._go_on(call.info, call.mode)

    # --- what the carrier only tells --------------------------------------------------------------------------------

    async def recorded(self, request: Request, form: Form) -> str:
        """A caller has left a message, or put the phone down in the middle of it, which is one as well."""
        kept = self.rungs.recorded(form)
        call = self.board.calls.get(form.get("CallSid", ""))
        if call is not None and call.leaves_message:
            self.board.finish(call)
        return twiml.hang_up(rungs.KEPT if kept else rungs.NOTHING_HEARD)

    async def recording_status(self, request: Request, form: Form) -> str:
        """The carrier has stored a message, or there is none."""
        self.rungs.recorded(form)
        return twiml.nothing()

    async def status(self, request: Request, form: Form) -> str:
        """The carrier tells how a call stands; only its end means something to us."""
        call_sid = form.get("CallSid", "")
        if form.get("CallStatus") in OVER:
            if not self.board.calls.get(call_sid):
                await self.earlier.close_lost(call_sid)
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
        if verdict.open:
            verdict = await self.cold.take_in(verdict, replayed=self.fly.replayed(socket.headers))
        if verdict.status != 101:
            await socket.send_denial_response(PlainTextResponse("", verdict.status, headers=verdict.headers))
            return
        link = AsgiLink(socket)
        stream = PhoneStream(self.board, link, verdict, account_sid=self.settings.twilio_account_sid, door="asgi")
        try:
            await socket.accept()
        except BaseException:
            stream.closed(1006, "not accepted")
            raise
        with of_call("" if verdict.call is None else verdict.call.info.call_sid):
            await link.run(stream)

    # --- parts ------------------------------------------------------------------------------------------------------

    async def _remember(
        self,
        request: Request,
        info: CallInfo,
        *,
        asked: int = 0,
        transfer: int | None = None,
        epoch: int = 0,
        begins: bool = False,
    ) -> Mode:
        """Have the switchboard know a call that another process has had, as far as the books do; the mode that was asked for.

        asked, transfer, epoch: as `Takeover.outdated` has them, epoch where it is not the request's own URL that says it. begins: a
        call of which nobody knows anything is a new one, and is not taken up.
        """
        epoch = epoch or epoch_in(request)
        mode, call = self._mode(request, info), self.board.calls.get(info.call_sid)
        known = self.board.knows(info.call_sid)
        if self.board.closing or (self.board.draining and not known) or (call is not None and call.handed_over):
            self.fly.let_another(request)
        if not info.call_sid or (known and not self.board.outdated(info.call_sid, asked, transfer, epoch=epoch)):
            return mode
        recalled = await self.earlier.recall(info.call_sid)
        nobody = recalled is not None and not recalled.record.mode and recalled.standing is None
        if self.board.calls.get(info.call_sid) is call and not (begins and nobody):
            self.board.take_up(info, mode, recalled, asked=asked, transfer=transfer, epoch=epoch)
        return mode

    def _done(self, info: CallInfo, form: Form) -> str:
        """The document for a call that is over, or whose stream was the last; empty if it goes on."""
        if form.get("CallStatus") in OVER:
            self.board.ended(info.call_sid)
            return twiml.nothing()
        return twiml.hang_up() if info.call_sid in self.board.departed else ""

    def _mode(self, request: Request, info: CallInfo) -> Mode:
        return self.registry.mode_for(asked_for(request, "mode"), info.dialled)

    def _stream(self, call: LiveCall) -> str:
        call.document = twiml.stream(
            url=f"{self.settings.socket_url}/voice/ws/{call.mode.name}/{call.ticket}",
            next_url=self._next_url(call),
            status_url=self._url("/twilio/stream-status"),
            parameters={
                "caller": call.info.caller,
                "dialled": call.info.dialled,
                **({EPOCH: str(call.record.epoch)} if call.record.epoch > 1 else {}),
            },
            announcement=call.notice.before,
            language=call.notice.announcement.language,
        )
        return call.document

    def _next_url(self, call: LiveCall) -> str:
        """What is asked behind this stream. It says which stream that was: another process may know of fewer."""
        url = self._url("/twilio/next" + (f"?streams={call.tickets}" if call.tickets > 1 else ""))
        return of_epoch(url, call.record.epoch)

    def _url(self, path: str) -> str:
        return self.settings.public_url + path
