"""One media stream of the stand-in carrier: upgrade, frames both ways in real time, playback, the ways it can end.

The clock is absolute (tick n is due at start + n * 20 ms), so a late tick is made up for and never shifts the rest; a
server that reads slowly does not hold it up: frames that cannot be written are dropped, as Twilio does (31930).
"""

import asyncio
import json
from binascii import b2a_base64
from collections import deque
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple

from websockets.asyncio.client import ClientConnection
from websockets.exceptions import ConnectionClosed

from app.sim import stream_rules
from app.sim.call_log import CallLog
from app.sim.caller_line import CallerLine, tell
from app.sim.carrier_http import SignedHttp
from app.sim.carrier_quirks import Quirks
from app.sim.hearing import Hearing
from app.sim.loudness import VOICED, loudness
from app.sim.playout import FRAME_BYTES, FRAME_MS, SILENCE, Playout
from app.sim.stream_upgrade import Opening, upgrade

MAX_UNSENT = 256 * 1024  # bytes: about 20 s of frames
_CONNECTED = '{"event":"connected","protocol":"Call","version":"1.0.0"}'


class Ended(NamedTuple):
    """How a stream ended. error: Twilio's code, None for a clean end."""

    why: Literal["server-closed", "stopped", "lost", "cut"]
    close_code: int
    reason: str
    error: int | None


class Played(NamedTuple):
    """20 ms in which the caller heard the server. at_ms: since the stream's start."""

    stream_sid: str
    at_ms: int
    audio: bytes


@dataclass
class Tally:
    """What one stream carried, in messages unless the name says otherwise."""

    frames_sent: int = 0
    frames_dropped: int = 0
    media_received: int = 0
    bytes_received: int = 0
    ragged_media: int = 0  # payloads that are not whole 20 ms frames
    refused_messages: int = 0
    bytes_heard: int = 0
    unplayed_bytes: int = 0  # still in the buffer when the stream ended
    late_ticks: int = 0  # more than one frame late
    worst_late_ms: float = 0.0
    after_clear_ms: list[int] = field(default_factory=list)  # how long after each clear the next audio came


class MediaStream:
    """A stream of one call. `open` and then `run`, once each; `played` and `tally` can be read at any time."""

    def __init__(
        self, opening: Opening, http: SignedHttp, log: CallLog, quirks: Quirks, line: CallerLine | None
    ) -> None:
        self.opening = opening
        self.stream_sid = opening.stream_sid
        self.playout = Playout()
        self.tally = Tally()
        self.played: list[Played] = []
        self.keep_audio = True
        self.hearing: Hearing | None = None
        self._http, self._log, self._quirks, self._line = http, log, quirks, line
        self._keys: deque[str] = deque()
        self._sequence = 0
        self._warned: set[int] = set()
        self._clear_at: int | None = None
        self._cut = self._stopped = False
        self._socket: ClientConnection | None = None

    async def open(self) -> None:
        """Upgrade the socket. Raises Refused as `stream_upgrade.upgrade` does."""
        self._socket = await upgrade(self.opening, self._http, self._quirks)

    async def run(self, stop: asyncio.Future[Any]) -> Ended:
        """Carry the stream until the server closes it, or until `stop` is done (the call ended or got new TwiML)."""
        socket = self._socket
        assert socket is not None, "open() comes before run()"
        reader = asyncio.create_task(self._read(socket))
        try:
            await self._start(socket)
            await self._tick(socket, stop, reader)
            if not reader.done() and not self._cut:
                stopped = {"accountSid": self.opening.account_sid, "callSid": self.opening.call_sid}
                await self._send(socket, "stop", json.dumps(stopped))
                self._stopped = True
                self._log.add("stream", event="stop", stream_sid=self.stream_sid)
        except ConnectionClosed:
            pass  # the server closed it meanwhile; how, is read below
        finally:
            await socket.close()
            await reader
        self.tally.unplayed_bytes = self.playout.waiting_bytes
        ended = self._ended(socket)
        self._log.add("stream", event="ended", stream_sid=self.stream_sid, **ended._asdict())
        tell(self._line, "stream_ended", ended.why)
        return ended

    def press(self, digits: str) -> None:
        """Press keys: one dtmf message each, with the next tick."""
        self._keys.extend(digits)

    def cut(self) -> None:
        """Lose the network: no stop, no close handshake."""
        self._cut = True
        if self._socket is not None:
            self._socket.transport.abort()

    def _ended(self, socket: ClientConnection) -> Ended:
        theirs, code = socket.protocol.close_rcvd, socket.close_code or 1006
        if self._cut:
            return Ended("cut", code, "", 31903)
        if theirs is not None and socket.protocol.close_rcvd_then_sent:
            return Ended("server-closed", theirs.code, theirs.reason, None if theirs.code in (1000, 1001) else 31921)
        if self._stopped:
            return Ended("stopped", code, "", None)
        return Ended("lost", code, "", 31903)  # no close frame came

    async def _start(self, socket: ClientConnection) -> None:
        opening, quirks = self.opening, self._quirks
        await socket.send(_CONNECTED)
        if quirks.start_delay_seconds:
            await asyncio.sleep(quirks.start_delay_seconds)
        parameters = opening.parameters if quirks.start_parameters is None else quirks.start_parameters
        start = {
            "accountSid": quirks.start_account_sid or opening.account_sid,
            "streamSid": opening.stream_sid,
            "callSid": quirks.start_call_sid or opening.call_sid,
            "tracks": ["inbound"],
            "mediaFormat": {"encoding": "audio/x-mulaw", "sampleRate": 8000, "channels": 1},
            "customParameters": dict(parameters),
        }
        await self._send(socket, "start", json.dumps(start))
        self._log.add("stream", event="start", stream_sid=self.stream_sid, parameters=dict(parameters))
        tell(self._line, "stream_started", self.stream_sid)

    async def _tick(self, socket: ClientConnection, stop: asyncio.Future[Any], reader: asyncio.Task[None]) -> None:
        loop = asyncio.get_running_loop()
        started, ticks, tally, line = loop.time(), 0, self.tally, self._line
        while True:
            ticks += 1
            early = started + ticks * FRAME_MS / 1000 - loop.time()
            await asyncio.sleep(max(early, 0.0))
            if stop.done() or reader.done():
                return
            late_ms = (loop.time() - started) * 1000 - ticks * FRAME_MS
            tally.worst_late_ms = max(tally.worst_late_ms, late_ms)
            tally.late_ticks += late_ms > FRAME_MS
            while self._keys:
                digit = self._keys.popleft()
                await self._send(socket, "dtmf", f'{{"track":"inbound_track","digit":"{digit}"}}')
                self._log.add("dtmf", digit=digit)
            frame = SILENCE if line is None else line.next_frame()
            if len(frame) != FRAME_BYTES:
                raise ValueError(f"next_frame() must return {FRAME_BYTES} bytes of mu-law, got {len(frame)}")
            await self._send_audio(socket, frame, ticks)
            heard = self.playout.tick()
            if heard.audio_bytes:
                tally.bytes_heard += heard.audio_bytes
                if self.hearing is not None and loudness(heard.frame) >= VOICED:
                    self.hearing.voice()
                if self.keep_audio:
                    self.played.append(Played(self.stream_sid, ticks * FRAME_MS, heard.frame))
            if line is not None:
                line.heard(heard.frame, ticks * FRAME_MS)
            for name in heard.echoes:
                await self._echo(socket, name, "played")

    async def _send_audio(self, socket: ClientConnection, frame: bytes, ticks: int) -> None:
        if socket.transport.get_write_buffer_size() > MAX_UNSENT:
            self.tally.frames_dropped += 1
            self._warn_once(31930, "the server reads too slowly; audio is discarded")
            return
        since, until = self._quirks.lost_ms
        if since <= ticks * FRAME_MS < until:
            self.tally.frames_dropped += 1
            return
        payload = b2a_base64(frame, newline=False).decode()
        self.tally.frames_sent += 1
        body = f'{{"track":"inbound","chunk":"{ticks}","timestamp":"{ticks * FRAME_MS}","payload":"{payload}"}}'
        await self._send(socket, "media", body)

    async def _send(self, socket: ClientConnection, event: str, body: str) -> None:
        self._sequence += 1
        await socket.send(
            f'{{"event":"{event}","sequenceNumber":"{self._sequence}","streamSid":"{self.stream_sid}","{event}":{body}}}'
        )

    async def _echo(self, socket: ClientConnection, name: str, why: str) -> None:
        self._log.add("echo", name=name, why=why, heard_bytes=self.tally.bytes_heard)
        await self._send(socket, "mark", json.dumps({"name": name}))

    async def _read(self, socket: ClientConnection) -> None:
        try:
            while True:
                await self._from_server(socket, await socket.recv())
        except ConnectionClosed:
            return

    async def _from_server(self, socket: ClientConnection, message: str | bytes) -> None:
        tally, playout = self.tally, self.playout
        if not self.opening.bidirectional:
            tally.refused_messages += 1
            self._warn_once(31924, "a stream of <Start> takes no messages")
            return
        match stream_rules.read(message, self.stream_sid):
            case stream_rules.Audio(payload=audio, has_header=has_header):
                tally.media_received += 1
                tally.bytes_received += len(audio)
                tally.ragged_media += len(audio) % FRAME_BYTES != 0
                if has_header:
                    self._log.error(
                        31924, "media.payload begins with a RIFF header, which is heard as noise; send bare mu-law"
                    )
                if self._clear_at is not None:
                    tally.after_clear_ms.append(self._log.at_ms() - self._clear_at)
                    self._clear_at = None
                playout.add(audio)
            case stream_rules.Mark(name=name):
                self._log.add("mark", name=name, waiting_bytes=playout.waiting_bytes)
                for due in playout.mark(name):
                    await self._echo(socket, due, "played")
            case stream_rules.Clear():
                self._clear_at = self._log.at_ms()
                names = playout.clear()
                self._log.add("clear", dropped_bytes=playout.clears[-1].dropped_bytes, marks=names)
                for name in names:
                    await self._echo(socket, name, "cleared")
            case stream_rules.Broken(code=code, why=why):
                tally.refused_messages += 1
                self._warn_once(code, why)

    def _warn_once(self, code: int, message: str) -> None:
        if code not in self._warned:
            self._warned.add(code)
            self._log.warning(code, message, stream_sid=self.stream_sid)
