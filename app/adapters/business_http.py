"""The business behind BUSINESS_API_BASE: a small JSON contract over HTTP, told in docs/business-api.md.

Nothing that comes back is believed before it is checked: size, status, shape, and that it answers what was asked.
"""

import asyncio
from collections.abc import Mapping
from datetime import date, datetime
from typing import Annotated, Any, NoReturn, TypeVar

import httpx
import msgspec
import structlog

from app.errors import BackendDown, BusinessError, NotFound, SetupError, SlotTaken
from app.mode import Booking
from app.others_words import misfit
from app.trace_ids import traceparent

log = structlog.get_logger()

DEADLINE_SECONDS = 2.5
MAX_ANSWER_BYTES = 64 * 1024
MAX_NAME = 200
NAMES = 5

LocalTime = Annotated[datetime, msgspec.Meta(tz=False)]
Reference = Annotated[str, msgspec.Meta(min_length=1, max_length=64)]
T = TypeVar("T", bound=msgspec.Struct)


class Slots(msgspec.Struct):
    """Answer to GET /slots."""

    slots: list[LocalTime]


class Kept(msgspec.Struct):
    """Answer to POST /bookings and /bookings/cancel."""

    reference: Reference
    name: str
    start: LocalTime
    reason: str = ""


class Noted(msgspec.Struct):
    """Answer to POST /messages."""

    reference: Reference


class Callers(msgspec.Struct):
    """Answer to GET /callers."""

    names: list[Annotated[str, msgspec.Meta(min_length=1, max_length=MAX_NAME)]]


class HttpStore:
    """A `Store` (app/mode.py) over HTTP. Every method answers within `deadline_seconds`, or raises BackendDown."""

    def __init__(
        self,
        base_url: str,
        client: httpx.AsyncClient,
        *,
        deadline_seconds: float = DEADLINE_SECONDS,
        traced: bool = False,
    ) -> None:
        """traced: requests say which span of which trace they belong to. Raises SetupError unless `base_url` is an http or https
        address.
        """
        if not base_url.startswith(("http://", "https://")):
            raise SetupError(f"BUSINESS_API_BASE: expected https://HOST/PATH, got {base_url.partition('://')[0]}.")
        self._base = httpx.URL(base_url)
        self._client = client
        self._deadline_seconds = deadline_seconds
        self._traced = traced

    async def free_slots(self, day: date) -> list[datetime]:
        """GET /slots?day=2026-11-24."""
        answer = await self._ask("GET", "/slots", Slots, params={"day": day.isoformat()})
        if any(slot.date() != day for slot in answer.slots):
            self._refuse("/slots", f"expected slots of {day.isoformat()} only")
        return sorted(set(answer.slots))

    async def book(self, *, name: str, start: datetime, reason: str, phone: str, key: str) -> Booking:
        """POST /bookings; 409 is SlotTaken."""
        body = {"name": name, "start": start.isoformat(), "reason": reason, "phone": phone}
        kept = await self._ask("POST", "/bookings", Kept, json=body, key=key, refusals={409: SlotTaken})
        return self._booking("/bookings", kept, start)

    async def cancel(self, *, name: str, start: datetime, key: str) -> Booking:
        """POST /bookings/cancel; 404 is NotFound."""
        body = {"name": name, "start": start.isoformat()}
        kept = await self._ask("POST", "/bookings/cancel", Kept, json=body, key=key, refusals={404: NotFound})
        return self._booking("/bookings/cancel", kept, start)

    async def add_message(self, *, name: str, text: str, phone: str, key: str) -> str:
        """POST /messages."""
        body = {"name": name, "text": text, "phone": phone}
        return (await self._ask("POST", "/messages", Noted, json=body, key=key)).reference

    async def names_under(self, phone: str) -> list[str]:
        """GET /callers?phone=%2B14155550133; 404, also of a backend that has no such page: nobody is known."""
        if not phone:
            return []
        try:
            answer = await self._ask("GET", "/callers", Callers, params={"phone": phone}, refusals={404: NotFound})
        except NotFound:
            return []
        return answer.names[:NAMES]

    def _booking(self, path: str, kept: Kept, start: datetime) -> Booking:
        if kept.start != start:
            self._refuse(path, f"expected the booking of {start.isoformat()}, got {kept.start.isoformat()}")
        return Booking(reference=kept.reference, name=kept.name, start=kept.start, reason=kept.reason)

    async def _ask(
        self,
        method: str,
        path: str,
        kind: type[T],
        *,
        params: Mapping[str, str] | None = None,
        json: Mapping[str, Any] | None = None,
        key: str = "",
        refusals: Mapping[int, type[BusinessError]] | None = None,
    ) -> T:
        headers = {"Accept": "application/json", "Accept-Encoding": "identity"}
        if key:
            headers["Idempotency-Key"] = key
        if self._traced and (parent := traceparent()):
            headers["traceparent"] = parent
        url = self._base.copy_with(path=self._base.path.rstrip("/") + path)
        url = url.copy_merge_params(params or {})  # as `params` of the request it would replace the base's own query
        request = self._client.build_request(method, url, json=json, headers=headers, timeout=self._deadline_seconds)
        try:
            async with asyncio.timeout(self._deadline_seconds):
                status, body = await self._send(request)
        except TimeoutError:
            self._refuse(path, f"expected an answer within {self._deadline_seconds:g} s, got none")
        except httpx.HTTPError as error:
            self._refuse(path, f"expected an answer, got {type(error).__name__}: {error}")
        if refusals and status in refusals:
            raise refusals[status]
        if not 200 <= status < 300:
            self._refuse(path, f"expected a 2xx status, got {status}")
        try:
            return msgspec.json.decode(body, type=kind)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            self._refuse(path, f"expected JSON as in docs/business-api.md, got: {misfit(error)}")

    async def _send(self, request: httpx.Request) -> tuple[int, bytes]:
        try:
            return await self._send_once(request)
        except (httpx.NetworkError, httpx.RemoteProtocolError):
            # A kept-alive connection may be closed just as we write on it; the key makes every request safe to repeat.
            return await self._send_once(request)

    async def _send_once(self, request: httpx.Request) -> tuple[int, bytes]:
        response = await self._client.send(request, stream=True, follow_redirects=False)
        try:
            if response.headers.get("Content-Encoding", "identity") != "identity":
                self._refuse(request.url.path, "expected an answer that is not compressed")
            body = b""
            async for chunk in response.aiter_raw():  # raw: a small compressed answer may be a huge one
                body += chunk
                if len(body) > MAX_ANSWER_BYTES:
                    self._refuse(request.url.path, f"expected at most {MAX_ANSWER_BYTES} bytes, got more")
            return response.status_code, body
        finally:
            await response.aclose()

    def _refuse(self, path: str, why: str) -> NoReturn:
        """The operator gets the reason, the model what to tell the caller."""
        log.warning("business.backend", host=self._base.host, path=path, why=why)
        raise BackendDown
