"""One attempt at an endpoint of the business's: a signed POST, and what became of it. Whatever the endpoint does, it costs
seconds of a task that nobody waits for.

Its status decides, as soon as it is there: 2xx is taken, 410 switches the endpoint off, all else is tried again. The body is not
needed; of a refusal a little is read for the log. Redirects are not followed: they would lead where no configuration points.
"""

import asyncio
from datetime import UTC, datetime
from typing import Literal

import httpx
import msgspec
from standardwebhooks import Webhook as Signer

from app.adapters.endpoint import tls
from app.rules.webhooks import Webhook

CONNECT_SECONDS = 5.0
TOTAL_SECONDS = 15.0
"""From the look-up of the name to the answer's status line. Source: Standard Webhooks, "Deliverability": 15 to 30 s."""
EXCERPT_BYTES = 1_000
EXCERPT_SECONDS = 1.0
ERRORS = (httpx.HTTPError, httpx.InvalidURL, OSError, UnicodeError)
"""Every way in which an endpoint can fail; TimeoutError is an OSError."""


class Answer(msgspec.Struct, frozen=True):
    """What became of one attempt. status: HTTP's; 0 if there was none."""

    verdict: Literal["taken", "failed", "gone"]
    status: int = 0
    why: str = ""


def headers(webhook: Webhook, message_id: str, body: str, at: datetime) -> dict[str, str]:
    """What a message is signed with. at: aware, UTC; the time of this attempt. Source: Standard Webhooks specification."""
    signatures = " ".join(Signer(secret).sign(message_id, at, body) for secret in webhook.secrets)
    return {
        "webhook-id": message_id,
        "webhook-timestamp": str(int(at.timestamp())),
        "webhook-signature": signatures,
        "content-type": "application/json",
        "accept-encoding": "identity",
        "user-agent": "Offhook",
    }


async def post(webhook: Webhook, message_id: str, body: str, *, seconds: float = TOTAL_SECONDS) -> Answer:
    """Try once. Never raises for anything that an endpoint does. seconds: for all of it."""
    signed = headers(webhook, message_id, body, datetime.now(UTC))
    timeout = httpx.Timeout(seconds, connect=min(CONNECT_SECONDS, seconds))
    verdict = Answer("failed", why=f"no answer within {seconds:g} s")
    try:
        # A client for each attempt: no cookies are kept, and no connection that the endpoint holds open.
        async with (
            asyncio.timeout(seconds),
            httpx.AsyncClient(trust_env=False, verify=tls(), timeout=timeout, follow_redirects=False) as client,
            client.stream("POST", webhook.url, content=body.encode(), headers=signed) as answer,
        ):
            verdict = await _verdict(answer)
    except TimeoutError:
        pass  # also of closing, when the answer is there already
    except ERRORS as wrong:
        if not verdict.status:
            verdict = Answer("failed", why=_short(f"{type(wrong).__name__}: {wrong}".rstrip(": ")))
    return verdict


async def _verdict(answer: httpx.Response) -> Answer:
    status = answer.status_code
    if answer.is_success:
        return Answer("taken", status)
    if status == httpx.codes.GONE:
        return Answer("gone", status, "410 Gone: the endpoint wants no more")
    if answer.is_redirect:
        return Answer("failed", status, f"{status}: redirects are not followed; set the URL that it leads to")
    return Answer("failed", status, _short(f"{status}: {await _excerpt(answer)}".rstrip(": ")))


async def _excerpt(answer: httpx.Response) -> str:
    """The beginning of a refusal's body, as far as it comes at once."""
    read = b""
    try:
        async with asyncio.timeout(EXCERPT_SECONDS):
            async for piece in answer.aiter_raw():
                read += piece[:EXCERPT_BYTES]
                if len(read) >= EXCERPT_BYTES:
                    break
    except ERRORS:
        pass  # the status is what counts
    return read[:EXCERPT_BYTES].decode("utf-8", "replace")


def _short(text: str) -> str:
    """One line of what another side said."""
    line = " ".join("".join(character if character.isprintable() else " " for character in text).split())
    return line[:300]
