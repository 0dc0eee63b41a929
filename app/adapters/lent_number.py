"""A phone number that leads to this machine for a while: what it led to before is on disk before anything is changed."""

from pathlib import Path

import msgspec

from app.adapters.data_folder import write_private
from app.adapters.phone_numbers import PhoneNumber, PhoneNumbers
from app.errors import SetupError
from app.settings import Settings

PARAMETERS = {
    "voice_url": "VoiceUrl",
    "voice_method": "VoiceMethod",
    "voice_application_sid": "VoiceApplicationSid",
    "status_callback": "StatusCallback",
    "status_callback_method": "StatusCallbackMethod",
}
"""What is changed, by its name in answers, and in updates. The fallback URL stays: it is for when this machine is gone."""


class Lent(msgspec.Struct, frozen=True):
    """A number that leads here. `was` and `now`: its settings, by the names of PARAMETERS."""

    number: str
    sid: str
    was: dict[str, str]
    now: dict[str, str]


async def number_of(settings: Settings) -> PhoneNumber:
    """TWILIO_PHONE_NUMBER as Twilio has it. Raises SetupError, also for one whose calls never ask a URL."""
    wanted = settings.twilio_phone_number
    number = await PhoneNumbers(settings).find(wanted)
    if number is None:
        raise SetupError(
            f"expected TWILIO_PHONE_NUMBER {wanted} among the account's numbers, found it not; check it and TWILIO_ACCOUNT_SID"
        )
    if number.trunk_sid:
        raise SetupError(
            f"{wanted} is tied to the SIP trunk {number.trunk_sid}, which comes before every URL; "
            "untie it in Twilio's console first"
        )
    return number


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
    public, note = settings.public_url, lent_file(settings.data)
    number, left = await number_of(settings), read_lent(settings.data)
    if left is None and note.exists():
        raise SetupError(
            f"expected to read in {note} where a number led before, but it is not as it was written; "
            "look at the number in Twilio's console, then delete that file"
        )
    if left is not None and left.sid != number.sid:
        await put_back(settings)  # there is one note: what it says of another number would be lost
        left = None
    was = _settings_of(number)
    if left is not None and left.now["voice_url"] == was["voice_url"]:
        was = left.was  # a dead server's tunnel is nothing to go back to
    now = {
        "voice_url": f"{public}/twilio/incoming",
        "voice_method": "POST",
        "voice_application_sid": "",
        "status_callback": f"{public}/twilio/status",
        "status_callback_method": "POST",
    }
    lent = Lent(settings.twilio_phone_number, number.sid, was, now)
    write_private(note, msgspec.json.encode(lent).decode())
    await PhoneNumbers(settings).update(lent.sid, _form(now))
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
    numbers = PhoneNumbers(settings)
    leads_to = (await numbers.fetch(lent.sid)).voice_url or ""
    if leads_to == lent.now["voice_url"]:
        await numbers.update(lent.sid, _form(lent.was))
        said = f"{lent.number} is put back to {lent.was['voice_url'] or 'nothing'}"
    else:
        said = f"{lent.number} points at {leads_to or 'nothing'} meanwhile, and is left so"
    lent_file(settings.data).unlink(missing_ok=True)
    return said


def _settings_of(number: PhoneNumber) -> dict[str, str]:
    """What is changed, as a number has it."""
    return {name: str(getattr(number, name) or "") for name in PARAMETERS}


def _form(values: dict[str, str]) -> dict[str, str]:
    """Settings by the names that an update has for them."""
    return {PARAMETERS[name]: value for name, value in values.items()}
