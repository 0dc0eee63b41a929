"""The account's phone numbers at Twilio's REST API: find one, fetch one, set fields of one.

Source: REST API, IncomingPhoneNumbers: list, fetch and update.
"""

import ssl
from collections.abc import Mapping
from typing import Any, TypeVar

import msgspec

from app.errors import SetupError
from app.settings import Settings

REST_SECONDS = 5.0


class PhoneNumber(msgspec.Struct, frozen=True):
    """What of the resource is of interest. What is not set comes as null or empty."""

    sid: str = ""
    phone_number: str = ""
    voice_url: str | None = None
    voice_method: str | None = None
    voice_fallback_url: str | None = None
    voice_fallback_method: str | None = None
    status_callback: str | None = None
    status_callback_method: str | None = None
    voice_application_sid: str | None = None
    trunk_sid: str | None = None
    voice_receive_mode: str | None = None
    capabilities: dict[str, bool] = {}


class _List(msgspec.Struct):
    incoming_phone_numbers: list[PhoneNumber] = []


class _Fault(msgspec.Struct):
    """An error's body, as far as we read it."""

    message: str = ""


T = TypeVar("T")


class PhoneNumbers:
    """The numbers of the account of the settings. Raises SetupError where Twilio does not do it, with its reason."""

    def __init__(self, settings: Settings, trust: ssl.SSLContext | None = None) -> None:
        """settings: with an account and its token. trust: whose certificates are good; None: httpx's own."""
        account = f"{settings.twilio_api_base}/2010-04-01/Accounts/{settings.twilio_account_sid}"
        self._base = f"{account}/IncomingPhoneNumbers"
        self._auth = (settings.twilio_account_sid, settings.twilio_auth_tokens[0])
        self._trust = trust

    async def find(self, number: str) -> PhoneNumber | None:
        """A number, E.164; None: the account does not have it."""
        found = await self._ask("GET", ".json", _List, params={"PhoneNumber": number})
        return next((one for one in found.incoming_phone_numbers if one.phone_number == number), None)

    async def fetch(self, sid: str) -> PhoneNumber:
        """A number by its SID."""
        return await self._ask("GET", f"/{sid}.json", PhoneNumber)

    async def update(self, sid: str, form: Mapping[str, str]) -> PhoneNumber:
        """Set these fields, by the names that an update has for them; the number as it is then."""
        return await self._ask("POST", f"/{sid}.json", PhoneNumber, data=dict(form))

    async def _ask(self, verb: str, path: str, kind: type[T], **more: Any) -> T:
        import httpx  # takes 70 ms, and most commands need none

        try:
            async with httpx.AsyncClient(trust_env=False, timeout=REST_SECONDS, verify=self._trust or True) as client:
                answer = await client.request(verb, self._base + path, auth=self._auth, **more)
        except httpx.HTTPError as wrong:
            why = str(wrong) or type(wrong).__name__
            raise SetupError(f"Twilio's API did not answer about the number: {why}") from wrong
        if not answer.is_success:
            raise SetupError(f"Twilio's API answers {answer.status_code} {_reason(answer.content)}".rstrip())
        try:
            return msgspec.json.decode(answer.content, type=kind)
        except (msgspec.MsgspecError, UnicodeDecodeError) as wrong:
            raise SetupError(
                f"expected a phone number from Twilio's API, got something else ({wrong}); look at TWILIO_API_BASE"
            ) from wrong


def _reason(body: bytes) -> str:
    """Twilio's own sentence in a refusal; empty where there is none."""
    try:
        return msgspec.json.decode(body, type=_Fault).message
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return ""
