"""The number's wiring at Twilio's API: what is set there, what should be, and the changes between the two."""

from urllib.parse import urldefrag, urlsplit
from xml.sax.saxutils import escape

import msgspec

from app.adapters.phone_numbers import PhoneNumber, PhoneNumbers
from app.doctor.patient import Patient, Skip
from app.doctor.rows import Finding, fault, fine, skipped, warning
from app.errors import SetupError

INCOMING = ("/twilio/incoming", "/twiml")
STATUS = "/twilio/status"
FALLBACK = "/twilio/fallback"
FIX = "./offhook doctor --fix"
BIN_STEPS = (
    "make a TwiML Bin in Twilio's console (Developer tools) of the text below, then "
    "./offhook doctor --fix --fallback URL with the URL that it gets"
)


class Change(msgspec.Struct, frozen=True):
    """One field, by the name that an update has for it."""

    name: str
    old: str
    new: str


async def fetch(patient: Patient) -> PhoneNumber:
    """The number as Twilio has it. Raises Skip."""
    patient.need_account()
    wanted = patient.settings.twilio_phone_number
    if not wanted:
        raise Skip(skipped("TWILIO_PHONE_NUMBER is not set", "set it to the number that people call, as +14155550100"))

    async def ask() -> PhoneNumber | Finding:
        try:
            found = await PhoneNumbers(patient.settings, patient.trust).find(wanted)
        except SetupError as wrong:
            return skipped(str(wrong), "see the line of twilio_account")
        return found or fault(
            f"the account has no number {wanted}", "correct TWILIO_PHONE_NUMBER, or buy that number in Twilio's console"
        )

    found = await patient.once("number", ask)
    if isinstance(found, Finding):
        raise Skip(found)
    return found


async def number(patient: Patient) -> Finding:
    """Calls to it come to our webhook, and nothing overrides that."""
    found = await fetch(patient)
    expected = patient.settings.public_url + INCOMING[0]
    if found.capabilities.get("voice") is False:
        return fault(f"{found.phone_number} takes no calls: it has no voice", "use another number")
    if (found.voice_receive_mode or "voice") != "voice":
        return fault(
            f"{found.phone_number} takes {found.voice_receive_mode}, no calls", "set it to voice in Twilio's console"
        )
    for what, sid in (("a TwiML app", found.voice_application_sid), ("a SIP trunk", found.trunk_sid)):
        if sid:
            return fault(f"{found.phone_number} belongs to {what} ({sid}), so its own webhook is ignored", FIX)
    if not found.voice_url:
        return fault(f"{found.phone_number} has no webhook", f"{FIX} sets it to {expected}")
    if not ours(found.voice_url, patient, INCOMING):
        return fault(
            f"calls to {found.phone_number} go to {_shown(found.voice_url)} instead of {expected}",
            f"{FIX}, or make PUBLIC_URL that origin, to the letter",
        )
    method = (found.voice_method or "POST").upper()
    if method != "POST":
        return warning(f"{_shown(found.voice_url)} is asked by {method}: fields stand in proxies' logs", FIX)
    return fine(f"{found.phone_number}: {method} {_shown(found.voice_url)}")


async def fallback(patient: Patient) -> Finding:
    """What the carrier does when our webhook fails: best something that does not fail with us."""
    found = await fetch(patient)
    url = found.voice_fallback_url or ""
    bin_text = twiml_bin(patient)
    if not url:
        return warning("no fallback: when this server is down, callers hear Twilio's error", BIN_STEPS, bin_text)
    same = urlsplit(url).hostname == urlsplit(patient.settings.public_url).hostname
    if same:
        return warning(f"the fallback {_shown(url)} is on our own host, and is down when we are", BIN_STEPS, bin_text)
    return fine(f"{_shown(url)}, away from our host")


async def status_callback(patient: Patient) -> Finding:
    """Twilio tells us how calls end, also those whose stream never came."""
    found = await fetch(patient)
    url = found.status_callback or ""
    if ours(url, patient, (STATUS,)):
        return fine(_shown(url))
    told = f"goes to {_shown(url)}" if url else "is not set"
    return warning(f"the status callback {told}: calls that end before their stream stay open in the books", FIX)


def ours(url: str, patient: Patient, paths: tuple[str, ...]) -> bool:
    """Whether a URL is one of our doors, as the server will check its signature; query and fragment may be anything."""
    bare = urldefrag(url).url.partition("?")[0]
    return bare in [patient.settings.public_url + path for path in paths]


def _shown(url: str) -> str:
    """A URL without what may be a secret in it."""
    parts = urlsplit(url)
    host = parts.netloc.rpartition("@")[2]
    query = (
        f"?{parts.query}"
        if parts.query.startswith("mode=") and "&" not in parts.query
        else "?..."
        if parts.query
        else ""
    )
    return f"{parts.scheme}://{host}{parts.path}{query}"


def twiml_bin(patient: Patient) -> str:
    """A document for a TwiML Bin, which is Twilio's own host: a person, or at least a sentence."""
    desks = patient.settings.office.desks.values()
    person = patient.settings.human_transfer_number or next((desk.number for desk in desks if desk.number), "")
    words = (
        "One moment, please. I am putting you through."
        if person
        else ("We cannot take your call right now. Please call again in a few minutes.")
    )
    dial = f'\n  <Dial timeout="30">{escape(person)}</Dial>' if person else ""
    return f'<?xml version="1.0" encoding="UTF-8"?>\n<Response>\n  <Say>{words}</Say>{dial}\n</Response>'


def changes(found: PhoneNumber, patient: Patient, fallback_url: str = "") -> list[Change]:
    """What --fix would set. A good URL of ours keeps its query (`?mode=`) and fragment; a fallback that is there stays.

    fallback_url: a TwiML Bin's, say; without it a number that has none gets our own door, which is better than nothing.
    """
    origin = patient.settings.public_url
    voice, status = found.voice_url or "", found.status_callback or ""
    wanted = {
        "VoiceApplicationSid": (found.voice_application_sid, ""),
        "TrunkSid": (found.trunk_sid, ""),
        "VoiceUrl": (voice, voice if ours(voice, patient, INCOMING) else origin + INCOMING[0]),
        "VoiceMethod": (found.voice_method, "POST"),
        "VoiceFallbackUrl": (found.voice_fallback_url, fallback_url or found.voice_fallback_url or origin + FALLBACK),
        "VoiceFallbackMethod": (found.voice_fallback_method, found.voice_fallback_method or "POST"),
        "StatusCallback": (status, status if ours(status, patient, (STATUS,)) else origin + STATUS),
        "StatusCallbackMethod": (found.status_callback_method, "POST"),
    }
    return [Change(name, old or "", new) for name, (old, new) in wanted.items() if (old or "") != new]


async def apply(found: PhoneNumber, wanted: list[Change], patient: Patient) -> str:
    """Set these fields, in one request. Answers what went wrong; empty if all of it is set now."""
    form = {change.name: change.new for change in wanted}
    try:
        now = await PhoneNumbers(patient.settings, patient.trust).update(found.sid, form)
    except SetupError as wrong:
        return f"{wrong}; look at the number before you try again"
    left = [change.name for change in changes(now, patient, form.get("VoiceFallbackUrl", "")) if change.name in form]
    return f"Twilio took the request, and left as they were: {', '.join(left)}" if left else ""
