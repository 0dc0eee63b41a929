"""The stand-in's REST resources as JSON: calls, messages, lists."""

from collections.abc import Sequence
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse

from app.sim.carrier_call import OVER, CarrierCall
from app.sim.carrier_leg import API_VERSION
from app.sim.carrier_numbers import new_sid, rfc2822

_GSM_7 = frozenset(
    "@£$¥èéùìòÇ\nØø\rÅåΔ_ΦΓΛΩΠΨΣΘΞÆæßÉ !\"#¤%&'()*+,-./0123456789:;<=>?¡ABCDEFGHIJKLMNOPQRSTUVWXYZÄÖÑÜ§"
    "¿abcdefghijklmnopqrstuvwxyzäöñüà"
)
_GSM_7_DOUBLE = frozenset("^{}\\[~]|€\f")


def call_json(call: CarrierCall) -> dict[str, Any]:
    """A call. Its duration is a string of seconds, once it is over."""
    leg = call.leg
    uri = f"/{API_VERSION}/Accounts/{leg.account_sid}/Calls/{leg.call_sid}"
    return {
        "sid": leg.call_sid,
        "account_sid": leg.account_sid,
        "parent_call_sid": None,
        "to": leg.to_number,
        "to_formatted": leg.to_number,
        "from": leg.from_number,
        "from_formatted": leg.from_number,
        "phone_number_sid": None,
        "status": call.status,
        "start_time": leg.start_time,
        "end_time": call.end_time,
        "duration": str(call.duration_seconds) if call.status in OVER else None,
        "price": None,
        "price_unit": "USD",
        "direction": leg.direction,
        "answered_by": leg.answered_by or None,
        "api_version": API_VERSION,
        "annotation": None,
        "forwarded_from": None,
        "group_sid": None,
        "caller_name": None,
        "queue_time": "0",
        "trunk_sid": None,
        "stir_verstat": None,
        "date_created": call.date_created,
        "date_updated": call.end_time or leg.start_time or call.date_created,
        "uri": f"{uri}.json",
        "subresource_uris": {name: f"{uri}/{name.title()}.json" for name in ("recordings", "streams", "notifications")},
    }


def message_json(account_sid: str, to_number: str, from_number: str, service: str, body: str) -> dict[str, object]:
    """A text message that was just accepted."""
    sid = new_sid("SM")
    return {
        "sid": sid,
        "account_sid": account_sid,
        "to": to_number,
        "from": from_number or None,
        "messaging_service_sid": service or None,
        "body": body,
        "status": "accepted" if service else "queued",
        "num_segments": str(segments(body)),
        "direction": "outbound-api",
        "error_code": None,
        "error_message": None,
        "date_created": rfc2822(),
        "api_version": API_VERSION,
        "uri": f"/{API_VERSION}/Accounts/{account_sid}/Messages/{sid}.json",
    }


def segments(body: str) -> int:
    """How many parts a text is sent in: GSM-7 160 or 153 characters each, else UCS-2 70 or 67."""
    if _GSM_7.union(_GSM_7_DOUBLE).issuperset(body):
        size, alone, each = len(body) + sum(character in _GSM_7_DOUBLE for character in body), 160, 153
    else:
        size, alone, each = len(body.encode("utf-16-be")) // 2, 70, 67
    return 1 if size <= alone else -(-size // each)


def page(request: Request, name: str, resources: Sequence[dict[str, Any]]) -> JSONResponse:
    """A list with Twilio's paging keys; the stand-in has one page."""
    uri = request.url.path + (f"?{request.url.query}" if request.url.query else "")
    paging = {"page": 0, "page_size": 50, "start": 0, "end": max(len(resources) - 1, 0), "uri": uri}
    links = {"first_page_uri": uri, "next_page_uri": None, "previous_page_uri": None}
    return JSONResponse({name: resources, **paging, **links})
