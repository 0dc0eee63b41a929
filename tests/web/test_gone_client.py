"""A client that hangs up in the middle of its form is refused, without a traceback in anybody's log."""

import pytest
from starlette.requests import Request
from starlette.types import Message

from app.web.guard import Guard, Refused
from tests.house.samples import make_settings


async def test_a_form_whose_sender_is_gone_is_refused() -> None:
    pieces: list[Message] = [
        {"type": "http.request", "body": b"CallSid=CA", "more_body": True},
        {"type": "http.disconnect"},
    ]

    async def receive() -> Message:
        return pieces.pop(0)

    headers = [(b"x-twilio-signature", b"sig"), (b"content-type", b"application/x-www-form-urlencoded")]
    scope = {"type": "http", "method": "POST", "path": "/twilio/incoming", "query_string": b"", "headers": headers}
    guard = Guard(make_settings(), ("token",), "password")
    with pytest.raises(Refused) as refused:
        await guard.form(Request(scope, receive))
    assert refused.value.response.status_code == 400
