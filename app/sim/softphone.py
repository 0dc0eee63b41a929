"""The softphone: a person's microphone and ear as the caller's end of the carrier stand-in, which dials the server's real doors.

    page  <- tell(kind, **what), audio(frame)      what happens on the line, and 20 ms of it each
    page  -> hear(frame), obey(order)              20 ms of the microphone, and what the person does

The page is somewhere else (a browser), and may be slow or gone: `Page` takes everything at once and never waits.
"""

import asyncio
from collections import deque
from collections.abc import Sequence
from datetime import date
from typing import Any, Protocol

import msgspec

from app.errors import SetupError
from app.sim.call_log import Entry
from app.sim.caller import ScriptedCaller
from app.sim.carrier import Carrier
from app.sim.carrier_call import CarrierCall
from app.sim.carrier_numbers import PhoneNumber
from app.sim.desk_phone import DeskPhone
from app.sim.gather_verb import KEYS
from app.sim.mic_buffer import MicBuffer
from app.sim.playout import FRAME_BYTES, SILENCE
from app.sim.script import Script, Turn
from app.sim.script_words import render
from app.sim.softphone_orders import Answer, DeskHangsUp, DeskPresses, HangUp, Here, Order, Press, Say
from app.sim.softphone_server import Server
from app.sim.voices import say

MOST_KEYS = 32
MOST_WORDS = 300
"""Characters that a recorded caller says at once."""


class Page(Protocol):
    """Where the person is."""

    def audio(self, frame: bytes) -> None:
        """160 bytes of mu-law: 20 ms of what the caller hears, or a desk joined with them. Every 20 ms while either does."""
        ...

    def tell(self, kind: str, **what: Any) -> None:
        """Something happened: docs/phone.md has the kinds."""
        ...


class Softphone:
    """One call, made by `dial` and over when `ended` is set; `close` in any case. It is its own `CallerLine`."""

    def __init__(self, server: Server, page: Page, *, verb_speed: float = 1.0) -> None:
        """Makes an HTTP client, which takes a while: do it off the loop's thread where others are on the line.

        verb_speed: as `Carrier` has it; people at a page live at 1.
        """
        self.page = page
        self.ended = asyncio.Event()
        self.mic = MicBuffer()
        self.desk = DeskPhone(server.desks, page.tell, self._desk_hears)
        self.call: CarrierCall | None = None
        self._own: ScriptedCaller | None = None
        """A recorded caller who talks by a script, all by themselves."""
        self._clip: deque[bytes] = deque()
        self._carrier = Carrier(
            auth_token=server.auth_token,
            account_sid=server.account_sid,
            public_url=server.public_url,
            connect_to=server.url,
            numbers=[PhoneNumber(server.phone_number)] if server.phone_number else (),
            verb_speed=verb_speed,
            keep_audio=False,
            heed=self._heed,
        )
        self._gathers = False
        """A <Gather> waits for the caller's own keys."""
        self._waiting: asyncio.Task[None] | None = None

    async def dial(
        self, *, caller: str, dialled: str, mode: str = "", script: Script | None = None, today: date
    ) -> None:
        """Call the server; returns while it rings. mode: instead of the dialled number's. script: its caller talks."""
        if script is not None:
            self._own = self._scripted(script, today)
        self.call = await self._carrier.dial(
            from_number=caller,
            to_number=dialled,
            line=self,
            webhook=f"/twilio/incoming?mode={mode}" if mode else "/twilio/incoming",
            people=self.desk,
        )
        self.page.tell("call", call_sid=self.call.call_sid, status=self.call.status)
        self._waiting = asyncio.create_task(self._wait(self.call), name="softphone")

    @property
    def call_sid(self) -> str:
        """The call's SID, once it was dialled."""
        return self.call.call_sid if self.call is not None else ""

    async def close(self) -> None:
        """Hang up if the call is not over, and wait for its last callbacks."""
        if self.call is not None:
            self.call.put_down()
        await self._carrier.close()
        if self._waiting is not None:
            await self._waiting

    async def _wait(self, call: CarrierCall) -> None:
        try:
            await call.finished()
        finally:
            seconds = call.duration_seconds
            mic = {"underruns": self.mic.underruns, "dropped": self.mic.dropped}
            self.page.tell("ended", by=call.ended_by, status=call.status, seconds=seconds, microphone=mic)
            self.ended.set()

    def _scripted(self, script: Script, today: date) -> ScriptedCaller:
        variables = script.variables(today)
        turns: Sequence[Turn] = [
            msgspec.structs.replace(turn, caller=render(turn.caller, variables) if turn.caller else "")
            for turn in script.turn
        ]
        return ScriptedCaller(
            turns, lambda text: self._speaks(text, script.caller.voice), press=self._press, hang_up=self._hang_up
        )

    # --- what the person does ---------------------------------------------------------------------------------------

    def hear(self, frame: bytes) -> None:
        """20 ms of the microphone, mu-law. Raises ValueError if it is not 160 bytes."""
        self.mic.add(frame)

    def obey(self, order: Order) -> None:
        """One thing the person does; what cannot be done is told, and changes nothing."""
        match order:
            case Here():
                pass
            case Press(keys=keys):
                self._press(keys)
            case HangUp():
                self._hang_up()
            case Say(text=text, voice=voice):
                self._say(text, voice)
            case Answer(how=how):
                self._done(self.desk.pick_up(how), "no desk's phone rings")
            case DeskPresses(key=key):
                self._done(self.desk.press(key), "nobody at a desk hears a whisper")
            case DeskHangsUp():
                self._done(self.desk.hang_up(), "nobody at a desk is on the phone")

    def _done(self, done: bool, why: str) -> None:
        if not done:
            self.page.tell("refused", why=why)

    def _press(self, keys: str) -> None:
        if not keys or len(keys) > MOST_KEYS or not KEYS.issuperset(keys):
            self.page.tell("refused", why=f"expected 1 to {MOST_KEYS} keys of 0-9 * #, got {keys[:40]!r}")
        elif self.call is not None:
            self.call.press(keys)

    def _hang_up(self) -> None:
        if self.call is not None:
            self.call.put_down()

    def _say(self, text: str, voice: str) -> None:
        try:
            if len(text) > MOST_WORDS:
                raise SetupError(f"expected at most {MOST_WORDS} characters to say, got {len(text)}")
            audio = self._speaks(text, voice)
        except SetupError as wrong:
            self.page.tell("refused", why=str(wrong))
            return
        self._clip.extend(audio[at : at + FRAME_BYTES] for at in range(0, len(audio), FRAME_BYTES))

    def _speaks(self, text: str, voice: str) -> bytes:
        audio = say(text, voice)
        self.page.tell("says", who="you", text=text, ms=len(audio) // 8)
        return audio

    # --- CallerLine -------------------------------------------------------------------------------------------------

    def next_frame(self) -> bytes:
        """20 ms of the caller's end: a recording that is being played, or the microphone."""
        spoken = self.mic.next()
        if self._clip:
            return self._clip.popleft()
        return spoken if self._own is None else self._own.next_frame()

    def heard(self, frame: bytes, at_ms: int) -> None:
        """20 ms of the agent's end."""
        if self._own is not None:
            self._own.heard(frame, at_ms)
        self.page.audio(frame)

    def _desk_hears(self) -> None:
        """20 ms of the caller at the ear of somebody at a desk: recordings. Of the microphone it would be its own echo."""
        self.page.audio(self._clip.popleft() if self._clip else SILENCE)

    def stream_started(self, stream_sid: str) -> None:
        """The line carries audio from now on."""
        self.mic.clear()
        if self._own is not None:
            self._own.stream_started(stream_sid)
        self.page.tell("stream", live=True)

    def stream_ended(self, why: str) -> None:
        """It carries none."""
        self._clip.clear()
        self.page.tell("stream", live=False)

    # --- the carrier's log ------------------------------------------------------------------------------------------

    def _heed(self, entry: Entry) -> None:
        """What of the carrier's log a person would notice."""
        detail = entry.detail
        own = self.call is None or detail.get("call_sid", self.call.call_sid) == self.call.call_sid
        match entry.what:
            case "status" if own:
                self.page.tell("call", status=detail["status"])
            case "verb" if detail["name"] == "Say":
                self.page.tell("says", who="carrier" if own else "whisper", text=detail["text"])
            case "verb" if detail["name"] == "Gather" and own:
                self._gathers = True
                self.page.tell("keys", wanted=True)
            case "gather" if self._gathers:  # else it is the person at the desk who pressed
                self._gathers = False
                self.page.tell("keys", wanted=False, pressed=detail["digits"])
            case "dial" if detail["result"] == "failed":
                self.page.tell("desk", state="failed", number=detail["to"])
            case "dialed":
                self.desk.over()
                self.page.tell("desk", state="gone", status=detail["status"], joined=detail["bridged"])
            case "ended":
                self.desk.over()
                self.page.tell("desk", state="gone", status="", joined=False)
            case "dtmf":
                self.page.tell("key", digit=detail["digit"])
            case "webhook":
                self.page.tell("door", url=_path(detail["url"]))
            case "warning" | "error":
                self.page.tell("fault", code=detail["code"], why=detail["message"])


def _path(url: str) -> str:
    """A URL's path, without what is secret or long in its query."""
    return "/" + url.split("://", 1)[-1].partition("/")[2].partition("?")[0]
