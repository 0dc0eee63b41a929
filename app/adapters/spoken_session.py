"""A session whose model answers in text, which a voice of another house speaks.

To whoever drives the call it is a session like any other: what the voice speaks comes as the answer's sound, its words come
with their sound, and an answer ends once all of it was spoken. So greeting, barge-in and the books are those of every call.
What differs is settled here:

- One answer is spoken at a time, sentence by sentence as the model writes it (app/wire/clauses.py).
- A barge-in drops the rest at the voice's server. An item of text cannot be truncated by milliseconds: the model gets the words
  that were heard in its place, and what was not heard at all is deleted.
- The voice may fail: refuse, stall, die in mid-sentence. Then the model says what was left, outside of the conversation (it is in
  there already), and speaks itself for the rest of the call.
"""

import asyncio
from collections import deque
from collections.abc import Callable
from typing import Any, Literal

import msgspec
import structlog

from app import metrics
from app.adapters.corrections import Corrections
from app.adapters.endpoint import FreshLink
from app.adapters.engine_session import ModelListener
from app.adapters.held_back import HeldBack
from app.adapters.model_link import KEPT_BYTES, ModelSession
from app.adapters.reading_out import ReadingOut
from app.adapters.spoken_wire import SpokenWire
from app.adapters.tts_link import Cause, TtsLink, TtsServer
from app.core import events as ev
from app.core.cost import cost_usd
from app.core.spoken_line import Line
from app.errors import PeerError
from app.rules.elevenlabs import ElevenLabs
from app.wire import realtime, voiced
from app.wire.audio import decoded_size
from app.wire.clauses import Clauses
from app.wire.elevenlabs import Sound
from app.wire.engine_wire import EngineWire

log = structlog.get_logger()

STALL_SECONDS = 1.5
"""The voice owes sound and gives none for so long: it is given up."""


class SpokenSession:
    """An `EngineSession` around another. Only `start` differs for whoever made it: the voice's socket is opened with it."""

    def __init__(
        self,
        inner: ModelSession,
        server: TtsServer,
        voice: ElevenLabs,
        failed: Callable[[Cause], None] = lambda _: None,
    ) -> None:
        """inner: configured to answer in text. failed: is told once if the voice is lost."""
        self.inner = inner
        self.voice = voice
        self.endpoint, self.model, self.server = inner.endpoint, inner.model, inner.server
        self.engine = msgspec.structs.replace(inner.engine, interrupts=False)
        """Each response is cancelled by whoever drives the call: what of it is still to be spoken is ours to stop."""
        self.state: Literal["opening", "ready", "lost"] = "opening"
        self.why_lost = ""
        self.refused = False
        self.reports: Callable[[Any], None] | None = None
        self.wire: EngineWire = SpokenWire(self, inner.wire)
        self.tts = TtsLink(server, voice, self)
        self._failed = failed
        self._listener: ModelListener | None = None
        self._opens = False
        self._kept: list[bytes] = []
        self._kept_bytes = 0
        self._lines: deque[Line] = deque()
        """What is to be spoken, the one that is being spoken first."""
        self._of_item: dict[str, Line] = {}
        self._corrections = Corrections(self._say, deletes=inner.engine.truncates)
        self._dropped: set[str] = set()
        """Responses of which nothing more is spoken."""
        self._held = HeldBack(self._tell, self._lines, voice.model)
        self._own = False
        """The model speaks itself."""
        self._reading: ReadingOut | None = None
        self._numbered = 0
        self._caller_speaks = False
        self._stall: asyncio.TimerHandle | None = None

    # --- `EngineSession` --------------------------------------------------------------------------------------------

    def start(self, spare: FreshLink | None = None, *, primes: bool = False) -> bool:
        """Begin both; nothing is primed, as the model's first words are waited for in text."""
        self.inner.reports = self._reported
        took = self.inner.start(spare)
        self.inner.attach(self)
        self.tts.start()
        return took

    def attach(self, listener: ModelListener) -> None:
        """From now on this one hears everything; what was kept comes first, in order."""
        self._listener = listener
        if self.state == "lost":
            listener.model_lost(self.why_lost)
        elif self.state == "ready":
            listener.model_ready(opening=self._opens)
            kept, self._kept = self._kept, []
            for text in kept:
                listener.from_model(text)

    def send(self, text: bytes) -> None:
        """Write one command to the model now. Raises LinkClosed, LinkClogged."""
        self.inner.send(text)

    def close(self) -> None:
        """End both; nobody is told."""
        self._listener = self.reports = None
        self._stop()
        self.inner.close()
        self.state, self.why_lost = "lost", "closed by us"

    @property
    def lasts_seconds(self) -> float | None:
        """As the model's session does."""
        return self.inner.lasts_seconds

    @property
    def spent_usd(self) -> float:
        """What has been answered and spoken that nobody listened to."""
        return sum(self._cost(text) for text in (*self._kept, *self._held.ends.values()))

    def _cost(self, text: bytes) -> float:
        event = voiced.read(text)
        if event is None or event.type != "response.done" or event.response is None:
            return 0.0
        if event.response_named in self._held.ends:
            text = self._held.priced(event.response_named, text)
        message = realtime.parse(text)
        return cost_usd(self.model, message.usage) if isinstance(message, ev.ResponseDone) else 0.0

    # --- the model's end --------------------------------------------------------------------------------------------

    def _reported(self, _: Any) -> None:
        if self.inner.state == "ready":
            self.state = "ready"
            if self.reports is not None:
                self.reports(self)

    def model_ready(self, *, opening: bool) -> None:
        """`ModelListener` of the model's session: it is configured."""
        self.state, self._opens = "ready", opening
        self.wire = SpokenWire(self, self.inner.wire)
        if self._listener is not None:
            self._listener.model_ready(opening=opening)
        if self._own:
            self._to_own_voice()

    def model_lost(self, why: str) -> None:
        """It is over: what was not spoken is not spoken any more."""
        tells = self.reports if self.state == "opening" or self.inner.refused else None
        self.state, self.why_lost, self.refused = "lost", why, self.inner.refused
        self._stop()
        self._kept.clear()
        if self._listener is not None:
            listener, self._listener = self._listener, None
            listener.model_lost(why)
        if tells is not None:
            tells(self)

    def from_model(self, text: bytes) -> None:
        """One message of its: text is for the voice, and the rest for the listener."""
        event, reading = voiced.read(text), self._reading
        if event is None:
            self._tell(text)
        elif event.type in voiced.TEXT:
            self._wrote(event, event.delta or "", whole=False)
        elif event.type in voiced.WHOLE_TEXT:
            self._wrote(event, event.text or "", whole=True)
        elif event.type == "response.created":
            self._began(event, text)
        elif event.type == "response.done":
            self._done(event, text)
        elif reading is not None and event.response_id and event.response_id == reading.response_id:
            reading.hears(event, text)
        elif reading is not None and event.type == "error" and event.refused == reading.event_id:
            reading.ended("refused")
        elif event.type == "response.output_item.done" and self._held.silent(event.response_id):
            self._held.calls(event.response_id, text)
        elif event.type == "input_audio_buffer.speech_started":
            self._caller_speaks = True
            self._tell(text)
            self._caller_speaks = False
        else:
            self._tell(text)

    def _tell(self, text: bytes) -> None:
        if self._listener is not None:
            self._listener.from_model(text)
            return
        if self.state == "lost":
            return
        self._kept.append(text)
        self._kept_bytes += len(text)
        if self._kept_bytes > KEPT_BYTES:
            self.inner.close()
            self.model_lost("nobody listened, and too much was said")

    def _began(self, event: voiced.Told, text: bytes) -> None:
        if self._reading is not None and self._reading.begins(event):
            return
        if event.response_named:
            self._corrections.running.add(event.response_named)
        self._tell(text)

    def _wrote(self, event: voiced.Told, text: str, *, whole: bool) -> None:
        """The model wrote words of an answer."""
        line = self._of_item.get(event.item_id)
        if line is None:
            clauses = Clauses()
            line = Line(event.response_id, event.item_id, clauses.push, clauses.flush)
            self._of_item[event.item_id] = line
            if event.response_id in self._dropped:
                self._corrections.unheard(line, self.inner.dialect)
            else:
                self._lines.append(line)
        if event.response_id in self._dropped:
            return
        if whole:
            line.end(text)
        else:
            line.write(text)
        self._go_on()

    def _done(self, event: voiced.Told, text: bytes) -> None:
        response = event.response_named
        if self._reading is not None and response and response == self._reading.response_id:
            self._tell(text)  # it is paid for
            self._reading.ended((event.response or {}).get("status"))
            return
        for line in self._lines:
            if line.response_id == response:
                line.end()
        self._corrections.over(response)
        self._held.ended(response, text)
        self._go_on()
        self._held.release(response)

    # --- the voice --------------------------------------------------------------------------------------------------

    def _go_on(self) -> None:
        """Have spoken what can be, the oldest first."""
        while self._lines:
            line = self._lines[0]
            if self._own:
                if line.response_id in self._corrections.running or not line.written:
                    break
                if line.unsaid():
                    if self._reading is None:
                        self._numbered += 1
                        self._reading = ReadingOut(self.inner, line, self, self._numbered)
                    break
                self._finish(line)
                continue
            for piece in line.hand_over():
                self._held.handed_over(line.response_id, piece)
                self.tts.say(line.item_id, piece)
            if line.written and not line.handed:
                self._finish(line)  # nothing in it can be spoken
                continue
            if line.written and not line.closed:
                line.closed = True
                self.tts.finish(line.item_id)
            break
        self._watch()

    def _finish(self, line: Line) -> None:
        """All of an answer's item was passed on."""
        if line not in self._lines:
            return  # whoever heard of it meanwhile has ended the call
        self._lines.remove(line)
        if line.sounded:
            for text in voiced.ended(line.response_id, line.item_id, line.text[: line.uttered]):
                self._tell(text)
        self._held.release(line.response_id)

    def _watch(self, *, anew: bool = False) -> None:
        """Come back if the voice gives nothing for too long; anew: it has just given something."""
        owes = not self._own and bool(self._lines) and self._lines[0].owes and self.state != "lost"
        if self._stall is not None and (anew or not owes):
            self._stall.cancel()
            self._stall = None
        if owes and self._stall is None:
            self._stall = asyncio.get_running_loop().call_later(STALL_SECONDS, self._stalled)

    def _stalled(self) -> None:
        self._stall = None
        self.voice_lost(f"the voice owed sound and gave none for {STALL_SECONDS:g} s", "stalled")

    def sounds(self, sound: Sound) -> None:
        """`TtsListener`: a piece of an answer's speech."""
        line = self._lines[0] if self._lines else None
        if line is None or line.item_id != sound.context:
            return
        before = line.uttered
        passed = line.sounds(decoded_size(sound.audio) / 8, sound.words)
        self._tell(voiced.sound(line.response_id, line.item_id, sound.audio))
        for at, ms in passed if line in self._lines else ():
            self._tell(voiced.words(line.response_id, line.item_id, line.text[before:at], ms))
            before = at
        self._held.sounds(line.response_id)
        self._watch(anew=True)

    def spoken(self, context: str) -> None:
        """`TtsListener`: all of an answer was spoken."""
        line = self._lines[0] if self._lines else None
        if line is None or line.item_id != context:
            return
        if not line.sounded and any(character.isalnum() for character in line.text):
            self.voice_lost("the voice spoke nothing of an answer", "broken")
            return
        before = line.uttered
        at, ms = line.spoken()
        if line.sounded:
            self._tell(voiced.words(line.response_id, line.item_id, line.text[before:at], ms))
        self._finish(line)
        self._watch(anew=True)
        self._go_on()

    def voice_lost(self, why: str, cause: Cause) -> None:
        """`TtsListener`: from now on the model speaks itself, beginning with what is left of this answer."""
        if self._own or self.state == "lost":
            return
        self._own = True
        log.warning("the voice is lost, the model speaks itself", why=why, cause=cause)
        metrics.voice_lost_total.labels(cause).inc()
        self.tts.close()
        self._watch()
        self._failed(cause)
        if self.state == "ready":
            self._to_own_voice()

    def _to_own_voice(self) -> None:
        self._say(voiced.to_own_voice(self.inner.dialect, "voice-own"))
        self._tell(voiced.lost("the voice of another house was lost"))
        self._go_on()

    def tell(self, text: bytes) -> None:
        """`Reader`: a message for whoever drives the call."""
        self._tell(text)
        if self._reading is not None:
            self._held.sounds(self._reading.line.response_id)

    def read_out(self, line: Line) -> None:
        """`Reader`: what the voice could not say was said."""
        reading, self._reading = self._reading, None
        if reading is not None and not reading.dropped:
            self._finish(line)
        self._go_on()

    # --- the caller cuts in -----------------------------------------------------------------------------------------

    def cancel(self, response: str) -> list[bytes]:
        """Nothing more of a response is to be heard: what to tell the model."""
        self._dropped.add(response)
        for line in [line for line in self._lines if line.response_id == response]:
            self._lines.remove(line)
            self._watch(anew=True)
            self.tts.drop(line.item_id)
            if not line.sounded:
                self._corrections.unheard(line, self.inner.dialect)
        if self._reading is not None and self._reading.line.response_id == response:
            self._reading.drop()
        loop = asyncio.get_running_loop()
        loop.call_soon(self._held.release, response)  # not now: whoever says so is in the midst of something
        loop.call_soon(self._go_on)
        stops_itself = self._caller_speaks and self.inner.engine.interrupts
        return [] if response not in self._corrections.running or stops_itself else [realtime.cancel_response(response)]

    def forget(self, item: str, heard_ms: int) -> list[bytes] | None:
        """The caller heard so much of an item: what to tell the model. None: it is none that a voice spoke."""
        line = self._of_item.get(item)
        return None if line is None else self._corrections.heard(line, heard_ms, self.inner.dialect)

    # --- small change -----------------------------------------------------------------------------------------------

    def _say(self, command: bytes) -> None:
        try:
            self.inner.send(command)
        except PeerError as wrong:
            log.info("the model's end is gone", why=str(wrong))

    def _stop(self) -> None:
        self._lines.clear()
        self._held.clear()
        self._reading = None
        self.tts.close()
        if self._stall is not None:
            self._stall.cancel()
            self._stall = None
