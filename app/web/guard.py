"""The guard: nothing unsigned is trusted. Twilio's signature on webhooks and upgrades; who is at home.

The operator's login is the console's (console/pages.py).
Signatures are checked over the configured public origin, never over what a request says of its host. Source: Twilio, usage/
security (docs/07-twilio.md).
"""

import asyncio
import secrets
from urllib.parse import parse_qsl, urlsplit

import structlog
from starlette.datastructures import Headers, ImmutableMultiDict
from starlette.requests import ClientDisconnect, HTTPConnection, Request
from starlette.responses import PlainTextResponse, Response
from twilio.request_validator import RequestValidator

from app import metrics
from app.rules.values import LOOPBACK
from app.settings import Settings

log = structlog.get_logger()

FORM_BYTES = 64 * 1024
FORM_SECONDS = 5.0
FORWARDED = (
    "forwarded",
    "x-forwarded-for",
    "x-forwarded-host",
    "x-forwarded-proto",
    "x-real-ip",
    "via",
    "fly-client-ip",
)

Form = ImmutableMultiDict[str, str]


class Refused(Exception):
    """A request that gets this answer and nothing else."""

    def __init__(self, response: Response) -> None:
        super().__init__()
        self.response = response


class Guard:
    """Checks every door that is not open to all."""

    def __init__(self, settings: Settings, tokens: tuple[str, ...], operator_password: str) -> None:
        """tokens: each may have signed a request; several while one is being rotated."""
        self.settings = settings
        self.operator_password = operator_password
        self.tokens = tokens
        self.validators = [RequestValidator(token) for token in tokens]

    def signed(self, url: str, params: Form | dict[str, str] | str | None, signature: str, algorithm: str = "") -> bool:
        """Whether one of our tokens signed this URL with these parameters (or this JSON body, as text)."""
        try:
            return any(v.validate(url, params, signature, algorithm or None) for v in self.validators)
        except (ValueError, TypeError):  # a URL or a signature that is no text of the kind proves nothing
            return False

    # --- webhooks ---------------------------------------------------------------------------------------------------

    async def form(self, request: Request) -> Form:
        """The fields of a signed webhook, POST or GET. Raises Refused: 403 unsigned, 413 too large, 408 too slow."""
        signature = request.headers.get("x-twilio-signature", "")
        if not signature:
            raise Refused(_unread("expected X-Twilio-Signature, got none\n", 403))
        url = self.settings.public_url + _target(request)
        form = Form([])
        if request.method == "POST":
            form = Form(_pairs(await self.body(request)))
        algorithm = _algorithm(request.headers)
        if not self.signed(url, form, signature, algorithm):
            metrics.refused_total.labels("webhook").inc()
            log.warning("webhook with a wrong signature refused", path=request.url.path)
            raise Refused(
                PlainTextResponse(
                    "the signature does not fit: check TWILIO_AUTH_TOKEN, and PUBLIC_URL against the webhook's\n", 403
                )
            )
        if request.method != "POST":
            form = Form(_pairs(request.scope["query_string"]))
        self._account(request, form)
        return form

    def _account(self, request: Request, form: Form) -> None:
        """A token proves who signed; the account, that it is about a call of ours. Raises Refused: 403."""
        ours = self.settings.twilio_account_sid
        if ours and form.getlist("AccountSid") != [ours]:
            metrics.refused_total.labels("webhook").inc()
            log.warning("webhook of another account refused", path=request.url.path)
            raise Refused(PlainTextResponse("expected the AccountSid of TWILIO_ACCOUNT_SID\n", 403))

    async def body(self, request: Request) -> bytes:
        """The body, bounded in size and time: nobody has proved anything yet."""
        if not request.headers.get("content-type", "").startswith("application/x-www-form-urlencoded"):
            raise Refused(_unread("expected application/x-www-form-urlencoded\n", 403))
        length = request.headers.get("content-length", "")
        if length.isascii() and length.isdigit() and int(length) > FORM_BYTES:
            raise Refused(_unread("expected a form of at most 64 kB\n", 413))
        body = bytearray()
        try:
            async with asyncio.timeout(FORM_SECONDS):
                async for piece in request.stream():
                    body += piece
                    if len(body) > FORM_BYTES:
                        raise Refused(_unread("expected a form of at most 64 kB\n", 413))
        except TimeoutError:
            raise Refused(_unread("expected the whole form within 5 s\n", 408)) from None
        except ClientDisconnect:  # nobody reads the answer
            raise Refused(_unread("expected a whole form\n", 400)) from None
        return bytes(body)

    # --- sockets ----------------------------------------------------------------------------------------------------

    def upgrade(self, path: str, signature: str, algorithm: str = "") -> bool:
        """Whether a stream's upgrade is signed: over the ws(s) form, with the slash and port that Twilio may add.

        path: as requested, percent-encoding untouched. Source: Twilio, security page, note on Media Streams.
        """
        if not signature:
            return False
        origin = self.settings.socket_url
        origins = [origin]
        parts = urlsplit(origin)
        if parts.scheme == "wss" and parts.port is None:
            origins.append(origin + ":443")
        paths = {path, path.rstrip("/"), path.rstrip("/") + "/"}
        return any(self.signed(o + p, None, signature, algorithm) for o in origins for p in paths)

    # --- the operator -----------------------------------------------------------------------------------------------

    def scraper(self, request: Request) -> None:
        """Let the platform read the metrics, by its token. Raises Refused."""
        token = self.settings.metrics_token
        given = request.headers.get("authorization", "")
        if self.at_home(request) or (token and secrets.compare_digest(given.encode(), f"Bearer {token}".encode())):
            return
        raise Refused(PlainTextResponse("expected Authorization: Bearer METRICS_TOKEN\n", 403))

    def at_home(self, request: HTTPConnection) -> bool:
        """Loopback by itself grants nothing: a proxy on this machine looks the same. So no forwarding header may be there."""
        return (
            self.settings.public_is_loopback
            and request.client is not None
            and request.client.host in LOOPBACK
            and _host(request.headers.get("host", "")) in LOOPBACK
            and not any(name in request.headers for name in FORWARDED)
        )


def _unread(text: str, status: int) -> Response:
    """A refusal whose request's body was not read: the connection ends with it, and says so before it is used again."""
    return PlainTextResponse(text, status, headers={"Connection": "close"})


def _host(header: str) -> str | None:
    """The host that a request names; None if it is no host at all."""
    try:
        return urlsplit("//" + header).hostname
    except ValueError:
        return None


def _target(request: Request) -> str:
    """Path and query exactly as requested."""
    raw: bytes = request.scope.get("raw_path") or request.scope["path"].encode()
    query: bytes = request.scope["query_string"]
    return (raw.split(b"?")[0] + (b"?" + query if query else b"")).decode("latin-1")


def _pairs(text: bytes) -> list[tuple[str, str]]:
    """Form fields in order, blank ones kept: they are signed too."""
    try:
        return parse_qsl(text.decode("utf-8", "replace"), keep_blank_values=True, max_num_fields=500)
    except ValueError:
        raise Refused(PlainTextResponse("expected at most 500 form fields\n", 413)) from None


def _algorithm(headers: Headers) -> str:
    """The algorithm of Twilio's shared keys, if the request names one."""
    settings = headers.get("x-twilio-webhooks-signature-settings", "")
    return dict(part.strip().partition("=")[::2] for part in settings.split(",") if part).get("algorithm", "")
