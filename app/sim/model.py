"""The model stand-in: a server of the realtime protocol that follows a script. For tests, rehearsals and a trial without a key.

Doors: `/v1/realtime?model=`, and as at Azure `/openai/v1/realtime?model=` and `/openai/realtime?api-version=&deployment=`
(WebSocket), where it behaves as the real servers do; and
`/control` (WebSocket, from this machine only), which is told who will call and by which script. A control message is JSON:

    {"number": "+14155550133", "script": {...}, "today": "2026-12-01", "faults": {...}}    -> {"ok": true}
    {"watch": "+14155550133"}      -> {"ok": true}, then a line for all that is done for that caller: heard, says, calls, ...
    {"forget": "+14155550133"}     -> {"ok": true}

`today` (default: the server's own) and `faults` (app.sim.model_faults) may be left out. What is wrong with a message is
answered {"ok": false, "error": "..."}. A session is that caller's whose number stands in its instructions.
"""

import asyncio
import contextlib
import re
from collections.abc import Callable, Sequence
from datetime import date
from http import HTTPStatus
from secrets import compare_digest
from typing import Any
from urllib.parse import parse_qs, urlsplit

import msgspec
import structlog
from websockets.asyncio.server import Server, ServerConnection, serve
from websockets.exceptions import ConnectionClosed
from websockets.http11 import Request, Response

from app.errors import SetupError
from app.sim import voices as rehearsal_voices
from app.sim.hearing_worker import Hearing
from app.sim.model_checks import Refused
from app.sim.model_faults import Faults
from app.sim.model_mind import Rehearsal
from app.sim.model_response import Manner
from app.sim.model_session import Session
from app.sim.model_shapes import SHAPES, Audio, Dialect, speaking
from app.sim.model_sound import Repertoire, Voices
from app.sim.model_talk import Closing, error_event
from app.sim.script import Script, load, parse, shipped

log = structlog.get_logger()

AZURE_PREVIEW = "/openai/realtime"
PATHS = ("/v1/realtime", "/openai/v1/realtime", AZURE_PREVIEW)
CONTROL = "/control"
LARGEST_MESSAGE = 16 * 1024 * 1024
KEPT_SESSIONS = 200


class _Control(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """A control message."""

    number: str = ""
    script: dict[str, Any] | None = None
    today: date | None = None
    faults: Faults | None = None
    watch: str = ""
    forget: str = ""


class ModelServer:
    """`scripts` (default: the shipped ones) are there for their own callers and, line by line, for callers nobody announced.

    hearing: understands callers nobody announced by phrases instead (listening.toml); it is closed with the server.
    audio: the codecs that it has; the others it refuses.
    first_audio_ms, pace, delta_ms, ragged, transcription_ms: see Manner. api_key: what a client must present; None: anything.
    today: the business's day. faults: for all sessions but those of a call that has its own; may be set at any time.
    """

    def __init__(
        self, *, dialect: Dialect = "ga", audio: Audio = "any", scripts: Sequence[Script] | None = None,
        today: Callable[[], date] = date.today, first_audio_ms: int = 200, pace: float = 5.0, delta_ms: int = 200,
        ragged: bool = False, transcription_ms: int = 100, api_key: str | None = None, faults: Faults | None = None,
        voices: Voices = rehearsal_voices, hearing: Hearing | None = None,
    ) -> None:  # fmt: skip
        self.shape = speaking(SHAPES[dialect], audio)
        self.scripts = [load(path) for path in shipped().values()] if scripts is None else list(scripts)
        self.today = today
        self.manner = Manner(
            first_audio_ms=first_audio_ms,
            pace=pace,
            delta_ms=delta_ms,
            ragged=ragged,
            transcription_ms=transcription_ms,
        )
        self.api_key = api_key
        self.faults = faults or Faults()
        self.repertoire = Repertoire(voices)
        self.hearing = hearing
        self.sessions: list[Session] = []
        """Newest last; of those that are over, as many as make 200 are kept."""
        self.live: set[Session] = set()
        self._rehearsals: dict[str, Rehearsal] = {}
        self._watchers: dict[str, set[asyncio.Queue[dict[str, Any]]]] = {}
        self._server: Server | None = None
        for script in self.scripts:
            self.register(script)

    async def start(self, host: str = "127.0.0.1", port: int = 0) -> str:
        """Listen; returns the URL for REALTIME_URL. Port 0 takes a free one. Raises SetupError if it cannot."""
        try:
            self._server = await serve(
                self._serve, host, port, process_request=self._admit, compression=None, max_size=LARGEST_MESSAGE,
                ping_interval=None, close_timeout=1, server_header=None,
            )  # fmt: skip
        except OSError as error:
            raise SetupError(
                f"the model stand-in cannot listen on {host}:{port}: {error}; choose another port"
            ) from error
        port = next(iter(self._server.sockets)).getsockname()[1]
        return f"ws://{host}:{port}/v1/realtime"

    def load_shipped(self) -> None:
        """Take the shipped scripts, for their own callers and for callers nobody announced. Any thread may call it."""
        for path in shipped().values():
            script = load(path)
            self.register(script)
            self.scripts.append(script)

    async def close(self) -> None:
        """Close all connections and stop listening."""
        if self._server is not None:
            self._server.close()
            await self._server.wait_closed()
            self._server = None
        if self.hearing is not None:
            await self.hearing.close()

    def register(
        self, script: Script, *, number: str = "", today: date | None = None, faults: Faults | None = None
    ) -> Rehearsal:
        """The next calls of that number (default: the script's own) go by this script, from its beginning.

        Raises SetupError if the caller has a line that the caller's voice cannot say.
        """
        number = number or script.caller.number
        faults = script.model if faults is None else faults
        rehearsal = Rehearsal([script], (lambda: today) if today else self.today, number=number, faults=faults)
        rehearsal.check(self.repertoire)
        self._rehearsals.pop(number, None)
        self._rehearsals[number] = rehearsal
        return rehearsal

    def rehearsal(self, instructions: str) -> Rehearsal:
        """The rehearsal of the caller whose number stands in a prompt; for none, one that takes any line of any script."""
        for number, rehearsal in reversed(self._rehearsals.items()):
            if re.search(re.escape(number) + r"(?!\d)", instructions):
                return rehearsal
        return Rehearsal(self.scripts, self.today)

    def faults_for(self, rehearsal: Rehearsal) -> Faults:
        """What is to go wrong in the next session of a call."""
        faults = self.faults if rehearsal.faults is None else rehearsal.faults
        rehearsal.sessions += 1
        return faults if faults.sessions is None or rehearsal.sessions <= faults.sessions else Faults()

    def publish(self, number: str, note: dict[str, Any]) -> None:
        """Tell those who watch a caller."""
        for queue in self._watchers.get(number, ()):
            queue.put_nowait(note)

    def _admit(self, connection: ServerConnection, request: Request) -> Response | None:
        """Refuse at the upgrade what the real server refuses there. Source: handshake failures are plain HTTP answers."""
        path = urlsplit(request.path).path
        if path == CONTROL:
            near = connection.remote_address and connection.remote_address[0] in ("127.0.0.1", "::1")
            return None if near else connection.respond(HTTPStatus.FORBIDDEN, "only from this machine\n")
        if path not in PATHS:
            return connection.respond(HTTPStatus.NOT_FOUND, f"no such door; the stand-in has {', '.join(PATHS)}\n")
        if path == AZURE_PREVIEW and "api-version" not in parse_qs(urlsplit(request.path).query):
            return connection.respond(HTTPStatus.NOT_FOUND, '{"error":{"code":"404","message":"Resource not found"}}')
        if self.faults.refuse_status:
            return connection.respond(HTTPStatus(self.faults.refuse_status), "the stand-in was told to refuse\n")
        azure = path.startswith("/openai/")  # there a key is no bearer token
        header = request.headers.get("api-key" if azure else "Authorization", "")
        given = header if azure else header.removeprefix("Bearer ")
        wrong = self.api_key is not None and not compare_digest(given.encode(), self.api_key.encode())
        if wrong or self.faults.refuse_key:
            refused = Refused("invalid_api_key", "Incorrect API key provided.")
            body = msgspec.json.encode({"error": error_event(refused)["error"]}).decode()
            return connection.respond(HTTPStatus.UNAUTHORIZED, body)
        return None

    async def _serve(self, connection: ServerConnection) -> None:
        request = connection.request
        assert request is not None
        parts = urlsplit(request.path)
        query = parse_qs(parts.query)
        with contextlib.suppress(ConnectionClosed):
            if parts.path == CONTROL:
                await self._control(connection)
            elif self.faults.hang:
                async for _ in connection:
                    pass  # heard, and never answered
            elif self.shape.dialect == "ga" and "realtime=v1" in request.headers.get("OpenAI-Beta", ""):
                refused = "The Realtime Beta API is no longer supported. Please use /v1/realtime for the GA API."
                await _turn_away(connection, Refused("beta_api_shape_disabled", refused))
            elif model := (query.get("model") or query.get("deployment") or [""])[0]:
                await self._session(connection, model)
            else:
                await _turn_away(connection, Refused("missing_model", "You must provide a model parameter.", "model"))

    async def _session(self, connection: ServerConnection, model: str) -> None:
        """Run one session until either end closes."""
        outbox: asyncio.Queue[bytes | Closing | None] = asyncio.Queue()
        session = Session(self, model, outbox)
        self._keep(session)
        writer = asyncio.create_task(_write(connection, outbox))
        session.open()
        try:
            while not session.deaf.is_set():
                session.receive(await connection.recv(decode=False))
            await connection.wait_closed()
        finally:
            self.live.discard(session)
            session.close()
            writer.cancel()
            with contextlib.suppress(asyncio.CancelledError, ConnectionClosed):
                await writer

    def _keep(self, session: Session) -> None:
        self.live.add(session)
        self.sessions.append(session)
        over = [old for old in self.sessions if old not in self.live]
        for old in over[: max(0, len(self.sessions) - KEPT_SESSIONS)]:
            self.sessions.remove(old)

    async def _control(self, connection: ServerConnection) -> None:
        watching: set[asyncio.Task[None]] = set()
        queue: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
        try:
            async for message in connection:
                try:
                    self._obey(msgspec.json.decode(message, type=_Control), queue)
                    answer: dict[str, Any] = {"ok": True}
                except (msgspec.MsgspecError, SetupError) as error:
                    answer = {"ok": False, "error": str(error)}
                await connection.send(msgspec.json.encode(answer), text=True)
                if not watching:
                    watching.add(asyncio.create_task(_stream(connection, queue)))
        finally:
            for watchers in self._watchers.values():
                watchers.discard(queue)
            for task in watching:
                task.cancel()
            await asyncio.gather(*watching, return_exceptions=True)

    def _obey(self, control: _Control, queue: "asyncio.Queue[dict[str, Any]]") -> None:
        if not (control.number or control.watch or control.forget):
            raise SetupError('expected "number" with "script", "watch" or "forget", got none of them')
        if control.forget:
            self._rehearsals.pop(control.forget, None)
        if control.number:
            if control.script is None:
                raise SetupError('"number" needs a "script": the rehearsal that this caller plays')
            script = parse(control.script, f"script for {control.number}")
            self.register(script, number=control.number, today=control.today, faults=control.faults)
            log.info("stand-in: caller announced", number=control.number, script=script.title)
        if control.watch:
            self._watchers.setdefault(control.watch, set()).add(queue)


async def _turn_away(connection: ServerConnection, refused: Refused) -> None:
    """What the real server does where it cannot begin a session: the upgrade succeeds, then an error and close 4000."""
    event = {"event_id": "event_refused", **error_event(refused)}
    await connection.send(msgspec.json.encode(event), text=True)
    await connection.close(4000, f"invalid_request_error.{refused.code}")


async def _write(connection: ServerConnection, outbox: "asyncio.Queue[bytes | Closing | None]") -> None:
    """Send what a session has to say, in order; its last word closes or tears the connection."""
    with contextlib.suppress(ConnectionClosed):
        while True:
            match await outbox.get():
                case None:
                    connection.transport.abort()
                case Closing(code=code, reason=reason):
                    await connection.close(code, reason)
                case event:
                    await connection.send(event, text=True)


async def _stream(connection: ServerConnection, queue: "asyncio.Queue[dict[str, Any]]") -> None:
    with contextlib.suppress(ConnectionClosed):
        while True:
            await connection.send(msgspec.json.encode(await queue.get()), text=True)
