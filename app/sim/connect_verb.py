"""The stream verbs: Connect (the call is the stream until it ends), Start and Stop (a fork that only listens)."""

import asyncio
from datetime import UTC, datetime

from app.sim.carrier_leg import Interrupted, Leg
from app.sim.carrier_numbers import new_sid
from app.sim.media_stream import Ended, MediaStream
from app.sim.stream_upgrade import Opening
from app.sim.twiml_document import Document, Refused, Verb
from app.sim.verb_steps import Step, action_of

MAX_PARAMETER = 500  # characters of name and value together
_INBOUND_TRACKS = ("inbound_track",)
_FORK_TRACKS = ("inbound_track", "outbound_track", "both_tracks")


async def connect(leg: Leg, verb: Verb, document: Document) -> Step:
    """Open the stream and stay until it ends; then `action` if there is one, else the next verb.

    A stream that cannot be opened is an error in the log (31920 and so on) and the TwiML goes on the same way.
    """
    noun = next(iter(verb.children), None)
    if noun is None:
        leg.log.warning(12200, "<Connect> has no <Stream>; it is skipped")
        return "next"
    report = _Report(leg, noun, document)
    try:
        stream = _stream(leg, noun, document, report.stream_sid, _INBOUND_TRACKS)
        await _open(leg, stream)
    except Refused as error:
        _refused(leg, report, error)
    else:
        stream.keep_audio, stream.hearing = leg.keep_audio, leg.hearing
        leg.stream = stream
        leg.streams.append(stream)
        report.say("stream-started")
        try:
            report.ended(await stream.run(leg.interrupted))
        finally:
            leg.stream = None
        leg.check()
    return action_of(leg, verb, document) or "next"


async def start(leg: Leg, verb: Verb, document: Document) -> Step:
    """Fork a stream that only listens, and go on at once. The stand-in's fork carries silence."""
    for noun in verb.children:
        if noun.name != "Stream":
            leg.log.add("note", text=f"<Start><{noun.name}> is not played by the stand-in")
            continue
        report = _Report(leg, noun, document)
        try:
            stream = _stream(leg, noun, document, report.stream_sid, _FORK_TRACKS, fork=True)
            await _open(leg, stream)
        except Refused as error:
            _refused(leg, report, error)
            continue
        stopped: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        report.say("stream-started")
        task = asyncio.create_task(_run_fork(stream, stopped, report))
        leg.forks[report.name] = (stream, stopped, task)
    return "next"


async def stop(leg: Leg, verb: Verb, document: Document) -> Step:
    """Stop a fork by its name."""
    for noun in verb.children:
        name = noun.attributes.get("name", "")
        if name in leg.forks:
            await stop_fork(leg, name)
        else:
            leg.log.warning(12200, f"<Stop> names a {noun.name} {name!r} that was not started")
    return "next"


async def stop_fork(leg: Leg, name: str) -> None:
    """Stop one fork: `stop`, close, stream-stopped."""
    _, stopped, task = leg.forks.pop(name)
    if not stopped.done():
        stopped.set_result(None)
    await task


async def _open(leg: Leg, stream: MediaStream) -> None:
    try:
        await leg.unless_interrupted(stream.open())
    except Interrupted:
        stream.cut()  # it may have opened in the moment the call ended
        raise


async def _run_fork(stream: MediaStream, stopped: asyncio.Future[None], report: "_Report") -> None:
    report.ended(await stream.run(stopped))


def _stream(
    leg: Leg, noun: Verb, document: Document, stream_sid: str, tracks: tuple[str, ...], *, fork: bool = False
) -> MediaStream:
    track = noun.attributes.get("track", "inbound_track")
    if track not in tracks:
        raise Refused(31941, f"expected a track of {', '.join(tracks)}, came {track!r}")
    opening = Opening(
        url=leg.http.origin.stream_url(noun.attributes.get("url", ""), document.url),
        stream_sid=stream_sid,
        call_sid=leg.call_sid,
        account_sid=leg.account_sid,
        parameters=_parameters(leg, noun),
        bidirectional=not fork,
    )
    return MediaStream(opening, leg.http, leg.log, leg.quirks, None if fork else leg.line)


def _parameters(leg: Leg, noun: Verb) -> dict[str, str]:
    parameters = {}
    for child in noun.children:
        name, value = child.attributes.get("name", ""), child.attributes.get("value", "")
        if not name or len(name) + len(value) > MAX_PARAMETER:
            size = f"{len(name) + len(value)} characters"
            leg.log.warning(
                12200, f"<Parameter {name!r}> needs a name and at most {MAX_PARAMETER}, came {size}; dropped"
            )
            continue
        parameters[name] = value
    return parameters


def _refused(leg: Leg, report: "_Report", error: Refused) -> None:
    leg.log.error(error.code, str(error), http_status=error.http_status)
    report.say("stream-error", StreamError=f"{error.code}: {error}")


class _Report:
    """The Stream's statusCallback, if it has one. Source: TwiML Stream, "statusCallback"."""

    def __init__(self, leg: Leg, noun: Verb, document: Document) -> None:
        self.stream_sid = new_sid("MZ")
        self.name = noun.attributes.get("name") or self.stream_sid
        callback = noun.attributes.get("statusCallback")
        self._url = leg.http.origin.absolute(callback, document.url) if callback else ""
        self._method = noun.method("statusCallbackMethod")
        self._leg = leg

    def ended(self, ended: Ended) -> None:
        if ended.error is None:
            self.say("stream-stopped")
            return
        what = f"the stream ended: {ended.why}, code {ended.close_code} {ended.reason}".rstrip()
        self._leg.log.error(ended.error, what, stream_sid=self.stream_sid)
        self.say("stream-error", StreamError=f"{ended.error}: {what}")

    def say(self, event: str, **more: str) -> None:
        if self._url:
            fields = {
                "AccountSid": self._leg.account_sid,
                "CallSid": self._leg.call_sid,
                "StreamSid": self.stream_sid,
                "StreamName": self.name,
                "StreamEvent": event,
                "Timestamp": datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z"),
                **more,
            }
            self._leg.callback(self._url, self._method, fields)
