"""A session with the model: dial, TLS, negotiate, open the talk, keep what comes until somebody listens."""

import asyncio
import contextlib
import ssl
from collections.abc import Callable
from functools import lru_cache
from typing import Literal, Protocol
from urllib.parse import parse_qsl, quote, urlsplit

import msgspec
import structlog
from websockets.client import ClientProtocol
from websockets.exceptions import InvalidHandshake, InvalidStatus, InvalidURI
from websockets.uri import parse_uri

from app.adapters.link import WireLink
from app.core.phases import OPENING_ID
from app.errors import LinkClosed, ModelRefused, PeerError
from app.wire import realtime
from app.wire.dialects import Dialect, DialectName, SessionPlan
from app.wire.negotiation import Negotiation

log = structlog.get_logger()

MAX_MESSAGE = 16 << 20
KEPT_BYTES = 8 << 20
"""What a session that nobody listens to may gather: a greeting of a minute is a tenth of it."""
FIRST_WORD_SECONDS = 2.0


class Endpoint(msgspec.Struct, frozen=True, kw_only=True):
    """Where a model is, and how it wants to be addressed."""

    url: str
    key: str = ""
    auth: Literal["bearer", "api-key"] = "bearer"
    dialect: DialectName | None = None
    """None: detected."""

    def for_model(self, model: str) -> str:
        """The URL of one model; `?model=` is added where the URL names none."""
        parts = urlsplit(self.url)
        if {"model", "deployment"} & {name for name, _ in parse_qsl(parts.query, keep_blank_values=True)}:
            return self.url
        return f"{self.url}{'&' if parts.query else '?'}model={quote(model)}"

    def headers(self) -> dict[str, str]:
        """What proves who we are; nothing without a key."""
        if not self.key:
            return {}
        return {"api-key": self.key} if self.auth == "api-key" else {"Authorization": f"Bearer {self.key}"}


class Opening(msgspec.Struct, frozen=True, kw_only=True):
    """How the talk begins, once the session is ours."""

    history: list[tuple[str, str]] = []
    """(role, text) of what was said earlier in this call."""
    text: str = ""
    """A user's line that the model answers with its first words; empty: the caller speaks first."""
    instructions: str = ""
    """Instead of `text`: instructions of the first response, which replace the session's for it."""

    @property
    def speaks(self) -> bool:
        """Whether the agent speaks first."""
        return bool(self.text or self.instructions)

    def commands(self, dialect: Dialect) -> list[bytes]:
        """What to send when the session is ready."""
        lines = [realtime.add_text(role, text, dialect) for role, text in self.history]
        if self.text:
            lines.append(realtime.add_text("user", self.text, dialect))
        return [*lines, realtime.create_response(OPENING_ID, self.instructions)] if self.speaks else lines


class ModelListener(Protocol):
    """Who drives a call with this session."""

    def model_ready(self, *, opening: bool) -> None:
        """The session is configured, and its opening was sent."""
        ...

    def from_model(self, text: bytes) -> None:
        """One message after that."""
        ...

    def model_lost(self, why: str) -> None:
        """The session is over, or never came to be; called once."""
        ...


class ModelSession:
    """One session. `start` it early, `attach` a listener when there is one; `close` ends it at any time."""

    def __init__(
        self,
        endpoint: Endpoint,
        model: str,
        plan: SessionPlan,
        opening: Opening,
        *,
        ready_seconds: float = 10.0,
        note: Callable[[bytes], None] = lambda text: None,
    ) -> None:
        """note: is given every message of the negotiation, for the record of raw events."""
        self.endpoint = endpoint
        self.model = model
        self.opening = opening
        self.ready_seconds = ready_seconds
        self.note = note
        self.state: Literal["opening", "ready", "lost"] = "opening"
        self.why_lost = ""
        self._negotiation = Negotiation(plan, endpoint.dialect)
        self._link: WireLink | None = None
        self._listener: ModelListener | None = None
        self._kept: list[bytes] = []
        self._kept_bytes = 0
        self._ready: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._task: asyncio.Task[None] | None = None

    @property
    def dialect(self) -> Dialect:
        """The dialect that the server understood."""
        return self._negotiation.dialect

    def start(self) -> None:
        """Begin to dial; returns at once."""
        self._task = asyncio.get_running_loop().create_task(self._open(), name="model session")

    def attach(self, listener: ModelListener) -> None:
        """From now on this one hears everything; what was kept comes first, in order."""
        self._listener = listener
        if self.state == "lost":
            listener.model_lost(self.why_lost)
            return
        if self.state == "ready":
            listener.model_ready(opening=self.opening.speaks)
            kept, self._kept = self._kept, []
            for text in kept:
                listener.from_model(text)

    def send(self, text: bytes) -> None:
        """Write one command now. Raises LinkClosed, LinkClogged."""
        if self._link is None:
            raise LinkClosed
        self._link.send(text)

    def close(self) -> None:
        """End the session; nobody is told."""
        self._listener = None
        self._lose("closed by us")

    # --- opening ----------------------------------------------------------------------------------------------------

    async def _open(self) -> None:
        """Dial and negotiate; every way to fail becomes `model_lost`."""
        try:
            async with asyncio.timeout(self.ready_seconds):
                await self._dial()
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(asyncio.shield(self._ready), FIRST_WORD_SECONDS)
                if not self._ready.done():
                    self._say(self._negotiation.first_frame_unknown())
                await self._ready
        except ModelRefused as refusal:
            self._lose(str(refusal))
        except TimeoutError:
            self._lose(f"the model was not ready after {self.ready_seconds:g} s")
        except (OSError, PeerError, InvalidHandshake, InvalidURI, ValueError) as wrong:
            self._lose(f"no session with the model: {type(wrong).__name__}: {wrong}")
        except Exception as wrong:
            log.exception("a fault of ours while a session was opened")
            self._lose(f"no session with the model: {type(wrong).__name__}: {wrong}")

    async def _dial(self) -> None:
        """TCP, TLS with the certificate checked, upgrade. Raises OSError, ModelRefused, InvalidHandshake, ValueError."""
        uri = parse_uri(self.endpoint.for_model(self.model))
        core = ClientProtocol(uri, max_size=MAX_MESSAGE)
        request = core.connect()
        for name, value in self.endpoint.headers().items():
            request.headers[name] = value
        core.send_request(request)

        def end() -> WireLink:  # known before a byte comes: the server's first word may be in the segment of its 101
            self._link = WireLink(core, max_unsent=4 << 20)
            self._link.listener = self
            return self._link

        _, link = await asyncio.get_running_loop().create_connection(
            end,
            uri.host,
            uri.port,
            ssl=_tls() if uri.secure else None,
            server_hostname=uri.host if uri.secure else None,
        )
        try:
            await link.opened
        except InvalidStatus as refusal:
            status = refusal.response.status_code
            raise ModelRefused(
                f"expected an upgrade (101) from {uri.host}, got HTTP {status}{_meaning(status)}"
            ) from refusal
        except BaseException:
            link.abort()
            raise

    def heard(self, text: bytes) -> None:
        """A message from the server: part of the negotiation, or for the listener."""
        if self.state == "ready":
            if self._listener is not None:
                self._listener.from_model(text)
            else:
                self._keep(text)
            return
        if self.state == "opening":
            self.note(text)
            try:
                self._say(self._negotiation.receive(realtime.parse(text)))
            except ModelRefused as refusal:
                if not self._ready.done():
                    self._ready.set_exception(refusal)
                return
            except PeerError as wrong:
                log.warning("message of the model's server passed over", why=str(wrong))
            if self._negotiation.ready:
                self._begin()

    def closed(self, code: int, reason: str) -> None:
        """The server closed, or the line broke."""
        why = f"the model's end closed with {code} {reason}".rstrip()
        if self.state == "opening" and not self._ready.done():
            self._ready.set_exception(ModelRefused(why) if code == 4000 else LinkClosed(why))
            self._ready.exception()
        if self.state == "ready":
            self._lose(why)

    def _begin(self) -> None:
        """The session is ours: open the talk, and let the listener know."""
        self.state = "ready"
        self._say(self.opening.commands(self.dialect))
        if not self._ready.done():
            self._ready.set_result(None)
        if self._listener is not None:
            self._listener.model_ready(opening=self.opening.speaks)

    def _say(self, commands: list[bytes]) -> None:
        for command in commands:
            try:
                self.send(command)
            except PeerError as wrong:
                log.info("the model's end is gone", why=str(wrong))
                return

    def _keep(self, text: bytes) -> None:
        self._kept.append(text)
        self._kept_bytes += len(text)
        if self._kept_bytes > KEPT_BYTES:
            self._lose("nobody listened, and too much was said")

    def _lose(self, why: str) -> None:
        if self.state == "lost":
            return
        self.state, self.why_lost = "lost", why
        self._kept.clear()
        if self._task is not None and self._task is not _current_task():
            self._task.cancel()
        if self._link is not None:
            self._link.close()
        if self._listener is not None:
            listener, self._listener = self._listener, None
            listener.model_lost(why)


@lru_cache(maxsize=1)
def _tls() -> ssl.SSLContext:
    """One context for all sessions: to make one reads every authority of the system, 25 ms of a standing loop."""
    return ssl.create_default_context()


def _current_task() -> asyncio.Task[None] | None:
    """The running task; None in a plain callback."""
    return asyncio.current_task()


def _meaning(status: int) -> str:
    """What a refusal usually means."""
    return {
        401: ": the key is wrong",
        403: ": the key may not use this model",
        404: ": there is no such model or path",
        429: ": too many sessions, or no quota left",
    }.get(status, "")
