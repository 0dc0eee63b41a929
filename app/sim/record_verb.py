"""<Record>: the beep, what the caller says into it, and the three ways to tell the server of it.

It ends with a finishing key, `timeout` seconds of silence, `maxLength`, or the end of the call. A caller who says nothing at all
leaves no recording: the next verb follows, and `action` is not asked. Source: TwiML Voice, <Record>.
"""

from app.sim.carrier_leg import Interrupted, Leg, Source
from app.sim.carrier_numbers import new_sid, rfc2822
from app.sim.loudness import VOICED, loudness
from app.sim.playout import FRAME_MS, SILENCE
from app.sim.twiml_document import Document, Verb
from app.sim.verb_steps import Step, action_of, next_key

KEYS = "1234567890*#"
LONGEST = 14_400
BEEP_SECONDS = 1.0
LOOK_SECONDS = 0.1
EVENTS = frozenset({"in-progress", "completed", "absent"})


async def record(leg: Leg, verb: Verb, document: Document) -> Step:
    """Record the caller; then `action` with the recording, or this document again if it names none."""
    said = verb.attributes
    _warn(leg, verb)
    while not leg.keys.empty():
        leg.log.add("note", text="a key pressed before <Record> began is lost", digit=leg.keys.get_nowait())
    if said.get("playBeep", "true") != "false":
        leg.log.add("beep")
        await _beep(leg)
    take = _Take(leg, verb, document)
    take.tell("in-progress")
    leg.hearing.begins("tape")
    try:
        key = await _take(leg, verb, take)
    except Interrupted:
        if take.heard:
            take.done("hangup")
            leg.callback(*take.asked("hangup"))
        else:
            take.absent()
        raise
    finally:
        leg.hearing.ends()
    if not take.heard:
        take.absent()
        return "next"
    fields = take.done(key)
    return action_of(leg, verb, document, **fields) or Source(document.url, verb.method(), fields)


async def _beep(leg: Leg) -> None:
    leg.hearing.begins("prompt")
    try:
        await leg.wait(BEEP_SECONDS)
    finally:
        leg.hearing.ends()


async def _take(leg: Leg, verb: Verb, take: "_Take") -> str:
    """Record; the key that ended it, if one did."""
    said = verb.attributes
    patience = float(said["timeout"]) if _whole(said.get("timeout", ""), 1) else 5.0
    longest = float(said["maxLength"]) if _whole(said.get("maxLength", ""), 2) else 3600.0
    finishing = said.get("finishOnKey", KEYS)
    while take.seconds < longest and take.silence < patience:
        key = await next_key(leg, LOOK_SECONDS)
        take.listen()
        if key is not None and key in finishing:
            return key
    return ""


class _Take:
    """One recording as it grows, in the verb's time: a tenth of a second, five frames of the caller's, at each look."""

    def __init__(self, leg: Leg, verb: Verb, document: Document) -> None:
        self.sid = new_sid("RE")
        self.seconds = 0.0
        self.silence = 0.0
        self._first = self._last = 0.0
        self.heard = False
        self._began = rfc2822()
        self._leg, self._verb, self._document = leg, verb, document

    def listen(self) -> None:
        """The caller's next frames."""
        for _ in range(round(LOOK_SECONDS * 1000 / FRAME_MS)):
            frame = SILENCE if self._leg.line is None else self._leg.line.next_frame()
            self.seconds += FRAME_MS / 1000
            if loudness(frame) >= VOICED:
                self._first = self._first if self.heard else self.seconds
                self.heard, self.silence, self._last = True, 0.0, self.seconds
            else:
                self.silence += FRAME_MS / 1000

    def done(self, key: str) -> dict[str, str]:
        """There is a recording: written down, told by the callback; the fields of `action`."""
        trimmed = self._verb.attributes.get("trim", "trim-silence") != "do-not-trim"
        length = self._last - self._first if trimmed else self.seconds
        fields = self._fields(str(max(1, round(length))))
        self._leg.log.add("record", digits=key, **fields)
        self.tell("completed", **fields)
        return {**fields, "Digits": key}

    def absent(self) -> None:
        """Nothing was said."""
        self._leg.log.add("note", text="<Record> heard nothing; the next verb follows", RecordingSid=self.sid)
        self.tell("absent", **self._fields("0"))

    def asked(self, key: str) -> tuple[str, str, dict[str, str]]:
        """The request of `action` when the call has ended: its answer is read, and not run."""
        origin, url = self._leg.http.origin, self._verb.attributes.get("action", "") or self._document.url
        fields = self._leg.fields(**self._fields(str(max(1, round(self._last - self._first)))))
        return (
            origin.absolute(url, self._document.url),
            self._verb.method(),
            {**fields, "Digits": key, "CallStatus": "completed"},
        )

    def tell(self, event: str, **more: str) -> None:
        """Post the recording's status, if the verb asks for that event."""
        said = self._verb.attributes
        callback = said.get("recordingStatusCallback")
        if not callback or event not in said.get("recordingStatusCallbackEvent", "completed").split():
            return
        fields = {
            "AccountSid": self._leg.account_sid,
            "CallSid": self._leg.call_sid,
            "RecordingSid": self.sid,
            "RecordingStatus": event,
            "RecordingChannels": "1",
            "RecordingSource": "RecordVerb",
            "RecordingTrack": "inbound",
            "RecordingStartTime": self._began,
            **more,
        }
        url = self._leg.http.origin.absolute(callback, self._document.url)
        self._leg.callback(url, self._verb.method("recordingStatusCallbackMethod"), fields)

    def _fields(self, seconds: str) -> dict[str, str]:
        account = f"https://api.twilio.com/2010-04-01/Accounts/{self._leg.account_sid}"
        url = f"{account}/Recordings/{self.sid}"
        return {"RecordingSid": self.sid, "RecordingUrl": url, "RecordingDuration": seconds}


def _warn(leg: Leg, verb: Verb) -> None:
    """Values that cannot be: Twilio warns of them, and takes its defaults."""
    said = verb.attributes
    wrong = {
        "timeout": not _whole(said.get("timeout", "5"), 1),
        "maxLength": not _whole(said.get("maxLength", "3600"), 2),
        "finishOnKey": not set(KEYS).issuperset(said.get("finishOnKey", KEYS)),
        "playBeep": said.get("playBeep", "true") not in ("true", "false"),
        "trim": said.get("trim", "trim-silence") not in ("trim-silence", "do-not-trim"),
        "transcribe": said.get("transcribe", "false") not in ("true", "false"),
        "recordingStatusCallbackEvent": not EVENTS.issuperset(said.get("recordingStatusCallbackEvent", "").split()),
    }
    for name, bad in wrong.items():
        if bad:
            leg.log.warning(12200, f"<Record> cannot have {name}={said[name]!r}; the default is taken")


def _whole(text: str, least: int) -> bool:
    return text.isascii() and text.isdecimal() and len(text) < 7 and least <= int(text) <= LONGEST
