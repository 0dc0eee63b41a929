"""The stand-in for api.twilio.com: calls, messages, numbers and the account, with Basic auth and Twilio's errors.

Source: REST API 2010-04-01; codes 20003, 20404, 20429, 21220 and those of creating a call or a message.
"""

from collections.abc import Awaitable, Callable

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from app.sim.carrier_account import Account
from app.sim.carrier_call import OVER, CarrierCall, MachineDetection, Progress
from app.sim.carrier_leg import API_VERSION, Source
from app.sim.carrier_numbers import DIALLABLE, NUMBER, PhoneNumber
from app.sim.rest_answers import RestRefused, check_credentials, form_of, method, not_found, seconds, source, text, url
from app.sim.rest_resources import call_json, message_json, page

MAX_BODY = 1600
EVENTS = ("initiated", "ringing", "answered", "completed")

Door = Callable[[Account, Request], Awaitable[JSONResponse]]


def rest_app(account: Account) -> Starlette:
    """The REST door of one account, as an ASGI app."""
    base = f"/{API_VERSION}/Accounts/{{account_sid}}"
    doors: dict[tuple[str, str], Door] = {
        ("GET", ".json"): _get_account,
        ("POST", "/Calls.json"): _create_call,
        ("GET", "/Calls.json"): _list_calls,
        ("GET", "/Calls/{sid}.json"): _get_call,
        ("POST", "/Calls/{sid}.json"): _update_call,
        ("POST", "/Messages.json"): _create_message,
        ("GET", "/IncomingPhoneNumbers.json"): _list_numbers,
        ("GET", "/IncomingPhoneNumbers/{sid}.json"): _get_number,
        ("POST", "/IncomingPhoneNumbers/{sid}.json"): _update_number,
    }
    routes = [Route(base + path, _guarded(account, door), methods=[verb]) for (verb, path), door in doors.items()]
    everything = ["GET", "POST", "PUT", "DELETE", "HEAD"]
    return Starlette(routes=[*routes, Route("/{path:path}", _guarded(account, _nothing_here), methods=everything)])


def _guarded(account: Account, door: Door) -> Callable[[Request], Awaitable[Response]]:
    async def endpoint(request: Request) -> Response:
        try:
            check_credentials(account, request)
            if account.throttled > 0:
                account.throttled -= 1
                raise RestRefused(429, 20429, "Too Many Requests")
            if request.path_params.get("account_sid", account.account_sid) != account.account_sid:
                raise not_found(request)
            return await door(account, request)
        except RestRefused as refused:
            return refused.answer()

    return endpoint


async def _nothing_here(account: Account, request: Request) -> JSONResponse:
    raise not_found(request)


async def _get_account(account: Account, request: Request) -> JSONResponse:
    return JSONResponse(account.as_json())


async def _get_call(account: Account, request: Request) -> JSONResponse:
    return JSONResponse(call_json(_call(account, request)))


async def _list_calls(account: Account, request: Request) -> JSONResponse:
    wanted = request.query_params.get("Status")
    calls = [call for call in account.calls.values() if wanted in (None, call.status)]
    return page(request, "calls", [call_json(call) for call in reversed(calls)])


async def _update_call(account: Account, request: Request) -> JSONResponse:
    call, form = _call(account, request), await form_of(request)
    redirected, twiml, status = (text(form, name) for name in ("Url", "Twiml", "Status"))
    if call.status in OVER:
        raise RestRefused(400, 21220, f"Call is not in-progress. Cannot redirect. It is {call.status}.")
    if redirected and twiml:
        raise RestRefused(400, 20001, "Url and Twiml exclude each other; send one of them")
    if status == "completed" or (status == "canceled" and call.status in ("queued", "ringing")):
        call.end("rest")
    elif status:
        raise RestRefused(400, 20001, f"Status {status!r} is not possible for a call that is {call.status}")
    elif redirected or twiml:
        if call.status != "in-progress":
            raise RestRefused(400, 21220, f"Call is not in-progress. Cannot redirect. It is {call.status}.")
        if callback := text(form, "StatusCallback"):  # applied only together with a redirect
            call.progress.url, call.progress.method = url(callback), method(form, "StatusCallbackMethod")
        if fallback := text(form, "FallbackUrl"):
            call.leg.fallback = Source(url(fallback), method(form, "FallbackMethod"))
        call.update(source(form))
    if limit := text(form, "TimeLimit"):
        call.limit(seconds(limit))
    return JSONResponse(call_json(call))


async def _create_call(account: Account, request: Request) -> JSONResponse:
    form = await form_of(request)
    to_number, from_number = text(form, "To"), text(form, "From")
    if not to_number:
        raise RestRefused(400, 21201, "No 'To' number is specified")
    if not DIALLABLE.fullmatch(to_number):
        raise RestRefused(400, 21211, f"The 'To' number {to_number} is not a valid phone number.")
    if not DIALLABLE.fullmatch(from_number):
        raise RestRefused(400, 21212, f"The 'From' number {from_number} is not a valid phone number.")
    if from_number not in account.numbers:
        raise RestRefused(400, 21210, f"'From' phone number not verified: {from_number}")
    events = [str(event) for event in form.getlist("StatusCallbackEvent")] or ["completed"]
    if unknown := set(events) - set(EVENTS):
        raise RestRefused(400, 21626, f"Invalid StatusCallbackEvents: {', '.join(sorted(unknown))}")
    callback, fallback = text(form, "StatusCallback"), text(form, "FallbackUrl")
    detection = None
    if text(form, "MachineDetection"):
        aside = text(form, "AsyncAmd").lower() == "true"
        told = url(text(form, "AsyncAmdStatusCallback")) if aside else ""
        detection = MachineDetection(told, method(form, "AsyncAmdStatusCallbackMethod"))
    call = account.call_out(
        from_number,
        to_number,
        source(form),
        progress=Progress(url(callback) if callback else "", method(form, "StatusCallbackMethod"), events),
        fallback=Source(url(fallback), method(form, "FallbackMethod")) if fallback else None,
        detection=detection,
        time_limit=seconds(text(form, "TimeLimit")) if text(form, "TimeLimit") else None,
    )
    return JSONResponse(call_json(call), 201)


async def _create_message(account: Account, request: Request) -> JSONResponse:
    form = await form_of(request)
    to_number, body = text(form, "To"), text(form, "Body")
    from_number, service = text(form, "From"), text(form, "MessagingServiceSid")
    if not to_number:
        raise RestRefused(400, 21201, "No 'To' number is specified")
    if not NUMBER.fullmatch(to_number):
        raise RestRefused(400, 21211, f"The 'To' number {to_number} is not a valid phone number.")
    if to_number in account.opted_out:
        raise RestRefused(400, 21610, "Attempt to send to unsubscribed recipient")
    if to_number in account.landlines:
        raise RestRefused(400, 21614, f"'To' number is not a valid mobile number: {to_number}")
    if not service and from_number not in account.numbers:
        raise RestRefused(400, 21606, f"The 'From' phone number {from_number} is not an SMS-capable number of yours.")
    if not body and not text(form, "MediaUrl"):
        raise RestRefused(400, 21602, "Message body is required.")
    if len(body) > MAX_BODY:
        raise RestRefused(400, 21617, f"The message body exceeds the {MAX_BODY} character limit.")
    message = message_json(account.account_sid, to_number, from_number, service, body)
    account.messages.append(message)
    return JSONResponse(message, 201)


async def _list_numbers(account: Account, request: Request) -> JSONResponse:
    wanted = request.query_params.get("PhoneNumber", "")
    found = [number.as_json(account.account_sid) for name, number in account.numbers.items() if wanted in name]
    return page(request, "incoming_phone_numbers", found)


async def _get_number(account: Account, request: Request) -> JSONResponse:
    return JSONResponse(_number(account, request).as_json(account.account_sid))


async def _update_number(account: Account, request: Request) -> JSONResponse:
    number, form = _number(account, request), await form_of(request)
    for name in number.settings():
        parameter = "".join(part.capitalize() for part in name.split("_"))
        if parameter in form:
            value = text(form, parameter)
            setattr(number, name, url(value) if value and name.endswith(("_url", "_callback")) else value)
    return JSONResponse(number.as_json(account.account_sid))


def _call(account: Account, request: Request) -> CarrierCall:
    call = account.calls.get(request.path_params["sid"])
    if call is None:
        raise not_found(request)
    return call


def _number(account: Account, request: Request) -> PhoneNumber:
    for number in account.numbers.values():
        if number.sid == request.path_params["sid"]:
            return number
    raise not_found(request)
