"""Twilio's REST API, as far as we use it: placing a call, leading a live one to a URL, sending a text.

Source: Calls, create, update and fetch; Messages, create; voice, answering machine detection.
"""

import asyncio

import httpx
import msgspec
import structlog

from app.adapters.dialling import Dialled, Dialling
from app.adapters.texted import Texted

log = structlog.get_logger()

REST_SECONDS = 5.0
TEXT_SECONDS = 2.5
"""A caller waits for the answer, and the tool that asks for it has 3 s."""


SPEECH_END_MS = 800
"""Silence after which a greeting is thought to be over, of Twilio's 500 to 5000: a person's verdict comes so much after "Hello"."""
DETECTION_SECONDS = 30
OF_THE_ACCOUNT = frozenset({20003, 20005, 20429, 20503})
"""Not this call is refused, but any: the token, the account, too many requests, Twilio away. Source: Twilio, api/errors."""


class Fault(msgspec.Struct):
    """An error's body, as far as we read it."""

    code: int = 0


class CallMade(msgspec.Struct):
    """A call as the carrier has it, as far as we read it."""

    sid: str = ""
    status: str = ""


class TwilioRest:
    """One account, over httpx. A failure is logged and reported, never raised: there is nobody to catch it for a caller."""

    def __init__(self, base: str, account_sid: str, auth_token: str, client: httpx.AsyncClient) -> None:
        """base: origin of the API, Twilio's or a stand-in's."""
        account = f"{base.rstrip('/')}/2010-04-01/Accounts/{account_sid}"
        self.calls = f"{account}/Calls"
        self.messages = f"{account}/Messages.json"
        self.auth = (account_sid, auth_token)
        self.client = client

    async def place(self, call: Dialling) -> Dialled:
        """Have a call placed. Asked once: Calls knows no idempotency key, so that a second request may be a second call.

        Who picked up is found out beside the talk, which begins at once; a machine's verdict comes after its greeting.
        """
        form: dict[str, str | list[str]] = {
            "To": call.to,
            "From": call.sender,
            "Url": call.answered_url,
            "Method": "POST",
            "StatusCallback": call.progress_url,
            "StatusCallbackMethod": "POST",
            "StatusCallbackEvent": ["initiated", "ringing", "answered", "completed"],
            "Timeout": str(call.ring_seconds),
        }
        if call.verdict_url:
            form |= {
                "MachineDetection": "DetectMessageEnd",
                "MachineDetectionTimeout": str(DETECTION_SECONDS),
                "MachineDetectionSpeechEndThreshold": str(SPEECH_END_MS),
                "AsyncAmd": "true",
                "AsyncAmdStatusCallback": call.verdict_url,
                "AsyncAmdStatusCallbackMethod": "POST",
            }
        try:
            answer = await self.client.post(f"{self.calls}.json", data=form, auth=self.auth, timeout=REST_SECONDS)
        except (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout) as wrong:
            log.warning("Twilio's API cannot be reached, no call was placed", why=type(wrong).__name__)
            return Dialled("later")
        except httpx.HTTPError as wrong:
            log.warning("Twilio's API does not say whether it placed a call", why=str(wrong) or type(wrong).__name__)
            return Dialled("unknown")
        if answer.is_success:
            sid = _call_of(answer.content).sid
            return Dialled("taken", sid) if sid else Dialled("unknown")
        code = _code(answer.content)
        log.warning("Twilio's API placed no call", status=answer.status_code, code=code)
        if answer.status_code in (401, 429) or code in OF_THE_ACCOUNT:
            return Dialled("later", code=code)
        return Dialled("refused", code=code) if answer.status_code < 500 else Dialled("unknown", code=code)

    async def standing(self, call_sid: str) -> str:
        """The status of a call, in Twilio's words; empty if it cannot be had now, `gone` if there is no such call."""
        try:
            answer = await self.client.get(f"{self.calls}/{call_sid}.json", auth=self.auth, timeout=REST_SECONDS)
        except httpx.HTTPError as wrong:
            log.warning("Twilio's API does not answer", call_sid=call_sid, why=str(wrong) or type(wrong).__name__)
            return ""
        if answer.status_code == 404:
            return "gone"
        return _call_of(answer.content).status if answer.is_success else ""

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


def _call_of(body: bytes) -> CallMade:
    """A call in an answer; an empty one where there is none."""
    try:
        return msgspec.json.decode(body, type=CallMade)
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return CallMade()


def _code(body: bytes) -> int:
    """Twilio's error code in an answer; 0 where there is none. Source: REST API, errors: {"code": 21610, ...}."""
    try:
        return msgspec.json.decode(body, type=Fault).code
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return 0
