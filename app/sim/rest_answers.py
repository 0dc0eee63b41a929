"""How the stand-in's REST door refuses, whom it lets in, and how it reads a form."""

import binascii
import secrets
from base64 import b64decode
from urllib.parse import parse_qsl, urlsplit

from starlette.datastructures import FormData
from starlette.requests import Request
from starlette.responses import JSONResponse

from app.sim.carrier_account import Account
from app.sim.carrier_leg import Source

MAX_TWIML = 4000  # characters


class RestRefused(Exception):
    """A refusal as REST words it."""

    def __init__(self, status: int, code: int, message: str) -> None:
        super().__init__(message)
        self.status, self.code = status, code

    def answer(self) -> JSONResponse:
        """The error's JSON."""
        more = f"https://www.twilio.com/docs/errors/{self.code}"
        body = {"code": self.code, "message": str(self), "more_info": more, "status": self.status}
        headers = {"Retry-After": "1"} if self.status == 429 else {}
        if self.status == 401:
            headers["WWW-Authenticate"] = 'Basic realm="Twilio API"'
        return JSONResponse(body, self.status, headers)


def check_credentials(account: Account, request: Request) -> None:
    """Raise 20003 unless the request carries the account's SID and token, or an API key and its secret."""
    scheme, _, encoded = request.headers.get("authorization", "").partition(" ")
    try:
        user, _, password = b64decode(encoded, validate=True).decode().partition(":")
    except (binascii.Error, ValueError):
        user = password = ""
    secret = account.auth_token if user == account.account_sid else account.api_keys.get(user, "")
    if scheme.lower() != "basic" or not secret or not secrets.compare_digest(secret.encode(), password.encode()):
        raise RestRefused(401, 20003, "Authentication Error - invalid username or wrong credentials")


def not_found(request: Request) -> RestRefused:
    """What is asked for is not there."""
    return RestRefused(404, 20404, f"The requested resource {request.url.path} was not found")


async def form_of(request: Request) -> FormData:
    """The urlencoded body; `request.form()` would need a package more."""
    body = (await request.body()).decode("utf-8", "replace")
    return FormData([*parse_qsl(body, keep_blank_values=True)])


def text(form: FormData, name: str) -> str:
    """One field, "" where it is missing."""
    return str(form.get(name, ""))


def url(value: str) -> str:
    """An absolute URL. Raises 21205."""
    split = urlsplit(value)
    if split.scheme not in ("http", "https") or not split.hostname:
        raise RestRefused(400, 21205, f"Url is not a valid URL: {value!r}")
    return value


def method(form: FormData, name: str) -> str:
    """A method field; POST is the default. Raises 20001."""
    value = text(form, name).upper() or "POST"
    if value not in ("GET", "POST"):
        raise RestRefused(400, 20001, f"{name} must be GET or POST, got {value!r}")
    return value


def seconds(value: str) -> float:
    """A whole number of seconds above 0. Raises 20001."""
    if not value.isdigit() or int(value) == 0:
        raise RestRefused(400, 20001, f"expected a number of seconds, got {value!r}")
    return float(value)


def source(form: FormData) -> Source:
    """The TwiML or the URL that a form gives a call; with both, a created call ignores the TwiML. Raises 20001, 21205."""
    if text(form, "Url") or not text(form, "Twiml"):
        return Source(url(text(form, "Url")), method(form, "Method"))
    twiml = text(form, "Twiml")
    if len(twiml) > MAX_TWIML:
        raise RestRefused(400, 20001, f"Twiml may have {MAX_TWIML} characters, got {len(twiml)}")
    return Source(twiml=twiml)
