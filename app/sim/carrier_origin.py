"""Where the server says it is, and where it really is: URLs stay public for signing and are mapped only to connect."""

import ipaddress
from dataclasses import dataclass
from urllib.parse import SplitResult, urldefrag, urljoin, urlsplit, urlunsplit

from app.errors import SetupError
from app.sim.twiml_document import Refused

_PORTS = {"http": 80, "ws": 80, "https": 443, "wss": 443}
_SECURE = ("https", "wss")


def is_loopback(host: str | None) -> bool:
    """True for localhost and the loopback addresses."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host or "").is_loopback
    except ValueError:
        return False


@dataclass(frozen=True)
class Route:
    """How to reach a URL: what to open, the Host header, and for a socket the address to connect to instead."""

    url: str
    host: str
    connect: tuple[str, int] | None = None


class Origin:
    """The server's public origin, and where to connect for it (None: the same)."""

    def __init__(self, public_url: str, connect_to: str | None = None) -> None:
        """Raise SetupError for anything but https://HOST, or http:// on a loopback host."""
        public = urlsplit(public_url.rstrip("/"))
        if public.scheme not in ("http", "https") or not public.hostname or public.query or public.fragment:
            raise SetupError(f"public_url must look like https://HOST[:PORT], got {public_url!r}")
        if public.scheme == "http" and not is_loopback(public.hostname):
            raise SetupError(f"public_url may be http only on a loopback host, got {public_url!r}; use https")
        real = urlsplit((connect_to or public_url).rstrip("/"))
        if real.scheme not in ("http", "https") or not real.hostname:
            raise SetupError(f"connect_to must look like http://127.0.0.1:PORT, got {connect_to!r}")
        self.public_url = urlunsplit(public)
        self._public = public
        self._real = real

    def absolute(self, url: str, base: str) -> str:
        """Resolve a URL of a TwiML document against the document's own; the fragment stays.

        Raises Refused 11100 for what is not HTTP then: literal TwiML has no base, so it needs absolute URLs.
        """
        try:
            whole = urljoin(base, url.strip()) if base else url.strip()
            split = urlsplit(whole)
            usable = split.scheme in ("http", "https") and bool(split.hostname) and split.port != 0
        except ValueError:
            usable = False
        if not usable:
            raise Refused(11100, f"expected an absolute http(s) URL, came {url!r}")
        return whole

    def stream_url(self, url: str, base: str) -> str:
        """Resolve a <Stream> url to its ws form.

        Raises Refused 31920 (query string), 31922 (scheme: ws only to loopback), 31923 (malformed).
        """
        ws_base = base.replace("http", "ws", 1) if base else ""
        try:
            whole = urldefrag(urljoin(ws_base, url.strip()) if ws_base else url.strip()).url
            split = urlsplit(whole)
            _ = split.port
        except ValueError as error:
            raise Refused(31923, f"Stream url {url!r} is malformed: {error}") from error
        if not split.hostname:
            raise Refused(31923, f"Stream url {url!r} is malformed: it has no host")
        if split.scheme != "wss" and not (split.scheme == "ws" and is_loopback(split.hostname)):
            raise Refused(31922, f"Stream url must be wss://, came {whole!r}")
        if split.query:
            raise Refused(31920, f"Stream url takes no query string, came {whole!r}; use <Parameter> or the path")
        return whole

    def route(self, url: str) -> Route:
        """How to reach a URL (http, https, ws or wss; without fragment)."""
        split = urlsplit(urldefrag(url).url)
        host = split.netloc.rpartition("@")[2]
        if _address(split) != _address(self._public):
            return Route(urlunsplit(split), host)
        secure = self._real.scheme in _SECURE
        if split.scheme in ("ws", "wss"):
            opened = split._replace(scheme="wss" if secure else "ws", netloc=host)
            return Route(urlunsplit(opened), host, (self._real.hostname or "", _port(self._real)))
        return Route(urlunsplit(split._replace(scheme=self._real.scheme, netloc=self._real.netloc)), host)


def _port(split: SplitResult) -> int:
    return split.port or _PORTS[split.scheme]


def _address(split: SplitResult) -> tuple[bool, str | None, int]:
    return split.scheme in _SECURE, split.hostname, _port(split)
