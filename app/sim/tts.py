"""The text-to-speech stand-in: ElevenLabs' WebSocket with several contexts, for tests, rehearsals and a trial without a key.

Door: `/v1/text-to-speech/VOICE/multi-stream-input?model_id=...&output_format=ulaw_8000`. It speaks as app.sim.tts_voice,
faster than it plays, and refuses what the API reference does not list. What of the real one is known: docs/voices.md.
"""

from collections.abc import Callable
from contextlib import AsyncExitStack
from http import HTTPStatus
from typing import Literal, Protocol
from urllib.parse import parse_qsl, urlsplit

import msgspec
import structlog
from websockets.asyncio.server import Server, ServerConnection, serve
from websockets.http11 import Request, Response

from app.errors import SetupError
from app.sim.tts_session import Session
from app.sim.tts_voice import speech

log = structlog.get_logger()

PATH = ("v1", "text-to-speech", "multi-stream-input")
FORMATS = frozenset({
    "mp3_22050_32", "mp3_44100_32", "mp3_44100_64", "mp3_44100_96", "mp3_44100_128", "mp3_44100_192", "pcm_8000", "pcm_16000",
    "pcm_22050", "pcm_24000", "pcm_44100", "ulaw_8000", "alaw_8000", "opus_48000_32", "opus_48000_64", "opus_48000_96",
    "opus_48000_128", "opus_48000_192",
})  # fmt: skip
QUERY = frozenset({
    "authorization", "model_id", "language_code", "enable_logging", "enable_ssml_parsing", "output_format", "inactivity_timeout",
    "sync_alignment", "auto_mode", "apply_text_normalization", "seed",
})  # fmt: skip


class Faults(msgspec.Struct, kw_only=True):
    """What goes wrong. Break: in the n-th context of the server, once so much of its sound was given."""

    refuse: int = 0
    """HTTP status that the upgrade is answered with."""
    code: str = ""
    """The first text is refused with this, as `quota_exceeded`, and the socket closed."""
    breaks: Literal["", "torn", "closed", "stall"] = ""
    breaks_in: int = 1
    breaks_after_ms: int = 0
    aligned: bool = True
    """Times of characters come with the sound."""
    idle_seconds: float | None = None
    """Instead of `inactivity_timeout`, a socket without a context is closed after so long."""


class TtsStandIn:
    """first_audio_ms, pace (times real time, 0: at once), chunk_ms: how it speaks. api_key: what must be presented; None: any."""

    def __init__(
        self,
        *,
        api_key: str | None = None,
        first_audio_ms: int = 80,
        pace: float = 5.0,
        chunk_ms: int = 200,
        faults: Faults | None = None,
        say: Callable[[str], bytes] = speech,
    ) -> None:
        self.api_key = api_key
        self.first_audio_ms, self.pace, self.chunk_ms = first_audio_ms, pace, chunk_ms
        self.faults = faults or Faults()
        """May be changed at any time."""
        self.say = say
        self.sessions: list[Session] = []
        """Newest last."""
        self.asked: list[str] = []
        """Every path that a socket was asked for."""
        self.contexts = 0
        """How many there were, on all sockets."""
        self._server: Server | None = None

    async def start(self, host: str = "127.0.0.1", port: int = 0) -> str:
        """Listen; returns what ELEVENLABS_URL is to be. Raises SetupError if it cannot."""
        try:
            self._server = await serve(
                self._serve,
                host,
                port,
                process_request=self._admit,
                compression=None,
                ping_interval=None,
                close_timeout=1,
            )
        except OSError as error:
            raise SetupError(
                f"the voice stand-in cannot listen on {host}:{port}: {error}; choose another port"
            ) from error
        return f"ws://{host}:{next(iter(self._server.sockets)).getsockname()[1]}"

    async def close(self) -> None:
        """Close all connections and stop listening."""
        if self._server is not None:
            self._server.close()
            await self._server.wait_closed()
            self._server = None

    @property
    def live(self) -> int:
        """Open sockets."""
        return sum(not session.over for session in self.sessions)

    def _admit(self, connection: ServerConnection, request: Request) -> Response | None:
        self.asked.append(request.path)
        if self.faults.refuse:
            return connection.respond(HTTPStatus(self.faults.refuse), "the stand-in was told to refuse\n")
        if self.api_key is not None and request.headers.get("xi-api-key") != self.api_key:
            return connection.respond(HTTPStatus.UNAUTHORIZED, "the key is wrong\n")
        parts = urlsplit(request.path)
        where = parts.path.strip("/").split("/")
        if len(where) != 4 or (where[0], where[1], where[3]) != PATH or not where[2]:
            return connection.respond(HTTPStatus.NOT_FOUND, f"expected /{PATH[0]}/{PATH[1]}/VOICE/{PATH[2]}\n")
        wrong = _wrong(dict(parse_qsl(parts.query, keep_blank_values=True)))
        return connection.respond(HTTPStatus.BAD_REQUEST, wrong + "\n") if wrong else None

    async def _serve(self, connection: ServerConnection) -> None:
        assert connection.request is not None
        asked = dict(parse_qsl(urlsplit(connection.request.path).query))
        session = Session(self, connection, asked)
        self.sessions.append(session)
        await session.run()


def _wrong(asked: dict[str, str]) -> str:
    """What is wrong with the parameters of a socket; empty if nothing is."""
    if unknown := sorted(asked.keys() - QUERY):
        return f"unknown parameters: {', '.join(unknown)}"
    if asked.get("output_format", "mp3_44100_128") not in FORMATS:
        return f"output_format: expected one of {', '.join(sorted(FORMATS))}"
    if asked.get("output_format") != "ulaw_8000":
        return "this stand-in speaks ulaw_8000 alone"
    idle = asked.get("inactivity_timeout", "20")
    if not idle.isdigit() or not 1 <= int(idle) <= 180:
        return "inactivity_timeout: expected 1 to 180"
    if asked.get("model_id", "").startswith("eleven_v3"):
        return "several contexts on one socket are not for eleven_v3"
    for name in ("enable_logging", "enable_ssml_parsing", "sync_alignment", "auto_mode"):
        if asked.get(name, "true") not in ("true", "false"):
            return f"{name}: expected true or false"
    return ""


class Borrower(Protocol):
    """Who may need a voice."""

    wanted: list[str]

    @property
    def has_none(self) -> bool:
        """Whether a voice is wanted and there is none."""
        ...

    def speak_by(self, url: str) -> None:
        """Use the server there."""
        ...


async def lend_voice(borrower: Borrower, stack: AsyncExitStack) -> None:
    """Stand in for a voice that is wanted and was not set, until the stack is closed."""
    if borrower.has_none:
        server = TtsStandIn()
        borrower.speak_by(await server.start())
        stack.push_async_callback(server.close)
        log.warning("NO ELEVENLABS KEY: the built-in stand-in speaks for it", modes=borrower.wanted)
