"""The API's doors: have a call placed, see how it stands, take it back. By token; every refusal is JSON with its reason.

POST   /calls                       {"to": "+14155550133", "mode": "reminder", "fields": {...}}
GET    /calls/outbound/REFERENCE
DELETE /calls/outbound/REFERENCE    while it waits
"""

import asyncio
import hashlib
import math
from collections.abc import Awaitable, Callable
from typing import Any

import msgspec
import structlog
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from app.adapters.api_tokens import ApiToken, ApiTokens
from app.adapters.database import DATABASE_ERRORS, reason_of
from app.calls.dialler import Dialler
from app.errors import CallRefused
from app.outbound import Wish
from app.web.console.auth import Throttle, address_of

log = structlog.get_logger()

BODY_BYTES = 16 * 1024
BODY_SECONDS = 5.0
KEY_LENGTH = 200
STATUS = {
    "do_not_call": 403, "already_ringing": 409, "already_waiting": 409, "key_reused": 409, "caps_reached": 429,
    "throttled": 429, "no_carrier": 503, "draining": 503,
    "unavailable": 503, "not_json": 400, "too_large": 413, "too_slow": 408, "no_token": 401, "wrong_token": 401,
    "not_found": 404, "not_waiting": 409,
}  # fmt: skip
"""By the code of a refusal; 422 for all that is wrong with the call that is asked for."""

Answer = Callable[[Request, ApiToken], Awaitable[Response]]


class Throttled(CallRefused):
    """Too many requests without a good token, from this address or from all."""

    def __init__(self, seconds: int) -> None:
        super().__init__("throttled", f"too many requests without a good token; ask again in {seconds} s")
        self.seconds = seconds


class CallsDoor:
    """Each request proves itself by a token before anything of it is read.

    Who has no good one is throttled as wrong passwords are at the login. A token that was good here before is looked at all the
    same: strangers, whatever addresses they claim, keep nobody from placing calls.
    """

    def __init__(self, dialler: Dialler, tokens: ApiTokens, throttle: Throttle | None = None) -> None:
        """throttle: of this door alone."""
        self.dialler = dialler
        self.tokens = tokens
        self.throttle = throttle or Throttle()
        self._good: set[bytes] = set()
        """Digests of tokens that were good here."""

    def routes(self) -> list[BaseRoute]:
        """All of them."""
        one = "/calls/outbound/{reference}"
        return [
            self._door("/calls", "POST", self.ask),
            self._door(one, "GET", self.show),
            self._door(one, "DELETE", self.cancel),
        ]

    def _door(self, path: str, method: str, answer: Answer) -> Route:
        async def endpoint(request: Request) -> Response:
            try:
                return await answer(request, await self._owner(request))
            except CallRefused as refusal:
                return refused(refusal)
            except DATABASE_ERRORS as wrong:
                log.warning("outbound.database", reason=reason_of(wrong))
                return refused(CallRefused("unavailable", "the database does not answer; ask again with the same key"))

        return Route(path, endpoint, methods=[method])

    async def _owner(self, request: Request) -> ApiToken:
        """Whose token it is. Raises CallRefused; a try is spent by that, unless there was none left."""
        scheme, _, token = request.headers.get("authorization", "").partition(" ")
        token = token.strip() if scheme.lower() == "bearer" else ""
        digest, address = hashlib.sha256(token.encode()).digest(), address_of(request)
        if digest not in self._good and (wait := math.ceil(self.throttle.wait(address))):
            raise Throttled(wait)
        owner = await self.tokens.owner(token) if token else None
        if owner is not None:
            self._good.add(digest)
            return owner
        self._good.discard(digest)
        self.throttle.take(address)
        log.warning("outbound.no_good_token", token_given=bool(token))
        if not token:
            raise CallRefused("no_token", "expected Authorization: Bearer TOKEN; ./offhook token make NAME makes one")
        raise CallRefused("wrong_token", "this token is not known, or was revoked; ./offhook token list shows them")

    async def ask(self, request: Request, owner: ApiToken) -> Response:
        """Keep a call, and have it placed: 201, or 200 if the same Idempotency-Key asked for it before."""
        key = request.headers.get("idempotency-key")
        if key is not None and not (0 < len(key) <= KEY_LENGTH and key.isprintable()):
            raise CallRefused("key_invalid", f"expected an Idempotency-Key of 1 to {KEY_LENGTH} characters")
        try:
            wish = msgspec.json.decode(await _body(request), type=Wish)
        except msgspec.ValidationError as wrong:
            raise CallRefused("body_invalid", f"the call that is asked for does not fit: {wrong}") from wrong
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as wrong:
            raise CallRefused("not_json", f"expected a JSON object, got: {wrong}") from wrong
        placed, why_later, new = await self.dialler.ask(wish, asked_by=owner.id, key=key)
        told = msgspec.to_builtins(placed) | ({"why_later": why_later} if why_later else {})
        return _json(told, 201 if new else 200, {"Location": f"/calls/outbound/{placed.reference}"})

    async def show(self, request: Request, owner: ApiToken) -> Response:
        """How a call stands that this token asked for."""
        placed = await self.dialler.book.placed(request.path_params["reference"], owner.id)
        if placed is None:
            raise CallRefused("not_found", "this token has asked for no such call")
        return _json(msgspec.to_builtins(placed))

    async def cancel(self, request: Request, owner: ApiToken) -> Response:
        """Take a call back that waits."""
        reference = request.path_params["reference"]
        if await self.dialler.book.placed(reference, owner.id) is None:
            raise CallRefused("not_found", "this token has asked for no such call")
        if not await self.dialler.book.cancel(reference, self.dialler.now()):
            raise CallRefused("not_waiting", "it rings, talks or is over: only a call that waits can be taken back")
        return _json(msgspec.to_builtins(await self.dialler.book.placed(reference)))


async def _body(request: Request) -> bytes:
    """Bounded in size and time."""
    body = bytearray()
    try:
        async with asyncio.timeout(BODY_SECONDS):
            async for piece in request.stream():
                body += piece
                if len(body) > BODY_BYTES:
                    raise CallRefused("too_large", f"expected a body of at most {BODY_BYTES} bytes")
    except TimeoutError:
        raise CallRefused("too_slow", f"expected the whole body within {BODY_SECONDS:g} s") from None
    except ClientDisconnect:  # nobody reads the answer
        raise CallRefused("not_json", "expected a whole body") from None
    return bytes(body)


def refused(refusal: CallRefused) -> Response:
    """A refusal as JSON."""
    status = STATUS.get(refusal.code, 422)
    headers = {"WWW-Authenticate": "Bearer"} if status == 401 else {}
    if isinstance(refusal, Throttled):
        headers["Retry-After"] = str(refusal.seconds)
    if status in (408, 413):
        headers["Connection"] = "close"
    return _json({"error": {"code": refusal.code, "message": str(refusal)}}, status, headers)


def _json(content: Any, status: int = 200, headers: dict[str, str] | None = None) -> Response:
    return Response(msgspec.json.encode(content), status, headers, media_type="application/json")
