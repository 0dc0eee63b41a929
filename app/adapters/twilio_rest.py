"""Twilio's REST API, as far as we use it: leading a live call to a URL, sending a text. Source: Calls, update; Messages, create."""

import asyncio

import httpx
import msgspec
import structlog

from app.adapters.texted import Texted

log = structlog.get_logger()

REST_SECONDS = 5.0
TEXT_SECONDS = 2.5
"""A caller waits for the answer, and the tool that asks for it has 3 s."""


class Fault(msgspec.Struct):
    """An error's body, as far as we read it."""

    code: int = 0


class TwilioRest:
    """One account, over httpx. A failure is logged and reported, never raised: there is nobody to catch it for a caller."""

    def __init__(self, base: str, account_sid: str, auth_token: str, client: httpx.AsyncClient) -> None:
        """base: origin of the API, Twilio's or a stand-in's."""
        account = f"{base.rstrip('/')}/2010-04-01/Accounts/{account_sid}"
        self.calls = f"{account}/Calls"
        self.messages = f"{account}/Messages.json"
        self.auth = (account_sid, auth_token)
        self.client = client

    async def redirect(self, call_sid: str, url: str) -> bool:
        """Lead a live call to a URL of ours. False if the carrier would not; a call that is over (21220) is no fault."""
        try:
            answer = await self.client.post(
                f"{self.calls}/{call_sid}.json",
                data={"Url": url, "Method": "POST"},
                auth=self.auth,
                timeout=REST_SECONDS,
            )
        except httpx.HTTPError as wrong:
            log.warning("Twilio's API does not answer", call_sid=call_sid, why=str(wrong) or type(wrong).__name__)
            return False
        if answer.is_success:
            return True
        log.info(
            "Twilio's API refused a call update", call_sid=call_sid, status=answer.status_code, body=answer.text[:200]
        )
        return False

    async def send_text(self, *, to: str, sender: str, body: str) -> Texted:
        """Have a text sent. Asked once: Messages knows no idempotency key, so that a second request may be a second text."""
        form = {"To": to, "From": sender, "Body": body}
        try:
            async with asyncio.timeout(TEXT_SECONDS):
                answer = await self.client.post(self.messages, data=form, auth=self.auth, timeout=TEXT_SECONDS)
        except (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout) as wrong:
            log.warning("Twilio's API cannot be reached, no text was sent", why=type(wrong).__name__)
            return Texted("refused")
        except (httpx.HTTPError, TimeoutError) as wrong:
            log.warning("Twilio's API does not say whether it sent a text", why=str(wrong) or type(wrong).__name__)
            return Texted("unknown")
        if answer.is_success:
            return Texted("sent")
        code = _code(answer.content)
        log.warning("Twilio's API sent no text", status=answer.status_code, code=code)
        # Without a code it was something in between that answered: Twilio may have taken the text.
        return Texted("refused", code) if code or answer.status_code < 500 else Texted("unknown")


def _code(body: bytes) -> int:
    """Twilio's error code in an answer; 0 where there is none. Source: REST API, errors: {"code": 21610, ...}."""
    try:
        return msgspec.json.decode(body, type=Fault).code
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return 0
