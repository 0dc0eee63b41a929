"""This machine's clock, against those of Twilio, the model and the public URL.

A clock that is off breaks logins and tickets of other machines, dates rows wrongly, and makes TLS certificates look invalid.
"""

import asyncio
from email.utils import parsedate_to_datetime
from urllib.parse import urlsplit

import httpx

from app.doctor.patient import Patient
from app.doctor.rows import Finding, fine, skipped, warning

MOST_SECONDS = 5.0


async def clock(patient: Patient) -> Finding:
    """Compares the answers' `Date`, which is in whole seconds."""
    asked = _sources(patient)
    if not asked:
        return skipped("nobody to compare with: neither Twilio nor a model nor a public URL is configured")
    found = dict(zip(asked, await asyncio.gather(*(_ahead(patient, url) for url in asked.values())), strict=True))
    known = {name: ahead for name, ahead in found.items() if ahead is not None}
    if not known:
        return skipped(f"no answer with a date from {', '.join(asked)}")
    worst = max(known, key=lambda name: abs(known[name]))
    what = ", ".join(f"{_words(ahead)} {name}'s" for name, ahead in known.items())
    if abs(known[worst]) > MOST_SECONDS:
        return warning(
            f"this clock is {what}", "have the clock set by the network (timedatectl set-ntp true, or chrony)"
        )
    return fine(f"this clock is {what}")


def _words(ahead: float) -> str:
    if abs(ahead) < 1:
        return "level with"
    return f"{abs(ahead):.0f} s {'ahead of' if ahead > 0 else 'behind'}"


def _sources(patient: Patient) -> dict[str, str]:
    """Whom to ask, and at which URL; nothing there needs a proof of who asks."""
    settings, found = patient.settings, {}
    if settings.twilio_account_sid:
        found["Twilio"] = settings.twilio_api_base + "/2010-04-01"
    if not settings.stand_in:
        parts = urlsplit(settings.realtime_url)
        found["the model"] = f"{parts.scheme.replace('ws', 'http')}://{parts.netloc}/"
    if not settings.public_is_loopback:
        found["the public URL"] = settings.public_url + "/healthz"
    return found


async def _ahead(patient: Patient, url: str) -> float | None:
    """Seconds by which this clock is ahead of a server's; None if it does not tell."""
    before = patient.now()
    try:
        answer = await patient.http.get(url)
        date = parsedate_to_datetime(answer.headers["date"]).timestamp()
    except (httpx.HTTPError, KeyError, ValueError):
        return None
    after = patient.now()
    if before > date + 1:  # the date was cut off to its second
        return before - (date + 1)
    return min(0.0, after - date)
