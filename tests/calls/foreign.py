"""A carrier and a model that share no code with the product: raw sockets, stamped audio, their own idea of both protocols.

Every 20 ms of audio carries who speaks and a number, so that loss, order and crosstalk are counted frame by frame. The model
sends its speech in ragged pieces, faster than real time.
"""

import asyncio
import base64
import hashlib
import hmac
import itertools
import json
import random
import re
from collections import defaultdict
from collections.abc import Callable
from typing import Any
from urllib.parse import urlencode

import httpx
from websockets.asyncio.client import ClientConnection, connect
from websockets.asyncio.server import Server, ServerConnection, serve

TOKEN = "5" * 32
ACCOUNT = "AC" + "b" * 32
FRAME = 160
REPLY_FRAMES = 100


def stamp(who: int, n: int) -> bytes:
    """20 ms of sound that says who it is of and which one it is; no byte of it is silence."""
    head = who.to_bytes(3, "big") + n.to_bytes(3, "big")
    return head + bytes((who * 7 + n * 13 + i) % 200 + 1 for i in range(FRAME - len(head)))


def read(frame: bytes) -> tuple[int, int]:
    """Whose frame, and which; raises if a byte of it was changed."""
    who, n = int.from_bytes(frame[:3], "big"), int.from_bytes(frame[3:6], "big")
    assert frame == stamp(who, n), "a frame was changed on its way"
    return who, n


class ForeignModel:
    """A realtime server of one dialect. Answers each `response.create` with two seconds of stamped speech."""

    def __init__(self, dialect: str) -> None:
        self.dialect = dialect
        self.heard: dict[int, list[int]] = defaultdict(list)
        """Numbers of the caller frames that came, by call."""
        self.mixed = 0
        """Frames of another call than the session's."""
        self.configs: dict[int, list[dict[str, Any]]] = defaultdict(list)
        self.told: dict[int, list[dict[str, Any]]] = defaultdict(list)
        """What the product sent, less audio, in order; and what was done here between: `response.done`. By session."""
        self.callers: dict[int, int] = {}
        """Whose sound each session hears."""
        self.early_responses = 0
        self._ids = itertools.count(1)
        self._server: Server | None = None
        self._random = random.Random(7)

    async def start(self) -> str:
        self._server = await serve(self._session, "127.0.0.1", 0, compression=None, max_size=None, ping_interval=None)
        return f"ws://127.0.0.1:{next(iter(self._server.sockets)).getsockname()[1]}/v1/realtime"

    async def close(self) -> None:
        if self._server is not None:
            self._server.close()
            await self._server.wait_closed()

    def _name(self, ga: str) -> str:
        return ga if self.dialect == "ga" else ga.replace("output_audio", "audio")

    async def _session(self, socket: ServerConnection) -> None:
        number = next(self._ids)
        configured = False
        defaults: dict[str, Any] = (
            {"type": "realtime", "object": "realtime.session", "audio": {"input": {}, "output": {}}}
            if self.dialect == "ga"
            else {
                "object": "realtime.session",
                "modalities": ["audio", "text"],
                "input_audio_format": "pcm16",
                "voice": "alloy",
            }
        )
        await socket.send(json.dumps({"type": "session.created", "event_id": "e", "session": defaults}))
        speeches: set[asyncio.Task[None]] = set()
        async for text in socket:
            event = json.loads(text)
            if event["type"] != "input_audio_buffer.append":
                self.told[number].append(event)
            match event["type"]:
                case "session.update":
                    wrong = ("type" in event["session"]) != (self.dialect == "ga")
                    if wrong:
                        error = {"type": "invalid_request_error", "code": "unknown_parameter", "param": "session.type"}
                        await socket.send(
                            json.dumps({"type": "error", "error": error | {"event_id": event.get("event_id")}})
                        )
                        continue
                    configured = True
                    self.configs[number].append(event["session"])
                    await socket.send(json.dumps({"type": "session.updated", "session": event["session"]}))
                case "input_audio_buffer.append":
                    for who, n in _frames(event["audio"]):
                        mine = self.callers.setdefault(number, who)
                        self.mixed += who != mine
                        self.heard[who].append(n)
                        await self.hears(socket, number, who)
                case "response.create":
                    self.early_responses += not configured
                    speech = asyncio.create_task(self._speak(socket, number, next(self._ids)))
                    speeches.add(speech)
                    speech.add_done_callback(speeches.discard)

    async def hears(self, socket: ServerConnection, number: int, who: int) -> None:
        """A frame of a caller's has come. This model only listens; another may answer."""

    async def _speak(self, socket: ServerConnection, number: int, response: int) -> None:
        ids = {"response_id": f"resp_{response}", "item_id": f"item_{response}", "output_index": 0, "content_index": 0}
        created = {"id": ids["response_id"], "status": "in_progress", "conversation_id": "conv"}
        await socket.send(json.dumps({"type": "response.created", "response": created}))
        audio = b"".join(stamp(number, n) for n in range(REPLY_FRAMES))
        at = 0
        while at < len(audio):
            size = self._random.choice((1, 159, 160, 161, 800, 1600, 3200, 4001))
            piece = base64.b64encode(audio[at : at + size]).decode()
            await socket.send(json.dumps({"type": self._name("response.output_audio.delta"), **ids, "delta": piece}))
            at += size
            await asyncio.sleep(size / 8000 / 4)
        await socket.send(json.dumps({"type": self._name("response.output_audio.done"), **ids}))
        self.told[number].append({"type": "response.done"})
        await socket.send(
            json.dumps({"type": "response.done", "response": {**created, "status": "completed", "output": []}})
        )


class ForeignCall:
    """One call of a carrier that is not ours, over the product's signed doors."""

    def __init__(self, http: httpx.AsyncClient, base: str, public: str, who: int) -> None:
        self.http, self.base, self.public, self.who = http, base, public, who
        self.call_sid = f"CA{who:032x}"
        self.stream_sid = f"MZ{who:032x}"
        self.heard: list[tuple[int, int]] = []
        """(session, number) of every frame that came from the model."""
        self.wrong: list[str] = []
        self.marks = 0
        self._rest = b""

    async def webhook(self) -> str:
        """Ring; returns the stream's URL from the TwiML."""
        return stream_of(await self.posts(self.public + "/twilio/incoming"))

    async def posts(self, url: str, **more: str) -> str:
        """Ask a door as a carrier does; returns the TwiML. url: by the public origin."""
        form = {
            "CallSid": self.call_sid,
            "AccountSid": ACCOUNT,
            "From": f"+1415555{self.who:04d}",
            "To": "+14155550199",
        }
        form |= {"CallStatus": "ringing", "Direction": "inbound", "ApiVersion": "2010-04-01", "CallerName": "", **more}
        signature = sign(url, form)
        headers = {"X-Twilio-Signature": signature, "Content-Type": "application/x-www-form-urlencoded"}
        real = self.base + url.removeprefix(self.public)
        answer = await self.http.post(real, content=urlencode(form), headers=headers)
        assert answer.status_code == 200, answer.text
        return answer.text

    async def talk(self, stream_url: str, frames: int, enough: Callable[[], bool] = lambda: False) -> None:
        """Open the stream, send so many stamped frames in real time, or fewer if it is enough; then hang up."""
        real = self.base.replace("http", "ws") + stream_url.removeprefix(self.public.replace("http", "ws"))
        headers = {"x-twilio-signature": sign(stream_url, {})}
        async with connect(
            real, additional_headers=headers, compression=None, proxy=None, ping_interval=None
        ) as socket:
            listening = asyncio.create_task(self._listen(socket))
            await socket.send('{"event":"connected","protocol":"Call","version":"1.0.0"}')
            start: dict[str, Any] = {
                "accountSid": ACCOUNT,
                "streamSid": self.stream_sid,
                "callSid": self.call_sid,
                "tracks": ["inbound"],
            }
            start |= {
                "mediaFormat": {"encoding": "audio/x-mulaw", "sampleRate": 8000, "channels": 1},
                "customParameters": {},
            }
            await socket.send(
                json.dumps({"event": "start", "sequenceNumber": "1", "streamSid": self.stream_sid, "start": start})
            )
            loop = asyncio.get_running_loop()
            began = loop.time()
            for n in range(frames):
                if enough():
                    frames = n
                    break
                media = {"track": "inbound", "chunk": str(n + 1), "timestamp": str(n * 20)}
                media["payload"] = base64.b64encode(stamp(self.who, n)).decode()
                await socket.send(
                    json.dumps(
                        {"event": "media", "sequenceNumber": str(n + 2), "streamSid": self.stream_sid, "media": media}
                    )
                )
                await asyncio.sleep(max(0.0, began + n * 0.02 - loop.time()))
            stop = {"accountSid": ACCOUNT, "callSid": self.call_sid}
            await socket.send(
                json.dumps(
                    {"event": "stop", "sequenceNumber": str(frames + 2), "streamSid": self.stream_sid, "stop": stop}
                )
            )
            listening.cancel()

    async def _listen(self, socket: ClientConnection) -> None:
        async for text in socket:
            event = json.loads(text)
            if event.get("streamSid") != self.stream_sid:
                self.wrong.append(f"streamSid of {event}")
            match event["event"]:
                case "media":
                    if set(event) != {"event", "streamSid", "media"} or set(event["media"]) != {"payload"}:
                        self.wrong.append(f"keys of {event.keys()}")
                    audio = base64.b64decode(event["media"]["payload"], validate=True)
                    if len(audio) % FRAME:
                        self.wrong.append(f"{len(audio)} bytes")
                    self.heard += [read(audio[at : at + FRAME]) for at in range(0, len(audio), FRAME)]
                case "mark":
                    self.marks += 1
                    await socket.send(
                        json.dumps({"event": "mark", "streamSid": self.stream_sid, "mark": event["mark"]})
                    )
                case other:
                    self.wrong.append(str(other))


def stream_of(twiml: str) -> str:
    """Where a document wants its stream."""
    found = re.search(r'<Stream[^>]* url="([^"]+)"', twiml)
    assert found, twiml
    return found[1]


def _frames(payload: str) -> list[tuple[int, int]]:
    audio = base64.b64decode(payload, validate=True)
    return [read(audio[at : at + FRAME]) for at in range(0, len(audio), FRAME)]


def sign(url: str, form: dict[str, str]) -> str:
    """Twilio's signature, written anew from its documentation."""
    text = url + "".join(name + form[name] for name in sorted(form))
    return base64.b64encode(hmac.new(TOKEN.encode(), text.encode(), hashlib.sha1).digest()).decode()
