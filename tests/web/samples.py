"""Requests as the carrier and others make them, for the guard to judge."""

import asyncio
from collections.abc import Iterable
from urllib.parse import urlencode

import pytest
from starlette.requests import Request
from starlette.types import Message
from twilio.request_validator import RequestValidator

from app.web.guard import Guard, Refused
from tests.house.samples import make_settings

TOKEN_A = "12345"
TOKEN_B = "0123456789abcdef0123456789abcdef"
HOST = "https://agent.example.com"
ACCOUNT = "AC00000000000000000000000000000001"
CALL = "CA00000000000000000000000000000001"

Pairs = list[tuple[str, str]]

Q: Pairs = [
    ("AccountSid", ACCOUNT),
    ("ApiVersion", "2010-04-01"),
    ("CallSid", CALL),
    ("CallStatus", "ringing"),
    ("Direction", "inbound"),
    ("From", "+14155550100"),
    ("To", "+14155550199"),
]


class Wire:
    """The client's side of a request: hands out a body piece by piece and knows how much of it was taken."""

    def __init__(self, pieces: Iterable[bytes], *, stalls: bool = False) -> None:
        self.pieces = iter(pieces)
        self.stalls = stalls
        self.taken = 0

    async def receive(self) -> Message:
        piece = next(self.pieces, None)
        if piece is not None:
            self.taken += len(piece)
            return {"type": "http.request", "body": piece, "more_body": True}
        if self.stalls:
            await asyncio.Event().wait()
        return {"type": "http.request", "body": b"", "more_body": False}


def request(
    target: str,
    method: str = "POST",
    headers: dict[str, str] | None = None,
    wire: Wire | None = None,
    client: str | None = "127.0.0.1",
) -> Request:
    """A Starlette request for a path and query, with its body still on the wire. client: the peer's address."""
    path, _, query = target.partition("?")
    given = {"host": "proxy.internal:8000", **(headers or {})}
    scope = {
        "type": "http",
        "method": method,
        "scheme": "http",
        "path": path,
        "raw_path": path.encode(),
        "query_string": query.encode(),
        "client": None if client is None else (client, 40_000),
        "headers": [(name.lower().encode(), value.encode("latin-1")) for name, value in given.items()],
    }
    return Request(scope, (wire or Wire([])).receive)


def form_post(target: str, pairs: Pairs, signature: str | None, **headers: str) -> Request:
    """A form POST as the carrier makes it."""
    body = urlencode(pairs).encode()
    given = {"content-type": "application/x-www-form-urlencoded", "content-length": str(len(body)), **headers}
    if signature is not None:
        given["x-twilio-signature"] = signature
    return request(target, headers=given, wire=Wire([body]))


def guard(*tokens: str, public_url: str = HOST, password: str = "", metrics_token: str = "") -> Guard:
    settings = make_settings(public_url=public_url, metrics_token=metrics_token)
    return Guard(settings, tokens or (TOKEN_B,), password)


def sign(url: str, token: str = TOKEN_B, params: dict[str, str] | None = None) -> str:
    return str(RequestValidator(token).compute_signature(url, params or {}))


async def refusal(the_guard: Guard, of: Request) -> int:
    """The status that a webhook is refused with."""
    with pytest.raises(Refused) as refused:
        await the_guard.form(of)
    return refused.value.response.status_code
