"""A socket to a text-to-speech server, open for a whole call: each answer is a context of its own on it.

It is dialled beside the model's session, so that the greeting need not wait for it. What is to be spoken before it is open
waits. A server closes a socket that is idle; it is then dialled again at once, and nobody notices. A socket that is lost while
something is to be spoken on it, or cannot be had, is lost for good: `voice_lost`, once.
"""

import asyncio
from collections.abc import Callable
from typing import Literal, Protocol
from urllib.parse import quote, urlencode

import msgspec
import structlog
from websockets.client import ClientProtocol
from websockets.exceptions import InvalidStatus
from websockets.uri import parse_uri

from app.adapters.endpoint import DIAL_ERRORS, tls
from app.adapters.link import WireLink
from app.errors import LinkClosed, PeerError
from app.others_words import one_word
from app.rules.elevenlabs import ElevenLabs
from app.wire import elevenlabs
from app.wire.elevenlabs import CONTEXTS, Refused, Sound, Spoken

log = structlog.get_logger()

MAX_MESSAGE = 4 << 20
DIAL_SECONDS = 5.0
KEEP_SECONDS = 8.0
"""A context whose text is slow is told so often that more comes; it would end after 20 s by default."""
REDIALS = 3
"""How often in a row an idle socket that was closed is dialled again, without a word spoken on it."""
MEANING = {
    401: ": the key is wrong",
    403: ": the key may not do this",
    404: ": no such voice",
    429: ": too many at once",
}


class TtsServer(msgspec.Struct, frozen=True):
    """Where a text-to-speech server is. url: its origin, ws or wss. key: empty for a server that asks for none."""

    url: str
    key: str = ""

    def address(self, voice: ElevenLabs) -> str:
        """The URL of one voice's socket."""
        path = f"/v1/text-to-speech/{quote(voice.voice_id)}/multi-stream-input"
        return f"{self.url.rstrip('/')}{path}?{urlencode(elevenlabs.query(voice))}"


Cause = Literal["refused", "unreachable", "broken", "stalled"]
"""refused: the server will not, and would not a moment later."""


class TtsListener(Protocol):
    """Who is told what is spoken. None of it may raise."""

    def sounds(self, sound: Sound) -> None:
        """A piece of a context's speech."""
        ...

    def spoken(self, context: str) -> None:
        """All of a context was spoken."""
        ...

    def voice_lost(self, why: str, cause: Cause) -> None:
        """Nothing is spoken any more."""
        ...


class TtsLink:
    """One call's voice. `start` it early; `close` ends it at any time, and nobody is told."""

    def __init__(self, server: TtsServer, voice: ElevenLabs, listener: TtsListener) -> None:
        self.server = server
        self.voice = voice
        self.lost = False
        self._listener: TtsListener | None = listener
        self._link: WireLink | None = None
        self._waiting: list[bytes] = []
        self._begun: set[str] = set()
        """Contexts on the socket that are to be heard."""
        self._draining: set[str] = set()
        """Contexts that nobody wants any more, and that still speak: they take up room until they are done."""
        self._redials = 0
        self._task: asyncio.Task[None] | None = None
        self._keeper: asyncio.TimerHandle | None = None

    def start(self) -> None:
        """Dial; returns at once."""
        self._task = asyncio.get_running_loop().create_task(self._dial(), name="text to speech")

    def say(self, context: str, text: str) -> None:
        """Speak a piece of a text behind what the context has already."""
        if self.lost:
            return
        if context in self._begun:
            self._send(elevenlabs.more(context, text))
            return
        if len(self._begun) + len(self._draining) >= CONTEXTS:
            self._renew()
        self._begun.add(context)
        self._send(elevenlabs.begin(context, text, self.voice))
        self._keep()

    def finish(self, context: str) -> None:
        """No more text comes for a context; `spoken` follows once all of it was."""
        if context in self._begun:
            self._send(elevenlabs.close(context))

    def drop(self, context: str) -> None:
        """Nobody wants to hear any more of a context."""
        if context not in self._begun:
            return
        self._begun.discard(context)
        self._draining.add(context)
        self._send(elevenlabs.close(context))
        if len(self._draining) >= CONTEXTS - 1 and not self._begun:
            self._renew()  # now, while the caller speaks, and not when the next answer is due

    def close(self) -> None:
        """The call is over, or goes on in another voice."""
        self._listener = None
        self.lost = True
        self._leave()
        if self._task is not None:
            self._task.cancel()
        if self._keeper is not None:
            self._keeper.cancel()

    # --- the socket -------------------------------------------------------------------------------------------------

    async def _dial(self) -> None:
        address = self.server.address(self.voice)
        try:
            async with asyncio.timeout(DIAL_SECONDS):
                link = await _open(address, self.server.key)
        except TimeoutError:
            self._lose(f"no connection to the voice's server after {DIAL_SECONDS:g} s", "unreachable")
            return
        except DIAL_ERRORS as wrong:
            status = wrong.response.status_code if isinstance(wrong, InvalidStatus) else 0
            said = f"HTTP {status}{MEANING.get(status, '')}" if status else f"{type(wrong).__name__}: {wrong}"
            self._lose(f"no connection to the voice's server: {said}", "refused" if 0 < status < 500 else "unreachable")
            return
        self._link = link
        link.listener = self
        waiting, self._waiting = self._waiting, []
        for command in waiting:
            self._send(command)

    def _send(self, command: bytes) -> None:
        if self._link is None:
            self._waiting.append(command)
            return
        try:
            self._link.send(command)
        except PeerError as wrong:
            self._lose(f"the voice's server takes no more: {wrong}", "broken")

    def _renew(self) -> None:
        """Take another socket: this one is full of speech that nobody wants."""
        if self._begun or self.lost:
            return
        log.info("another socket to the voice's server", draining=len(self._draining))
        self._leave()
        self.start()

    def _leave(self) -> None:
        link, self._link = self._link, None
        self._draining.clear()
        if link is None:
            return
        link.listener = None
        try:
            link.send(elevenlabs.close_socket())
        except PeerError:  # it is closed already
            return
        link.close()

    def _keep(self) -> None:
        """Look after contexts whose text is slow, while there are any."""
        if self._keeper is not None:
            self._keeper.cancel()
        self._keeper = asyncio.get_running_loop().call_later(KEEP_SECONDS, self._kept)

    def _kept(self) -> None:
        self._keeper = None
        for context in self._begun:
            self._send(elevenlabs.keep(context))
        if self._begun and not self.lost:
            self._keep()

    # --- `Listener` of the socket -----------------------------------------------------------------------------------

    def heard(self, text: bytes) -> None:
        """One message of the server's."""
        try:
            message = elevenlabs.parse(text)
        except PeerError as wrong:
            log.warning("message of the voice's server passed over", why=str(wrong))
            return
        match message:
            case Sound(context=context) if context in self._begun:
                self._redials = 0
                self._tell(lambda listener: listener.sounds(message))
            case Spoken(context=context):
                self._draining.discard(context)
                if context in self._begun:
                    self._begun.discard(context)
                    self._tell(lambda listener: listener.spoken(context))
            case Refused() if not self._begun:
                log.info(
                    "the voice's server is about to close", why=one_word(message.code)
                )  # it idled: `closed` follows
            case Refused(code=code):
                self._lose(f"the voice's server refuses: {one_word(code)}", "refused")

    def closed(self, code: int, reason: str) -> None:
        """The server closed, or the line broke. An idle socket is dialled again."""
        self._link = None
        self._draining.clear()
        self._redials += 1
        if self._begun or self._waiting or self._redials > REDIALS:
            self._lose(f"the voice's server closed with {code} {one_word(reason)}".rstrip(), "broken")
        elif not self.lost:
            log.info("an idle socket to the voice's server was closed", code=code, reason=one_word(reason))
            self.start()

    def _lose(self, why: str, cause: Cause) -> None:
        if self.lost:
            return
        listener = self._listener
        self.close()
        if listener is not None:
            listener.voice_lost(why, cause)

    def _tell(self, what: Callable[[TtsListener], None]) -> None:
        if self._listener is not None:
            what(self._listener)


async def _open(address: str, key: str) -> WireLink:
    """An open socket; cancelled, it leaves none behind. Raises one of DIAL_ERRORS."""
    uri = parse_uri(address)
    core = ClientProtocol(uri, max_size=MAX_MESSAGE)
    request = core.connect()
    if key:
        request.headers["xi-api-key"] = key
    core.send_request(request)
    link = WireLink(core)
    secure = {"ssl": tls(), "server_hostname": uri.host} if uri.secure else {}
    try:
        await asyncio.get_running_loop().create_connection(lambda: link, uri.host, uri.port, **secure)  # type: ignore[call-overload]
        await link.opened
    except BaseException:
        link.abort()
        raise
    if link.transport is None or link.transport.is_closing():
        raise LinkClosed("the voice's server closed at once")
    return link
