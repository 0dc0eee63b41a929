"""Signed requests from the carrier to the server, with Twilio's patience: 15 s in all, connection overrides in `#`.

Source: usage/webhooks/webhooks-connection-overrides, usage/security; errors 11200, 11205, 11215.
"""

import asyncio
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import parse_qsl, urldefrag, urlencode, urljoin, urlsplit

import httpx
from twilio.request_validator import RequestValidator

from app.sim.carrier_origin import Origin
from app.sim.carrier_quirks import Signature
from app.sim.twiml_document import Refused

MAX_REDIRECTS = 5


@dataclass(frozen=True)
class Patience:
    """How long the carrier waits for an answer, in milliseconds, and what it tries again."""

    connect_ms: int = 5_000
    read_ms: int = 15_000
    total_ms: int = 15_000
    retries: int = 1
    retry_on: frozenset[str] = frozenset({"ct"})

    @classmethod
    def of(cls, url: str) -> "Patience":
        """Read the overrides in a URL's fragment (`#ct=2000&rt=8000&rc=2&rp=all`); out of range is brought in range."""
        said = dict(parse_qsl(urlsplit(url).fragment))

        def number(key: str, low: int, high: int, default: int) -> int:
            text = said.get(key, "")
            return min(max(int(text), low), high) if text.isdigit() else default

        policy = frozenset(said.get("rp", "ct").split(","))
        return cls(
            number("ct", 100, 10_000, cls.connect_ms),
            number("rt", 100, 15_000, cls.read_ms),
            number("tt", 100, 15_000, cls.total_ms),
            number("rc", 0, 5, cls.retries),
            policy | {"4xx", "5xx", "ct", "rt"} if "all" in policy else policy,
        )


@dataclass(frozen=True)
class Answer:
    """What the server answered. url: the public one that answered, after redirects."""

    url: str
    status: int
    content_type: str | None
    body: bytes


class SignedHttp:
    """The carrier's HTTP client. One for all calls."""

    def __init__(self, origin: Origin, auth_token: str) -> None:
        self.origin = origin
        self._validator = RequestValidator(auth_token)
        self._client = httpx.AsyncClient(trust_env=False, limits=httpx.Limits(max_connections=None))

    def signature(self, url: str, params: Mapping[str, str], how: Signature = "right") -> dict[str, str]:
        """The signature header over a public URL; a wrong one is well-formed, a missing one is no header."""
        if how == "missing":
            return {}
        signed = url if how == "right" else url + "#forged"
        return {"X-Twilio-Signature": str(self._validator.compute_signature(signed, dict(params)))}

    async def request(
        self, url: str, method: str, params: Mapping[str, str], *, sign: Signature = "right", token: str | None = None
    ) -> Answer:
        """Ask the server: `url` is absolute and public, its fragment is never sent.

        token: the idempotency token, for a request that repeats an earlier one. Returns any answer below 400.
        Raises Refused 11200 (status), 11205 (no connection, or no answer in time), 11215 (redirects).
        """
        patience = Patience.of(url)
        token = token or str(uuid.uuid4())
        refusal = Refused(11205, f"{method} {url}: no attempt was made")
        try:
            async with asyncio.timeout(patience.total_ms / 1000):
                for _ in range(patience.retries + 1):
                    try:
                        return await self._once(urldefrag(url).url, method, params, sign, token, patience)
                    except (httpx.ConnectError, httpx.ConnectTimeout) as error:
                        refusal, reason = Refused(11205, f"{method} {url}: no connection: {error!r}"), "ct"
                    except (httpx.RequestError, httpx.InvalidURL) as error:
                        refusal, reason = Refused(11205, f"{method} {url}: no answer: {error!r}"), "rt"
                    except Refused as error:
                        refusal, reason = error, f"{(error.http_status or 0) // 100}xx"
                    if reason not in patience.retry_on:
                        break
        except TimeoutError:
            refusal = Refused(11205, f"{method} {url}: no answer within {patience.total_ms} ms")
        raise refusal

    async def _once(
        self, url: str, method: str, params: Mapping[str, str], sign: Signature, token: str, patience: Patience
    ) -> Answer:
        timeout = httpx.Timeout(patience.read_ms / 1000, connect=patience.connect_ms / 1000, pool=None)
        if method == "GET" and params:
            url += ("&" if "?" in url else "?") + urlencode(params)
        for _ in range(MAX_REDIRECTS):
            post = method == "POST"
            route = self.origin.route(url)
            headers = {
                "Host": route.host,
                "User-Agent": "TwilioProxy/1.1",
                "I-Twilio-Idempotency-Token": token,
                **self.signature(url, params if post else {}, sign),
            }
            if post:
                headers["Content-Type"] = "application/x-www-form-urlencoded; charset=UTF-8"
            response = await self._client.request(
                method, route.url, content=urlencode(params) if post else None, headers=headers, timeout=timeout
            )
            if response.is_redirect:
                if response.status_code not in (307, 308):
                    method = "GET"
                url = urljoin(url, response.headers.get("location", ""))
                continue
            if response.status_code >= 400:
                raise Refused(11200, f"{method} {url} answered {response.status_code}", response.status_code)
            return Answer(url, response.status_code, response.headers.get("content-type"), response.content)
        raise Refused(11215, f"{url}: more than {MAX_REDIRECTS} redirects")

    async def close(self) -> None:
        """Close all connections."""
        await self._client.aclose()
