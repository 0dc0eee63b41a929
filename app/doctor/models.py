"""The model: its key, and each model's name with the day on which it is switched off."""

import asyncio
from collections.abc import Mapping
from datetime import UTC, date, datetime
from urllib.parse import urlsplit

import httpx
import msgspec

from app.adapters.endpoint import DIAL_ERRORS, Endpoint, Known, dial
from app.doctor.patient import Patient, reason_of
from app.doctor.rows import Finding, fault, fine, warning
from app.errors import ModelRefused

DAYS_AHEAD = 90
TABLE_OF = date(2026, 11, 21)
"""When the table below was made."""
SHUTDOWN: Mapping[str, tuple[date, str]] = {
    "gpt-realtime": (date(2027, 1, 20), "gpt-realtime-2.1"),
    "gpt-realtime-2025-08-28": (date(2027, 1, 20), "gpt-realtime-2.1"),
    "gpt-realtime-mini": (date(2027, 1, 20), "gpt-realtime-2.1-mini"),
    "gpt-realtime-mini-2025-10-06": (date(2027, 1, 20), "gpt-realtime-2.1-mini"),
    "gpt-realtime-mini-2025-12-15": (date(2027, 1, 20), "gpt-realtime-2.1-mini"),
    "gpt-4o-realtime-preview": (date(2027, 1, 20), "gpt-realtime-2.1"),
    "gpt-4o-mini-realtime-preview": (date(2027, 1, 20), "gpt-realtime-2.1-mini"),
}
"""Models of OpenAI's by name, the last day that is announced, and what to take instead. Source: OpenAI's deprecations page
and model pages, as of TABLE_OF; dated names of gpt-4o previews by the longest prefix. OpenAI's own word goes before it."""
CURRENT = ("gpt-realtime-2.1", "gpt-realtime-2.1-mini", "gpt-realtime-2", "gpt-realtime-1.5")
"""No shutdown is announced, as of TABLE_OF. Source: the same pages."""
OTHER_SHAPE = ("gpt-live-", "gpt-realtime-translate", "gpt-realtime-whisper", "gpt-audio")
"""How names begin that are of another protocol, and cannot answer a call here."""


class _Model(msgspec.Struct):
    shutdown_date: str | None = None


async def model_key(patient: Patient) -> Finding:
    """The model's server takes the key: it grants an upgrade to each model. Nothing is asked of the model, which costs nothing."""
    patient.need_model()
    endpoint = patient.endpoint
    host = urlsplit(endpoint.url).hostname
    answers = await asyncio.gather(*(_knocked(endpoint, model) for model in patient.models))
    for model, why in zip(patient.models, answers, strict=True):
        if why:
            return fault(
                f"{model} at {host}: {why}",
                "check OPENAI_API_KEY, its project's rights and its credit, and REALTIME_URL",
            )
    with_key = "takes the key" if endpoint.key else "wants no key"
    return fine(f"{host} {with_key} for {', '.join(patient.models)}")


async def _knocked(endpoint: Endpoint, model: str) -> str:
    """Why no link to a model is to be had; empty if there is one."""
    try:
        fresh = await dial(endpoint, model, Known())
    except ModelRefused as refusal:
        return refusal.in_full
    except DIAL_ERRORS as wrong:
        return f"cannot be reached: {reason_of(wrong)}"
    fresh.close()
    return ""


async def model_name(patient: Patient) -> Finding:
    """Each model is there, and for how long: by OpenAI's own word where it gives one, else by the table."""
    patient.need_model()
    found = [await _looked_up(patient, model) for model in patient.models]
    worst = max(found, key=lambda finding: ("fine", "skipped", "warning", "fault").index(finding.level))
    return msgspec.structs.replace(worst, what="; ".join(finding.what for finding in found))


async def _looked_up(patient: Patient, model: str) -> Finding:
    if model.startswith(OTHER_SHAPE):
        return fault(f"{model} speaks another protocol than /v1/realtime", "set REALTIME_MODEL to gpt-realtime-2.1")
    endpoint = patient.endpoint
    told = ""
    if endpoint.profile.name == "openai":
        status, told = await _listed(patient, endpoint, model)
        if status == 404:
            return fault(
                f"OpenAI has no model {model} for this key",
                "set REALTIME_MODEL (or the mode's `model`) to one that it has",
            )
    elif endpoint.profile.name != "other":
        return fine(f"{model}, a name of {endpoint.profile.name}'s: its shutdown dates are not known here")
    day, instead = announced(model)
    day = _day(told) or day
    if day is None:
        said = "no shutdown is announced" if model in CURRENT else "not in our table of shutdown dates"
        return fine(f"{model}: {said} (as of {TABLE_OF})")
    left = (day - datetime.fromtimestamp(patient.now(), UTC).date()).days
    remedy = f"set REALTIME_MODEL (or the mode's `model`) to {instead or 'a current one'}, and listen to ten calls"
    if left < 0:
        return fault(f"{model} was switched off on {day}", remedy)
    if left <= DAYS_AHEAD:
        return warning(f"{model} is switched off on {day}, in {left} days", remedy)
    return fine(f"{model}, until {day}")


def announced(model: str) -> tuple[date | None, str]:
    """The day on which a model is switched off, as far as the table knows, and what to take instead."""
    if model in SHUTDOWN:
        return SHUTDOWN[model]
    longest = max(
        (name for name in SHUTDOWN if name.startswith("gpt-4o") and model.startswith(name)), key=len, default=""
    )
    return SHUTDOWN.get(longest, (None, ""))


async def _listed(patient: Patient, endpoint: Endpoint, model: str) -> tuple[int, str]:
    """Status and `shutdown_date` of GET /v1/models/MODEL; 0 if it cannot be asked. Source: OpenAI's API reference, models."""
    parts = urlsplit(endpoint.url)
    base = parts.path.rpartition("/")[0]
    url = f"{parts.scheme.replace('ws', 'http')}://{parts.netloc}{base}/models/{model}"
    try:
        answer = await patient.http.get(url, headers=endpoint.headers())
        told = msgspec.json.decode(answer.content, type=_Model).shutdown_date if answer.is_success else None
    except (httpx.HTTPError, msgspec.MsgspecError):
        return 0, ""
    return answer.status_code, told or ""


def _day(text: str) -> date | None:
    try:
        return date.fromisoformat(text[:10])
    except ValueError:
        return None
