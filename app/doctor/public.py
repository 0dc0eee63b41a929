"""The public URL, as Twilio comes by it: reachable, a certificate, an upgrade through the proxy, signed requests and no others."""

import secrets
from datetime import UTC, datetime
from urllib.parse import urlsplit

import httpx

from app.doctor.knock import KNOCK_ERRORS, knock
from app.doctor.patient import Patient, reason_of
from app.doctor.rows import Finding, fault, fine, skipped, warning

DAYS_LEFT = 14
TUNNEL = "set PUBLIC_URL to the https address that Twilio reaches: a host of yours, or a tunnel"
PROXY = "let the proxy pass WebSocket upgrades (HTTP/1.1, the headers Upgrade and Connection) under /voice/ws/"


async def public_url(patient: Patient) -> Finding:
    """Whether it leads to a server of ours."""
    settings = patient.settings
    why = await patient.alive()
    if settings.public_is_loopback:
        here = f"{settings.public_url} is this machine: Twilio cannot reach it"
        if why:
            return skipped(f"needs a running server; {here}", f"./offhook serve; for calls from outside, {TUNNEL}")
        if settings.twilio_account_sid and patient.at_twilio:
            return fault(here, TUNNEL)
        return warning(f"{here}, only rehearsals on it can", TUNNEL)
    if why:
        remedy = "start the server (./offhook serve)" if patient.running is None else "the server runs here"
        return fault(
            f"{settings.public_url}: {why}",
            f"{remedy}; then look at its name (DNS), the firewall and the proxy before it",
        )
    return fine(f"{settings.public_url} leads to a server of ours")


async def certificate(patient: Patient) -> Finding:
    """Good for this name, from an authority that everybody knows, and for how long. Source: errors 11235, 11236, 11237."""
    if patient.settings.public_url.startswith("http:"):
        return skipped(f"{patient.settings.public_url} is without TLS, as only a loopback host may be")
    knocked = await patient.reached()
    if isinstance(knocked, str):
        if "certificate" in knocked or "SSL" in knocked:
            return fault(
                knocked, "renew it, or have it made for this very name, by a public authority, with its whole chain"
            )
        return skipped(f"nobody answers there: {knocked}", "see the line of public_url")
    if knocked.good_until is None:
        return fault("the server shows no certificate", "let the proxy show one")
    days = (knocked.good_until - datetime.fromtimestamp(patient.now(), UTC)).days
    what = f"good for {urlsplit(patient.settings.public_url).hostname}, for {days} days more"
    if days < DAYS_LEFT:
        return warning(what, "see that it is renewed by itself: Twilio refuses one that is over, and no call comes in")
    return fine(what)


async def websocket(patient: Patient) -> Finding:
    """A signed upgrade is granted through the proxy, and an unsigned one refused by us. Nothing is spent until a stream's start."""
    await patient.need_server()
    settings = patient.settings
    mode = settings.default_mode
    url = f"{settings.socket_url}/voice/ws/{mode}"
    headers = patient.signed(url, {})
    try:
        opened = await knock(url, patient.trust, headers=headers, upgrade=True)
        unsigned = await knock(url, patient.trust, upgrade=True)
    except KNOCK_ERRORS as wrong:
        return fault(f"an upgrade at {url} fails: {reason_of(wrong)}", PROXY)
    if unsigned.status == 101:
        return fault(
            f"{url} was opened without a signature",
            "something before the server answers for it; take that out of the way",
        )
    if opened.status == 101:
        return fine(f"an upgrade at {url} is granted when signed, and refused ({unsigned.status}) when not")
    if opened.status == 403:
        return fault(
            f"the upgrade arrives at {url}, and its signature is refused",
            "the server there has another TWILIO_AUTH_TOKEN or PUBLIC_URL than this checkout: make them the same",
        )
    return fault(f"an upgrade at {url} is answered {opened.status} instead of 101", PROXY)


async def signed_request(patient: Patient) -> Finding:
    """A webhook with our signature is taken, one without is not. Its CallSid is of no call, and its status ends none."""
    await patient.need_server()
    settings = patient.settings
    url = settings.public_url + "/twilio/status"
    form = {
        "CallSid": "CAd0c0" + secrets.token_hex(14),
        "AccountSid": patient.account_sid,
        "CallStatus": "ringing",
        "From": "client:doctor",
        "To": settings.twilio_phone_number or "client:doctor",
        "Direction": "inbound",
        "ApiVersion": "2010-04-01",
    }
    headers = patient.signed(url, form)
    try:
        taken = await patient.http.post(url, data=form, headers=headers)
        doors = [settings.public_url + path for path in ("/twilio/incoming", "/twilio/status")]
        bare = [(door, (await patient.http.post(door, data=form)).status_code) for door in doors]
    except httpx.HTTPError as wrong:
        return fault(f"{url} cannot be asked: {reason_of(wrong)}", "see the line of public_url")
    for door, status in bare:
        if status != 403:
            return fault(
                f"{door} answers {status} to a request without a signature, instead of 403",
                "that is not our server, or something before it answers; look where the name and the proxy lead",
            )
    if taken.status_code == 200:
        return fine("signed 200, unsigned 403")
    return fault(
        f"{url} answers {taken.status_code} to a signed request: {taken.text.strip()[:160]}",
        "make TWILIO_AUTH_TOKEN, TWILIO_ACCOUNT_SID and PUBLIC_URL the same here and there, PUBLIC_URL to the letter",
    )
