"""Settings: the environment, `.env` and `offhook.toml`, read once into one frozen struct. All faults in one report."""

import os
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Literal
from urllib.parse import urlsplit

import dotenv
import msgspec

from app.consent_rules import Rules
from app.errors import SetupError
from app.office import E164, Office
from app.office_file import read_office

ROOT = Path(__file__).parent.parent
FICTIONAL_PERSON = "+14155550170"
"""Whom rehearsals put callers through to; 555-01xx numbers belong to nobody."""
LOOPBACK = ("127.0.0.1", "localhost", "::1")


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """Everything that an operator can set; names and defaults are docs/settings.md."""

    openai_api_key: str = ""
    realtime_url: str = "wss://api.openai.com/v1/realtime"
    realtime_auth: Literal["bearer", "api-key"] = "bearer"
    realtime_model: str = "gpt-realtime-1.5"
    realtime_dialect: Literal["auto", "ga", "flat"] = "auto"
    transcription_model: str = "gpt-live-transcribe"
    spare_links: int = 2
    prime_model: bool = False
    stand_in: bool = False
    """No key and no REALTIME_URL: the built-in model stand-in answers."""
    twilio_account_sid: str = ""
    twilio_auth_tokens: tuple[str, ...] = ()
    twilio_phone_number: str = ""
    twilio_api_base: str = "https://api.twilio.com"
    public_url: str = "http://127.0.0.1:8000"
    database_url: str = ""
    business_api_base: str = ""
    human_transfer_number: str = ""
    operator_password: str = ""
    data: Path = ROOT / ".offhook"
    max_calls: int = 200
    max_call_seconds: float = 1800
    dormant_seconds: float = 60
    max_call_cost_usd: float = 5
    first_audio_seconds: float = 5
    host: str = "127.0.0.1"
    port: int = 8000
    metrics_token: str = ""
    log_level: Literal["debug", "info", "warning", "error"] = "info"
    office: Office
    default_mode: str = "receptionist"
    numbers: Mapping[str, str] = {}
    """Dialled number -> mode."""
    consent: Rules = msgspec.field(default_factory=Rules)
    """What is announced, to whom, in which words."""

    def __repr__(self) -> str:
        """Without values: half of them are secrets."""
        return f"Settings(of {self.office.name!r} in {self.data})"

    @property
    def public_is_loopback(self) -> bool:
        """Whether the outside world cannot reach us by our public URL."""
        return urlsplit(self.public_url).hostname in LOOPBACK

    @property
    def socket_url(self) -> str:
        """The public origin for WebSockets: wss, or ws for a loopback host."""
        return re.sub(r"^http", "ws", self.public_url)


def load(environ: Mapping[str, str] | None = None, *, root: Path = ROOT) -> Settings:
    """Read all settings. Raises SetupError listing everything that is wrong, each with what was expected and what came."""
    if environ is None:
        environ = environment(root)
    reader = _Reader(environ)
    values: dict[str, Any] = {}
    for name, read in ENVIRONMENT.items():
        if environ.get(name, "") != "" or (name == "TRANSCRIPTION_MODEL" and name in environ):
            reader.take(values, name, read)
    if "data" in values:
        values["data"] = (root / values["data"]).absolute()
    else:
        values["data"] = root / ".offhook"
    host, port = values.get("host", "127.0.0.1"), values.get("port", 8000)
    here = "127.0.0.1" if host in ("0.0.0.0", "::") else f"[{host}]" if ":" in host else host  # noqa: S104
    values.setdefault("public_url", f"http://{here}:{port}")
    values["stand_in"] = not values.get("openai_api_key") and "realtime_url" not in values
    if values["stand_in"]:
        values.setdefault("human_transfer_number", FICTIONAL_PERSON)
    _twilio_base(environ, values, reader.faults)
    values.update(read_office(root / "offhook.toml", values.get("human_transfer_number", ""), reader.faults))
    if reader.faults:
        raise SetupError("the settings cannot be used:\n" + "\n".join(f"  - {fault}" for fault in reader.faults))
    return Settings(**values)


def environment(root: Path = ROOT) -> dict[str, str]:
    """The environment, over what `.env` has."""
    return {name: value or "" for name, value in dotenv.dotenv_values(root / ".env", interpolate=False).items()} | dict(
        os.environ
    )


class _Reader:
    """Reads values one by one and keeps the faults."""

    def __init__(self, environ: Mapping[str, str]) -> None:
        self.environ = environ
        self.faults: list[str] = []

    def take(self, values: dict[str, Any], name: str, read: Callable[[str], Any]) -> None:
        try:
            values[FIELD.get(name, name.lower())] = read(self.environ[name].strip())
        except ValueError as wrong:
            shown = "a value that is kept secret" if name in SECRET else repr(self.environ[name])
            self.faults.append(f"{name}: expected {wrong}, got {shown}")


def _between(low: float, high: float, kind: type = float) -> Callable[[str], Any]:
    def read(text: str) -> Any:
        try:
            value = kind(text)
        except ValueError:
            value = None
        if value is None or not low <= value <= high:
            noun = "a whole number" if kind is int else "a number"
            raise ValueError(f"{noun} from {low:g} to {high:g}") from None
        return value

    return read


def _one_of(*names: str) -> Callable[[str], str]:
    def read(text: str) -> str:
        if text not in names:
            raise ValueError("one of " + ", ".join(names))
        return text

    return read


def _switch(text: str) -> bool:
    return _one_of("on", "off")(text) == "on"


def _number(text: str) -> str:
    if not E164.fullmatch(text):
        raise ValueError("a phone number as +14155550100")
    return text


def _url(*schemes: str) -> Callable[[str], str]:
    def read(text: str) -> str:
        parts = urlsplit(text)
        if parts.scheme not in schemes or not parts.hostname:
            raise ValueError(f"a URL that starts with {' or '.join(s + '://' for s in schemes)}")
        return text.rstrip("/")

    return read


def _public_url(text: str) -> str:
    parts = urlsplit(text)
    try:
        _ = parts.port
    except ValueError:
        raise ValueError("a port from 1 to 65535, or none") from None
    loopback = parts.hostname in LOOPBACK
    if not parts.hostname or parts.scheme not in ("https", *(("http",) if loopback else ())):
        raise ValueError("https://HOST (http only for a loopback host)")
    if parts.path.strip("/") or parts.query or parts.fragment or parts.username:
        raise ValueError("an origin, without path, query or user")
    return f"{parts.scheme}://{parts.netloc}"


def _sid(text: str) -> str:
    if not re.fullmatch(r"AC[0-9a-fA-F]{32}", text):
        raise ValueError("AC and 32 hex digits")
    return text


def _tokens(text: str) -> tuple[str, ...]:
    tokens = tuple(token.strip() for token in text.split(",") if token.strip())
    if not tokens:
        raise ValueError("one or more tokens, separated by commas")
    return tokens


ENVIRONMENT: dict[str, Callable[[str], Any]] = {
    "OPENAI_API_KEY": str,
    "REALTIME_URL": _url("wss", "ws"),
    "REALTIME_AUTH": _one_of("bearer", "api-key"),
    "REALTIME_MODEL": str,
    "REALTIME_DIALECT": _one_of("auto", "ga", "flat"),
    "TRANSCRIPTION_MODEL": str,
    "SPARE_LINKS": _between(0, 100, int),
    "PRIME_MODEL": _switch,
    "TWILIO_ACCOUNT_SID": _sid,
    "TWILIO_AUTH_TOKEN": _tokens,
    "TWILIO_PHONE_NUMBER": _number,
    "TWILIO_API_BASE": _url("https", "http"),
    "PUBLIC_URL": _public_url,
    "DATABASE_URL": str,
    "BUSINESS_API_BASE": _url("https", "http"),
    "HUMAN_TRANSFER_NUMBER": _number,
    "OPERATOR_PASSWORD": str,
    "OFFHOOK_DATA": str,
    "MAX_CALLS": _between(1, 100_000, int),
    "MAX_CALL_SECONDS": _between(10, 86_400),
    "DORMANT_SECONDS": _between(5, 3600),
    "MAX_CALL_COST_USD": _between(0.01, 1000),
    "FIRST_AUDIO_SECONDS": _between(2.5, 60),
    "HOST": str,
    "PORT": _between(1, 65_535, int),
    "METRICS_TOKEN": str,
    "LOG_LEVEL": _one_of("debug", "info", "warning", "error"),
}
FIELD = {"TWILIO_AUTH_TOKEN": "twilio_auth_tokens", "OFFHOOK_DATA": "data"}
SECRET = ("OPENAI_API_KEY", "TWILIO_AUTH_TOKEN", "OPERATOR_PASSWORD", "METRICS_TOKEN", "DATABASE_URL")


def _twilio_base(environ: Mapping[str, str], values: dict[str, Any], faults: list[str]) -> None:
    """Edge and region make a host name; a region alone makes one that is dead since April 2026."""
    edge, region = environ.get("TWILIO_EDGE", ""), environ.get("TWILIO_REGION", "")
    if region and not edge:
        faults.append(
            f"TWILIO_EDGE: expected the edge of TWILIO_REGION {region!r} (dublin for ie1, sydney for au1), got none"
        )
    elif edge and "twilio_api_base" in values:
        faults.append("TWILIO_API_BASE: expected it alone, or TWILIO_EDGE and TWILIO_REGION; got both")
    elif edge:
        values["twilio_api_base"] = f"https://api.{edge}.{region or 'us1'}.twilio.com"
