"""Where a model is, how to get a socket to it, and what this process has learnt of it.

A dial is a name look-up, TCP, TLS with the certificate checked, and the upgrade. What comes of it is a `FreshLink`: nothing was
said on it by us, and what the server says waits in it, in order, for whoever takes it over.
"""

import asyncio
import ipaddress
import ssl
from collections.abc import Callable
from functools import lru_cache
from urllib.parse import parse_qsl, quote, urlsplit

import msgspec
from websockets.client import ClientProtocol
from websockets.exceptions import InvalidHandshake, InvalidStatus, InvalidURI
from websockets.protocol import State
from websockets.uri import WebSocketURI, parse_uri

from app.adapters.link import Listener, WireLink
from app.errors import LinkClosed, ModelRefused, PeerError
from app.others_words import one_word
from app.rules.engines import Auth, Codec, DialectName, Engine, profile
from app.wire.dialects import SessionPlan

MAX_MESSAGE = 16 << 20
MAX_UNSENT = 4 << 20
FATAL_CLOSE = 4000
"""The close code of a server that will not have us. Source: openai-realtime facts, 7."""
ADDRESS_SECONDS = 60.0
"""How long an address that answered is dialled again without a look-up; a balancer in the DNS is asked once a minute."""
KNOWN_ADDRESS_SECONDS = 1.0
"""... and how long it may take to answer, before it is looked up again."""
FIRST_BYTES = 256 * 1024
"""What a server may say before we have said anything."""
DIAL_ERRORS = (OSError, PeerError, InvalidHandshake, InvalidURI, ValueError)
"""Every way in which a dial fails; TimeoutError is an OSError."""

MEANING = {
    401: ": the key is wrong",
    403: ": the key may not use this model",
    404: ": there is no such model or path",
    429: ": too many sessions, or no quota left",
}
"""What a refusal usually means."""


class Endpoint(msgspec.Struct, frozen=True, kw_only=True):
    """Where a model is, and how it wants to be addressed."""

    url: str
    key: str = ""
    engine: Engine | None = None
    """What kind of server it is. None: as its address says."""
    auth: Auth | None = None
    """None: the engine's."""
    dialect: DialectName | None = None
    """None: detected."""
    codec: Codec | None = None
    """How the caller's speech is sent, and no other way; the agent's comes as u-law with `pcmu`, else as PCM16 at 24 kHz.
    None: the engine's."""

    @property
    def profile(self) -> Engine:
        """The engine, with what this endpoint says otherwise."""
        return _profile(self)

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
        return {"api-key": self.key} if self.profile.auth == "api-key" else {"Authorization": f"Bearer {self.key}"}


@lru_cache(maxsize=64)
def _profile(endpoint: Endpoint) -> Engine:
    return profile(endpoint.url, endpoint.engine, auth=endpoint.auth, codec=endpoint.codec)


class Known:
    """What this process has learnt of servers: dialects, configurations they took, voices and codecs they lack, addresses.

    Only what worked is kept, and it is forgotten as soon as it fails once.
    """

    def __init__(self) -> None:
        self._dialects: dict[str, DialectName] = {}
        self._taken: set[tuple[str, bytes]] = set()
        self._addresses: dict[tuple[str, int], tuple[str, float]] = {}
        self._slow: set[str] = set()
        self._codecs: dict[str, tuple[Codec, Codec]] = {}
        self._voices: dict[tuple[str, str], str] = {}
        self._told: set[tuple[str, str]] = set()

    def dialect(self, url: str) -> DialectName | None:
        """The dialect in which the server at a URL (with its model) took a configuration; None: not known."""
        return self._dialects.get(url)

    def takes(self, url: str, plan: SessionPlan) -> bool:
        """Whether it took this very configuration before; its instructions, which differ by call, do not count."""
        return (url, _shape(plan)) in self._taken

    def took(self, url: str, dialect: DialectName, plan: SessionPlan, *, asked: SessionPlan | None = None) -> None:
        """The server said `session.updated` to this. asked: what it was asked for first, if it refused some of that."""
        self._dialects[url] = dialect
        self._taken.add((url, _shape(plan)))
        if asked is not None and (asked.hears, asked.speaks) != (plan.hears, plan.speaks):
            self._codecs[url] = (plan.hears, plan.speaks)
        if asked is not None and asked.voice != plan.voice:
            self._voices[url, asked.voice] = plan.voice

    def fitted(self, url: str, plan: SessionPlan) -> SessionPlan:
        """A configuration, less what the server has refused before."""
        hears, speaks = self._codecs.get(url, (plan.hears, plan.speaks))
        voice = self._voices.get((url, plan.voice), plan.voice)
        return msgspec.structs.replace(plan, hears=hears, speaks=speaks, voice=voice)

    def first_told(self, url: str, what: str) -> bool:
        """Whether this is told of a server for the first time: what is so in every call is logged once."""
        news = (url, what) not in self._told
        self._told.add((url, what))
        return news

    def forget(self, url: str) -> None:
        """The server refused what it took before: next time it is asked."""
        self._dialects.pop(url, None)
        self._codecs.pop(url, None)
        self._taken = {pair for pair in self._taken if pair[0] != url}
        self._voices = {pair: voice for pair, voice in self._voices.items() if pair[0] != url}

    def slow(self, url: str) -> bool:
        """Whether the server at a URL was alive, and took longer than thought to say so."""
        return url in self._slow

    def was_slow(self, url: str) -> None:
        """The server took longer than thought."""
        self._slow.add(url)

    def address(self, host: str, port: int, now: float) -> str:
        """The address that answered for a host lately; empty if none did."""
        address, until = self._addresses.get((host, port), ("", 0.0))
        return address if now < until else ""

    def answered(self, host: str, port: int, address: str, now: float) -> None:
        """A host was reached at an address, which is good for the next minute."""
        self._addresses[host, port] = (address, now + ADDRESS_SECONDS)

    def silent(self, host: str, port: int) -> None:
        """The address does not answer any more."""
        self._addresses.pop((host, port), None)


class FreshLink:
    """An open link on which we have said nothing. What the server says is kept until somebody takes the link over."""

    def __init__(self, link: WireLink) -> None:
        self.link = link
        self.kept: list[bytes] = []
        self.news: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        """Done with the server's first word, or with the link's end."""
        self._kept_bytes = 0
        self.born = asyncio.get_running_loop().time()
        """Its session's time is counted from here."""
        self.waited = False
        """Whether the first word was waited for, be it in vain."""
        self.end: tuple[int, str] | None = None
        """Code and reason, once the link is over."""
        self._watch: Callable[[int, str], None] | None = None
        link.listener = self

    @property
    def alive(self) -> bool:
        """Whether a message could be written now."""
        transport = self.link.transport
        closing = transport is None or transport.is_closing()
        return self.end is None and not closing and self.link.core.state is State.OPEN

    def heard(self, text: bytes) -> None:
        """The server speaks first. One that goes on and on is dropped."""
        self.kept.append(text)
        self._kept_bytes += len(text)
        if self._kept_bytes > FIRST_BYTES:
            self.kept.clear()
            self.link.abort()
        self._wake()

    def closed(self, code: int, reason: str) -> None:
        """The server closed, or the line broke."""
        self.end = (code, reason)
        self._wake()
        if self._watch is not None:
            self._watch(code, reason)

    def watch(self, ended: Callable[[int, str], None]) -> None:
        """Tell when the link ends, until it is taken over or closed by us; soon, if it has ended already."""
        self._watch = ended
        if self.end is not None:
            asyncio.get_running_loop().call_soon(ended, *self.end)

    def hand_over(self, listener: Listener) -> WireLink:
        """From now on `listener` hears everything; what was kept comes first, in order, then the end if it came."""
        self._watch = None
        self.link.listener = listener
        kept, self.kept = self.kept, []
        for text in kept:
            listener.heard(text)
        if self.end is not None:
            listener.closed(*self.end)
        return self.link

    def close(self) -> None:
        """Nobody needs it."""
        self._watch = None
        self.link.listener = None
        self.link.close()

    def _wake(self) -> None:
        if not self.news.done():
            self.news.set_result(None)


async def dial(endpoint: Endpoint, model: str, known: Known) -> FreshLink:
    """An open link to a model's server. Raises one of DIAL_ERRORS; cancelled, it leaves no socket behind."""
    uri = parse_uri(endpoint.for_model(model))
    loop = asyncio.get_running_loop()
    address = known.address(uri.host, uri.port, loop.time())
    if address:
        try:
            return await _dial(endpoint, uri, address, connect_seconds=KNOWN_ADDRESS_SECONDS)
        except (OSError, LinkClosed):  # a timeout is an OSError
            known.silent(uri.host, uri.port)
    fresh = await _dial(endpoint, uri, uri.host)
    if not _is_address(uri.host):
        assert fresh.link.transport is not None
        peer = fresh.link.transport.get_extra_info("peername")
        if peer:
            known.answered(uri.host, uri.port, peer[0], loop.time())
    return fresh


async def _dial(endpoint: Endpoint, uri: WebSocketURI, host: str, *, connect_seconds: float | None = None) -> FreshLink:
    """host: the name, or an address of it; the certificate is always checked against the name.

    connect_seconds: for TCP and TLS. The upgrade is the server's own work and may take longer.
    """
    core = ClientProtocol(uri, max_size=MAX_MESSAGE)
    request = core.connect()
    for name, value in endpoint.headers().items():
        request.headers[name] = value
    core.send_request(request)
    link = WireLink(core, max_unsent=MAX_UNSENT)
    fresh = FreshLink(link)  # before a byte comes: the server's first word may be in the segment of its 101
    secure = {"ssl": tls(), "server_hostname": uri.host} if uri.secure else {}
    try:
        async with asyncio.timeout(connect_seconds):
            await asyncio.get_running_loop().create_connection(lambda: link, host, uri.port, **secure)  # type: ignore[call-overload]
        await link.opened
    except BaseException as wrong:
        link.abort()
        if isinstance(wrong, InvalidStatus):
            status = wrong.response.status_code
            meaning = MEANING.get(status, "")
            raise ModelRefused(f"expected an upgrade (101) from {uri.host}, got HTTP {status}{meaning}") from wrong
        raise
    return fresh


def closed_by_server(code: int, reason: str) -> PeerError:
    """What it means that the server closed a link before a session was ours."""
    why = f"the model's end closed with {code} {one_word(reason)}".rstrip()
    return ModelRefused(why) if code == FATAL_CLOSE else LinkClosed(why)


@lru_cache(maxsize=1)
def tls() -> ssl.SSLContext:
    """One context for all links: to make one reads every authority of the system, 25 ms of a standing loop."""
    return ssl.create_default_context()


def _shape(plan: SessionPlan) -> bytes:
    """A configuration but for its instructions."""
    return msgspec.json.encode(msgspec.structs.replace(plan, instructions=""))


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True
