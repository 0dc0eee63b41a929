"""What goes on in a stand-in session, whichever message caused it: hearing a caller, answering, silence, the end.

`Talk` is the session's state and its moves; the messages come in by `model_session`.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping
from secrets import token_hex
from typing import Any, Protocol

import msgspec

from app.errors import SetupError
from app.sim.afterwords import afterword
from app.sim.hearing_worker import Hearing
from app.sim.listening_mind import ListeningMind
from app.sim.model_checks import Refused
from app.sim.model_conversation import Conversation, Item
from app.sim.model_ears import Ears
from app.sim.model_faults import Break, Faults, Place
from app.sim.model_mind import ONE_MOMENT, READ_OUT, Mind, Plan, Rehearsal
from app.sim.model_response import Manner, Response
from app.sim.model_shapes import Settings, Shape
from app.sim.model_sound import BYTES_PER_MS, Repertoire
from app.sim.model_usage import heard_usage

SESSION_SECONDS = 3600
TEARS_MS = 50
GARBAGE = b'{"type":"response.output_audio.delta","delta":'


class Closing(msgspec.Struct, frozen=True):
    """The last word of a session: a close frame."""

    code: int
    reason: str


class Host(Protocol):
    """What a session needs of its server."""

    shape: Shape
    manner: Manner
    repertoire: Repertoire
    hearing: Hearing | None

    def rehearsal(self, instructions: str) -> Rehearsal:
        """The rehearsal of the caller whose number stands in a prompt; for none, one that takes any line of any script."""
        ...

    def faults_for(self, rehearsal: Rehearsal) -> Faults:
        """What is to go wrong in this session; called once for each session and rehearsal."""
        ...

    def publish(self, number: str, note: dict[str, Any]) -> None:
        """Tell those who watch a caller."""
        ...


class Talk:
    """A session's state. `log` has what the stand-in heard, said and called; `outbox` what is still to be sent.

    In the outbox, a `Closing` closes the connection, and None tears it.
    """

    def __init__(self, host: Host, model: str, outbox: "asyncio.Queue[bytes | Closing | None]") -> None:
        self.id = f"sess_{token_hex(8)}"
        self.model = model
        self.log: list[dict[str, Any]] = []
        self.host, self.shape, self.outbox = host, host.shape, outbox
        self.conversation = Conversation(self.shape, self.send)
        self.config = self.shape.created(model, self.id, int(time.time()) + SESSION_SECONDS)
        self.settings = self.shape.settings(self.config)
        self.ears = Ears(self)
        self.ears.configure(self.settings.input_format, self.settings.turn_detection)
        self.active: Response | None = None
        self.asides: dict[str, Response] = {}
        self.counted = False
        self.over = asyncio.Event()
        self._spoke = False
        self.broken = False
        """Nothing is said any more, though the socket may be open."""
        self.broke = asyncio.Event()
        self.deaf = asyncio.Event()
        """Nothing is read any more."""
        self._places: dict[Place, int] = {}
        """How often an answer came to such a place."""
        self._place_of = ("", "")
        self._next_item = f"item_{token_hex(8)}"
        self.mind: Mind
        self._timers: set[asyncio.TimerHandle] = set()
        self._idle: asyncio.TimerHandle | None = None
        self.adopt(host.rehearsal(""))

    def open(self) -> None:
        """Say hello: the first message of a session."""
        self.send({"type": "session.created", "session": self.config})
        self.later(SESSION_SECONDS * 1000, self.expire)

    def close(self) -> None:
        """The client is gone: nothing more is done."""
        for response in [*self.asides.values(), *([self.active] if self.active else [])]:
            response.drop()
        for timer in [*self._timers, *([self._idle] if self._idle else [])]:
            timer.cancel()
        for item in self.conversation.items:
            item.audio.clear()
        self.mind.forget()
        self.note("closed")
        self.over.set()

    def send(self, event: dict[str, Any]) -> None:
        """Send an event, given in GA's words; nothing once the session is broken."""
        if not self.broken and (shown := self.shape.event(event)) is not None:
            self.outbox.put_nowait(msgspec.json.encode({"event_id": f"event_{token_hex(8)}", **shown}))

    def note(self, kind: str, **fields: Any) -> None:
        """Write down what the stand-in does, and tell those who watch."""
        entry = {"type": kind, **fields}
        self.log.append(entry)
        self.host.publish(self.rehearsal.number, entry)

    def speech_started(self, start_ms: int) -> None:
        """The caller speaks: what is being said in the default conversation stops, unless the client keeps that to itself."""
        self._stop_idle()
        self.send({"type": "input_audio_buffer.speech_started", "audio_start_ms": start_ms, "item_id": self._next_item})
        if self.active is not None and self.detection_wants("interrupt_response"):
            self.active.cancel("turn_detected")

    def speech_stopped(self, end_ms: int) -> None:
        """The caller seems done."""
        self.send({"type": "input_audio_buffer.speech_stopped", "audio_end_ms": end_ms, "item_id": self._next_item})

    def committed(self, audio: bytes, raw: bytes, *, by_client: bool) -> None:
        """A turn of the caller's: it becomes an item, is understood, and answered where turn detection says so."""
        item = self._commit(raw)

        def transcribed(transcript: str) -> None:
            if self.settings.transcription is not None and not self.over.is_set():
                # the real transcript comes from a model of its own, and later than the response begins
                self.later(self.host.manner.transcription_ms, lambda: self._transcribed(item, transcript))

        self.mind.hear(audio, transcribed)
        if not by_client and self.detection_wants("create_response"):
            self._respond_by_itself()

    def _commit(self, raw: bytes) -> Item:
        item_id, self._next_item = self._next_item, f"item_{token_hex(8)}"
        content = [{"type": "input_audio", "transcript": None}]
        data = {"id": item_id, "object": "realtime.item", "type": "message", "status": "completed", "role": "user"}
        item = Item({**data, "content": content}, bytearray(raw), BYTES_PER_MS[self.settings.input_format])
        previous = self.conversation.last_id
        self.send({"type": "input_audio_buffer.committed", "previous_item_id": previous, "item_id": item_id})
        self.conversation.add(item)
        self.conversation.finish(item)
        return item

    def _transcribed(self, item: Item, transcript: str) -> None:
        name, place = "conversation.item.input_audio_transcription", {"item_id": item.id, "content_index": 0}
        if self.faults.transcription_fails:
            error = {"type": "server_error", "code": "transcription_failed", "message": "The audio could not be transcribed.",
                     "param": None}  # fmt: skip
            return self.send({"type": f"{name}.failed", **place, "error": error})
        item.data["content"] = [{"type": "input_audio", "transcript": transcript}]
        if transcript:
            self.send({"type": f"{name}.delta", **place, "delta": transcript})
        used = heard_usage(item.audio_ms, transcript)
        return self.send({"type": f"{name}.completed", **place, "transcript": transcript, "usage": used})

    def check_idle(self) -> None:
        """Raise Refused while a response of the default conversation is running."""
        if self.active is not None:
            raise Refused("conversation_already_has_active_response", "Conversation already has an active response in progress: "
                          f"{self.active.id}. Wait until the response is finished before creating a new one.")  # fmt: skip

    def _respond_by_itself(self) -> None:
        try:
            self.check_idle()
        except Refused as refused:
            return self.refuse(refused, None)
        return self.respond({})

    def respond(self, body: Mapping[str, Any]) -> None:
        """Begin a response of the default conversation; `body` as in `response.create`, checked."""
        self._stop_idle()
        config = self.shape.for_response(self.config, body)
        settings = self.shape.settings(config)
        if not self.mind.thinking:
            self.active = self._response(self._plan(settings), config, body, self.conversation)
        else:
            mind = self.mind

            async def thought() -> Plan | SetupError:
                await mind.understood()
                return self._plan(settings)

            self.active = self._response(Plan(), config, body, self.conversation, thought)
        self.active.start()

    def _plan(self, settings: Settings) -> Plan | SetupError:
        try:
            return self.mind.plan(
                set() if settings.tool_choice == "none" else settings.tool_names, history=self.conversation.history
            )
        except SetupError as error:
            return error

    def respond_aside(self, body: Mapping[str, Any]) -> None:
        """Begin an out-of-band response: of the conversation it leaves no trace."""
        config = self.shape.for_response(self.config, body)
        audible = self.shape.settings(config).modality == "audio"
        said = [item.transcript for item in self.conversation.items if item.data.get("role") == "user"]
        read_out = READ_OUT.search(body.get("instructions", ""))
        spoken = read_out[1] if read_out else ONE_MOMENT
        words = spoken if audible else afterword(body) or self.mind.aside(said)
        response = self._response(Plan(words), config, body, None)
        self.asides[response.id] = response
        response.start()

    def _response(
        self,
        plan: Plan | SetupError,
        config: Mapping[str, Any],
        body: Mapping[str, Any],
        conversation: Conversation | None,
        thinking: Callable[[], Awaitable[Plan | SetupError]] | None = None,
    ) -> Response:
        return Response(
            plan, shape=self.shape, config=config, metadata=body.get("metadata"), repertoire=self.host.repertoire,
            manner=self.host.manner, faults=self.faults, conversation=conversation,
            context=lambda: self.conversation.items, send=self.send, note=self.note, ended=self._ended,
            reaches=self._reaches, thinking=thinking,
        )  # fmt: skip

    def _ended(self, response: Response) -> None:
        self.asides.pop(response.id, None)
        self._spoke = self._spoke or response.audio_ms > 0
        if isinstance(response.plan, Plan) and any(
            call.call_id not in response.calls_made for call in response.plan.calls
        ):
            self.mind.drop_calls(response.plan)
        if response is not self.active:
            return
        self.active = None
        idle_ms = (self.settings.turn_detection or {}).get("idle_timeout_ms")
        if idle_ms is not None:
            # the server knows nothing of the phone's buffer: it takes its audio to be played from now on
            loop = asyncio.get_running_loop()
            self._idle = loop.call_later((response.audio_ms + idle_ms) / 1000, self._idle_too_long)

    def _idle_too_long(self) -> None:
        ended = int(self.ears.appended_ms)
        self.send({"type": "input_audio_buffer.timeout_triggered", "audio_start_ms": max(0, ended - 1000), "audio_end_ms": ended,
                   "item_id": self._next_item})  # fmt: skip
        self._commit(b"")
        self.mind.read("The caller is silent.")
        self._respond_by_itself()

    def _stop_idle(self) -> None:
        if self._idle is not None:
            self._idle.cancel()
            self._idle = None

    def adopt(self, rehearsal: Rehearsal) -> None:
        """This is a session of that call, from now on; its link may have waited for it for long."""
        self.adopted_at = time.monotonic()
        self.rehearsal, self.counted = rehearsal, False
        self.faults = self.host.faults_for(rehearsal)
        hearing = self.host.hearing
        self.mind = (
            Mind(rehearsal, self.host.repertoire, self.faults, self.note)
            if rehearsal.number or hearing is None or not hearing.available
            else ListeningMind(rehearsal, self.host.repertoire, self.faults, self.note, hearing, lambda: self.settings)
        )

    @property
    def spoke(self) -> bool:
        """Whether the agent has given any audio in this session: its voice is settled from then on."""
        running = [*self.asides.values(), *([self.active] if self.active else [])]
        return self._spoke or any(response.audio_ms for response in running)

    def detection_wants(self, key: str) -> bool:
        """Whether turn detection is on, and `create_response` or `interrupt_response` in it."""
        return bool((self.settings.turn_detection or {}).get(key))

    def later(self, ms: float, action: Callable[[], None]) -> None:
        """Do something in that many milliseconds, unless the session is over by then."""

        def act() -> None:
            self._timers.discard(timer)
            action()

        timer = asyncio.get_running_loop().call_later(ms / 1000, act)
        self._timers.add(timer)

    def _reaches(self, place: Place) -> bool:
        """An answer comes to a place where it may break; whether it does."""
        faults, here = self.faults, (self.active.id if self.active else "", place)
        if place != faults.breaks_in or self.broken or here == self._place_of:
            return self.broken
        self._place_of = here
        self._places[place] = self._places.get(place, 0) + 1
        if self._places[place] == faults.breaks_at:
            self._break(faults.breaks_by)
        return self.broken

    def _break(self, how: Break) -> None:
        """From now on nothing more is said; what is to be seen of that goes out last."""
        self.note("broke", how=how)
        match how:
            case "torn":
                self.later(TEARS_MS, self.die)  # what was said before is on its way: a tear throws away what is not
            case "deaf":
                self.deaf.set()
            case "1001" | "1011" | "4000":
                self.outbox.put_nowait(Closing(int(how), self.faults.says or "the stand-in was told to close"))
            case "stall":
                pass
            case "garbage":
                self.outbox.put_nowait(GARBAGE)
            case code:
                self.refuse(Refused(code, self.faults.says or "The stand-in was told to break."), None)
        self.broken = True
        self.broke.set()

    def die(self) -> None:
        """Tear the connection, without a close frame."""
        self.outbox.put_nowait(None)

    def expire(self) -> None:
        """The session's time is up."""
        refused = Refused("session_expired", "Your session hit the maximum duration of 60 minutes.")
        self.refuse(refused, None)
        self.outbox.put_nowait(Closing(1001, refused.message))

    def refuse(self, refused: Refused, event_id: Any) -> None:
        """Send an `error` event."""
        self.send(error_event(refused, event_id))


def error_event(refused: Refused, event_id: Any = None) -> dict[str, Any]:
    """An `error` event, without its own event id."""
    error = {"type": "invalid_request_error", "code": refused.code, "message": refused.message, "param": refused.param}
    return {"type": "error", "error": error | {"event_id": event_id}}
