"""The providers: what their status pages say, how far away they are, and whether a proxy is meant to be on the way."""

from urllib.parse import urlsplit

import httpx
import msgspec

from app.calls.unused_proxy import REMEDY, unused_proxy
from app.doctor.knock import KNOCK_ERRORS, Knock, knock, medians
from app.doctor.patient import Patient, reason_of
from app.doctor.rows import Finding, fault, fine, skipped, warning

KNOCKS = 3
FAR_MS = 80.0
"""A way there and back that every turn of a talk pays; the budgets of an answer leave it no more."""


class _Status(msgspec.Struct):
    indicator: str = ""
    description: str = ""


class _Component(msgspec.Struct):
    name: str = ""
    status: str = ""
    group: bool = False


class _Page(msgspec.Struct):
    status: _Status
    components: list[_Component] = []


CONCERNS = {"twilio": ("voice", "media stream", "rest api", "webhook"), "openai": ("realtime", "voice", "login", "api")}
"""Parts of components' names that calls depend on."""


async def proxy(patient: Patient) -> Finding:
    """No proxy is named that the links of calls would go past."""
    what = unused_proxy(patient.environ, patient.settings, patient.modes)
    return warning(what, REMEDY) if what else fine("none is set that calls would go past")


async def twilio_status(patient: Patient) -> Finding:
    """Twilio's own word on how it is."""
    patient.need_account()
    if not patient.at_twilio and "twilio" not in patient.asked_pages:
        return skipped(f"TWILIO_API_BASE is {patient.settings.twilio_api_base}, a stand-in of Twilio's API")
    return await _status(patient, "twilio")


async def openai_status(patient: Patient) -> Finding:
    """OpenAI's own word on how it is."""
    patient.need_model()
    if patient.endpoint.profile.name != "openai" and "openai" not in patient.asked_pages:
        host = urlsplit(patient.settings.realtime_url).hostname
        return skipped(f"the model is at {host}, not at OpenAI's")
    return await _status(patient, "openai")


async def _status(patient: Patient, whose: str) -> Finding:
    url = patient.status_pages[whose]
    try:
        answer = await patient.http.get(url, follow_redirects=True)
        answer.raise_for_status()
        page = msgspec.json.decode(answer.content, type=_Page)
    except (httpx.HTTPError, msgspec.MsgspecError) as wrong:
        return skipped(f"{urlsplit(url).hostname} cannot be read: {reason_of(wrong)}")
    said = page.status.description or page.status.indicator
    if page.status.indicator in ("none", ""):
        return fine(said)
    broken = [
        f"{part.name} ({part.status.replace('_', ' ')})"
        for part in page.components
        if part.status not in ("operational", "") and not part.group
    ]
    ours = [part for part in broken if any(word in part.lower() for word in CONCERNS[whose])]
    named = f": {', '.join((ours or broken)[:4])}" if broken else ""
    return warning(f"{said}{named}", f"see {urlsplit(url).scheme}://{urlsplit(url).netloc}; nothing here can mend it")


async def model_latency(patient: Patient) -> Finding:
    """How long a link to the model takes, and one way there and back."""
    patient.need_model()
    endpoint = patient.endpoint
    return await _latency(patient, endpoint.for_model(patient.models[0]), endpoint.headers(), upgrade=True)


async def twilio_latency(patient: Patient) -> Finding:
    """How far Twilio's edge is; only its REST host can be knocked at."""
    patient.need_account()
    return await _latency(patient, patient.settings.twilio_api_base, {}, upgrade=False)


async def _latency(patient: Patient, url: str, headers: dict[str, str], *, upgrade: bool) -> Finding:
    """The median of three knocks, one after the other."""
    host = urlsplit(url).hostname
    knocks: list[Knock] = []
    try:
        for _ in range(KNOCKS):
            knocks.append(await knock(url, patient.trust, headers=headers, upgrade=upgrade))
    except KNOCK_ERRORS as wrong:
        return fault(
            f"{host} cannot be reached: {reason_of(wrong)}",
            "let this machine out to it: name server, firewall; no proxy is used",
        )
    it = medians(knocks)
    steps = [("TCP", it.tcp_ms), ("TLS", it.tls_ms), ("upgrade", it.upgrade_ms)]
    what = f"{host}: " + ", ".join(f"{name} after {ms:.0f} ms" for name, ms in steps if ms is not None)
    if it.tcp_ms > FAR_MS:
        return warning(
            f"{what}: far away",
            "run the server in a region next to it; each turn of a talk pays this way more than once",
        )
    return fine(what)
