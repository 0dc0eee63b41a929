"""The model of the Python load: configures, answers, and speaks in bursts of stamped frames. One session a call."""

import asyncio
import base64
from collections.abc import Callable
from typing import Any

import msgspec

from app.adapters.link import WireLink
from app.errors import PeerError
from bench import stamps
from bench.stamps import DOWN, FRAME, UP, Tally


class Talk(msgspec.Struct, frozen=True):
    """How the model talks, in milliseconds."""

    first_audio_ms: float = 200
    reply_ms: float = 4000
    every_ms: float = 8000
    delta_ms: float = 400
    delta_gap_ms: float = 40


class Line:
    """What both ends of one run share."""

    def __init__(self, talk: Talk) -> None:
        self.talk = talk
        self.up, self.down = Tally(UP), Tally(DOWN)
        self.up_messages = self.down_messages = 0
        self.replies = True

    @property
    def counting(self) -> bool:
        """Whether the window is open."""
        return self.up.counting

    def count(self, on: bool) -> None:
        """Open or close the window."""
        self.up.counting = self.down.counting = on


class Append(msgspec.Struct, tag_field="type", tag="input_audio_buffer.append"):
    """The caller's audio."""

    audio: str


_APPEND = msgspec.json.Decoder(Append)


class Session:
    """One session of the model's server: the listener of its link. Whose call it is, it learns from the first frame."""

    def __init__(self, link: WireLink, line: Line) -> None:
        self.link = link
        self.line = line
        self.call: int | None = None
        self.number = 0
        self.replies = 0
        self._timers: set[asyncio.TimerHandle] = set()
        self._loop = asyncio.get_running_loop()

    def opened(self) -> None:
        """The link may write."""
        self.say(
            {"type": "session.created", "session": {"id": "sess_1", "object": "realtime.session", "type": "realtime"}}
        )

    def heard(self, text: bytes) -> None:
        """A command of the relay's."""
        try:
            audio = _APPEND.decode(text).audio
        except msgspec.ValidationError:
            self._command(msgspec.json.decode(text))
            return
        line = self.line
        line.up_messages += line.counting
        for stamp in stamps.decode(audio):
            if self.call is None:
                self.call = stamp.call
                self._in(self._phase_ms(), self._reply_and_again)
            line.up.came(stamp, self.call)

    def closed(self, code: int, reason: str) -> None:
        """The relay is gone."""
        for timer in self._timers:
            timer.cancel()

    def _command(self, command: dict[str, Any]) -> None:
        match command.get("type"):
            case "session.update":
                self.say({"type": "session.updated", "session": command.get("session", {})})
            case "conversation.item.create":
                item = {
                    "id": f"item_{self.number}",
                    "object": "realtime.item",
                    "status": "completed",
                    **command.get("item", {}),
                }
                for kind in ("added", "done"):
                    self.say({"type": f"conversation.item.{kind}", "previous_item_id": None, "item": item})
            case "response.create":
                self._in(self.line.talk.first_audio_ms, self._reply)

    def say(self, event: dict[str, Any]) -> None:
        """One event, if anybody is there to hear it."""
        try:
            self.link.send(msgspec.json.encode({"event_id": "event_1", **event}))
        except PeerError:
            self.closed(1006, "")

    def _phase_ms(self) -> float:
        """Replies of different calls begin at different times."""
        return self.line.talk.every_ms * ((self.call or 0) * 0.618034 % 1.0)

    def _in(self, ms: float, do: Callable[[], None]) -> None:
        def due() -> None:
            self._timers.discard(timer)
            do()

        timer = self._loop.call_later(ms / 1000, due)
        self._timers.add(timer)

    def _reply_and_again(self) -> None:
        self._in(self.line.talk.every_ms, self._reply_and_again)
        self._reply()

    def _reply(self) -> None:
        """A whole reply: its events, and deltas ten times faster than speech."""
        self.replies += 1
        talk, ids = self.line.talk, {"response_id": f"resp_{self.replies}", "item_id": f"item_r{self.replies}"}
        response = {"id": ids["response_id"], "object": "realtime.response", "status": "in_progress", "output": []}
        self.say({"type": "response.created", "response": response})
        item = {"id": ids["item_id"], "type": "message", "role": "assistant", "status": "in_progress", "content": []}
        self.say(
            {"type": "response.output_item.added", "output_index": 0, "response_id": ids["response_id"], "item": item}
        )
        deltas = max(1, round(talk.reply_ms / talk.delta_ms))
        for at in range(deltas):
            self._in(at * talk.delta_gap_ms, lambda: self._delta(ids))
        done = response | {"status": "completed", "usage": {"total_tokens": 0, "input_tokens": 0, "output_tokens": 0}}

        def end() -> None:
            self.say({"type": "response.output_audio.done", "output_index": 0, "content_index": 0, **ids})
            self.say({"type": "response.done", "response": done})

        self._in(deltas * talk.delta_gap_ms, end)

    def _delta(self, ids: dict[str, str]) -> None:
        line = self.line
        audio = b""
        for _ in range(round(line.talk.delta_ms / 20)):
            if self.call is None:  # the greeting comes before the first frame that tells whose it is
                audio += b"\xff" * FRAME
                continue
            line.down.sent(self.call, self.number)
            audio += stamps.frame(DOWN, self.call, self.number)
            self.number += 1
        line.down_messages += line.counting
        self.say(
            {
                "type": "response.output_audio.delta",
                "output_index": 0,
                "content_index": 0,
                **ids,
                "delta": base64.b64encode(audio).decode(),
            }
        )
