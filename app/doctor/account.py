"""Twilio: the account and what kind it is, and where its API is against where this host is."""

from collections.abc import Mapping
from urllib.parse import urlsplit

import httpx
import msgspec

from app.doctor.patient import Patient, reason_of
from app.doctor.rows import Finding, fault, fine, skipped, warning
from app.settings import TWILIO_API

HERE: Mapping[str, tuple[str, str]] = {
    # Fly's regions
    "iad": ("ashburn", "us1"), "ewr": ("ashburn", "us1"), "bos": ("ashburn", "us1"), "atl": ("ashburn", "us1"),
    "mia": ("ashburn", "us1"), "ord": ("ashburn", "us1"), "yyz": ("ashburn", "us1"), "yul": ("ashburn", "us1"),
    "dfw": ("ashburn", "us1"), "den": ("umatilla", "us1"), "sea": ("umatilla", "us1"), "sjc": ("umatilla", "us1"),
    "lax": ("umatilla", "us1"), "phx": ("umatilla", "us1"), "lhr": ("dublin", "ie1"), "ams": ("dublin", "ie1"),
    "cdg": ("dublin", "ie1"), "mad": ("dublin", "ie1"), "fra": ("frankfurt", "ie1"), "arn": ("frankfurt", "ie1"),
    "waw": ("frankfurt", "ie1"), "otp": ("frankfurt", "ie1"), "syd": ("sydney", "au1"), "sin": ("singapore", "au1"),
    "nrt": ("tokyo", "au1"), "hkg": ("singapore", "au1"), "bom": ("singapore", "au1"), "gru": ("sao-paulo", "us1"),
    # AWS's regions
    "us-east-1": ("ashburn", "us1"), "us-east-2": ("ashburn", "us1"), "us-west-1": ("umatilla", "us1"),
    "us-west-2": ("umatilla", "us1"), "ca-central-1": ("ashburn", "us1"), "eu-west-1": ("dublin", "ie1"),
    "eu-west-2": ("dublin", "ie1"), "eu-west-3": ("dublin", "ie1"), "eu-central-1": ("frankfurt", "ie1"),
    "eu-north-1": ("frankfurt", "ie1"), "ap-southeast-2": ("sydney", "au1"), "ap-southeast-1": ("singapore", "au1"),
    "ap-northeast-1": ("tokyo", "au1"), "sa-east-1": ("sao-paulo", "us1"),
}  # fmt: skip
"""By the name that a platform gives its place: Twilio's nearest edge, and the nearest region that has Media Streams."""
PLACES = ("FLY_REGION", "AWS_REGION", "AWS_DEFAULT_REGION")
STREAMS = ("us1", "ie1", "au1")
"""The regions with Media Streams. Source: Twilio, Media Streams, November 2026."""


class Account(msgspec.Struct):
    """What of the resource is of interest. Source: REST API, Accounts, fetch."""

    status: str = ""
    type: str = ""
    friendly_name: str = ""


async def twilio_account(patient: Patient) -> Finding:
    """The credentials are good, the account is active, and no trial."""
    patient.need_account()
    try:
        answer = await patient.twilio()
    except httpx.HTTPError as wrong:
        return fault(
            f"{patient.settings.twilio_api_base} does not answer: {reason_of(wrong)}",
            "let this machine out to Twilio's API",
        )
    if answer.status_code == 401:
        return fault(
            "Twilio does not take TWILIO_AUTH_TOKEN for this account",
            "copy the primary token of that account (and, with TWILIO_REGION, of that region) into TWILIO_AUTH_TOKEN, as the first",
        )
    if answer.status_code == 404:
        return fault("Twilio has no such account", "correct TWILIO_ACCOUNT_SID; a region has accounts' data of its own")
    try:
        found = msgspec.json.decode(answer.content, type=Account)
    except msgspec.MsgspecError:
        found = Account()
    if not answer.is_success or not found.status:
        return fault(
            f"Twilio's API answers {answer.status_code} to the question for the account",
            "see the line of twilio_status",
        )
    if found.status != "active":
        return fault(f"the account is {found.status}", "Twilio's console says why, and how it is opened again")
    if found.type == "Trial":
        return fault(
            "a trial account: Twilio replaces <Stream> there, so callers hear Twilio's message instead of the agent",
            "upgrade the account in Twilio's console; nothing in these settings can help",
        )
    return fine(f"{found.type or 'Full'} account, active")


async def twilio_region(patient: Patient) -> Finding:
    """The edge and region of the REST API, against the place of this host."""
    patient.need_account()
    if not patient.at_twilio:
        return skipped(f"TWILIO_API_BASE is {patient.settings.twilio_api_base}, a stand-in of Twilio's API")
    edge, region = _place_of(patient.settings.twilio_api_base)
    if region not in STREAMS:
        return fault(f"Twilio has no Media Streams in {region}", "set TWILIO_EDGE and TWILIO_REGION to us1, ie1 or au1")
    name, here = next(((name, patient.environ[name]) for name in PLACES if patient.environ.get(name)), ("", ""))
    said = f"edge {edge or 'by the network'}, region {region}"
    if here not in HERE:
        why = f"{name}={here} is no place that is known" if here else f"none of {', '.join(PLACES)} is set"
        return skipped(f"{said}; where this host is cannot be told ({why})", "see the line of twilio_latency")
    near_edge, near_region = HERE[here]
    if region != near_region:
        return warning(
            f"{said}, but this host is in {here}, next to {near_region}: every word travels between them",
            f"move the host next to {region}, or the number to region {near_region} and set TWILIO_EDGE={near_edge} and "
            f"TWILIO_REGION={near_region}",
        )
    if edge and edge != near_edge:
        return warning(f"{said}; from {here} the edge {near_edge} is nearer", f"set TWILIO_EDGE={near_edge}")
    return fine(f"{said}, next to this host in {here}")


def _place_of(base: str) -> tuple[str, str]:
    """Edge (empty: by the network) and region of a REST host: api.twilio.com, or api.EDGE.REGION.twilio.com."""
    if base == TWILIO_API:
        return "", "us1"
    parts = (urlsplit(base).hostname or "").split(".")
    return (parts[1], parts[2]) if len(parts) == 5 else ("", parts[1] if len(parts) == 4 else "us1")
