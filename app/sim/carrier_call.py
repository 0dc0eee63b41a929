"""One call of the stand-in carrier, from the first ring to the last callback."""

import asyncio
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from app.sim.call_log import CallLog
from app.sim.caller_line import CallerLine
from app.sim.carrier_leg import Interrupt, Interrupted, Leg, Source, Status
from app.sim.carrier_numbers import rfc2822
from app.sim.connect_verb import stop_fork
from app.sim.gather_verb import KEYS
from app.sim.hearing import Hearing
from app.sim.media_stream import MediaStream, Played
from app.sim.twiml_engine import follow

OVER: tuple[Status, ...] = ("completed", "busy", "failed", "no-answer", "canceled")


@dataclass(frozen=True)
class Callee:
    """Who is there when the server calls out, and what becomes of it.

    answered_by: the verdict of answering machine detection, told only where the server asks for it.
    """

    line: CallerLine | None = None
    result: Literal["answered", "busy", "no-answer", "failed"] = "answered"
    answered_by: str = "human"
    ring_seconds: float = 3.0
    verdict_seconds: float = 0.0
    """When the verdict is told beside the talk: after a person's hello, or a machine's greeting and beep. In real time."""


@dataclass
class Progress:
    """Where a call's progress is reported; without `url`, nowhere."""

    url: str = ""
    method: str = "POST"
    events: Sequence[str] = ("completed",)
    sequence: int = 0


@dataclass(frozen=True)
class MachineDetection:
    """What an outbound call asked about machines. callback: for the asynchronous kind, whose TwiML runs at once."""

    callback: str = ""
    method: str = "POST"


class CarrierCall:
    """A call. `finished` waits for its end; what happened is in `log`, what the caller heard in `played`.

    ended_by: `caller`, `server` (its TwiML ended or hung up), `error` (of its TwiML), `rest`, `time-limit`, `carrier`
    (shut down), `callee` (did not take the call); empty while it lasts.
    """

    def __init__(
        self,
        leg: Leg,
        first: Source,
        *,
        progress: Progress,
        callee: Callee | None = None,
        detection: MachineDetection | None = None,
    ) -> None:
        self.leg = leg
        self.ended_by = ""
        self.date_created = rfc2822()
        self.end_time: str | None = None
        self.duration_seconds = 0
        self.progress = progress
        self._first, self._callee, self._detection = first, callee, detection
        self._time_limit: asyncio.TimerHandle | None = None
        self.task = asyncio.create_task(self._live())

    @property
    def call_sid(self) -> str:
        """The call's SID."""
        return self.leg.call_sid

    @property
    def status(self) -> Status:
        """The call's status, in Twilio's words."""
        return self.leg.status

    @property
    def log(self) -> CallLog:
        """Everything that happened, in order."""
        return self.leg.log

    @property
    def stream(self) -> MediaStream | None:
        """The stream that is live."""
        return self.leg.stream

    @property
    def streams(self) -> list[MediaStream]:
        """All bidirectional streams that were opened, in order, each with its tally, underruns and clears."""
        return self.leg.streams

    @property
    def played(self) -> list[Played]:
        """All the server's audio that the caller really heard, in 20 ms frames."""
        return [played for stream in self.leg.streams for played in stream.played]

    @property
    def hearing(self) -> Hearing:
        """The caller's ear over the whole call: which sounds it had, and for how long none."""
        return self.leg.hearing

    def put_down(self) -> None:
        """The caller hangs up; returns at once (`finished` waits for the callbacks)."""
        self.end("caller")

    async def hang_up(self) -> None:
        """The caller hangs up: stop, close 1000, callbacks, `completed`."""
        self.put_down()
        await self.finished()

    def end(self, why: Literal["caller", "rest", "time-limit", "carrier"]) -> None:
        """End the call; nothing happens to one that is over."""
        if self.status not in OVER:
            self.leg.interrupt(Interrupt(why))

    def update(self, source: Source) -> None:
        """Give a live call new TwiML: a stream gets its `stop` and is closed first."""
        self.log.add("update", url=source.url, twiml=source.twiml)
        self.leg.interrupt(Interrupt("update", source))

    def limit(self, seconds: float) -> None:
        """End the call after so many seconds from now."""
        if self._time_limit is not None:
            self._time_limit.cancel()
        self._time_limit = asyncio.get_running_loop().call_later(seconds, self.end, "time-limit")

    def press(self, digits: str) -> None:
        """Press keys: a dtmf message each on a live stream, else for the <Gather> that runs. Raises ValueError."""
        if not digits or not KEYS.issuperset(digits):
            raise ValueError(f"keys are 0-9 * # A-D, got {digits!r}")
        if self.leg.stream is not None:
            self.leg.stream.press(digits)
            return
        for digit in digits:
            self.log.add("key", digit=digit)
            self.leg.keys.put_nowait(digit)

    async def finished(self) -> None:
        """Wait until the call is over and its callbacks are answered; raises what a broken line raised."""
        await asyncio.shield(self.task)

    async def _live(self) -> None:
        leg = self.leg
        try:
            try:
                self.ended_by = await self._run()
            finally:
                if self._time_limit is not None:
                    self._time_limit.cancel()
                for name in list(leg.forks):
                    await stop_fork(leg, name)
        finally:
            self._end()
            await leg.settled()

    async def _run(self) -> str:
        leg, source, first = self.leg, self._first, True
        while True:
            try:
                if first and self._callee is not None and not await self._ring(self._callee):
                    return "callee"
                followed = await follow(leg, source, repeat=first and leg.quirks.repeated_webhook)
                if followed == "failed":
                    leg.answer()  # the carrier's own apology is played
                    return "error"
                return "server"
            except Interrupted:
                interrupt = leg.take_interrupt()
                if interrupt is None or interrupt.source is None:
                    return interrupt.why if interrupt is not None else "carrier"
                source, first = interrupt.source, False

    async def _ring(self, callee: Callee) -> bool:
        leg = self.leg
        self._report("initiated", "initiated")
        leg.set_status("ringing")
        self._report("ringing", "ringing")
        if callee.result == "failed":
            leg.set_status("failed")
            return False
        await leg.wait(callee.ring_seconds)
        if callee.result != "answered":
            leg.set_status(callee.result)
            return False
        if self._detection is not None and not self._detection.callback:
            leg.answered_by = callee.answered_by
        leg.answer()
        self._report("answered", "in-progress")
        if self._detection is not None and self._detection.callback:
            asyncio.get_running_loop().call_later(callee.verdict_seconds, self._tell_verdict, callee, self._detection)
        return True

    def _tell_verdict(self, callee: Callee, detection: MachineDetection) -> None:
        """Who picked up, told beside the talk, while there is one."""
        if self.status in OVER:
            return
        verdict = {
            "AnsweredBy": callee.answered_by,
            "MachineDetectionDuration": str(round(callee.verdict_seconds * 1000)),
        }
        fields = {"AccountSid": self.leg.account_sid, "CallSid": self.call_sid, **verdict}
        self.leg.answered_by = callee.answered_by
        self.leg.callback(detection.callback, detection.method, fields)

    def _end(self) -> None:
        leg, self.end_time = self.leg, rfc2822()
        if leg.answered_at is not None:
            self.duration_seconds = round(asyncio.get_running_loop().time() - leg.answered_at)
        if leg.status not in OVER:
            leg.set_status(self._final_status())
        self.log.add("ended", by=self.ended_by)
        more = {"CallDuration": str(self.duration_seconds), "Duration": str(math.ceil(self.duration_seconds / 60))}
        self._report("completed", leg.status, SipResponseCode="200", **more)

    def _final_status(self) -> Status:
        if self.leg.answered_at is not None or self.ended_by in ("server", "error"):
            return "completed"
        return "canceled" if self.ended_by == "rest" else "no-answer"  # a caller who gave up ringing: a choice

    def _report(self, event: str, status: str, **more: str) -> None:
        progress = self.progress
        if progress.url and event in progress.events:
            fields = self.leg.progress(progress.sequence, **{"CallStatus": status, **more})
            progress.sequence += 1
            self.leg.callback(progress.url, progress.method, fields)
