"""One leg of a stand-in call: who calls whom, its status, its documents, and everything that can interrupt its verbs."""

import asyncio
import time
from collections.abc import Coroutine, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Literal, TypeVar

from app.sim.call_log import CallLog
from app.sim.caller_line import CallerLine, tell
from app.sim.carrier_http import SignedHttp
from app.sim.carrier_numbers import new_sid, rfc2822
from app.sim.carrier_quirks import Quirks
from app.sim.hearing import Hearing
from app.sim.leg_script import Script
from app.sim.media_stream import MediaStream
from app.sim.twiml_document import Document, Refused, Verb, parse, read_answer

T = TypeVar("T")
Status = Literal["queued", "ringing", "in-progress", "completed", "busy", "failed", "no-answer", "canceled"]
API_VERSION = "2010-04-01"


@dataclass(frozen=True)
class Source:
    """Where the next document is: a URL to ask (with the last verb's results as fields), or literal TwiML."""

    url: str = ""
    method: str = "POST"
    fields: Mapping[str, str] = field(default_factory=dict)
    twiml: str | None = None


@dataclass(frozen=True)
class Interrupt:
    """Something ends what the leg is doing: a hang-up (no source), or new TwiML."""

    why: Literal["caller", "rest", "update", "time-limit", "carrier"]
    source: Source | None = None


class Interrupted(Exception):
    """The leg was interrupted; what to do instead is in `Leg.interruption`."""


class Leg:
    """One end of a call that runs TwiML: the caller's, or a called person's during a whisper."""

    def __init__(
        self,
        *,
        account_sid: str,
        from_number: str,
        to_number: str,
        direction: Literal["inbound", "outbound-api", "outbound-dial"],
        http: SignedHttp,
        log: CallLog,
        script: Script,
        own_numbers: frozenset[str],
        line: CallerLine | None = None,
        quirks: Quirks | None = None,
        verb_speed: float = 1.0,
        keep_audio: bool = True,
        call_sid: str = "",
        parent_call_sid: str = "",
        fallback: Source | None = None,
        hearing: Hearing | None = None,
    ) -> None:
        self.call_sid = call_sid or new_sid("CA")
        self.account_sid, self.parent_call_sid = account_sid, parent_call_sid
        self.from_number, self.to_number, self.direction = from_number, to_number, direction
        self.http, self.log, self.script, self.line = http, log, script, line
        self.own_numbers, self.quirks, self.verb_speed = own_numbers, quirks or Quirks(), verb_speed
        self.keep_audio, self.fallback = keep_audio, fallback
        self.hearing = hearing or Hearing(log.at_ms)
        """The caller's ear: of a called person's leg, that of the one who waits for them."""
        self.status: Status = "ringing"
        self.answered_by = ""
        self.answered_at: float | None = None
        self.start_time: str | None = None
        self.keys: asyncio.Queue[str] = asyncio.Queue()
        self.stream: MediaStream | None = None
        self.streams: list[MediaStream] = []
        self.forks: dict[str, tuple[MediaStream, asyncio.Future[None], asyncio.Task[None]]] = {}
        self.interruption: Interrupt | None = None
        self.interrupted: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._tasks: set[asyncio.Task[Any]] = set()

    def fields(self, **more: str) -> dict[str, str]:
        """The fields that are on every request of this call, and `more`."""
        here = {"City": "", "Country": "US", "State": "CA", "Zip": ""}  # blank values are signed too
        fields = {
            "AccountSid": self.account_sid,
            "ApiVersion": API_VERSION,
            "CallSid": self.call_sid,
            "CallStatus": self.status,
            "Direction": self.direction,
            "From": self.from_number,
            "To": self.to_number,
            "Caller": self.from_number,
            "Called": self.to_number,
        }
        for who in ("From", "To", "Caller", "Called"):
            fields |= {who + part: value for part, value in here.items()}
        if self.direction == "inbound":
            fields |= {"CallToken": f"token-{self.call_sid}", "StirVerstat": "TN-Validation-Passed-A"}
        if self.parent_call_sid:
            fields["ParentCallSid"] = self.parent_call_sid
        if self.answered_by:
            fields["AnsweredBy"] = self.answered_by
        return {**fields, **self.quirks.extra_fields, **more}

    def set_status(self, status: Status) -> None:
        """Move on, and write it down."""
        if status != self.status:
            self.status = status
            self.log.add("status", status=status, call_sid=self.call_sid)

    def answer(self) -> None:
        """The first answering verb (any but <Reject>) takes the call off the hook."""
        if self.answered_at is None:
            self.answered_at, self.start_time = asyncio.get_running_loop().time(), rfc2822()
            self.set_status("in-progress")

    def interrupt(self, interrupt: Interrupt) -> None:
        """End what the leg is doing; a hang-up is never replaced by new TwiML."""
        if self.interruption is None or self.interruption.source is not None:
            self.interruption = interrupt
        if not self.interrupted.done():
            self.interrupted.set_result(None)

    def take_interrupt(self) -> Interrupt | None:
        """What interrupted the leg; it can be interrupted again."""
        taken, self.interruption = self.interruption, None
        if self.interrupted.done():
            self.interrupted = asyncio.get_running_loop().create_future()
        return taken

    def check(self) -> None:
        """Raise Interrupted if the leg was interrupted."""
        if self.interrupted.done():
            raise Interrupted

    async def unless_interrupted(self, work: Coroutine[Any, Any, T], *, leave_running: bool = False) -> T:
        """Wait for `work`, but no longer than the leg goes on.

        leave_running: a request already sent is not recalled when the caller hangs up; its answer is ignored.
        """
        task = asyncio.ensure_future(work)
        try:
            either: set[asyncio.Future[Any]] = {task, self.interrupted}
            await asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED)
        finally:
            if not task.done():
                if leave_running:
                    self._keep(task)
                    task.add_done_callback(_look_at)
                else:
                    task.cancel()
        if self.interrupted.done():
            if not leave_running:
                await asyncio.wait({task})
            if task.done():
                _look_at(task)
            raise Interrupted
        return task.result()

    async def wait(self, seconds: float) -> None:
        """Let the time of a verb pass, `verb_speed` times faster than in life."""
        with self.passing(seconds):
            await asyncio.wait({self.interrupted}, timeout=max(seconds, 0.0) / self.verb_speed)
        self.check()

    @contextmanager
    def passing(self, seconds: float) -> Iterator[None]:
        """A wait of at most so many seconds of life: what `verb_speed` leaves out of it is counted as heard."""
        began = time.monotonic()
        try:
            yield
        finally:
            waited = time.monotonic() - began
            self.hearing.skip(max(0.0, min(seconds, waited * self.verb_speed) - waited))

    async def document(self, source: Source, *, repeat: bool = False) -> Document | None:
        """Fetch and read the next document; on failure the fallback's, once; None after an application error.

        repeat: ask twice with one idempotency token, as after a lost answer.
        """
        try:
            return await self._read(source, repeat)
        except Refused as error:
            self.log.error(error.code, str(error), http_status=error.http_status, url=source.url)
            return await self.fall_back(error.code, source.url)

    async def fall_back(self, code: int, url: str) -> Document | None:
        """Ask the fallback URL what to do after a fatal error; without one the call ends with an apology."""
        if self.fallback is not None:
            fallback, self.fallback = self.fallback, None
            what = {"ErrorCode": str(code), "ErrorUrl": url}
            try:
                return await self._read(Source(fallback.url, fallback.method, what), repeat=False)
            except Refused as error:
                self.log.error(error.code, str(error), http_status=error.http_status, url=fallback.url)
        self.log.add("note", text="application error: the caller hears an apology and is cut off")
        return None

    async def _read(self, source: Source, repeat: bool) -> Document:
        if source.twiml is not None:
            document = parse(source.twiml.encode())
        else:
            fields = self.fields(**source.fields)
            fetch = self.request("webhook", source.url, source.method, fields, twice=repeat)
            document = await self.unless_interrupted(fetch, leave_running=True)
        for warning in document.warnings:
            self.log.warning(12200, warning)
        return document

    async def request(
        self, what: str, url: str, method: str, fields: Mapping[str, str], *, twice: bool = False
    ) -> Document:
        """One signed request and its answer as a document, both written down. Raises Refused."""
        token = new_sid("")
        sign = self.quirks.webhook_signature
        for _ in range(2 if twice else 1):
            entry = self.log.add(what, url=url, method=method, fields=dict(fields))
            try:
                answer = await self.http.request(url, method, fields, sign=sign, token=token)
            except Refused as error:
                entry.detail.update(status=error.http_status, code=error.code)
                raise
            ms = self.log.at_ms() - entry.at_ms
            entry.detail.update(status=answer.status, ms=ms, body=answer.body.decode("utf-8", "replace"))
        return read_answer(answer.body, answer.content_type, answer.url)

    def callback(self, url: str, method: str, fields: Mapping[str, str]) -> None:
        """Post a callback beside the call: signed, its answer written down and otherwise ignored."""
        self._keep(asyncio.ensure_future(self._call_back(url, method, fields)))

    async def _call_back(self, url: str, method: str, fields: Mapping[str, str]) -> None:
        entry = self.log.add("callback", url=url, method=method, fields=dict(fields))
        try:
            answer = await self.http.request(url, method, fields, sign=self.quirks.webhook_signature)
        except Refused as error:
            entry.detail.update(status=error.http_status, code=error.code)
            self.log.error(error.code, str(error), http_status=error.http_status, url=url)
        else:
            entry.detail.update(status=answer.status)

    def progress(self, sequence: int, **more: str) -> dict[str, str]:
        """The fields of a call-progress callback."""
        return self.fields(
            CallbackSource="call-progress-events", SequenceNumber=str(sequence), Timestamp=rfc2822(), **more
        )

    def note_verb(self, verb: Verb) -> None:
        """Write a verb down as it begins, and tell the line."""
        self.log.add("verb", name=verb.name, attributes=verb.attributes, text=verb.text, call_sid=self.call_sid)
        tell(self.line, "verb", verb.name, verb.attributes, verb.text)

    def _keep(self, task: asyncio.Task[Any]) -> None:
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def settled(self) -> None:
        """Wait for all callbacks and requests under way; cancelled, cancel them."""
        try:
            while self._tasks:
                await asyncio.wait(set(self._tasks))
        except asyncio.CancelledError:
            for task in self._tasks:
                task.cancel()
            raise


def _look_at(task: asyncio.Task[Any]) -> None:
    """The call went on without this task's result: asyncio is not to report an error of it as lost."""
    if not task.cancelled():
        task.exception()
