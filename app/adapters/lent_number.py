"""A phone number that leads to this machine for a while: what it led to before is on disk before anything is changed.

Source: Twilio, IncomingPhoneNumber resource: list, fetch and update.
"""

from pathlib import Path
from typing import Any

import msgspec

from app.adapters.data_folder import write_private
from app.errors import SetupError
from app.settings import Settings

REST_SECONDS = 5.0
PARAMETERS = {
    "voice_url": "VoiceUrl",
    "voice_method": "VoiceMethod",
    "voice_application_sid": "VoiceApplicationSid",
    "status_callback": "StatusCallback",
    "status_callback_method": "StatusCallbackMethod",
}
"""What is changed, by its name in answers, and in requests. The fallback URL stays: it is for when this machine is gone."""


class Lent(msgspec.Struct, frozen=True):
    """A number that leads here. `was` and `now`: its settings, by the names of PARAMETERS."""

    number: str
    sid: str
    was: dict[str, str]
    now: dict[str, str]


class Numbers:
    """The numbers of the account of the settings. Raises SetupError where Twilio does not do it, with its reason."""

    def __init__(self, settings: Settings) -> None:
        account = f"{settings.twilio_api_base}/2010-04-01/Accounts/{settings.twilio_account_sid}"
        self.base = f"{account}/IncomingPhoneNumbers"
        self.auth = (settings.twilio_account_sid, settings.twilio_auth_tokens[0])

    async def find(self, number: str) -> dict[str, Any]:
        """A number of the account, E.164."""
        answer = await self._ask("GET", ".json", params={"PhoneNumber": number})
        found = [row for row in answer.get("incoming_phone_numbers", []) if row.get("phone_number") == number]
        if not found:
            raise SetupError(
                f"expected TWILIO_PHONE_NUMBER {number} among the account's numbers, found it not; "
                "check it and TWILIO_ACCOUNT_SID"
            )
        return dict(found[0])

    async def fetch(self, sid: str) -> dict[str, Any]:
        """A number by its SID."""
        return await self._ask("GET", f"/{sid}.json")

    async def update(self, sid: str, values: dict[str, str]) -> None:
        """Set what is in `values`, by the names of PARAMETERS."""
        await self._ask("POST", f"/{sid}.json", data={PARAMETERS[name]: value for name, value in values.items()})

    async def _ask(self, verb: str, path: str, **more: Any) -> dict[str, Any]:
        import httpx  # takes 70 ms, and most commands need none

        try:
            async with httpx.AsyncClient(trust_env=False, timeout=REST_SECONDS) as client:
                answer = await client.request(verb, self.base + path, auth=self.auth, **more)
            told = answer.json()
        except (httpx.HTTPError, ValueError) as wrong:
            why = str(wrong) or type(wrong).__name__
            raise SetupError(f"Twilio's API did not answer about the number: {why}") from wrong
        if not answer.is_success or not isinstance(told, dict):
            why = told.get("message", "") if isinstance(told, dict) else ""
            raise SetupError(f"Twilio's API refused it: {answer.status_code} {why}")
        return told


def settings_of(row: dict[str, Any]) -> dict[str, str]:
    """What would be changed, as a number has it. Raises SetupError for one whose calls never ask a URL."""
    if row.get("trunk_sid"):
        raise SetupError(
            f"{row.get('phone_number')} is tied to the SIP trunk {row['trunk_sid']}, which comes before every URL; "
            "untie it in Twilio's console first"
        )
    return {name: str(row.get(name) or "") for name in PARAMETERS}


def lent_file(folder: Path) -> Path:
    """Where `Lent` is, as JSON."""
    return folder / "lent_number.json"


def read_lent(folder: Path) -> Lent | None:
    """The number that leads here, or that a dead server did not put back; None: there is none."""
    try:
        return msgspec.json.decode(lent_file(folder).read_bytes(), type=Lent)
    except (OSError, msgspec.MsgspecError):
        return None


async def lend(settings: Settings) -> Lent:
    """Have TWILIO_PHONE_NUMBER lead to PUBLIC_URL; another that a dead server lent is put back first.

    Raises SetupError; then it leads where it led before.
    """
    numbers, public = Numbers(settings), settings.public_url
    row = await numbers.find(settings.twilio_phone_number)
    if (left := read_lent(settings.data)) is not None and left.sid != row["sid"]:
        await put_back(settings)  # there is one note: what it says of another number would be lost
    was, before = settings_of(row), read_lent(settings.data)
    if before is not None and before.sid == row["sid"] and before.now["voice_url"] == was["voice_url"]:
        was = before.was  # a dead server's tunnel is nothing to go back to
    now = {
        "voice_url": f"{public}/twilio/incoming",
        "voice_method": "POST",
        "voice_application_sid": "",
        "status_callback": f"{public}/twilio/status",
        "status_callback_method": "POST",
    }
    lent = Lent(settings.twilio_phone_number, row["sid"], was, now)
    write_private(lent_file(settings.data), msgspec.json.encode(lent).decode())
    await numbers.update(lent.sid, now)
    return lent


async def put_back(settings: Settings) -> str:
    """Have a lent number lead where it led before, and say so; empty if none is lent. Raises SetupError: it stays noted.

    One that somebody has pointed elsewhere meanwhile is left as it is.
    """
    lent = read_lent(settings.data)
    if lent is None:
        return ""
    if not (settings.twilio_account_sid and settings.twilio_auth_tokens):
        raise SetupError(
            f"expected TWILIO_ACCOUNT_SID and TWILIO_AUTH_TOKEN to put {lent.number} back to "
            f"{lent.was['voice_url'] or 'nothing'}, got none; set them, or do it in Twilio's console and delete "
            f"{lent_file(settings.data)}"
        )
    numbers = Numbers(settings)
    found = settings_of(await numbers.fetch(lent.sid))
    if found["voice_url"] == lent.now["voice_url"]:
        await numbers.update(lent.sid, lent.was)
        said = f"{lent.number} is put back to {lent.was['voice_url'] or 'nothing'}"
    else:
        said = f"{lent.number} points at {found['voice_url'] or 'nothing'} meanwhile, and is left so"
    lent_file(settings.data).unlink(missing_ok=True)
    return said
