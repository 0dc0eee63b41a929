"""The carrier of the Python load: one call's webhook, stream, frames on an absolute schedule, marks, and its end."""

import asyncio
import base64
import contextlib
import secrets
from collections.abc import Coroutine
from typing import Any
from urllib.parse import urlencode, urlsplit
from xml.etree import ElementTree

import httpx
import msgspec
from twilio.request_validator import RequestValidator

from app.adapters.link import WireLink
from app.errors import PeerError
from bench import stamps
from bench.links import dial
from bench.python_model import Line
from bench.stamps import UP

FRAME_SECONDS = 0.02
BYTES_PER_SECOND = 8000


class Dial(msgspec.Struct, frozen=True):
    """How calls get in: a webhook, or a stream at once; signed over `public`."""

    webhook: str = ""
    stream: str = ""
    signed: int = 1
    token: str = ""
    account: str = "AC" + "0" * 32
    public: str = ""
    open_after_ms: float = 100
    dialled: str = "+14155550100"


class CarrierCall:
    """One call: the listener of its stream's link."""

    def __init__(self, number: int, how: Dial, line: Line, http: httpx.AsyncClient) -> None:
        self.number = number
        self.how = how
        self.line = line
        self.http = http
        self.call_sid = "CA" + secrets.token_hex(16)
        self.stream_sid = "MZ" + secrets.token_hex(16)
        self.link: WireLink | None = None
        self.over = False
        self.late_us: list[float] = []
        self._frames = 0
        self._due = 0.0
        self._plays_until = 0.0
        self._marks: dict[str, asyncio.TimerHandle] = {}
        self._action = ""
        self._loop = asyncio.get_running_loop()
        self._timer: asyncio.TimerHandle | None = None

    async def dial(self) -> None:
        """From the webhook to the stream's first frame. Raises OSError, HTTPError, PeerError, InvalidHandshake, ValueError."""
        url, parameters = self.how.stream, dict[str, str]()
        if self.how.webhook:
            url, parameters = await self._ring()
            await asyncio.sleep(self.how.open_after_ms / 1000)
        headers = {"X-Twilio-Signature": self._sign(self._public(url), {})} if self.how.signed else {}
        self.link = await dial(url, self, headers)
        self._send({"event": "connected", "protocol": "Call", "version": "1.0.0"})
        start = {
            "accountSid": self.how.account,
            "streamSid": self.stream_sid,
            "callSid": self.call_sid,
            "tracks": ["inbound"],
            "mediaFormat": {"encoding": "audio/x-mulaw", "sampleRate": 8000, "channels": 1},
            "customParameters": parameters,
        }
        self._send({"event": "start", "sequenceNumber": "1", "streamSid": self.stream_sid, "start": start})
        self._due = self._loop.time() + FRAME_SECONDS * (self.number * 0.618034 % 1.0)
        self._timer = self._loop.call_at(self._due, self._frame)

    async def hang_up(self) -> None:
        """The caller puts the phone down."""
        if self._timer is not None:
            self._timer.cancel()
        for timer in self._marks.values():
            timer.cancel()
        if self.link is not None and not self.over:
            self._send({"event": "stop", "streamSid": self.stream_sid, "stop": {"callSid": self.call_sid}})
            self.link.close(1000)
        if self._action:
            with contextlib.suppress(httpx.HTTPError):
                await self._post(self._action, {"CallStatus": "completed"})
                await self._post(self._at("/twilio/status"), {"CallStatus": "completed", "CallDuration": "10"})

    # --- the stream -------------------------------------------------------------------------------------------------

    def _frame(self) -> None:
        """Twenty milliseconds of the caller; the next one is due by the clock, however late this one was."""
        self.late_us.append((self._loop.time() - self._due) * 1e6)
        self._frames += 1
        number = self._frames
        self.line.up.sent(self.number, number)
        payload = base64.b64encode(stamps.frame(UP, self.number, number)).decode()
        media = {"track": "inbound", "chunk": str(number), "timestamp": str(number * 20), "payload": payload}
        self._send({"event": "media", "sequenceNumber": str(number + 1), "media": media, "streamSid": self.stream_sid})
        self._due += FRAME_SECONDS
        if not self.over:
            self._timer = self._loop.call_at(self._due, self._frame)

    def heard(self, text: bytes) -> None:
        """A message of the relay's."""
        message = msgspec.json.decode(text)
        match message["event"]:
            case "media":
                payload: str = message["media"]["payload"]
                for stamp in stamps.decode(payload):
                    self.line.down.came(stamp, self.number)
                now = self._loop.time()
                self._plays_until = max(now, self._plays_until) + len(payload) * 3 / 4 / BYTES_PER_SECOND
            case "mark":
                name: str = message["mark"]["name"]
                self._marks[name] = self._loop.call_at(self._plays_until, self._played, name)
            case "clear":
                self._plays_until = self._loop.time()
                for name in list(self._marks):
                    self._marks[name].cancel()
                    self._played(name)

    def closed(self, code: int, reason: str) -> None:
        """The stream is over."""
        self.over = True

    def _played(self, name: str) -> None:
        del self._marks[name]
        self._send({"event": "mark", "streamSid": self.stream_sid, "mark": {"name": name}})

    def _send(self, message: dict[str, Any]) -> None:
        assert self.link is not None
        with contextlib.suppress(PeerError):  # its end is told by `closed`
            self.link.send(msgspec.json.encode(message))

    # --- webhooks ---------------------------------------------------------------------------------------------------

    async def _ring(self) -> tuple[str, dict[str, str]]:
        """The webhook's answer: the stream's URL and its parameters."""
        answer = await self._post(self.how.webhook, {"CallStatus": "ringing"})
        if answer.status_code != 200:
            raise ValueError(f"the webhook answered {answer.status_code}: {answer.text[:100]}")
        connect = ElementTree.fromstring(answer.content).find("Connect")  # noqa: S314 - of our own server
        stream = connect.find("Stream") if connect is not None else None
        if connect is None or stream is None:
            raise ValueError(f"expected TwiML with a stream, got {answer.text[:200]}")
        self._action = connect.get("action", "")
        return stream.attrib["url"], {p.attrib["name"]: p.attrib["value"] for p in stream.iter("Parameter")}

    def _post(self, url: str, more: dict[str, str]) -> Coroutine[Any, Any, httpx.Response]:
        form = {
            "CallSid": self.call_sid,
            "AccountSid": self.how.account,
            "From": "+14155550123",
            "To": self.how.dialled,
        }
        form |= {"Direction": "inbound", "ApiVersion": "2010-04-01", **more}
        headers = {"Content-Type": "application/x-www-form-urlencoded"}
        if self.how.signed:
            headers["X-Twilio-Signature"] = self._sign(self._public(url), form)
        return self.http.post(url, content=urlencode(form), headers=headers)

    def _sign(self, url: str, form: dict[str, str]) -> str:
        return str(RequestValidator(self.how.token).compute_signature(url, form))

    def _public(self, url: str) -> str:
        """A URL as it is signed: over the public origin, for sockets by ws or wss."""
        if not self.how.public:
            return url
        origin = self.how.public if url.startswith("http") else self.how.public.replace("http", "ws", 1)
        parts = urlsplit(url)
        return origin + parts.path + (f"?{parts.query}" if parts.query else "")

    def _at(self, path: str) -> str:
        parts = urlsplit(self.how.webhook)
        return f"{parts.scheme}://{parts.netloc}{path}"
